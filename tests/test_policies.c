/* Protects: the policy that judges is one that is kept, also when its serial was there before. */
#include "engine/policies.h"

#include "config/config.h"
#include "config/findings.h"
#include "tests/check.h"

static struct policy *
made(int64_t serial)
{
    static const char body[] = "plans: {free: {}}\nfallback_plan: free\n";
    struct findings findings = {0};
    struct policy *policy = policy_load("policy.yaml", body, sizeof body - 1, &findings);

    findings_free(&findings);
    CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
    if (policy != NULL)
        policy->serial = serial;
    return policy;
}

static void
test_twice(void)
{
    const struct policy *first = policies_add(made(7));

    CHECK_INT("the first", first->serial, 7);
    CU_ASSERT_PTR_EQUAL(policies_add(made(7)), first);
    CHECK_INT("another", policies_add(made(8))->serial, 8);
    policies_free();
}

static CU_TestInfo tests[] = {
    {"a serial that is there already", test_twice},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_policies = {.pName = "policies", .pTests = tests};
