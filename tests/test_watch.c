/* Protects: windows are fed once and as wide as the volume allows, idle ones only age; what is stored
 * after any slot that must be goes on as if nothing had happened; tiers have their gates. */
#include "core/watch.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define START_MS (INT64_C(20500) * CLOCK_DAY_MS)

static uint64_t state;

/* To the bit: what is unused in them is zero. */
static bool
same(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

/* A slot with so many calls of a cent and ten tokens each. */
static struct watch_usage
calls(uint64_t count)
{
    const struct slot slot = {.cost = (tally)count * 10000000,
                              .requests = (tally)count,
                              .attempts = (tally)count,
                              .input_tokens = (tally)count * 6,
                              .output_tokens = (tally)count * 4};
    struct watch_usage usage = {.sums = {0}};

    watch_usage_add(&usage, &slot);
    return usage;
}

/* Until that moment, `count` calls a slot. Returns how many records were found. */
static int
feed(struct watch *watch, int64_t until_ms, uint64_t count)
{
    const struct watch_usage usage = calls(count);
    struct watch_window window;
    int records = 0;

    while (watch->book.fed_ms < until_ms)
        if (watch_take(watch, &usage, &window))
            for (int m = 0; m < WATCH_METRIC_COUNT; m++)
                records += window.findings[m].record;
    return records;
}

/* ---- widths --------------------------------------------------------------------------------------- */

static void
test_widths(void)
{
    static const struct {
        const char *row;
        uint64_t slot_calls;
        int64_t width_ms;
    } rows[] = {
        {"two in five minutes", 2, SLOT_MS},
        {"one in five minutes", 1, CLOCK_HOUR_MS},
        {"none", 0, CLOCK_DAY_MS},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct watch watch;

        watch_begin(&watch, START_MS);
        (void)feed(&watch, START_MS + CLOCK_DAY_MS - SLOT_MS, rows[i].slot_calls);
        CHECK_INT(rows[i].row, watch_width(&watch), SLOT_MS);
        (void)feed(&watch, START_MS + CLOCK_DAY_MS, rows[i].slot_calls);
        CHECK_INT(rows[i].row, watch_width(&watch), rows[i].width_ms);
    }
}

static void
test_width_changes(void)
{
    struct watch watch;

    /* A first day that is not whole says nothing. */
    watch_begin(&watch, START_MS + CLOCK_HOUR_MS);
    (void)feed(&watch, START_MS + CLOCK_DAY_MS, 1);
    CHECK_INT("a day in part", watch_width(&watch), SLOT_MS);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS, 1);
    CHECK_INT("a whole day", watch_width(&watch), CLOCK_HOUR_MS);
    CHECK_INT("begins anew", watch.series[WATCH_COST].detector.windows, 0);
    /* Back at twice the volume only: the mean of two days is 3 in five minutes. */
    (void)feed(&watch, START_MS + 3 * CLOCK_DAY_MS, 5);
    CHECK_INT("hysteresis", watch_width(&watch), CLOCK_HOUR_MS);
    (void)feed(&watch, START_MS + 4 * CLOCK_DAY_MS, 6);
    CHECK_INT("twice the volume", watch_width(&watch), SLOT_MS);
    /* A weekend without calls does not make what is busy rare. */
    (void)feed(&watch, START_MS + 10 * CLOCK_DAY_MS, 6);
    (void)feed(&watch, START_MS + 12 * CLOCK_DAY_MS, 0);
    CHECK_INT("a weekend", watch_width(&watch), SLOT_MS);
}

static void
test_windows(void)
{
    const struct watch_usage usage = calls(30);
    struct watch_window window;
    struct watch watch;
    int closed = 0;

    watch_begin(&watch, START_MS);
    watch.book.width = 1;
    for (int i = 0; i < 24; i++)
        closed += watch_take(&watch, &usage, &window);
    CHECK_INT("of an hour", closed, 2);
    CHECK_INT("start", window.start_ms, START_MS + CLOCK_HOUR_MS);
    CHECK_INT("sum", lroundf(window.findings[WATCH_REQUESTS].value), 360);
    CHECK_INT("tokens", lroundf(window.findings[WATCH_TOKENS].value), 3600);
    CHECK_INT("a ratio", lroundf(100 * window.findings[WATCH_COST_EACH].value), 1);
    CHECK_INT("output", lroundf(window.findings[WATCH_OUTPUT_EACH].value), 4);
    CHECK_INT("fed once each", watch.series[WATCH_COST].detector.windows, 2);
    CHECK_INT("due", watch_due(&watch, false), START_MS + 3 * CLOCK_HOUR_MS);
    /* Below 20 requests there is no ratio, but there is a cost. */
    (void)feed(&watch, START_MS + 3 * CLOCK_HOUR_MS, 1);
    CHECK_INT("cost", watch.series[WATCH_COST].detector.windows, 3);
    CHECK_INT("no ratio", watch.series[WATCH_COST_EACH].detector.windows, 2);
}

