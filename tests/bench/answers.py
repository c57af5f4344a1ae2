"""The oracle's word for what must come of UM-1, and Postgres's for what was settled."""

from collections import Counter, namedtuple

import psycopg2
import psycopg2.extras

from tests.lib.postgres import query

NANO = 10**9
FIRST_HOUR = "2026-03-02T00:00:00Z"
Tenant = namedtuple("Tenant", "limits spent")  # limits: of quotas, in nano


def read_limits(path):
    """tenant -> Tenant"""
    with open(path, encoding="ascii") as lines:
        rows = [line.split() for line in lines]
    return {tenant: Tenant({"spend": int(limit), "feature_hour": int(hour)}, int(spent))
            for tenant, limit, hour, spent in rows}


def write_tenants(database, plan, limits):
    """limits: tenant -> {quota: limit in nano}"""
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(cursor, """
            INSERT INTO tripmeter.tenant_version (tenant, actor, reason, plan, limits) VALUES %s""",
            [(tenant, "bench", "bench", plan, psycopg2.extras.Json(
                {quota: f"{limit // NANO}.{limit % NANO:09d}" for quota, limit in own.items()}))
             for tenant, own in limits.items()])
    connection.close()


def read_totals(path):
    out = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            tenant, feature, *numbers = line.split("\t")
            hour, events, tokens_in, tokens_out, cost = map(int, numbers)
            out[(tenant, feature, hour)] = (events, tokens_in, tokens_out, cost)
    return out


def same(what, settled, made):
    """AssertionError naming a few that differ."""
    if settled == made:
        return
    wrong = [key for key in made.keys() | settled.keys() if made.get(key) != settled.get(key)]
    some = "; ".join(f"{key}: made {made.get(key)}, settled {settled.get(key)}"
                     for key in sorted(wrong)[:5])
    raise AssertionError(f"{len(wrong)} {what} differ: {some}")


def read_decisions(path):
    """(rule, tenant, subject, window, level)"""
    with open(path, encoding="ascii") as lines:
        return Counter((rule, tenant, subject, int(window), int(level)) for rule, tenant, subject,
                       window, level in (line.rstrip("\n").split("\t") for line in lines))


def check_decisions(job, path, rules):
    """Each of these rules, exactly once."""
    made = Counter({key: count for key, count in read_decisions(path).items() if key[0] in rules})
    decided = query(job.database, """
        SELECT rule, tenant, '', 0, step FROM tripmeter.transition
        WHERE rule = 'quota/spend' AND move IN ('fire', 'step')
        UNION ALL
        SELECT rule, tenant, labels->>'feature',
               (extract(epoch FROM (labels->>'period')::timestamptz - %s::timestamptz) / 3600)::int, step
        FROM tripmeter.transition WHERE rule = 'quota/feature_hour' AND move IN ('fire', 'step')
        UNION ALL
        SELECT 'burst/key', tenant, subject, (extract(epoch FROM min(began_at)) * 1000)::bigint, 0
        FROM tripmeter.throttle GROUP BY tenant, subject""", (FIRST_HOUR,))
    same("decisions", Counter(decided), made)
    return Counter(rule for rule, *_ in made.elements())


def check_answers(job, answers, limits, made, rules):
    """AssertionError where anything differs; how many decisions each rule made."""
    totals = read_totals(answers["totals"])
    rows = query(job.database, """
        SELECT tenant, feature, (extract(epoch FROM hour - %s::timestamptz) / 3600)::int,
               sum(events)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint,
               (sum(cost) * 1000000000)::bigint
        FROM tripmeter.tenant_fact GROUP BY 1, 2, 3""", (FIRST_HOUR,))
    same("totals", {row[:3]: row[3:] for row in rows}, totals)
    rows = query(job.database, """
        SELECT tenant, (cost * 1000000000)::bigint FROM tripmeter.period_total WHERE project = ''""")
    same("periods", dict(rows), {tenant: one.spent for tenant, one in limits.items() if one.spent})
    blocked = {row[0] for row in query(
        job.database, "SELECT tenant FROM tripmeter.quota_state WHERE blocked")}
    same("blocks", dict.fromkeys(blocked),
         dict.fromkeys(tenant for tenant, one in limits.items() if one.spent >= one.limits["spend"]))
    counts = query(job.database, """
        SELECT sum(counted)::bigint, sum(duplicates)::bigint, sum(dead)::bigint
        FROM tripmeter.progress""")[0]
    same("counts", {"events, repeats, dead": counts},
         {"events, repeats, dead": (made["events"], made["repeats"], 0)})
    return check_decisions(job, answers["decisions"], rules)
