"""Periods become final only when the log has been read behind their end and their grace."""

import time
import unittest
from datetime import timedelta

from tests.integration.test_ingest import IngestStory
from tests.lib.generate import event
from tests.lib.recount import instant
from tests.lib.wait import wait_until

END = instant("2026-04-01T00:00:00Z")
GRACE = timedelta(hours=2)
START_S = 12  # the engine is to have read everything before the moment comes
ROLLING = """
grace: 2h
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 100, steps: [], rollover: {total_cap: 150}}
"""


class FinalTest(IngestStory):
    def passed(self):
        """Seconds since the end of the grace, by the engine's clock."""
        return time.time() + self.shift_s - (END + GRACE).timestamp()

    def final(self):
        self.job.one("SELECT tripmeter.close_periods('USD', 'UTC')")
        return self.job.one("SELECT count(*) FROM tripmeter.period_final")

    def final_again(self):
        # One that was thrown out of the group meanwhile ends, and whoever looks after it starts it.
        if not self.engine.running():
            self.start()
        return self.final() == 1

    def test_cut_off_from_the_broker_over_the_turn(self):
        """Without the broker nobody knows what is still to be read: nothing closes until it is back"""
        self.shift_s = (END + GRACE).timestamp() - START_S - time.time()
        self.begin(partitions=1, time="trust_producers", policy=ROLLING,
                   clock_offset=f"{round(self.shift_s * 1000)}ms")
        at = END - timedelta(hours=1)
        self.send(event(1, "acme", at, cost="1.00"), timestamp_ms=int(at.timestamp() * 1000))
        # Without a record to be read the clock alone would end the month first, and this be late.
        self.start()
        self.job.await_settled()
        self.assertLess(self.passed(), 0, "the engine was too slow to start")
        self.job.env.kafka.pause()
        self.addCleanup(self.job.env.kafka.resume)
        wait_until(lambda: self.passed() > 5, 60, "the grace is over")
        self.assertEqual(0, self.final())
        self.job.env.kafka.resume()
        wait_until(self.final_again, 60, lambda: f"March becomes final:\n{self.engine.tail()}")
        self.assertEqual([("acme", END)], self.job.rows(
            "SELECT tenant, period_end FROM tripmeter.period_final"))
        self.check_told()
        self.assertEqual([(True, 1, 99, 50)], self.job.rows("""
            SELECT is_final, used::int, unused::int, carried::int FROM tripmeter.quota_period
            WHERE tenant = 'acme' AND period_end = %s""", (END,)))

    def told(self):
        return [alert for alert in self.webhooks() if alert["labels"]["rule"] == "period/final"]

    def check_told(self):
        """Finance hears of it, once."""
        wait_until(self.told, 30, lambda: f"billing hears of it:\n{self.engine.tail()}")
        self.await_idle()
        alert, = self.told()
        self.assertEqual(
            ("acme", "2026-03-01T00:00:00Z", "1.00", "USD",
             {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}),
            (alert["labels"]["tenant"], alert["labels"]["period"], alert["value"], alert["unit"],
             alert["window"]))

    def carried(self):
        return self.job.rows("""
            SELECT tenant, closed, carry::int, carried::int FROM tripmeter.quota_period
            ORDER BY tenant, period""")

    def test_nobody_was_there(self):
        """A tenant that is silent, and in nobody's memory as its month ends, is closed all the same"""
        before, after = (END + timedelta(hours=hours) for hours in (-1, 1))
        self.begin(partitions=1, time="trust_producers", policy=ROLLING,
                   clock_offset=f"{round((before.timestamp() - time.time()) * 1000)}ms")
        self.start()
        self.send(event(1, "acme", before), timestamp_ms=int(before.timestamp() * 1000))
        self.job.tenant("silent", plan="free")
        begun = [("acme", False, 0, 0), ("silent", False, 0, 0)]
        wait_until(lambda: self.carried() == begun, 30,
                   lambda: f"both begin, not {self.carried()}:\n{self.engine.tail()}")
        self.assertEqual(0, self.engine.stop())
        self.job.settings["clock_offset"] = f"{round((after.timestamp() - time.time()) * 1000)}ms"
        self.engine = self.job.engine()
        self.addCleanup(self.engine.kill)
        self.start()
        self.send(event(2, "acme", after), timestamp_ms=int(after.timestamp() * 1000))
        closed = [("acme", True, 0, 50), ("acme", False, 50, 0),
                  ("silent", True, 0, 50), ("silent", False, 50, 0)]
        wait_until(lambda: self.carried() == closed, 60,
                   lambda: f"both are closed, not {self.carried()}:\n{self.engine.tail()}")


if __name__ == "__main__":
    unittest.main()
