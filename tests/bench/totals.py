"""The generator's word for what it wrote, and Postgres's for what was settled."""

import psycopg2
import psycopg2.extras

from tests.lib.postgres import query

NANO = 10**9
FIRST_HOUR = "2026-03-02T00:00:00Z"


def read_limits(path):
    """tenant -> (limit, what it spends), in nano"""
    with open(path, encoding="ascii") as lines:
        rows = (line.split() for line in lines)
        return {tenant: (int(limit), int(spent)) for tenant, limit, spent in rows}


def write_tenants(database, plan, limits):
    """limits: tenant -> limit of `spend` in nano, or None."""
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(cursor, """
            INSERT INTO tripmeter.tenant_version (tenant, actor, reason, plan, limits) VALUES %s""",
            [(tenant, "bench", "bench", plan, psycopg2.extras.Json(
                {} if limit is None else {"spend": f"{limit // NANO}.{limit % NANO:09d}"}))
             for tenant, limit in limits.items()])
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


def check_totals(job, path, limits, made):
    totals = read_totals(path)
    rows = query(job.database, """
        SELECT tenant, feature, (extract(epoch FROM hour - %s::timestamptz) / 3600)::int,
               sum(events)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint,
               (sum(cost) * 1000000000)::bigint
        FROM tripmeter.tenant_fact GROUP BY 1, 2, 3""", (FIRST_HOUR,))
    same("totals", {row[:3]: row[3:] for row in rows}, totals)
    rows = query(job.database, """
        SELECT tenant, (cost * 1000000000)::bigint FROM tripmeter.period_total WHERE project = ''""")
    same("periods", dict(rows), {tenant: spent for tenant, (_, spent) in limits.items() if spent})
    blocked = {row[0] for row in query(
        job.database, "SELECT tenant FROM tripmeter.quota_state WHERE blocked")}
    same("blocks", dict.fromkeys(blocked),
         dict.fromkeys(t for t, (limit, spent) in limits.items() if spent >= limit))
    counts = query(job.database, """
        SELECT sum(counted)::bigint, sum(duplicates)::bigint, sum(dead)::bigint
        FROM tripmeter.progress""")[0]
    same("counts", {"events, repeats, dead": counts},
         {"events, repeats, dead": (made["events"], made["repeats"], 0)})
