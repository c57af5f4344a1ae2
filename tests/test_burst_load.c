/* Protects: burst limits mean what the policy says, and what cannot be meant is refused where it
 * stands. */
#include "tests/config_check.h"

#define BURST                                            \
    "fallback_plan: free\nplans:\n  free:\n"             \
    "    quotas: {calls: {meter: requests, limit: 5}}\n" \
    "    burst:"

static void
test_burst_findings(void)
{
    static const struct config_row rows[] = {
        {"nothing said", BURST "\n", ""},
        {"a number", BURST " {key: 60}\n", ""},
        {"all said",
         BURST " {key: {limit: 60, count: attempts, mode: shadow}, tenant: 1G, ip: 1_000_000_000,\n"
               "  feature: {limit: 5}}\n",
         ""},
        {"misspelt", BURST " {kye: 60}\n",
         "5:13: plan free: burst: unknown key kye; did you mean `key`?"},
        {"a list", BURST " [60]\n", "5:12: plan free: burst: must be written like {key: 60}"},
        {"no number", BURST " {key: often}\n",
         "5:18: plan free: burst: key: often is not a number of requests in a minute, 0 to "
         "1000000000, like 60"},
        {"negative", BURST " {key: -1}\n",
         "5:18: plan free: burst: key: -1 is not a number of requests in a minute, 0 to "
         "1000000000, like 60"},
        {"too many", BURST " {ip: {limit: 1000000001}}\n",
         "5:25: plan free: burst: ip: limit: 1000000001 is not a number of requests in a minute, 0 "
         "to 1000000000, like 60"},
        {"nothing", BURST " {key: 0}\n",
         "5:18: warning: plan free: burst: key: 0 throttles after every single request"},
        {"above its tenant",
         BURST " {key: 61, ip: 60, tenant: 60, feature: {limit: 61, count: attempts}}\n",
         "5:13: warning: plan free: burst: key is above the limit of the tenant, which is reached "
         "first"},
        {"no limit", BURST " {key: {mode: shadow}}\n",
         "5:13: plan free: burst: key has no limit: requests in a minute"},
        {"mode", BURST " {key: {limit: 5, mode: off}}\n",
         "5:35: plan free: burst: key: mode: off is none of enforce|shadow"},
        {"count", BURST " {key: {limit: 5, count: calls}}\n",
         "5:36: plan free: burst: key: count: calls is none of requests|attempts"},
    };

    CHECK_POLICY_ROWS(rows);
}

static void
test_burst_rules(void)
{
    checked_policy(BURST " {key: {limit: 60, count: attempts, mode: shadow}, ip: 7}\n");
    REQUIRE(checked.policy);
    const struct burst_rule *rules = checked.policy->plans[0].bursts;

    CHECK_INT("key", rules[BURST_KEY].limit, 60);
    CHECK_INT("attempts", rules[BURST_KEY].attempts, true);
    CHECK_INT("shadow", rules[BURST_KEY].mode, MODE_SHADOW);
    CHECK_INT("ip", rules[BURST_IP].on && !rules[BURST_IP].attempts, true);
    CHECK_INT("enforced", rules[BURST_IP].mode, MODE_ENFORCE);
    CHECK_INT("no tenant", rules[BURST_TENANT].on || rules[BURST_FEATURE].on, false);
    CHECK_INT("some plan has", checked.policy->has_bursts, true);
    CHECK_INT("attempts of keys", checked.policy->bursts[BURST_KEY][1], true);
    CHECK_INT("no requests of keys", checked.policy->bursts[BURST_KEY][0], false);
    checked_policy(
        "fallback_plan: free\nplans: {free: {quotas: {calls: {meter: requests, limit: 5}}}}\n");
    REQUIRE(checked.policy);
    CHECK_INT("none has", checked.policy->has_bursts, false);
}

static CU_TestInfo tests[] = {
    {"what is wrong", test_burst_findings},
    {"what holds", test_burst_rules},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_burst_load = {
    .pName = "burst_load", .pTests = tests, .pCleanupFunc = checked_forget};
