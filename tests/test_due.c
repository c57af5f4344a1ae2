/* Protects: deadlines fire in (deadline, name) order, also when they move or go meanwhile. */
#include "rules/due.h"
#include "tests/check.h"

enum { TENANTS = 40 };

static struct tenant tenants[TENANTS];
static char names[TENANTS][4];

static void
test_order(void)
{
    struct due due = {0};
    uint32_t state = 7;

    for (size_t i = 0; i < TENANTS; i++) {
        (void)snprintf(names[i], sizeof names[i], "%02zu", (i * 7) % TENANTS);
        tenants[i] = (struct tenant){.name = text_of(names[i]), .due_ms = INT64_MAX};
    }
    for (size_t i = 0; i < 2000; i++) {
        state = state * 1664525 + 1013904223;
        const int64_t due_ms = (state >> 8) % 9 == 0 ? INT64_MAX : (int64_t)(state >> 20) % 50;

        CU_ASSERT_TRUE(due_set(&due, &tenants[(state >> 12) % TENANTS], due_ms));
    }
    CU_ASSERT_PTR_NULL(due_first(&due, -1));
    struct text last = {NULL, 0};
    int64_t last_ms = -1;
    size_t count = 0;
    size_t expected = 0;

    for (size_t i = 0; i < TENANTS; i++)
        expected += tenants[i].due_ms != INT64_MAX;
    for (struct tenant *first; (first = due_first(&due, 1000)) != NULL; count++) {
        CHECK_INT("in order",
                  first->due_ms > last_ms ||
                      (first->due_ms == last_ms && text_compare(first->name, last) > 0),
                  true);
        last = first->name;
        last_ms = first->due_ms;
        CU_ASSERT_TRUE(due_set(&due, first, INT64_MAX));
    }
    CHECK_INT("each once", count, expected);
    due_free(&due);
}

static CU_TestInfo tests[] = {
    {"deadlines fire in order", test_order},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_due = {.pName = "due", .pTests = tests};
