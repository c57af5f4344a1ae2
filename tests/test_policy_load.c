/* Protects: a policy means what its file says, and what cannot be meant is refused where it stands. */
#include "tests/config_check.h"

#define NANO INT64_C(1000000000)

static const struct quota *
quota_of(const char *plan_name, const char *quota_name)
{
    const struct plan *plan =
        checked.policy == NULL ? NULL : policy_plan(checked.policy, text_of(plan_name));

    for (size_t i = 0; plan != NULL && i < plan->quota_count; i++)
        if (text_eq(plan->quotas[i].name, text_of(quota_name)))
            return &plan->quotas[i];
    CU_FAIL_FATAL("no such quota");
    return NULL;
}

/* ---- what is taken ---------------------------------------------------------------------------- */

static void
test_whole(void)
{
    checked_policy("fallback_plan: free\n"
                   "defaults: {zone: Asia/Kathmandu, cycle: anchor:31, currency: EUR}\n"
                   "grace: 24h\n"
                   "upgrades: prorate\n"
                   "count_failed: true\n"
                   "unknown_project: block\n"
                   "plans:\n"
                   "  free:\n"
                   "    quotas:\n"
                   "      calls: {meter: requests, limit: 1_000}\n"
                   "      spend:\n"
                   "        meter: charge\n"
                   "        limit: 250.50 EUR\n"
                   "        soft: 70\n"
                   "        steps: [10, 99, 100]\n"
                   "        scope: project\n"
                   "        period: month\n"
                   "        on_exceed: alert\n"
                   "        mode: shadow\n"
                   "  big-1: {quotas: {calls: {meter: requests, unlimited: true}}}\n"
                   "  bare:\n"
                   "  none: {quotas: {}}\n");
    CHECK_TEXT("whole", checked.found, "");
    REQUIRE(checked.policy);
    CU_ASSERT_TRUE(text_eq(checked.policy->zone, TEXT("Asia/Kathmandu")));
    CU_ASSERT_TRUE(text_eq(checked.policy->currency, TEXT("EUR")));
    CHECK_INT("cycle", checked.policy->cycle.kind, CYCLE_ANCHOR);
    CHECK_INT("anchor", checked.policy->cycle.day, 31);
    CHECK_INT("grace", checked.policy->grace_ms, 24 * CLOCK_HOUR_MS);
    CHECK_INT("upgrades", checked.policy->prorate_upgrades, true);
    CHECK_INT("failed", checked.policy->count_failed, true);
    CHECK_INT("unknown project", checked.policy->block_unknown_project, true);
    CHECK_INT("plans", checked.policy->plan_count, 4);
    CU_ASSERT_PTR_EQUAL(checked.policy->fallback_plan, &checked.policy->plans[0]);
    CHECK_INT("bare", policy_plan(checked.policy, TEXT("bare"))->quota_count, 0);

    const struct quota *calls = quota_of("free", "calls");

    CU_ASSERT_TRUE(text_eq(calls->full_name, TEXT("quota/calls")));
    CHECK_INT("meter", calls->meter, METER_REQUESTS);
    CHECK_INT("limit", calls->limit, 1000);
    CHECK_INT("soft", calls->soft_pct, 80);
    CHECK_INT("steps", calls->step_count, 3);
    CHECK_INT("step", calls->steps[0], 50);
    CHECK_INT("step", calls->steps[1], 75);
    CHECK_INT("step", calls->steps[2], 90);
    CHECK_INT("scope", calls->scope, QUOTA_TENANT);
    CHECK_INT("exceed", calls->on_exceed, ON_EXCEED_BLOCK);
    CHECK_INT("mode", calls->mode, MODE_ENFORCE);

    const struct quota *spend = quota_of("free", "spend");

    CHECK_INT("meter", spend->meter, METER_CHARGE);
    CHECK_INT("limit", spend->limit, 250 * NANO + NANO / 2);
    CHECK_INT("soft", spend->soft_pct, 70);
    CHECK_INT("steps", spend->step_count, 3);
    CHECK_INT("step", spend->steps[2], 100);
    CHECK_INT("scope", spend->scope, QUOTA_PROJECT);
    CHECK_INT("exceed", spend->on_exceed, ON_EXCEED_ALERT);
    CHECK_INT("mode", spend->mode, MODE_SHADOW);
    CHECK_INT("unlimited", quota_of("big-1", "calls")->unlimited, true);
}

