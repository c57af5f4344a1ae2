"""A record that ends the process is found, set aside as a dead letter, and can be read again."""

import unittest

from tests.lib.env import environment
from tests.lib.generate import event, now
from tests.lib.job import Job
from tests.lib.wait import wait_until


class QuarantineTest(unittest.TestCase):
    def test_a_record_that_kills_the_process_twice_is_quarantined(self):
        job = Job(environment(), partitions=1)
        engine = job.engine()
        job.produce([event(i, at=now()) for i in range(20)])
        deaths = 0
        while True:
            engine.start("apply_record=kill@7")
            wait_until(lambda: not engine.running() or job.lag() == 0, 30,
                       "the engine dies of the record, or gets past it")
            if engine.running():
                break
            deaths += 1
            self.assertLess(deaths, 8, "the engine keeps dying of one record")
        self.assertEqual(0, engine.stop())
        self.assertEqual([(7, "quarantined")], job.rows(
            "SELECT record_offset, reason FROM tripmeter.dead_letter"))
        self.assertEqual(19, job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))


if __name__ == "__main__":
    unittest.main()
