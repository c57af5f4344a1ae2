"""A TCP proxy that can be told to misbehave, tests/env/tcp_proxy.py (its --help has the words)."""

import os
import subprocess

from tests.lib.server import SCRIPTS


class Proxy:
    """Forwards from self.port to the target; `tell("cut-after", "up", 1000)`."""

    def __init__(self, host, port, own=0):
        """own: the port to listen on; 0: a free one."""
        self.process = subprocess.Popen(
            [os.path.join(SCRIPTS, "tcp_proxy.py"), f"{host}:{port}", str(own)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise ValueError(f"proxy: {words}: {answer or 'it has ended'}")

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
