"""Two engines share the work; one that was thought dead comes back and does no harm."""

import os
import unittest

import psycopg2

from tests.lib.audit import (await_denied, check_gateways, check_steps, check_totals, compact,
                             recount_log)
from tests.lib.engine import Engine
from tests.lib.env import environment
from tests.lib.generate import event, now
from tests.lib.job import POLICY, Job
from tests.lib.load import Load
from tests.lib.wait import wait_until

RATE = 800
SESSION_S = 10  # Kafka's session timeout, as the engine sets it


class TwoEnginesTest(unittest.TestCase):
    def set_up(self, **settings):
        self.job = Job(environment(), **settings)
        self.engines = [self.job.engine(), self.job.engine()]
        for engine in self.engines:
            self.addCleanup(engine.kill)
            engine.start()
        self.await_owners(2)

    def owners(self):
        return {shard: owner for shard, owner in self.job.rows(
            "SELECT shard, owner FROM tripmeter.shard"
            " WHERE shard < 100000 AND owner IS NOT NULL")}

    def await_owners(self, count, deadline_s=60):
        """Until all shards are claimed, by so many engines."""
        def shared():
            owners = self.owners()
            return len(owners) == self.job.partitions and len(set(owners.values())) == count
        wait_until(shared, deadline_s, lambda: f"{count} owners: {self.owners()}\n"
                   + "\n".join(engine.tail() for engine in self.engines))

    def judge_of(self, tenant):
        """(the engine that judges the tenant, the other one)"""
        owner = self.job.one("SELECT owner FROM tripmeter.shard"
                             " WHERE shard = tripmeter.home_shard(%s)", (tenant,))
        return sorted(self.engines, key=lambda one: f"#{one.process.pid}." not in owner)

    def await_takeover(self, survivor):
        """Until every shard is the survivor's."""
        def taken():
            owners = set(self.owners().values())
            return len(owners) == 1 and f"#{survivor.process.pid}." in owners.pop()
        wait_until(taken, 3 * SESSION_S, lambda: f"all is taken over: {self.owners()}\n{survivor.tail()}")

    def test_stopped_past_its_session_and_continued(self):
        """The zombie goes on where it stood, with records in hand and a settlement open."""
        self.set_up()
        load = Load(self.job, 21, RATE)
        self.addCleanup(load.kill)
        limits = {}
        for number, (tenant, zone) in enumerate(load.made.zones.items()):
            limits[tenant] = [50, 500, 5000][number % 3]
            self.job.tenant(tenant, plan="free", zone=zone, limits={"api_calls": limits[tenant]})
        load.start()
        zombie, survivor = self.engines
        wait_until(lambda: len(self.job.settled_offsets()) == self.job.partitions, 30,
                   "all shards are settled")
        zombie.pause()
        self.await_takeover(survivor)
        before = sum(self.job.settled_offsets().values())
        wait_until(lambda: sum(self.job.settled_offsets().values()) > before + RATE, 30,
                   "the other one goes on")
        zombie.resume()
        self.await_owners(2)
        load.stop()
        self.job.await_settled()
        recount = recount_log(self.job, load.made.zones)
        check_totals(self, self.job, recount)
        check_steps(self, self.job, recount, "api_calls", "requests", limits, 1000)
        check_steps(self, self.job, recount, "spend", "cost", {}, 1000)
        check_gateways(self, self.job, recount, limits, 1000)
        compact(self.job)
        check_gateways(self, self.job, recount, limits, 1000)
        for engine in self.engines:
            self.assertEqual(0, engine.stop())

    def decide_without_kafka(self):
        """The judge has acme's records, but Postgres lets it load acme only once Kafka is dead: what
        it decides then cannot leave. That it has decided is seen in Postgres."""
        with psycopg2.connect(self.job.database) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE tripmeter.tenant_version IN ACCESS EXCLUSIVE MODE")
            self.job.produce(event(number, "acme", now()) for number in range(12))
            wait_until(lambda: self.job.one("""
                SELECT count(*) FROM pg_locks WHERE NOT granted
                AND relation = 'tripmeter.tenant_version'::regclass"""), 10, "acme is being loaded")
            self.job.env.kafka.kill()
        other.close()
        wait_until(lambda: self.job.rows("SELECT 1 FROM tripmeter.quota_state WHERE blocked"), 20,
                   lambda: f"acme is blocked:\n{self.engines[0].tail()}{self.engines[1].tail()}")

    def test_stopped_with_a_decision_in_its_producers_queue(self):
        """It decided a block that never left; while it was stopped, the limit was raised."""
        self.set_up(policy=POLICY.replace("limit: 1000,", "limit: 10,"))
        self.addCleanup(self.job.env.kafka.start)
        self.job.produce(event(number, f"t{number}", now()) for number in range(40))
        self.job.await_settled()  # both are at work
        zombie, survivor = self.judge_of("acme")
        self.decide_without_kafka()
        zombie.pause()
        self.job.env.kafka.start()
        self.await_takeover(survivor)
        await_denied(self.job, {"tenant/acme"})
        self.job.tenant("acme", plan="free", limits={"api_calls": 1000})
        await_denied(self.job, set())
        zombie.resume()
        self.await_owners(2)
        self.job.produce([event(1000, "acme", now())])
        self.job.await_settled()
        await_denied(self.job, set())
        compact(self.job)
        await_denied(self.job, set())
        check_totals(self, self.job, recount_log(self.job))
        self.assertEqual([(1, [50, 75, 90, 100])], self.job.rows("""
            SELECT episode, array_agg(step ORDER BY seq) FROM tripmeter.transition
            WHERE tenant = 'acme' AND move <> 'resolve' GROUP BY 1"""))

    def test_a_state_directory_has_one_engine(self):
        self.job = Job(environment())
        first = self.job.engine().start()
        self.addCleanup(first.kill)
        wait_until(lambda: len(self.owners()) == self.job.partitions, 30, "it runs")
        second = Engine(first.config, os.path.join(self.job.directory, "second.log"))
        self.addCleanup(second.kill)
        second.start()
        self.assertEqual(1, second.wait(10))
        self.assertIn("belongs to an engine that is running", second.log_text())
        self.assertTrue(first.running())


if __name__ == "__main__":
    unittest.main()
