/* Protects: each error that a user can make is checked.found, all of them at once, where they stand. */
#include "tests/config_check.h"

#include <librdkafka/rdkafka.h>

/* ---- what is taken --------------------------------------------------------------------------- */

static void
test_defaults(void)
{
    checked_parse(&checked, MINIMAL);
    CHECK_TEXT("minimal", checked.found,
               "1:1: warning: alerts.receivers is missing: alerts stand in Postgres and on the "
               "status page only, nobody is told");
    REQUIRE(checked.config);
    REQUIRE(checked.policy);
    CU_ASSERT_PTR_NULL(checked.config->instance);
    CU_ASSERT_STRING_EQUAL(checked.config->state_dir, "/var/lib/tripmeter");
    CHECK_INT("workers", checked.config->workers, 0);
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.brokers, "k:9092");
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.group, "tripmeter");
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.topics[0], "usage");
    CHECK_INT("topics", checked.config->kafka.topic_count, 1);
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.control_topic, "tripmeter.control");
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.dead_letter_topic, "tripmeter.dead");
    CHECK_INT("create topics", checked.config->kafka.create_topics, true);
    CHECK_INT("replication", checked.config->kafka.replication, -1);
    CHECK_INT("time", checked.config->kafka.time, TIME_APPEND);
    CHECK_INT("gap", checked.config->kafka.gap_max, 100000);
    CHECK_INT("properties", checked.config->kafka.property_count, 0);
    CU_ASSERT_STRING_EQUAL(checked.config->postgres.url, "postgresql://t@db/usage");
    CU_ASSERT_STRING_EQUAL(checked.config->postgres.schema, "tripmeter");
    CHECK_INT("interval", checked.config->settle.interval_ms, 500);
    CHECK_INT("memory", checked.config->settle.memory, 64 << 20);
    CHECK_INT("dedupe", checked.config->dedupe.on, true);
    CHECK_INT("window", checked.config->dedupe.window_ms, 15 * 60000);
    CHECK_INT("records", checked.config->dedupe.records, 1000000);
    CHECK_INT("park", checked.config->ingest.park_memory, 64 << 20);
    CHECK_INT("keep", checked.config->ingest.keep_dead_payload, false);
    CHECK_INT("halt", checked.config->ingest.halt_on_dead, true);
    CU_ASSERT_PTR_NULL(checked.config->smtp.host);
    CHECK_INT("receivers", checked.config->alerts.receiver_count, 0);
    CU_ASSERT_STRING_EQUAL(checked.config->alerts.tenant_alerts, "billing");
    CU_ASSERT_STRING_EQUAL(checked.config->alerts.engine_alerts, "engineering");
    CHECK_INT("group wait", checked.config->alerts.group_wait_ms, 15000);
    CHECK_INT("http", checked.config->alerts.allow_http, false);
    CHECK_INT("private", checked.config->alerts.allow_private, false);
    CU_ASSERT_STRING_EQUAL(checked.config->status.listen, "127.0.0.1");
    CHECK_INT("port", checked.config->status.port, 9464);
    CHECK_INT("json", checked.config->log.json, false);
    CHECK_INT("level", checked.config->log.level, 2);
    CHECK_INT("offset", checked.config->clock_offset_ms, 0);
    CU_ASSERT_STRING_EQUAL(checked.config->policy_path, "config/policy.example.yaml");
    CHECK_INT("policy", checked.policy->plan_count, 5);
}

