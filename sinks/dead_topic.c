#include "sinks/dead_topic.h"

#include "config/kafka_client.h"
#include "config/log.h"
#include "config/now.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_LIMIT 1000
#define FLUSH_MS    2000

#define RETRY_MS    2000
#define METADATA_MS 5000

struct dead_topic {
    const struct config *config;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    struct metric_set *metrics;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool stopping;
    struct list waiting; /* int32_t: shards with something to publish, each once */
    struct store *store; /* only the thread's, as all below */
    struct dead_letter letters[BATCH_LIMIT]; /* positions of the batch under way */
    bool arrived[BATCH_LIMIT];
    size_t count;
};

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        *(bool *)message->_private = true;
}

static json_t *
text_json(struct text text)
{
    return text.at == NULL ? json_null() : json_stringn(text.at, text.size);
}

/* The bytes of the record: as text, or in hexadecimal where they are none. */
static void
add_value(json_t *json, struct text value)
{
    static const char digits[] = "0123456789abcdef";
    json_t *const text = json_stringn(value.at, value.size);

    if (text != NULL) {
        (void)json_object_set_new(json, "value", text);
        return;
    }
    char *const hex = malloc(2 * value.size + 1);

    if (hex == NULL)
        return;
    for (size_t i = 0; i < value.size; i++) {
        hex[2 * i] = digits[(unsigned char)value.at[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)value.at[i] & 15];
    }
    (void)json_object_set_new(json, "value_hex", json_stringn(hex, 2 * value.size));
    free(hex);
}

