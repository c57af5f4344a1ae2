"""What must be reached, what is aimed at, and what was found."""

from collections import namedtuple

from tests.bench.steady import LATE_MS

# first: the target of the first version; more: more is better; path: where the result has it.
# What begins with "scale" is measured by run_scale.py.
Target = namedtuple("Target", "name unit digits must aim first more path")

TARGETS = [
    Target("events/CPU s : raw consumer", "", 3, 0.39, 0.50, None, True, ("ratio", "median")),
    Target("the same, with limits only", "", 3, None, None, 0.25, True,
           ("ratio_limits_only", "median")),
    Target("events/CPU s : raw + parse", "", 3, 0.7, 0.85, None, True, ("ratio_parse", "median")),
    *(Target(f"decision above echo, {rate}, {what}", "ms", 2, must, aim,
             15 if (name, what) == ("5000", "p99") else None, False, ("steady", name, "above", key))
      for name, rate in (("2000", "2,000/s"), ("5000", "5,000/s"), ("half", "half load"))
      for what, key, must, aim in (("p99", "p99_ms", 8, 3), ("p99.9", "p999_ms", 25, 10))),
    Target("event visible in Postgres, p99", "ms", 0, 1200, 800, None, False,
           ("steady", "5000", "visible", "p99_ms")),
    Target("RSS for a million active keys", "MB", 0, 200, 130, None, False,
           ("scale", "mib_a_million_keys")),
    Target("RSS when idle", "MB", 1, 96, 64, 128, False, ("base_rss_mib",)),
    Target("CPU an event, 10 M keys : 1,000", "", 2, 3, 2, None, False, ("scale", "cpu_ratio")),
    Target("restart, 1 M keys, 3 M events behind", "s", 1, 10, 5, None, False,
           ("scale", "restart_s")),
    Target("rows settled/s : Postgres alone", "", 3, 0.7, 0.85, None, True,
           ("settled", "ratio", "median")),
    Target("CPU at 1,000 events/s", "%", 1, 5, 2, None, False, ("idle_cpu",)),
    Target("detector, a series as stored", "B", 0, 512, 400, None, False,
           ("detector", "stored_bytes")),
    Target("detector, a window", "ns", 0, 150, 90, None, False, ("detector", "window_ns")),
    Target("start to first decision", "s", 2, 2, 1, None, False, ("start", "median")),
]
# What a figure as it is kept is multiplied with: shares, and MiB.
FACTOR = {"%": 100, "MB": 1.048576}


def value(result, path):
    for name in path:
        if not isinstance(result, dict) or name not in result:
            return None
        result = result[name]
    return result


def reached(target, found, limit):
    return found >= limit if target.more else found <= limit


def late_ms(target, result):
    """A rate that could not be sent is none."""
    return value(result, (*target.path[:2], "sender_late_ms")) or 0


def verdict(target, result):
    found = value(result, target.path)
    if found is None:
        return "not measured here: make bench-scale"
    if late_ms(target, result) > LATE_MS:
        return f"void: the sender was {late_ms(target, result) / 1000:.0f} s late"
    found *= FACTOR.get(target.unit, 1)
    if not reached(target, found, target.first if target.must is None else target.must):
        return "missed"
    return "met, the aim too" if target.aim and reached(target, found, target.aim) else "met"


def number(target, amount):
    return "" if amount is None else f"{amount:,.{target.digits}f}"


def table(result, judged, of=None):
    """Lines; without judgement the last column is empty.  of: only those that begin with it."""
    lines = [f"{'':38}{'must':>8}{'aim':>8}{'first':>8}{'found':>10}"]
    for target in (one for one in TARGETS if of in (None, one.path[0])):
        found = value(result, target.path)
        if found is not None:
            found *= FACTOR.get(target.unit, 1)
        says = verdict(target, result) if judged or found is None else ""
        limits = "".join(f"{limit:>8,g}" if limit is not None else f"{'':8}"
                         for limit in (target.must, target.aim, target.first))
        lines.append(f"{target.name:38}{limits}{number(target, found):>10} {target.unit:4} {says}".rstrip())
    return lines


def missed(result):
    return [target.name for target in TARGETS if verdict(target, result) == "missed"]
