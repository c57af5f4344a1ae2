#!/usr/bin/python3
"""How fast the engine is beside what Kafka alone costs, on this machine, in one run.

    tests/bench/run_bench.py [--quick] [--rounds N] [--events N] [--save] [--record]

    --quick     200,000 events and short runs, for development: no verdict
    --rounds N  how often raw consumer and engine take turns (3); medians are shown
    --save      keep the figures in docs/bench-last.json, which later runs compare with
    --record    with the record of settled events, which is off otherwise

Starts a real broker and Postgres (fsync on), writes UM-1 into 8 partitions, reads it with librdkafka
alone, with librdkafka and the engine's decoder, and with the engine; then sends events at a steady
rate and watches the control topic and Postgres.  What the engine settled is compared with what the
generator says it wrote: a run with any difference is void.  Results: build/bench/report.txt,
plot.svg, result.json.  Exit status 0 only if every target is met.
"""

import argparse
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench import report  # noqa: E402 -- as the others, after the path
from tests.bench.catch_up import CatchUp  # noqa: E402
from tests.bench.machine import machine  # noqa: E402
from tests.bench.process import Usage  # noqa: E402
from tests.bench.tool import PARTITIONS, run_tool, say  # noqa: E402
from tests.bench.totals import write_tenants  # noqa: E402
from tests.lib.env import Env  # noqa: E402
from tests.lib.job import Job  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402
from tests.lib.wait import wait_until  # noqa: E402

RESULTS = os.path.join(ROOT, "build", "bench")

LATENCY_POLICY = """
fallback_plan: small
plans:
  small:
    quotas:
      calls: {meter: requests, limit: 20, on_exceed: block}
  open:
    quotas:
      calls: {meter: requests, unlimited: true}
"""


class Bench:
    def __init__(self, env, words):
        self.env = env
        self.words = words
        self.events = words.events or (200_000 if words.quick else 2_000_000)
        self.seconds = 5 if words.quick else 15
        self.result = {"events": self.events, "rounds": words.rounds, "machine": machine()}

    def tool(self, command, **options):
        return run_tool(self.env, command, **options)

    def run(self):
        job = CatchUp(self.env, self.events, self.words.record)
        self.result["made"] = job.made
        rounds = []
        for number in range(1, self.words.rounds + 1):
            say(f"round {number} of {self.words.rounds}: raw consumer, with parsing, engine")
            rounds.append({"raw": job.raw(), "parse": job.parse(), "engine": job.engine()})
        self.result["runs"] = rounds
        self.summarise(rounds)
        self.result["detector"] = self.tool("detector")
        self.echo()
        self.latency()
        return self.result

    # ---- throughput -------------------------------------------------------------------------

    def summarise(self, rounds):
        """Medians; the ratios are those of each round, so that a slow moment hits both sides."""
        for name in ("raw", "parse", "engine"):
            each = [round_[name] for round_ in rounds]
            self.result[name] = {
                "events_per_cpu_s": statistics.median(self.events / one["cpu_s"] for one in each),
                "events_per_s": statistics.median(self.events / one["wall_s"] for one in each),
                "peak_rss_mib": max(one["peak_rss_kib"] for one in each) / 1024}
        for name, under in (("ratio", "raw"), ("ratio_parse", "parse")):
            ratios = [one[under]["cpu_s"] / one["engine"]["cpu_s"] for one in rounds]
            self.result[name] = {"median": statistics.median(ratios), "least": min(ratios),
                                 "most": max(ratios)}

    # ---- latency ----------------------------------------------------------------------------

    def echo(self):
        say(f"echo: 200/s, then 5,000/s with one in 50 answered, {self.seconds} s each")
        for name, options in (("echo_200", {"rate": 200}), ("echo", {"rate": 5000, "every": 50})):
            topic, back = self.env.name("echo"), self.env.name("back")
            self.env.kafka.create_topic(topic, PARTITIONS)
            self.env.kafka.create_topic(back, 1)
            self.result[name] = self.tool("echo", topic=topic, back=back, seconds=self.seconds,
                                          **options)["echo"]

    def latency(self):
        say(f"decisions: 5,000 events/s for {self.seconds} s, one in 50 trips a limit")
        job = Job(self.env, PARTITIONS, LATENCY_POLICY, settle_interval="500ms", log_level="info",
                  record_enabled=self.words.record)
        write_tenants(job.database, "open", dict.fromkeys([f"t-{i}" for i in range(1000)] + ["m-0"]))
        began = time.monotonic()
        engine = job.engine().start()
        wait_until(lambda: job.one("SELECT count(*) FROM tripmeter.shard WHERE epoch > 0"
                           " AND shard < 100000")
                   == PARTITIONS, 30, lambda: f"the engine has its shards:\n{engine.tail()}")
        usage = Usage(engine.process.pid)
        usage.await_idle()
        self.result["base_rss_mib"] = usage.rss_kib() / 1024
        self.result["start_s"] = time.monotonic() - began
        before = usage.cpu_s()
        took = self.tool("latency", topic=job.topics[0], control=job.control, postgres=job.database,
                         rate=5000, seconds=self.seconds)
        self.result["latency_cpu"] = (usage.cpu_s() - before) / self.seconds
        self.result["latency"] = took
        assert engine.stop() == 0, engine.tail()
        assert took["blocks"] == took["triggers"], f"{took}: blocks are missing\n{engine.tail()}"
        assert took["marks"] == took["marks_visible"], f"{took}: events are missing in Postgres"


def end(number, frame):
    sys.exit(128 + number)


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--events", type=int)
    words.add_argument("--save", action="store_true")
    words.add_argument("--record", action="store_true",
                       help="keep the record of settled events, which is off otherwise")
    words = words.parse_args()
    signal.signal(signal.SIGTERM, end)
    began = time.monotonic()
    say("starting Kafka and Postgres")
    with Env() as env:
        bench = Bench(env, words)
        try:
            result = bench.run()
        except AssertionError as why:
            print(f"bench: void: {why}", file=sys.stderr)
            return 1
    result["took_s"] = time.monotonic() - began
    return report.write(result, RESULTS, judged=not words.quick, save=words.save)


if __name__ == "__main__":
    sys.exit(main())
