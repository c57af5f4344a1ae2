#!/usr/bin/python3
"""Chaos: two engines under load on real Kafka and Postgres, and something fails all the time.

    tests/chaos/chaos.py [--cycles N] [--seed S] [--faults NAME,NAME]

Each cycle overlaps two faults (tests/chaos/faults.py) while events come in; then all is healed, and
before the next one everything must be true: totals, counts and dead letters as an independent
recount of the log says, no offset unaccounted for, each step of each alert once and delivered under
one id, two gateways that start now refuse exactly who is at a limit, nothing that only rises has
fallen, and nothing is left to do. Exit status 0 only then. SEED= draws the same faults again.
"""

import argparse
import os
import random
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.chaos.faults import plan_of  # noqa: E402 -- found only on the path above
from tests.chaos.invariants import Invariants  # noqa: E402
from tests.lib.env import Env, end_on_sigterm  # noqa: E402
from tests.lib.generate import Generator, now  # noqa: E402
from tests.lib.job import Job, alerts_to  # noqa: E402
from tests.lib.load import Load  # noqa: E402
from tests.lib.proxy import Proxy  # noqa: E402
from tests.lib.server import read_env  # noqa: E402
from tests.lib.wait import wait_until  # noqa: E402

RATE = 300
TENANTS = 40
LIMITS = [20, 100, 400, 1500, 20000]  # some are through at once, some climb, some never get there
HEALED_S = 60  # until nothing is left to do, on a machine with much else to do


class Chaos:
    def __init__(self, env, seed):
        self.passed = 0  # cycles
        self.env = env
        self.seed = seed
        kafka = read_env(env.kafka.directory)
        self.to_kafka = Proxy("127.0.0.1", kafka["proxied_port"], kafka["proxy_port"])
        self.to_postgres = Proxy("127.0.0.1", env.postgres.port)
        self.made = Generator(seed, TENANTS, now().isoformat(), 1 / RATE)
        self.job = Job(env, **alerts_to(env, "chaos"))
        self.limits = {}
        chance = random.Random(f"{seed}/limits")
        for tenant, zone in self.made.zones.items():
            self.limits[tenant] = chance.choice(LIMITS)
            self.job.tenant(tenant, plan="free", zone=zone,
                            limits={"api_calls": self.limits[tenant]})
        self.job.settings.update(
            kafka_brokers=[f"127.0.0.1:{self.to_kafka.port}"],
            # A test does not wait for the pauses between attempts to connect.
            kafka_properties={"reconnect.backoff.max.ms": "500"},
            postgres_url=self.job.database.replace(f":{env.postgres.port}/",
                                                   f":{self.to_postgres.port}/"))
        self.engines = [self.job.engine(), self.job.engine()]
        self.invariants = Invariants(unittest.TestCase(), self.job, self.made.zones, self.limits)

    def close(self):
        for engine in self.engines:
            engine.kill()
        self.to_kafka.stop()
        self.to_postgres.stop()

    def start(self):
        for engine in self.engines:
            engine.start()
        wait_until(lambda: self.job.one("""
            SELECT count(DISTINCT owner) = 2 AND count(*) = %s FROM tripmeter.shard
            WHERE shard < 100000 AND owner IS NOT NULL""", (self.job.partitions,)), HEALED_S,
            lambda: "both engines have shards:\n" + "".join(one.tail() for one in self.engines))

    def settled(self):
        return sum(self.job.settled_offsets().values())

    def kafka_leads(self):
        try:
            return self.env.kafka.watermarks(self.job.topics[0])
        except RuntimeError:
            return None

    def cycle(self, number, faults):
        began = time.monotonic()
        before = self.settled()
        # Events are of the time at which they are sent, however long a run lasts.
        self.made.at = now()
        load = Load(self.job, 0, RATE, made=self.made).start()
        try:
            wait_until(lambda: self.settled() > before, HEALED_S, "events are settled")
            with ThreadPoolExecutor(len(faults)) as pool:
                for done in [pool.submit(fault.run, self) for fault in faults]:
                    done.result()
            load.stop()
        finally:
            load.kill()
        healing = time.monotonic()
        wait_until(self.kafka_leads, HEALED_S, "Kafka leads its partitions")
        self.job.await_settled(HEALED_S, "lag is back to 0")
        for engine in self.engines:
            assert engine.running(), f"an engine ended:\n{engine.tail()}"
        lag_s = time.monotonic() - healing
        state = self.invariants.check()
        print(f"chaos: {number:3}  {' + '.join(fault.name for fault in faults):58} "
              f"lag 0 after {lag_s:4.1f} s; {state}; {time.monotonic() - began:4.1f} s", flush=True)

    def run(self, plan):
        self.start()
        for number, faults in enumerate(plan, 1):
            try:
                self.cycle(number, faults)
                self.passed = number
            except BaseException:
                print(f"chaos: cycle {number} failed: {' + '.join(map(str, faults))}")
                raise
        for engine in self.engines:
            status = engine.stop()
            assert status == 0, f"SIGTERM: {status}\n{engine.tail()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--faults", default="", help="only these, with commas: NAME,NAME")
    words = parser.parse_args()
    # So that the servers are stopped on the way out.
    end_on_sigterm()
    print(f"chaos: seed {words.seed}", flush=True)
    began = time.monotonic()
    with Env() as env:
        chaos = Chaos(env, words.seed)
        print(f"chaos: everything is up after {time.monotonic() - began:.1f} s", flush=True)
        began = time.monotonic()
        good = False
        try:
            chaos.run(plan_of(words.seed, words.cycles, words.faults))
            good = True
        except AssertionError as trouble:
            print(f"chaos: {trouble}")
            for engine in chaos.engines:
                print(f"--- the end of {engine.log}\n{engine.tail()}")
        finally:
            chaos.close()
    print(f"chaos: {f'{words.cycles} cycles, all as it should be' if good else 'FAILED'}, "
          f"{time.monotonic() - began:.0f} s; again: SEED={words.seed} CYCLES={words.cycles} "
          f"make chaos")
    print(f"chaos: {chaos.passed} passed, {0 if good else 1} failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