static void
test_counted(void)
{
    checked_policy(
        "fallback_plan: a\n"
        "plans:\n"
        "  a: {quotas: {q: {meter: tokens, limit: 1}, seats: {gauge: team_members, limit: 3}}}\n"
        "  b: {quotas: {k: {meter: cost, limit: 1.00, scope: key, period: hour}}}\n"
        "  c: {quotas: {q: {meter: tokens, limit: 1}}}\n");
    CHECK_TEXT("counted", checked.found, "");
    REQUIRE(checked.policy);
    CU_ASSERT_TRUE(text_eq(quota_of("a", "seats")->gauge, TEXT("team_members")));
    CHECK_INT("scope", quota_of("b", "k")->scope, QUOTA_KEY);
    CHECK_INT("window", quota_of("b", "k")->window, WINDOW_HOUR);
    CHECK_INT("counts", policy_plan(checked.policy, TEXT("a"))->counts, true);
    CHECK_INT("counts", policy_plan(checked.policy, TEXT("b"))->counts, true);
    CHECK_INT("does not", policy_plan(checked.policy, TEXT("c"))->counts, false);
}

static void
test_defaults(void)
{
    checked_policy("fallback_plan: a\nplans: {a: {quotas: {q: {meter: tokens, limit: 1}}}}\n");
    CHECK_TEXT("defaults", checked.found, "");
    REQUIRE(checked.policy);
    CU_ASSERT_TRUE(text_eq(checked.policy->zone, TEXT("UTC")));
    CU_ASSERT_TRUE(text_eq(checked.policy->currency, TEXT("USD")));
    CHECK_INT("cycle", checked.policy->cycle.kind, CYCLE_CALENDAR_MONTH);
    CHECK_INT("grace", checked.policy->grace_ms, 72 * CLOCK_HOUR_MS);
    CHECK_INT("failed", checked.policy->count_failed, false);
    CHECK_INT("unknown project", checked.policy->block_unknown_project, false);
    CHECK_INT("serial", checked.policy->serial, 0);
}

static void
test_limits(void)
{
    static const struct {
        const char *meter;
        const char *limit;
        int64_t value;
    } rows[] = {
        {"requests", "0", 0},
        {"requests", "50k", 50000},
        {"tokens", "10M", 10000000},
        {"tokens", "2G", 2000000000},
        {"input_tokens", "1_000_000", 1000000},
        {"output_tokens", "\"5\"", 5},
        {"attempts", "1000000000000000", 1000000000000000},
        {"cost", "250.00", 250 * NANO},
        {"cost", "\"250.00\"", 250 * NANO},
        {"cost", "250.00 USD", 250 * NANO},
        {"charge", "0.000000001", 1},
        {"cost", "1k", 1000 * NANO},
        {"cost", "7 USD", 7 * NANO},
    };
    char body[256];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(body, sizeof body,
                       "fallback_plan: a\nplans: {a: {quotas: {q: {meter: %s, limit: %s}, w: "
                       "{meter: tokens, limit: 1}}}}\n",
                       rows[i].meter, rows[i].limit);
        checked_policy(body);
        CHECK_INT(rows[i].limit, checked.findings.error_count, 0);
        CHECK_INT(rows[i].limit, quota_of("a", "q")->limit, rows[i].value);
    }
}

/* ---- what is found ---------------------------------------------------------------------------- */

/* Line 1 is well; what a row adds begins in line 2. */
#define PLANS "plans: {free: {quotas: {calls: {meter: requests, limit: 5}}}}\n"

