#!/usr/bin/python3
"""A TCP proxy that can be told to misbehave.

    tests/env/tcp_proxy.py HOST:PORT [OWN]    forwards from a port of 127.0.0.1, OWN or a free one

The first line on standard output is the port.  Then commands are read from standard input, one a
line, and each is answered by "ok" (or "what?") when it has taken effect; the end of the input ends
the proxy.  `up` is from the client to the server, `down` the other way.

    open              forward everything, again
    cut               reset every connection; new ones are served
    refuse            reset every connection, and new ones at once
    freeze            keep connections, forward nothing
    delay MS          hold back every piece for so long
    cut-after up|down N    the connection that has N more bytes going that way is reset there
"""

import asyncio
import socket
import struct
import sys

PIECE = 65536


class Proxy:
    def __init__(self, host, port):
        self.target = (host, port)
        self.flow = asyncio.Event()
        self.flow.set()
        self.refusing = False
        self.delay_s = 0.0
        self.limit = {}  # bytes still allowed, by direction
        self.writers = set()

    def reset(self, *writers):
        for writer in writers:
            # No lingering: the other end gets a reset, as when a cable or a host goes.
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.writers.difference_update(writers)

    async def pump(self, direction, reader, writer, pair):
        while piece := await reader.read(PIECE):
            await self.flow.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            left = self.limit.get(direction)
            if left is not None and len(piece) >= left:
                del self.limit[direction]
                writer.write(piece[:left])
                await writer.drain()
                self.reset(*pair)
                return
            if left is not None:
                self.limit[direction] = left - len(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def connection(self, reader, writer):
        self.writers.add(writer)
        if self.refusing:
            self.reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            self.reset(writer)
            return
        pair = (writer, far_writer)
        self.writers.add(far_writer)
        try:
            await asyncio.gather(self.pump("up", reader, far_writer, pair),
                                 self.pump("down", far_reader, writer, pair))
        except OSError:
            self.reset(*pair)
        for end in pair:
            end.close()
        self.writers.difference_update(pair)

    def obey(self, words):
        match words:
            case ["open"]:
                self.refusing, self.delay_s = False, 0.0
                self.limit.clear()
                self.flow.set()
            case ["cut"]:
                self.reset(*self.writers)
            case ["refuse"]:
                self.refusing = True
                self.reset(*self.writers)
            case ["freeze"]:
                self.flow.clear()
            case ["delay", milliseconds]:
                self.delay_s = float(milliseconds) / 1000
            case ["cut-after", ("up" | "down") as direction, count]:
                self.limit[direction] = int(count)
            case _:
                return "what?"
        return "ok"


async def serve(host, port, own):
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.connection, "127.0.0.1", own)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(proxy.obey(line.split()), flush=True)
    proxy.reset(*proxy.writers)


def main():
    target, own = (sys.argv[1:] + ["0"])[:2] if len(sys.argv) in (2, 3) else ("", "")
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit() or not own.isdigit():
        print(__doc__)
        return 0 if sys.argv[1:] == ["--help"] else 2
    asyncio.run(serve(host, int(port), int(own)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
