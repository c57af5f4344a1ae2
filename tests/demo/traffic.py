"""A believable day at a gateway: who calls which models for what, and what goes wrong.

Every line that is sent is a line of events.jsonl, which the recount reads.  The gateway follows the
control topic as it should: calls of a blocked tenant are answered there and never reach a provider.
"""

import collections
import datetime
import json
import random
import subprocess
import threading
import time
from decimal import ROUND_HALF_EVEN, Decimal

Tenant = collections.namedtuple("Tenant", "name plan zone")
Model = collections.namedtuple("Model", "provider name input cached output weight")

# In the order of their traffic; the names are such that all partitions have their share.  The zones
# are where their months turn.
REGULARS = [
    Tenant("atlas-retail", "enterprise", "Europe/Berlin"),
    Tenant("cedar-homes", "enterprise", "Europe/Berlin"),
    Tenant("delta-freight", "enterprise", "America/New_York"),
    Tenant("marble-hotels", "professional", "Europe/Berlin"),
    Tenant("falcon-air", "professional", "Asia/Kolkata"),
    Tenant("orchard-legal", "professional", "Europe/Berlin"),
    Tenant("amber-foods", "professional", "Europe/Berlin"),
    Tenant("sable-motors", "professional", "Europe/Berlin"),
    Tenant("helios-news", "professional", "Europe/Berlin"),
    Tenant("verdant-energy", "professional", "Europe/Berlin"),
    Tenant("juniper-books", "starter", "Europe/Berlin"),
    Tenant("opal-studio", "starter", "Europe/Berlin"),
]
CLIMBER = Tenant("nimbus-travel", "starter", "Europe/Berlin")
SLEEPER = Tenant("lumen-labs", "free", "Europe/Berlin")
RUNAWAY = Tenant("harbor-maps", "enterprise", "Europe/Berlin")
TENANTS = [*REGULARS, CLIMBER, SLEEPER, RUNAWAY]

# Dollars per million tokens: input, cached input, output.
MODELS = [
    Model("openai", "gpt-4o", "2.50", "1.25", "10.00", 30),
    Model("openai", "gpt-4o-mini", "0.15", "0.075", "0.60", 30),
    Model("anthropic", "claude-sonnet-4", "3.00", "0.30", "15.00", 25),
    Model("google", "gemini-2.0-flash", "0.10", "0.025", "0.40", 10),
    Model("mistral", "mistral-large", "2.00", "2.00", "6.00", 5),
]
FEATURES = {"chat": 40, "search": 25, "summarise": 15, "code-review": 12, "nightly-report": 8}
NANO = Decimal("0.000000001")

# The sleeper's whole day: seconds after the start, tokens.  100,000 are allowed.
SLEEPER_CALLS = [(1.5, 31_000), (3.5, 65_000), (5.5, 9_000)]
EVENTS_PER_S = 520
UNREADABLE_EACH = 1500  # far below the one percent that raises an alert
CLIMBER_CALL = 2600  # tokens, about

# A loop in one feature: seconds after the start, calls a second, dollars each.  An hour of it may cost
# 50 (world.py); the gateway's author finds the loop as soon as it is cut.
LOOP_FEATURE = "geocode"
LOOP_AFTER_S = 7
LOOP_CALLS_PER_S = 60
LOOP_COST = "1.500000000"
CALM_CALLS_PER_S = 3


def price(model, tokens_in, cached, tokens_out):
    dollars = ((tokens_in - cached) * Decimal(model.input) + cached * Decimal(model.cached)
               + tokens_out * Decimal(model.output)) / 1_000_000
    return dollars.quantize(NANO, rounding=ROUND_HALF_EVEN)


