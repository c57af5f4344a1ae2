"""The failpoints: those of the program, those that it passes, and those of docs/faults.md are the same."""

import pathlib
import re
import unittest

from tests.lib.server import ROOT

SOURCES = ("config", "ingest", "sinks", "engine")


def read(*parts):
    return pathlib.Path(ROOT, *parts).read_text(encoding="utf-8")


class FaultsTest(unittest.TestCase):
    def setUp(self):
        self.listed = re.findall(r"^FAILPOINT\((\w+),", read("config", "failpoint.def"), re.M)
        self.assertGreater(len(self.listed), 10)

    def test_every_failpoint_is_documented_and_vice_versa(self):
        self.assertEqual(self.listed, re.findall(r"^\| `(\w+)` \|", read("docs", "faults.md"), re.M))

    def test_every_failpoint_is_a_place_in_the_program(self):
        used = set()
        for folder in SOURCES:
            for path in pathlib.Path(ROOT, folder).glob("*.c"):
                used |= set(re.findall(r"\bFAIL_([a-z]\w*)\b", path.read_text(encoding="utf-8")))
        self.assertEqual(set(self.listed), used)


if __name__ == "__main__":
    unittest.main()