static void
test_file(void)
{
    static const struct config_row rows[] = {
        {"whole", PLANS "fallback_plan: free\n", ""},
        {"empty", "",
         "1:1: policy: has no value; write it like groups of keys, see policy.example.yaml"},
        {"a list", "- free\n",
         "1:1: policy: must be written like groups of keys, see policy.example.yaml"},
        {"nothing in it", "count_failed: true\n",
         "1:1: plans is missing: the plans and their quotas\n"
         "1:1: fallback_plan is missing: the plan of tenants that are not known"},
        {"no plans", "plans: {}\nfallback_plan: free\n",
         "1:8: plans: there must be at least one\n"
         "2:16: fallback_plan: there is no plan free"},
        {"list of plans", "plans: [free]\nfallback_plan: free\n",
         "1:8: plans: must be written like {free: {quotas: {...}}}\n"
         "2:16: fallback_plan: there is no plan free"},
        {"unknown key", PLANS "fallback_plan: free\ncount_fails: true\n",
         "3:1: policy: unknown key count_fails; did you mean `count_failed`?"},
        {"fallback misspelt", PLANS "fallback_plan: fre\n",
         "2:16: fallback_plan: there is no plan fre; did you mean free?"},
        {"fallback unknown", PLANS "fallback_plan: gold\n",
         "2:16: fallback_plan: there is no plan gold"},
        {"fallback without limits",
         "plans: {free: {quotas: {calls: {meter: requests, limit: 5, on_exceed: alert}}}}\n"
         "fallback_plan: free\n",
         "2:16: warning: fallback_plan: plan free blocks nothing: whoever is not known is not "
         "limited"},
        {"zone", PLANS "fallback_plan: free\ndefaults: {zone: Europe/Berln}\n",
         "3:18: defaults.zone: no time zone \"Europe/Berln\" in the system's database: use an IANA "
         "name, like Europe/Berlin or UTC"},
        {"currency", PLANS "fallback_plan: free\ndefaults: {currency: usd}\n",
         "3:22: defaults.currency: must be a currency code of three capital letters, like USD"},
        {"defaults' keys", PLANS "fallback_plan: free\ndefaults: {timezone: UTC}\n",
         "3:12: defaults: unknown key timezone"},
        {"grace", PLANS "fallback_plan: free\ngrace: 1h\n",
         "3:8: grace: 1h is no duration of 2h to 9600h, like 72h"},
        {"choices", PLANS "fallback_plan: free\ncount_failed: yes\nunknown_project: blok\n",
         "3:15: count_failed: yes is none of false|true\n"
         "4:18: unknown_project: blok is none of unassigned|block; did you mean block?"},
        {"plan's name", "plans: {Free: {}}\nfallback_plan: Free\n",
         "1:9: plans: the name of a plan must be small letters, digits, '_' and '-', at most 63, a "
         "letter first\n"
         "2:16: fallback_plan: there is no plan Free"},
        {"plan twice", "plans:\n  free: {}\n  free: {}\nfallback_plan: free\n",
         "3:3: free is given twice, first in line 2: keep one of them\n"
         "4:16: warning: fallback_plan: plan free blocks nothing: whoever is not known is not "
         "limited"},
        {"plan's members", "plans: {free: {qoutas: {}}}\nfallback_plan: free\n",
         "1:16: plan free: unknown key qoutas; did you mean `quotas`?\n"
         "2:16: warning: fallback_plan: plan free blocks nothing: whoever is not known is not "
         "limited"},
        {"environment is not replaced", PLANS "fallback_plan: ${PLAN}\n",
         "2:16: fallback_plan: there is no plan ${PLAN}"},
    };

    CHECK_POLICY_ROWS(rows);
}

/* Column 1 of line 3 is the quota's name. */
#define QUOTA(members)                                       \
    "plans: {free: {quotas: {ok: {meter: cost, limit: 1},\n" \
    "# the row's quota\n"                                    \
    "q: {" members "}}}}\n"                                  \
    "fallback_plan: free\n"

