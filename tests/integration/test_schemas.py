"""The event's schema: every example is valid and is read by the engine; what a kind needs, it needs."""

import copy
import json
import os
import pathlib
import subprocess
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
KINDS = "record reserve settle release refund correct decision topup gauge value".split()

# Each makes the example of its kind invalid: the path of a member, and its new value (None: gone).
SPOILT = [
    ("record", "specversion", "0.3"),
    ("record", "id", ""),
    ("record", "source", "s" * 257),
    ("record", "subject", None),
    ("record", "type", "com.example.usage.record.v2"),
    ("record", "time", "2026-03-02 12:00"),
    ("record", "data", None),
    ("record", "data.request_id", None),
    ("record", "data.usage", None),
    ("record", "data.usage.input_tokens", -1),
    ("record", "data.usage.input_tokens", 2**53),
    ("record", "data.attempt", 256),
    ("record", "data.model", "a\nb"),
    ("record", "data.cost", "free"),
    ("record", "data.cost", "-1"),
    ("record", "data.cost", 1000001),
    ("reserve", "data.reservation.id", None),
    ("reserve", "data.reservation", {"id": "r"}),
    ("settle", "data.reservation", None),
    ("settle", "data.final", "yes"),
    ("release", "data.reservation", None),
    ("refund", "data.refund_of", {}),
    ("refund", "data.cost", None),
    ("refund", "data.cost", "1"),
    ("correct", "data.supersedes", None),
    ("correct", "data.usage", None),
    ("decision", "data.decision.outcome", "maybe"),
    ("topup", "data.topup.ref", None),
    ("topup", "data.topup.amount", None),
    ("gauge", "data.gauges", {}),
    ("gauge", "data.gauges.projects", 1.5),
    ("value", "data.value.name", None),
]


def example(kind):
    return json.loads((SCHEMAS / "examples" / f"usage-event.{kind}.json").read_text())


def spoil(event, path, value):
    event = copy.deepcopy(event)
    *outer, last = path.split(".")
    inside = event
    for name in outer:
        inside = inside[name]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return event


class UsageEventSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        schema = json.loads((SCHEMAS / "usage-event.v1.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        cls.validator = jsonschema.Draft202012Validator(schema)

    def decode(self, events):
        """Exit status and words of `tripmeter decode` over one event a line."""
        binary = os.environ.get("TRIPMETER_BIN", "")
        if not os.path.exists(binary):
            self.skipTest("no engine built: TRIPMETER_BIN")
        usage = subprocess.run([binary, "--help"], capture_output=True, text=True, check=False)
        if "decode" not in usage.stdout:
            self.skipTest("this engine has no decode command")
        path = ROOT / "build" / "schema-examples.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return subprocess.run([binary, "decode", str(path)], capture_output=True, text=True, check=False)

    def test_every_example_is_valid(self):
        """Every example is valid"""
        for kind in KINDS:
            with self.subTest(kind):
                self.validator.validate(example(kind))

    def test_a_spoilt_example_is_not(self):
        """A spoilt example is not: each bound, each needed member"""
        for kind, path, value in SPOILT:
            with self.subTest(f"{kind} {path} = {value}"):
                self.assertFalse(self.validator.is_valid(spoil(example(kind), path, value)))

    def test_the_engine_reads_every_example(self):
        """The engine reads every example"""
        done = self.decode([example(kind) for kind in KINDS])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(KINDS)} events, 0 ignored, 0 refused", done.stdout)

    def test_the_engine_refuses_every_spoilt_example(self):
        """The engine refuses what the schema refuses"""
        events = [spoil(example(kind), path, value) for kind, path, value in SPOILT]
        done = self.decode(events)
        self.assertIn(f"0 events, 0 ignored, {len(SPOILT)} refused", done.stdout)


if __name__ == "__main__":
    unittest.main()
