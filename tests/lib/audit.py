"""What must be true of the database and the control topic whatever happened on the way."""

import collections
import json
import os
import subprocess

from tests.lib.kafka import TOOL
from tests.lib.recount import Recount
from tests.lib.server import ROOT
from tests.lib.wait import wait_until

STEPS = (50, 75, 90, 100)
FOLLOWERS = ([os.path.join(os.path.dirname(TOOL), "follower")],
             ["/usr/bin/python3", os.path.join(ROOT, "tests", "gateway", "follower.py")])


def check_sums(test, job):
    """Facts sum to periods, events to what was counted, dead letters to what was refused."""
    test.assertEqual([], job.rows("""
        SELECT tenant, period, f.cost, p.cost FROM
            (SELECT tenant, period, sum(events) e, sum(requests) r, sum(cost) AS cost
             FROM tripmeter.tenant_fact GROUP BY 1, 2) f
        FULL JOIN (SELECT tenant, period, events e, requests r, cost FROM tripmeter.period_total
                   WHERE project = '') p USING (tenant, period)
        WHERE (f.e, f.r, f.cost) IS DISTINCT FROM (p.e, p.r, p.cost)"""))
    test.assertEqual(job.one("SELECT sum(counted) FROM tripmeter.progress"),
                     job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))
    test.assertEqual(job.one("SELECT sum(keyed) FROM tripmeter.progress"),
                     job.one("SELECT coalesce(sum(events), 0) FROM tripmeter.key_fact"))
    check_weeks(test, job)
    test.assertEqual(job.one("SELECT sum(dead) FROM tripmeter.progress"),
                     job.one("SELECT count(*) FROM tripmeter.dead_letter"))
    if job.settings.get("record_enabled", True):
        check_record(test, job)


def check_weeks(test, job):
    """Whatever the week is looked at by, it comes to what is settled."""
    sums = "sum(cost), sum(charge), sum(requests)::bigint, sum(input_tokens)::bigint"
    settled = job.rows(f"""
        SELECT tenant, {sums} FROM (
            SELECT tenant, cost, charge, requests, input_tokens FROM tripmeter.period_total
            WHERE project = ''
            UNION ALL SELECT tenant, cost, charge, requests, input_tokens
            FROM tripmeter.period_adjustment WHERE project = '') t GROUP BY 1 ORDER BY 1""")
    for by in ("", "_project", "_feature", "_model", "_key"):
        test.assertEqual(settled, job.rows(
            f"SELECT tenant, {sums} FROM tripmeter.v_spend_week{by} GROUP BY 1 ORDER BY 1"), by)


def check_record(test, job):
    """The record of settled events sums to the facts, row by row."""
    test.assertEqual(job.totals(), job.recorded())
    test.assertEqual(job.key_totals(), job.recorded_keys())
    test.assertEqual([], job.rows("""
        SELECT topic, partition, record_offset, event_index FROM tripmeter.settled_event
        WHERE NOT reversal GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"""))


def check_totals(test, job, recount):
    """What is settled is what is in the log, to the nano."""
    test.assertEqual(recount.fact_rows(), job.totals())
    test.assertEqual(recount.key_rows(), job.key_totals())
    test.assertEqual((recount.counted, recount.duplicates, recount.dead), job.rows("""
        SELECT sum(counted)::bigint, sum(duplicates)::bigint, sum(dead)::bigint
        FROM tripmeter.progress""")[0])
    check_sums(test, job)


def recount_log(job, zones=None, dedupe=True, events=None):
    """The independent recount of what is in the usage topics (or of these events); marks of bad
    events are the generator's."""
    recount = Recount(zones, dedupe=dedupe)
    for event in events or job.log_events():
        if "bad" in event:
            recount.dead += 1
        else:
            recount.add(event)
    return recount


def crossed(used, limit):
    return [step for step in STEPS if used * 100 >= step * limit]


def check_steps(test, job, recount, quota, peak, limits, default):
    """Of each tenant and period every step that was reached was told, once, in one episode.

    peak: "requests" or "cost"; limits: tenant -> limit, `default` for others."""
    expected = {}
    for (tenant, period), sums in recount.periods.items():
        steps = crossed(getattr(sums, "peak_" + peak), limits.get(tenant, default))
        if steps:
            expected[tenant, period] = steps
    told = collections.defaultdict(list)
    episodes = collections.defaultdict(set)
    seqs = collections.defaultdict(list)
    for tenant, period, episode, seq, steps in job.rows("""
            SELECT tenant, labels->>'period', episode, seq, crossed FROM tripmeter.transition
            WHERE rule = %s AND move <> 'resolve' ORDER BY fingerprint, seq""", (f"quota/{quota}",)):
        key = (tenant, period[:16])
        told[key] += steps
        episodes[key].add(episode)
        seqs[key].append(seq)
    test.assertEqual(expected, dict(told))
    test.assertEqual({key: {1} for key in expected}, dict(episodes))
    test.assertEqual({key: list(range(1, len(seqs[key]) + 1)) for key in expected}, dict(seqs))


def views(job):
    """What two gateways that start now know, {scope: outcome}: the one in C, the one in Python."""
    out = []
    for follower in FOLLOWERS:
        done = subprocess.run([*follower, job.env.kafka.bootstrap, job.control, "--until-end"],
                              check=True, stdout=subprocess.PIPE, text=True, timeout=60)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        out.append({row["scope"]: row["outcome"] for row in rows})
    return out


def denied(view):
    return {scope for scope, outcome in view.items() if outcome != "allow"}


def await_denied(job, expected, deadline_s=20):
    """Until both gateways would refuse exactly these scopes."""
    expected = set(expected)

    def sees():
        return all(denied(view) == expected for view in views(job))

    wait_until(sees, deadline_s, lambda: "the gateways refuse other scopes than expected: " + "; ".join(
        f"missing {sorted(expected - denied(view))}, too many {sorted(denied(view) - expected)}"
        for view in views(job)))


def check_gateways(test, job, recount, limits, default):
    """Gateways that start now refuse whom Postgres says is blocked, and that is whom the recount
    says is at the limit."""
    blocked = {tenant for (tenant, period), sums in recount.periods.items()
               if sums.requests >= limits.get(tenant, default)}
    test.assertEqual(sorted(blocked), [tenant for tenant, in job.rows(
        "SELECT DISTINCT tenant FROM tripmeter.quota_state WHERE blocked ORDER BY 1")])
    await_denied(job, {f"tenant/{tenant}" for tenant in blocked})


def compact(job):
    """Until only the last record of each scope is left on the control topic."""
    kafka = job.env.kafka
    kafka.tool("alter-topic-config", job.control, "cleanup.policy=compact", "segment.ms=100",
               "min.cleanable.dirty.ratio=0.001")

    def is_compact():
        # Only segments that are no longer written to are compacted: a record rolls one.
        kafka.produce(job.control, [{"key": "engine/999", "value": None}])
        keys = [message["key"] for message in kafka.consume(job.control)
                if not message["key"].startswith("engine/")]
        return len(keys) == len(set(keys))

    wait_until(is_compact, 60, "compaction")
