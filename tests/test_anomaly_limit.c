/* Protects: which limits make a page of a record: hard ones of the tenant on what the series counts, that
 * the period will pass, from a tenth of it on. */
#include "rules/anomaly.h"
#include "tests/check.h"

#define DAY_MS   CLOCK_DAY_MS
#define START_MS (INT64_C(20500) * CLOCK_DAY_MS) /* of a period of 30 days */

struct limit_row {
    const char *row;
    enum watch_metric metric;
    enum meter meter;
    enum on_exceed on_exceed;
    enum mode mode;
    int32_t project;
    bool unlimited;
    tally limit;
    int64_t at_ms;
    bool passes;
};

/* 100 requests and 300 tokens were used for 9.00. */
static const struct limit_row rows[] = {
    {"exactly the limit", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 200, 15 * DAY_MS, false},
    {"one more", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 199, 15 * DAY_MS, true},
    {"on anything", WATCH_METRIC_COUNT, METER_REQUESTS, 0, 0, -1, false, 199, 15 * DAY_MS, true},
    {"too early to say", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 199, 3 * DAY_MS - 1,
     false},
    {"early enough", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 199, 3 * DAY_MS, true},
    {"the period is over", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 101, 30 * DAY_MS,
     false},
    {"it is reached", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, false, 100, 15 * DAY_MS, false},
    {"of another metric", WATCH_TOKENS, METER_REQUESTS, 0, 0, -1, false, 199, 15 * DAY_MS, false},
    {"a ratio counts nothing", WATCH_COST_EACH, METER_COST, 0, 0, -1, false,
     10 * (tally)MONEY_NANO_PER_UNIT, 15 * DAY_MS, false},
    {"tokens", WATCH_TOKENS, METER_TOKENS, 0, 0, -1, false, 599, 15 * DAY_MS, true},
    {"money", WATCH_COST, METER_COST, 0, 0, -1, false, 17 * (tally)MONEY_NANO_PER_UNIT, 15 * DAY_MS,
     true},
    {"money enough", WATCH_COST, METER_COST, 0, 0, -1, false, 18 * (tally)MONEY_NANO_PER_UNIT,
     15 * DAY_MS, false},
    {"it stops nobody", WATCH_REQUESTS, METER_REQUESTS, ON_EXCEED_ALERT, 0, -1, false, 199,
     15 * DAY_MS, false},
    {"in shadow", WATCH_REQUESTS, METER_REQUESTS, 0, MODE_SHADOW, -1, false, 199, 15 * DAY_MS,
     false},
    {"a project's", WATCH_REQUESTS, METER_REQUESTS, 0, 0, 0, false, 199, 15 * DAY_MS, false},
    {"none at all", WATCH_REQUESTS, METER_REQUESTS, 0, 0, -1, true, 199, 15 * DAY_MS, false},
};

static void
test_passes(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct limit_row *row = &rows[i];
        const struct quota rule = {.name = TEXT("calls"),
                                   .meter = row->meter,
                                   .on_exceed = row->on_exceed,
                                   .mode = row->mode};
        struct quota_state state = {.rule = &rule,
                                    .project = row->project,
                                    .unlimited = row->unlimited,
                                    .limit = row->limit};
        struct totals totals = {.sum = {.count = {[COUNT_requests] = 100,
                                                  [COUNT_input_tokens] = 200,
                                                  [COUNT_output_tokens] = 100},
                                        .cost = 9 * (tally)MONEY_NANO_PER_UNIT}};
        struct tenant tenant = {.quotas = &state, .quota_count = 1, .currency = TEXT("USD")};
        struct watch_limit limit = {.limit = 0};

        tenant.periods[0].period = (struct period){START_MS, START_MS + 30 * DAY_MS};
        tenant.periods[0].totals = &totals;
        CHECK_INT(row->row, anomaly_passes(&tenant, row->metric, START_MS + row->at_ms, &limit),
                  row->passes);
        CHECK_INT(row->row, limit.limit == row->limit, row->passes);
        CHECK_INT(row->row, limit.forecast > limit.limit, row->passes);
    }
}

static CU_TestInfo tests[] = {
    {"limits that a period will pass", test_passes},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_anomaly_limit = {.pName = "anomaly_limit", .pTests = tests};