static const struct config_row quota_rows[] = {
    {"whole", QUOTA("meter: requests, limit: 5"), ""},
    {"no meter", QUOTA("limit: 5"),
     "3:1: plan free, quota q has no meter: what is counted, like requests, tokens or cost"},
    {"unknown meter", QUOTA("meter: reqests, limit: 5"),
     "3:12: plan free, quota q: meter: reqests is none of "
     "requests|attempts|input_tokens|output_tokens|tokens|cost|charge; did you mean requests?"},
    {"no limit", QUOTA("meter: requests"),
     "3:1: plan free, quota q has neither limit nor unlimited: true"},
    {"not unlimited either", QUOTA("meter: requests, unlimited: false"),
     "3:1: plan free, quota q has neither limit nor unlimited: true"},
    {"both", QUOTA("meter: requests, limit: 5, unlimited: true"),
     "3:22: plan free, quota q: limit contradicts unlimited: true; remove one of them"},
    {"steps of nothing",
     QUOTA("meter: requests, unlimited: true, steps: [50], soft: 70, "
           "on_exceed: alert"),
     "3:47: plan free, quota q: steps: 50 % of no limit is nothing; unlimited: true can have "
     "amounts, like 500 requests\n"
     "3:52: plan free, quota q: soft contradicts unlimited: true; remove one of them\n"
     "3:62: plan free, quota q: on_exceed contradicts unlimited: true; remove one of them"},
    {"negative", QUOTA("meter: requests, limit: -5"),
     "3:29: plan free, quota q: limit: must not be negative; 0 blocks from the start"},
    {"zero", QUOTA("meter: requests, limit: 0"),
     "3:29: warning: plan free, quota q: limit 0 blocks from the start"},
    {"zero, alert", QUOTA("meter: requests, limit: 0, on_exceed: alert"), ""},
    {"no number", QUOTA("meter: requests, limit: many"),
     "3:29: plan free, quota q: limit: must be a number like 50000, 1_000, 50k, 1M or (money) "
     "250.00"},
    {"commas", QUOTA("meter: requests, limit: \"1,000\""),
     "3:29: plan free, quota q: limit: must be a number like 50000, 1_000, 50k, 1M or (money) "
     "250.00"},
    {"half a request", QUOTA("meter: requests, limit: 1.5"),
     "3:29: plan free, quota q: limit: must be a whole number without a currency: this meter "
     "counts"},
    {"currency of requests", QUOTA("meter: requests, limit: 5 USD"),
     "3:29: plan free, quota q: limit: must be a whole number without a currency: this meter "
     "counts"},
    {"another currency", QUOTA("meter: cost, limit: 5 EUR"),
     "3:25: plan free, quota q: limit: there is no rate for EUR; add it to rates"},
    {"ten decimals", QUOTA("meter: cost, limit: 0.1234567891"),
     "3:25: plan free, quota q: limit: must be a number like 50000, 1_000, 50k, 1M or (money) "
     "250.00"},
    {"too large", QUOTA("meter: requests, limit: 1000000000000001"),
     "3:29: plan free, quota q: limit: must be at most 1e15"},
    {"step above 100", QUOTA("meter: requests, limit: 5, steps: [50, 101]"),
     "3:44: plan free, quota q: steps: 101 is neither a whole number of percent (1..100) nor an "
     "amount with its unit, like 500 requests"},
    {"step of 0", QUOTA("meter: requests, limit: 5, steps: [0]"),
     "3:40: plan free, quota q: steps: 0 is neither a whole number of percent (1..100) nor an "
     "amount with its unit, like 500 requests"},
    {"steps not rising", QUOTA("meter: requests, limit: 5, steps: [50, 50, 40]"),
     "3:44: plan free, quota q: steps: must rise: 50 comes after 50\n"
     "3:48: plan free, quota q: steps: must rise: 40 comes after 50"},
    {"steps as a text", QUOTA("meter: requests, limit: 5, steps: 50"),
     "3:39: plan free, quota q: steps: must be written like [50, 75, 90]"},
    {"too many steps",
     QUOTA("meter: requests, limit: 5, steps: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"),
     "3:39: plan free, quota q: steps: more than 15 steps"},
    {"steps of money", QUOTA("meter: cost, limit: 200, steps: [50, 120 USD, 75, 150.50 USD, 90]"),
     ""},
    {"steps of counts", QUOTA("meter: tokens, limit: 1M, steps: [50k tokens, 90]"), ""},
    {"steps of a gauge", QUOTA("gauge: seats, limit: 10, steps: [8 seats]"), ""},
    {"steps without a limit", QUOTA("meter: cost, unlimited: true, steps: [50.00 USD, 1k USD]"),
     ""},
    {"amounts that cannot be meant",
     QUOTA("meter: cost, limit: 200.00, steps: [-5 USD, 0 USD, 20 EUR, 120.00, 30 requests, many "
           "USD]"),
     "3:41: plan free, quota q: steps: -5 USD must be above 0\n"
     "3:49: plan free, quota q: steps: 0 USD must be above 0\n"
     "3:56: plan free, quota q: steps: 20 EUR must be in USD\n"
     "3:64: plan free, quota q: steps: 120.00 is neither a whole number of percent (1..100) nor an "
     "amount with its unit, like 500 USD\n"
     "3:72: plan free, quota q: steps: 30 requests must be in USD\n"
     "3:85: plan free, quota q: steps: many USD must be a number like 50000, 1_000, 50k, 1M or "
     "(money) 250.00"},
    {"half an amount", QUOTA("meter: requests, limit: 5, steps: [1.5 requests]"),
     "3:40: plan free, quota q: steps: 1.5 requests must be a whole number: this quota counts"},
    {"amounts not rising",
     QUOTA("meter: requests, limit: 50, steps: [9 requests, 9 requests, 8 requests]"),
     "3:53: plan free, quota q: steps: amounts must rise: 9 requests is not above the one before\n"
     "3:65: plan free, quota q: steps: amounts must rise: 8 requests is not above the one before"},
    {"amounts above the limit", QUOTA("meter: requests, limit: 5, steps: [5 requests, 6 requests]"),
     "3:40: plan free, quota q: steps: 5 requests is not below the limit, where 100 is the step\n"
     "3:52: plan free, quota q: steps: 6 requests is not below the limit, where 100 is the step"},
    {"steps in a currency without a rate", QUOTA("meter: cost, unlimited: true, steps: [5 EUR]"),
     "3:43: plan free, quota q: steps: there is no rate for EUR; add it to rates"},
    {"steps in no currency", QUOTA("meter: cost, unlimited: true, steps: [5 requests]"),
     "3:43: plan free, quota q: steps: requests must be a currency code of three capital letters, "
     "like USD"},
    {"an amount twice", QUOTA("meter: requests, limit: 50, steps: [25 requests, 50]"),
     "3:41: warning: plan free, quota q: steps: 25 requests is the same as 50: one alert tells of "
     "both"},
    {"no steps", QUOTA("meter: requests, limit: 5, steps: []"), ""},
    {"soft in decimals", QUOTA("meter: requests, limit: 5, soft: 0.8"),
     "3:38: plan free, quota q: soft: 0.8 is not a whole number of percent, like 80"},
    {"soft above", QUOTA("meter: requests, limit: 5, soft: 101"),
     "3:38: plan free, quota q: soft: 101 is outside 1..100 (percent)"},
    {"choices",
     QUOTA("meter: requests, limit: 5, scope: team, period: year, on_exceed: stop, mode: "
           "shadw"),
     "3:39: plan free, quota q: scope: team is none of tenant|project|feature|model|key\n"
     "3:53: plan free, quota q: period: year is none of billing|day|hour|month\n"
     "3:70: plan free, quota q: on_exceed: stop is none of block|alert\n"
     "3:82: plan free, quota q: mode: shadw is none of enforce|shadow; did you mean shadow?"},
    {"prepaid", QUOTA("meter: cost, limit: 5, on_exceed: prepaid"),
     "3:39: plan free, quota q: on_exceed: prepaid balances are not there yet; write block, or "
     "alert to let usage go on"},
    {"workspaces", QUOTA("meter: cost, limit: 5, scope: workspace"),
     "3:35: plan free, quota q: scope: workspaces are not counted, gateways have no scope for "
     "them; let events name them as projects"},
    {"gauge and meter", QUOTA("meter: requests, gauge: seats, limit: 5"),
     "3:5: plan free, quota q: meter contradicts gauge: a gauge is of the tenant and has no "
     "period; "
     "remove one of them"},
    {"gauge by day", QUOTA("gauge: seats, limit: 5, period: day"),
     "3:29: plan free, quota q: period contradicts gauge: a gauge is of the tenant and has no "
     "period; "
     "remove one of them"},
    {"pacing of a day", QUOTA("meter: requests, limit: 5, period: day, pacing: on"),
     "3:45: plan free, quota q: pacing is for quotas of a tenant or a project in its billing "
     "period; remove it"},
    {"forecast of a gauge", QUOTA("gauge: seats, limit: 5, forecast: on"),
     "3:29: plan free, quota q: forecast is for quotas of a tenant or a project in its billing "
     "period; remove it"},
    {"pacing of a feature", QUOTA("meter: requests, limit: 5, scope: feature, pacing: on"),
     "3:48: plan free, quota q: pacing is for quotas of a tenant or a project in its billing "
     "period; remove it"},
    {"pacing of nothing", QUOTA("meter: requests, unlimited: true, pacing: on"),
     "3:39: plan free, quota q: pacing contradicts unlimited: true; remove one of them"},
    {"pacing is a switch", QUOTA("meter: requests, limit: 5, pacing: 2"),
     "3:40: plan free, quota q: pacing: 2 is none of off|on"},
    {"gauge", QUOTA("gauge: Seats, limit: 5"),
     "3:12: plan free, quota q: gauge must be small letters, digits and '_', at most 63, a letter "
     "first"},
    {"unknown member", QUOTA("meter: requests, limti: 5"),
     "3:1: plan free, quota q has neither limit nor unlimited: true\n"
     "3:22: plan free, quota q: unknown key limti; did you mean `limit`?"},
    {"twice in a plan", QUOTA("meter: requests, limit: 5}, q: {meter: tokens, limit: 5"),
     "3:33: q is given twice, first in line 3: keep one of them"},
    {"name",
     "plans: {free: {quotas: {Api-Calls: {meter: requests, limit: 5}, ok: {meter: "
     "cost, limit: 1}}}}\nfallback_plan: free\n",
     "1:25: plan free: the name of a quota must be small letters, digits and '_', at most 63, "
     "a letter first"},
    {"a number for a quota",
     "plans: {free: {quotas: {q: 5, ok: {meter: cost, limit: 1}}}}\nfallback_plan: free\n",
     "1:28: plan free, quota q: must be written like {meter: requests, limit: 50k}"},
};

