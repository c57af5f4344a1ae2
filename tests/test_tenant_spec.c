/* Protects: a tenant's contract is read exactly, and one that cannot be meant is not stored. */
#include "config/config.h"
#include "config/tenant_spec.h"
#include "tests/findings_check.h"

enum { ARENA_SIZE = 1 << 20 };
#define NANO INT64_C(1000000000)

static struct arena *arena;
static struct policy *policy;
static struct tenant_spec spec;
static struct err why;

static const char policy_body[] = "fallback_plan: free\n"
                                  "plans:\n"
                                  "  free: {quotas: {calls: {meter: requests, limit: 100}}}\n"
                                  "  paid:\n"
                                  "    burst: {key: 60, ip: 30}\n"
                                  "    quotas:\n"
                                  "      calls: {meter: requests, limit: 2000}\n"
                                  "      spend: {meter: cost, limit: 250.00}\n"
                                  "      each: {meter: tokens, limit: 10, scope: project}\n"
                                  "  open: {quotas: {calls: {meter: requests, unlimited: true}}}\n";

static int
prepare(void)
{
    struct findings findings = {0};

    arena = arena_new(ARENA_SIZE);
    policy = policy_load("policy.yaml", policy_body, sizeof policy_body - 1, &findings);
    findings_free(&findings);
    return arena == NULL || policy == NULL;
}

static int
forget(void)
{
    arena_free(arena);
    policy_free(policy);
    return 0;
}

static bool
parse(const char *json)
{
    arena_clear(arena);
    why = (struct err){0};
    return tenant_spec_parse(text_of(json), arena, &spec, &why);
}

static void
test_whole(void)
{
    CU_ASSERT_TRUE_FATAL(parse(
        "{\"plan\": \"starter\", \"zone\": \"Europe/Berlin\", \"cycle\": \"days:30/2026-01-15\","
        " \"currency\": \"EUR\","
        " \"limits\": {\"api_calls\": 60000, \"spend\": \"250.00\", \"ai_tokens\": \"unlimited\"},"
        " \"projects\": {\"web\": {\"limits\": {\"api_calls\": 500}}, \"a b\": {}}}"));
    CU_ASSERT_TRUE(text_eq(spec.plan, TEXT("starter")));
    CU_ASSERT_TRUE(text_eq(spec.zone, TEXT("Europe/Berlin")));
    CHECK_INT("cycle", spec.has_cycle, true);
    CHECK_INT("cycle", spec.cycle.kind, CYCLE_DAYS);
    CHECK_INT("cycle", spec.cycle.step, 30);
    CU_ASSERT_TRUE(text_eq(spec.currency, TEXT("EUR")));
    CHECK_INT("limits", spec.limit_count, 3);
    CU_ASSERT_TRUE(text_eq(spec.limits[0].quota, TEXT("api_calls")));
    CHECK_INT("count", spec.limits[0].nano == 60000 * (tally)NANO, true);
    CHECK_INT("count", spec.limits[0].is_decimal, false);
    CHECK_INT("money", spec.limits[1].nano == 250 * (tally)NANO, true);
    CHECK_INT("money", spec.limits[1].is_decimal, true);
    CHECK_INT("unlimited", spec.limits[2].unlimited, true);
    CHECK_INT("projects", spec.project_count, 2);
    CU_ASSERT_TRUE(text_eq(spec.projects[0].name, TEXT("web")));
    CHECK_INT("project's limit", spec.projects[0].limits[0].nano == 500 * (tally)NANO, true);
    CU_ASSERT_TRUE(text_eq(spec.projects[1].name, TEXT("a b")));
    CHECK_INT("project without limits", spec.projects[1].limit_count, 0);
}

static void
test_empty(void)
{
    CU_ASSERT_TRUE_FATAL(parse("{}"));
    CU_ASSERT_PTR_NULL(spec.plan.at);
    CU_ASSERT_PTR_NULL(spec.zone.at);
    CHECK_INT("cycle", spec.has_cycle, false);
    CU_ASSERT_PTR_NULL(spec.currency.at);
    CHECK_INT("limits", spec.limit_count, 0);
    CHECK_INT("projects", spec.project_count, 0);
    CU_ASSERT_TRUE(parse("{\"limits\": {}, \"projects\": {}}"));
}

