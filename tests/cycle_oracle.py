"""What billing periods and local hours should be, from Python's own time zone code.

    cycle_oracle.py SEED COUNT

prints COUNT random cases, one a line:

    zone kind day step year month day at_ms start_ms end_ms hour_start_ms hour_end_ms

kind is the order of enum cycle_kind; the hour is "0 0" in most lines because it is found by a
search over instants, which takes its time.  Nothing here follows core/cycle.c: a local time becomes an instant through
PEP 495 (fold), a gap is closed by searching for the moment at which the offset changes, periods
come from listing dates, hours from asking which instants look alike.
"""
import calendar
import functools
import random
import sys
import zoneinfo
from datetime import date, datetime, timedelta, timezone

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MONTH, ANCHOR, CONTRACT, WEEK, DAYS = range(5)
FAVOURITES = [
    "Africa/Lagos", "Africa/Casablanca", "Africa/Cairo", "America/New_York", "America/Sao_Paulo",
    "America/St_Johns", "America/Havana", "America/Asuncion", "America/Nuuk", "Asia/Kathmandu",
    "Asia/Kolkata", "Asia/Gaza", "Asia/Beirut", "Asia/Amman", "Asia/Tehran", "Atlantic/Azores",
    "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham",
    "Pacific/Kwajalein", "UTC",
]


def whole_seconds(instant):
    return (instant - EPOCH) // SECOND


def offset_at(zone, second):
    return (EPOCH + second * SECOND).astimezone(zone).utcoffset() // SECOND


@functools.lru_cache(maxsize=200000)
def midnight(name, day):
    """The second of local midnight: the first one, or the first instant after a gap."""
    zone = zoneinfo.ZoneInfo(name)
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None):
        return whole_seconds(instant)
    # fold=0 uses the offset before the gap and lands behind it, fold=1 the reverse.
    behind = whole_seconds(instant)
    before = whole_seconds(wall.replace(fold=1).astimezone(UTC))
    while behind - before > 1:
        middle = (behind + before) // 2
        if offset_at(zone, middle) == offset_at(zone, behind):
            behind = middle
        else:
            before = middle
    return behind


def add_months(base, months):
    index = base.year * 12 + base.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(base.day, calendar.monthrange(year, month + 1)[1]))


def dates_around(kind, day, step, contract, today):
    """Dates on which periods start, at least three on either side of a date."""
    if kind == MONTH:
        return [add_months(date(today.year, today.month, 1), i) for i in range(-3, 5)]
    if kind == ANCHOR:
        return [add_months(date(2000, 1, day), (today.year - 2000) * 12 + today.month - 1 + i)
                for i in range(-3, 5)]
    if kind == WEEK:
        return [today - today.weekday() * DAY + 7 * i * DAY for i in range(-3, 5)]
    if kind == DAYS:
        n = (today - contract).days // step
        return [contract + (n + i) * step * DAY for i in range(-3, 5)]
    n = ((today.year - contract.year) * 12 + today.month - contract.month) // step
    return [add_months(contract, (n + i) * step) for i in range(-3, 5)]


def period(name, rule, at_ms):
    today = (EPOCH + at_ms // 1000 * SECOND).astimezone(zoneinfo.ZoneInfo(name)).date()
    starts = [midnight(name, day) * 1000 for day in dates_around(*rule, today)]
    return max(s for s in starts if s <= at_ms), min(s for s in starts if s > at_ms)


def hour(name, at_ms):
    """The instants around this one that share UTC day, local clock hour and offset with it."""
    zone = zoneinfo.ZoneInfo(name)
    second = at_ms // 1000

    def look(of):
        utc = EPOCH + of * SECOND
        local = utc.astimezone(zone)
        return utc.date(), local.date(), local.hour, local.utcoffset()

    def edge(outside):
        inside = second
        while abs(inside - outside) > 1:
            middle = (inside + outside) // 2
            if look(middle) == look(second):
                inside = middle
            else:
                outside = middle
        return inside

    return edge(second - 3601) * 1000, (edge(second + 3601) + 1) * 1000


def random_date(rng):
    if rng.random() < 0.1:
        return date(rng.randint(1901, 8900), rng.randint(1, 12), rng.randint(1, 28))
    return date(1970, 1, 1) + rng.randrange(130 * 365) * DAY


def random_rule(rng):
    kind = rng.randrange(5)
    contract = random_date(rng)
    if rng.random() < 0.3:
        contract = rng.choice([date(2024, 2, 29), date(2023, 1, 31), date(2019, 12, 31)])
    step = rng.choice([1, 2, 3, 6, 12, 24]) if kind == CONTRACT else rng.randint(1, 90)
    return kind, rng.randint(1, 31), step, contract


def random_instant(rng, name, rule):
    """Half of them within hours or at the very ms of a period's edge."""
    day = random_date(rng)
    if rng.random() < 0.5:
        return whole_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC)) * 1000 + \
            rng.randrange(86400000)
    edge = midnight(name, rng.choice(dates_around(*rule, day))) * 1000
    return edge + rng.choice([-1, 0, 1, rng.randint(-7200000, 7200000)])


def main():
    rng = random.Random(int(sys.argv[1]))
    names = sorted(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})
    if len(names) < 400:
        sys.exit("the time zone database is missing: apt-get install tzdata")
    left = int(sys.argv[2])
    while left > 0:
        # A run of cases in one zone, so that the other side reads each file once in a while.
        name = rng.choice(FAVOURITES if rng.random() < 0.5 else names)
        for _ in range(min(left, 50)):
            rule = random_rule(rng)
            at_ms = random_instant(rng, name, rule)
            start, end = period(name, rule, at_ms)
            first, last = hour(name, at_ms) if rng.random() < 0.1 else (0, 0)
            kind, day, step, contract = rule
            print(name, kind, day, step, contract.year, contract.month, contract.day, at_ms,
                  start, end, first, last)
            left -= 1


main()
