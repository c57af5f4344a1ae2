/* Protects: a delay falls into the bucket whose bound includes it. */
#include "core/metric.h"
#include "tests/check.h"

static void
test_delay(void)
{
    static const struct {
        const char *row;
        int64_t delay_ms;
        size_t bucket;
        int64_t sum_ms;
    } rows[] = {
        {"clock behind the broker's", -5, 0, 0},
        {"at once", 0, 0, 0},
        {"on the first bound", 1, 0, 1},
        {"past the first bound", 2, 1, 2},
        {"on the last bound", 10000, DELAY_BUCKETS - 2, 10000},
        {"past the last bound", 10001, DELAY_BUCKETS - 1, 10001},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct metric_set set = {0};

        metric_delay(&set, rows[i].delay_ms);
        for (size_t j = 0; j < DELAY_BUCKETS; j++)
            CHECK_INT(rows[i].row, atomic_load(&set.delay[j]), j == rows[i].bucket);
        CHECK_INT(rows[i].row, atomic_load(&set.delay_sum_ms), rows[i].sum_ms);
    }
}

static void
test_bounds_rise(void)
{
    for (size_t i = 1; i < DELAY_BUCKETS - 1; i++)
        CU_ASSERT_TRUE(delay_bounds_ms[i] > delay_bounds_ms[i - 1]);
}

static CU_TestInfo tests[] = {
    {"delay buckets", test_delay},
    {"bounds rise", test_bounds_rise},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_metric = {.pName = "metric", .pTests = tests};
