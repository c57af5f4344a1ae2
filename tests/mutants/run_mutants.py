#!/usr/bin/python3
"""Plants each bug of tests/mutants/*.patch in a copy of the tree, and sees which suite catches it.

    tests/env/with_postgres.sh tests/mutants/run_mutants.py [WORD ...]    those named so; else all

A patch says in its first line what the bug is, and in its second which suites should catch it, the
cheapest first: names of `make check`'s suites, campaign:N for N disruptions, or integration:WORD for
tests on real Kafka. Prints a line a bug: caught by what, in how many seconds. Exit status 1 when one
survives, does not apply or does not compile.
"""

import glob
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(ROOT, "build", "mutants")
OUT = os.path.join("build", "cc-release")
SUITE_S = 300  # one that does not end is caught, too, and says so


def run(*words, deadline_s=600, **more):
    """Its exit status and output; None as status when it takes too long."""
    with subprocess.Popen(words, cwd=COPY, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True, **more) as process:
        try:
            output = process.communicate(timeout=deadline_s)[0]
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None, process.communicate()[0]


def copy_tree():
    """What git knows, and what is compiled already, so that a bug costs one file."""
    shutil.rmtree(COPY, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    for name in names:
        if os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(COPY, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(COPY, name))
    shutil.copytree(os.path.join(ROOT, OUT), os.path.join(COPY, OUT))


def build():
    return run("make", "-s", "-j2", "WHOLE=", *(f"{OUT}/{name}" for name in
                                      ("run_all", "tripmeter", "campaign_worker", "kafka_tool",
                                       "follower")))


def check(suite):
    """True when the suite fails, as it should."""
    if suite.startswith("campaign:"):
        environment = {**os.environ, "TRIPMETER_BIN": os.path.join(COPY, OUT, "tripmeter"),
                       "CAMPAIGN_WORKER": os.path.join(COPY, OUT, "campaign_worker")}
        return run("tests/campaign/campaign.py", "--seed", "7", "--disruptions", suite[9:],
                   deadline_s=SUITE_S, env=environment)[0] != 0
    if suite.startswith("integration:"):
        environment = {**os.environ, "TRIPMETER_BIN": os.path.join(COPY, OUT, "tripmeter"),
                       "KAFKA_TOOL": os.path.join(COPY, OUT, "kafka_tool"),
                       "KAFKA_LIB": os.path.join(ROOT, "build", "kafka-lib")}
        return run("tests/run_integration.py", suite[12:], deadline_s=SUITE_S,
                   env=environment)[0] != 0
    return run(os.path.join(OUT, "run_all"), suite, deadline_s=SUITE_S)[0] != 0


def plant(path):
    """One bug: what became of it, in words, and whether it was caught."""
    with open(path, encoding="utf-8") as patch:
        what, suites = patch.readline().strip(), patch.readline().split(":", 1)[1].split()
    status, output = run("patch", "-p1", "--no-backup-if-mismatch", "-i", path)
    if status != 0:
        return what, f"does not apply: {output.strip()}", False
    try:
        status, output = build()
        if status != 0:
            return what, f"does not compile: {output[-600:]}", False
        for suite in suites:
            began = time.monotonic()
            if check(suite):
                took_s = time.monotonic() - began
                end = ", which did not end" if took_s >= SUITE_S else ""
                return what, f"caught by {suite} in {took_s:.1f} s{end}", True
        return what, f"SURVIVED {' '.join(suites)}", False
    finally:
        run("patch", "-R", "-p1", "--no-backup-if-mismatch", "-i", path)


def main(words):
    copy_tree()
    status, output = build()
    if status != 0:
        print(output)
        return 1
    caught = count = 0
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "mutants", "*.patch"))):
        name = os.path.basename(path).removesuffix(".patch")
        if words and not any(word in name for word in words):
            continue
        what, fate, good = plant(path)
        count += 1
        caught += good
        print(f"{name:34} {fate:42} {what}", flush=True)
    print(f"mutants: {caught} of {count} caught")
    shutil.rmtree(COPY)
    return 0 if caught == count > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
