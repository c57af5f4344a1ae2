"""Made usage events: many tenants, features, models and keys, from a seed."""

import datetime
import random
import uuid

UTC = datetime.timezone.utc
ZONES = ["UTC", "Asia/Kolkata", "America/New_York"]
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet")]


def event(number, tenant="acme", at="2026-03-02T10:00:00Z", kind="record", **data):
    """One native event; `data` replaces and adds members, None removes one."""
    body = {"request_id": f"r-{number}", "feature": "chat", "project": "web", "api_key_id": "k1",
            "provider": "openai", "model": "gpt-4o", "status": "succeeded",
            "usage": {"input_tokens": 100, "output_tokens": 20}, "cost": "0.010000000"}
    body.update(data)
    if isinstance(at, datetime.datetime):
        at = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {"specversion": "1.0", "id": f"{kind}-{number}", "source": "//gw/test",
            "type": f"com.example.usage.{kind}.v1", "time": at, "subject": tenant,
            "data": {name: value for name, value in body.items() if value is not None}}


def now():
    return datetime.datetime.now(UTC)


class Generator:
    """Events of `tenants` tenants in order of time, with repeats, refunds and what cannot be read."""

    def __init__(self, seed, tenants=40, start="2026-01-31T20:00:00+00:00", step_s=0.5):
        self.random = random.Random(seed)
        self.tenants = [f"t-{i:03d}" for i in range(tenants)]
        self.zones = {name: ZONES[i % len(ZONES)] for i, name in enumerate(self.tenants)}
        self.at = datetime.datetime.fromisoformat(start)
        self.step_s = step_s
        self.number = 0
        self.recent = []

    def next(self):
        roll = self.random.random()
        if roll < 0.01 and self.recent:
            return self.random.choice(self.recent)  # sent again
        self.number += 1
        self.at += datetime.timedelta(seconds=self.random.expovariate(1 / self.step_s))
        made = self.bad() if roll < 0.013 else self.refund() if roll < 0.02 else self.usage()
        self.recent.append(made)
        if len(self.recent) > 200:
            self.recent.pop(0)
        return made

    def tenant(self):
        """Zipf: the first has most."""
        weights = [1 / (i + 1) for i in range(len(self.tenants))]
        return self.random.choices(self.tenants, weights)[0]

    def usage(self):
        provider, model = self.random.choice(MODELS)
        tenant = self.tenant()
        cost = self.random.choice([f"{self.random.randrange(10**9) / 10**9:.9f}",
                                   f"{self.random.randrange(1, 10**6)}e-9", "0E-9",
                                   self.random.randrange(10**6) / 10**7])
        return event(self.number, tenant, self.at, provider=provider, model=model,
                     feature=self.random.choice(["chat", "search", "batch", "agent"]),
                     project=self.random.choice(["web", "app", None]),
                     api_key_id=self.random.choice([f"k-{tenant}-{i}" for i in range(5)] + [None]),
                     request_id=str(uuid.UUID(int=self.random.getrandbits(128))),
                     attempt=self.random.choice([1, 1, 1, 2]),
                     status=self.random.choice(["succeeded"] * 9 + ["failed"]),
                     usage={"input_tokens": self.random.randrange(5000),
                            "output_tokens": self.random.randrange(2000)}, cost=cost)

    def refund(self):
        """Of a recent event, whatever that is: some are of none that was counted, some too large."""
        original = {} if self.random.random() < 0.1 or not self.recent else (
            self.random.choice(self.recent))
        return event(self.number, original.get("subject", "t-000"), self.at, "refund",
                     refund_of={"id": original.get("id", "record-0")},
                     cost=f"-{self.random.randrange(1, 10**6)}e-9", usage=None)

    def bad(self):
        """What is refused, each in its own way."""
        made = self.usage()
        self.random.choice([lambda: made["data"].update(cost="-1"),
                            lambda: made["data"]["usage"].update(input_tokens=-5),
                            lambda: made.pop("id"),
                            lambda: made["data"].update(cost="12abc")])()
        made["bad"] = True
        return made

    def take(self, count):
        return [self.next() for _ in range(count)]
