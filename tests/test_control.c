/* Protects: what gateways are told leaves at once, is written no oftener than promised, survives
 * lost brokers and late records of others, and stops when the shard is somebody else's. */
#include "config/log.h"
#include "sinks/control.h"
#include "sinks/control_internal.h"
#include "sinks/control_message.h"
#include "tests/check.h"

#include <jansson.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <time.h>

#define NOW_MS    INT64_C(1772323200000) /* 2026-03-01T00:00:00Z */
#define EPOCH     INT64_C(7)
#define SHARD     3
#define SEQ(n)    ((EPOCH << CONTROL_COUNTER_BITS) | (n))
#define OLD_SEQ   (((EPOCH - 2) << CONTROL_COUNTER_BITS) | 9)
#define LATER_SEQ (((EPOCH + 2) << CONTROL_COUNTER_BITS) | 1)

enum { RECORD_LIMIT = 512, DEADLINE_S = 20, PARTITIONS = 4 };

struct record {
    char *key;
    json_t *value; /* NULL: tombstone */
};

/* One embedded broker for the suite (it takes its time to stop), a topic for each test. */
static rd_kafka_t *mock_client;
static rd_kafka_mock_cluster_t *mock;
static int topics_made;

/* The sink, and a reader and a writer of its topic. */
struct bench {
    char topic[32];
    rd_kafka_t *reader;
    rd_kafka_t *writer;
    struct config config;
    struct metric_set metrics;
    _Atomic int64_t passed_ms; /* of both clocks */
    struct control *control;
    struct record records[RECORD_LIMIT];
    size_t count;
};

static int64_t
bench_wall_ms(void *context)
{
    return NOW_MS + ((struct bench *)context)->passed_ms;
}

static int64_t
bench_steady_ms(void *context)
{
    return 1000000 + ((struct bench *)context)->passed_ms;
}

/* The embedded broker lets a fetch wait its whole time, also when a record arrives. */
#define QUICK "fetch.wait.max.ms", "10"
static struct property quick[] = {{QUICK}};

static rd_kafka_t *
client_new(rd_kafka_type_t type, const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];

    if (brokers != NULL)
        (void)rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    if (type == RD_KAFKA_CONSUMER) {
        (void)rd_kafka_conf_set(conf, "group.id", "test", text, sizeof text);
        (void)rd_kafka_conf_set(conf, QUICK, text, sizeof text);
    } else {
        (void)rd_kafka_conf_set(conf, "partitioner", "murmur2_random", text, sizeof text);
    }
    return rd_kafka_new(type, conf, text, sizeof text);
}

static bool
bench_control(struct bench *bench)
{
    const struct control_clock clock = {bench_wall_ms, bench_steady_ms, bench};
    struct err why = {0};

    bench->control = control_open_with(&bench->config, &bench->metrics, &clock, &why);
    if (bench->control == NULL)
        fprintf(stderr, "control_open: %s\n", why.text);
    CU_ASSERT_FATAL(bench->control != NULL);
    control_own(bench->control, SHARD, EPOCH);
    control_may_allow(bench->control, SHARD);
    return true;
}

static struct bench *
bench_open(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);

    if (bench == NULL)
        abort();
    (void)snprintf(bench->topic, sizeof bench->topic, "control-%d", topics_made++);
    (void)rd_kafka_mock_topic_create(mock, bench->topic, PARTITIONS, 1);
    bench->config.kafka.brokers = rd_kafka_mock_cluster_bootstraps(mock);
    bench->config.kafka.group = "tripmeter";
    bench->config.kafka.control_topic = bench->topic;
    bench->config.kafka.properties = quick;
    bench->config.kafka.property_count = 1;
    bench->reader = client_new(RD_KAFKA_CONSUMER, bench->config.kafka.brokers);
    bench->writer = client_new(RD_KAFKA_PRODUCER, bench->config.kafka.brokers);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, bench->topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(bench->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return bench;
}

