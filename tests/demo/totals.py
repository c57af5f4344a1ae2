"""What Postgres says was used, and an independent recount of what was sent."""

import collections
import json
from decimal import Decimal, InvalidOperation

from tests.demo.traffic import TENANTS
from tests.lib.postgres import query
from tests.lib.recount import Recount, instant

SETTLED = """
    SELECT tenant, project, feature, to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI'),
           to_char(period AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI'), sum(events)::bigint,
           sum(requests)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(cost)
    FROM tripmeter.tenant_fact GROUP BY 1, 2, 3, 4, 5"""
EVENTS = """
    SELECT sum(counted)::bigint, sum(duplicates)::bigint, sum(dead)::bigint
    FROM tripmeter.progress"""
PERIODS = """
    SELECT tenant, sum(cost) FROM tripmeter.period_total WHERE project = '' GROUP BY tenant"""

Sum = collections.namedtuple("Sum", "requests tokens cost")
NOTHING = Sum(0, 0, Decimal(0))


def readable(line):
    """The event of a line; None where no engine could count it."""
    try:
        event = json.loads(line)
        Decimal(event["data"].get("cost", "0"))
        counts = event["data"].get("usage", {}).values()
    except (ValueError, KeyError, InvalidOperation):
        return None
    return event if all(count >= 0 for count in counts) else None


class Totals:
    """rows: (tenant, project, feature, hour, month) -> (events, requests, in, out, cost)."""

    def __init__(self, rows, counted, duplicates, dead):
        self.rows = rows
        self.counted, self.duplicates, self.dead = counted, duplicates, dead

    def by_tenant(self):
        sums = collections.defaultdict(lambda: NOTHING)
        for (tenant, *_), (_, requests, tokens_in, tokens_out, cost) in self.rows.items():
            before = sums[tenant]
            sums[tenant] = Sum(before.requests + requests,
                               before.tokens + tokens_in + tokens_out, before.cost + cost)
        return sums


def settled(database):
    rows = {tuple(row[:5]): tuple(row[5:]) for row in query(database, SETTLED)}
    return Totals(rows, *query(database, EVENTS)[0])


def recounted(path, zones):
    recount, dead = Recount(zones), 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = readable(line)
            if event is None:
                dead += 1
            else:
                recount.add(event)
    return Totals(recount.fact_rows(), recount.counted, recount.duplicates, dead)


def differences(database, postgres, recount):
    """Sentences; none: equal in every row, every number, to the nano."""
    found = []
    for key in sorted(postgres.rows.keys() | recount.rows.keys()):
        if postgres.rows.get(key) != recount.rows.get(key):
            found.append(f"{' '.join(key)}: Postgres {postgres.rows.get(key)}, "
                         f"recount {recount.rows.get(key)}")
    for name in ("counted", "duplicates", "dead"):
        if getattr(postgres, name) != getattr(recount, name):
            found.append(f"events {name}: Postgres {getattr(postgres, name)}, "
                         f"recount {getattr(recount, name)}")
    sums = postgres.by_tenant()
    for tenant, cost in query(database, PERIODS):
        if sums[tenant].cost != cost:
            found.append(f"{tenant}: facts {sums[tenant].cost}, months {cost}")
    return found


def local(instant_text, zone):
    """An instant as people of that zone write it."""
    return instant(instant_text).astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def print_table(screen, postgres, recount):
    settled_sums, recounted_sums = postgres.by_tenant(), recount.by_tenant()
    screen.line(screen.style(f"{'TENANT':<15}{'PLAN':<13}{'REQUESTS':>9}{'TOKENS':>12}"
                             f"{'COST, USD':>14}{'RECOUNTED':>14}", "bold"))
    for tenant in TENANTS:
        print_row(screen, tenant.name, tenant.plan, settled_sums[tenant.name],
                  recounted_sums[tenant.name])
    print_row(screen, "all", "", *(Sum(*map(sum, zip(*sums.values())))
                                   for sums in (settled_sums, recounted_sums)))


def print_row(screen, name, plan, mine, other):
    mark = screen.style("=", "green") if mine == other else screen.style("not equal", "red", "bold")
    screen.line(f"{name:<15}{plan:<13}{mine.requests:>9,}{mine.tokens:>12,}{mine.cost:>14,.9f}"
                f"{other.cost:>14,.9f}  {mark}")
