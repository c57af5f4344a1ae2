/* Protects: the schedule of retries, to the second but for the spread. */
#include "core/clock.h"
#include "sinks/retry.h"
#include "tests/check.h"

#include <stdio.h>

#define H CLOCK_HOUR_MS

struct delay_row {
    const char *name;
    bool critical;
    enum verdict verdict;
    int attempts;
    int refusals;
    int64_t wish_ms;
    int64_t low_ms; /* of the delay, both inclusive; -1: dead */
    int64_t high_ms;
};

static const struct delay_row rows[] = {
    {"critical 1", true, VERDICT_RETRY, 1, 0, 0, 4000, 6000},
    {"critical 2", true, VERDICT_RETRY, 2, 0, 0, 12000, 18000},
    {"critical 3", true, VERDICT_RETRY, 3, 0, 0, 24000, 36000},
    {"critical 11", true, VERDICT_RETRY, 11, 0, 0, 16 * H / 5, 24 * H / 5},
    {"critical 500", true, VERDICT_RETRY, 500, 0, 0, 16 * H / 5, 24 * H / 5},
    {"other 1", false, VERDICT_RETRY, 1, 0, 0, 4000, 6000},
    {"other 2", false, VERDICT_RETRY, 2, 0, 0, 240000, 360000},
    {"other 9", false, VERDICT_RETRY, 9, 0, 0, 96 * H / 5, 144 * H / 5},
    {"other 10", false, VERDICT_RETRY, 10, 0, 0, 96 * H / 5, 144 * H / 5},
    {"asks for less", false, VERDICT_RETRY, 2, 0, 1000, 240000, 360000},
    {"asks for more", false, VERDICT_RETRY, 1, 0, 600000, 600000, 600000},
    {"asks for a day", false, VERDICT_RETRY, 1, 0, 24 * H, 1 * H, 1 * H},
    {"refused 1", true, VERDICT_REFUSED, 1, 1, 0, 240000, 360000},
    {"refused 4", true, VERDICT_REFUSED, 4, 4, 0, 24 * H / 5, 36 * H / 5},
    {"refused 5", true, VERDICT_REFUSED, 5, 5, 0, -1, 0},
    {"refused late", false, VERDICT_REFUSED, 9, 1, 0, 240000, 360000},
};

static void
test_delays(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int n = 0; n < 50; n++) {
            char id[16];
            const struct attempt attempt = {.verdict = rows[i].verdict,
                                            .retry_after_ms = rows[i].wish_ms};
            int64_t next_ms = 0;

            (void)snprintf(id, sizeof id, "tm_%d", n);
            const struct retry retry = {id, rows[i].critical, rows[i].attempts, rows[i].refusals,
                                        1000};
            const bool again = retry_next(&retry, &attempt, 1000, &next_ms);

            CHECK_INT(rows[i].name, again, rows[i].low_ms >= 0);
            if (again) {
                CU_ASSERT(next_ms - 1000 >= rows[i].low_ms);
                CU_ASSERT(next_ms - 1000 <= rows[i].high_ms);
            }
        }
}

/* The last attempt falls on the limit; one that fails there, or later, is the end. */
static void
test_age(void)
{
    for (int critical = 0; critical < 2; critical++) {
        const struct retry retry = {"tm_x", critical == 1, 100, 0, 5000};
        const struct attempt attempt = {.verdict = VERDICT_RETRY};
        const int64_t end_ms = 5000 + (critical == 1 ? 24 : 72) * H;
        int64_t next_ms = 0;

        CU_ASSERT_TRUE(retry_next(&retry, &attempt, end_ms - 1, &next_ms));
        CHECK_INT("on the limit", next_ms, end_ms);
        CU_ASSERT_FALSE(retry_next(&retry, &attempt, end_ms, &next_ms));
    }
}

/* The spread is the same wherever it is computed, and is a spread. */
static void
test_jitter(void)
{
    int64_t low = INT64_MAX;
    int64_t high = 0;

    for (int n = 0; n < 1000; n++) {
        char id[16];

        (void)snprintf(id, sizeof id, "tm_%d", n);
        const int64_t ms = retry_jitter(id, 1, 10000);

        CHECK_INT(id, ms, retry_jitter(id, 1, 10000));
        low = ms < low ? ms : low;
        high = ms > high ? ms : high;
    }
    CU_ASSERT(low >= 8000 && low < 8100);
    CU_ASSERT(high <= 12000 && high > 11900);
}

static CU_TestInfo tests[] = {
    {"delays", test_delays}, {"age", test_age}, {"jitter", test_jitter}, CU_TEST_INFO_NULL};

const CU_SuiteInfo suite_retry = {.pName = "retry", .pTests = tests};
