"""An independent recount of usage events: what the settled totals must be.

Reads native events in the order of each partition (here: of each tenant) and shares no code with the
engine: decimals by `decimal`, local time by `zoneinfo`, duplicates by a dictionary.
"""

import collections
import datetime
import decimal
import json
import zoneinfo

NANO = decimal.Decimal("0.000000001")
UTC = datetime.timezone.utc


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def money(value):
    """A decimal text, or a number: the double it denotes."""
    exact = decimal.Decimal(value) if isinstance(value, str) else decimal.Decimal(float(value))
    with decimal.localcontext() as context:
        context.prec = 60
        return exact.quantize(NANO, rounding=decimal.ROUND_HALF_EVEN)


def month_start(at, zone):
    """First instant of the local month, as an instant."""
    local = at.astimezone(zone)
    return datetime.datetime(local.year, local.month, 1, tzinfo=zone).astimezone(UTC)


def hour_start(at, zone):
    """The local clock hour's start, or UTC midnight where that lies inside it."""
    local = at.astimezone(zone)
    start = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return max(start, midnight)


def text_of(at):
    return at.strftime("%Y-%m-%dT%H:%M")


class Row:
    def __init__(self):
        self.events = self.requests = self.input_tokens = self.output_tokens = 0
        self.cost = decimal.Decimal(0)

    def tuple(self):
        return (self.events, self.requests, self.input_tokens, self.output_tokens, self.cost)


class Period:
    """What a tenant's limits are compared with, and the highest it ever was."""

    def __init__(self):
        self.requests = self.peak_requests = 0
        self.cost = self.peak_cost = decimal.Decimal(0)

    def add(self, requests, cost):
        self.requests += requests
        self.cost += cost
        self.peak_requests = max(self.peak_requests, self.requests)
        self.peak_cost = max(self.peak_cost, self.cost)


class Recount:
    """zones: tenant -> name of its zone; projects: tenant -> names it declares (none: all go)."""

    def __init__(self, zones=None, projects=None, window=datetime.timedelta(minutes=15),
                 dedupe=True, record=True):
        self.zones = zones or {}
        self.projects = projects or {}
        self.window = window
        self.dedupe = dedupe
        self.record = record
        self.originals = {}  # identity -> where it was booked, and what is left to refund
        self.seen = {}
        self.now = datetime.datetime.min.replace(tzinfo=UTC)
        self.facts = collections.defaultdict(Row)
        self.keys = collections.defaultdict(Row)
        self.periods = collections.defaultdict(Period)
        self.counted = self.duplicates = self.dead = 0

    def is_duplicate(self, event, at):
        """The record's time is the event's own; what counts is the highest one so far.  What is older
        than the window is known from the record of settled events, however long ago it was."""
        self.now = max(self.now, at)
        identity = (event["subject"], event["source"], event["id"])
        before = self.seen.get(identity)
        self.seen[identity] = self.now
        late = self.record and at < self.now - self.window
        return before is not None and (late or self.now - before < self.window)

    def add(self, event):
        data = event["data"]
        kind = event["type"].split(".")[-2]
        at = instant(event["time"])
        if self.dedupe and self.is_duplicate(event, at):
            self.duplicates += 1
            return
        tenant = event["subject"]
        if kind == "refund" and self.record:
            self.refund(tenant, event)
            return
        self.counted += 1
        zone = zoneinfo.ZoneInfo(self.zones.get(tenant, "UTC"))
        project = data.get("project", "unassigned")
        if tenant in self.projects and project not in self.projects[tenant]:
            project = "unassigned"
        when = (text_of(hour_start(at, zone)), text_of(month_start(at, zone)))
        requests, cost = self.requests_and_cost(kind, data)
        self.periods[tenant, when[1]].add(requests, cost)
        rows = [self.facts[(tenant, project, data.get("feature", "")) + when]]
        if "api_key_id" in data:
            rows.append(self.keys[(tenant, data["api_key_id"]) + when])
        if kind in ("record", "settle"):
            self.originals.setdefault((tenant, event["source"], event["id"]), [rows, when, cost])
        for row in rows:
            row.events += 1
            row.requests += requests
            row.cost += cost
            if kind in ("record", "settle"):
                usage = data.get("usage", {})
                row.input_tokens += usage.get("input_tokens", 0)
                row.output_tokens += usage.get("output_tokens", 0)

    def refund(self, tenant, event):
        """Goes where its original is, and gives back no more than is left of it."""
        refers = event["data"]["refund_of"]
        original = self.originals.get((tenant, refers.get("source", event["source"]), refers["id"]))
        if original is None:
            self.dead += 1
            return
        rows, when, left = original
        cost = max(money(event["data"]["cost"]), -left)
        original[2] += cost
        self.counted += 1
        self.periods[tenant, when[1]].add(0, cost)
        for row in rows:
            row.events += 1
            row.cost += cost

    @staticmethod
    def requests_and_cost(kind, data):
        requests, cost = 0, decimal.Decimal(0)
        if kind in ("record", "settle"):
            failed = data.get("status") == "failed" and not money(data.get("cost", 0))
            if data.get("attempt", 1) == 1 and not failed:
                requests = data.get("usage", {}).get("requests", 1)
        if kind in ("record", "settle", "refund") and "cost" in data:
            cost = money(data["cost"])
        return requests, cost

    def add_all(self, lines):
        for line in lines:
            self.add(json.loads(line) if isinstance(line, (str, bytes)) else line)
        return self

    def fact_rows(self):
        return {key: row.tuple() for key, row in self.facts.items()}

    def key_rows(self):
        return {key: row.tuple() for key, row in self.keys.items()}

    def total(self, tenant=None):
        return sum((row.cost for key, row in self.facts.items() if tenant in (None, key[0])),
                   decimal.Decimal(0))
