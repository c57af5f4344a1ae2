#!/usr/bin/python3
"""How fast the engine is beside what Kafka alone costs, on this machine, in one run.

    tests/bench/run_bench.py [--quick] [--rounds N] [--events N] [--save] [--record]

    --quick     200,000 events, one round, short runs, for development: no verdict
    --rounds N  how often each measurement is made (3); medians are shown
    --save      keep the figures in docs/bench-last.json, which later runs compare with
    --record    with the record of settled events, which is off otherwise: no verdict either

Starts a real broker and Postgres (fsync on), writes UM-1 into 8 partitions, reads it with librdkafka
alone, with librdkafka and the engine's decoder, and with the engine; then sends events at steady rates
and watches the control topic and Postgres, beside an echo at the same rate.  What the engine settled is
compared with what an oracle reads in the topic: a run with any difference is void.  Results:
build/bench/report.txt, plot.svg, result.json.  Exit status 0 only if nothing that must be is missed.
"""

import argparse
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench import report, steady  # noqa: E402 -- as the others, after the path
from tests.bench.catch_up import CatchUp  # noqa: E402
from tests.bench.machine import machine  # noqa: E402
from tests.bench.tool import run_tool, say  # noqa: E402
from tests.lib.env import Env, end_on_sigterm  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402

RESULTS = os.path.join(ROOT, "build", "bench")


class Bench:
    def __init__(self, env, words):
        self.env = env
        self.record = words.record
        self.rounds = words.rounds or (1 if words.quick else 3)
        self.events = words.events or (200_000 if words.quick else 2_000_000)
        self.seconds = 5 if words.quick else 15
        self.result = {"events": self.events, "rounds": self.rounds, "record": self.record,
                       "seconds": self.seconds, "machine": machine()}

    def run(self):
        self.catch_up()
        self.steady()
        self.result["detector"] = run_tool(self.env, "detector")
        return self.result

    # ---- throughput -------------------------------------------------------------------------

    def catch_up(self):
        job = CatchUp(self.env, self.events, self.record)
        self.result["made"] = job.made
        rounds = []
        for number in range(1, self.rounds + 1):
            say(f"round {number} of {self.rounds}: raw consumer, with parsing, engine, with limits only")
            rounds.append({"raw": job.raw(), "parse": job.parse(), "engine": job.engine(),
                           "limits_only": job.limits_only()})
        self.result["runs"] = rounds
        self.result["decisions"] = rounds[-1]["engine"]["decisions"]
        say("Postgres alone, with the rows of the engine")
        self.result["postgres"] = job.postgres_alone(rounds[-1]["engine"])
        self.summarise(rounds)

    def summarise(self, rounds):
        """Medians; the ratios are those of each round, so that a slow moment hits both sides."""
        for name in ("raw", "parse", "engine", "limits_only"):
            each = [round_[name] for round_ in rounds]
            self.result[name] = {
                "events_per_cpu_s": statistics.median(self.events / one["cpu_s"] for one in each),
                "events_per_s": statistics.median(self.events / one["wall_s"] for one in each),
                "peak_rss_mib": max(one["peak_rss_kib"] for one in each) / 1024}
        for name, under, what in (("ratio", "raw", "engine"), ("ratio_parse", "parse", "engine"),
                                  ("ratio_limits_only", "raw", "limits_only")):
            self.result[name] = self.spread([one[under]["cpu_s"] / one[what]["cpu_s"]
                                             for one in rounds])
        engines = [one["engine"] for one in rounds]
        alone = self.result["postgres"]["rows_per_s"]
        self.result["settled"] = {
            "rows_per_s": statistics.median(one["rows_per_s"] for one in engines),
            "ratio": self.spread([one["rows_per_s"] / alone for one in engines]),
            "rows_per_event": statistics.median(
                (one["rows"]["inserted"] + one["rows"]["updated"]) / self.events for one in engines),
            "wal_bytes_per_event": statistics.median(one["wal_bytes"] / self.events for one in engines)}

    @staticmethod
    def spread(values):
        return {"median": statistics.median(values), "least": min(values), "most": max(values)}

    # ---- latency ----------------------------------------------------------------------------

    def steady(self):
        """At the rates of UM-1, and at half of what the engine does when it catches up."""
        half = max(1000, int(self.result["engine"]["events_per_s"] / 2000) * 1000)
        self.result["steady"] = {}
        for name, rate, every in (("2000", 2000, 50), ("5000", 5000, 50), ("half", half, max(50, half // 100))):
            say(f"{rate:,} events/s, one in {every} decides, {self.seconds} s: echo, engine, "
                f"{self.rounds} times")
            self.result["steady"][name] = steady.at_rate(self.env, rate, every, self.seconds,
                                                         self.rounds, self.record)
        say("1,000 events/s: what the engine needs when there is little to do")
        self.result["idle_cpu"] = steady.decisions(self.env, 1000, 500, self.seconds,
                                                   self.record)["cpu"]
        say("from its start to its first decision")
        self.result["start"] = self.spread([steady.start_s(self.env, self.record)
                                            for _ in range(self.rounds)])
        self.result["base_rss_mib"] = max(one["base_rss_mib"]
                                          for one in self.result["steady"].values())


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--rounds", type=int)
    words.add_argument("--events", type=int)
    words.add_argument("--save", action="store_true")
    words.add_argument("--record", action="store_true")
    words = words.parse_args()
    end_on_sigterm()
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
    return report.write(result, RESULTS, judged=not words.quick and not words.record, save=words.save)


if __name__ == "__main__":
    sys.exit(main())
