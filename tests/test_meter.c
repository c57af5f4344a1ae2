/* Protects: rows of counts and money add up whole or not at all, and meters read the right ones. */
#include "core/meter.h"
#include "tests/check.h"

static const tally tally_max = (tally)(((__extension__(unsigned __int128) 1) << 127) - 1);

static void
test_add(void)
{
    struct amounts sum = {.count[COUNT_requests] = 2, .cost = 5, .charge = 7, .refunded = -1};
    const struct amounts more = {.count[COUNT_requests] = 3,
                                 .count[COUNT_clamped] = 1,
                                 .cost = -6,
                                 .charge = 1,
                                 .refunded = -2};
    const struct amounts expected = {.count[COUNT_requests] = 5,
                                     .count[COUNT_clamped] = 1,
                                     .cost = -1,
                                     .charge = 8,
                                     .refunded = -3};

    CU_ASSERT_TRUE(amounts_add(&sum, &more));
    CU_ASSERT_TRUE(amounts_equal(&sum, &expected));
}

static void
test_overflow(void)
{
    static const struct {
        const char *row;
        struct amounts more;
    } rows[] = {
        {"first count", {.count[COUNT_events] = INT64_MAX}},
        {"last count", {.count[COUNT_COUNT - 1] = INT64_MAX}},
        {"cost", {.cost = tally_max}},
        {"charge", {.charge = tally_max}},
        {"refunded", {.refunded = tally_max}},
        {"estimate", {.estimate = tally_max}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct amounts one = {.cost = 1, .charge = 1, .refunded = 1, .estimate = 1};

        for (size_t j = 0; j < COUNT_COUNT; j++)
            one.count[j] = 1;

        const struct amounts before = one;

        CHECK_INT(rows[i].row, amounts_add(&one, &rows[i].more), false);
        CHECK_INT(rows[i].row, amounts_equal(&one, &before), true);
    }
}

static void
test_equal(void)
{
    static const struct amounts zero;

    for (size_t i = 0; i < COUNT_COUNT; i++) {
        struct amounts other = zero;

        other.count[i] = 1;
        CHECK_INT(count_names[i], amounts_equal(&zero, &other), false);
    }
    CU_ASSERT_FALSE(amounts_equal(&zero, &(struct amounts){.cost = 1}));
    CU_ASSERT_FALSE(amounts_equal(&zero, &(struct amounts){.charge = 1}));
    CU_ASSERT_FALSE(amounts_equal(&zero, &(struct amounts){.refunded = 1}));
    CU_ASSERT_FALSE(amounts_equal(&zero, &(struct amounts){.estimate = 1}));
    CU_ASSERT_TRUE(amounts_equal(&zero, &zero));
}

static void
test_read(void)
{
    static const struct {
        tally value;
        const char *name;
        bool money;
    } rows[METER_COUNT] = {
        {1, "requests", false},
        {2, "attempts", false},
        {INT64_MAX, "input_tokens", false},
        {4, "output_tokens", false},
        {(tally)INT64_MAX + 4, "tokens", false},
        {5, "cost", true},
        {6, "charge", true},
    };
    const struct amounts amounts = {.count[COUNT_requests] = 1,
                                    .count[COUNT_attempts] = 2,
                                    .count[COUNT_input_tokens] = INT64_MAX,
                                    .count[COUNT_output_tokens] = 4,
                                    .cost = 4, /* limits see the estimate as well */
                                    .charge = 5,
                                    .estimate = 1};

    for (size_t i = 0; i < METER_COUNT; i++) {
        enum meter meter = METER_COUNT;

        CHECK_INT(rows[i].name, meter_by_name(text_of(rows[i].name), &meter), true);
        CHECK_INT(rows[i].name, meter, i);
        CHECK_INT(rows[i].name, meter_read(&amounts, meter) == rows[i].value, true);
        CHECK_INT(rows[i].name, meter_is_money(meter), rows[i].money);
    }

    enum meter meter = METER_COUNT;

    CU_ASSERT_FALSE(meter_by_name(TEXT("request"), &meter));
    CU_ASSERT_FALSE(meter_by_name((struct text){NULL, 0}, &meter));
}

static CU_TestInfo tests[] = {
    {"add", test_add},
    {"overflow adds nothing", test_overflow},
    {"equal looks at every member", test_equal},
    {"meters", test_read},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_meter = {.pName = "meter", .pTests = tests};