static void
test_quotas(void)
{
    CHECK_POLICY_ROWS(quota_rows);
}

static void
test_contradictions(void)
{
    static const struct config_row rows[] = {
        {"another meter",
         "plans:\n"
         "  free: {quotas: {calls: {meter: requests, limit: 5}}}\n"
         "  paid: {quotas: {calls: {meter: attempts, limit: 9}}}\n"
         "fallback_plan: free\n",
         "3:19: plan paid, quota calls counts attempts by tenant and billing period, "
         "but plan free has it count requests by tenant and billing period: a quota of one name "
         "must mean the same in all plans"},
        {"another scope",
         "plans:\n"
         "  free: {quotas: {calls: {meter: requests, limit: 5}}}\n"
         "  paid: {quotas: {calls: {meter: requests, limit: 9, scope: project}}}\n"
         "fallback_plan: free\n",
         "3:19: plan paid, quota calls counts requests by project and billing period, "
         "but plan free has it count requests by tenant and billing period: a quota of one name "
         "must mean the same in all plans"},
        {"project above its tenant",
         "plans:\n"
         "  free:\n"
         "    quotas:\n"
         "      calls: {meter: requests, limit: 5}\n"
         "      calls_each: {meter: requests, limit: 6, scope: project}\n"
         "fallback_plan: free\n",
         "5:7: warning: plan free: quota calls_each of a project is above quota calls of its "
         "tenant, which is reached first"},
        {"project as much as its tenant",
         "plans:\n"
         "  free:\n"
         "    quotas:\n"
         "      calls: {meter: requests, limit: 5}\n"
         "      calls_each: {meter: requests, limit: 5, scope: project}\n"
         "fallback_plan: free\n",
         ""},
    };

    CHECK_POLICY_ROWS(rows);
}

