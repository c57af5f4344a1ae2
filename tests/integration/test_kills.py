"""SIGKILL, again and again under load: nothing is lost, nothing is told twice."""

import contextlib
import random
import unittest

import psycopg2

from tests.lib.audit import check_gateways, check_steps, check_totals, recount_log
from tests.lib.env import environment
from tests.lib.job import Job
from tests.lib.load import Load
from tests.lib.wait import wait_until

RATE = 1500
# Where a settlement is held up when the engine is killed in the middle of it: before it has done
# anything, when the positions have moved, between the sums, and behind them.
LOCKS = ["tripmeter.shard", "tripmeter.tenant_fact", "tripmeter.key_fact", "tripmeter.period_total"]

WAITING = """SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE '%%#%%'
               AND backend_type = 'client backend' AND xact_start IS NOT NULL
               AND wait_event_type = 'Lock'"""


class KillTest(unittest.TestCase):
    def set_up(self, seed, **settings):
        self.job = Job(environment(), **settings)
        self.load = Load(self.job, seed, RATE)
        self.addCleanup(self.load.kill)
        chance = random.Random(seed)
        self.limits = {}
        for tenant, zone in self.load.made.zones.items():
            # Some are through at once, some climb all the time, some never get there.
            self.limits[tenant] = chance.choice([20, 100, 400, 1500, 20000])
            self.job.tenant(tenant, plan="free", zone=zone,
                            limits={"api_calls": self.limits[tenant]})
        self.engine = self.job.engine()
        self.addCleanup(self.engine.kill)
        self.watch = psycopg2.connect(self.job.database)
        self.watch.autocommit = True
        self.addCleanup(self.watch.close)
        self.kills = 0
        self.killed_in_flight = 0

    def ask(self, sql):
        with self.watch.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def settled(self):
        return int(self.ask("SELECT coalesce(sum(next_offset), 0) FROM tripmeter.progress"))

    def in_log(self):
        marks = self.job.env.kafka.watermarks(self.job.topics[0])
        return sum(high for _, high in marks.values())

    @contextlib.contextmanager
    def locked(self, table):
        """Another session has the table for itself."""
        other = psycopg2.connect(self.job.database)
        try:
            with other.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                yield
            other.rollback()
        finally:
            other.close()

    def start(self):
        """Until it has settled something, and there is more to do."""
        before = self.settled()
        self.engine.start()

        def at_work():
            self.assertTrue(self.engine.running(),
                            f"it ended ({self.engine.process.returncode}):\n{self.engine.tail()}")
            return self.settled() > before and self.in_log() > self.settled()

        wait_until(at_work, 30,
                   lambda: f"it settles something:\n{self.job.sessions()}{self.engine.tail()}")

    def kill(self):
        """At a moment when the log holds what is not settled."""

        def has_work():
            in_log = self.in_log()
            self.engine.pause()
            if in_log > self.settled():
                return True
            self.engine.resume()
            return False

        wait_until(has_work, 10, "the engine has something to do")
        self.assertTrue(self.load.running())
        self.engine.kill()
        self.kills += 1

    def kill_in_flight(self, table, restart_first):
        """In the middle of a transaction. What the server has been sent of it may still come to be
        committed by a backend whose client is dead, before or while the next engine claims."""
        with self.locked(table):
            wait_until(lambda: self.ask(WAITING) > 0, 20, f"a settlement waits for {table}")
            self.kill()
            self.killed_in_flight += 1
            if restart_first:
                self.engine.start()
        if restart_first:
            self.engine.kill()

    def story(self, seed, kills, dedupe):
        self.set_up(seed, dedupe_enabled=dedupe, settle_interval="200ms")
        self.load.start()
        for number in range(kills):
            self.start()
            if number % 3 == 2 and number // 3 < len(LOCKS):
                self.kill_in_flight(LOCKS[number // 3], restart_first=number % 2 == 0)
            else:
                self.kill()
        self.engine.start()
        self.load.stop()
        self.job.await_settled()
        self.assertEqual((kills, len(LOCKS)), (self.kills, self.killed_in_flight))
        recount = recount_log(self.job, self.load.made.zones, dedupe)
        check_totals(self, self.job, recount)
        check_steps(self, self.job, recount, "api_calls", "requests", self.limits, 1000)
        check_steps(self, self.job, recount, "spend", "cost", {}, 1000)
        check_gateways(self, self.job, recount, self.limits, 1000)
        self.assertEqual(0, self.engine.stop())

    def test_killed_under_load_with_duplicate_detection(self):
        self.story(seed=11, kills=20, dedupe=True)

    def test_killed_under_load_without_duplicate_detection(self):
        self.story(seed=12, kills=12, dedupe=False)


if __name__ == "__main__":
    unittest.main()
