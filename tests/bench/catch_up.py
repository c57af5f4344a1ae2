"""UM-1 from its first event to its last: with librdkafka alone, with the decoder, with the engine."""

import time

import psycopg2

from tests.bench import ceiling
from tests.bench.process import Usage
from tests.bench.tool import PARTITIONS, run_tool, say
from tests.bench.answers import check_answers, read_limits, write_tenants
from tests.lib.job import Job
from tests.lib.wait import wait_until

# Limits of a cycle, and their steps: what the first version judged by.
LIMITS = """
fallback_plan: um1
plans:
  um1:
    quotas:
      spend: {meter: cost, limit: 1000000.00, steps: [50, 75, 90, 100], on_exceed: block}
"""
# All rules of UM-1 as the product has them; docs/speed.md says where they differ.
UM1 = LIMITS + """
      feature_hour:
        {meter: cost, limit: 1000000.00, scope: feature, period: hour, steps: [100], on_exceed: alert}
    burst:
      key: %d
"""


class CatchUp:
    def __init__(self, env, events, record=False):
        self.env = env
        self.events = events
        self.record = record  # keep the record of settled events
        self.answers = {name: env.path(name) for name in ("limits", "totals", "decisions")}
        # A minute has as many events of a key as there are in all: 60 are exceeded by some of 2,000,000.
        self.burst = max(6, min(60, events * 60 // 2_000_000))
        self.database = None  # of the last run of the engine
        say(f"writing {events:,} events into {PARTITIONS} partitions")
        env.kafka.create_usage_topic("um1", PARTITIONS)
        self.made = run_tool(env, "generate", topic="um1", events=events,
                             limits=self.answers["limits"])
        run_tool(env, "oracle", topic="um1", burst=self.burst, **self.answers)

    def raw(self):
        return run_tool(self.env, "consume", topic="um1")

    def parse(self):
        return run_tool(self.env, "consume", topic="um1", parse=True)

    def limits_only(self):
        """The engine with nothing but limits of a cycle."""
        return self.run(LIMITS, ["quota/spend"])

    def engine(self, on_start=None):
        """on_start(pid): calls it when the engine runs; what it returns is called when all is settled."""
        return self.run(UM1 % self.burst, ["quota/spend", "quota/feature_hour", "burst/key"], on_start)

    def run(self, policy, rules, on_start=None):
        """A new engine with an empty database, from its start until it has settled everything."""
        job = Job(self.env, PARTITIONS, policy, topics=["um1"], time="trust_producers",
                  settle_interval="500ms", dedupe_window="6h", log_level="info",
                  record_enabled=self.record)
        limits = read_limits(self.answers["limits"])
        write_tenants(job.database, "um1", {tenant: one.limits for tenant, one in limits.items()})
        wal_bytes = self.wal_bytes(job)
        began = time.monotonic()
        engine = job.engine().start()
        on_end = on_start(engine.process.pid) if on_start else None
        usage = Usage(engine.process.pid)
        first = self.await_settled(job, engine, began)
        wall_s = time.monotonic() - began
        out = {"wall_s": wall_s, "first_settled_s": first, "cpu_s": usage.cpu_s(),
               "peak_rss_kib": usage.peak_rss_kib()}
        if on_end:
            on_end()
        status = engine.stop()
        assert status == 0, f"the engine's exit status is {status}:\n{engine.tail()}"
        out["decisions"] = check_answers(job, self.answers, limits, self.made, rules)
        out["rows"] = ceiling.written(job.database)
        out["wal_bytes"] = self.wal_bytes(job) - wal_bytes
        out["rows_per_s"] = (out["rows"]["inserted"] + out["rows"]["updated"]) / (wall_s - first)
        self.database = job.database
        say(f"the engine: {out['cpu_s']:.2f} s of CPU, {wall_s:.1f} s; its totals and decisions are right")
        return out

    @staticmethod
    def wal_bytes(job):
        return int(job.one("SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def postgres_alone(self, run):
        """What Postgres alone does with the rows of the last run of the engine."""
        return ceiling.rows_per_s(self.database, run["rows"])

    def await_settled(self, job, engine, began):
        """Until the last event is in Postgres; when the first was, in seconds after `began`."""
        connection = psycopg2.connect(job.database)
        connection.autocommit = True
        settled = connection.cursor()
        first = None

        def done():
            nonlocal first
            settled.execute("SELECT coalesce(sum(next_offset), 0) FROM tripmeter.progress")
            count = settled.fetchone()[0]
            if count > 0 and first is None:
                first = time.monotonic() - began
            assert engine.running(), f"the engine ended:\n{engine.tail()}"
            return count == self.events

        wait_until(done, 300, lambda: f"everything is settled:\n{engine.tail()}")
        connection.close()
        return first
