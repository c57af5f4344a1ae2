/* Protects: what alerts of the last day say, and that an hour is asked for when it is settled. */
#include "core/day_rule.h"

#include "tests/check.h"

#include <stdio.h>
#include <string.h>

#define NANO ((tally)MONEY_NANO_PER_UNIT)

static void
test_until(void)
{
    const int64_t noon_ms = INT64_C(1772452800000); /* 2026-03-02T12:00:00Z */
    static const struct {
        int64_t after_ms;
        int64_t hours;
    } rows[] = {
        {-1, -1},
        {0, -1},
        {CLOCK_MINUTE_MS - 1, -1},
        {CLOCK_MINUTE_MS, 0},
        {CLOCK_HOUR_MS, 0},
        {CLOCK_HOUR_MS + CLOCK_MINUTE_MS, 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT("hour", day_until(noon_ms + rows[i].after_ms),
                  noon_ms + rows[i].hours * CLOCK_HOUR_MS);
}

static void
test_words(void)
{
    struct day_finding finding = {.tenant = TEXT("acme"),
                                  .currency = TEXT("USD"),
                                  .name = TEXT("k_17"),
                                  .spent = 31 * NANO,
                                  .against = 5 * NANO,
                                  .impact = 26 * NANO,
                                  .members = 1,
                                  .all = 12};
    static char name[DAY_TEXT_SIZE];
    char words[DAY_TEXT_SIZE];

    CU_ASSERT_STRING_EQUAL(day_tell(DAY_KEYS, &finding, words),
                           "key k_17 spent 31.00 USD in 24 hours, 6.2x the median of 12 keys"
                           " (5.00 USD): more than twice of it");
    finding.members = 3;
    CU_ASSERT_STRING_EQUAL(day_tell(DAY_KEYS, &finding, words),
                           "key k_17 spent 31.00 USD in 24 hours, 6.2x the median of 12 keys"
                           " (5.00 USD): more than twice of it; so did 2 more");
    finding.name = TEXT("openai/gpt-4o");
    CU_ASSERT_STRING_EQUAL(day_tell(DAY_MARGIN, &finding, words),
                           "openai/gpt-4o cost 31.00 USD in 24 hours and 5.00 USD are charged for"
                           " it: the margin is negative, 26.00 USD are lost, with 2 more");
    memset(name, 'x', sizeof name);
    finding.name = (struct text){name, sizeof name};
    CHECK_INT("cut, not spilt", strlen(day_tell(DAY_KEYS, &finding, words)), DAY_TEXT_SIZE - 1);
}

static CU_TestInfo tests[] = {
    {"hours that are over", test_until},
    {"what is said", test_words},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_day_rule = {.pName = "day_rule", .pTests = tests};
