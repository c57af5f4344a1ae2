#!/usr/bin/python3
"""How well the anomaly detector does on real traffic, through `tripmeter detect`.

The traces are requests per 10 min of the clients of one model over two weeks (ServeGen).  In the
second week one fault a run is planted where the client is at work, at five places each:

    5x for 6 h     a loop, a leaked key
    ramp to 2x     over 24 h, and so for another 24 h
    drop to 0      for 6 h: an outage, or events that are not sent any more

A fault counts as detected when there is an alert from its first window to an hour after its end.
By chance: the share of the same spans that have an alert without the fault.

    tests/evaluate/evaluate.py      the program is $TRIPMETER_BIN, the traces' archive
                                    data/usage-traces.tar.zst in $TRIPMETER_SHARED or ../shared
"""

import os
import random
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("TRIPMETER_BIN", f"{ROOT}/build/cc-release/tripmeter")
SHARED = os.environ.get("TRIPMETER_SHARED", f"{ROOT}/../shared")
ARCHIVE = f"{SHARED}/data/usage-traces.tar.zst"
FOLDER = "servegen_m-large"

MINUTE, HOUR, DAY = 60, 3600, 86400
ROW = 10 * MINUTE
WEEK_ROWS = 7 * DAY // ROW
MONDAY = 1767571200  # 2026-01-05T00:00:00Z; the traces name no date
SEED = 20261121
PLACES = 5  # that a series gets each fault at

# name, rows it lasts, and the factor for the share of it that has passed
FAULTS = (
    ("5x for 6 h", 6 * HOUR // ROW, lambda passed: 5),
    ("ramp to 2x", 2 * DAY // ROW, lambda passed: 1 + min(1, 2 * passed)),
    ("drop to 0", 6 * HOUR // ROW, lambda passed: 0),
)


def with_traces(judge):
    """Hands the folder of the traces to `judge`; says what is missing where there are none."""
    if not os.path.exists(ARCHIVE):
        print(f"evaluate: left out: there is no {os.path.relpath(ARCHIVE)} (TRIPMETER_SHARED names "
              "the folder above data/)")
        return
    folder = f"{ROOT}/build/evaluate"
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["tar", "--zstd", "-xf", ARCHIVE, "-C", folder, FOLDER], check=True)
    judge(f"{folder}/{FOLDER}")


def read_series(folder):
    """Name and requests per row of each client."""
    for name in sorted(os.listdir(folder)):
        if name.endswith("-trace.csv"):
            with open(f"{folder}/{name}") as file:
                # seconds, requests per second, ...
                rates = [float(line.split(",")[1]) for line in file]
            yield name.removesuffix("-trace.csv"), [round(rate * ROW) for rate in rates]


def step_of(requests):
    """The width by volume: below 2 an hour two weeks hold too few windows to judge."""
    per_row = sum(requests) / len(requests)
    if per_row >= 2 * ROW / (5 * MINUTE):
        return 10 * MINUTE
    return HOUR if per_row >= 2 * ROW / HOUR else None


def alerts(requests, step):
    """Start of each window with an alert, in seconds since the first row."""
    rows = "".join(f"{MONDAY + i * ROW},{value}\n" for i, value in enumerate(requests))
    run = subprocess.run([BINARY, "detect", "--step", f"{step}s"], input=rows, text=True,
                         capture_output=True, check=True)
    windows = (line.split(",") for line in run.stdout.splitlines()[1:])
    return [int(at) - MONDAY for at, _, score, _ in windows if float(score) >= 1]


def places(requests, length, step, chance):
    """Starts in the second week, on a window's edge, at which the client is at work: at least half
    of its usual traffic in the fault's first 6 h."""
    usual = sum(requests) / len(requests)
    rows = 6 * HOUR // ROW
    last = min(len(requests), 2 * WEEK_ROWS) - length
    starts = [at for at in range(WEEK_ROWS, last + 1, step // ROW)
              if sum(requests[at:at + rows]) >= usual / 2 * rows]
    return chance.sample(starts, min(PLACES, len(starts)))


def plant(requests, start, length, factor):
    return [round(value * factor((i - start) / length)) if start <= i < start + length else value
            for i, value in enumerate(requests)]


def within(found, start, length):
    return any(start * ROW <= at < (start + length) * ROW + HOUR for at in found)


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "none"


def is_steady(requests, step):
    """Not one empty window in the first week."""
    rows = step // ROW
    return all(any(requests[i:i + rows]) for i in range(0, WEEK_ROWS, rows))


def report(title, judged, chance):
    print(f"\n{title}: {len(judged)} series, "
          f"{sum(step == HOUR for _, step, _ in judged)} of them in windows of 1 h")
    if not judged:
        return
    second = sorted(sum(at >= 7 * DAY for at in found) for *_, found in judged)
    print(f"alerts a series in the second week, nothing planted: {sum(second) / len(second):.2f} "
          f"(median {second[len(second) // 2]}, most {second[-1]})")
    print(f"{'planted':<12} {'faults':>6} {'detected':>9} {'by chance':>10}")
    for name, length, factor in FAULTS:
        planted = detected = lucky = 0
        for requests, step, found in judged:
            for start in places(requests, length, step, chance):
                faulty = alerts(plant(requests, start, length, factor), step)
                planted += 1
                lucky += within(found, start, length)
                detected += within(faulty, start, length)
        print(f"{name:<12} {planted:>6} {percent(detected, planted):>9} {percent(lucky, planted):>10}")


def evaluate(folder):
    chance = random.Random(SEED)
    judged = [(requests, step, alerts(requests, step)) for _, requests in read_series(folder)
              if (step := step_of(requests)) is not None]

    report("steady (no empty window in the first week)",
           [one for one in judged if is_steady(one[0], one[1])], chance)
    report("at times idle", [one for one in judged if not is_steady(one[0], one[1])], chance)


if __name__ == "__main__":
    with_traces(evaluate)
