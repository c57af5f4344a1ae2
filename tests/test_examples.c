/* Protects: the examples are right, and show every key with its true default. */
#include "config/keys.h"
#include "tests/config_check.h"

#include <stdlib.h>

enum { EXAMPLE_SIZE = 1 << 16 };

static void
read_example(char out[EXAMPLE_SIZE])
{
    FILE *file = fopen("config/tripmeter.example.yaml", "r");
    size_t size;

    REQUIRE(file);
    size = fread(out, 1, EXAMPLE_SIZE - 1, file);
    out[size] = '\0';
    CU_ASSERT_EQUAL(fclose(file), 0);
}

/* A key behind '#' without a blank is switched off; prose has a blank. */
static void
switch_all_on(char *body)
{
    char *to = body;

    for (const char *at = body; *at != '\0'; at++)
        if (at[0] != '#' || at[1] == ' ' || at[1] == '\n')
            *to++ = *at;
    *to = '\0';
}

static void
test_as_it_is(void)
{
    checked_load(&checked, "config/tripmeter.example.yaml");
    CHECK_TEXT("example", checked.found, "");
    REQUIRE(checked.config);
    CHECK_INT("receivers", checked.config->alerts.receiver_count, 2);
}

/* The defaults that the comments tell are those of keys.def: with all of them switched on nothing is
 * found, and nothing is different. */
static void
test_switched_on(void)
{
    static char body[EXAMPLE_SIZE];
    struct checked as_is = {0};
    const struct config *on;
    const struct config *off;

    CU_ASSERT_EQUAL_FATAL(setenv("KAFKA_PASSWORD", "k", 1), 0); /* NOLINT(concurrency-mt-unsafe) */
    CU_ASSERT_EQUAL_FATAL(setenv("SMTP_PASSWORD", "s", 1), 0);  /* NOLINT(concurrency-mt-unsafe) */
    read_example(body);
    checked_parse(&as_is, body);
    switch_all_on(body);
    checked_parse(&checked, body);
    CHECK_TEXT("switched on", checked.found, "");
    REQUIRE(checked.config);
    REQUIRE(as_is.config);
    on = checked.config;
    off = as_is.config;
    CU_ASSERT_STRING_EQUAL(on->state_dir, off->state_dir);
    CU_ASSERT_STRING_EQUAL(on->kafka.group, off->kafka.group);
    CU_ASSERT_STRING_EQUAL(on->kafka.control_topic, off->kafka.control_topic);
    CU_ASSERT_STRING_EQUAL(on->kafka.dead_letter_topic, off->kafka.dead_letter_topic);
    CU_ASSERT_STRING_EQUAL(on->postgres.schema, off->postgres.schema);
    CU_ASSERT_STRING_EQUAL(on->alerts.tenant_alerts, off->alerts.tenant_alerts);
    CU_ASSERT_STRING_EQUAL(on->alerts.engine_alerts, off->alerts.engine_alerts);
    CU_ASSERT_STRING_EQUAL(on->status.listen, off->status.listen);
    CHECK_INT("workers", on->workers, off->workers);
    CHECK_INT("create", on->kafka.create_topics, off->kafka.create_topics);
    CHECK_INT("replication", on->kafka.replication, off->kafka.replication);
    CHECK_INT("time", on->kafka.time, off->kafka.time);
    CHECK_INT("gap", on->kafka.gap_max, off->kafka.gap_max);
    CHECK_INT("settle", memcmp(&on->settle, &off->settle, sizeof on->settle), 0);
    CHECK_INT("dedupe", on->dedupe.on, off->dedupe.on);
    CHECK_INT("window", on->dedupe.window_ms, off->dedupe.window_ms);
    CHECK_INT("records", on->dedupe.records, off->dedupe.records);
    CHECK_INT("park", on->ingest.park_memory, off->ingest.park_memory);
    CHECK_INT("keep", on->ingest.keep_dead_payload, off->ingest.keep_dead_payload);
    CHECK_INT("halt", on->ingest.halt_on_dead, off->ingest.halt_on_dead);
    CHECK_INT("port", on->smtp.port, off->smtp.port);
    CHECK_INT("tls", on->smtp.tls, off->smtp.tls);
    CHECK_INT("wait", on->alerts.group_wait_ms, off->alerts.group_wait_ms);
    CHECK_INT("http", on->alerts.allow_http, off->alerts.allow_http);
    CHECK_INT("private", on->alerts.allow_private, off->alerts.allow_private);
    CHECK_INT("status", on->status.port, off->status.port);
    CHECK_INT("json", on->log.json, off->log.json);
    CHECK_INT("level", on->log.level, off->log.level);
    CHECK_INT("offset", on->clock_offset_ms, off->clock_offset_ms);
    checked_free(&as_is);
}

