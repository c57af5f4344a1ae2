/* Protects: which hours make a baseline and what comes of them (the chain, unclean hours, local
 * hours over changes of the clock), to the nano, beside a plain second computation. */
#include "core/baseline.h"
#include "tests/zone_file.h"

#include <stdlib.h>

static const struct baseline_rule learned = {.floor = MONEY_NANO_PER_UNIT};

static void
add(struct history *history, int64_t hour_ms, tally cost, unsigned flags)
{
    bool failed;
    struct hour_sample *sample = history_at(history, hour_ms, &failed);

    CU_ASSERT_PTR_NOT_NULL_FATAL(sample);
    if (sample == NULL)
        return;
    sample->cost = cost;
    sample->flags = flags;
}

static struct baseline
ask(const struct history *history, const char *at, const struct baseline_rule *rule)
{
    struct baseline baseline;

    baseline_of(history, zone_utc(), instant_of(at), rule, &baseline);
    return baseline;
}

#define UNIT ((tally)MONEY_NANO_PER_UNIT)

/* ---- the chain ----------------------------------------------------------------------------------- */

static void
test_learning(void)
{
    struct history history = {.at = NULL};
    const int64_t now_ms = instant_of("2026-03-10T10:00:00Z");

    CHECK_INT("nothing", ask(&history, "2026-03-10T10:00:00Z", &learned).known, false);
    for (int64_t i = 1; i <= 23; i++)
        add(&history, now_ms - i * CLOCK_HOUR_MS, i * UNIT, 0);
    CHECK_INT("23 hours", ask(&history, "2026-03-10T10:00:00Z", &learned).known, false);
    add(&history, now_ms - 24 * CLOCK_HOUR_MS, 24 * UNIT, 0);
    struct baseline baseline = ask(&history, "2026-03-10T10:00:00Z", &learned);

    CHECK_INT("24 hours", baseline.known, true);
    CHECK_INT("median of 1..24", baseline.typical, 12 * UNIT + UNIT / 2);
    CHECK_INT("95th percentile: the 23rd", baseline.high, 23 * UNIT);
    CHECK_INT("B", baseline.value, 23 * UNIT);
    CHECK_INT("one sample of this hour", baseline.sets[BASELINE_DAILY].samples, 1);
    /* Three days of this hour go before the week's median; p stays. */
    add(&history, now_ms - 48 * CLOCK_HOUR_MS, 2 * UNIT, 0);
    add(&history, now_ms - 72 * CLOCK_HOUR_MS, 3 * UNIT, 0);
    baseline = ask(&history, "2026-03-10T10:00:00Z", &learned);
    CHECK_INT("same hour of day", baseline.typical, 3 * UNIT);
    CHECK_INT("not of the week", baseline.sets[BASELINE_WEEKLY].known, false);
    history_free(&history);
}

static void
test_weekly(void)
{
    struct history history = {.at = NULL};
    const int64_t now_ms = instant_of("2026-03-10T10:00:00Z");

    for (int64_t i = 1; i <= 4; i++)
        add(&history, now_ms - i * 7 * CLOCK_DAY_MS, (tally)(10 * i) * UNIT, 0);
    struct baseline baseline = ask(&history, "2026-03-10T10:59:59Z", &learned);

    CHECK_INT("median of four", baseline.typical, 25 * UNIT);
    CHECK_INT("nothing in 7 days but one", baseline.high, 0);
    CHECK_INT("an hour later", ask(&history, "2026-03-10T11:00:00Z", &learned).known, false);
    add(&history, now_ms - 21 * CLOCK_DAY_MS, 0, 0);
    CHECK_INT("an idle hour is no sample",
              ask(&history, "2026-03-10T10:00:00Z", &learned).sets[BASELINE_WEEKLY].samples, 3);
    history_free(&history);
}

static void
test_floor_and_budget(void)
{
    struct history history = {.at = NULL};
    const struct baseline_rule budget = {.floor = UNIT, .configured = true, .budget = 7 * UNIT};
    const int64_t now_ms = instant_of("2026-03-10T10:00:00Z");

    CHECK_INT("a budget needs no history", ask(&history, "2026-03-10T10:00:00Z", &budget).value,
              7 * UNIT);
    for (int64_t i = 1; i <= 3; i++)
        add(&history, now_ms - i * CLOCK_DAY_MS, 5, 0);
    CHECK_INT("floor", ask(&history, "2026-03-10T10:00:00Z", &learned).value, UNIT);
    CHECK_INT("a budget below the floor", ask(&history, "2026-03-10T10:00:00Z", &budget).value,
              7 * UNIT);
    history_free(&history);
}

