"""The faults of a chaos run: what each does, and the plan that a seed draws.

A fault begins, lasts, and heals itself; two of different groups overlap in a cycle. What they last
is part of the plan: nothing is waited for by it.
"""

import random
import time

SESSION_S = 10  # Kafka forgets a member after it: an engine is stopped for less
FAULTS = {}  # name -> (group, function)


def fault(group):
    def register(function):
        FAULTS[function.__name__.replace("_", " ")] = (group, function)
        return function

    return register


class Fault:
    """One of a plan: its name, and what was drawn for it."""

    def __init__(self, name, draw):
        self.name = name
        self.group, self.function = FAULTS[name]
        self.after_s = draw.uniform(0, 0.8)
        self.engine = draw.randrange(2)
        self.lasts_s = draw.uniform(1, 3)
        self.stopped_s = draw.uniform(1, SESSION_S - 2)
        self.delay_ms = draw.choice((20, 80, 250))
        self.bytes = [(draw.choice(("up", "down")), int(10 ** draw.uniform(1, 4.5)))
                      for _ in range(8)]

    def __str__(self):
        return (f"{self.name} (after {self.after_s:.2f} s, for {self.lasts_s:.2f} s, stopped for "
                f"{self.stopped_s:.2f} s, engine {self.engine + 1}, delay {self.delay_ms} ms, "
                f"cut after {self.bytes})")

    def run(self, chaos):
        time.sleep(self.after_s)
        self.function(self, chaos)


def plan_of(seed, cycles, only=""):
    """Pairs of faults, one a cycle. All come up before one does again; or only those named."""
    known = sorted(set(FAULTS) & set(only.split(","))) or sorted(FAULTS)
    draw = random.Random(f"{seed}/plan")
    deck = []
    made = []
    while len(made) < cycles:
        pair = []
        while len(pair) < 2:
            other = [name for name in deck
                     if not pair or FAULTS[name][0] != FAULTS[pair[0]][0]]
            if not other:
                fresh = list(known)
                draw.shuffle(fresh)
                deck += fresh
                continue
            deck.remove(other[0])
            pair.append(other[0])
        made.append([Fault(name, draw) for name in pair])
    return made


@fault("engine")
def engine_killed(self, chaos):
    engine = chaos.engines[self.engine]
    engine.kill()
    engine.start()


@fault("engine")
def engine_killed_twice(self, chaos):
    """The second time while it claims, or soon after."""
    engine_killed(self, chaos)
    time.sleep(self.lasts_s / 4)
    engine_killed(self, chaos)


@fault("engine")
def both_engines_killed(self, chaos):
    for engine in chaos.engines:
        engine.kill()
    time.sleep(self.lasts_s / 2)
    for engine in chaos.engines:
        engine.start()


@fault("engine")
def engine_stopped(self, chaos):
    engine = chaos.engines[self.engine]
    engine.pause()
    time.sleep(self.stopped_s)
    engine.resume()


@fault("kafka")
def broker_restarted(_, chaos):
    chaos.env.kafka.restart()


@fault("kafka")
def broker_killed(_, chaos):
    chaos.env.kafka.kill()
    chaos.env.kafka.start()


@fault("postgres")
def postgres_restarted(_, chaos):
    chaos.env.postgres.restart()


@fault("postgres")
def postgres_crashed(self, chaos):
    chaos.env.postgres.immediate()
    time.sleep(self.lasts_s / 2)
    chaos.env.postgres.start()


def slow(self, proxy):
    proxy.tell("delay", self.delay_ms)
    time.sleep(self.lasts_s)
    proxy.tell("open")


def torn(self, proxy):
    for direction, count in self.bytes:
        proxy.tell("cut-after", direction, count)
        time.sleep(self.lasts_s / len(self.bytes))
    proxy.tell("open")


@fault("postgres")
def connections_to_Postgres_slow(self, chaos):
    slow(self, chaos.to_postgres)


@fault("postgres")
def connections_to_Postgres_torn(self, chaos):
    torn(self, chaos.to_postgres)


@fault("kafka")
def connections_to_Kafka_slow(self, chaos):
    slow(self, chaos.to_kafka)


@fault("kafka")
def connections_to_Kafka_torn(self, chaos):
    torn(self, chaos.to_kafka)