static void
test_idle(void)
{
    struct watch watch;

    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + CLOCK_DAY_MS, 10);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS, 0);
    CHECK_INT("a day of nothing is fed", watch.series[WATCH_COST].detector.windows, 576);
    CHECK_INT("and due", watch_due(&watch, false), START_MS + 2 * CLOCK_DAY_MS + SLOT_MS);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS + CLOCK_HOUR_MS, 0);
    CHECK_INT("no more is", watch.series[WATCH_COST].detector.windows, 576);
    CHECK_INT("nor due", watch_due(&watch, false) == INT64_MAX, true);
    CHECK_INT("but when used", watch_due(&watch, true),
              START_MS + 2 * CLOCK_DAY_MS + CLOCK_HOUR_MS + SLOT_MS);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS + 2 * CLOCK_HOUR_MS, 10);
    CHECK_INT("fed again", watch.series[WATCH_COST].detector.windows, 576 + 12);
}

/* ---- evidence and impact --------------------------------------------------------------------------- */

static void
test_evidence(void)
{
    struct watch watch;

    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS - 2 * SLOT_MS, 10);
    CHECK_INT("within two days", feed(&watch, START_MS + 2 * CLOCK_DAY_MS - SLOT_MS, 1000), 0);
    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + 2 * CLOCK_DAY_MS, 10);
    CHECK_INT("after them", feed(&watch, START_MS + 2 * CLOCK_DAY_MS + SLOT_MS, 1000) > 0, true);
    CHECK_INT("a note", watch.series[WATCH_COST].tier, WATCH_NOTE);
    CHECK_INT("it waits", watch.series[WATCH_COST].pending, 36);
    CHECK_INT("since", watch.series[WATCH_COST].since_ms, START_MS + 2 * CLOCK_DAY_MS);
}

static void
test_impact(void)
{
    static const struct {
        const char *row;
        int64_t days;
        uint64_t slot_calls; /* a cent each, 288 slots a day */
        uint64_t more;       /* in one slot */
        enum watch_tier tier;
    } rows[] = {
        /* 28.80 a day */
        {"under 5.00", 3, 10, 500, WATCH_NOTE},
        {"5.00 and 17 %", 3, 10, 520, WATCH_TICKET},
        {"a quarter and 25.00, too young", 13, 10, 5000, WATCH_TICKET},
        {"a quarter, under 25.00", 15, 10, 2400, WATCH_TICKET},
        {"a quarter and 25.00", 15, 10, 2600, WATCH_PAGE},
        /* 288 a day */
        {"under a tenth", 15, 100, 2900, WATCH_NOTE},
        {"a tenth", 15, 100, 3100, WATCH_TICKET},
        {"a quarter", 15, 100, 7500, WATCH_PAGE},
    };
    const struct watch_gates gates = {.ticket = 5, .page = 25};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int64_t until_ms = START_MS + rows[i].days * CLOCK_DAY_MS;
        struct watch watch;

        watch_begin(&watch, START_MS);
        (void)feed(&watch, until_ms, rows[i].slot_calls);
        CHECK_INT(rows[i].row, watch_impact(&watch, &gates), WATCH_NOTE);
        (void)feed(&watch, until_ms + SLOT_MS, rows[i].more);
        CHECK_INT(rows[i].row, watch_impact(&watch, &gates), rows[i].tier);
        CHECK_INT(rows[i].row, watch_is_calm(&watch, &gates), false);
        (void)feed(&watch, until_ms + CLOCK_DAY_MS, rows[i].slot_calls);
        CHECK_INT(rows[i].row, watch_is_calm(&watch, &gates), true);
    }
}

/* ---- stored ------------------------------------------------------------------------------------------ */

static void
copy_by_rows(const struct watch *from, struct watch *to)
{
    memset(to, 0, sizeof *to);
    for (int m = 0; m < WATCH_METRIC_COUNT; m++) {
        char row[WATCH_STATE_SIZE];
        const size_t size = watch_store(from, (enum watch_metric)m, row);

        CU_ASSERT_TRUE(watch_restore(to, (enum watch_metric)m, row, size));
    }
}

static uint64_t
next_calls(int64_t at_ms)
{
    const bool day = at_ms % CLOCK_DAY_MS > 8 * CLOCK_HOUR_MS;

    if (draw(400) == 0)
        return 500 + draw(500);
    return day && draw(10) > 0 ? draw(30) : 0;
}

/* Drops one watch at any slot and goes on from what was stored of it: after usage, and after records,
 * as the rules store it.  The other one goes on; what they find is the same. */
