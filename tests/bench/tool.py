"""bench_tool, which does what must be as fast as the engine, and words on the way."""

import json
import os
import subprocess

from tests.lib.server import ROOT

TOOL = os.environ.get("BENCH_TOOL", os.path.join(ROOT, "build", "cc-release", "bench_tool"))
PARTITIONS = 8


def say(text):
    print(f"bench: {text}", flush=True)


def run_tool(env, command, **options):
    """Runs a command of bench_tool; what it prints.  A True option is a flag."""
    words = [TOOL, command, "--brokers", env.kafka.bootstrap]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"bench_tool {command}: {done.stderr}")
    return json.loads(done.stdout)