static void
bench_close(struct bench *bench)
{
    control_close(bench->control, 5000);
    for (size_t i = 0; i < bench->count; i++) {
        free(bench->records[i].key);
        json_decref(bench->records[i].value);
    }
    rd_kafka_destroy_flags(bench->reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    rd_kafka_destroy(bench->writer);
    free(bench);
}

static void
pass(struct bench *bench, int64_t ms)
{
    bench->passed_ms += ms;
    control_wake(bench->control);
}

static void
take(struct bench *bench, int timeout_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(bench->reader, timeout_ms);

    if (message == NULL)
        return;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && bench->count < RECORD_LIMIT) {
        struct record *record = &bench->records[bench->count++];

        record->key = strndup(message->key, message->key_len);
        record->value = message->payload == NULL ? NULL
                                                 : json_loadb(message->payload, message->len,
                                                              JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT(message->payload == NULL || record->value != NULL);
    }
    rd_kafka_message_destroy(message);
}

static size_t
count_of(const struct bench *bench, const char *scope)
{
    size_t count = 0;

    for (size_t i = 0; i < bench->count; i++)
        count += strcmp(bench->records[i].key, scope) == 0;
    return count;
}

/* Waits until the topic has shown `count` records of the scope; the last one, or NULL. */
static const struct record *
await(struct bench *bench, const char *scope, size_t count)
{
    const time_t end = time(NULL) + DEADLINE_S;

    while (count_of(bench, scope) < count && time(NULL) < end)
        take(bench, 50);
    CHECK_INT(scope, count_of(bench, scope), count);
    for (size_t i = bench->count; i > 0; i--)
        if (strcmp(bench->records[i - 1].key, scope) == 0)
            return &bench->records[i - 1];
    return NULL;
}

static const json_t *
data_of(const struct record *record)
{
    return record == NULL ? NULL : json_object_get(record->value, "data");
}

static const char *
text_in(const json_t *data, const char *name)
{
    const char *text = json_string_value(json_object_get(data, name));

    return text == NULL ? "(absent)" : text;
}

static int64_t
integer_in(const json_t *data, const char *name)
{
    return json_integer_value(json_object_get(data, name));
}

static int64_t
used_in(const struct record *record)
{
    return integer_in(json_array_get(json_object_get(data_of(record), "restrictions"), 0), "used");
}

static struct scope_state
state_of(const char *scope)
{
    return (struct scope_state){.scope = text_of(scope),
                                .tenant = TEXT("acme"),
                                .shard = SHARD,
                                .epoch = EPOCH,
                                .at_ms = NOW_MS};
}

static struct scope_state
blocked(const char *scope, int64_t used)
{
    struct scope_state state = state_of(scope);
    const struct restriction restriction = {
        .code = CODE_plan_allowance_exhausted,
        .rank = 3,
        .rule = TEXT("quota/api_calls"),
        .policy = 2,
        .since_ms = NOW_MS,
        .ends_ms = NOW_MS + 2 * CLOCK_HOUR_MS,
        .has_usage = true,
        .used = used,
        .limit = 1000,
        .resets_ms = NOW_MS + 2 * CLOCK_HOUR_MS,
    };

    scope_restrict(&state, &restriction);
    return state;
}

static struct scope_state
throttled(const char *scope, int64_t ends_ms)
{
    struct scope_state state = state_of(scope);
    const struct restriction restriction = {
        .code = CODE_tenant_rate_limited, .rank = 4, .since_ms = NOW_MS, .ends_ms = ends_ms};

    scope_restrict(&state, &restriction);
    return state;
}

static void
want(struct bench *bench, struct scope_state state)
{
    CU_ASSERT(control_want(bench->control, &state));
}

/* Of the claim after EPOCH. */
static void
want_of_next(struct bench *bench, struct scope_state state)
{
    state.epoch = EPOCH + 1;
    want(bench, state);
}

/* When this scope's record is there, the publisher has looked at everything that was due before. */
static void
await_sentinel(struct bench *bench, const char *scope)
{
    want(bench, throttled(scope, INT64_MAX));
    (void)await(bench, scope, 1);
}

static void
write_foreign(struct bench *bench, struct scope_state state, int64_t seq)
{
    const struct control_stamp stamp = {"//tripmeter/other", seq, bench_wall_ms(bench)};
    size_t size;
    char *value = control_scope_message(&state, &stamp, &size);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(bench->writer, bench->topic, NULL);

    CU_ASSERT_FATAL(value != NULL);
    CHECK_INT("foreign",
              rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size,
                               state.scope.at, state.scope.size, NULL),
              0);
    CHECK_INT("foreign", rd_kafka_flush(bench->writer, DEADLINE_S * 1000), 0);
    rd_kafka_topic_destroy(topic);
    free(value);
}

