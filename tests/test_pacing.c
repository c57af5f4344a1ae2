/* Protects: the share of a day and the forecast of a period, exactly, at their edges from both sides
 * (SEMANTICS 4); and that a wire set earlier never speaks later than judging at every event would. */
#include "core/pacing.h"
#include "tests/check.h"
#include "tests/zone_file.h"

#define NANO ((tally)MONEY_NANO_PER_UNIT)

static void
test_day(void)
{
    static const struct {
        const char *row;
        tally limit, before, used;
        int64_t days;
        bool past;
    } rows[] = {
        {"300 left, 30 days: 15.00 is no word", 300 * NANO, 0, 15 * NANO, 30, false},
        {"a nano more is", 300 * NANO, 0, 15 * NANO + 1, 30, true},
        {"as counts", 300, 0, 15, 30, false},
        {"as counts, one more", 300, 0, 16, 30, true},
        {"what was used before midnight counts as gone", 1000, 700, 715, 30, false},
        {"and is not of today", 1000, 700, 716, 30, true},
        {"a fraction is rounded down: 15.05", 301, 0, 15, 30, false},
        {"15.05, one more", 301, 0, 16, 30, true},
        {"the last day: all that is left and half as much", 100, 40, 130, 1, false},
        {"beyond", 100, 40, 131, 1, true},
        {"nothing was left", 100, 100, 200, 10, false},
        {"more than all was gone", 100, 150, 151, 10, false},
        {"a limit of nothing", 0, 0, 1, 10, false},
        {"refunds left less than nothing used", 100, -50, -36, 15, false},
        {"and a day is worth more then", 100, -50, -34, 15, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].row,
                  pacing_is_past(rows[i].limit, rows[i].before, rows[i].used, rows[i].days),
                  rows[i].past);
    CHECK_INT("300 with 30 to go", pacing_allowance(300 * NANO, 30), 15 * NANO);
    CHECK_INT("nothing left", pacing_allowance(-1, 30), 0);
}

static void
test_forecast(void)
{
    const struct period period = {.start_ms = 1000, .end_ms = 2000};
    static const struct {
        const char *row;
        int64_t now_ms;
        tally used, limit, forecast;
        bool exceeds;
    } rows[] = {
        {"a tenth over, a tenth used", 1100, 10, 100, 100, false},
        {"one more", 1100, 11, 100, 110, true},
        {"half over", 1500, 50, 100, 100, false},
        {"half over, more than half used", 1500, 51, 100, 102, true},
        {"the same later is less", 1600, 51, 100, 85, false},
        {"100.2: more, though rounded it is not", 1499, 50, 100, 100, true},
        {"nothing used of nothing", 1500, 0, 0, 0, false},
        {"something of nothing", 1500, 1, 0, 2, true},
        {"refunds", 1500, -5, 100, 0, false},
        {"the last ms", 1999, 100, 100, 100, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].row, forecast_of(rows[i].used, &period, rows[i].now_ms),
                  rows[i].forecast);
        CHECK_INT(rows[i].row,
                  forecast_exceeds(rows[i].used, rows[i].limit, &period, rows[i].now_ms),
                  rows[i].exceeds);
    }
    CHECK_INT("a tenth", forecast_from(&period), 1100);
    CHECK_INT("a tenth, rounded up", forecast_from(&(struct period){0, 1001}), 101);
}

/* The largest limits, in the longest period, stay exact. */
static void
test_range(void)
{
    const tally most = (tally)1000000000000000 * NANO;
    const struct period ages = {.start_ms = 0, .end_ms = INT64_C(31556952000000)};

    CHECK_INT("half of the largest",
              (int64_t)((forecast_trip_at(most, &ages, ages.end_ms / 2) - 1) / NANO),
              INT64_C(500000000000000));
    CHECK_INT("twice as much", (int64_t)(forecast_of(most, &ages, ages.end_ms / 2) / NANO),
              INT64_C(2000000000000000));
}

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* By the words of the specification, multiplied out. */
static void
test_words(void)
{
    uint64_t state = 4;

    for (int i = 0; i < 100000; i++) {
        const tally limit = (tally)(next_random(&state) % 100000);
        const tally before = (tally)(next_random(&state) % 100000);
        const int64_t days = 1 + (int64_t)(next_random(&state) % 366);
        const tally used = before + (tally)(next_random(&state) % 3000);
        const struct period period = {.start_ms = 0,
                                      .end_ms = 10 + (int64_t)(next_random(&state) % 1000000)};
        const int64_t now_ms = 1 + (int64_t)(next_random(&state) % (uint64_t)(period.end_ms - 1));
        const bool past = before < limit && 2 * (used - before) * days > 3 * (limit - before);
        const bool exceeds = used * period.end_ms > limit * now_ms;

        if (pacing_is_past(limit, before, used, days) != past ||
            forecast_exceeds(used, limit, &period, now_ms) != exceeds) {
            CHECK_INT("as the words have it, case", i, -1);
            return;
        }
    }
}