static void
test_every_key(void)
{
    static char body[EXAMPLE_SIZE];
    struct arena *arena = arena_new(1 << 20);
    struct findings findings = {0};
    struct loader loader = {.findings = &findings};

    REQUIRE(arena);
    read_example(body);
    switch_all_on(body);
    findings_file(&findings, "example");
    loader.root = yaml_parse(text_of(body), arena, &findings);
    REQUIRE(loader.root);
    for (size_t i = 0; keys_path(i) != NULL; i++)
        CHECK_INT(keys_path(i), loader_find(&loader, keys_path(i)) != NULL, true);
    findings_free(&findings);
    arena_free(arena);
}

/* The catalogue of plans that everything else is explained with. */
static void
test_policy(void)
{
    static const struct {
        const char *plan;
        const char *quota;
        int64_t limit; /* -1: unlimited */
    } rows[] = {
        {"free", "api_calls", 1000},
        {"free", "ai_tokens", 100000},
        {"starter", "api_calls", 50000},
        {"starter", "ai_tokens", 1000000},
        {"professional", "api_calls", 500000},
        {"professional", "ai_tokens", 10000000},
        {"professional", "spend", 250 * MONEY_NANO_PER_UNIT},
        {"enterprise", "api_calls", -1},
        {"enterprise", "ai_tokens", -1},
    };

    checked_load(&checked, "config/tripmeter.example.yaml");
    REQUIRE(checked.policy);
    CU_ASSERT_TRUE(text_eq(checked.policy->fallback_plan->name, TEXT("free")));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct plan *plan = policy_plan(checked.policy, text_of(rows[i].plan));
        bool there = false;

        REQUIRE(plan);
        for (size_t q = 0; q < plan->quota_count; q++) {
            const struct quota *quota = &plan->quotas[q];

            if (!text_eq(quota->name, text_of(rows[i].quota)))
                continue;
            there = true;
            CHECK_INT(rows[i].quota, quota->unlimited ? -1 : (int64_t)quota->limit, rows[i].limit);
        }
        CHECK_INT(rows[i].quota, there, true);
    }
}

/* Every key has a line of its own in the reference, and some help below it. */
static void
test_reference(void)
{
    static char text[EXAMPLE_SIZE];
    FILE *file = tmpfile();
    size_t size;

    REQUIRE(file);
    keys_print(file);
    rewind(file);
    size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    for (size_t i = 0; keys_path(i) != NULL; i++) {
        char line[128];

        (void)snprintf(line, sizeof line, "\n%s: ", keys_path(i));
        CHECK_INT(keys_path(i), strstr(text, i == 0 ? line + 1 : line) != NULL, true);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nsettle.interval: a duration, like 500ms or 15m, "
                                        "10ms..1m; default 500ms\n    Longest time between two "
                                        "commits of a worker.\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nkafka.time: append|trust_producers; default append\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\npostgres.url: connection (or postgres.url_file); "
                                        "required\n"));
}

static CU_TestInfo tests[] = {
    {"loads without a finding", test_as_it_is}, {"its defaults are the defaults", test_switched_on},
    {"shows every key", test_every_key},        {"the catalogue of plans", test_policy},
    {"reference of keys", test_reference},      CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_examples = {
    .pName = "examples", .pTests = tests, .pCleanupFunc = checked_forget};
