/* Protects: what another policy would open and close is what the engine would do with it; and whose
 * contract does not fit it. */
#include "cli/policy_diff.h"
#include "config/config.h"
#include "tests/check.h"

#include <assert.h>

#define MARCH_1  INT64_C(1772323200000) /* 2026-03-01T00:00:00Z */
#define APRIL_1  INT64_C(1775001600000)
#define MARCH_10 (MARCH_1 + 9 * CLOCK_DAY_MS)

static char told[2048];

static struct policy *
policy_of(const char *quotas)
{
    char body[1024];
    struct findings findings = {.arena = NULL};

    (void)snprintf(body, sizeof body, "fallback_plan: free\nplans:\n  free:\n    quotas:\n%s",
                   quotas);
    struct policy *policy = policy_load("test", body, strlen(body), &findings);

    for (size_t i = 0; i < findings.count && policy == NULL; i++)
        printf("%s\n", findings.at[i].text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
    findings_free(&findings);
    return policy;
}

static void
put(const char *before, const char *value)
{
    const size_t used = strlen(told);

    (void)snprintf(told + used, sizeof told - used, "%s%s", before, value);
}

static void
put_limit(const struct diff_limit *limit)
{
    char text[TALLY_TEXT_SIZE];

    put(" ", limit->none        ? "none"
             : limit->unlimited ? "unlimited"
                                : tally_format_count(limit->amount, text));
}

static void
hear(void *context, const struct diff_change *change)
{
    static const char *const kinds[] = {"opens", "rises", "closes", "blocks", "allows", "misfits"};
    char text[512];

    (void)context;
    put("", kinds[change->kind]);
    const struct text texts[] = {change->rule, change->of, change->scope, change->text};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].size > 0) {
            (void)text_copy(text, sizeof text, texts[i]);
            put(" ", text);
        }
    if (change->step > 0) {
        (void)snprintf(text, sizeof text, "%" PRId32, change->step);
        put(" ", text);
    }
    if (change->code != NULL)
        put(" ", change->code);
    if (change->has_quota) {
        put(" used ", tally_format_count(change->used, text));
        put(":", "");
        put_limit(&change->now);
        put_limit(&change->next);
    }
    put("; ", "");
}

/* acme, with that much used in March, as the policy in force has left it. */
static void
compare(const struct policy *now, const struct policy *next, struct tenant_load *load,
        int64_t requests)
{
    const struct diff_moment moment = {.time_ms = MARCH_10, .enforcing = true};
    struct policy_diff *diff = policy_diff_new(now, next);
    struct period_total total = {.tenant = load->name,
                                 .start_ms = MARCH_1,
                                 .end_ms = APRIL_1,
                                 .delta = {.count = {[COUNT_events] = 1}}};

    CU_ASSERT_PTR_NOT_NULL_FATAL(diff);
    told[0] = '\0';
    total.delta.count[COUNT_requests] = requests;
    load->periods = &total;
    load->period_count = 1;
    load->zone = zone_utc();
    CU_ASSERT_TRUE(policy_diff_tenant(diff, load, &moment, hear, NULL));
    /* Asking changes nothing: asked again, the answer is the same. */
    char once[sizeof told];

    memcpy(once, told, sizeof once);
    told[0] = '\0';
    CU_ASSERT_TRUE(policy_diff_tenant(diff, load, &moment, hear, NULL));
    CU_ASSERT_STRING_EQUAL(told, once);
    policy_diff_free(diff);
}

static void
expect(const char *row, const char *expected)
{
    if (strcmp(told, expected) != 0)
        printf("\n[%s] is \"%s\", expected \"%s\"\n", row, told, expected);
    CU_ASSERT_STRING_EQUAL(told, expected);
}

