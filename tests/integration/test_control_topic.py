"""What a gateway sees on the control topic, whatever happens to those who write it."""

import json
import os
import signal
import subprocess
import unittest

from tests.lib.env import environment
from tests.lib.kafka import TOOL
from tests.lib.server import ROOT
from tests.lib.wait import wait_until

DRIVER = os.path.join(os.path.dirname(TOOL), "control_driver")
FOLLOWERS = ([os.path.join(os.path.dirname(TOOL), "follower")],
             ["/usr/bin/python3", os.path.join(ROOT, "tests", "gateway", "follower.py")])


class Driver:
    """The control sink as a process of its own (tests/tools/control_driver.c)."""

    def __init__(self, test, topic, create="create"):
        # Appended to: the process and we share the position.
        self.log = open(environment().path(f"{topic}.{create}.{id(self)}.log"), "a+")
        self.process = subprocess.Popen(
            [DRIVER, environment().kafka.bootstrap, topic, create], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.first = self.process.stdout.readline().strip()
        test.addCleanup(self.end)

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def has_logged(self, text):
        self.log.seek(0)
        return text in self.log.read()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


class ControlTopicTest(unittest.TestCase):
    def setUp(self):
        self.kafka = environment().kafka
        self.topic = environment().name("control")

    def views(self):
        """What the gateways print at the end of the topic: the one in C, the one in Python."""
        return [subprocess.run([*follower, self.kafka.bootstrap, self.topic, "--until-end"],
                               check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
                for follower in FOLLOWERS]

    def await_view(self, expected):
        """Until both see these outcomes, {scope: outcome}, and say so in the same words."""
        def sees():
            first, second = self.views()
            rows = [json.loads(line) for line in first.splitlines()]
            return first == second and {row["scope"]: row["outcome"] for row in rows} == expected
        wait_until(sees, 30, lambda: f"{expected}, not {self.views()}")

    def compact(self):
        """Until only the last record of each key is left."""
        self.kafka.tool("alter-topic-config", self.topic, "cleanup.policy=compact", "segment.ms=100",
                        "min.cleanable.dirty.ratio=0.001")

        def is_compact():
            # Only segments that are no longer written to are compacted: a record rolls one.
            self.kafka.produce(self.topic, [{"key": "engine/9", "value": None}])
            keys = [message["key"] for message in self.kafka.consume(self.topic)
                    if not message["key"].startswith("engine/")]
            return len(keys) == len(set(keys))
        wait_until(is_compact, 60, "compaction")

    def test_created(self):
        """A missing topic is created compacted, or the command is named"""
        refused = Driver(self, self.topic, "keep").first
        self.assertIn("kafka-topics.sh --bootstrap-server", refused)
        self.assertIn(self.topic, refused)
        maker = Driver(self, self.topic)
        self.assertEqual(maker.first, "ready")
        self.assertFalse(maker.has_logged("unchecked"))
        described = self.kafka.tool("describe-topic", self.topic)[0]
        self.assertEqual((described["partitions"], described["config"]["cleanup.policy"]),
                         (1, "compact"))
        self.assertEqual(Driver(self, self.topic, "keep").first, "ready")

    def test_not_compacted(self):
        """A topic that forgets blocks is refused with the remedy"""
        self.kafka.create_topic(self.topic, 1, cleanup_policy="delete")
        self.assertIn("--add-config cleanup.policy=compact", Driver(self, self.topic).first)

    def test_block_and_allow(self):
        """A block arrives, and the allow that follows; other partitions are read as well"""
        self.kafka.create_topic(self.topic, 3, cleanup_policy="compact")
        engine = Driver(self, self.topic)
        scopes = [f"tenant/t{number}" for number in range(9)]
        engine.say("own 0 5", *(f"block {scope}" for scope in scopes))
        self.await_view({scope: "block" for scope in scopes})
        engine.say(f"allow {scopes[0]}")
        self.await_view({scope: "block" for scope in scopes} | {scopes[0]: "allow"})

    def test_zombie(self):
        """An engine stopped past its claim writes late; after compaction gateways still see right"""
        first = Driver(self, self.topic)
        first.say("own 0 5", "block tenant/a", "block tenant/b")
        self.await_view({"tenant/a": "block", "tenant/b": "block"})
        first.process.send_signal(signal.SIGSTOP)
        first.say("allow tenant/a", "block tenant/late")
        second = Driver(self, self.topic)
        second.say("own 0 6", "block tenant/a", "allow tenant/b")
        self.await_view({"tenant/a": "block", "tenant/b": "allow"})
        first.process.send_signal(signal.SIGCONT)
        wait_until(lambda: first.has_logged("later claim"), 30, "the first is silenced")
        # As if it had been in the first one's queue: numbered before the claim, written after it.
        late = next(m for m in self.kafka.consume(self.topic)
                    if m["key"] == "tenant/a" and m["value"])
        self.kafka.produce(self.topic, [late, {**late, "key": "tenant/b"},
                                        {**late, "key": "tenant/late"}])
        self.await_view({"tenant/a": "block", "tenant/b": "allow", "tenant/late": "allow"})
        self.compact()
        self.await_view({"tenant/a": "block", "tenant/b": "allow", "tenant/late": "allow"})

    def test_broker_restarts(self):
        """What is wanted while the broker is away is there when it is back"""
        engine = Driver(self, self.topic)
        engine.say("own 0 5", "block tenant/a")
        self.await_view({"tenant/a": "block"})
        self.kafka.kill()
        engine.say("allow tenant/a", "block tenant/b")
        self.kafka.start()
        self.await_view({"tenant/a": "allow", "tenant/b": "block"})
