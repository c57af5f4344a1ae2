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


class FinalTest(IngestStory):
    def passed(self):
        """Seconds since the end of the grace, by the engine's clock."""
        return time.time() + self.shift_s - (END + GRACE).timestamp()

    def final(self):
        self.job.one("SELECT tripmeter.close_periods()")
        return self.job.one("SELECT count(*) FROM tripmeter.period_final")

    def final_again(self):
        # One that was thrown out of the group meanwhile ends, and whoever looks after it starts it.
        if not self.engine.running():
            self.start()
        return self.final() == 1

    def test_cut_off_from_the_broker_over_the_turn(self):
        """Without the broker nobody knows what is still to be read: nothing closes until it is back"""
        self.shift_s = (END + GRACE).timestamp() - START_S - time.time()
        self.begin(partitions=1, time="trust_producers", policy="grace: 2h\n" + self.POLICY,
                   clock_offset=f"{round(self.shift_s * 1000)}ms")
        self.start()
        at = END - timedelta(hours=1)
        self.send(event(1, "acme", at, cost="1.00"), timestamp_ms=int(at.timestamp() * 1000))
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
        self.assertEqual([("acme", "fire", 1)], self.job.rows(
            "SELECT tenant, move, value::integer FROM tripmeter.transition"
            " WHERE rule = 'period/final'"))


if __name__ == "__main__":
    unittest.main()
