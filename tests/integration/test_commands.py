"""What operators say while the engine runs, and what comes of it."""

import json
import os
import unittest
from datetime import timedelta

from tests.lib.engine import Engine, tripmeter
from tests.lib.generate import event, now
from tests.lib.job import POLICY
from tests.lib.story import Story
from tests.lib.wait import wait_until

SMALL = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 10}
"""
LARGE = SMALL.replace("limit: 10", "limit: 20")


class WordsTest(Story):
    POLICY = SMALL

    def test_block(self):
        """A key is blocked with its reason, and nothing else of the tenant; then it is not any more"""
        self.begin()
        self.start()
        self.engine.await_log("event=claimed")
        self.calls("acme", 1)
        self.assertIn("applied by the engine", self.job.say(
            "block", "key/acme/k 1", "--for", "2h", "--reason", "leaked"))
        http = self.gateway.await_denied("acme", "key_revoked", key="k 1")
        self.assertEqual(403, http["status"])
        self.assertIsNone(self.gateway.answer("acme", key="k2"))
        self.job.say("block", "key/acme/k 1", "--revoke", "--reason", "rotated")
        self.gateway.await_allowed("acme", key="k 1")

    def test_block_unheard(self):
        """A tenant that never sent anything can be blocked too"""
        self.begin()
        self.start()
        self.engine.await_log("event=claimed")
        self.job.say("block", "tenant/new", "--for", "ever", "--reason", "abuse")
        self.gateway.await_denied("new", "tenant_disabled")
        self.restart()
        self.job.say("block", "tenant/new", "--revoke", "--reason", "mistaken")
        self.gateway.await_allowed("new")

    def test_allow(self):
        """allow goes before the rules, which speak again when it is taken back"""
        self.begin()
        self.start()
        self.calls("acme", 10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.say("allow", "tenant/acme", "--for", "1d", "--reason", "contract under way")
        self.gateway.await_allowed("acme")
        self.calls("acme", 1)
        self.job.await_settled()
        self.assertIsNone(self.gateway.answer("acme"))
        self.job.say("allow", "tenant/acme", "--revoke", "--reason", "no contract")
        self.gateway.await_denied("acme", "plan_allowance_exhausted")

    def test_expiry(self):
        """A word ends at its time without any event, and the engine says so within 2 s"""
        self.begin()
        self.start()
        self.calls("acme", 1)
        self.job.say("block", "tenant/acme", "--for", "3s", "--reason", "a moment")
        self.gateway.await_denied("acme", "tenant_disabled")
        until = float(self.job.one(
            "SELECT extract(epoch FROM until_at) FROM tripmeter.operator_word"))
        wait_until(lambda: json.loads(self.gateway.records("tenant/acme")[-1]["value"])
                   ["data"]["outcome"] == "allow", 20, "the end of the word")
        self.assertGreaterEqual(self.gateway.last_at("tenant/acme"), until)
        self.assertLess(self.gateway.last_at("tenant/acme") - until, 2.0)


class EnforceTest(Story):
    POLICY = SMALL

    def said_at(self):
        return float(self.job.one(
            "SELECT extract(epoch FROM max(created_at)) FROM tripmeter.enforcement"))

    def test_enforce(self):
        """off allows everything within 2 s while metering goes on; on brings the blocks back"""
        self.begin()
        self.start()
        self.calls("acme", 10)
        self.calls("bolt", 10)
        for tenant in ("acme", "bolt"):
            self.gateway.await_denied(tenant, "plan_allowance_exhausted")
        self.job.say("enforce", "off", "--reason", "wrong prices", "--actor", "anna")
        for tenant in ("acme", "bolt"):
            self.gateway.await_allowed(tenant)
            self.assertLess(self.gateway.last_at(f"tenant/{tenant}") - self.said_at(), 2.0)
        self.await_page("/status", 200, "anna", "wrong prices")
        self.assertIn("tripmeter_enforcement_on 0", self.await_page("/metrics", 200, "enforcement_on 0"))
        self.calls("acme", 3)
        self.calls("late", 12)
        self.job.await_settled()
        self.assertEqual(35, self.job.one("SELECT sum(requests)::int FROM tripmeter.tenant_fact"))
        self.assertIsNone(self.gateway.answer("late"))
        for _ in range(3):
            self.restart()
            self.calls("late", 1)
            self.job.await_settled()
            self.assertIsNone(self.gateway.answer("late"))
        self.job.say("enforce", "on", "--reason", "prices are right")
        for tenant in ("acme", "bolt", "late"):
            self.gateway.await_denied(tenant, "plan_allowance_exhausted")
            self.assertLess(self.gateway.last_at(f"tenant/{tenant}") - self.said_at(), 2.0)
        self.assertEqual([(False, "anna"), (True, self.job.one("""
            SELECT actor FROM tripmeter.enforcement ORDER BY id DESC LIMIT 1"""))],
                         self.job.rows("SELECT is_on, actor FROM tripmeter.enforcement ORDER BY id"))


class PolicyTest(Story):
    POLICY = SMALL

    def serials(self):
        return [serial for serial, in self.job.rows(
            "SELECT serial FROM tripmeter.policy ORDER BY serial")]

    def test_reload(self):
        """SIGHUP takes a new policy whole; a broken one changes nothing and is named by its place"""
        self.begin()
        self.start()
        self.calls("acme", 10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.set_policy(SMALL + "\nfalback_plan: free\n")
        self.engine.reload()
        self.engine.await_log("event=reload result=refused")
        self.assertIn("policy.yaml:8:1", self.engine.log_text())
        self.assertIn("fallback_plan", self.engine.log_text())
        self.assertEqual([1], self.serials())
        self.calls("acme", 1)
        self.job.await_settled()
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.set_policy(LARGE)
        self.engine.reload()
        self.engine.await_log("event=reload result=accepted policy=2")
        self.gateway.await_allowed("acme")
        self.assertEqual([1, 2], self.serials())
        self.calls("acme", 9)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        record = json.loads(self.gateway.records("tenant/acme")[-1]["value"])
        self.assertEqual((2, 20), (record["data"]["policy_version"],
                                   record["data"]["restrictions"][0]["limit"]))

    def test_reload_configuration(self):
        """A configuration with errors is refused whole, all of them at once"""
        self.begin()
        self.start()
        self.calls("acme", 1)
        self.job.await_settled()
        with open(self.engine.config, encoding="utf-8") as file:
            good = file.read()
        with open(self.engine.config, "w", encoding="utf-8") as out:
            out.write(good.replace('"100ms"', '"soon"').replace('"workers"', '"wokers"'))
        self.job.set_policy(LARGE)
        self.engine.reload()
        self.engine.await_log("event=reload result=refused")
        for text in ("settle.interval", "wokers", "workers"):
            self.assertIn(text, self.engine.log_text())
        self.assertEqual([1], self.serials())

    def test_restart(self):
        """A restart with a new policy puts it in force; going back needs --activate"""
        self.begin()
        self.start()
        self.calls("acme", 10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.set_policy(LARGE)
        self.restart()
        self.gateway.await_allowed("acme")
        self.assertEqual(0, self.engine.stop())
        self.job.set_policy(SMALL)
        self.engine.start()
        self.assertEqual(1, self.engine.wait(20))
        self.assertIn("--activate", self.engine.log_text())
        self.assertEqual([1, 2], self.serials())
        back = Engine(self.engine.config, self.engine.log, "--activate").start()
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.assertEqual([1, 2, 3], self.serials())
        self.assertEqual(0, back.stop())


class DeadTest(Story):
    POLICY = POLICY

    def test_retry(self):
        """What only needed time is counted once when it is read again, however often that is said"""
        self.begin(partitions=1, time="trust_producers")
        self.start()
        start = now() - timedelta(hours=1)
        early = event("early", "acme", start + timedelta(minutes=10), cost="0.50")
        self.job.env.kafka.produce(self.job.topics[0], [
            {"key": "acme", "value": json.dumps(early),
             "timestamp_ms": int(start.timestamp() * 1000)}])
        self.job.await_settled()
        place = f"{self.job.topics[0]}/0/0"
        self.assertIn("time_ahead", self.job.say("dead", "list"))
        self.assertIn("time_ahead", self.job.say("dead", "show", place))
        self.assertIn("refused again: time_ahead",
                      self.job.say("dead", "retry", place, status=1))
        self.calls("acme", 1, at=start + timedelta(minutes=9), cost="0.10")
        self.job.await_settled()
        self.assertIn("1 counted", self.job.say("dead", "retry", place))
        self.job.say("dead", "retry", place, status=1)
        self.assertIn("no such", self.job.say("dead", "list"))
        self.check_once()
        # It has its place among the duplicates, also after a restart.
        self.restart()
        self.job.produce([early])
        self.job.await_settled()
        self.check_once(duplicates=1)

    def check_once(self, duplicates=0):
        # That it was dead once stays counted; its row says that it is resolved.
        self.assertEqual([(2, 1, duplicates)], self.job.rows(
            "SELECT counted::int, dead::int, duplicates::int FROM tripmeter.progress"))
        self.assertEqual(0, self.job.one(
            "SELECT count(*) FROM tripmeter.dead_letter WHERE resolved_at IS NULL"))
        self.assertEqual("0.60", f"{self.job.one('SELECT sum(cost) FROM tripmeter.tenant_fact'):.2f}")

    def test_retry_hopeless(self):
        """What cannot be read stays a dead letter, with the reason, and may be tried again"""
        self.begin(partitions=1)
        self.start()
        self.job.env.kafka.produce(self.job.topics[0], [{"key": "acme", "value": "nonsense"}])
        self.job.await_settled()
        for _ in range(2):
            self.assertIn("not_json", self.job.say(
                "dead", "retry", f"{self.job.topics[0]}/0/0", status=1))
        self.assertIn("not_json", self.job.say("dead", "list"))


class ExitTest(Story):
    def test_exit(self):
        """0 fine, 1 the answer is no, 2 the command line is wrong, 3 a server cannot be reached"""
        self.begin()
        self.assertIn("no engine has run", self.job.say(
            "block", "tenant/acme", "--for", "1h", "--reason", "x"))
        self.job.say("status", "nobody", status=1)
        self.job.say("dead", "show", "topic/0/0", status=1)
        for words in (("blok", "tenant/acme"), ("block", "tenant"), ("block", "tenant/acme"),
                      ("enforce", "maybe"), ("status", "--what"), ("dead", "show", "here")):
            self.job.say(*words, status=2)
        self.assertEqual(2, tripmeter().returncode)
        self.assertEqual(0, tripmeter("--help").returncode)
        away = os.path.join(self.job.directory, "away.yaml")
        with open(self.job.config_path, encoding="utf-8") as file:
            tree = json.load(file)
        tree["postgres"]["url"] = "postgresql://tripmeter@127.0.0.1:1/tripmeter"
        with open(away, "w", encoding="utf-8") as out:
            json.dump(tree, out)
        self.assertEqual(3, tripmeter("status", "-c", away).returncode)
        self.assertEqual(3, tripmeter("tenant", "list", "-c", away).returncode)


if __name__ == "__main__":
    unittest.main()
