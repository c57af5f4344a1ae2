/* Protects: scopes, positions, limits and projects as operators type them; tables and lines as they
 * read them. */
#include "cli/columns.h"
#include "cli/contract.h"
#include "cli/increase.h"
#include "cli/moment.h"
#include "cli/position.h"
#include "cli/scope.h"
#include "cli/standing.h"
#include "cli/watch.h"
#include "tests/check.h"

#include <stdlib.h>

/* What a function prints; at most `room` - 1 bytes. */
#define PRINTED_ROOM 1024
static FILE *
open_page(char page[PRINTED_ROOM])
{
    memset(page, 0, PRINTED_ROOM);
    return fmemopen(page, PRINTED_ROOM, "w");
}

static void
test_scope(void)
{
    static const struct {
        const char *word;
        const char *scope; /* NULL: refused */
        const char *error; /* a part of it */
    } rows[] = {
        {"tenant/acme", "tenant/acme", NULL},
        {"tenant/a/b", "tenant/a%2Fb", NULL},
        {"key/acme/k1", "key/acme/k1", NULL},
        {"model/acme/openai/gpt-x", "model/acme/openai%2Fgpt-x", NULL},
        {"model/acme/openai%2Fgpt-x", "model/acme/openai%2Fgpt-x", NULL},
        {"project/acme/M\xc3\xbcller", "project/acme/M%C3%BCller", NULL},
        {"feature/acme/search it", "feature/acme/search%20it", NULL},
        {"ip/acme/203.0.113.5", "ip/acme/203.0.113.5", NULL},
        {"ip/acme/2001:db8::1", "ip/acme/2001%3Adb8%3A%3A1", NULL},
        {"ip/acme/203.0.113", NULL, "no IP address"},
        {"acme", NULL, "no kind, as in tenant/acme"},
        {"ky/acme/k1", NULL, "did you mean \"key\"?"},
        {"planet/acme", NULL, "unknown kind; a scope is tenant/T"},
        {"key/acme", NULL, "too few parts"},
        {"key/acme/", NULL, "an empty part"},
        {"tenant/", NULL, "an empty part"},
        {"key//k1", NULL, "an empty part"},
        {"feature/*/search", "feature/*/search", NULL},
        {"feature/%2A/search", NULL, "only feature/*/F is of all tenants"},
        {"key/*/k1", NULL, "only feature/*/F is of all tenants"},
        {"key/acme/50%", NULL, "two hexadecimal digits"},
        {"key/acme/%0a", NULL, "control characters"},
        {"", NULL, "no kind"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char scope[SCOPE_SIZE] = "";
        struct err why = {.class = ERR_NONE};
        const bool good = scope_of_word(rows[i].word, scope, &why);

        CHECK_INT(rows[i].word, good, rows[i].scope != NULL);
        if (good && rows[i].scope != NULL)
            CU_ASSERT_STRING_EQUAL(scope, rows[i].scope);
        if (rows[i].error != NULL)
            CHECK_INT(rows[i].word, strstr(why.text, rows[i].error) != NULL, true);
    }
}

static void
test_position(void)
{
    static const struct {
        const char *word;
        bool good;
        int32_t partition;
        int64_t offset;
        int32_t index;
    } rows[] = {
        {"usage/3/17", true, 3, 17, 0},
        {"a.b-c_d/0/9223372036854775807/4095", true, 0, INT64_MAX, 4095},
        {"usage/3", false, 0, 0, 0},
        {"usage", false, 0, 0, 0},
        {"/3/17", false, 0, 0, 0},
        {"usage/3/17/1/2", false, 0, 0, 0},
        {"usage/3/17/", false, 0, 0, 0},
        {"usage/x/17", false, 0, 0, 0},
        {"usage/-1/17", false, 0, 0, 0},
        {"usage/2147483648/17", false, 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct position position = {.partition = 0};
        struct err why = {.class = ERR_NONE};

        CHECK_INT(rows[i].word, position_parse(rows[i].word, &position, &why), rows[i].good);
        if (!rows[i].good)
            continue;
        CHECK_INT(rows[i].word, position.partition, rows[i].partition);
        CHECK_INT(rows[i].word, position.offset, rows[i].offset);
        CHECK_INT(rows[i].word, position.index, rows[i].index);
    }
}

static void
check_json(const char *row, const json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);

    CHECK_INT(row, strcmp(text, expected), 0);
    free(text);
}

static void
test_limit(void)
{
    static const struct {
        const char *word;
        const char *limits; /* afterwards, from {"a":1}; NULL: refused */
    } rows[] = {
        {"b=60000", "{\"a\":1,\"b\":60000}"},
        {"a=0", "{\"a\":0}"},
        {"a=250.00", "{\"a\":\"250.00\"}"},
        {"a=unlimited", "{\"a\":\"unlimited\"}"},
        {"a=50k", "{\"a\":50000}"},
        {"a=1M", "{\"a\":1000000}"},
        {"a=2_000", "{\"a\":2000}"},
        {"a=plan", "{}"},
        {"b=plan", "{\"a\":1}"},
        {"a", NULL},
        {"=5", NULL},
        {"a=", NULL},
        {"a=-1", NULL},
        {"a=-0.5", NULL},
        {"a=many", NULL},
        {"a=2k5", NULL},
        {"a=5 EUR", NULL},
        {"a=1001T", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *limits = json_pack("{s:i}", "a", 1);
        struct err why = {.class = ERR_NONE};

        CHECK_INT(rows[i].word, contract_limit(limits, rows[i].word, &why), rows[i].limits != NULL);
        check_json(rows[i].word, limits, rows[i].limits == NULL ? "{\"a\":1}" : rows[i].limits);
        json_decref(limits);
    }
}

static void
test_project(void)
{
    static const struct {
        const char *word;
        const char *projects; /* afterwards, from {"web":{"limits":{"a":1}}}; NULL: refused */
    } rows[] = {
        {"web", "{\"web\":{\"limits\":{}}}"},
        {"web:b=2", "{\"web\":{\"limits\":{\"b\":2}}}"},
        {"x:a=1,b=2.50",
         "{\"web\":{\"limits\":{\"a\":1}},\"x\":{\"limits\":{\"a\":1,\"b\":\"2.50\"}}}"},
        {"", NULL},
        {":a=1", NULL},
        {"x:a", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *spec = json_pack("{s:{s:{s:{s:i}}}}", "projects", "web", "limits", "a", 1);
        struct err why = {.class = ERR_NONE};

        CHECK_INT(rows[i].word, contract_project(spec, rows[i].word, &why),
                  rows[i].projects != NULL);
        if (rows[i].projects != NULL)
            check_json(rows[i].word, json_object_get(spec, "projects"), rows[i].projects);
        json_decref(spec);
    }
}

static void
test_columns(void)
{
    static const char *const titles[] = {"NAME", ">USED", "NOTE", NULL};
    char page[PRINTED_ROOM];
    FILE *out = open_page(page);
    struct columns *columns = columns_new(titles);

    columns_add(columns, "M\xc3\xbcller");
    columns_add(columns, "5");
    columns_add(columns, "two\nlines");
    columns_add(columns, NULL);
    columns_add(columns, "123456");
    columns_add(columns, "");
    CHECK_INT("rows", columns_rows(columns), 2);
    columns_print(columns, out);
    columns_free(columns);
    (void)fclose(out);
    CU_ASSERT_STRING_EQUAL(page, "NAME      USED  NOTE\n"
                                 "M\xc3\xbcller       5  two lines\n"
                                 "        123456  \n");
}

static void
test_amounts(void)
{
    char text[MOMENT_SIZE];

    CU_ASSERT_STRING_EQUAL(amount_text((tally)12 * MONEY_NANO_PER_UNIT, true, TEXT("USD"), text),
                           "12.00 USD");
    CU_ASSERT_STRING_EQUAL(amount_text(1, true, TEXT("EUR"), text), "0.000000001 EUR");
    CU_ASSERT_STRING_EQUAL(amount_text(950, false, TEXT("USD"), text), "950");
    CU_ASSERT_STRING_EQUAL(moment_text(NULL, 0, text), "1970-01-01T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(moment_text(zone_utc(), 0, text), "1970-01-01T00:00:00Z");
}

/* The plan's limit 1000, the project's 500; 50 used by the project. */
static void
test_standing(void)
{
    struct quota rule = {.name = TEXT("api_calls"),
                         .meter = METER_REQUESTS,
                         .soft_pct = 80,
                         .steps = {50, 75, 90},
                         .step_count = 3,
                         .limit = 1000};
    struct plan plan = {.name = TEXT("free"), .quotas = &rule, .quota_count = 1};
    const struct policy policy = {
        .plans = &plan, .plan_count = 1, .fallback_plan = &plan, .currency = TEXT("USD")};
    struct limit_override limit = {.quota = TEXT("api_calls"),
                                   .nano = (tally)500 * MONEY_NANO_PER_UNIT};
    struct project_spec project = {.name = TEXT("api"), .limits = &limit, .limit_count = 1};
    struct period_total totals[] = {{.project = TEXT(""), .delta.count[COUNT_requests] = 50},
                                    {.project = TEXT("api"), .delta.count[COUNT_requests] = 50}};
    const struct tenant_load load = {.name = TEXT("acme"),
                                     .zone = zone_utc(),
                                     .spec = {.projects = &project, .project_count = 1},
                                     .periods = totals,
                                     .period_count = 2};
    static const struct {
        int64_t used;
        int64_t remaining[2]; /* tenant, project */
        int64_t over[2];
        int32_t percent[2];
        const char *level[2];
        bool approaching[2];
    } rows[] = {
        {50, {950, 450}, {0, 0}, {5, 10}, {"ok", "ok"}, {false, false}},
        {399, {601, 101}, {0, 0}, {39, 79}, {"ok", "warning"}, {false, false}},
        {400, {600, 100}, {0, 0}, {40, 80}, {"ok", "warning"}, {false, true}},
        {500, {500, 0}, {0, 0}, {50, 100}, {"info", "exceeded"}, {false, true}},
        {1001, {0, 0}, {1, 501}, {100, 200}, {"exceeded", "exceeded"}, {true, true}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        totals[0].delta.count[COUNT_requests] = totals[1].delta.count[COUNT_requests] =
            rows[i].used;
        struct tenant *tenant = tenant_new(&load, (struct key128){0, 0}, 0, &policy, 0);

        if (tenant == NULL) {
            CU_FAIL("out of memory");
            return;
        }
        CHECK_INT("quotas", tenant->quota_count, 2);
        for (size_t q = 0; q < 2; q++) {
            struct standing one;

            standing_of(tenant, q, 0, &one);
            CHECK_INT("remaining", one.remaining, rows[i].remaining[q]);
            CHECK_INT("over", one.over, rows[i].over[q]);
            CHECK_INT("percent", one.percent, rows[i].percent[q]);
            CU_ASSERT_STRING_EQUAL(one.level, rows[i].level[q]);
            CHECK_INT("approaching", one.approaching, rows[i].approaching[q]);
            CHECK_INT("resets", one.resets_ms, 31 * CLOCK_DAY_MS);
            CHECK_INT("budgets", one.has_budgets, q == 0);
            if (one.has_budgets)
                CHECK_INT("unallocated", one.unallocated, 500);
        }
        tenant_free(tenant);
    }
}

static void
test_decision_line(void)
{
    static const struct {
        const char *key;
        const char *value; /* NULL: a tombstone */
        const char *line;
    } rows[] = {
        {"tenant/acme",
         "{\"time\":\"2026-03-01T00:00:00Z\",\"data\":{\"scope\":\"tenant/"
         "acme\",\"outcome\":\"block\","
         "\"expires_at\":\"2026-03-02T00:00:00Z\",\"restrictions\":[{\"code\":"
         "\"plan_allowance_exhausted\",\"rule\":\"quota/api_calls\",\"used\":1000,\"limit\":1000,"
         "\"resets_at\":\"2026-04-01T00:00:00Z\"}]}}",
         "2026-03-01T00:00:00Z  block     tenant/acme: plan_allowance_exhausted by "
         "quota/api_calls, "
         "1000 of 1000, resets 2026-04-01T00:00:00Z, expires 2026-03-02T00:00:00Z\n"},
        {"tenant/acme",
         "{\"time\":\"2026-03-01T00:00:00Z\",\"data\":{\"scope\":\"tenant/"
         "acme\",\"outcome\":\"allow\","
         "\"restrictions\":[]}}",
         "2026-03-01T00:00:00Z  allow     tenant/acme\n"},
        {"engine/3", "{\"time\":\"2026-03-01T00:00:00Z\",\"data\":{\"shard\":3,\"seq\":1}}", ""},
        {"engine/3", NULL, ""},
        {"tenant/acme", "nonsense", ""},
        {"tenant/acme", NULL, "                      forgotten tenant/acme: allowed\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char page[PRINTED_ROOM];
        FILE *out = open_page(page);

        watch_decision(text_of(rows[i].key), text_of(rows[i].value), false, out);
        (void)fclose(out);
        CU_ASSERT_STRING_EQUAL(page, rows[i].line);
    }
}

static void
test_alert_line(void)
{
    static const struct {
        struct watch_alert alert;
        const char *line;
    } rows[] = {
        {{.at = "T",
          .move = "step",
          .severity = "critical",
          .rule = "quota/api_calls",
          .tenant = "acme",
          .project = "web",
          .step = "90",
          .value = "450",
          .threshold = "500",
          .unit = "requests"},
         "T  critical  quota/api_calls of acme/web: 90 %, 450 of 500 requests\n"},
        {{.at = "T",
          .move = "resolve",
          .severity = "critical",
          .rule = "quota/api_calls",
          .tenant = "acme",
          .step = "90",
          .reason = "limit_raised"},
         "T  resolved  quota/api_calls of acme, limit_raised\n"},
        {{.at = "T",
          .move = "fire",
          .severity = "info",
          .rule = "burst/key",
          .tenant = "acme",
          .subject = "k1",
          .step = "0",
          .value = "61",
          .threshold = "60",
          .unit = "requests"},
         "T  info      burst/key of acme/k1, 61 of 60 requests\n"},
        {{.at = "T",
          .move = "fire",
          .severity = "error",
          .rule = "ingest/dead",
          .step = "0",
          .summary = "3 % of events\n\033[31m"},
         "T  error     ingest/dead: 3 % of events  [31m\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char page[PRINTED_ROOM];
        FILE *out = open_page(page);

        watch_alert(&rows[i].alert, false, out);
        (void)fclose(out);
        CU_ASSERT_STRING_EQUAL(page, rows[i].line);
    }
}

/* A suggestion is a number that people say: two digits and zeros, never less than what is needed. */
static void
test_suggestion(void)
{
    static const struct {
        int64_t need, suggestion;
    } rows[] = {{0, 0},     {1, 1},     {99, 99},      {100, 100}, {101, 110},
                {246, 250}, {250, 250}, {9901, 10000}, {-5, 0},    {12345678, 13000000}};
    const tally nano = MONEY_NANO_PER_UNIT;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT("counts", (int64_t)increase_round(rows[i].need, false), rows[i].suggestion);
        CHECK_INT("money", (int64_t)(increase_round(rows[i].need * nano, true) / nano),
                  rows[i].suggestion);
    }
    CHECK_INT("2.45 and something", (int64_t)(increase_round(2454545455, true) / nano), 3);
}

static CU_TestInfo tests[] = {
    {"a scope is understood, or its forms are named", test_scope},
    {"a position is topic, partition, offset and index", test_position},
    {"a limit is set, lifted or given back to the plan", test_limit},
    {"a project is declared with its limits", test_project},
    {"columns line up, whatever is in them", test_columns},
    {"amounts and moments", test_amounts},
    {"limit 1000, project 500: 50 used leave 450 and 950", test_standing},
    {"a decision is one line", test_decision_line},
    {"an alert is one line", test_alert_line},
    {"a suggestion is a round number", test_suggestion},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_cli_words = {"cli_words", NULL, NULL, NULL, NULL, tests};
