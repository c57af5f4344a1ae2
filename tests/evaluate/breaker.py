#!/usr/bin/python3
"""How often the breaker would have cut real traffic, and how soon it finds planted runaways.

The traces are requests per 10 min of the clients of one model over two weeks (ServeGen), at one
price a request.  The first week is learned, the second judged; every cut of the second week is taken
for a false one.  Then runaways are planted at five places of the second week: for an hour, 4, 10 and
20 times the 95th percentile of the client's hours on top of what it does.

    tests/evaluate/breaker.py       the program is $BREAKER_EVALUATE, the traces' archive
                                    data/usage-traces.tar.zst in $TRIPMETER_SHARED or ../shared
"""

import os
import subprocess

from evaluate import ROOT, read_series, with_traces

PROGRAM = os.environ.get("BREAKER_EVALUATE", f"{ROOT}/build/cc-release/breaker_evaluate")
PRICES = ("0.01",)
FACTORS = (4, 10, 20)
OPTIONS = {"medians": "medians alone (m)", "high": "95th percentile alone (p)",
           "enforced": "max(m, p), enforced", "shadow": "max(m, p), in shadow", "budget": "a budget of p of the first week"}


def judge(series, price):
    """{option: rows of numbers}, a row a client that is not idle in the second week."""
    text = "".join(f"{name} {' '.join(map(str, requests))}\n" for name, requests in series)
    run = subprocess.run([PROGRAM, price], input=text, text=True, capture_output=True, check=True)
    rows = {option: [] for option in OPTIONS}
    for line in run.stdout.splitlines():
        _, option, *numbers = line.split()
        rows[option].append([float(number) for number in numbers])
    return rows


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "none"


def report(price, rows):
    print(f"\n{len(rows['shadow'])} clients, {price} USD a request")
    print(f"{'baseline':<32} {'cuts a week':>11} {'clients cut':>11} {'warnings':>9}" +
          "".join(f" | {f'{factor}x: soon':>9} {'in 1 h':>6} {'min':>5} {'past':>5}"
                  for factor in FACTORS) + " | watched")
    for option, title in OPTIONS.items():
        one = rows[option]
        line = (f"{title:<32} {sum(row[0] for row in one) / len(one):>11.2f}"
                f" {percent(sum(row[0] > 0 for row in one), len(one)):>11}"
                f" {sum(row[1] for row in one) / len(one):>9.2f}")
        for place in range(len(FACTORS)):
            planted, watched, soon, found, minutes, past = (
                sum(row[2 + 6 * place + i] for row in one) for i in range(6))
            line += (f" | {percent(soon, watched):>9} {percent(found, watched):>6}"
                     f" {minutes / max(found, 1):>5.1f} {past / max(found, 1):>5.2f}")
        line += f" | {percent(watched, planted):>7}"
        print(line)


def evaluate(folder):
    series = [(name, requests) for name, requests in read_series(folder)
              if sum(requests[1008:]) >= 168]  # at least one an hour in the second week
    for price in PRICES:
        report(price, judge(series, price))


if __name__ == "__main__":
    with_traces(evaluate)
