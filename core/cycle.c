#include "core/cycle.h"

#include <assert.h>

/* Every kind is a walk of whole months or whole days from a local date. */
struct walk {
    struct civil base;
    int64_t months; /* a step; 0: it is counted in days */
    int64_t days;
};

static struct walk
walk_of(const struct cycle *cycle)
{
    switch (cycle->kind) {
    case CYCLE_CALENDAR_MONTH:
        break;
    case CYCLE_ANCHOR:
        assert(cycle->day >= 1 && cycle->day <= 31);
        /* January has every day. */
        return (struct walk){.base = {1970, 1, cycle->day}, .months = 1};
    case CYCLE_CONTRACT:
        assert(cycle->step >= 1);
        return (struct walk){.base = cycle->contract, .months = cycle->step};
    case CYCLE_WEEK:
        /* A Monday. */
        return (struct walk){.base = {1969, 12, 29}, .days = 7};
    case CYCLE_DAYS:
        assert(cycle->step >= 1);
        return (struct walk){.base = cycle->contract, .days = cycle->step};
    }
    return (struct walk){.base = {1970, 1, 1}, .months = 1};
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t
month_index(struct civil date)
{
    return (int64_t)date.year * 12 + date.month - 1;
}

/* The local date of the start of period n, always from the base: the day is clamped anew. */
static int64_t
start_days(const struct walk *walk, int64_t n)
{
    if (walk->months == 0)
        return clock_days(walk->base) + n * walk->days;

    const int64_t index = month_index(walk->base) + n * walk->months;
    const int64_t year = floor_div(index, 12);
    struct civil date = {(int32_t)year, (int32_t)(index - year * 12) + 1, walk->base.day};
    const int32_t length = clock_month_days(date.year, date.month);

    if (date.day > length)
        date.day = length;
    return clock_days(date);
}

static int64_t
start_ms(const struct walk *walk, const struct zone *zone, int64_t n)
{
    return zone_instant(zone, start_days(walk, n) * CLOCK_DAY_MS);
}

static int64_t
local_day(const struct zone *zone, int64_t at_ms)
{
    return clock_day_of(at_ms + zone_offset_at(zone, at_ms).offset_ms);
}

struct period
cycle_period(const struct cycle *cycle, const struct zone *zone, int64_t at_ms)
{
    const struct walk walk = walk_of(cycle);
    const int64_t today = local_day(zone, at_ms);
    int64_t n =
        walk.months == 0
            ? floor_div(today - clock_days(walk.base), walk.days)
            : floor_div(month_index(clock_civil(today)) - month_index(walk.base), walk.months);

    /* The guess is at most a step or two away: the day of the month, a midnight that exists
     * twice, or a day that was skipped (an empty period). */
    while (start_ms(&walk, zone, n) > at_ms)
        n--;
    while (start_ms(&walk, zone, n + 1) <= at_ms)
        n++;
    return (struct period){start_ms(&walk, zone, n), start_ms(&walk, zone, n + 1)};
}

struct period
cycle_day(const struct zone *zone, int64_t at_ms)
{
    static const struct cycle days = {.kind = CYCLE_DAYS, .step = 1, .contract = {1970, 1, 1}};

    return cycle_period(&days, zone, at_ms);
}

int64_t
cycle_days(const struct zone *zone, int64_t at_ms, int64_t end_ms)
{
    return local_day(zone, end_ms - 1) - local_day(zone, at_ms) + 1;
}

static int64_t
later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct period
cycle_hour(const struct zone *zone, int64_t at_ms)
{
    const struct zone_offset offset = zone_offset_at(zone, at_ms);
    const int64_t local_start_ms =
        floor_div(at_ms + offset.offset_ms, CLOCK_HOUR_MS) * CLOCK_HOUR_MS;
    const int64_t hour_ms = local_start_ms - offset.offset_ms;
    const int64_t day_ms = clock_day_of(at_ms) * CLOCK_DAY_MS;

    return (struct period){
        .start_ms = later(later(hour_ms, offset.from_ms), day_ms),
        .end_ms = earlier(earlier(hour_ms + CLOCK_HOUR_MS, offset.until_ms), day_ms + CLOCK_DAY_MS),
    };
}