/* ---- unclean hours --------------------------------------------------------------------------------- */

static void
test_unclean(void)
{
    struct history history = {.at = NULL};
    const int64_t now_ms = instant_of("2026-03-10T10:00:00Z");

    for (int64_t i = 1; i <= 6; i++)
        add(&history, now_ms - i * CLOCK_DAY_MS, 2 * UNIT, 0);
    for (int64_t i = 1; i <= 3; i++) {
        struct hour_sample *sample = history_find(&history, now_ms - i * CLOCK_DAY_MS);

        sample->cost = 50 * UNIT;
        sample->flags = HOUR_TRIPPED;
        sample->baseline = 2 * UNIT;
    }
    struct baseline baseline = ask(&history, "2026-03-10T10:00:00Z", &learned);

    CHECK_INT("half of them: left out", baseline.typical, 2 * UNIT);
    CHECK_INT("not capped", baseline.sets[BASELINE_DAILY].capped, false);
    history_find(&history, now_ms - 4 * CLOCK_DAY_MS)->flags = HOUR_REPLAYED;
    baseline = ask(&history, "2026-03-10T10:00:00Z", &learned);
    CHECK_INT("more than half: they enter", baseline.sets[BASELINE_DAILY].capped, true);
    CHECK_INT("at three times their own baseline", baseline.typical, 4 * UNIT);
    for (int64_t i = 1; i <= 3; i++)
        history_find(&history, now_ms - i * CLOCK_DAY_MS)->flags |= HOUR_ACCEPTED;
    baseline = ask(&history, "2026-03-10T10:00:00Z", &learned);
    CHECK_INT("accepted: as they are", baseline.typical, 50 * UNIT);
    history_free(&history);
}

/* ---- local hours ------------------------------------------------------------------------------------- */

/* Europe/Berlin goes back on 25 October 2026 at 03:00 CEST and forth on 29 March 2026 at 02:00. */
static void
test_clock_changes(void)
{
    struct zone *berlin = zone_file_load("Europe/Berlin");
    struct zone *kathmandu = zone_file_load("Asia/Kathmandu");
    struct history history = {.at = NULL};
    struct baseline baseline;
    struct hour hour = baseline_hour(berlin, instant_of("2026-10-25T00:30:00Z"));

    CHECK_INT("02:00 CEST", hour.start_ms, instant_of("2026-10-25T00:00:00Z"));
    CHECK_INT("and again as CET", baseline_hour(berlin, hour.end_ms).start_ms, hour.end_ms);
    hour = baseline_hour(kathmandu, instant_of("2026-03-10T00:20:00Z"));
    CHECK_INT("hours at 15 past", hour.start_ms, instant_of("2026-03-10T00:15:00Z"));
    CHECK_INT("UTC midnight is no border",
              baseline_hour(kathmandu, instant_of("2026-03-09T23:59:00Z")).end_ms, hour.start_ms);
    /* 09:00 local on four Mondays, two of them before the clock changed. */
    add(&history, instant_of("2026-03-16T08:00:00Z"), 1 * UNIT, 0);
    add(&history, instant_of("2026-03-23T08:00:00Z"), 5 * UNIT, 0);
    add(&history, instant_of("2026-03-30T07:00:00Z"), 9 * UNIT, 0);
    add(&history, instant_of("2026-03-30T08:00:00Z"), 90 * UNIT, 0); /* 10:00 */
    baseline_of(&history, berlin, instant_of("2026-04-06T07:00:00Z"), &learned, &baseline);
    CHECK_INT("the same local hour", baseline.sets[BASELINE_WEEKLY].samples, 3);
    CHECK_INT("its median", baseline.typical, 5 * UNIT);
    history_free(&history);
    zone_free(berlin);
    zone_free(kathmandu);
}

/* ---- beside a plain computation ----------------------------------------------------------------------- */

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

/* The rank-th smallest by counting, from 1. */
static int64_t
smallest(const int64_t *values, size_t count, size_t rank)
{
    for (size_t i = 0; i < count; i++) {
        size_t below = 0;
        size_t equal = 0;

        for (size_t k = 0; k < count; k++) {
            below += values[k] < values[i];
            equal += values[k] == values[i];
        }
        if (below < rank && rank <= below + equal)
            return values[i];
    }
    return -1;
}

/* A set in UTC, where hours are hours. */
struct plain {
    int64_t days;
    int64_t every;
    size_t least;
    bool high;
};