/* ---- breakers ------------------------------------------------------------------------------------ */

#define BREAKERS PLANS "fallback_plan: free\nbreakers:\n"

static void
test_breaker_findings(void)
{
    static const struct config_row rows[] = {
        {"nothing said", BREAKERS, ""},
        {"all said",
         BREAKERS "  {mode: enforce, floor: 2.00, absolute: 90, least_calls: 0, open: 1h,\n"
                  "   features: {a: {budget: 5.00, mode: shadow}, b: {mode: off}}}\n",
         ""},
        {"the fleet",
         BREAKERS "  fleet: {mode: enforce, floor: 2.00, absolute: 90, least_calls: 0, open: 1h,\n"
                  "    features: {a: {budget: 5.00, mode: shadow}, b: {mode: off}}}\n",
         ""},
        {"misspelt in the fleet", BREAKERS "  fleet: {fleet: {}}\n",
         "4:11: breakers: fleet: unknown key fleet"},
        {"a feature of the fleet", BREAKERS "  fleet: {features: {a: {budget: 0}}}\n",
         "4:34: breakers: fleet, feature a: budget: must be more than 0; mode: off switches the "
         "breaker off"},
        {"misspelt", BREAKERS "  {flor: 1.00}\n",
         "4:4: breakers: unknown key flor; did you mean `floor`?"},
        {"mode", BREAKERS "  {mode: on}\n",
         "4:10: breakers: mode: on is none of enforce|shadow|off"},
        {"no budget at all", BREAKERS "  features: {a: {budget: 0}}\n",
         "4:26: breakers, feature a: budget: must be more than 0; mode: off switches the breaker "
         "off"},
        {"another currency", BREAKERS "  {absolute: 5.00 EUR}\n",
         "4:14: breakers: absolute: must not be in another currency"},
        {"calls", BREAKERS "  {least_calls: few}\n",
         "4:17: breakers: least_calls: few is not a number of calls up to 1M, like 20"},
        {"too short", BREAKERS "  {open: 500ms}\n",
         "4:10: breakers: open: 500ms is not a duration from 1s to 6h, like 15m"},
        {"absolute within the budget", BREAKERS "  features: {a: {budget: 5, absolute: 5}}\n",
         "4:14: warning: breakers, feature a: absolute is not above the budget: a usual hour trips "
         "the breaker"},
    };

    CHECK_POLICY_ROWS(rows);
}