static void
test_limits(void)
{
    static const struct {
        const char *json;
        int64_t nano;
        bool decimal;
    } rows[] = {
        {"0", 0, false},
        {"\"0\"", 0, false},
        {"\"50k\"", 50000 * NANO, false},
        {"\"1_000\"", 1000 * NANO, false},
        {"\"0.000000001\"", 1, true},
        {"\"1.0\"", NANO, true},
        {"1000000", 1000000 * NANO, false},
    };
    char json[128];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(json, sizeof json, "{\"limits\": {\"q\": %s}}", rows[i].json);
        CHECK_INT(rows[i].json, parse(json), true);
        CHECK_INT(rows[i].json, spec.limits[0].nano, rows[i].nano);
        CHECK_INT(rows[i].json, spec.limits[0].is_decimal, rows[i].decimal);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *json;
        const char *text;
    } rows[] = {
        {"", "line 1, column 0: not JSON: '[' or '{' expected near end of file"},
        {"{\"plan\": \"a\",}", "line 1, column 14: not JSON: string or '}' expected near '}'"},
        {"{\"plan\": \"a\", \"plan\": \"b\"}",
         "line 1, column 20: not JSON: duplicate object key near '\"plan\"'"},
        {"[]", "it must be an object, {...}"},
        {"{\"limit\": {}}", "unknown member \"limit\"; did you mean \"limits\"?"},
        {"{\"colour\": 1}", "unknown member \"colour\""},
        {"{\"plan\": 5}", "plan must be a text; leave it out for the default"},
        {"{\"plan\": null}", "plan must be a text; leave it out for the default"},
        {"{\"plan\": \"\"}", "plan must have 1 to 128 bytes without control characters"},
        {"{\"plan\": \"a\\nb\"}", "plan must have 1 to 128 bytes without control characters"},
        {"{\"cycle\": 31}", "cycle must be a text; leave it out for the default"},
        {"{\"cycle\": \"anchor:32\"}",
         "cycle: \"anchor:32\": behind anchor: comes a day of the month, 1 to 31, like anchor:31"},
        {"{\"currency\": \"usd\"}",
         "currency must be a currency code of three capital letters, like USD"},
        {"{\"limits\": []}", "limits must be an object, {\"api_calls\": 500}"},
        {"{\"limits\": {\"Calls\": 5}}",
         "limits: the name of a quota must be small letters, digits and '_', at most 63, a letter "
         "first"},
        {"{\"limits\": {\"calls\": 2.5}}",
         "limits.calls: write a number with decimals as a text, like \"250.00\""},
        {"{\"limits\": {\"calls\": 1e3}}",
         "limits.calls: write a number with decimals as a text, like \"250.00\""},
        {"{\"limits\": {\"calls\": null}}",
         "limits.calls must be a number, a text like \"250.00\" or \"unlimited\""},
        {"{\"limits\": {\"calls\": -1}}",
         "limits.calls must not be negative; 0 blocks from the start, or \"unlimited\""},
        {"{\"limits\": {\"calls\": \"many\"}}",
         "limits.calls must be a number like 50000, 1_000, 50k, 1M or (money) 250.00, or "
         "\"unlimited\""},
        {"{\"limits\": {\"calls\": 1000000000000001}}",
         "limits.calls must be at most 1e15, or \"unlimited\""},
        {"{\"projects\": []}", "projects must be an object, {\"web\": {}}"},
        {"{\"projects\": {\"web\": 5}}", "projects.web: it must be an object, {...}"},
        {"{\"projects\": {\"\": {}}}",
         "projects: a name must have 1 to 128 bytes without control characters"},
        {"{\"projects\": {\"web\": {\"limts\": {}}}}",
         "projects.web: unknown member \"limts\"; did you mean \"limits\"?"},
        {"{\"projects\": {\"web\": {\"limits\": {\"calls\": \"x\"}}}}",
         "projects.web: limits.calls must be a number like 50000, 1_000, 50k, 1M or (money) "
         "250.00, or \"unlimited\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].json, parse(rows[i].json), false);
        CHECK_INT(rows[i].json, why.class, ERR_INPUT);
        CHECK_TEXT(rows[i].json, why.text, rows[i].text);
    }
}