static bool
await_true(struct bench *bench, bool (*holds)(struct bench *))
{
    const struct timespec pause = {.tv_nsec = 5000000};
    const time_t end = time(NULL) + DEADLINE_S;

    while (!holds(bench) && time(NULL) < end) {
        control_wake(bench->control);
        (void)nanosleep(&pause, NULL);
    }
    return holds(bench);
}

static bool
is_caught_up(struct bench *bench)
{
    return control_caught_up(bench->control);
}

static bool
is_silent(struct bench *bench)
{
    return control_is_silent(bench->control, SHARD);
}

static bool
all_are_read_back(struct bench *bench)
{
    bool all = true;

    (void)pthread_mutex_lock(&bench->control->lock);
    for (size_t i = 0; i < scopes_count(&bench->control->scopes); i++)
        all = all && scopes_at(&bench->control->scopes, i)->seen;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return all;
}

static void
test_publish(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    record = await(bench, "tenant/acme", 1);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "block");
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "expires_at"), "2026-03-01T02:01:00Z");
    CHECK_INT("epoch", integer_in(data_of(record), "seq") >> CONTROL_COUNTER_BITS, EPOCH);
    CU_ASSERT(await_true(bench, is_caught_up));
    CU_ASSERT(await_true(bench, all_are_read_back));
    CHECK_INT("acknowledged", metric_get(&bench->metrics, METRIC_DECISIONS), 1);

    /* The same again says nothing new. */
    pass(bench, 5000);
    want(bench, blocked("tenant/acme", 1000));
    await_sentinel(bench, "tenant/sentinel");
    (void)await(bench, "tenant/acme", 1);
    bench_close(bench);
}

static bool
is_timed(struct bench *bench)
{
    return atomic_load(&bench->metrics.delay[3]) > 0;
}

/* From the record that caused it to the broker's acknowledgement; what no event caused has none. */
static void
test_delay(void)
{
    struct bench *bench = bench_open();
    struct scope_state state = blocked("tenant/acme", 1000);

    bench_control(bench);
    want(bench, blocked("tenant/said", 1000));
    (void)await(bench, "tenant/said", 1);
    state.trigger = TEXT("e1");
    pass(bench, 7);
    want(bench, state);
    CU_ASSERT(await_true(bench, is_timed));
    pass(bench, CONTROL_SPACING_MS);
    write_foreign(bench, state_of("tenant/acme"), OLD_SEQ);
    (void)await(bench, "tenant/acme", 3);
    CU_ASSERT(await_true(bench, all_are_read_back));
    CHECK_INT("once", atomic_load(&bench->metrics.delay[3]), 1);
    CHECK_INT("sum", atomic_load(&bench->metrics.delay_sum_ms), 7);
    bench_close(bench);
}