/* False: too few. */
static bool
plainly(const struct history *history, int64_t now_hour, struct plain set, int64_t *value)
{
    const int64_t every = set.every;
    const int64_t days = set.days;
    int64_t values[BASELINE_SAMPLES];
    size_t count = 0;
    size_t unclean = 0;
    size_t all = 0;

    for (int64_t ago = every; ago <= days * 24; ago += every) {
        const struct hour_sample *one = history_find(history, (now_hour - ago) * CLOCK_HOUR_MS);

        all += one != NULL && one->cost > 0;
        unclean += one != NULL && one->cost > 0 && one->flags != 0;
    }
    for (int64_t ago = every; ago <= days * 24; ago += every) {
        const struct hour_sample *one = history_find(history, (now_hour - ago) * CLOCK_HOUR_MS);

        if (one == NULL || one->cost <= 0)
            continue;
        if (one->flags == 0)
            values[count++] = (int64_t)one->cost;
        else if (unclean > all - unclean)
            values[count++] =
                (int64_t)(one->baseline > 0 && one->cost > 3 * one->baseline ? 3 * one->baseline
                                                                             : one->cost);
    }
    if (count < set.least)
        return false;
    if (set.high)
        *value = smallest(values, count, (95 * count + 99) / 100);
    else
        *value =
            (smallest(values, count, (count + 1) / 2) + smallest(values, count, count / 2 + 1)) / 2;
    return true;
}

static void
one_round(void)
{
    struct history history = {.at = NULL};
    const int64_t now_hour = 400000 + (int64_t)draw(1000);
    const uint64_t idle = 1 + draw(20);
    const uint64_t odd = 1 + draw(4);
    struct baseline baseline;
    int64_t week = 0;
    int64_t day = 0;
    int64_t recent = 0;
    int64_t high = 0;

    for (int64_t ago = 800; ago >= 0; ago--)
        if (draw(20) < idle) {
            add(&history, (now_hour - ago) * CLOCK_HOUR_MS, (int64_t)draw(100) * UNIT / 7,
                draw(odd) == 0 ? 0 : HOUR_TRIPPED);
            history.at[history.count - 1].baseline = (int64_t)draw(3) * UNIT;
        }
    baseline_of(&history, zone_utc(), now_hour * CLOCK_HOUR_MS, &learned, &baseline);
    const bool has_week = plainly(&history, now_hour, (struct plain){28, 168, 3, false}, &week);
    const bool has_day = plainly(&history, now_hour, (struct plain){14, 24, 3, false}, &day);
    const bool has_recent = plainly(&history, now_hour, (struct plain){7, 1, 24, false}, &recent);
    const bool has_high = plainly(&history, now_hour, (struct plain){7, 1, 24, true}, &high);
    int64_t typical = UNIT;

    CHECK_INT("known", baseline.known, has_week || has_day || has_recent);
    if (has_week && week > typical)
        typical = week;
    if (has_day && day > typical)
        typical = day;
    if (!has_week && !has_day && recent > typical)
        typical = recent;
    if (baseline.known) {
        CHECK_INT("typical", baseline.typical, typical);
        CHECK_INT("high", baseline.high, has_high ? high : 0);
        CHECK_INT("value", baseline.value, has_high && high > typical ? high : typical);
    }
    history_free(&history);
}

static void
test_plainly(void)
{
    state = 8;
    for (size_t i = 0; i < 300; i++)
        one_round();
}

static void
test_full(void)
{
    struct history history = {.at = NULL};
    bool failed;

    for (int64_t i = 0; i < BASELINE_SAMPLES + 10; i++)
        add(&history, i * CLOCK_HOUR_MS, i + 1, 0);
    CHECK_INT("bounded", history.count, BASELINE_SAMPLES);
    CHECK_INT("the oldest have left", history.at[0].cost, 11);
    CU_ASSERT_PTR_NULL(history_at(&history, 0, &failed));
    CHECK_INT("not for want of memory", failed, false);
    for (size_t i = 1; i < history.count; i++)
        CHECK_INT("in order", history.at[i].hour_ms > history.at[i - 1].hour_ms, true);
    history_free(&history);
}

static CU_TestInfo tests[] = {
    {"from nothing to samples", test_learning},
    {"the same hour of the week", test_weekly},
    {"floor and budget", test_floor_and_budget},
    {"hours that are not clean", test_unclean},
    {"local hours when clocks change", test_clock_changes},
    {"beside a plain computation", test_plainly},
    {"a full history", test_full},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_baseline = {.pName = "baseline", .pTests = tests};
