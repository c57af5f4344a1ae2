"""Partitions are added to the usage topics under load, and engines to the group."""

import json
import time

from tests.integration.test_two_engines import TwoEnginesTest as TwoEngines
from tests.integration.test_start import StartStory
from tests.lib.audit import check_gateways, check_steps, check_totals, recount_log
from tests.lib.env import environment
from tests.lib.generate import event, now
from tests.lib.job import Job
from tests.lib.load import Load
from tests.lib.wait import wait_until

RATE = 600


class Crowd(TwoEngines):
    """The stories of two engines are told elsewhere."""

    test_stopped_past_its_session_and_continued = None
    test_stopped_with_a_decision_in_its_producers_queue = None
    test_a_state_directory_has_one_engine = None

    def add(self, partitions):
        for topic in self.job.topics:
            self.job.env.kafka.tool("add-partitions", topic, partitions)
        self.job.partitions = partitions

    def growth(self, column):
        rows = self.job.rows(f"SELECT {column} FROM tripmeter.growth ORDER BY number DESC LIMIT 1")
        return rows[0][0] if rows else None

    def tails(self):
        return "\n".join(engine.tail() for engine in self.engines)


class GrowthTest(Crowd):
    maxDiff = None

    def limits(self, load):
        out = {}
        for number, (tenant, zone) in enumerate(load.made.zones.items()):
            out[tenant] = [50, 500, 5000][number % 3]
            self.job.tenant(tenant, plan="free", zone=zone, limits={"api_calls": out[tenant]})
        return out

    def driver(self):
        """The engine that has been given added partitions."""
        return next((one for one in self.engines if "event=growing" in one.log_text()), None)

    def test_two_become_four(self):
        """2 -> 4 partitions under load; an engine is killed meanwhile, producers hear of it late"""
        self.set_up(partitions=2, dedupe_window="4s")
        stale = Load(self.job, 33, RATE)  # hears of new partitions only after minutes
        self.addCleanup(stale.kill)
        limits = self.limits(stale)
        stale.start()
        wait_until(lambda: len(self.job.settled_offsets()) == 2, 30, "both shards are settled")
        tenants = list(limits)
        # Sent, and sent again to where the same key goes now, within the window.
        sent = [event(10**6 + number, tenants[number % 40], now()) for number in range(400)]
        self.job.produce(sent)
        self.add(4)
        self.job.produce(sent)
        waiting = self.job.env.kafka.watermarks(self.job.topics[0])
        self.assertGreater(min(waiting[2][1], waiting[3][1]), 50)
        wait_until(lambda: self.growth("waits"), 30, lambda: f"it is noticed:\n{self.tails()}")
        driver = wait_until(self.driver, 30, lambda: f"somebody says so:\n{self.tails()}")
        driver.kill()
        if self.growth("switched_at") is None:
            self.assertEqual({0, 1}, {shard for _, shard in self.job.settled_offsets()})
        driver.start()
        wait_until(lambda: self.growth("switched_at"), 60,
                   lambda: f"all has moved: {self.growth('waits')}\n{self.tails()}")
        self.await_owners(2)
        stale.stop()
        self.job.await_settled()
        fresh = Load(self.job, 0, RATE, made=stale.made)
        self.addCleanup(fresh.kill)
        fresh.start()
        before = sum(self.job.settled_offsets().values())
        wait_until(lambda: sum(self.job.settled_offsets().values()) > before + 4 * RATE, 60,
                   lambda: f"it goes on:\n{self.tails()}")
        fresh.stop()
        self.job.await_settled()
        recount = recount_log(self.job, stale.made.zones, events=self.as_they_came())
        check_totals(self, self.job, recount)
        self.check_homes()
        self.await_steps(recount, limits)
        check_gateways(self, self.job, recount, limits, 1000)
        for engine in self.engines:
            self.assertEqual(0, engine.stop())

    def as_they_came(self):
        """A tenant's events are in two partitions: only their times say in which order."""
        messages = self.job.env.kafka.consume(self.job.topics[0])
        return [json.loads(message["value"])
                for message in sorted(messages, key=lambda one: one["timestamp_ms"])]

    def await_steps(self, recount, limits):
        """What a home learns with a settlement from others is told with the next one."""
        def told():
            try:
                check_steps(self, self.job, recount, "api_calls", "requests", limits, 1000)
                return True
            except AssertionError as why:
                self.trouble = str(why)
                return False

        wait_until(told, 20, lambda: f"all steps are told, once: {self.trouble}")

    def check_homes(self):
        self.assertEqual([], self.job.rows("""
            SELECT * FROM tripmeter.tenant_shard
            WHERE provisional OR (shard < 100000 AND shard <> tripmeter.murmur2_shard(tenant, 4))"""))
        self.assertEqual(4, self.job.one(
            "SELECT count(*) FROM tripmeter.progress WHERE counted > 0"))


class ScaleTest(Crowd):
    def test_one_two_four(self):
        """1, 2, 4 engines over 16 partitions under load, one of them killed: none idle, totals equal"""
        self.job = Job(environment(), partitions=16)
        self.engines = []
        load = Load(self.job, 44, RATE, tenants=200)
        self.addCleanup(load.kill)
        load.start()
        took = []
        for count in (1, 2, 4):
            while len(self.engines) < count:
                self.engines.append(self.job.engine())
                self.addCleanup(self.engines[-1].kill)
                self.engines[-1].start()
            took.append(self.measure(count))
        shares = self.shares()
        self.assertEqual([4, 4, 4, 4], sorted(shares.values()), shares)
        self.engines[-1].kill()
        took.append(self.measure(3))
        load.stop()
        self.job.await_settled()
        self.assertEqual(16, len(self.job.settled_offsets()))
        check_totals(self, self.job, recount_log(self.job))
        print("        all of 16 partitions in the hands of 1, 2, 4 engines after "
              f"{took[0]:.1f}, {took[1]:.1f}, {took[2]:.1f} s, of 3 after one was killed: "
              f"{took[3]:.1f} s")

    def shares(self):
        owners = list(self.owners().values())
        return {owner: owners.count(owner) for owner in owners}

    def measure(self, count):
        """Until every shard is in the hands of so many engines that run, and all go on."""
        began = time.monotonic()
        running = [f"#{one.process.pid}." for one in self.engines if one.running()]

        def shared():
            owners = self.owners()
            return (len(owners) == 16 and len(set(owners.values())) == count
                    and all(any(one in owner for one in running) for owner in owners.values()))

        wait_until(shared, 60, lambda: f"{count} owners: {self.shares()}\n{self.tails()}")
        return time.monotonic() - began


class GrowthStory(StartStory):
    def test_not_alike(self):
        """A topic that is behind the others holds up nothing but the added partitions"""
        self.begin(partitions=2, topics=2, dedupe_window="1s")
        self.start()
        self.calls("acme", 1)
        self.job.await_settled()
        kafka = environment().kafka
        kafka.tool("add-partitions", self.job.topics[0], 4)
        self.await_page("/readyz", 503, "wait until topic " + self.job.topics[1],
                        "has 4 partitions like the others, not 2")
        self.job.produce([self.call("acme")], topic=1)
        wait_until(lambda: self.job.one("SELECT sum(counted) FROM tripmeter.progress") == 2, 20,
                   lambda: f"the others go on:\n{self.engine.tail()}")
        kafka.tool("add-partitions", self.job.topics[1], 4)
        self.job.partitions = 4
        self.job.produce([self.call(f"t{number}") for number in range(20)], topic=1)
        self.job.await_settled()
        self.await_page("/readyz", 200, "ready")
        check_totals(self, self.job, recount_log(self.job))
