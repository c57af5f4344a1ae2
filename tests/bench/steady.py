"""Events at a steady rate: how soon decisions are out beside an echo, what the engine needs meanwhile;
and how soon after its start it decides."""

import statistics
import time

from tests.bench.process import Usage
from tests.bench.tool import PARTITIONS, run_tool
from tests.bench.answers import write_tenants
from tests.lib.generate import event, now
from tests.lib.job import Job
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: small
plans:
  small:
    quotas:
      calls: {meter: requests, limit: 20, on_exceed: block}
  open:
    quotas:
      calls: {meter: requests, unlimited: true}
"""
LATE_MS = 1000
TIMES = ("p50_ms", "p99_ms", "p999_ms", "max_ms")


def new_job(env, record):
    return Job(env, PARTITIONS, POLICY, settle_interval="500ms", log_level="info",
               record_enabled=record)


def echo(env, rate, every, seconds):
    """Produced, consumed, answered, consumed: the same road without an engine."""
    topic, back = env.name("echo"), env.name("back")
    env.kafka.create_topic(topic, PARTITIONS)
    env.kafka.create_topic(back, 1)
    return run_tool(env, "echo", topic=topic, back=back, rate=rate, every=every,
                    seconds=seconds)["echo"]


def decisions(env, rate, every, seconds, record):
    """One event in `every` trips a limit."""
    job = new_job(env, record)
    write_tenants(job.database, "open", {name: {} for name in [*(f"t-{i}" for i in range(1000)), "m-0"]})
    engine = job.engine().start()
    wait_until(lambda: job.one("SELECT count(*) FROM tripmeter.shard WHERE epoch > 0"
                               " AND shard < 100000") == PARTITIONS,
               30, lambda: f"the engine has its shards:\n{engine.tail()}")
    usage = Usage(engine.process.pid)
    usage.await_idle()
    base_rss_mib = usage.rss_kib() / 1024
    before = usage.cpu_s()
    took = run_tool(env, "latency", topic=job.topics[0], control=job.control, postgres=job.database,
                    rate=rate, every=every, seconds=seconds)
    took.update(base_rss_mib=base_rss_mib, cpu=(usage.cpu_s() - before) / seconds)
    assert engine.stop() == 0, engine.tail()
    assert took["blocks"] == took["triggers"], f"{took}: blocks are missing\n{engine.tail()}"
    assert took["marks"] == took["marks_visible"], f"{took}: events are missing in Postgres"
    return took


def median(rounds, *path):
    def value(one):
        for name in path:
            one = one[name]
        return one

    return statistics.median(map(value, rounds))


def at_rate(env, rate, every, seconds, rounds, record):
    """Medians of all rounds; what a decision takes above the echo is the difference of one round."""
    each = []
    while len(each) < rounds:
        each.append({"echo": echo(env, rate, every, seconds),
                     "engine": decisions(env, rate, every, seconds, record)})
        if each[-1]["engine"]["sender_late_ms"] > LATE_MS:
            break  # the rate is void, and the next round would take as long
    assert all(one["engine"]["decision"]["count"] > 0 for one in each), f"nothing to decide: {each}"
    above = {name: [one["engine"]["decision"][name] - one["echo"][name] for one in each]
             for name in TIMES}
    return {"rate": rate, "every": every,
            "echo": {name: median(each, "echo", name) for name in TIMES},
            "decision": {name: median(each, "engine", "decision", name) for name in TIMES},
            "above": {name: statistics.median(values) for name, values in above.items()},
            "above_spread": {name: [min(values), max(values)] for name, values in above.items()},
            "visible": {name: median(each, "engine", "visible", name) for name in TIMES},
            "samples": each[0]["engine"]["decision"]["count"],
            "cpu": median(each, "engine", "cpu"),
            "base_rss_mib": median(each, "engine", "base_rss_mib"),
            "sender_late_ms": max(one["engine"]["sender_late_ms"] for one in each)}


def start_s(env, record):
    """From the start of the program, with events waiting, to the moment its first block is produced."""
    job = new_job(env, record)
    job.produce([event(i, "b-0", now()) for i in range(20)])
    began = time.time()
    engine = job.engine().start()
    wait_until(lambda: job.one("SELECT count(*) FROM tripmeter.decision WHERE scope = 'tenant/b-0'"),
               30, lambda: f"the first block:\n{engine.tail()}")
    block = job.env.kafka.latest(job.control)["tenant/b-0"]
    assert engine.stop() == 0, engine.tail()
    return block["timestamp_ms"] / 1000 - began
