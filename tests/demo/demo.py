#!/usr/bin/python3
"""`make demo`: a day of usage, from the event to the block, the mail and the exact total.

    tests/demo/demo.py           plays it; exit status 0 when the totals are equal
    tests/demo/demo.py --keep    and leaves everything running
    tests/demo/demo.py --calls   sends more calls to what --keep left, until Ctrl-C
    tests/demo/demo.py --stop    ends what --keep left

The engine is $TRIPMETER_BIN, kafka_tool $KAFKA_TOOL; `make demo` builds and names both.
"""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.demo.news import ControlTopic  # noqa: E402 -- found only on the path above
from tests.demo.screen import Screen  # noqa: E402
from tests.demo.story import Story  # noqa: E402
from tests.demo.traffic import Gateway  # noqa: E402
from tests.demo.world import Trouble, World, end_processes, kept_directories  # noqa: E402
from tests.lib.server import tail  # noqa: E402


def play(keep):
    screen = Screen()
    try:
        world = World.new()
    except (Trouble, OSError) as why:
        screen.line(f"the demo cannot begin: {why}")
        return 1
    told = False
    try:
        equal = Story(world, screen, keep).play()
        told = True
        return 0 if equal else 1
    except KeyboardInterrupt:
        screen.end_rate()
        screen.line("stopped")
        return 130
    except (Trouble, AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as why:
        screen.end_rate()
        screen.line(screen.style(f"the demo failed: {why}", "red", "bold"))
        screen.line(f"--- the end of {world.shown('engine.log')}")
        screen.line(tail(world.engine_log, 15))
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what was started is ended first
        if not (keep and told):
            world.stop()


def call():
    """The climber goes on, too: in a minute or two it is where its limit was raised to."""
    try:
        world = World.kept()
        gateway = Gateway(world, climb_s=25)
        control = ControlTopic(world, gateway.heed)
    except Trouble as why:
        print(why)
        return 1
    control.start()
    gateway.start()
    print("sending about 600 events a second; Ctrl-C ends it")
    try:
        gateway.join()
    except KeyboardInterrupt:
        pass
    try:
        gateway.finish()
    except RuntimeError as why:
        print(why)
        return 1
    finally:
        control.stop()
    print(f"{gateway.sent:,} events were sent")
    return 0


def stop():
    directories = kept_directories()
    for directory in directories:
        end_processes(directory)
        print(f"stopped what ran in {os.path.relpath(directory)}")
    if not directories:
        print("nothing was left running")
    return 0


def interrupt(*_):
    raise KeyboardInterrupt


def main(words):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if words in (["--calls"], ["--stop"]):
        return call() if words == ["--calls"] else stop()
    if words not in ([], ["--keep"]):
        print(__doc__)
        return 0 if words == ["--help"] else 2
    return play(keep=words == ["--keep"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
