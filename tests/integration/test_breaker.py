"""A feature runs away on real servers: it alone is cut, and what operators say acts at once."""

import datetime
import json
import os
import time

from tests.lib.generate import event, now
from tests.lib.story import Story
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: free
plans:
  free: {quotas: {}}
breakers:
  features:
    search: {budget: "4.00"}
"""


class BreakerTest(Story):
    POLICY = POLICY

    def state(self, tenant, feature):
        rows = self.job.rows("SELECT state FROM tripmeter.feature_breaker"
                             " WHERE tenant = %s AND feature = %s", (tenant, feature))
        return rows[0][0] if rows else None

    def await_state(self, tenant, feature, state):
        wait_until(lambda: self.state(tenant, feature) == state, 20,
                   lambda: f"{state}, not {self.state(tenant, feature)}:\n{self.engine.tail()}")
        return state

    def say(self, word, *options):
        """An operator's word; how long the command took."""
        began = time.monotonic()
        text = self.job.say("breaker", word, "acme", "search", "--actor", "jane", "--reason",
                            "the story", *options)
        self.assertIn("applied", text)
        return time.monotonic() - began

    def run_away(self):
        self.calls("acme", 25, feature="search", cost="0.50")
        return self.gateway.await_denied("acme", "feature_suspended", feature="search")

    def test_cut(self):
        """above three times its budget: 429 for that feature of that tenant, over restarts"""
        self.begin()
        self.start()
        self.calls("acme", 20, feature="chat", cost="0.50")
        http = self.run_away()
        self.assertEqual(429, http["status"])
        error = http["body"]["error"]
        self.assertEqual(("feature/acme/search", "12.50", "4.00", "USD", True),
                         tuple(error[name] for name in
                               ("scope", "observed", "baseline", "currency", "retryable")))
        self.assertIn("Retry-After", http["headers"])
        self.assertIsNone(self.gateway.answer("acme", feature="chat"))
        self.assertIsNone(self.gateway.answer("zenith", feature="search"))
        record = json.loads(self.gateway.records("feature/acme/search")[-1]["value"])
        restriction, = record["data"]["restrictions"]
        self.assertEqual((5, "block", "breaker/runaway"),
                         tuple(restriction[name] for name in ("rank", "outcome", "rule")))
        self.assertLessEqual(restriction["retry_after"], 15 * 60)

        alert = wait_until(lambda: [one for one in self.webhooks("engineering")
                                    if one["labels"].get("feature") == "search"
                                    and one["step"] == 300], 20,
                           "engineering is told")[0]
        self.assertEqual(("critical", "12.50"), (alert["labels"]["severity"], alert["value"]))
        self.await_page("/status", 200, "Features that run away", "search", "open")

        self.await_state("acme", "search", "open")
        until = self.job.one("SELECT until_at FROM tripmeter.feature_breaker"
                             " WHERE feature = 'search'")
        self.engine.kill()
        self.start()
        self.calls("acme", 1, feature="search", cost="0.50")
        self.job.await_settled()
        self.assertIsNotNone(self.gateway.answer("acme", feature="search"))
        self.assertEqual(until, self.job.one("SELECT until_at FROM tripmeter.feature_breaker"
                                             " WHERE feature = 'search'"))
        self.assertEqual(1, self.job.one("SELECT count(*) FROM tripmeter.breaker_move"
                                         " WHERE to_state = 'open'"))
        text = self.job.say("breaker", "list")
        self.assertIn("search", text)
        self.assertIn("open", text)
        self.assertNotIn("chat", text)
        text = self.job.say("breaker", "explain", "acme", "chat")
        self.assertIn("none yet: not protected", text)
        self.assertIn("0 samples are too few", text)
        self.assertIn("10.00", text)
        self.assertIn("learning", self.job.say("breaker", "list", "--all"))

    def test_words(self):
        """trip, allow, reset, shadow and accept act within two seconds, with an audit row each"""
        self.begin()
        self.start()
        self.calls("acme", 1, feature="chat")
        self.job.await_settled()
        took = self.say("trip", "--for", "1h")
        http = self.gateway.await_denied("acme", "feature_suspended", 2, feature="search")
        self.assertEqual(429, http["status"])
        self.assertLess(took, 4)
        self.assertIsNone(self.gateway.answer("acme", feature="chat"))
        self.say("allow", "--for", "1h")
        self.gateway.await_allowed("acme", 2, feature="search")
        self.calls("acme", 50, feature="search", cost="0.50")
        self.job.await_settled()
        self.assertIsNone(self.gateway.answer("acme", feature="search"))
        self.say("reset")
        self.assertEqual("closed", self.state("acme", "search"))
        self.run_away()
        self.say("shadow", "--for", "ever")
        self.gateway.await_allowed("acme", 2, feature="search")
        self.say("accept")
        self.assertIn("4.00 USD, as configured", self.job.say("breaker", "explain", "acme", "search"))
        self.assertEqual(
            [("trip", "jane", None), ("allow", "jane", None), ("reset", "jane", None),
             ("shadow", "jane", None), ("accept", "jane", None)],
            self.job.rows("SELECT body->>'word', actor, error FROM tripmeter.command"
                          " WHERE kind = 'breaker' ORDER BY id"))
        self.assertIn("why? Say it", self.job.say("breaker", "reset", "acme", "search", status=2))
        self.assertIn("for how long?", self.job.say("breaker", "trip", "acme", "search",
                                                    "--reason", "x", status=2))

    def test_switched_on(self):
        """breakers that are new in the policy protect tenants that are there already"""
        self.begin()
        self.job.set_policy("fallback_plan: free\nplans: {free: {quotas: {}}}\n")
        self.start()
        self.calls("acme", 25, feature="search", cost="0.50")
        self.job.await_settled()
        self.assertEqual(0, self.job.one("SELECT count(*) FROM tripmeter.feature_slot"))
        self.job.set_policy(POLICY)
        self.engine.reload()
        wait_until(lambda: self.job.one("SELECT count(*) FROM tripmeter.command WHERE kind ="
                                        " 'policy' AND applied_at IS NULL") == 0
                   and self.job.one("SELECT max(serial) FROM tripmeter.policy") == 2, 20,
                   lambda: f"the policy is applied:\n{self.engine.tail()}")
        self.run_away()
        self.assertEqual("open", self.await_state("acme", "search", "open"))

    def test_learn(self):
        """what a gateway's log says of the days before makes a baseline at once"""
        self.begin()
        self.job.set_policy("fallback_plan: free\nplans: {free: {quotas: {}}}\nrates: {JPY: 0.01}\n"
                            "breakers: {mode: enforce, features: {batch: {budget: 4.00, absolute: 500.00}}}\n")
        self.job.tenant("acme", zone="Asia/Kathmandu")
        self.job.tenant("yen", currency="JPY")
        self.job.tenant("franc", currency="CHF")
        self.start()
        self.calls("acme", 1, feature="search", cost="0.10")
        self.calls("yen", 1, feature="batch", cost="0.10")
        self.calls("franc", 1, feature="batch", cost="0.10")
        self.job.await_settled()
        path = os.path.join(self.job.directory, "gateway.log")
        hours = [now() - datetime.timedelta(hours=ago) for ago in range(2, 40)]
        with open(path, "w", encoding="utf-8") as out:
            for number, at in enumerate(hours * 2):  # each hour twice: two calls
                out.write(json.dumps(event(f"old-{number}", "acme", at, feature="search",
                                           cost="1.00")) + "\n")
            out.write(json.dumps(event("old-0", "acme", hours[0], feature="search",
                                       cost="1.00")) + "\n")
        text = self.job.say("learn", path, "--actor", "jane")
        self.assertIn("acme, search: 38 hours", text)
        self.assertIn("77 events: 1 sent again, 0 without feature or cost, 0 refused", text)
        self.assertIn("applied", text)
        text = self.job.say("breaker", "explain", "acme", "search")
        self.assertIn("baseline  2.00", text)
        self.assertIn("7 days: 2.00 of 38 samples", text)
        self.assertIn("the floor is 1.00 USD\n", text)
        text = self.job.say("breaker", "explain", "yen", "batch")
        self.assertIn("baseline  400.00 JPY (4.00 USD), as configured", text)
        self.assertIn("absolute  50000.00 JPY (500.00 USD) in an hour trips", text)
        self.assertIn("trips     above 1200.00 in this clock hour", text)
        self.assertIn("baseline  4.00 CHF (as written: there is no rate from USD), as configured",
                      self.job.say("breaker", "explain", "franc", "batch"))
        self.calls("acme", 25, feature="search", cost="0.50")
        http = self.gateway.await_denied("acme", "feature_suspended", feature="search")
        self.assertEqual("2.00", http["body"]["error"]["baseline"])
        self.assertIn("acme, search: 0 hours", self.job.say("learn", path))
        self.assertIn("no such file", self.job.say("learn", "/nowhere", status=1))

    def test_history(self):
        """check --history says what a policy would have cut, before it is switched on"""
        self.begin()
        self.job.set_policy("fallback_plan: free\nplans: {free: {quotas: {}}}\n")
        self.job.tenant("yen", currency="JPY")
        self.start()
        whole = now().replace(minute=30, second=0, microsecond=0)
        events = []
        for ago in range(60, 1, -1):
            at = whole - datetime.timedelta(hours=ago)
            # Two hours in a row of ten times the usual are one story.
            cost = "1.000000000" if ago in (9, 8) else "0.100000000"
            events += [self.call("acme", at, feature="search", cost=cost) for _ in range(20)]
            # The same in a currency of which a hundredth of the policy's is one.
            cost = "100.000000000" if ago in (9, 8) else "10.000000000"
            events += [self.call("yen", at, feature="search", cost=cost) for _ in range(20)]
        events += [self.call("acme", whole - datetime.timedelta(hours=5), feature="rare")]
        self.job.produce(events)
        self.calls("acme", 1, feature="chat")
        self.job.await_settled()
        self.assertIn("no section breakers", self.job.say("check", "--history", "28d", status=1))
        self.job.set_policy("fallback_plan: free\nplans: {free: {quotas: {}}}\nbreakers:\n"
                            "rates: {JPY: 0.01}\n")
        text = self.job.say("check", "--history", "28d")
        line = next(line for line in text.splitlines() if line.startswith("acme"))
        # 59 hours, 24 of them without a baseline; twice 20.00 with a limit of 6.00.
        self.assertEqual(["acme", "search", "learned", "shadow", "59", "24", "1", "2", "28.00",
                          "USD"],
                         line.split())
        line = next(line for line in text.splitlines() if line.startswith("yen"))
        self.assertEqual(["2800.00", "JPY"], line.split()[-2:])
        self.assertIn("3 features, 2 of them would have tripped and been kept from spending 56.00 USD", text)
        self.assertIn("1 had no baseline", text)
        self.assertIn("is no duration", self.job.say("check", "--history", "soon", status=2))
