/* Protects: rows are in order of their places, and of their keys where places meet. */
#include "core/placed.h"
#include "tests/check.h"

#include <stdlib.h>

enum { MOST = 3000 };

static int
by_row(const void *a, const void *b)
{
    const int *const one = ((const struct placed *)a)->row;
    const int *const other = ((const struct placed *)b)->row;

    return (*one > *other) - (*one < *other);
}

static int
by_both(const void *a, const void *b)
{
    const uint64_t one = ((const struct placed *)a)->place;
    const uint64_t other = ((const struct placed *)b)->place;

    return one != other ? (one > other) - (one < other) : by_row(a, b);
}

struct sort_row {
    const char *name;
    size_t count;
    uint64_t mask; /* of a random place: few values meet often */
};

static const struct sort_row sort_rows[] = {
    {"none", 0, UINT64_MAX},        {"one", 1, UINT64_MAX},
    {"two that meet", 2, 0},        {"all meet", MOST, 0},
    {"many meet", MOST, 0xFF},      {"high half", MOST, UINT64_MAX << 32},
    {"anything", MOST, UINT64_MAX}, {"top bit", MOST, UINT64_C(1) << 63},
};

static void
test_sort(void)
{
    static struct placed rows[MOST], spare[MOST], expected[MOST];
    static int numbers[MOST];
    uint64_t random = 42;

    for (size_t r = 0; r < sizeof sort_rows / sizeof sort_rows[0]; r++) {
        const struct sort_row *const row = &sort_rows[r];
        size_t wrong = 0;

        for (size_t i = 0; i < row->count; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            numbers[i] = (int)(random >> 40);
            rows[i] = (struct placed){(random ^ random >> 29) & row->mask, &numbers[i]};
            expected[i] = rows[i];
        }
        placed_sort(rows, spare, row->count, by_row);
        qsort(expected, row->count, sizeof *expected, by_both);
        for (size_t i = 0; i < row->count; i++)
            wrong += rows[i].place != expected[i].place ||
                     *(const int *)rows[i].row != *(const int *)expected[i].row;
        CHECK_INT(row->name, wrong, 0);
    }
}

static CU_TestInfo tests[] = {
    {"sort", test_sort},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_placed = {.pName = "placed", .pTests = tests};