static char *
letter_json(const struct dead_letter *letter, const char *topic, int32_t shard)
{
    char at[CLOCK_TEXT_SIZE];
    json_t *json = json_pack(
        "{s:s, s:i, s:I, s:i, s:s, s:s, s:s, s:b, s:s, s:o?, s:o?, s:o?}", "topic", topic,
        "partition", (int)shard, "offset", (json_int_t)letter->offset, "index", (int)letter->index,
        "time", clock_format(letter->time_ms, at), "reason", dead_names[letter->why.reason],
        "detail", letter->why.detail, "retryable", dead_retryable[letter->why.reason], "sha256",
        letter->hash, "tenant", text_json(letter->tenant), "source", text_json(letter->source),
        "id", text_json(letter->id));
    char *text;

    if (json != NULL && letter->value.at != NULL)
        add_value(json, letter->value);
    text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static void
on_dead(void *opaque, const struct dead_letter *letter, int32_t shard)
{
    struct dead_topic *topic = opaque;
    const char *name = topic->config->kafka.topics[letter->topic];
    char *text = letter_json(letter, name, shard);
    char key[256];
    const int size = snprintf(key, sizeof key, "%s/%d/%lld/%d", name, (int)shard,
                              (long long)letter->offset, (int)letter->index);

    if (text == NULL || topic->count == BATCH_LIMIT || size <= 0 || (size_t)size >= sizeof key) {
        free(text);
        return;
    }
    topic->letters[topic->count] = *letter;
    topic->arrived[topic->count] = false;
    if (rd_kafka_produce(topic->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_FREE, text,
                         strlen(text), key, (size_t)size, &topic->arrived[topic->count]) != 0)
        free(text);
    topic->count++;
}

/* One batch; false when it must be tried again. *more: there may be more than the batch. */
static bool
publish(struct dead_topic *topic, int32_t shard, bool *more, struct err *why)
{
    size_t arrived = 0;

    topic->count = 0;
    if (!store_dead_unpublished(topic->store, shard, on_dead, topic, why))
        return false;
    (void)rd_kafka_flush(topic->client, FLUSH_MS);
    /* What has not been answered by now must not write into the next batch's marks. */
    (void)rd_kafka_purge(topic->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(topic->client, FLUSH_MS);
    for (size_t i = 0; i < topic->count; i++)
        if (topic->arrived[i])
            topic->letters[arrived++] = topic->letters[i];
    metric_add(topic->metrics, METRIC_DEAD_PUBLISHED, (int64_t)arrived);
    *more = topic->count == BATCH_LIMIT;
    if (arrived > 0 && !store_dead_published(topic->store, shard, topic->letters, arrived, why))
        return false;
    return arrived == topic->count || err_set(why, ERR_RETRY, "topic %s does not take records",
                                              topic->config->kafka.dead_letter_topic);
}

static bool
connected(struct dead_topic *topic, struct err *why)
{
    if (topic->store != NULL && !store_broken(topic->store))
        return true;
    store_close(topic->store);
    topic->store = store_open(topic->config, "tripmeter/dead letters", why);
    return topic->store != NULL;
}

/* Waits for a shard, takes it; false: stop. */
static bool
next_shard(struct dead_topic *topic, int32_t *shard)
{
    (void)pthread_mutex_lock(&topic->lock);
    while (topic->waiting.count == 0 && !topic->stopping)
        (void)pthread_cond_wait(&topic->woken, &topic->lock);
    const bool go_on = !topic->stopping;

    if (go_on)
        *shard = *(int32_t *)list_at(&topic->waiting, --topic->waiting.count);
    (void)pthread_mutex_unlock(&topic->lock);
    return go_on;
}

static void
wait_before_retry(struct dead_topic *topic)
{
    const struct timespec until = now_steady_after(RETRY_MS);

    (void)pthread_mutex_lock(&topic->lock);
    while (!topic->stopping)
        if (pthread_cond_timedwait(&topic->woken, &topic->lock, &until) != 0)
            break;
    (void)pthread_mutex_unlock(&topic->lock);
}

static void *
run(void *opaque)
{
    struct dead_topic *topic = opaque;
    int32_t shard;

    while (next_shard(topic, &shard)) {
        struct err why;
        bool more = false;

        if (connected(topic, &why) && publish(topic, shard, &more, &why)) {
            if (more)
                dead_topic_wake(topic, shard);
            continue;
        }
        log_warning("dead_topic", "shard=%d text=\"%s\" action=retry", shard, why.text);
        dead_topic_wake(topic, shard);
        wait_before_retry(topic);
    }
    return NULL;
}

void
dead_topic_wake(struct dead_topic *topic, int32_t shard)
{
    bool waiting = false;

    (void)pthread_mutex_lock(&topic->lock);
    for (size_t i = 0; i < topic->waiting.count && !waiting; i++)
        waiting = *(int32_t *)list_at(&topic->waiting, i) == shard;
    int32_t *one = waiting ? NULL : list_add(&topic->waiting);

    if (one != NULL)
        *one = shard;
    (void)pthread_cond_signal(&topic->woken);
    (void)pthread_mutex_unlock(&topic->lock);
}

/* Asked of all topics: a question about one may create it, with whatever the broker's defaults are. */
static bool
exists(struct dead_topic *topic)
{
    const struct rd_kafka_metadata *metadata;
    bool found = false;

    if (rd_kafka_metadata(topic->client, 1, NULL, &metadata, METADATA_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    for (int i = 0; i < metadata->topic_cnt; i++)
        found |= strcmp(metadata->topics[i].topic, topic->config->kafka.dead_letter_topic) == 0;
    rd_kafka_metadata_destroy(metadata);
    return found;
}

/* A topic that cannot be created is a warning: dead letters stand in Postgres, and are written as
 * soon as the topic is there. */
static void
create_topic(struct dead_topic *topic)
{
    static const struct kafka_setting settings[] = {{NULL, NULL}};
    char text[ERR_TEXT_SIZE] = "no answer";
    const rd_kafka_resp_err_t err = kafka_client_create_topic(
        topic->client, topic->config, topic->config->kafka.dead_letter_topic, settings, text,
        sizeof text);

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        log_warning("dead_topic", "topic=%s action=not_created text=\"%s\"",
                    topic->config->kafka.dead_letter_topic, text);
}

struct dead_topic *
dead_topic_open(const struct config *config, struct metric_set *metrics, struct err *why)
{
    static const struct kafka_setting settings[] = {
        {"enable.idempotence", "true"}, {"message.timeout.ms", "10000"}, {NULL, NULL}};
    struct dead_topic *topic;
    rd_kafka_conf_t *conf;

    why->class = ERR_NONE;
    if (config->kafka.dead_letter_topic == NULL)
        return NULL;
    topic = calloc(1, sizeof *topic);
    if (topic == NULL) {
        (void)err_set(why, ERR_FATAL, "memory is short");
        return NULL;
    }
    conf = kafka_client_conf(config, settings, why);
    if (conf != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        topic->client = kafka_client(RD_KAFKA_PRODUCER, conf, why);
    }
    if (topic->client == NULL) {
        free(topic);
        return NULL;
    }
    topic->config = config;
    topic->metrics = metrics;
    list_init(&topic->waiting, sizeof(int32_t), 100000);
    (void)pthread_mutex_init(&topic->lock, NULL);
    now_steady_condition(&topic->woken);
    if (config->kafka.create_topics && !exists(topic))
        create_topic(topic);
    topic->topic = rd_kafka_topic_new(topic->client, config->kafka.dead_letter_topic, NULL);
    if (pthread_create(&topic->thread, NULL, run, topic) != 0)
        abort();
    return topic;
}

void
dead_topic_close(struct dead_topic *topic)
{
    if (topic == NULL)
        return;
    (void)pthread_mutex_lock(&topic->lock);
    topic->stopping = true;
    (void)pthread_cond_broadcast(&topic->woken);
    (void)pthread_mutex_unlock(&topic->lock);
    (void)pthread_join(topic->thread, NULL);
    store_close(topic->store);
    rd_kafka_topic_destroy(topic->topic);
    rd_kafka_destroy(topic->client);
    list_free(&topic->waiting);
    (void)pthread_mutex_destroy(&topic->lock);
    (void)pthread_cond_destroy(&topic->woken);
    free(topic);
}
