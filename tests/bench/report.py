"""The figures as a table, as a picture, beside those of last time, and the verdict."""

import json
import os

from tests.bench import targets
from tests.bench.machine import machine_line
from tests.bench.plot import plot
from tests.bench.targets import value
from tests.lib.server import ROOT

LAST = os.path.join(ROOT, "docs", "bench-last.json")

# A figure: what it is, unit, digits, whether more is better, and where it stands in the result.
FIGURES = [
    ("raw consumer", "events/CPU s", 0, True, ("raw", "events_per_cpu_s")),
    ("raw consumer + parse", "events/CPU s", 0, True, ("parse", "events_per_cpu_s")),
    ("engine", "events/CPU s", 0, True, ("engine", "events_per_cpu_s")),
    ("engine with limits only", "events/CPU s", 0, True, ("limits_only", "events_per_cpu_s")),
    ("engine : raw", "", 3, True, ("ratio", "median")),
    ("engine : raw + parse", "", 3, True, ("ratio_parse", "median")),
    ("raw consumer, wall", "events/s", 0, True, ("raw", "events_per_s")),
    ("engine, wall, from its start", "events/s", 0, True, ("engine", "events_per_s")),
    ("raw consumer, peak RSS", "MiB", 1, False, ("raw", "peak_rss_mib")),
    ("engine, peak RSS", "MiB", 1, False, ("engine", "peak_rss_mib")),
    ("engine, RSS when idle", "MiB", 1, False, ("base_rss_mib",)),
    ("rows written, catching up", "rows/s", 0, True, ("settled", "rows_per_s")),
    ("rows written by Postgres alone", "rows/s", 0, True, ("postgres", "rows_per_s")),
    ("rows written an event", "", 2, False, ("settled", "rows_per_event")),
    ("write-ahead log an event", "bytes", 0, False, ("settled", "wal_bytes_per_event")),
    *((f"{what} at {rate}, {short}", "ms", 2, False, ("steady", name, key, f"{short.replace('.', '')}_ms"))
      for name, rate in (("2000", "2,000/s"), ("5000", "5,000/s"), ("half", "half load"))
      for what, key in (("echo", "echo"), ("decision", "decision"))
      for short in ("p50", "p99", "p99.9")),
    ("visible in Postgres at 5,000/s, p50", "ms", 0, False, ("steady", "5000", "visible", "p50_ms")),
    ("visible in Postgres at 5,000/s, p99", "ms", 0, False, ("steady", "5000", "visible", "p99_ms")),
    ("engine at 5,000/s", "CPU s/s", 3, False, ("steady", "5000", "cpu")),
    ("engine at half load", "CPU s/s", 3, False, ("steady", "half", "cpu")),
    ("engine at 1,000/s", "CPU s/s", 3, False, ("idle_cpu",)),
    ("start to first decision", "s", 2, False, ("start", "median")),
    ("detector, a series as it is stored", "bytes", 0, False, ("detector", "stored_bytes")),
    ("detector, a window", "ns", 0, False, ("detector", "window_ns")),
]


def difference(now, last, more_is_better):
    if not last:
        return ""
    percent = (now - last) / last * 100
    if abs(percent) < 0.5:
        return "as last"
    word = "better" if (percent > 0) == more_is_better else "worse"
    return f"{percent:+.0f} % ({word})"


def head(result):
    ratio, half = result["ratio"], result["steady"]["half"]
    return [f"machine: {machine_line(result['machine'])}",
            f"{result['events']:,} events of {result['made']['bytes_each']} bytes, lz4, 8 partitions; "
            f"{result['rounds']} rounds, medians; ratio {ratio['least']:.3f} to {ratio['most']:.3f}; "
            f"{result['took_s']:.0f} s in all",
            "totals, periods and decisions equal the oracle's: "
            + ", ".join(f"{count:,} of {rule}" for rule, count in result["decisions"].items()),
            f"{result['seconds']} s at each rate; half load: {half['rate']:,} events/s, of which one in "
            f"{half['every']} decides; the sender was at most {half['sender_late_ms']:,.0f} ms late",
            *(f"decision above the echo at {one['rate']:,}/s, p99, by round: "
              f"{one['above_spread']['p99_ms'][0]:.1f} to {one['above_spread']['p99_ms'][1]:.1f} ms; "
              f"p99.9 of {one['samples']:,} decisions" for one in result["steady"].values()),
            f"record of settled events: {'on, so nothing is judged' if result['record'] else 'off'}"]


def figures(result, last):
    lines = [f"{'':38}{'now':>14} {'':12} {'last':>14}"]
    for name, unit, digits, more_is_better, path in FIGURES:
        now, before = value(result, path), value(last, path)
        then = "" if before is None else f"{before:,.{digits}f}"
        lines.append(f"{name:38}{now:>14,.{digits}f} {unit:12} {then:>14} "
                     f"{difference(now, before, more_is_better)}".rstrip())
    return lines


def read_last():
    if not os.path.exists(LAST):
        return {}
    with open(LAST, encoding="utf-8") as file:
        last = json.load(file)
    # Before there were several rates, there was one.
    if "steady" not in last and "latency" in last:
        last["steady"] = {"5000": {"echo": last["echo"], "decision": last["latency"]["decision"],
                                   "visible": last["latency"]["visible"],
                                   "cpu": last["latency_cpu"]}}
    return last


def write(result, directory, judged, save):
    """Prints and keeps everything; the exit status."""
    missed = targets.missed(result) if judged else []
    lines = [*head(result), "", *figures(result, read_last()), "", *targets.table(result, judged), ""]
    if not judged:
        lines.append("(this run decides nothing)")
    elif missed:
        lines.append(f"missed: {'; '.join(missed)}")
    else:
        lines.append("all that must be is met")
    os.makedirs(directory, exist_ok=True)
    for name, text in (("report.txt", "\n".join(lines) + "\n"), ("plot.svg", plot(result)),
                       ("result.json", json.dumps(result, indent=2) + "\n")):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
            out.write(text)
    if save:
        kept = {key: value_ for key, value_ in result.items() if key != "runs"}
        with open(LAST, "w", encoding="utf-8") as out:
            out.write(json.dumps(kept, indent=2) + "\n")
    print("\n" + "\n".join(lines))
    print(f"\nbench: {directory}/report.txt, plot.svg, result.json")
    return 1 if missed else 0
