/* Protects: levels and steps are exact at their edges (SEMANTICS 4: inclusive, integers). */
#include "rules/policy.h"
#include "tests/check.h"

static const tally tally_max = (tally)(((__extension__(unsigned __int128) 1) << 127) - 1);

static void
test_level(void)
{
    static const struct {
        const char *row;
        const char *level;
        tally used;
        tally limit;
    } rows[] = {
        {"nothing used", "ok", 0, 100},
        {"49.99 %", "ok", 4999, 10000},
        {"50 %", "info", 5000, 10000},
        {"74.99 %", "info", 7499, 10000},
        {"75 %", "warning", 7500, 10000},
        {"89.99 %", "warning", 8999, 10000},
        {"90 %", "critical", 9000, 10000},
        {"99.99 %", "critical", 9999, 10000},
        {"100 %", "exceeded", 10000, 10000},
        {"over", "exceeded", 10001, 10000},
        {"half of an odd limit, below", "ok", 1, 3},
        {"half of an odd limit, above", "info", 2, 3},
        {"limit 1", "exceeded", 1, 1},
        {"limit 0 is full from the start", "exceeded", 0, 0},
        {"refunded below nothing", "ok", -1, 100},
        {"refunded below a limit of 0", "exceeded", -1, 0},
        {"one nano below a large limit", "critical", tally_max - 1, tally_max},
        {"the largest limit", "exceeded", tally_max, tally_max},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].row, strcmp(policy_level(rows[i].used, rows[i].limit), rows[i].level), 0);
}

static void
test_step_amount(void)
{
    for (tally limit = 0; limit <= 250; limit++)
        for (int32_t pct = 1; pct <= 100; pct++) {
            const tally amount = policy_step_amount(limit, pct);

            CHECK_INT("reached", amount * 100 >= pct * limit, true);
            CHECK_INT("not one less", (amount - 1) * 100 < pct * limit, true);
        }
    CU_ASSERT_TRUE(policy_step_amount(tally_max, 100) == tally_max);
}

static void
test_step_severity(void)
{
    static const struct {
        int32_t pct;
        enum severity severity;
    } rows[] = {
        {1, SEVERITY_INFO},      {50, SEVERITY_INFO},      {74, SEVERITY_INFO},
        {75, SEVERITY_WARNING},  {89, SEVERITY_WARNING},   {90, SEVERITY_CRITICAL},
        {99, SEVERITY_CRITICAL}, {100, SEVERITY_CRITICAL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT("severity", policy_step_severity(rows[i].pct), rows[i].severity);
}

static void
test_plan(void)
{
    struct arena *arena = arena_new(1 << 17);
    struct policy *policy = arena_take(arena, sizeof *policy);
    struct plan plans[] = {{.name = TEXT("free")}, {.name = TEXT("starter")}};

    CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
    if (policy == NULL)
        return;
    policy->arena = arena;
    policy->plans = plans;
    policy->plan_count = 2;
    CU_ASSERT_PTR_EQUAL(policy_plan(policy, TEXT("starter")), &plans[1]);
    CU_ASSERT_PTR_NULL(policy_plan(policy, TEXT("start")));
    CU_ASSERT_PTR_NULL(policy_plan(policy, (struct text){NULL, 0}));
    policy_free(policy);
    policy_free(NULL);
}

static CU_TestInfo tests[] = {
    {"levels", test_level},
    {"step amounts", test_step_amount},
    {"step severities", test_step_severity},
    {"plans by name", test_plan},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_policy = {.pName = "policy", .pTests = tests};
