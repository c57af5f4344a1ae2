#include "tests/control_bench.h"

#include "config/log.h"

#include <stdlib.h>
#include <time.h>

rd_kafka_mock_cluster_t *bench_mock;
static rd_kafka_t *mock_client;
static int topics_made;

int64_t
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

bool
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

struct bench *
bench_open(void)
{
    return bench_open_of(PARTITIONS);
}

struct bench *
bench_open_of(int partitions)
{
    struct bench *bench = calloc(1, sizeof *bench);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);

    if (bench == NULL)
        abort();
    (void)snprintf(bench->topic, sizeof bench->topic, "control-%d", topics_made++);
    (void)rd_kafka_mock_topic_create(bench_mock, bench->topic, partitions, 1);
    bench->config.kafka.brokers = rd_kafka_mock_cluster_bootstraps(bench_mock);
    bench->config.kafka.group = "tripmeter";
    bench->config.kafka.control_topic = bench->topic;
    bench->config.kafka.properties = quick;
    bench->config.kafka.property_count = 1;
    bench->reader = client_new(RD_KAFKA_CONSUMER, bench->config.kafka.brokers);
    bench->writer = client_new(RD_KAFKA_PRODUCER, bench->config.kafka.brokers);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, bench->topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(bench->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return bench;
}

void
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

void
bench_pass(struct bench *bench, int64_t ms)
{
    bench->passed_ms += ms;
    control_wake(bench->control);
}

static bool
is_asleep(struct bench *bench)
{
    bool is;

    (void)pthread_mutex_lock(&bench->control->lock);
    is = !bench->control->woken;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return is;
}

void
bench_turn(struct bench *bench)
{
    /* It says that it may be woken before its turn: the second time, the first turn is over. */
    for (int i = 0; i < 2; i++) {
        control_wake(bench->control);
        CU_ASSERT(bench_await_true(bench, is_asleep));
    }
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
const struct record *
bench_await(struct bench *bench, const char *scope, size_t count)
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

const json_t *
bench_data(const struct record *record)
{
    return record == NULL ? NULL : json_object_get(record->value, "data");
}

const char *
bench_text(const json_t *data, const char *name)
{
    const char *text = json_string_value(json_object_get(data, name));

    return text == NULL ? "(absent)" : text;
}

int64_t
bench_integer(const json_t *data, const char *name)
{
    return json_integer_value(json_object_get(data, name));
}

int64_t
bench_used(const struct record *record)
{
    return bench_integer(json_array_get(json_object_get(bench_data(record), "restrictions"), 0),
                         "used");
}

struct scope_state
bench_state(const char *scope)
{
    return (struct scope_state){.scope = text_of(scope),
                                .tenant = TEXT("acme"),
                                .shard = SHARD,
                                .epoch = EPOCH,
                                .at_ms = NOW_MS};
}

struct scope_state
bench_blocked(const char *scope, int64_t used)
{
    struct scope_state state = bench_state(scope);
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

struct scope_state
bench_throttled(const char *scope, int64_t ends_ms)
{
    struct scope_state state = bench_state(scope);
    const struct restriction restriction = {
        .code = CODE_tenant_rate_limited, .rank = 4, .since_ms = NOW_MS, .ends_ms = ends_ms};

    scope_restrict(&state, &restriction);
    return state;
}

void
bench_want(struct bench *bench, struct scope_state state)
{
    CU_ASSERT(control_want(bench->control, &state));
}

/* Of the claim after EPOCH. */
void
bench_want_of_next(struct bench *bench, struct scope_state state)
{
    state.epoch = EPOCH + 1;
    bench_want(bench, state);
}

/* When this scope's record is there, the publisher has looked at everything that was due before. */
void
bench_await_sentinel(struct bench *bench, const char *scope)
{
    bench_want(bench, bench_throttled(scope, INT64_MAX));
    (void)bench_await(bench, scope, 1);
}

void
bench_write_foreign(struct bench *bench, struct scope_state state, int64_t seq)
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

bool
bench_await_true(struct bench *bench, bool (*holds)(struct bench *))
{
    const struct timespec pause = {.tv_nsec = 5000000};
    const time_t end = time(NULL) + DEADLINE_S;

    while (!holds(bench) && time(NULL) < end) {
        control_wake(bench->control);
        (void)nanosleep(&pause, NULL);
    }
    return holds(bench);
}

bool
bench_is_caught_up(struct bench *bench)
{
    return control_caught_up(bench->control);
}

bool
bench_is_silent(struct bench *bench)
{
    return control_is_silent(bench->control, SHARD);
}

bool
bench_all_are_read_back(struct bench *bench)
{
    bool all = true;

    (void)pthread_mutex_lock(&bench->control->lock);
    for (size_t i = 0; i < scopes_count(&bench->control->scopes); i++)
        all = all && scopes_at(&bench->control->scopes, i)->seen;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return all;
}

/* Most tests provoke what is worth a warning: only errors are shown. */
int
bench_suite_open(void)
{
    log_setup(LOG_ERROR, false);
    mock_client = client_new(RD_KAFKA_PRODUCER, NULL);
    bench_mock = rd_kafka_mock_cluster_new(mock_client, 1);
    return bench_mock == NULL;
}

int
bench_suite_close(void)
{
    rd_kafka_mock_cluster_destroy(bench_mock);
    rd_kafka_destroy(mock_client);
    log_setup(LOG_INFO, false);
    return 0;
}
