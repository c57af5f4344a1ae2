#!/usr/bin/python3
"""Where the time of an event goes: the engine catches up with UM-1 while a profiler looks on.

    tests/bench/run_profile.py [--events N] [--record]

perf samples it.  Every sample is counted for a stage by the name of its function (stages.py); the table
has the form of docs/speed.md and sums to what the engine used, perf's own work included.  Results:
build/profile/report.txt, with the dearest functions of each stage, and perf.data for a closer look.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench import stages  # noqa: E402 -- as the others, after the path
from tests.bench.catch_up import CatchUp  # noqa: E402
from tests.bench.machine import machine_line  # noqa: E402
from tests.bench.tool import say  # noqa: E402
from tests.lib.engine import BINARY  # noqa: E402
from tests.lib.env import Env, end_on_sigterm  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402

RESULTS = os.path.join(ROOT, "build", "profile")
DATA = os.path.join(RESULTS, "perf.data")
REMEDY = """run_profile.py: perf takes no samples here: {why}
As root:
  apt-get install linux-perf             # when it is missing
  sysctl kernel.perf_event_paranoid=1    # when it is there, but may not
In a container the machine's owner does the second, and starts it with --cap-add PERFMON.  gperftools is
no way out: its timer ends the servers beside the engine."""


def why_no_perf():
    """What is wrong with perf, or "" when it can sample."""
    if not shutil.which("perf"):
        return "not installed"
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(["perf", "record", "-q", "-o", out.name, "true"], capture_output=True,
                              text=True)
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[:200]


def record(pid):
    """Samples all threads of the process until what is returned is called."""
    perf = subprocess.Popen(["perf", "record", "-q", "-F", "1999", "-p", str(pid), "-o", DATA],
                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop():
        perf.send_signal(signal.SIGINT)
        perf.wait(60)

    return stop


def read_samples():
    """(thread, its name) -> Counter of (library, function)"""
    lines = subprocess.run(["perf", "report", "-i", DATA, "--stdio", "--no-children", "-t", "|",
                            "-F", "period,pid,dso,sym"], capture_output=True, text=True, check=True)
    out = defaultdict(Counter)
    for line in lines.stdout.splitlines():
        # perf's "pid" is the thread.
        found = re.match(r"\s*(\d+)\s*\|\s*(\d+):(.*?)\s*\|(.*?)\s*\|\[.\] (\S+)", line)
        if found:
            period, thread, name, library, function = found.groups()
            function = "(no name)" if function.startswith("0x") else function
            out[(int(thread), name)][(library, function)] += int(period)
    assert out, f"perf report -i {DATA} is not understood:\n{lines.stdout[:500]}{lines.stderr[:500]}"
    return out


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--events", type=int, default=1_000_000)
    words.add_argument("--record", action="store_true",
                       help="keep the record of settled events, which is off otherwise")
    words = words.parse_args()
    end_on_sigterm()
    os.makedirs(RESULTS, exist_ok=True)
    why = why_no_perf()
    if why:
        sys.exit(REMEDY.format(why=why))
    with Env() as env:
        used = CatchUp(env, words.events, words.record).engine(record)
    found = stages.by_stage(read_samples(), os.path.dirname(BINARY))
    ns = used["cpu_s"] / words.events * 1e9
    table = [f"{words.events:,} events; record of settled events {'on' if words.record else 'off'}; "
             f"machine: {machine_line()}", "", *stages.table(found, ns)]
    with open(os.path.join(RESULTS, "report.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join([*table, *stages.functions(found, ns), ""]))
    print("\n" + "\n".join(table))
    say(f"the functions of each stage: {RESULTS}/report.txt; a closer look: {DATA}")


if __name__ == "__main__":
    sys.exit(main())