static void
test_breaker_rules(void)
{
    static const char body[] = BREAKERS "  absolute: 90.00\n"
                                        "  features:\n"
                                        "    paid: {budget: 5.00}\n"
                                        "    tried: {budget: 5.00, mode: shadow}\n"
                                        "    free: {mode: off}\n";
    checked_policy(body);
    REQUIRE(checked.policy);
    const struct breaker_rule *other = policy_breaker(checked.policy, TEXT("other"));
    const struct breaker_rule *paid = policy_breaker(checked.policy, TEXT("paid"));

    CHECK_INT("learned ones begin in shadow", other->enforce || other->off, false);
    CHECK_INT("floor", other->floor, NANO);
    CHECK_INT("absolute", other->absolute, 90 * NANO);
    CHECK_INT("calls", other->least_calls, 20);
    CHECK_INT("open", other->open_ms, 15 * 60000);
    CHECK_INT("a budget enforces", paid->configured && paid->enforce, true);
    CHECK_INT("budget", paid->budget, 5 * NANO);
    CHECK_INT("and takes the rest from all", paid->absolute, 90 * NANO);
    CHECK_INT("unless it says", policy_breaker(checked.policy, TEXT("tried"))->enforce, false);
    CHECK_INT("off", policy_breaker(checked.policy, TEXT("free"))->off, true);
    CHECK_INT("the fleet learns", policy_fleet(checked.policy, TEXT("paid"))->configured, false);
    CHECK_INT("and takes nothing of it",
              policy_fleet(checked.policy, TEXT("paid"))->absolute > (tally)90 * NANO, true);
    checked_policy(BREAKERS "  mode: enforce\n  fleet:\n    features: {paid: {budget: 7.00}}\n");
    REQUIRE(checked.policy);
    paid = policy_fleet(checked.policy, TEXT("paid"));
    CHECK_INT("a budget of the fleet", paid->enforce && paid->budget == (tally)7 * NANO, true);
    CHECK_INT("is not the tenants'", policy_breaker(checked.policy, TEXT("paid"))->configured,
              false);
    CHECK_INT("its own begin in shadow", policy_fleet(checked.policy, TEXT("other"))->enforce,
              false);
}

