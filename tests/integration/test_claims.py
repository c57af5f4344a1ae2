"""What the new owner of a shard tells the gateways before it knows what the one before it knew."""

import json
import os

from tests.integration.test_limits import LimitStory
from tests.lib.generate import event, now
from tests.lib.wait import wait_until

SCOPE = "tenant/acme"
FILLING = 4000  # records of others, four batches: between two of them offers and loads are looked at


class ClaimTest(LimitStory):
    def failpoints(self, text):
        os.environ["TRIPMETER_FAILPOINTS"] = text
        self.addCleanup(os.environ.pop, "TRIPMETER_FAILPOINTS", None)

    def outcomes(self):
        return [json.loads(record["value"])["data"]["outcome"]
                for record in self.gateway.records(SCOPE)]

    def has_caught_up(self):
        """With what the last process has claimed."""
        return "event=caught_up" in self.engine.log_text().rsplit("event=claimed", 1)[1]

    def start_slowly(self):
        claims = self.engine.log_text().count("event=claimed")
        self.start()
        wait_until(lambda: self.engine.log_text().count("event=claimed") > claims, 20,
                   lambda: f"a claim:\n{self.engine.tail()}")

    def killed_with_a_block(self, slowness=1):
        """60 calls are settled; 40 more block the tenant, and the engine is killed before they are."""
        self.begin(partitions=1)
        self.job.tenant("acme", plan="free")
        self.job.tenant("other", plan="free", limits={"api_calls": 2 * FILLING})
        self.start()
        self.calls("acme", 60)
        self.job.await_settled()
        self.assertEqual(0, self.engine.stop())
        self.job.settings["settle_interval"] = "1m"
        self.job.write_config(self.engine.config, "state-1")
        self.failpoints("decision_sent=kill")
        self.job.produce([event(f"f{number}", "other", now()) for number in range(FILLING)])
        self.calls("acme", 40)
        self.start()
        self.engine.wait(30)
        self.assertEqual(["block"], self.outcomes())
        self.assertEqual(FILLING + 40, self.job.lag())
        # The next one takes its time: so many seconds a batch.
        self.failpoints(",".join(f"apply_record=delay@{offset}"
                                 for offset in range(100, FILLING, 500 // slowness)))

    def test_no_allow_between_blocks(self):
        """Killed between a block and its settlement: nobody sees an allow before the next block"""
        self.killed_with_a_block()
        self.start_slowly()
        wait_until(lambda: len(self.outcomes()) > 1, 40,
                   lambda: f"the new owner speaks:\n{self.engine.tail()}")
        wait_until(self.has_caught_up, 40, lambda: f"it catches up:\n{self.engine.tail()}")
        self.assertEqual(0, self.engine.stop())
        self.assertEqual({"block"}, set(self.outcomes()))
        self.assertEqual(0, self.job.lag())

    def test_raised_meanwhile(self):
        """A limit raised while nobody was there allows, once all that was known is known again"""
        self.killed_with_a_block()
        self.job.tenant("acme", plan="free", limits={"api_calls": 1000})
        self.start_slowly()
        self.gateway.await_allowed("acme", deadline_s=40)
        wait_until(self.has_caught_up, 40, lambda: f"it catches up:\n{self.engine.tail()}")
        self.assertEqual("allow", self.outcomes()[-1])

    def test_operator_meanwhile(self):
        """An operator's allow does not hang on events, so it does not wait for them"""
        self.killed_with_a_block(slowness=2)
        self.start_slowly()
        self.job.say("allow", SCOPE, "--for", "1h", "--reason", "test", "--no-wait")
        self.gateway.await_allowed("acme", deadline_s=40)
        self.assertFalse(self.has_caught_up())
