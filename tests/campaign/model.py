"""The campaign's log and what must come of it: made events, and an independent recount.

One shard each. The recount shares no code with the engine; of what it books see tests/lib/recount.py.
"""

import collections
import datetime
import json
import random

from tests.lib.generate import event
from tests.lib.recount import Recount, instant, month_start

START = datetime.datetime(2026, 3, 30, tzinfo=datetime.timezone.utc)
STEPS = (50, 75, 90, 100)
TENANTS = 8


class Log:
    """Records of one shard in order: repeats inside and outside the window, repeats that say
    something else, late events, refunds, arrays, tombstones, and what cannot be read."""

    def __init__(self, seed, shard):
        self.random = random.Random(f"{seed}/log/{shard}")
        self.shard = shard
        self.at = START
        self.number = 0
        self.sent = []
        self.records = []

    def tenant(self):
        weights = [1 / (i + 1) for i in range(TENANTS)]
        number = self.random.choices(range(TENANTS), weights)[0]
        return f"s{self.shard}-t{number}"

    def usage(self):
        pick = self.random.choice
        self.number += 1
        late = self.random.choices((0, 1, 72), (50, 4, 1))[0]
        at = self.at - datetime.timedelta(hours=late, seconds=self.random.randrange(60))
        kind = self.random.choices(("record", "refund"), (30, 1))[0]
        nano = self.random.randrange(10**10)
        tenant = self.tenant()
        more = {"usage": {"requests": self.random.randrange(1, 30),
                          "input_tokens": self.random.randrange(5000)}}
        if kind == "refund":
            # Of anything that was sent, near or far: some were refused, some are refunds themselves.
            of = pick(self.sent[-self.random.choice((3, 40, 4000)):] or [{}])
            more = {"refund_of": {"id": of.get("id", "record-1")}, "usage": None}
            tenant = of.get("subject", tenant)
        return event(f"{self.shard}-{self.number}", tenant, at, kind,
                     feature=pick(("chat", "search", None)), project=pick(("web", "app", None)),
                     api_key_id=pick(("k1", "k2", None)),
                     cost=f"{'-' if kind == 'refund' else ''}{nano // 10**9}.{nano % 10**9:09}",
                     **more)

    def again(self):
        made = dict(self.random.choice(self.sent[-120:]))
        if self.random.random() < 0.1:
            made["data"] = {**made["data"], "cost": "77.000000001"}
            if ".refund." in made["type"]:
                made["data"]["cost"] = "-77.000000001"
        return made

    def value(self):
        roll = self.random.random()
        if roll < 0.01:
            return ""
        if roll < 0.02:
            return '{"specversion": "1.0", "id": "torn'
        events = [self.again() if self.sent and self.random.random() < 0.15 else self.usage()
                  for _ in range(self.random.choices((1, 2, 5), (16, 2, 1))[0])]
        self.sent.extend(events)
        return json.dumps(events if len(events) > 1 else events[0])

    def record(self):
        step_s = self.random.expovariate(1 / 25)
        self.at += datetime.timedelta(milliseconds=int(step_s * 1000) + 1)
        # Producers and brokers do not always agree about the time.
        behind = self.random.choice((0, 0, 0, 0, 7))
        line = (round((self.at.timestamp() - behind) * 1000), f"s{self.shard}", self.value())
        self.records.append(line)
        return "\t".join(map(str, line)) + "\n"


class Model(Recount):
    """What one shard's log comes to."""

    def __init__(self, limit, dedupe, window, records):
        super().__init__(window=window)
        self.limit = limit
        self.dedupe = dedupe
        self.records = records
        self.ignored = 0
        self.occurrences = {}
        self.settled = {}
        self.offset = -1
        self.shard_time = None
        self.used = collections.Counter()
        self.alerts = collections.defaultdict(set)

    def add_record(self, time_ms, value):
        at = datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(
            milliseconds=time_ms)
        self.offset += 1
        self.now = max(self.now, at)
        if value == "":
            self.ignored += 1
            return
        try:
            found = json.loads(value)
        except ValueError:
            self.dead += 1
            return
        for one in found if isinstance(found, list) else [found]:
            self.add_one(one)

    def add_one(self, one):
        identity = (one["subject"], one["source"], one["id"])
        content = json.dumps({"type": one["type"], "data": {
            name: one["data"].get(name) for name in ("usage", "cost", "refund_of")}})
        before = self.occurrences.get(identity)
        if self.dedupe and before is not None:
            at, offset, said = before
            if self.now - at < self.window and self.offset - offset < self.records:
                if said != content:
                    self.dead += 1
                    return
                self.occurrences[identity] = (self.now, self.offset, content)
                self.duplicates += 1
                return
        self.occurrences[identity] = (self.now, self.offset, content)
        early = min(self.window / 2, datetime.timedelta(minutes=5))
        if self.dedupe and instant(one["time"]) < self.now - self.window + early and (
                identity in self.settled):
            self.duplicates += self.settled[identity] == content
            self.dead += self.settled[identity] != content
            return
        counted = self.counted
        self.add(one)
        if self.counted > counted:
            self.settled.setdefault(identity, content)
            self.judge(one)

    def is_duplicate(self, event, at):
        return False  # answered above

    def judge(self, one):
        """Steps speak when the present period's total reaches them."""
        period = month_start(self.now, datetime.timezone.utc)
        if month_start(instant(one["time"]), datetime.timezone.utc) != period:
            return
        tenant = one["subject"]
        self.used[tenant, period] += one["data"].get("usage", {}).get("requests", 0)
        for step in STEPS:
            if self.used[tenant, period] * 100 >= step * self.limit:
                self.alerts[tenant, period].add(step)