/* ---- anomalies ----------------------------------------------------------------------------------- */

#define ANOMALIES PLANS "fallback_plan: free\nanomalies:"

static void
test_anomaly_findings(void)
{
    static const struct config_row rows[] = {
        {"nothing said", ANOMALIES "\n", ""},
        {"all said", ANOMALIES " {ticket: 1.50, page: 100, reservations: 24h, keys: off}\n", ""},
        {"misspelt", ANOMALIES " {tickets: 1.00}\n",
         "3:13: anomalies: unknown key tickets; did you mean `ticket`?"},
        {"no amount", ANOMALIES " {page: much}\n",
         "3:19: anomalies: page: must be a number like 50000, 1_000, 50k, 1M or (money) 250.00"},
        {"neither on nor off", ANOMALIES " {margin: 5}\n",
         "3:21: anomalies: margin: 5 is none of off|on"},
        {"a page is cheaper", ANOMALIES " {ticket: 30.00}\n",
         "3:12: anomalies: page is less than ticket"},
        {"a reservation for no time", ANOMALIES " {reservations: 0s}\n",
         "3:27: anomalies: reservations: 0s is not a duration from 1s to 24h, like 15m"},
        {"one for ever", ANOMALIES " {reservations: 25h}\n",
         "3:27: anomalies: reservations: 25h is not a duration from 1s to 24h, like 15m"},
    };

    CHECK_POLICY_ROWS(rows);
}

static void
test_anomaly_rules(void)
{
    checked_policy(PLANS "fallback_plan: free\n");
    REQUIRE(checked.policy);
    CHECK_INT("off where nothing is said",
              checked.policy->anomaly.on || checked.policy->has_breakers, false);
    checked_policy(ANOMALIES "\n");
    REQUIRE(checked.policy);
    CHECK_INT("on", checked.policy->anomaly.on, true);
    CHECK_INT("ticket", checked.policy->anomaly.ticket, 5 * NANO);
    CHECK_INT("page", checked.policy->anomaly.page, 25 * NANO);
    CHECK_INT("a reservation has", checked.policy->anomaly.reservations_ms, 15 * CLOCK_MINUTE_MS);
    CHECK_INT("rules of the day", checked.policy->anomaly.keys && checked.policy->anomaly.margin,
              true);
    CHECK_INT("slots are kept", checked.policy->has_breakers, true);
    CHECK_INT("but no breaker", policy_breaker(checked.policy, TEXT("any"))->off, true);
    checked_policy(BREAKERS "anomalies: {ticket: 7, reservations: 90s, keys: off}\n");
    REQUIRE(checked.policy);
    CHECK_INT("or what is said", checked.policy->anomaly.reservations_ms, 90 * CLOCK_SECOND_MS);
    CHECK_INT("one rule", checked.policy->anomaly.keys || !checked.policy->anomaly.margin, false);
    CHECK_INT("beside breakers", policy_breaker(checked.policy, TEXT("any"))->off, false);
    CHECK_INT("amount", checked.policy->anomaly.ticket, 7 * NANO);
}

static CU_TestInfo tests[] = {
    {"anomalies: what is wrong", test_anomaly_findings},
    {"anomalies: what holds", test_anomaly_rules},
    {"breakers: what is wrong", test_breaker_findings},
    {"breakers: what holds", test_breaker_rules},
    {"a whole policy", test_whole},
    {"quotas that count for themselves", test_counted},
    {"defaults", test_defaults},
    {"limits", test_limits},
    {"errors of the file", test_file},
    {"errors of quotas", test_quotas},
    {"contradictions", test_contradictions},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_policy_load = {
    .pName = "policy_load", .pTests = tests, .pCleanupFunc = checked_forget};
