#!/usr/bin/python3
"""What grows with the number of active API keys, and how long a restart takes.

    tests/bench/run_scale.py [--quick] [--keys N] [--active N] [--backlog N] [--partitions N]
                             [--workers N] [--settle-interval T] [--record]

    --keys N      up to so many keys (10,000,000), from 1,000 on in steps of ten
    --active N    keys for the row about memory, and before the engine is killed (1,000,000)
    --backlog N   events that wait when it is started again (3,000,000)
    --quick       100,000 keys, as many active, 300,000 events behind

Keys of 1,000 tenants send in turn, so that no two events of one are near each other.  CPU: the
engine catches up with usual settings.  Memory: it settles once a minute and has room for it, so
that every key has an open delta and a place in the burst table at once; counted is what that takes
above 1,000 keys and as many events.  Restart: the engine has settled an event of every key, is
killed with SIGKILL under load, and is started again when the backlog is there; it reads the
identities it knew again first (dedupe.window is longer than all of it).  Results:
build/bench/scale.txt and scale.json.  Only runs of at least the usual sizes decide: their exit
status is 1 when something that must be is missed.  They need minutes, and by estimate 15 GB of disk
and 8 GB of memory.
"""

import argparse
import json
import os
import re
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import psycopg2  # noqa: E402 -- as the others, after the path

from tests.bench import targets  # noqa: E402
from tests.bench.machine import machine, machine_line  # noqa: E402
from tests.bench.process import Usage  # noqa: E402
from tests.bench.tool import run_tool, say  # noqa: E402
from tests.lib.env import Env, end_on_sigterm  # noqa: E402
from tests.lib.job import Job  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402
from tests.lib.wait import wait_until  # noqa: E402

RESULTS = os.path.join(ROOT, "build", "bench")
FEW = 1000
MIB = 2**20
POLICY = """
fallback_plan: open
plans:
  open:
    quotas:
      spend: {meter: cost, unlimited: true}
    burst:
      key: 60
"""