static void
test_stops(void)
{
    struct watch watch;
    struct watch other;
    struct watch stored;
    int records = 0;

    state = 8;
    watch_begin(&watch, START_MS);
    other = stored = watch;
    for (int i = 0; i < 40 * 288; i++) {
        const struct watch_usage nothing = calls(0);
        const struct watch_usage usage = calls(next_calls(watch.book.fed_ms));
        struct watch_window one = {.start_ms = 0};
        struct watch_window two = {.start_ms = 0};
        bool moved = false;

        CHECK_INT("closed", watch_take(&watch, &usage, &one), watch_take(&other, &usage, &two));
        CHECK_INT("the same", same(&one, &two, sizeof one), true);
        for (int m = 0; m < WATCH_METRIC_COUNT; m++)
            moved |= one.findings[m].record;
        records += moved;
        if (moved || !watch_usage_empty(&usage))
            copy_by_rows(&other, &stored);
        if (draw(20) > 0)
            continue;
        other = stored;
        while (other.book.fed_ms < watch.book.fed_ms)
            (void)watch_take(&other, &nothing, &two);
        CHECK_INT("all of it", same(&watch, &other, sizeof watch), true);
    }
    CHECK_INT("there was something to find", records > 10, true);
}

static void
test_strange_rows(void)
{
    char row[WATCH_STATE_SIZE + 1];
    struct watch watch;
    struct watch before;
    size_t size;

    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + CLOCK_DAY_MS, 10);
    before = watch;
    size = watch_store(&watch, WATCH_COST, row);
    CHECK_INT("fits", size <= WATCH_STATE_SIZE, true);
    CHECK_INT("cut", watch_restore(&watch, WATCH_COST, row, size - 1), false);
    CHECK_INT("longer", watch_restore(&watch, WATCH_COST, row, size + 1), false);
    CHECK_INT("empty", watch_restore(&watch, WATCH_COST, row, 0), false);
    CHECK_INT("another metric", watch_restore(&watch, WATCH_TOKENS, row, size), false);
    row[0] = 2;
    CHECK_INT("a later version", watch_restore(&watch, WATCH_COST, row, size), false);
    CHECK_INT("nothing has changed", same(&watch, &before, sizeof watch), true);
}

/* ---- words --------------------------------------------------------------------------------------------- */

static void
test_story(void)
{
    struct watch_top top = {.at = {{.excess = 0}}};
    char story[WATCH_STORY_SIZE];
    struct watch watch;

    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + 3 * CLOCK_DAY_MS, 10);
    (void)feed(&watch, START_MS + 3 * CLOCK_DAY_MS + SLOT_MS, 600);
    watch_top_add(&top, TEXT("chat"), 0.6F);
    watch_top_add(&top, TEXT("little"), 0.1F);
    watch_top_add(&top, TEXT("search"), 4.8F);
    (void)watch_tell(&(struct watch_story){.metric = WATCH_COST,
                                           .watch = &watch,
                                           .unit = "USD",
                                           .since = "2026-02-19 00:00 UTC",
                                           .top = &top},
                     story);
    CU_ASSERT_STRING_EQUAL(
        story, "cost: highest 5 min in 3 days, 60.0x the old record; 6.00 USD in 5"
               " min, usual are 0.10 USD (60.0x); since 2026-02-19 00:00 UTC spending is"
               " 5.90 USD above the usual (20 % of a day); mostly search 81 %, chat"
               " 10 %");

    const struct watch_limit limit = {.name = TEXT("spend"),
                                      .unit = TEXT("USD"),
                                      .is_money = true,
                                      .limit = 25 * (tally)MONEY_NANO_PER_UNIT,
                                      .forecast = 31 * (tally)MONEY_NANO_PER_UNIT};

    (void)watch_tell(&(struct watch_story){.metric = WATCH_COST,
                                           .watch = &watch,
                                           .unit = "USD",
                                           .since = "2026-02-19 00:00 UTC",
                                           .limit = &limit},
                     story);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        story, " (20 % of a day); as it goes the period ends at 31.00 of 25.00 USD (spend)"));
}

/* 90 whole days without any use, whatever the windows are, and no incident. */
static void
test_silence(void)
{
    struct watch watch;
    const struct watch_usage none = calls(0);
    struct watch_window window;

    watch_begin(&watch, START_MS);
    (void)feed(&watch, START_MS + CLOCK_DAY_MS, 100);
    (void)feed(&watch, START_MS + 91 * CLOCK_DAY_MS - SLOT_MS, 0);
    CHECK_INT("a slot before", watch_is_silent(&watch), false);
    (void)watch_take(&watch, &none, &window);
    CHECK_INT("90 days", watch_is_silent(&watch), true);
    watch.series[WATCH_COST].tier = WATCH_TICKET;
    CHECK_INT("something is told of it", watch_is_silent(&watch), false);
    watch.series[WATCH_COST].tier = WATCH_QUIET;
    (void)feed(&watch, watch.book.fed_ms + SLOT_MS, 1);
    CHECK_INT("it comes back", watch_is_silent(&watch), false);
    (void)feed(&watch, START_MS + 500 * CLOCK_DAY_MS, 0);
    CHECK_INT("for ever", watch_is_silent(&watch), true);
}

static CU_TestInfo tests[] = {
    {"silence", test_silence}, {"widths", test_widths}, {"width changes", test_width_changes},
    {"windows", test_windows}, {"idle", test_idle},     {"evidence", test_evidence},
    {"impact", test_impact},   {"stops", test_stops},   {"strange rows", test_strange_rows},
    {"story", test_story},     CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_watch = {.pName = "watch", .pTests = tests};
