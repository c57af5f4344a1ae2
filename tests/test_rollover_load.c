/* Protects: what a policy file says of rollover, and that what contradicts itself is named where it
 * stands. */
#include "tests/config_check.h"

/* The row's text begins in column 1 of line 3. */
#define QUOTA(members, rollover)                                           \
    "fallback_plan: free\n"                                                \
    "plans: {free: {quotas: {q: {" members ",\nrollover: " rollover "},\n" \
    "ok: {meter: requests, limit: 1}}}}\n"
#define TOKENS(rollover) QUOTA("meter: tokens, limit: 5M", rollover)
#define WHAT             "plan free, quota q: rollover"

static void
test_taken(void)
{
    static const struct {
        const char *row;
        const char *body;
        int32_t ratio;
        bool deducts;
        int64_t carry_cap; /* -1: none */
        int64_t total_cap;
    } rows[] = {
        {"all of it, without caps", TOKENS("{}"), 1000000, false, -1, -1},
        {"all said", TOKENS("{ratio: 0.333333, carry_cap: 2M, total_cap: 10M, overage: deduct}"),
         333333, true, 2000000, 10000000},
        {"a ratio of one", TOKENS("{ratio: 1.000}"), 1000000, false, -1, -1},
        {"a ratio of nothing", TOKENS("{ratio: 0, overage: forgive}"), 0, false, -1, -1},
        {"caps as large as they may be", TOKENS("{carry_cap: 5M, total_cap: 5M}"), 1000000, false,
         5000000, 5000000},
        {"money", QUOTA("meter: cost, limit: 2.50", "{carry_cap: 0.000000001, total_cap: 3 USD}"),
         1000000, false, 1, 3000000000},
        {"each project", QUOTA("meter: tokens, limit: 5M, scope: project", "{}"), 1000000, false,
         -1, -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        checked_policy(rows[i].body);
        CHECK_TEXT(rows[i].row, checked.found, "");
        REQUIRE(checked.policy);
        const struct rollover *rollover = &checked.policy->plans[0].quotas[0].rollover;

        CHECK_INT(rows[i].row, rollover->on && checked.policy->plans[0].rolls, true);
        CHECK_INT(rows[i].row, rollover->ratio, rows[i].ratio);
        CHECK_INT(rows[i].row, rollover->deducts, rows[i].deducts);
        CHECK_INT(rows[i].row,
                  rollover->carry_cap == ROLLOVER_NO_CAP ? -1 : (int64_t)rollover->carry_cap,
                  rows[i].carry_cap);
        CHECK_INT(rows[i].row,
                  rollover->total_cap == ROLLOVER_NO_CAP ? -1 : (int64_t)rollover->total_cap,
                  rows[i].total_cap);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *row;
        const char *body;
        const char *found;
    } rows[] = {
        {"ratio above one", TOKENS("{ratio: 1.5}"),
         "3:19: " WHAT ": ratio: 1.5 is outside 0..1 (1 carries all that is unused)"},
        {"ratio below nothing", TOKENS("{ratio: -0.5}"),
         "3:19: " WHAT ": ratio: -0.5 is outside 0..1 (1 carries all that is unused)"},
        {"ratio in percent", TOKENS("{ratio: 50%}"),
         "3:19: " WHAT ": ratio: 50% is outside 0..1 (1 carries all that is unused)"},
        {"ratio of seven decimals", TOKENS("{ratio: 0.3333333}"),
         "3:19: " WHAT ": ratio: 0.3333333 has more than 6 decimals"},
        {"carry cap above total cap", TOKENS("{carry_cap: 11M, total_cap: 10M}"),
         "3:23: " WHAT ": carry_cap 11M is above total_cap 10M: that much can never be carried"},
        {"total cap below the limit", TOKENS("{total_cap: 4_999_999}"),
         "3:23: " WHAT ": total_cap 4_999_999 is below the limit of the quota: nothing could be "
         "carried"},
        {"negative cap", TOKENS("{carry_cap: -1}"),
         "3:23: " WHAT ": carry_cap: must not be negative"},
        {"half a token", TOKENS("{carry_cap: 0.5}"),
         "3:23: " WHAT ": carry_cap: must be a whole number: this meter counts"},
        {"another currency", QUOTA("meter: cost, limit: 5.00", "{total_cap: 9 EUR}"),
         "3:23: " WHAT ": total_cap: must not be in another currency"},
        {"unlimited", QUOTA("meter: tokens, unlimited: true", "{}"),
         "3:1: plan free, quota q: rollover contradicts unlimited: true; remove one of them"},
        {"a gauge", QUOTA("gauge: seats, limit: 5", "{}"),
         "3:1: " WHAT " contradicts gauge: a gauge is not used up; remove one of them"},
        {"of a day", QUOTA("meter: tokens, limit: 5, period: day", "{}"),
         "3:1: " WHAT " needs a quota of the billing period, of scope tenant or project"},
        {"of a model", QUOTA("meter: tokens, limit: 5, scope: model", "{}"),
         "3:1: " WHAT " needs a quota of the billing period, of scope tenant or project"},
        {"no map", TOKENS("true"),
         "3:11: " WHAT ": must be written like {ratio: 0.5, carry_cap: 2M, total_cap: 10M}"},
        {"misspelt", TOKENS("{carry_kap: 5, overage: deduce}"),
         "3:12: " WHAT ": unknown key carry_kap; did you mean `carry_cap`?\n"
         "3:35: " WHAT ": overage: deduce is none of forgive|deduct; did you mean deduct?"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        checked_policy(rows[i].body);
        CHECK_TEXT(rows[i].row, checked.found, rows[i].found);
        CHECK_INT(rows[i].row, checked.policy == NULL, true);
    }
}

static CU_TestInfo tests[] = {
    {"what is taken", test_taken},
    {"what is refused", test_refused},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_rollover_load = {"rollover_load", NULL, checked_forget, NULL, NULL, tests};