static void
test_limits(void)
{
    struct quota_memory open = {.tenant = TEXT("acme"),
                                .quota = TEXT("calls"),
                                .period_ms = MARCH_1,
                                .spent = 75,
                                .open = true};
    static const struct {
        const char *row;
        const char *next;
        int64_t requests;
        bool open; /* at 75 % */
        const char *told;
    } rows[] = {
        {"the same", "      calls: {meter: requests, limit: 1000}", 800, true, ""},
        {"raised", "      calls: {meter: requests, limit: 2000}", 800, true,
         "closes quota/calls 75 used 800: 1000 2000; "},
        {"raised a little", "      calls: {meter: requests, limit: 1050}", 800, true, ""},
        {"lowered to less", "      calls: {meter: requests, limit: 750}", 800, true,
         "rises quota/calls 100 used 800: 1000 750; "
         "blocks quota/calls tenant/acme plan_allowance_exhausted used 800: 1000 750; "},
        {"lowered", "      calls: {meter: requests, limit: 880}", 800, true,
         "rises quota/calls 90 used 800: 1000 880; "},
        {"only alerts now", "      calls: {meter: requests, limit: 700, on_exceed: alert}", 800,
         true, "rises quota/calls 90 used 800: 1000 700; "},
        {"gone", "      other: {meter: tokens, limit: 700}", 800, true,
         "closes quota/calls 75 used 800: 1000 none; "},
        {"another one",
         "      calls: {meter: requests, limit: 1000}\n"
         "      hard: {meter: requests, limit: 0}",
         800, true,
         "opens quota/hard 100 used 800: none 0; "
         "blocks quota/hard tenant/acme plan_allowance_exhausted used 800: none 0; "},
        {"a burst limit", "      calls: {meter: requests, limit: 1000}\n    burst: {key: 60}", 800,
         true, ""},
        {"unlimited", "      calls: {meter: requests, unlimited: true}", 800, true,
         "closes quota/calls 75 used 800: 1000 unlimited; "},
        {"a forecast", "      calls: {meter: requests, limit: 1000, forecast: on}", 400, false,
         "opens forecast/calls used 400: 1000 1000; "},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tenant_load load = {.name = TEXT("acme"), .quotas = &open};
        struct policy *now = policy_of("      calls: {meter: requests, limit: 1000}");
        struct policy *next = policy_of(rows[i].next);

        load.quota_count = rows[i].open;
        compare(now, next, &load, rows[i].requests);
        expect(rows[i].row, rows[i].told);
        policy_free(now);
        policy_free(next);
    }
}

/* Who is blocked is let go; with another limit that is reached as well, nothing is news. */
static void
test_blocked(void)
{
    struct quota_memory open = {.tenant = TEXT("acme"),
                                .quota = TEXT("calls"),
                                .period_ms = MARCH_1,
                                .spent = 100,
                                .open = true,
                                .blocked = true,
                                .since_ms = MARCH_1};
    struct tenant_load load = {.name = TEXT("acme"), .quotas = &open, .quota_count = 1};
    struct policy *now = policy_of("      calls: {meter: requests, limit: 1000}");
    struct policy *higher = policy_of("      calls: {meter: requests, limit: 2000}");
    struct policy *lower = policy_of("      calls: {meter: requests, limit: 900}");

    compare(now, higher, &load, 1000);
    expect("raised", "closes quota/calls 100 used 1000: 1000 2000; allows tenant/acme; ");
    compare(now, lower, &load, 1000);
    expect("lowered", "");
    policy_free(now);
    policy_free(higher);
    policy_free(lower);
}

/* 1,000 + 500 + 300 of 2,000; of 1,700 that is too much. */
static void
test_budgets(void)
{
    struct limit_override limits[3];
    struct project_spec projects[3];
    static const char *const names[] = {"one", "two", "three"};
    static const int64_t amounts[] = {1000, 500, 300};

    for (size_t i = 0; i < 3; i++) {
        limits[i] = (struct limit_override){.quota = TEXT("calls"),
                                            .nano = (tally)amounts[i] * MONEY_NANO_PER_UNIT};
        projects[i] = (struct project_spec){
            .name = text_of(names[i]), .limits = &limits[i], .limit_count = 1};
    }
    struct tenant_load load = {
        .name = TEXT("acme"), .known = true, .spec = {.projects = projects, .project_count = 3}};
    struct policy *now = policy_of("      calls: {meter: requests, limit: 2000}");
    struct policy *next = policy_of("      calls: {meter: requests, limit: 1700}");

    compare(now, now, &load, 10);
    expect("it fits", "");
    compare(now, next, &load, 10);
    expect("it does not",
           "misfits projects: together they have 1800 of calls, the tenant itself only 1700: lower "
           "theirs or raise limits.calls; ");
    policy_free(now);
    policy_free(next);
}

static CU_TestInfo tests[] = {
    {"another limit, quota or alert", test_limits},
    {"whom it lets go", test_blocked},
    {"project budgets that do not fit any more", test_budgets},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_policy_diff = {.pName = "policy_diff", .pTests = tests};