class Scale:
    def __init__(self, env, words):
        self.env = env
        self.words = words

    def topic(self, keys, events):
        """A new topic with so many events of so many keys, all within a minute of event time."""
        name = self.env.name("scale")
        self.env.kafka.create_usage_topic(name, self.words.partitions)
        self.send(name, keys, events, rate=max(1000, events // 50))
        return name

    def send(self, topic, keys, events, rate, first=0):
        run_tool(self.env, "generate", topic=topic, events=events, keys=keys, rate=rate, first=first,
                 limits=self.env.path("limits"))

    def job(self, topic, keys, **settings):
        return Job(self.env, self.words.partitions, POLICY, topics=[topic], time="trust_producers",
                   dedupe_window="6h", log_level="info", record_enabled=self.words.record,
                   workers=self.words.workers,
                   burst_entries=max(32768, keys * 2 // self.words.partitions),
                   **{"settle_interval": self.words.settle_interval, **settings})

    # ---- CPU and memory -----------------------------------------------------------------------

    def catch_up(self, topic, keys, events):
        """CPU time of an event."""
        job = self.job(topic, keys)
        engine = job.engine().start()
        usage = Usage(engine.process.pid)
        self.await_settled(job, engine, events)
        out = {"keys": keys, "events": events, "ns": usage.cpu_s() / events * 1e9,
               "peak_rss_mib": usage.peak_rss_kib() / 1024}
        self.end(job, engine)
        say(f"{keys:,} keys, {events:,} events: {out['ns']:,.0f} ns of CPU an event, "
            f"peak {out['peak_rss_mib']:,.0f} MiB")
        return out

    def memory(self, topic, keys, events):
        """Bytes it holds when it has taken all and settled next to nothing."""
        job = self.job(topic, keys, settle_interval="1m", settle_memory="8GiB")
        engine = job.engine().start()
        url = engine.await_log("event=status").split("url=")[1].split()[0].removesuffix("/status")

        def taken():
            with urllib.request.urlopen(url + "/metrics", timeout=10) as page:
                found = re.search(r"^tripmeter_records_total (\d+)", page.read().decode(), re.MULTILINE)
            assert engine.running(), engine.tail()
            return found and int(found[1]) >= events

        wait_until(taken, 300, lambda: f"all is taken:\n{engine.tail()}")
        rss = Usage(engine.process.pid).rss_kib() * 1024
        self.end(job, engine)
        say(f"{keys:,} keys, {events:,} events, all open: {rss / MIB:,.0f} MiB")
        return rss

    # ---- restart ------------------------------------------------------------------------------

    def restart(self):
        """Seconds from the start until fewer events wait than are settled in a second."""
        active, backlog = self.words.active, self.words.backlog
        topic = self.env.name("scale")
        self.env.kafka.create_usage_topic(topic, self.words.partitions)
        rate = max(1000, (active + backlog) // 10000)  # within the three hours of a duplicate's window
        self.send(topic, active, active, rate)
        job = self.job(topic, active)
        engine = job.engine().start()
        self.await_settled(job, engine, active)
        self.send(topic, active, backlog // 10, rate, first=active)
        engine.kill()
        sent = backlog // 10
        self.send(topic, active, backlog - sent, rate, first=active + sent)
        known = job.one("SELECT sum(next_offset)::bigint FROM tripmeter.progress")
        began = time.monotonic()
        engine.start()
        seen = [(at - began, count) for at, count in self.await_settled(job, engine, active + backlog)]
        first = next(at for at, count in seen if count > known)
        per_s = (active + backlog - known) / max(seen[-1][0] - first, 0.001)
        under = next(at for at, count in seen if active + backlog - count <= per_s)
        out = {"active": active, "tail": known, "backlog": active + backlog - known,
               "first_settled_s": first, "settled_s": seen[-1][0], "lag_under_1s": under}
        self.end(job, engine)
        say(f"restart: {out['backlog']:,} events behind, tail {known:,}: first settled after {first:.1f} s, "
            f"lag under a second after {under:.1f} s, all after {seen[-1][0]:.1f} s")
        return out

    # ---- both ---------------------------------------------------------------------------------

    def await_settled(self, job, engine, events):
        """Until so many records are settled; (when, how many) as it went on."""
        seen = []
        connection = psycopg2.connect(job.database)
        connection.autocommit = True
        cursor = connection.cursor()

        def done():
            cursor.execute("SELECT coalesce(sum(next_offset), 0)::bigint FROM tripmeter.progress")
            seen.append((time.monotonic(), cursor.fetchone()[0]))
            assert engine.running(), f"the engine ended:\n{engine.tail()}"
            return seen[-1][1] >= events

        wait_until(done, 900, lambda: f"everything is settled:\n{engine.tail()}")
        connection.close()
        return seen

    def end(self, job, engine):
        """Nothing may be missing, or dead."""
        assert engine.stop(deadline_s=120) == 0, engine.tail()
        facts, counted, dead = job.rows("""
            SELECT (SELECT sum(events) FROM tripmeter.tenant_fact), sum(counted), sum(dead)
            FROM tripmeter.progress""")[0]
        assert facts == counted and dead == 0, f"{facts} in facts, {counted} counted, {dead} dead"

    def run(self):
        words, rows, memory = self.words, [], {}
        keys = FEW
        while keys <= words.keys:
            events = max(words.active, keys)
            topic = self.topic(keys, events)
            rows.append(self.catch_up(topic, keys, events))
            if keys in (FEW, words.active):
                memory[keys] = self.memory(topic, keys, events)
            keys *= 10
        more = memory[words.active] - memory[FEW]
        return {"machine": machine(), "rows": rows, "memory": memory, "restart": self.restart(),
                "scale": {"mib_a_million_keys": more / words.active * 1e6 / MIB,
                          "cpu_ratio": rows[-1]["ns"] / rows[0]["ns"]}}


def decides(words):
    """The targets are of these sizes, and without the record."""
    return (words.keys >= 10_000_000 and words.active >= 1_000_000 and words.backlog >= 3_000_000
            and not words.record)


def report(result, words, host):
    restart = result["restart"]
    result["scale"]["restart_s"] = restart["lag_under_1s"]
    lines = [f"machine: {machine_line(host)}",
             f"{words.partitions} partitions, {words.workers} workers (0: one less than processors), "
             f"settled every {words.settle_interval}, record of settled events "
             f"{'on' if words.record else 'off'}", "",
             f"{'keys':>12}{'events':>12}{'ns of CPU an event':>20}{'peak RSS, MiB':>15}",
             *(f"{one['keys']:>12,}{one['events']:>12,}{one['ns']:>20,.0f}{one['peak_rss_mib']:>15,.0f}"
               for one in result["rows"]), "",
             "with everything open: " + ", ".join(f"{keys:,} keys {rss / MIB:,.0f} MiB"
                                                  for keys, rss in result["memory"].items()),
             f"restart: {restart['active']:,} keys, {restart['backlog']:,} events behind, duplicate tail "
             f"{restart['tail']:,}: first settled after {restart['first_settled_s']:.1f} s, lag under a "
             f"second after {restart['lag_under_1s']:.1f} s, all after {restart['settled_s']:.1f} s", ""]
    judged = decides(words)
    return lines + targets.table(result, judged, of="scale"), targets.missed(result) if judged else []


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--keys", type=int)
    words.add_argument("--active", type=int)
    words.add_argument("--backlog", type=int)
    words.add_argument("--partitions", type=int, default=8)
    words.add_argument("--workers", type=int, default=1)
    words.add_argument("--settle-interval", default="500ms")
    words.add_argument("--record", action="store_true")
    words = words.parse_args()
    words.keys = words.keys or (100_000 if words.quick else 10_000_000)
    words.active = words.active or (100_000 if words.quick else 1_000_000)
    words.backlog = words.backlog or (300_000 if words.quick else 3_000_000)
    steps = [10**n for n in range(3, 9) if 10**n <= words.keys]
    if words.active == FEW or words.active not in steps:
        sys.exit(f"run_scale.py: --active must be one of {steps[1:]}, the steps up to --keys")
    end_on_sigterm()
    host = machine()
    with Env() as env:
        try:
            result = Scale(env, words).run()
        except AssertionError as why:
            print(f"bench: void: {why}", file=sys.stderr)
            return 1
    lines, missed = report(result, words, host)
    os.makedirs(RESULTS, exist_ok=True)
    for name, text in (("scale.txt", "\n".join(lines) + "\n"),
                       ("scale.json", json.dumps(result, indent=2) + "\n")):
        with open(os.path.join(RESULTS, name), "w", encoding="utf-8") as out:
            out.write(text)
    print("\n" + "\n".join(lines))
    print(f"\nbench: {RESULTS}/scale.txt, scale.json" + ("" if decides(words) else "; decides nothing"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
