"""A feature that breaks its records on real servers: noted, told when it costs, over restarts."""

import datetime

from tests.lib.generate import event, now
from tests.lib.story import Story
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: free
plans:
  free: {quotas: {}}
anomalies: {ticket: "1.00"}
"""
SLOT = datetime.timedelta(minutes=5)
DAYS = 2


class AnomalyTest(Story):
    POLICY = POLICY

    def slot(self, start, count):
        """Two of three calls are of one key, the others of three."""
        return [self.call("acme", at=start + i * SLOT / count, feature="search",
                          api_key_id="hot" if i % 3 else f"k{start.minute // 5 % 3}")
                for i in range(count)]

    def told(self, rule="anomaly/cost"):
        return [one for one in self.webhooks("engineering")
                if one["labels"]["alertname"] == rule]

    def hold(self, kind, at, **data):
        return event("r1", "acme", at, kind, **{"usage": None, "cost": None, **data})

    def test_ticket(self):
        """a record that costs: one alert in words, one row, one series; nothing is blocked"""
        # With a shift, however small, the clock moves the time of shards whose events have theirs.
        self.begin(partitions=1, time="trust_producers", clock_offset="-1s")
        over = now() - datetime.timedelta(minutes=1, seconds=5)
        end = over - datetime.timedelta(minutes=over.minute % 5, seconds=over.second,
                                        microseconds=over.microsecond) - SLOT
        self.job.produce([call for i in range(DAYS * 288, 0, -1)
                          for call in self.slot(end - i * SLOT, 3)] + self.slot(end, 200))
        self.job.produce([self.hold("reserve", end + SLOT, reservation={
            "id": "r1", "cost": "1.50",
            "expires": (end + SLOT + datetime.timedelta(seconds=10)).isoformat()})])
        self.start()
        # The window ends with the time: nothing has to come behind it.
        alert, = wait_until(self.told, 30, lambda: f"engineering is told:\n{self.engine.tail()}")
        self.assertEqual(("anomaly/cost", "acme", "search", "warning"),
                         tuple(alert["labels"][name] for name in
                               ("alertname", "tenant", "feature", "severity")))
        self.assertIn("2.00 USD in 5 min, usual are 0.03 USD", alert["annotations"]["summary"])
        self.assertEqual([("cost", "ticket", None), ("requests", "ticket", "cost"),
                          ("tokens", "ticket", "cost")], self.job.rows("""
            SELECT metric, tier, folded_into FROM tripmeter.v_anomaly_week
            WHERE feature = 'search' ORDER BY metric"""))
        self.assertEqual(12, self.job.one("SELECT count(*) FROM tripmeter.anomaly_series"
                                          " WHERE length(state) <= 512"))
        alert, = wait_until(lambda: self.told("anomaly/reservations"), 30,
                            lambda: f"of a reservation, too:\n{self.engine.tail()}")
        self.assertIn("reservation r1 of 1.50 USD for chat", alert["annotations"]["summary"])
        alert, = wait_until(lambda: self.told("anomaly/keys"), 30,
                            lambda: f"of a key beside its tenant's:\n{self.engine.tail()}")
        self.assertIn("key hot spent", alert["annotations"]["summary"])
        self.assertIn("x the median of 4 keys", alert["annotations"]["summary"])
        self.restart()
        self.await_idle()
        self.assertEqual((1, 1), (len(self.told()), len(self.told("anomaly/keys"))))
        self.job.produce([self.hold("release", now(), reservation={"id": "r1"})])
        wait_until(lambda: [one["resolvedReason"] for one in self.told("anomaly/reservations")]
                   == [None, "cleared"], 30, lambda: f"released: {self.webhooks('engineering')}")
        self.assertEqual([("r1", "released")], self.job.rows(
            "SELECT id, state FROM tripmeter.v_reservation_unsettled"))
        for text in (self.job.say("anomaly", "list"), self.job.say("anomaly", "show", "acme")):
            self.assertIn("search", text)
        self.await_page("/status", 200, "Records broken this week", "<svg")
        self.assertIn("applied", self.job.say("anomaly", "planned", "acme", "cost", "--feature",
                                              "search", "--actor", "jane", "--reason", "a launch"))
        wait_until(lambda: [one["resolvedReason"] for one in self.told()] == [None, "operator"], 30,
                   lambda: f"it is over: {self.told()}")
        self.assertEqual([("planned", "jane", "a launch", True)], self.job.rows(
            "SELECT answer, actor, reason, over_at IS NOT NULL FROM tripmeter.anomaly"
            " WHERE feature = 'search' AND metric = 'cost'"))
        self.assertIn("no record of it was broken", self.job.say(
            "anomaly", "real", "acme", "cost", "--feature", "chat", "--actor", "jane", "--reason",
            "x", status=1))
        self.assertIsNone(self.gateway.answer("acme", feature="search"))