/* A tenant uses something now and then. Asking only when the wire of the last answer is reached
 * tells at the same event as asking at every one. */
static void
test_wire(void)
{
    uint64_t state = 11;
    int64_t told = 0;
    int64_t asked = 0;
    int64_t events = 0;

    for (int i = 0; i < 2000; i++) {
        const struct period period = {.start_ms = 0, .end_ms = 1000000};
        const tally limit = 1 + (tally)(next_random(&state) % 2000000);
        const uint64_t gap = 1 + next_random(&state) % 20000;
        int64_t now_ms = forecast_from(&period);
        tally used = (tally)(next_random(&state) % 50000);
        tally wire = 0;

        for (; now_ms < period.end_ms; now_ms += 1 + (int64_t)(next_random(&state) % gap)) {
            used += (tally)(next_random(&state) % gap);
            const bool every = forecast_exceeds(used, limit, &period, now_ms);
            const bool wired = used >= wire && every;

            events++;
            asked += used >= wire;
            if (used >= wire)
                wire = forecast_trip_at(limit, &period, now_ms);
            if (every != wired)
                CHECK_INT("told at the same event, tenant", i, -1);
            if (every)
                break;
        }
        told += now_ms < period.end_ms;
    }
    CHECK_INT("some are told", told > 100 && told < 2000, true);
    CHECK_INT("few events are asked of", asked * 4 < events, true);
}

static void
test_days(void)
{
    static const struct {
        const char *zone;
        const char *at;
        const char *end;
        int64_t days;
        const char *day_start;
        const char *day_end;
    } rows[] = {
        {"UTC", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z", 30, "2026-04-01T00:00:00Z",
         "2026-04-02T00:00:00Z"},
        {"UTC", "2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00Z", 1, "2026-04-30T00:00:00Z",
         "2026-05-01T00:00:00Z"},
        {"Asia/Kolkata", "2026-04-01T18:29:59.999Z", "2026-04-30T18:30:00Z", 30,
         "2026-03-31T18:30:00Z", "2026-04-01T18:30:00Z"},
        {"Asia/Kolkata", "2026-04-01T18:30:00Z", "2026-04-30T18:30:00Z", 29, "2026-04-01T18:30:00Z",
         "2026-04-02T18:30:00Z"},
        {"Europe/Berlin", "2025-03-30T12:00:00Z", "2025-03-31T22:00:00Z", 2, "2025-03-29T23:00:00Z",
         "2025-03-30T22:00:00Z"},
        {"Europe/Berlin", "2025-10-26T12:00:00Z", "2025-10-31T23:00:00Z", 6, "2025-10-25T22:00:00Z",
         "2025-10-26T23:00:00Z"},
        /* A period that began under another zone need not end at midnight: the rest is a day. */
        {"Europe/Berlin", "2026-04-30T10:00:00Z", "2026-05-01T00:00:00Z", 2, "2026-04-29T22:00:00Z",
         "2026-04-30T22:00:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        const int64_t at_ms = instant_of(rows[i].at);
        const struct period day = cycle_day(zone, at_ms);

        CHECK_INT(rows[i].at, cycle_days(zone, at_ms, instant_of(rows[i].end)), rows[i].days);
        CHECK_INT(rows[i].at, day.start_ms, instant_of(rows[i].day_start));
        CHECK_INT(rows[i].at, day.end_ms, instant_of(rows[i].day_end));
        zone_free(zone);
    }
}

static CU_TestInfo tests[] = {
    {"a day's share and half as much", test_day},
    {"the forecast of a period", test_forecast},
    {"the largest amounts", test_range},
    {"100,000 cases by the words of the specification", test_words},
    {"a wire speaks at the same event", test_wire},
    {"days left, in every zone", test_days},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_pacing = {.pName = "pacing", .pTests = tests};