static void
test_values(void)
{
    checked_parse(&checked, MINIMAL
                  "smtp: {host: mx, port: 2525, tls: implicit, from: Ops <a@b.example>, user: u, "
                  "password: p, ca_file: ca.pem}\n"
                  "alerts:\n"
                  "  receivers:\n"
                  "    billing:\n"
                  "      email: [a@b.example, c@d.example]\n"
                  "      webhooks: [{url: 'https://h:1/p?q#f', secret: "
                  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}]\n"
                  "    engineering: {email: [a@b.example]}\n"
                  "log: {format: json, level: debug}\n"
                  "settle: {interval: 1m, memory: 1GiB}\n"
                  "workers: 2\n"
                  "state_dir: var\n"
                  "status: {listen: '::1', port: 0}\n");
    CHECK_TEXT("values", checked.found, "");
    REQUIRE(checked.config);
    CHECK_INT("port", checked.config->smtp.port, 2525);
    CHECK_INT("tls", checked.config->smtp.tls, SMTP_IMPLICIT);
    CU_ASSERT_STRING_EQUAL(checked.config->smtp.from, "Ops <a@b.example>");
    CU_ASSERT_STRING_EQUAL(checked.config->smtp.password, "p");
    CU_ASSERT_STRING_EQUAL(checked.config->smtp.ca_file, "config/ca.pem");
    CU_ASSERT_STRING_EQUAL(checked.config->state_dir, "config/var");
    CHECK_INT("receivers", checked.config->alerts.receiver_count, 2);

    const struct receiver *billing = &checked.config->alerts.receivers[0];

    CU_ASSERT_STRING_EQUAL(billing->name, "billing");
    CHECK_INT("endpoints", billing->endpoint_count, 3);
    CHECK_INT("kind", billing->endpoints[0].kind, ENDPOINT_EMAIL);
    CU_ASSERT_STRING_EQUAL(billing->endpoints[1].name, "billing/email/1");
    CU_ASSERT_STRING_EQUAL(billing->endpoints[1].target, "c@d.example");
    CHECK_INT("kind", billing->endpoints[2].kind, ENDPOINT_WEBHOOK);
    CU_ASSERT_STRING_EQUAL(billing->endpoints[2].name, "billing/webhook/0");
    CU_ASSERT_STRING_EQUAL(billing->endpoints[2].secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    CU_ASSERT_PTR_NULL(billing->endpoints[2].old_secret);
    CHECK_INT("json", checked.config->log.json, true);
    CHECK_INT("level", checked.config->log.level, 3);
    CHECK_INT("interval", checked.config->settle.interval_ms, 60000);
    CHECK_INT("memory", checked.config->settle.memory, 1 << 30);
    CHECK_INT("workers", checked.config->workers, 2);
}

static void
test_kafka_values(void)
{
    checked_parse(&checked, POLICY POSTGRES QUIET
                  "kafka: {brokers: 'a:1,[::1]:2', topics: [b, c], dead_letter_topic: none, time: "
                  "trust_producers, properties: {security.protocol: SASL_SSL, sasl.username: t}}\n"
                  "clock: {offset: -2h}\n");
    CHECK_TEXT("kafka", checked.found,
               "4:74: warning: kafka.time: the clocks of producers decide when limits reset; for "
               "imports, tests and the demo only");
    REQUIRE(checked.config);
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.brokers, "a:1,[::1]:2");
    CHECK_INT("topics", checked.config->kafka.topic_count, 2);
    CU_ASSERT_PTR_NULL(checked.config->kafka.dead_letter_topic);
    CHECK_INT("time", checked.config->kafka.time, TIME_TRUST_PRODUCERS);
    CHECK_INT("offset", checked.config->clock_offset_ms, -7200000);
    CHECK_INT("properties", checked.config->kafka.property_count, 2);
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.properties[1].name, "sasl.username");
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.properties[1].value, "t");
}

/* SHA-256 of the body, so that two engines agree on what is the same policy. */
static void
test_policy_hash(void)
{
    unsigned char first[sizeof checked.config->policy_hash];
    static const unsigned char zero[sizeof first];

    checked_parse(&checked, MINIMAL);
    REQUIRE(checked.config);
    memcpy(first, checked.config->policy_hash, sizeof first);
    checked_parse(&checked, MINIMAL);
    REQUIRE(checked.config);
    CU_ASSERT_TRUE(memcmp(first, checked.config->policy_hash, sizeof first) == 0);
    CU_ASSERT_TRUE(memcmp(first, zero, sizeof first) != 0);
    CU_ASSERT_TRUE(strncmp(checked.config->policy_body, "# tripmeter's policy", 20) == 0);
    CHECK_INT("size", checked.config->policy_size, strlen(checked.config->policy_body));
}

/* ---- what is found ---------------------------------------------------------------------------- */

