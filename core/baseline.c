#include "core/baseline.h"

#include <stdlib.h>

const char *const baseline_set_names[BASELINE_SET_COUNT] = {
    [BASELINE_WEEKLY] = "hour of week",
    [BASELINE_DAILY] = "hour of day",
    [BASELINE_RECENT] = "7 days",
    [BASELINE_HIGHEST] = "7 days, 95th percentile",
};

#define DAY_HOURS  INT64_C(24)
#define WEEK_HOURS (7 * DAY_HOURS)

/* ---- history ----------------------------------------------------------------------------------- */

void
history_free(struct history *history)
{
    free(history->at);
    *history = (struct history){.at = NULL};
}

/* Place of the first sample that is not before the hour. */
static size_t
place_of(const struct history *history, int64_t hour_ms)
{
    size_t low = 0;
    size_t high = history->count;

    /* Nearly always the last one. */
    if (high > 0 && history->at[high - 1].hour_ms < hour_ms)
        return high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (history->at[middle].hour_ms < hour_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct hour_sample *
history_find(const struct history *history, int64_t hour_ms)
{
    const size_t place = place_of(history, hour_ms);

    return place < history->count && history->at[place].hour_ms == hour_ms ? &history->at[place]
                                                                           : NULL;
}

static bool
grow(struct history *history)
{
    const size_t room = history->room == 0 ? 32 : history->room * 2;
    const size_t limited = room < BASELINE_SAMPLES ? room : BASELINE_SAMPLES;
    struct hour_sample *grown = realloc(history->at, limited * sizeof *grown);

    if (grown == NULL)
        return false;
    history->at = grown;
    history->room = limited;
    return true;
}

struct hour_sample *
history_at(struct history *history, int64_t hour_ms, bool *failed)
{
    size_t place = place_of(history, hour_ms);

    *failed = false;
    if (place < history->count && history->at[place].hour_ms == hour_ms)
        return &history->at[place];
    if (history->count == BASELINE_SAMPLES) {
        if (place == 0)
            return NULL;
        memmove(history->at, history->at + 1, (place - 1) * sizeof *history->at);
        place--;
    } else {
        if (history->count == history->room && !grow(history)) {
            *failed = true;
            return NULL;
        }
        memmove(history->at + place + 1, history->at + place,
                (history->count - place) * sizeof *history->at);
        history->count++;
    }
    history->at[place] = (struct hour_sample){.hour_ms = hour_ms};
    return &history->at[place];
}

bool
hour_is_clean(const struct hour_sample *sample)
{
    return (sample->flags & HOUR_ACCEPTED) != 0 || sample->flags == 0;
}

/* ---- local hours -------------------------------------------------------------------------------- */

static int64_t
floor_hours(int64_t local_ms)
{
    const int64_t past = local_ms % CLOCK_HOUR_MS;

    return (local_ms - (past < 0 ? past + CLOCK_HOUR_MS : past)) / CLOCK_HOUR_MS;
}

struct hour
baseline_hour(const struct zone *zone, int64_t at_ms)
{
    const struct zone_offset offset = zone_offset_at(zone, at_ms);
    const int64_t start_ms =
        floor_hours(at_ms + offset.offset_ms) * CLOCK_HOUR_MS - offset.offset_ms;
    const int64_t end_ms = start_ms + CLOCK_HOUR_MS;

    return (struct hour){
        .start_ms = start_ms < offset.from_ms ? offset.from_ms : start_ms,
        .end_ms = end_ms > offset.until_ms ? offset.until_ms : end_ms,
    };
}

/* Hours of the local clock since its 1970; the offset of the sample before is nearly always still
 * the right one. */
static int64_t
local_hour(const struct zone *zone, int64_t hour_ms, struct zone_offset *offset)
{
    if (hour_ms < offset->from_ms || hour_ms >= offset->until_ms)
        *offset = zone_offset_at(zone, hour_ms);
    return floor_hours(hour_ms + offset->offset_ms);
}

/* ---- sets --------------------------------------------------------------------------------------- */

static bool
belongs(enum baseline_set set, int64_t hours_ago)
{
    switch (set) {
    case BASELINE_WEEKLY:
        return hours_ago % WEEK_HOURS == 0 && hours_ago <= BASELINE_DAYS * DAY_HOURS;
    case BASELINE_DAILY:
        return hours_ago % DAY_HOURS == 0 && hours_ago <= 2 * WEEK_HOURS;
    case BASELINE_RECENT:
    case BASELINE_HIGHEST:
        return hours_ago <= WEEK_HOURS;
    case BASELINE_SET_COUNT:
        break;
    }
    return false;
}

static size_t
least_samples(enum baseline_set set)
{
    return set == BASELINE_WEEKLY || set == BASELINE_DAILY ? 3 : 24;
}

static bool
mostly_unclean(size_t unclean, size_t samples)
{
    return unclean * 2 > samples;
}

static size_t
gather(const struct history *history, const struct zone *zone, int64_t hour_ms,
       enum baseline_set set, struct baseline_sample *out, size_t room)
{
    struct zone_offset offset = zone_offset_at(zone, hour_ms);
    const int64_t hour = local_hour(zone, hour_ms, &offset);
    size_t count = 0;
    size_t unclean = 0;

    for (size_t i = 0; i < history->count && count < room; i++) {
        const struct hour_sample *sample = &history->at[i];
        const int64_t ago = hour - local_hour(zone, sample->hour_ms, &offset);

        if (sample->hour_ms >= hour_ms || ago <= 0 || sample->cost <= 0 || !belongs(set, ago))
            continue;
        out[count++] = (struct baseline_sample){
            .hour = sample, .enters = hour_is_clean(sample), .value = sample->cost};
        unclean += !hour_is_clean(sample);
    }
    for (size_t i = 0; i < count && mostly_unclean(unclean, count); i++) {
        const tally cap = out[i].hour->baseline * BASELINE_RATIO;

        if (!out[i].enters && cap > 0 && out[i].value > cap)
            out[i].value = cap;
        out[i].enters = true;
    }
    return count;
}

size_t
baseline_samples(const struct history *history, const struct zone *zone, int64_t hour_ms,
                 enum baseline_set set, struct baseline_sample *out, size_t room)
{
    return gather(history, zone, hour_ms, set, out, room);
}

static int
compare_tallies(const void *one, const void *other)
{
    const tally a = *(const tally *)one;
    const tally b = *(const tally *)other;

    return (a > b) - (a < b);
}

static void
judge_set(const struct history *history, const struct zone *zone, int64_t hour_ms,
          enum baseline_set set, struct baseline *out)
{
    struct baseline_sample samples[BASELINE_SAMPLES];
    tally values[BASELINE_SAMPLES];
    const size_t all = gather(history, zone, hour_ms, set, samples, BASELINE_SAMPLES);
    size_t count = 0;

    out->sets[set].samples = all;
    for (size_t i = 0; i < all; i++) {
        out->sets[set].unclean += !hour_is_clean(samples[i].hour);
        if (samples[i].enters)
            values[count++] = samples[i].value;
    }
    out->sets[set].capped = all > 0 && mostly_unclean(out->sets[set].unclean, all);
    out->sets[set].known = count >= least_samples(set);
    if (!out->sets[set].known)
        return;
    qsort(values, count, sizeof values[0], compare_tallies);
    out->sets[set].value = set == BASELINE_HIGHEST
                               ? values[(count * 95 + 99) / 100 - 1]
                               : (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static tally
greater(tally a, tally b)
{
    return a > b ? a : b;
}

void
baseline_of(const struct history *history, const struct zone *zone, int64_t hour_ms,
            const struct baseline_rule *rule, struct baseline *out)
{
    *out = (struct baseline){.configured = rule->configured};
    for (enum baseline_set set = 0; set < BASELINE_SET_COUNT; set++)
        judge_set(history, zone, hour_ms, set, out);
    if (rule->configured) {
        out->known = true;
        out->typical = out->value = rule->budget;
        return;
    }
    const bool same_hour = out->sets[BASELINE_WEEKLY].known || out->sets[BASELINE_DAILY].known;

    out->known = same_hour || out->sets[BASELINE_RECENT].known;
    if (!out->known)
        return;
    out->typical = rule->floor;
    if (same_hour)
        out->typical = greater(out->typical, greater(out->sets[BASELINE_WEEKLY].value,
                                                     out->sets[BASELINE_DAILY].value));
    else
        out->typical = greater(out->typical, out->sets[BASELINE_RECENT].value);
    out->high = out->sets[BASELINE_HIGHEST].value;
    out->value = greater(out->typical, out->high);
}