class Day:
    """Makes events, nothing else: `now` gives the story's time.  No two days are the same."""

    def __init__(self, now):
        self.now = now
        self.random = random.Random()
        self.run = f"{self.random.getrandbits(32):08x}"
        self.number = 0
        self.made = 0
        self.recent = collections.deque(maxlen=400)
        self.weights = [1 / (rank + 1) ** 1.4 for rank in range(len(REGULARS))]

    def envelope(self, tenant, kind, data):
        self.number += 1
        at = self.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return {"specversion": "1.0", "id": f"{kind}-{self.run}-{self.number}",
                "source": "//gateway.eu-1/demo", "type": f"com.example.usage.{kind}.v1",
                "time": at, "subject": tenant.name, "data": data}

    def caller(self, tenant):
        """What every event says about where a call came from."""
        return {"request_id": f"{self.random.getrandbits(64):016x}",
                "feature": self.random.choices(list(FEATURES), FEATURES.values())[0],
                "project": self.random.choice(["web", "web", "mobile"]),
                "api_key_id": f"k-{tenant.name}-{self.random.randrange(3)}"}

    def call(self, tenant, tokens=None):
        """One call that succeeded."""
        model = self.random.choices(MODELS, [model.weight for model in MODELS])[0]
        tokens = tokens or int(self.random.lognormvariate(6.9, 0.8)) + 40
        tokens_out = int(tokens * self.random.uniform(0.05, 0.35))
        tokens_in = tokens - tokens_out
        cached = int(tokens_in * self.random.choice([0, 0, 0.4, 0.7]))
        return self.envelope(tenant, "record", {
            **self.caller(tenant), "provider": model.provider, "model": model.name,
            "status": "succeeded", "latency_ms": self.random.randrange(200, 4000),
            "usage": {"input_tokens": tokens_in, "cache_read_tokens": cached,
                      "output_tokens": tokens_out},
            "cost": f"{price(model, tokens_in, cached, tokens_out):f}"})

    def failed_and_retried(self, tenant):
        """The provider refused the first attempt, which cost nothing."""
        second = self.call(tenant)
        second["data"]["attempt"] = 2
        first = self.envelope(tenant, "record", {
            **second["data"], "attempt": 1, "status": "failed",
            "http_status": self.random.choice([429, 500, 503]), "usage": {"requests": 1},
            "cost": "0"})
        return [first, second]

    def refund(self):
        """A provider takes back half of what a recent call cost."""
        chosen = self.random.choice(self.recent)
        self.recent.remove(chosen)  # twice the half may be more than the whole
        _, original = chosen
        tenant = next(tenant for tenant in REGULARS if tenant.name == original["subject"])
        half = max(NANO, (Decimal(original["data"]["cost"]) / 2).quantize(NANO))
        data = {name: original["data"][name] for name in
                ("request_id", "feature", "project", "api_key_id", "provider", "model")}
        return self.envelope(tenant, "refund", {
            **data, "refund_of": {"id": original["id"], "source": original["source"],
                                  "time": original["time"]}, "cost": f"-{half:f}"})

    def refused(self, tenant):
        """The gateway answered 402 by itself, and says what that may have saved."""
        would = self.call(tenant, CLIMBER_CALL)["data"]
        data = {name: would[name] for name in ("request_id", "feature", "project", "api_key_id")}
        return self.envelope(tenant, "decision", {
            **data, "model_requested": would["model"],
            "decision": {"outcome": "block", "reason": "plan_allowance_exhausted",
                         "estimated_cost": would["cost"]}})

    def unreadable(self):
        """Three ways to break an event."""
        event = self.call(self.random.choice(REGULARS))
        line = json.dumps(event, separators=(",", ":"))
        return event["subject"], self.random.choice([
            line[:len(line) // 2],
            line.replace('"input_tokens":', '"input_tokens":-'),
            line.replace('"cost":"', '"cost":"about ')])

    def next(self):
        """(tenant's name, line) of what comes next from the regulars; several for a retry."""
        roll = self.random.random()
        if roll < 0.010 and self.recent:
            name, event = self.random.choice(self.recent)  # sent again: a duplicate
            return [(name, event)]
        self.made += 1
        if self.made % UNREADABLE_EACH == 0:
            return [self.unreadable()]
        if roll < 0.012 and self.recent:
            return [self.with_name(self.refund())]
        tenant = self.random.choices(REGULARS, self.weights)[0]
        events = self.failed_and_retried(tenant) if roll < 0.035 else [self.call(tenant)]
        self.recent.append(self.with_name(events[-1]))
        return [self.with_name(event) for event in events]

    @staticmethod
    def with_name(event):
        return event["subject"], event


class Gateway(threading.Thread):
    """Sends the day to Kafka at the pace of the clock, and heeds the control topic."""

    def __init__(self, world, climb_s, sleeper_calls=()):
        super().__init__(daemon=True)
        self.day = Day(world.now)
        self.world = world
        self.events_path = world.path("events.jsonl")
        self.file = open(self.events_path, "a", encoding="utf-8")
        self.producer = world.spawn(
            world.broker.command("-X", f"client.id={world.path('gateway')}", "produce", "usage"),
            world.path("gateway.log"), stdin=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.blocked = set()
        self.refused = collections.Counter()
        self.sent = 0
        self.sent_at = {}  # id -> monotonic time, of calls that may trip a limit
        self.climb_s = climb_s
        self.climbed = 0
        self.sleeper_calls = list(sleeper_calls)
        self.looped = self.chatted = 0.0  # seconds after the start up to which calls are made
        self.chats = 0
        self.loop_cut = self.loop_found = False
        self.over = threading.Event()
        self.failure = None

    def run_away(self, elapsed_s):
        """A feature at a calm pace, until a loop begins in it; its tenant's others go on throughout."""
        with self.lock:
            cut = self.loop_cut
            loops = elapsed_s >= LOOP_AFTER_S and not self.loop_found
        while self.looped < elapsed_s:
            self.looped += 1 / (LOOP_CALLS_PER_S if loops else CALM_CALLS_PER_S)
            if cut:
                self.refused[LOOP_FEATURE] += 1
            else:
                event = self.day.call(RUNAWAY, 300)
                event["data"]["feature"] = LOOP_FEATURE
                if loops:
                    event["data"]["cost"] = LOOP_COST
                self.send_watched(RUNAWAY, event)
        while self.chatted < elapsed_s:
            self.chatted += 1 / CALM_CALLS_PER_S
            event = self.day.call(RUNAWAY, 300)
            event["data"]["feature"] = "chat"
            self.send(RUNAWAY.name, event)
            self.chats += 1

    def set_blocked(self, tenant, is_blocked):
        with self.lock:
            (self.blocked.add if is_blocked else self.blocked.discard)(tenant)

    def heed(self, event):
        """What a gateway does with a record of the control topic; the demo blocks tenants, and one
        feature."""
        data = event["data"]
        if data["scope"] == f"feature/{RUNAWAY.name}/{LOOP_FEATURE}":
            with self.lock:
                self.loop_cut = data["outcome"] in ("block", "throttle")
                self.loop_found = self.loop_found or self.loop_cut
        if data["scope"].startswith("tenant/"):
            self.set_blocked(data["tenant"], data["outcome"] == "block")

    def is_blocked(self, tenant):
        with self.lock:
            return tenant.name in self.blocked

    def send(self, key, event):
        line = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
        now_ms = int(self.world.now().timestamp() * 1000)
        self.file.write(line + "\n")
        self.producer.stdin.write(
            json.dumps({"key": key, "value": line, "timestamp_ms": now_ms}) + "\n")
        self.sent += 1

    def send_watched(self, tenant, event):
        self.sent_at[event["id"]] = time.monotonic()
        self.send(tenant.name, event)

    def climb(self, elapsed_s):
        """The climber's calls: a million tokens in climb_s seconds, then on at that pace."""
        while self.climbed < 1_000_000 * elapsed_s / self.climb_s:
            if self.is_blocked(CLIMBER):
                self.refused[CLIMBER.name] += 1
                self.climbed += CLIMBER_CALL
                self.send_watched(CLIMBER, self.day.refused(CLIMBER))
            else:
                tokens = int(CLIMBER_CALL * self.day.random.uniform(0.7, 1.3))
                self.climbed += tokens
                self.send_watched(CLIMBER, self.day.call(CLIMBER, tokens))

    def run(self):
        try:
            self.play()
        except OSError as why:
            self.failure = f"the gateway cannot send: {why}"

    def play(self):
        start = time.monotonic()
        due = 0.0
        while not self.over.wait(0.02):
            elapsed_s = time.monotonic() - start
            while self.sleeper_calls and elapsed_s >= self.sleeper_calls[0][0]:
                _, tokens = self.sleeper_calls.pop(0)
                self.send_watched(SLEEPER, self.day.call(SLEEPER, tokens))
            self.climb(elapsed_s)
            self.run_away(elapsed_s)
            due = self.regular_until(due, elapsed_s)
            self.producer.stdin.flush()

    def regular_until(self, due, elapsed_s):
        while due < elapsed_s:
            for key, event in self.day.next():
                self.send(key, event)
            # Calls come in waves, not like a clock.
            wave = 1 + 0.35 * self.day.random.random() + (0.3 if int(elapsed_s) % 7 < 2 else -0.2)
            due += 1 / (EVENTS_PER_S * wave)
        return due

    def finish(self):
        """No more calls; everything is with the broker when this returns."""
        self.over.set()
        self.join(10)
        self.file.close()
        self.producer.stdin.close()
        if self.producer.wait(30) != 0 or self.failure:
            raise RuntimeError(self.failure or "the gateway's producer lost messages")


def month_turn(now, zone):
    """The next instant at which a month begins there."""
    local = now.astimezone(zone)
    year, month = (local.year, local.month + 1) if local.month < 12 else (local.year + 1, 1)
    return datetime.datetime(year, month, 1, tzinfo=zone).astimezone(datetime.timezone.utc)