static void
test_spacing(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    want(bench, throttled("tenant/acme", NOW_MS + CLOCK_HOUR_MS));
    (void)await(bench, "tenant/acme", 1);
    want(bench, blocked("tenant/acme", 1000)); /* stricter: at once */
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "block");
    want(bench, blocked("tenant/acme", 1001));
    want(bench, blocked("tenant/acme", 1002));
    await_sentinel(bench, "tenant/s1");
    (void)await(bench, "tenant/acme", 2);
    pass(bench, CONTROL_SPACING_MS - 1);
    await_sentinel(bench, "tenant/s2");
    (void)await(bench, "tenant/acme", 2);
    pass(bench, 1);
    record = await(bench, "tenant/acme", 3);
    CHECK_INT("what is wanted last", used_in(record), 1002);
    want(bench, state_of("tenant/acme")); /* milder: waits its second */
    await_sentinel(bench, "tenant/s3");
    (void)await(bench, "tenant/acme", 3);
    pass(bench, CONTROL_SPACING_MS);
    record = await(bench, "tenant/acme", 4);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "allow");
    CU_ASSERT(json_object_get(data_of(record), "http") == NULL);
    bench_close(bench);
}

static void
test_heartbeat(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    (void)await(bench, "engine/3", 1);
    control_heartbeat(bench->control, SHARD, NOW_MS, 42);
    pass(bench, CONTROL_BEAT_MS);
    record = await(bench, "engine/3", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "as_of"), "2026-03-01T00:00:00Z");
    CHECK_INT("lag", integer_in(data_of(record), "lag_records"), 42);
    /* A worker that is stuck must not look alive. */
    pass(bench, CONTROL_SILENT_MS + 1);
    await_sentinel(bench, "tenant/s1");
    (void)await(bench, "engine/3", 2);
    bench_close(bench);
}

static void
test_foreign_record(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    CU_ASSERT(await_true(bench, all_are_read_back));
    pass(bench, CONTROL_SPACING_MS);
    write_foreign(bench, state_of("tenant/acme"), OLD_SEQ);
    record = await(bench, "tenant/acme", 3);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "block");
    CU_ASSERT(integer_in(data_of(record), "seq") > SEQ(1));
    CU_ASSERT(await_true(bench, all_are_read_back));
    CHECK_INT("answered", metric_get(&bench->metrics, METRIC_CONTROL_ANSWERED), 1);

    /* A record that was there before is history: claiming again reads it without answering it. */
    control_own(bench->control, SHARD, EPOCH + 1);
    struct scope_state state = blocked("tenant/acme", 1000);

    state.epoch = EPOCH + 1;
    want(bench, state);
    (void)await(bench, "tenant/acme", 4);
    CU_ASSERT(await_true(bench, is_caught_up));
    CHECK_INT("answered", metric_get(&bench->metrics, METRIC_CONTROL_ANSWERED), 1);
    bench_close(bench);
}

static bool
has_stranger(struct bench *bench)
{
    bool has;

    (void)pthread_mutex_lock(&bench->control->lock);
    has = bench->control->strangers.count > 0;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return has;
}

static void
test_stranger(void)
{
    struct bench *bench = bench_open();
    struct arena *arena = arena_new(4096);
    struct scope_state elsewhere = blocked("tenant/elsewhere", 1000);
    const struct record *record;
    struct text scope;
    struct text tenant;

    elsewhere.shard = SHARD + 1;
    write_foreign(bench, elsewhere, OLD_SEQ);
    write_foreign(bench, state_of("tenant/allowed"), OLD_SEQ);
    write_foreign(bench, blocked("key/ac%2Fme/k1", 1000), OLD_SEQ);
    write_foreign(bench, blocked("key/ac%2Fme/k1", 1001), OLD_SEQ + 1);
    bench_control(bench);
    CU_ASSERT(await_true(bench, has_stranger));
    CU_ASSERT(await_true(bench, is_caught_up));
    CU_ASSERT_FATAL(control_stranger(bench->control, arena, &scope, &tenant));
    CU_ASSERT(text_eq(scope, TEXT("key/ac%2Fme/k1")));
    CU_ASSERT(text_eq(tenant, TEXT("ac/me")));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    want(bench, state_of("key/ac%2Fme/k1"));
    record = await(bench, "key/ac%2Fme/k1", 3);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "allow");
    CU_ASSERT(await_true(bench, all_are_read_back));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    arena_free(arena);
    bench_close(bench);
}

