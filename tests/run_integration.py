#!/usr/bin/python3
"""Runs the tests of tests/integration against real Kafka, Postgres, mail and web servers.

    tests/run_integration.py [WORD ...]     those whose name contains one of the words; else all

A line a test, with its time; for one that fails, why, and the end of the logs of the engines it
started.  The last line counts, and the exit status is 0 only if tests passed and none failed.
The engine is $TRIPMETER_BIN, kafka_tool $KAFKA_TOOL; `make integration` builds and names both.
"""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.lib.engine import Engine  # noqa: E402 -- found only on the path above
from tests.lib.env import end_on_sigterm, environment  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402


class Result(unittest.TestResult):
    """Says what happens as it happens."""

    def __init__(self):
        super().__init__()
        self.passed = self.failed = self.left_out = 0
        self.began = 0.0
        self.engines = 0
        self.trouble = []
        self.reason = None

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.engines = len(Engine.all)
        self.trouble = []
        self.reason = None

    def addError(self, test, err):
        self.trouble.append(self._exc_info_to_string(err, test))
        if not isinstance(test, unittest.TestCase):
            # setUpClass or setUpModule: there is no test around it.
            self.began = time.monotonic()
            self.stopTest(test)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.trouble.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self.reason = reason
        if not isinstance(test, unittest.TestCase):
            self.began = time.monotonic()
            self.stopTest(test)

    def addUnexpectedSuccess(self, test):
        self.trouble.append("expected to fail, but passed\n")

    def stopTest(self, test):
        super().stopTest(test)
        name = test.shortDescription() if isinstance(test, unittest.TestCase) else None
        name = f"{test.id().removeprefix('tests.integration.')}{': ' + name if name else ''}"
        if self.trouble:
            self.failed += 1
            verdict = "FAILED"
        elif self.reason is not None:
            self.left_out += 1
            verdict, name = "skipped", f"{name} ({self.reason})"
        else:
            self.passed += 1
            verdict = "ok"
        print(f"{verdict:7} {time.monotonic() - self.began:7.2f} s  {name}")
        for text in self.trouble:
            print(text)
        if self.trouble:
            for engine in Engine.all[self.engines:]:
                print(f"--- the end of {engine.log}\n{engine.tail()}")
        # What a test leaves running would take processors and connections from those to come.
        for engine in Engine.all[self.engines:]:
            engine.kill()
        sys.stdout.flush()
        self.trouble = []


def chosen(tests, words):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, words)
        elif not words or any(word in test.id() for word in words):
            yield test


def main(words):
    if "--help" in words:
        print(__doc__)
        return 0
    # So that the servers are stopped on the way out.
    end_on_sigterm()
    found = unittest.TestLoader().discover(os.path.join(ROOT, "tests", "integration"),
                                           top_level_dir=ROOT)
    suite = unittest.TestSuite(chosen(found, words))
    result = Result()
    if suite.countTestCases() > 0:
        began = time.monotonic()
        print("integration: starting Kafka, Postgres, mail and web receivers", flush=True)
        environment()
        print(f"integration: they are up after {time.monotonic() - began:.1f} s", flush=True)
        suite.run(result)
    print(f"integration: {result.passed} passed, {result.failed} failed, "
          f"{result.left_out} skipped", flush=True)
    return 0 if result.passed > 0 and result.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