static void
test_structure(void)
{
    static const struct config_row rows[] = {
        {"whole", BASE, ""},
        {"empty file", "# nothing\n",
         "1:1: policy is missing: File with plans and quotas, as seen from this file.\n"
         "1:1: kafka.brokers is missing: Where to find the cluster: a list of host:port.\n"
         "1:1: kafka.topics is missing: Topics with usage events, keyed by tenant, all with the "
         "same number of partitions.\n"
         "1:1: postgres.url is missing: Connection as libpq takes it: "
         "postgresql://user@host/database or host=... dbname=...\n"
         "1:1: warning: alerts.receivers is missing: alerts stand in Postgres and on the status "
         "page only, nobody is told"},
        {"missing key of a group", POLICY POSTGRES QUIET "kafka:\n  topics: [usage]\n",
         "4:1: kafka.brokers is missing: Where to find the cluster: a list of host:port."},
        {"a list", "- a\n",
         "1:1: configuration: must be written like groups of keys, see tripmeter.example.yaml"},
        {"group that is a text", BASE "log: json\n", "5:6: log: must be a group of keys"},
        {"group without keys", BASE "log:\n  # level: info\n", ""},
        {"unknown key", BASE "settle: {intervall: 1s}\n",
         "5:10: unknown key settle.intervall; did you mean `settle.interval`?"},
        {"key of old habit", BASE "settle_interval: 1s\n",
         "5:1: unknown key settle_interval; did you mean `settle.interval`?"},
        {"key in the wrong group", BASE "dedupe: {interval: 1s}\n",
         "5:10: unknown key dedupe.interval; did you mean `settle.interval`?"},
        {"misspelt group", POLICY POSTGRES QUIET "kafak: {brokers: [k:9092], topics: [usage]}\n",
         "1:1: kafka.brokers is missing: Where to find the cluster: a list of host:port.\n"
         "1:1: kafka.topics is missing: Topics with usage events, keyed by tenant, all with the "
         "same number of partitions.\n"
         "4:1: unknown key kafak; did you mean `kafka`?"},
        {"nothing like it", BASE "colour: blue\n",
         "5:1: unknown key colour; `tripmeter check --keys` lists all"},
        {"dotted key", BASE "log.level: info\n",
         "5:1: log.level: write the part before the dot as a group, and the rest indented below "
         "it"},
        {"_file of what is no secret", BASE "log: {level_file: x}\n",
         "5:7: unknown key log.level_file; `tripmeter check --keys` lists all"},
        {"key twice", BASE "workers: 1\nworkers: 2\n",
         "6:1: workers is given twice, first in line 5: keep one of them"},
        {"no value", BASE "workers:\n", "5:9: workers: has no value; give one, or remove the line"},
        {"list for a value", BASE "workers: [1]\n", "5:10: workers: must be one value, not a list"},
        {"map for a value", BASE "workers: {a: 1}\n",
         "5:10: workers: must be one value, not a map"},
        {"all at once",
         "workers: x\n" POLICY "log: {level: loud}\n" KAFKA "settle: {interval: 1y}\n" POSTGRES
         "status: {port: 70000, listen: here}\n" QUIET,
         "1:10: workers: x is not a whole number\n"
         "3:14: log.level: loud is none of error|warning|info|debug\n"
         "5:20: settle.interval: 1y is not a duration, like 500ms or 15m\n"
         "7:16: status.port: 70000 is outside 0..65535\n"
         "7:31: status.listen: must be an IP address, like 127.0.0.1, 0.0.0.0 or ::"},
    };

    CHECK_ROWS(rows);
}

static void
test_numbers(void)
{
    static const struct config_row rows[] = {
        {"above", BASE "workers: 257\n", "5:10: workers: 257 is outside 0..256"},
        {"below", BASE "workers: -1\n", "5:10: workers: -1 is outside 0..256"},
        {"edge", BASE "workers: 256\n", ""},
        {"decimals", BASE "workers: 1.5\n", "5:10: workers: 1.5 is not a whole number"},
        {"duration without a unit", BASE "settle: {interval: 500}\n",
         "5:20: settle.interval: 500 is not a duration, like 500ms or 15m"},
        {"duration too short", BASE "settle: {interval: 9ms}\n",
         "5:20: settle.interval: 9ms is outside 10ms..1m"},
        {"shortest duration", BASE "settle: {interval: 10ms}\n", ""},
        {"longest duration", BASE "settle: {interval: 60s}\n", ""},
        {"size in another unit", BASE "settle: {memory: 64MB}\n",
         "5:18: settle.memory: 64MB is not a size in bytes, like 64MiB"},
        {"size too small", BASE "settle: {memory: 64KiB}\n",
         "5:18: settle.memory: 64KiB is outside 1MiB..16GiB"},
        {"size", BASE "settle: {memory: 1_048_576}\n", ""},
        {"count", BASE "dedupe: {records: 50k}\n", ""},
        {"count too large", BASE "dedupe: {records: 1G}\n",
         "5:19: dedupe.records: 1G is outside 1k..100M"},
        {"count beyond 64 bits", BASE "dedupe: {records: 99999999999G}\n",
         "5:19: dedupe.records: 99999999999G is not a number, like 50000, 50k or 1M"},
        {"yes", BASE "dedupe: {enabled: yes}\n", "5:19: dedupe.enabled: yes is not true or false"},
        {"misspelt choice", BASE "kafka2: 1\nlog: {level: wanring}\n",
         "5:1: unknown key kafka2; did you mean `kafka`?\n"
         "6:14: log.level: wanring is none of error|warning|info|debug; did you mean warning?"},
    };

    CHECK_ROWS(rows);
}