/* Who has just claimed a shard may block; what is weaker waits, unless an operator says it. */
static void
test_may_allow(void)
{
    struct bench *bench = bench_open();
    struct scope_state said = state_of("tenant/said");
    const struct record *record;

    write_foreign(bench, blocked("tenant/acme", 1000), OLD_SEQ);
    write_foreign(bench, blocked("tenant/again", 1000), OLD_SEQ);
    bench_control(bench);
    control_own(bench->control, SHARD, EPOCH + 1);
    said.operator_said = true;
    want_of_next(bench, state_of("tenant/acme"));
    want_of_next(bench, state_of("tenant/again"));
    want_of_next(bench, throttled("tenant/slow", INT64_MAX));
    want_of_next(bench, said);
    (void)await(bench, "tenant/said", 1);
    want_of_next(bench, blocked("tenant/again", 2000)); /* derived again */
    (void)await(bench, "tenant/again", 2);
    want_of_next(bench, blocked("tenant/last", 1000));
    (void)await(bench, "tenant/last", 1);
    (void)await(bench, "tenant/acme", 1);
    (void)await(bench, "tenant/slow", 0);

    control_may_allow(bench->control, SHARD);
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "allow");
    record = await(bench, "tenant/slow", 1);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "throttle");
    record = await(bench, "tenant/again", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "block");
    bench_close(bench);
}

static void
test_later_claim(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    write_foreign(bench, blocked("tenant/other", 1000), LATER_SEQ);
    CU_ASSERT(await_true(bench, is_silent));
    want(bench, blocked("tenant/silent", 1000));
    want(bench, state_of("tenant/acme"));
    pass(bench, CLOCK_HOUR_MS);
    control_own(bench->control, SHARD + 1, EPOCH);
    struct scope_state other = blocked("tenant/s1", 1);

    other.shard = SHARD + 1;
    want(bench, other);
    (void)await(bench, "tenant/s1", 1);
    (void)await(bench, "tenant/acme", 1);
    (void)await(bench, "tenant/silent", 0);
    bench_close(bench);
}

static void
test_disown(void)
{
    struct bench *bench = bench_open();
    struct scope_state other = blocked("tenant/s1", 1);

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    control_disown(bench->control, SHARD);
    want(bench, state_of("tenant/acme"));
    want(bench, blocked("tenant/late", 1000));
    pass(bench, CLOCK_HOUR_MS);
    control_own(bench->control, SHARD + 1, EPOCH + 1);
    other.shard = SHARD + 1;
    other.epoch = EPOCH + 1;
    want(bench, other);
    (void)await(bench, "tenant/s1", 1);
    (void)await(bench, "tenant/acme", 1);
    (void)await(bench, "tenant/late", 0);
    bench_close(bench);
}

/* Thrown out of the group and back before anybody else had the shard: the epoch is the same, and
 * gateways ignore what is not above the highest seq they know. */
static void
test_own_again(void)
{
    struct bench *bench = bench_open();
    const struct record *record;
    int64_t told;

    bench_control(bench);
    want(bench, blocked("tenant/s1", 1000));
    want(bench, blocked("tenant/acme", 1000));
    record = await(bench, "tenant/acme", 1);
    told = integer_in(data_of(record), "seq");
    control_disown(bench->control, SHARD);
    control_own(bench->control, SHARD, EPOCH);
    want(bench, blocked("tenant/acme", 1001));
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT(integer_in(data_of(record), "seq") > told);
    bench_close(bench);
}

static bool
both_are_produced(struct bench *bench)
{
    bool both;

    (void)pthread_mutex_lock(&bench->control->lock);
    both = rd_kafka_outq_len(bench->control->producer) >= 2;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return both;
}

/* What waits in the producer's queue when a shard goes must not be written later; what waits there
 * for other shards must. */
