"""Too many requests with one key in a minute, on real servers: it alone is refused, and let go in time."""

import datetime
import json
import subprocess

from tests.lib.audit import FOLLOWERS
from tests.lib.generate import now
from tests.lib.story import Story
from tests.lib.wait import wait_until

BEHIND = datetime.timedelta(seconds=45)  # of the engine's clock: a minute of its is over sooner


class BurstTest(Story):
    POLICY = """
fallback_plan: free
plans:
  free:
    burst: {key: 5, tenant: 1000}
"""

    def use(self, key, count):
        self.job.produce([self.call("acme", at=now() - BEHIND, api_key_id=key)
                          for _ in range(count)])

    def followers(self, scope):
        """What the gateways in C and in Python say of it now."""
        said = []
        for follower in FOLLOWERS:
            text = subprocess.run([*follower, self.job.env.kafka.bootstrap, self.job.control,
                                   "--until-end"], check=True, stdout=subprocess.PIPE, text=True,
                                  timeout=60).stdout
            said += [row["code"] for row in map(json.loads, text.splitlines())
                     if row["scope"] == scope]
        return said

    def expiries(self, scope):
        return {restriction["expires_at"] for record in self.gateway.records(scope)
                for restriction in json.loads(record["value"])["data"]["restrictions"]}

    def outcomes(self, scope):
        return {json.loads(record["value"])["data"]["outcome"]
                for record in self.gateway.records(scope)}

    def test_throttled(self):
        """gateways refuse the key until expires_at, over a restart, and let it go without a word"""
        self.begin(partitions=1, time="trust_producers",
                   clock_offset=f"-{int(BEHIND.total_seconds())}s")
        self.start()
        self.use("k1", 6)
        self.use("k2", 4)
        http = self.gateway.await_denied("acme", "key_rate_limited", key="k1")
        self.assertEqual(["key_rate_limited"] * 2, self.followers("key/acme/k1"))
        self.assertEqual(429, http["status"])
        self.assertEqual(("5", "0"), (http["headers"]["X-RateLimit-Limit"],
                                      http["headers"]["X-RateLimit-Remaining"]))
        self.assertEqual(("key/acme/k1", "k1", 6, 5),
                         tuple(http["body"]["error"][name]
                               for name in ("scope", "api_key_id", "used", "limit")))
        self.assertIsNone(self.gateway.answer("acme", key="k2"))
        self.job.await_settled()
        text = self.job.say("status", "acme")
        self.assertIn("in any 60 seconds at most 5 requests of each key, 1000 requests of the "
                      "tenant", text)
        self.assertIn("key_rate_limited", text)
        status = json.loads(self.job.say("status", "acme", "--json"))
        self.assertEqual({"limit": 5, "count": "requests", "mode": "enforce"},
                         status["burst"]["key"])
        self.assertEqual([("key", "k1", 6, 5)], [
            tuple(one[name] for name in ("scope", "subject", "sent", "limit"))
            for one in status["throttled"]])
        self.await_page("/status", 200, "key/acme/k1", "throttled")
        self.assertIn('tripmeter_throttled_total{scope="key"} 1', self.get("/metrics")[1])
        alert = wait_until(lambda: [one for one in self.webhooks("engineering")
                                    if one["labels"]["rule"] == "burst/key"], 30,
                           "engineering is told")[0]
        self.assertEqual(("k1", "info", "6", "5"),
                         (alert["labels"]["api_key_id"], alert["labels"]["severity"],
                          alert["value"], alert["threshold"]))

        # The last minute is read again from the log: one more of the other key is nothing yet, two are.
        self.engine.kill()
        self.start()
        self.use("k2", 2)
        self.gateway.await_denied("acme", "key_rate_limited", key="k2")
        wait_until(lambda: self.followers("key/acme/k1") == [None, None], 60,
                   lambda: self.gateway.trouble("both gateways let the key go"))
        self.assertEqual(1, len(self.expiries("key/acme/k1")))
        self.assertEqual({"throttle"}, self.outcomes("key/acme/k1"))
        self.assertEqual([("k1", 1, 6), ("k2", 1, 6)], self.job.rows(
            "SELECT subject, times, used FROM tripmeter.throttle ORDER BY 1"))
