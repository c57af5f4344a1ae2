/* Protects: a row of facts says what was added to it, whether that fits into it or not. */
#include "core/delta.h"
#include "tests/check.h"

static struct list wide;

static enum delta_added
add(struct delta *delta, const struct amounts *amounts)
{
    return delta_add(delta, &wide, amounts, delta_fits(amounts));
}

static void
check(const char *what, const struct delta *delta, const struct amounts *expected)
{
    struct amounts sum;

    delta_read(delta, &wide, &sum);
    CHECK_INT(what, amounts_equal(&sum, expected), true);
}

static void
begin(void)
{
    list_init(&wide, sizeof(struct amounts), 2);
}

static void
test_narrow(void)
{
    const struct amounts usual = {.cost = 5, .charge = 7, .count = {[COUNT_output_tokens] = 3}};
    const struct amounts twice = {.cost = 10, .charge = 14, .count = {[COUNT_output_tokens] = 6}};
    struct delta delta = {.cost = 0};

    begin();
    CHECK_INT("once", add(&delta, &usual), DELTA_ADDED);
    CHECK_INT("twice", add(&delta, &usual), DELTA_ADDED);
    check("the sum", &delta, &twice);
    CHECK_INT("nothing beside it", wide.count, 0);
    list_free(&wide);
}

/* Each of them alone moves a row out, and what was in it goes with it. */
static void
test_wide(void)
{
    const tally much = (tally)INT64_MAX + 1;
    static const struct amounts before = {.cost = 1, .charge = 1, .count = {[COUNT_events] = 1}};
    const struct {
        const char *row;
        struct amounts more, sum;
    } rows[] = {
        {"a seldom count",
         {.count = {[COUNT_reasoning_tokens] = 4}},
         {.cost = 1, .charge = 1, .count = {[COUNT_events] = 1, [COUNT_reasoning_tokens] = 4}}},
        {"the last count",
         {.count = {[COUNT_COUNT - 1] = 4}},
         {.cost = 1, .charge = 1, .count = {[COUNT_events] = 1, [COUNT_COUNT - 1] = 4}}},
        {"a refund",
         {.cost = -1, .refunded = -1},
         {.charge = 1, .refunded = -1, .count = {[COUNT_events] = 1}}},
        {"an estimate",
         {.estimate = 2},
         {.cost = 1, .charge = 1, .estimate = 2, .count = {[COUNT_events] = 1}}},
        {"much money at once", {.cost = much}, {.cost = much + 1, .charge = 1, .count = {1}}},
        {"money that becomes much",
         {.charge = INT64_MAX},
         {.cost = 1, .charge = much, .count = {1}}},
        {"a count at once",
         {.count = {[COUNT_input_tokens] = INT64_MAX}},
         {.cost = 1, .charge = 1, .count = {1, [COUNT_input_tokens] = INT64_MAX}}},
        {"a count that becomes much",
         {.count = {INT32_MAX}},
         {.cost = 1, .charge = 1, .count = {INT32_MAX + INT64_C(1)}}},
        {"money that becomes little",
         {.cost = INT64_MIN, .charge = INT64_MIN},
         {.cost = INT64_MIN + (tally)1, .charge = INT64_MIN + (tally)1, .count = {1}}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delta delta = {.cost = 0};

        begin();
        CHECK_INT(rows[i].row, add(&delta, &before), DELTA_ADDED);
        CHECK_INT(rows[i].row, add(&delta, &rows[i].more), DELTA_ADDED);
        check(rows[i].row, &delta, &rows[i].sum);
        CHECK_INT(rows[i].row, wide.count, i == 8 ? 0 : 1);
        list_free(&wide);
    }
}

static void
test_limits(void)
{
    const struct amounts seldom = {.count = {[COUNT_images] = 1}};
    const struct amounts many = {.count = {[COUNT_events] = INT64_MAX}};
    struct delta deltas[3] = {{.cost = 0}};
    const struct amounts expected = {.count = {[COUNT_images] = 1, [COUNT_events] = INT64_MAX}};

    begin();
    CHECK_INT("first", add(&deltas[0], &seldom), DELTA_ADDED);
    CHECK_INT("second", add(&deltas[1], &seldom), DELTA_ADDED);
    CHECK_INT("no room for a third", add(&deltas[2], &seldom), DELTA_NO_MEMORY);
    CHECK_INT("a full count", add(&deltas[0], &many), DELTA_ADDED);
    CHECK_INT("one too many", add(&deltas[0], &many), DELTA_OVERFLOW);
    check("nothing of that", &deltas[0], &expected);
    check("the one that is not wide is as it was", &deltas[2], &(struct amounts){.cost = 0});
    list_free(&wide);
}

static CU_TestInfo tests[] = {
    {"what most events have", test_narrow},
    {"what does not fit", test_wide},
    {"limits", test_limits},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_delta = {.pName = "delta", .pTests = tests};