static void
test_disown_takes_back(void)
{
    struct bench *bench = bench_open();
    struct scope_state other = blocked("tenant/other", 1000);

    bench_control(bench);
    control_own(bench->control, SHARD + 1, EPOCH + 1);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    (void)await(bench, "engine/4", 1);
    (void)rd_kafka_mock_broker_set_down(mock, 1);
    pass(bench, CONTROL_SPACING_MS);
    other.shard = SHARD + 1;
    other.epoch = EPOCH + 1;
    want(bench, state_of("tenant/acme"));
    want(bench, other);
    CU_ASSERT(await_true(bench, both_are_produced));
    control_disown(bench->control, SHARD);
    (void)rd_kafka_mock_broker_set_up(mock, 1);
    (void)await(bench, "tenant/other", 1);
    other.scope = TEXT("tenant/s1");
    want(bench, other);
    (void)await(bench, "tenant/s1", 1);
    (void)await(bench, "tenant/acme", 1);
    bench_close(bench);
}

static void
test_close_without_broker(void)
{
    struct bench *bench = bench_open();
    const time_t began = time(NULL);

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    (void)rd_kafka_mock_broker_set_down(mock, 1);
    pass(bench, CONTROL_SPACING_MS);
    want(bench, state_of("tenant/acme"));
    pass(bench, 100); /* the deadline is of the same clock */
    control_close(bench->control, 0);
    bench->control = NULL;
    CU_ASSERT(time(NULL) - began < DEADLINE_S);
    (void)rd_kafka_mock_broker_set_up(mock, 1);
    bench_close(bench);
}

static void
test_retire(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    write_foreign(bench, state_of("tenant/left"), OLD_SEQ);
    bench_control(bench);
    want(bench, state_of("tenant/acme"));
    (void)await(bench, "tenant/acme", 1);
    CU_ASSERT(await_true(bench, is_caught_up));
    CU_ASSERT(await_true(bench, all_are_read_back));
    pass(bench, CONTROL_RETIRE_MS - 1);
    await_sentinel(bench, "tenant/s1");
    (void)await(bench, "tenant/acme", 1);
    pass(bench, 1);
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT(record != NULL && record->value == NULL);
    record = await(bench, "tenant/left", 2);
    CU_ASSERT(record != NULL && record->value == NULL);
    bench_close(bench);
}

static void
test_renew(void)
{
    struct bench *bench = bench_open();
    struct scope_state state = blocked("tenant/acme", 1000);
    const struct record *record;

    bench_control(bench);
    state.restrictions[0].ends_ms = INT64_MAX;
    want(bench, state);
    record = await(bench, "tenant/acme", 1);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "expires_at"), "2026-03-02T00:00:00Z");
    pass(bench, CONTROL_EXPIRY_LIMIT_MS / 2 - 1);
    await_sentinel(bench, "tenant/s1");
    (void)await(bench, "tenant/acme", 1);
    pass(bench, 1);
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "expires_at"), "2026-03-02T12:00:00Z");
    bench_close(bench);
}

static void
test_expired_is_not_told(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    want(bench, throttled("tenant/acme", NOW_MS));
    await_sentinel(bench, "tenant/s1");
    (void)await(bench, "tenant/acme", 0);
    bench_close(bench);
}

