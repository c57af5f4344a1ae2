#!/usr/bin/python3
"""What the engine's rules make of real traffic: notes, tickets and pages, and what of planted leaks is told.

The traces are those of evaluate.py, at one price a request.  A page needs two weeks of evidence, which
is all there is of them: the first week is played twice, then the second is judged.  Every client is a
tenant of one feature; afterwards tenants of ten features are made of them, to see what is folded.

    tests/evaluate/anomaly.py       the program is $ANOMALY_EVALUATE, the traces' archive
                                    data/usage-traces.tar.zst in $TRIPMETER_SHARED or ../shared
"""

import os
import random
import statistics
import subprocess
from collections import Counter

from evaluate import (DAY, FAULTS, HOUR, ROOT, ROW, SEED, WEEK_ROWS, is_steady, percent, places,
                      plant, read_series, step_of, with_traces, within)

PROGRAM = os.environ.get("ANOMALY_EVALUATE", f"{ROOT}/build/cc-release/anomaly_evaluate")
PRICE = "0.01"
LEAD = 7 * DAY  # the first week once more
JUDGED = (LEAD + 7 * DAY, LEAD + 14 * DAY)
TIERS = ("note", "ticket", "page")
TEAM = 10


def judge(lines):
    """Words of each line that the engine's rules answer, by tenant."""
    text = "".join(f"{tenant} {feature} {' '.join(map(str, requests[:WEEK_ROWS] + requests))}\n"
                   for tenant, feature, requests in lines)
    run = subprocess.run([PROGRAM, PRICE], input=text, text=True, capture_output=True, check=True)
    answers = {tenant: [] for tenant, _, _ in lines}
    for line in run.stdout.splitlines():
        words = line.split()
        answers[words[1]].append(words)
    return answers


def incidents(answers):
    """Highest tier of each incident of the week that is judged, by (feature, metric, since)."""
    highest = {}
    for kind, _, feature, metric, since, _, tier, _ in (one for one in answers if one[0] == "note"):
        if JUDGED[0] <= int(since) < JUDGED[1]:
            key = (feature, metric, since)
            highest[key] = max(highest.get(key, 0), TIERS.index(tier))
    return highest


def told(answers, moment=None):
    """When something was noted (any series), and when people were told: alerts at least that high."""
    times = {tier: [] for tier in TIERS}
    noted = set()
    for words in answers:
        if words[0] == "note" and (*words[2:5],) not in noted:
            noted.add((*words[2:5],))
            times["note"].append(int(words[5]))
        elif words[0] == "alert" and words[4] in ("fires", "rises"):
            times["page" if int(words[5]) >= 25 else "ticket"].append(int(words[6]))
    times["ticket"] += times["page"]  # a page is a ticket, too
    return times


def in_week(times):
    return sum(JUDGED[0] <= at < JUDGED[1] for at in times)


def report_usual(title, answers):
    """Nothing planted: a series-week each."""
    found = [incidents(one) for one in answers]
    costs = [Counter(tier for (feature, metric, _), tier in one.items()
                     if feature != "-" and metric == "cost") for one in found]
    alerts = [told(one) for one in answers]
    weeks = len(answers)
    fired = [sum(words[0] == "alert" and words[4] == "fires" and
                 JUDGED[0] <= int(words[6]) < JUDGED[1] for words in one) for one in answers]
    print(f"\n{title}: {weeks} tenants, nothing planted, a week")
    print("series of cost, by what an incident reached at last: " + ", ".join(
        f"{sum(one[tier] for one in costs) / weeks:.2f} {name}s"
        for tier, name in enumerate(TIERS)))
    print(f"told a tenant: {sum(fired) / weeks:.2f} alerts (most {max(fired)}), "
          f"{sum(in_week(one['page']) for one in alerts) / weeks:.2f} pages; "
          f"tenants that were told nothing: {percent(sum(one == 0 for one in fired), weeks)}")
    return alerts


def report_planted(title, judged, chance):
    print(f"\n{title}: planted, and told by what; minutes are the median of those found")
    print(f"{'planted':<12} {'faults':>6}" +
          "".join(f" | {tier:>7} {'chance':>7} {'minutes':>8}" for tier in TIERS))
    for name, length, factor in FAULTS:
        found = {tier: [] for tier in TIERS}
        lucky = Counter()
        count = 0
        for requests, usual in judged:
            starts = places(requests, length, HOUR, chance)
            answers = judge([(f"t{start}", "f", plant(requests, start, length, factor))
                             for start in starts]) if starts else {}
            for start in starts:
                count += 1
                at = LEAD // ROW + start
                times = told(answers[f"t{start}"])
                for tier in TIERS:
                    lucky[tier] += within(usual[tier], at, length)
                    within_span = [one - at * ROW for one in times[tier]
                                   if within([one], at, length)]
                    found[tier] += [min(within_span)] if within_span else []
        print(f"{name:<12} {count:>6}" + "".join(
            f" | {percent(len(found[tier]), count):>7} {percent(lucky[tier], count):>7} "
            f"{statistics.median(found[tier]) / 60 if found[tier] else 0:>8.0f}" for tier in TIERS))


def report_teams(series):
    """Tenants of ten clients: what is told of them, and what was folded."""
    teams = [series[i:i + TEAM] for i in range(0, len(series) - TEAM + 1, TEAM)]
    answers = [judge([("t", f"f{i}", requests) for i, requests in enumerate(team)])["t"]
               for team in teams]
    report_usual(f"tenants of {TEAM} clients", answers)
    folded = Counter()
    for one in answers:
        last = {(*words[2:5],): words for words in one if words[0] == "note" and
                JUDGED[0] <= int(words[4]) < JUDGED[1] and words[6] != "note"}
        ever = {(*words[2:5],) for words in one if words[0] == "note" and words[7] != "-"}
        folded.update("folded" if key in ever else "told" for key in last)
    print(f"incidents of all series with the impact of a ticket: {sum(folded.values())}, "
          f"told by themselves: {folded['told']}, folded: {folded['folded']}")


def evaluate(folder):
    series = [requests for _, requests in read_series(folder) if step_of(requests) is not None]
    chance = random.Random(SEED)
    groups = (("steady clients", [one for one in series if is_steady(one, step_of(one))]),
              ("clients that are idle at times",
               [one for one in series if not is_steady(one, step_of(one))]))

    for title, members in groups:
        answers = [judge([("t", "f", requests)])["t"] for requests in members]
        alerts = report_usual(title, answers)
        report_planted(title, list(zip(members, alerts)), chance)
    report_teams(series)


if __name__ == "__main__":
    with_traces(evaluate)