static void
test_kafka(void)
{
    static const struct config_row rows[] = {
        {"broker without port", POLICY POSTGRES QUIET "kafka: {brokers: [k], topics: [usage]}\n",
         "4:19: kafka.brokers: must be host:port, like kafka-1:9092"},
        {"one of several", POLICY POSTGRES QUIET "kafka: {brokers: 'k:1,,l:2', topics: [usage]}\n",
         "4:18: kafka.brokers: must be host:port, like kafka-1:9092"},
        {"no broker", POLICY POSTGRES QUIET "kafka: {brokers: [], topics: [usage]}\n",
         "4:18: kafka.brokers: names no broker"},
        {"topics as a text", POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: usage}\n",
         "4:33: kafka.topics: must be written like [usage]"},
        {"no topic", POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: []}\n",
         "4:33: kafka.topics: names no topic"},
        {"no topic's name", POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: [a b, c/d]}\n",
         "4:34: kafka.topics: must be a topic's name: 1 to 249 letters, digits, '.', '_' or '-'\n"
         "4:39: kafka.topics: must be a topic's name: 1 to 249 letters, digits, '.', '_' or '-'"},
        {"topic twice", POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: [a, a]}\n",
         "4:37: kafka.topics: a is in the list twice"},
        {"reads what it writes",
         POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: [a], control_topic: a, "
                               "dead_letter_topic: a}\n",
         "4:25: kafka.topics: a is kafka.control_topic: the engine would read what it writes\n"
         "4:25: kafka.topics: a is kafka.dead_letter_topic: the engine would read what it writes\n"
         "4:56: kafka.dead_letter_topic: a is kafka.control_topic already"},
        {"offset without trust", BASE "clock: {offset: 30d}\n",
         "5:9: clock.offset: a shifted clock needs kafka.time: trust_producers; remove it for real "
         "traffic"},
        {"no offset", BASE "clock: {offset: 0s}\n", ""},
    };

    CHECK_ROWS(rows);
}

#define WITH(properties) \
    POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: [u], properties: {" properties "}}\n"

static void
test_properties(void)
{
    static const struct config_row rows[] = {
        {"TLS", WITH("security.protocol: SSL"), ""},
        {"value not taken", WITH("security.protocol: TLS"),
         "4:70: kafka.properties: librdkafka does not take this value for security.protocol"},
        {"brokers", WITH("bootstrap.servers: 'x:1'"),
         "4:51: kafka.properties: bootstrap.servers cannot be set: set kafka.brokers instead"},
        {"group", WITH("group.id: x"),
         "4:51: kafka.properties: group.id cannot be set: set kafka.group instead"},
        {"auto-commit", WITH("enable.auto.commit: true"),
         "4:51: kafka.properties: enable.auto.commit cannot be set: offsets are committed in "
         "Postgres, together with what was counted"},
        {"offset reset", WITH("auto.offset.reset: earliest"),
         "4:51: kafka.properties: auto.offset.reset cannot be set: the engine starts where "
         "Postgres says and halts when that is gone"},
        {"isolation", WITH("isolation.level: read_uncommitted"),
         "4:51: kafka.properties: isolation.level cannot be set: aborted transactions must not be "
         "counted: it is read_committed"},
        {"assignment", WITH("partition.assignment.strategy: roundrobin"),
         "4:51: kafka.properties: partition.assignment.strategy cannot be set: one worker needs "
         "the same partition of every topic: it is range"},
        {"idempotence", WITH("enable.idempotence: false"),
         "4:51: kafka.properties: enable.idempotence cannot be set: decisions are written once and "
         "in order: it is true"},
        {"queues", WITH("queued.min.messages: 10"),
         "4:51: kafka.properties: queued.min.messages cannot be set: it is the engine's, chosen by "
         "measurement"},
        {"code", WITH("plugin.library.paths: x.so"),
         "4:51: kafka.properties: plugin.library.paths cannot be set: the engine loads no code by "
         "configuration"},
        {"empty", WITH(""), ""},
        {"a list", POLICY POSTGRES QUIET "kafka: {brokers: [k:1], topics: [u], properties: [a]}\n",
         "4:50: kafka.properties: must be written like {security.protocol: SASL_SSL}"},
    };

    CHECK_ROWS(rows);
}

/* The text names the library's version: what newer documentation has may not be there. */
static void
test_unknown_property(void)
{
    char expected[FINDINGS_TEXT_SIZE];

    checked_parse(&checked, WITH("securty.protocol: SSL"));
    (void)snprintf(expected, sizeof expected,
                   "4:51: kafka.properties: librdkafka %s has no property securty.protocol",
                   rd_kafka_version_str());
    CHECK_TEXT("unknown", checked.found, expected);
}

static CU_TestInfo tests[] = {
    {"defaults", test_defaults},
    {"values", test_values},
    {"values of kafka", test_kafka_values},
    {"hash of the policy", test_policy_hash},
    {"structure", test_structure},
    {"numbers", test_numbers},
    {"kafka", test_kafka},
    {"properties", test_properties},
    {"unknown property", test_unknown_property},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_config = {
    .pName = "config", .pTests = tests, .pCleanupFunc = checked_forget};
