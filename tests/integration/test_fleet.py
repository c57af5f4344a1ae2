"""The same feature over all tenants: one engine judges it, and another when that one is gone."""

import datetime
import json

from tests.lib.generate import now
from tests.lib.story import Story
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: free
plans:
  free: {quotas: {}}
breakers:
  open: 2s
  fleet:
    open: 2s
    features:
      search: {budget: "10.00"}
"""
FLEET = 100000


class FleetTest(Story):
    POLICY = POLICY

    def begin_two(self):
        self.begin(partitions=4)
        self.other = self.job.engine()
        self.addCleanup(self.other.kill)
        for engine in (self.engine, self.other):
            engine.start()
        wait_until(lambda: self.job.one("SELECT count(DISTINCT owner) FROM tripmeter.shard"
                                        " WHERE shard <> %s", (FLEET,)) == 2, 60,
                   lambda: f"both have shards:\n{self.engine.tail()}{self.other.tail()}")

    def leader(self):
        """(who leads, who does not), as Postgres says."""
        pid = wait_until(lambda: self.job.one("""
            SELECT max(split_part(split_part(owner, '#', 2), '.', 1)) FROM tripmeter.shard
            WHERE shard = %s""", (FLEET,)), 30, "somebody leads")
        return sorted((self.engine, self.other), key=lambda one: one.process.pid != int(pid))

    def state(self):
        rows = self.job.rows("SELECT state FROM tripmeter.feature_breaker"
                             " WHERE tenant = '*' AND feature = 'search'")
        return rows[0][0] if rows else None

    def tenants_apart(self):
        """Three tenants, whose homes are not all of one engine."""
        names = [f"t{number}" for number in range(40)]
        homes = {name: self.job.one("SELECT owner FROM tripmeter.shard"
                                    " WHERE shard = tripmeter.home_shard(%s)", (name,))
                 for name in names}
        first = names[0]
        return [first, *[name for name in names if homes[name] != homes[first]][:2]]

    def trouble(self):
        return (f"{self.state()}; {self.job.rows('SELECT * FROM tripmeter.v_breaker')}\n"
                f"{self.engine.tail()}{self.other.tail()}")

    def test_many_small_ones(self):
        """a feature of tenants in two engines is cut for all and released; the leader may die"""
        self.begin_two()
        tenants = self.tenants_apart()
        leader, other = self.leader()
        # None of them is above anything of its own; one alone would not be the fleet's matter.
        for tenant in tenants:
            self.calls(tenant, 30, feature="search", cost="0.40")
        self.calls("zenith", 5, feature="chat", cost="9.00")
        http = self.gateway.await_denied("zenith", "feature_suspended", 30, feature="search")
        error = http["body"]["error"]
        self.assertEqual((429, "feature/*/search", "10.00", "36.00"),
                         (http["status"], error["scope"], error["baseline"], error["observed"]))
        self.assertIsNone(self.gateway.answer("zenith", feature="chat"))
        self.assertEqual("breaker/fleet", json.loads(self.gateway.records(
            "feature/*/search")[-1]["value"])["data"]["restrictions"][0]["rule"])
        alert = wait_until(lambda: [one for one in self.webhooks("engineering")
                                    if one["labels"]["rule"] == "breaker/fleet"
                                    and one["step"] == 300], 30, self.trouble)[0]
        self.assertEqual("critical", alert["labels"]["severity"])
        self.assertNotIn("tenant", alert["labels"])
        self.assertIn("over 3 tenants (most: ", json.dumps(alert))
        self.assertEqual(0, self.job.one("SELECT count(*) FROM tripmeter.breaker_move"
                                         " WHERE tenant <> '*' AND to_state = 'open'"))

        leader.kill()
        wait_until(lambda: self.leader()[0] is other, 30, self.trouble)
        self.engine = other
        # Nobody calls: it is let go by itself, by the one that leads now.
        wait_until(lambda: self.state() == "closed", 30, self.trouble)
        self.gateway.await_allowed("zenith", 30, feature="search")
        wait_until(lambda: [one for one in self.webhooks("engineering")
                            if one["labels"]["rule"] == "breaker/fleet"
                            and one["resolvedReason"] == "breaker_closed"], 30, self.trouble)
        epochs = [json.loads(one["value"])["data"]["seq"] >> 24
                  for one in self.gateway.records("feature/*/search")]
        self.assertEqual(sorted(epochs), epochs)
        self.assertLess(epochs[0], epochs[-1])
        self.assertIn("tripmeter_fleet_leader 1", self.get("/metrics")[1])
        self.await_page("/status", 200, "The fleet", f"/fleet#{other.process.pid}.")

    def told(self):
        return [(one["labels"]["source"], one.get("resolvedReason"))
                for one in self.webhooks("engineering")
                if one["labels"]["rule"] == "ingest/source_silent"]

    def test_words_and_silence(self):
        """operators speak to the fleet; a gateway that falls silent is told once, until it speaks"""
        self.begin(partitions=1)
        self.other = self.engine
        fell_silent = now() - datetime.timedelta(minutes=20)
        self.job.rows("INSERT INTO tripmeter.source_seen VALUES ('//gw.eu', 0, %s, 16777215),"
                      " ('//gw.us', 0, %s, 16777213)", (fell_silent, fell_silent))
        self.job.rows("UPDATE tripmeter.source_watch SET since_at = %s, until_at = now()",
                      (now() - datetime.timedelta(hours=1),))
        self.start()
        self.calls("acme", 30, feature="search", cost="2.00")  # one tenant's matter
        wait_until(lambda: self.state() == "closed", 30, self.trouble)
        text = self.job.say("breaker", "explain", "*", "search")
        self.assertIn("60.00 in the last 60 minutes", text)
        self.assertIn("trips     above 30.00", text)
        self.assertIn("*", self.job.say("breaker", "list", "--all"))
        self.assertEqual(0, self.job.one("SELECT count(*) FROM tripmeter.breaker_move"
                                         " WHERE tenant = '*' AND to_state = 'open'"))
        wait_until(lambda: len(self.told()) == 1, 30, self.trouble)
        self.assertEqual("//gw.eu", self.told()[0][0])
        self.job.produce([{**self.call("acme"), "source": "//gw.eu"}])
        say = ("--actor", "jane", "--reason", "the story")
        self.assertIn("applied", self.job.say("breaker", "trip", "*", "search", "--for", "1h", *say))
        self.gateway.await_denied("zenith", "feature_suspended", 30, feature="search")
        self.assertIn("forced_open", self.job.say("breaker", "list"))
        self.assertIn("applied", self.job.say("breaker", "reset", "*", "search", *say))
        self.gateway.await_allowed("zenith", 30, feature="search")
        self.assertIn("applied", self.job.say("block", "feature/*/chat", "--for", "1h", *say))
        self.gateway.await_denied("zenith", "feature_not_allowed", 30, feature="chat")
        self.assertIn("applied", self.job.say("enforce", "off", *say[2:]))
        self.gateway.await_allowed("zenith", 30, feature="chat")
        wait_until(lambda: len(self.told()) == 2, 30, self.trouble)
        self.assertEqual(("//gw.eu", "cleared"), self.told()[1])
        self.assertEqual([("//gw.eu", 2)], self.job.rows(
            "SELECT labels->>'source', count(*) FROM tripmeter.transition"
            " WHERE rule = 'ingest/source_silent' GROUP BY 1"))
