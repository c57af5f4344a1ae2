"""The figures as a table, as a picture, beside those of last time, and the verdict."""

import json
import os

from tests.bench.machine import machine_line
from tests.lib.server import ROOT

LAST = os.path.join(ROOT, "docs", "bench-last.json")

# A figure: what it is, unit, digits, whether more is better, and where it stands in the result.
FIGURES = [
    ("raw consumer", "events/CPU s", 0, True, ("raw", "events_per_cpu_s")),
    ("raw consumer + parse", "events/CPU s", 0, True, ("parse", "events_per_cpu_s")),
    ("engine", "events/CPU s", 0, True, ("engine", "events_per_cpu_s")),
    ("engine : raw", "", 3, True, ("ratio", "median")),
    ("engine : raw + parse", "", 3, True, ("ratio_parse", "median")),
    ("raw consumer, wall", "events/s", 0, True, ("raw", "events_per_s")),
    ("engine, wall, from its start", "events/s", 0, True, ("engine", "events_per_s")),
    ("raw consumer, peak RSS", "MiB", 1, False, ("raw", "peak_rss_mib")),
    ("engine, peak RSS", "MiB", 1, False, ("engine", "peak_rss_mib")),
    ("engine, RSS when idle", "MiB", 1, False, ("base_rss_mib",)),
    ("echo at 200/s, p50", "ms", 2, False, ("echo_200", "p50_ms")),
    ("echo at 200/s, p99", "ms", 2, False, ("echo_200", "p99_ms")),
    ("echo at 5,000/s, p50", "ms", 2, False, ("echo", "p50_ms")),
    ("echo at 5,000/s, p99", "ms", 2, False, ("echo", "p99_ms")),
    ("event -> decision, p50", "ms", 2, False, ("latency", "decision", "p50_ms")),
    ("event -> decision, p99", "ms", 2, False, ("latency", "decision", "p99_ms")),
    ("event -> decision, p99.9", "ms", 2, False, ("latency", "decision", "p999_ms")),
    ("event -> visible in Postgres, p50", "ms", 0, False, ("latency", "visible", "p50_ms")),
    ("event -> visible in Postgres, p99", "ms", 0, False, ("latency", "visible", "p99_ms")),
    ("detector, a series as it is stored", "bytes", 0, False, ("detector", "stored_bytes")),
    ("detector, a window", "ns", 0, False, ("detector", "window_ns")),
    ("engine at 5,000/s", "CPU s/s", 3, False, ("latency_cpu",)),
]

# A target: what it says, and whether the result meets it.
TARGETS = [
    ("engine : raw at least 0.25", lambda r: r["ratio"]["median"] >= 0.25),
    ("decision p99 at most the echo's + 15 ms",
     lambda r: r["latency"]["decision"]["p99_ms"] <= r["echo"]["p99_ms"] + 15),
    ("detector at most 512 bytes a series and 150 ns a window",
     lambda r: r["detector"]["stored_bytes"] <= 512 and r["detector"]["window_ns"] <= 150),
    ("RSS when idle at most 128 MiB", lambda r: r["base_rss_mib"] <= 128),
]


def value(result, path):
    for name in path:
        if not isinstance(result, dict) or name not in result:
            return None
        result = result[name]
    return result


def difference(now, last, more_is_better):
    if not last:
        return ""
    percent = (now - last) / last * 100
    if abs(percent) < 0.5:
        return "as last"
    word = "better" if (percent > 0) == more_is_better else "worse"
    return f"{percent:+.0f} % ({word})"


def table(result, last):
    ratio = result["ratio"]
    lines = [machine_line(result["machine"]),
             f"{result['events']:,} events of {result['made']['bytes_each']} bytes, lz4, 8 partitions; "
             f"medians of {result['rounds']}, "
             f"ratio {ratio['least']:.3f} to {ratio['most']:.3f}; {result['took_s']:.0f} s in all", "",
             f"{'':36}{'now':>14} {'':12} {'last':>14}"]
    for name, unit, digits, more_is_better, path in FIGURES:
        now, before = value(result, path), value(last, path)
        then = "" if before is None else f"{before:,.{digits}f}"
        lines.append(f"{name:36}{now:>14,.{digits}f} {unit:12} {then:>14} "
                     f"{difference(now, before, more_is_better)}".rstrip())
    return lines


def bars(title, rows, top):
    """A group of horizontal bars; rows: (name, number, text, colour)."""
    most = max(number for _, number, _, _ in rows) or 1
    out = [f'<text x="20" y="{top}" class="title">{title}</text>']
    for i, (name, number, text, colour) in enumerate(rows):
        y = top + 14 + 26 * i
        width = 440 * number / most
        out.append(f'<text x="230" y="{y + 14}" text-anchor="end">{name}</text>'
                   f'<rect x="240" y="{y}" width="{width:.1f}" height="19" fill="{colour}"/>'
                   f'<text x="{246 + width:.1f}" y="{y + 14}">{text}</text>')
    return out, top + 14 + 26 * len(rows) + 34


def plot(result):
    grey, light, blue = "#8a8f98", "#c3c7cd", "#2463a8"
    rates = [(name, result[key]["events_per_cpu_s"], f"{result[key]['events_per_cpu_s']:,.0f}", colour)
             for name, key, colour in (("raw consumer", "raw", grey),
                                       ("raw consumer + parse", "parse", light),
                                       ("engine", "engine", blue))]
    times = []
    for name, path, colour in (("echo p50", ("echo", "p50_ms"), grey),
                               ("decision p50", ("latency", "decision", "p50_ms"), blue),
                               ("echo p99", ("echo", "p99_ms"), grey),
                               ("decision p99", ("latency", "decision", "p99_ms"), blue)):
        number = value(result, path)
        times.append((name, number, f"{number:.1f} ms", colour))
    first, y = bars("Events per CPU second", rates, 34)
    second, y = bars("At 5,000 events/s: from the event to what follows from it", times, y)
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="780" height="{y - 10}" '
                      'font-family="sans-serif" font-size="13">',
                      "<style>.title{font-weight:bold;font-size:15px}</style>",
                      '<rect width="100%" height="100%" fill="white"/>', *first, *second, "</svg>", ""])


def write(result, directory, judged, save):
    """Prints and keeps everything; the exit status."""
    last = {}
    if os.path.exists(LAST):
        with open(LAST, encoding="utf-8") as file:
            last = json.load(file)
    lines = table(result, last)
    missed = [name for name, met in TARGETS if not met(result)]
    lines += ["", *(f"{'missed' if name in missed else 'met   '}  {name}" for name, _ in TARGETS)]
    if not judged:
        lines.append("(a quick run decides nothing)")
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
    return 1 if missed and judged else 0