static void
test_fatal_error(void)
{
    struct bench *bench = bench_open();
    const struct record *record;
    int64_t seq;

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    seq = integer_in(data_of(await(bench, "tenant/acme", 1)), "seq");
    pass(bench, CONTROL_SPACING_MS);
    (void)pthread_mutex_lock(&bench->control->lock);
    CHECK_INT("made fatal",
              rd_kafka_test_fatal_error(bench->control->producer,
                                        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test"),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    (void)pthread_mutex_unlock(&bench->control->lock);
    control_wake(bench->control);
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT(integer_in(data_of(record), "seq") > seq);
    want(bench, blocked("tenant/after", 1000));
    (void)await(bench, "tenant/after", 1);
    bench_close(bench);
}

static void
test_numbers_used_up(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    (void)await(bench, "engine/3", 1);
    (void)pthread_mutex_lock(&bench->control->lock);
    bench->control->shards[SHARD].counter = CONTROL_COUNTER_MAX - 1;
    (void)pthread_mutex_unlock(&bench->control->lock);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    CU_ASSERT_FALSE(is_silent(bench));
    want(bench, blocked("tenant/next", 1000));
    CU_ASSERT(await_true(bench, is_silent));
    (void)await(bench, "tenant/next", 0);
    bench_close(bench);
}

struct seen_states {
    char names[256];
    size_t count;
};

static void
note_state(void *context, const struct scope_state *state, int64_t seq, int64_t expires_ms)
{
    struct seen_states *seen = context;
    const size_t used = strlen(seen->names);

    CU_ASSERT(seq > 0);
    CHECK_INT("expiry", expires_ms, NOW_MS + 2 * CLOCK_HOUR_MS + CONTROL_EXPIRY_GRACE_MS);
    (void)snprintf(seen->names + used, sizeof seen->names - used, "%.*s ", (int)state->scope.size,
                   state->scope.at);
    seen->count++;
}

static void
test_each(void)
{
    struct bench *bench = bench_open();
    struct seen_states seen = {.count = 0};

    bench_control(bench);
    want(bench, blocked("tenant/b", 1000));
    want(bench, state_of("tenant/allowed"));
    want(bench, blocked("key/b/1", 1000));
    want(bench, blocked("tenant/a", 1000));
    CU_ASSERT(await_true(bench, all_are_read_back));
    control_each(bench->control, note_state, &seen);
    CU_ASSERT_STRING_EQUAL(seen.names, "key/b/1 tenant/a tenant/b ");
    bench_close(bench);
}

static void
test_close_flushes(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    want(bench, blocked("tenant/acme", 1000));
    (void)await(bench, "tenant/acme", 1);
    want(bench, state_of("tenant/acme")); /* would wait for its second */
    control_close(bench->control, 5000);
    bench->control = NULL;
    record = await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(text_in(data_of(record), "outcome"), "allow");
    bench_close(bench);
}

static CU_TestInfo tests[] = {
    {"a block is written with everything a gateway needs", test_publish},
    {"the delay ends with the broker's acknowledgement", test_delay},
    {"stricter at once, the rest once a second", test_spacing},
    {"a heartbeat every ten seconds while the worker speaks", test_heartbeat},
    {"a late record of another engine is answered", test_foreign_record},
    {"a restriction nobody wants is shown to the worker", test_stranger},
    {"before it has caught up a shard may block, not allow", test_may_allow},
    {"a later claim on the topic silences us", test_later_claim},
    {"nothing is published for a shard that is gone", test_disown},
    {"seq goes on when a shard comes back under its epoch", test_own_again},
    {"what still waits for the broker is taken back with the shard", test_disown_takes_back},
    {"closing does not wait for a broker that is gone", test_close_without_broker},
    {"allowed for a day: tombstone", test_retire},
    {"what has no end is renewed at half", test_renew},
    {"what is over is not told", test_expired_is_not_told},
    {"a fatal producer error: new producer, states again", test_fatal_error},
    {"used up sequence numbers stop the shard", test_numbers_used_up},
    {"the status page sees restrictions in order", test_each},
    {"closing writes what waits", test_close_flushes},
    CU_TEST_INFO_NULL,
};

/* Most tests provoke what is worth a warning: only errors are shown. */
static int
suite_open(void)
{
    log_setup(LOG_ERROR, false);
    mock_client = client_new(RD_KAFKA_PRODUCER, NULL);
    mock = rd_kafka_mock_cluster_new(mock_client, 1);
    return mock == NULL;
}

static int
suite_close(void)
{
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(mock_client);
    log_setup(LOG_INFO, false);
    return 0;
}

const CU_SuiteInfo suite_control = {"control", suite_open, suite_close, NULL, NULL, tests};
