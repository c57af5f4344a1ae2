/* Protects: a test that names a failpoint gets exactly that stumble, and a misspelt one gets none. */
#include "config/failpoint.h"
#include "tests/check.h"

#include <stdlib.h>

static bool
set(const char *value, struct err *why)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    CU_ASSERT_EQUAL_FATAL(setenv("TRIPMETER_FAILPOINTS", value, 1), 0);
    const bool good = failpoint_setup(why);

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    CU_ASSERT_EQUAL_FATAL(unsetenv("TRIPMETER_FAILPOINTS"), 0);
    return good;
}

static void
test_spelling(void)
{
    static const struct {
        const char *value;
        bool good;
    } rows[] = {
        {"", true},
        {"settle_begin=error", true},
        {"settle_begin=error@0", true},
        {"settle_begin=error@3,apply_record=kill@17", true},
        {"settle_begin", false},
        {"settle_begin=", false},
        {"settle_begin=explode", false},
        {"settle_begin=error@", false},
        {"settle_begin=error@-1", false},
        {"settle_begin=error@x", false},
        {"settle_begun=error", false},
        {"=error", false},
        {"settle_begin=error,,", false},
    };
    struct err why;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].value, set(rows[i].value, &why), rows[i].good);
        if (!rows[i].good)
            CHECK_INT(rows[i].value, why.class, ERR_FATAL);
    }
    CU_ASSERT(set("", &why));
    CU_ASSERT(!failpoint_any);
}

static void
test_which_time(void)
{
    struct err why;

    CU_ASSERT(set("settle_begin=error@2,settle_rows=error@7,drain=error", &why));
    CU_ASSERT(!failpoint(FAIL_settle_begin, -1));
    CU_ASSERT(failpoint(FAIL_settle_begin, -1));
    CU_ASSERT(!failpoint(FAIL_settle_begin, -1));
    CU_ASSERT(!failpoint(FAIL_settle_rows, 6));
    CU_ASSERT(failpoint(FAIL_settle_rows, 7));
    CU_ASSERT(failpoint(FAIL_settle_rows, 7));
    CU_ASSERT(failpoint(FAIL_drain, -1));
    CU_ASSERT(failpoint(FAIL_drain, -1));
    CU_ASSERT(!failpoint(FAIL_revoke, -1));
    CU_ASSERT(set("", &why));
    CU_ASSERT(!failpoint(FAIL_drain, -1));
}

static CU_TestInfo tests[] = {
    {"names, actions and numbers", test_spelling},
    {"the n-th time, a given number, every time", test_which_time},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_failpoint = {"failpoint", NULL, NULL, NULL, NULL, tests};