static void
test_check(void)
{
    static const struct {
        const char *json;
        const char *text; /* "": good */
    } rows[] = {
        {"{}", ""},
        {"{\"plan\": \"paid\", \"zone\": \"Asia/Kolkata\", \"limits\": {\"spend\": \"9.50\"}}", ""},
        {"{\"plan\": \"gold\"}", "plan: the policy has no plan gold"},
        {"{\"zone\": \"Europe/Berln\"}",
         "zone: no time zone \"Europe/Berln\" in the system's database: use an IANA name, like "
         "Europe/Berlin or UTC"},
        {"{\"limits\": {\"spend\": \"9.50\"}}", "limits.spend: plan free has no such quota"},
        {"{\"plan\": \"paid\", \"limits\": {\"calls\": \"9.50\"}}",
         "limits.calls must be a whole number: the quota counts requests"},
        {"{\"plan\": \"paid\", \"limits\": {\"each\": 5}}",
         "limits.each: this quota is each project's own: give it in projects"},
        {"{\"plan\": \"paid\", \"projects\": {\"web\": {\"limits\": {\"each\": 5}}}}", ""},
        {"{\"plan\": \"paid\", \"projects\": {\"web\": {\"limits\": {\"call\": 5}}}}",
         "projects.web: limits.call: plan paid has no such quota"},
        /* 2,000 with 1,000 + 500 + 300 leaves 200; a further 250 is refused */
        {"{\"plan\": \"paid\", \"projects\": {\"a\": {\"limits\": {\"calls\": 1000}}, \"b\": "
         "{\"limits\": {\"calls\": 500}}, \"c\": {\"limits\": {\"calls\": 300}}, \"d\": "
         "{\"limits\": {\"calls\": 200}}}}",
         ""},
        {"{\"plan\": \"paid\", \"projects\": {\"a\": {\"limits\": {\"calls\": 1000}}, \"b\": "
         "{\"limits\": {\"calls\": 500}}, \"c\": {\"limits\": {\"calls\": 300}}, \"d\": "
         "{\"limits\": {\"calls\": 250}}}}",
         "projects: together they have 2050 of calls, the tenant itself only 2000: lower theirs or "
         "raise limits.calls"},
        {"{\"plan\": \"paid\", \"limits\": {\"calls\": 2050}, \"projects\": {\"a\": {\"limits\": "
         "{\"calls\": 2050}}}}",
         ""},
        {"{\"plan\": \"paid\", \"limits\": {\"calls\": \"unlimited\"}, \"projects\": {\"a\": "
         "{\"limits\": {\"calls\": 9000}}}}",
         ""},
        {"{\"plan\": \"paid\", \"limits\": {\"burst/key\": 120, \"burst/ip\": \"unlimited\"}}", ""},
        {"{\"plan\": \"paid\", \"limits\": {\"burst/feature\": 5}}",
         "limits.burst/feature: plan paid has no such limit"},
        {"{\"plan\": \"paid\", \"limits\": {\"burst/key\": \"1.50\"}}",
         "limits.burst/key must be a whole number up to 1000000000"},
        {"{\"plan\": \"paid\", \"limits\": {\"burst/key\": 1000000001}}",
         "limits.burst/key must be a whole number up to 1000000000"},
        {"{\"plan\": \"paid\", \"projects\": {\"a\": {\"limits\": {\"burst/key\": 5}}}}",
         "projects.a: limits.burst/key: this limit is not divided among projects"},
        {"{\"plan\": \"open\", \"projects\": {\"a\": {\"limits\": {\"calls\": 9000}}}}", ""},
        {"{\"plan\": \"paid\", \"projects\": {\"a\": {\"limits\": {\"spend\": \"250.01\"}}}}",
         "projects: together they have 250.01 of spend, the tenant itself only 250: lower theirs "
         "or "
         "raise limits.spend"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].json, parse(rows[i].json), true);
        CHECK_INT(rows[i].json, tenant_spec_check(&spec, policy, &why), rows[i].text[0] == '\0');
        CHECK_TEXT(rows[i].json, why.text, rows[i].text);
    }
}

/* A small arena is an error, never a half contract. */
static void
test_memory(void)
{
    struct arena *small = arena_new(2048);
    char json[8192] = "{\"projects\": {";

    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    for (int i = 0; i < 200; i++)
        (void)snprintf(json + strlen(json), sizeof json - strlen(json), "%s\"p%d\": {}",
                       i == 0 ? "" : ", ", i);
    (void)snprintf(json + strlen(json), sizeof json - strlen(json), "}}");
    CU_ASSERT_FALSE(tenant_spec_parse(text_of(json), small, &spec, &why));
    CHECK_INT("class", why.class, ERR_RETRY);
    arena_free(small);
    CU_ASSERT_TRUE(parse(json));
    CHECK_INT("projects", spec.project_count, 200);
}

static CU_TestInfo tests[] = {
    {"a whole contract", test_whole},
    {"an empty one", test_empty},
    {"limits", test_limits},
    {"what is refused", test_refused},
    {"beside the policy", test_check},
    {"memory", test_memory},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_tenant_spec = {
    .pName = "tenant_spec", .pTests = tests, .pInitFunc = prepare, .pCleanupFunc = forget};
