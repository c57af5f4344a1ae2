/* Protects: an index that loses no key and keeps none, however keys collide, come and go. */
#include "core/table.h"
#include "tests/check.h"

static struct key128
key_of(uint64_t low, uint64_t high)
{
    /* The lower half of `low` is not looked at. */
    return (struct key128){.low = low << 32, .high = high};
}

static void
test_put_find_remove(void)
{
    struct table table;

    CU_ASSERT_TRUE_FATAL(table_init(&table, 4, 100));
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 1)), TABLE_NONE);
    CU_ASSERT_TRUE(table_put(&table, key_of(1, 1), 7));
    CU_ASSERT_TRUE(table_put(&table, key_of(1, 2), 8));
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 1)), 7);
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 2)), 8);
    CU_ASSERT_TRUE(table_put(&table, key_of(1, 1), 9));
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 1)), 9);
    CU_ASSERT_EQUAL(table.count, 2);
    table_remove(&table, key_of(5, 5));
    table_remove(&table, key_of(1, 1));
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 1)), TABLE_NONE);
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 2)), 8);
    table_clear(&table);
    CU_ASSERT_EQUAL(table_find(&table, key_of(1, 2)), TABLE_NONE);
    CU_ASSERT_EQUAL(table.count, 0);
    table_free(&table);
}

static void
test_limit(void)
{
    struct table table;

    CU_ASSERT_TRUE_FATAL(table_init(&table, 1, 3));
    for (uint64_t i = 0; i < 3; i++)
        CU_ASSERT_TRUE(table_put(&table, key_of(i, 0), 1));
    CU_ASSERT_FALSE(table_put(&table, key_of(3, 0), 1));
    CU_ASSERT_TRUE(table_put(&table, key_of(2, 0), 2)); /* replaces */
    table_remove(&table, key_of(0, 0));
    CU_ASSERT_TRUE(table_put(&table, key_of(3, 0), 1));
    table_free(&table);
}

/* Few homes, many keys: chains that wrap around the end and holes in the middle of them. */
static void
test_against_an_array(void)
{
    enum { KEYS = 300, STEPS = 20000 };
    uint32_t expected[KEYS];
    struct table table;
    uint32_t state = 1;

    CU_ASSERT_TRUE_FATAL(table_init(&table, 1, KEYS));
    for (size_t i = 0; i < KEYS; i++)
        expected[i] = TABLE_NONE;
    for (uint32_t step = 0; step < STEPS; step++) {
        state = state * 1664525 + 1013904223;
        const uint32_t number = (state >> 8) % KEYS;
        const struct key128 key = key_of(number % 7 == 0 ? UINT64_MAX : number % 5, number);

        if ((state >> 4) % 3 == 0) {
            table_remove(&table, key);
            expected[number] = TABLE_NONE;
        } else {
            CU_ASSERT_TRUE(table_put(&table, key, step));
            expected[number] = step;
        }
        const uint32_t other = (state >> 16) % KEYS;
        const struct key128 sought = key_of(other % 7 == 0 ? UINT64_MAX : other % 5, other);

        CHECK_INT("found as put", table_find(&table, sought), expected[other]);
    }
    size_t count = 0;

    for (size_t i = 0; i < KEYS; i++)
        count += expected[i] != TABLE_NONE;
    CHECK_INT("count", table.count, count);
    table_free(&table);
}

static CU_TestInfo tests[] = {
    {"put, find, remove, clear", test_put_find_remove},
    {"the limit", test_limit},
    {"against an array", test_against_an_array},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_table = {.pName = "table", .pTests = tests};
