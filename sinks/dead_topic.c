#include "sinks/dead_topic.h"

#include "config/kafka_client.h"
#include "config/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_LIMIT 1000
#define FLUSH_MS 2000

struct dead_topic {
    const struct config *config;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    struct metric_set *metrics;
    pthread_mutex_t lock;
    /* of the batch under way: */
    struct dead_letter letters[BATCH_LIMIT]; /* positions only */
    bool arrived[BATCH_LIMIT];
    size_t count;
    int32_t shard;
};

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        *(bool *)message->_private = true;
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
    conf = topic == NULL ? NULL : kafka_client_conf(config, settings, why);
    if (conf != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        topic->client = kafka_client(RD_KAFKA_PRODUCER, conf, why);
    }
    if (topic == NULL || topic->client == NULL) {
        if (topic == NULL)
            (void)err_set(why, ERR_FATAL, "memory is short");
        free(topic);
        return NULL;
    }
    topic->config = config;
    topic->metrics = metrics;
    topic->topic = rd_kafka_topic_new(topic->client, config->kafka.dead_letter_topic, NULL);
    (void)pthread_mutex_init(&topic->lock, NULL);
    return topic;
}

void
dead_topic_close(struct dead_topic *topic, int64_t deadline_ms)
{
    if (topic == NULL)
        return;
    (void)rd_kafka_flush(topic->client, (int)deadline_ms);
    rd_kafka_topic_destroy(topic->topic);
    (void)rd_kafka_purge(topic->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(topic->client);
    (void)pthread_mutex_destroy(&topic->lock);
    free(topic);
}

static json_t *
text_json(struct text text)
{
    return text.at == NULL ? json_null() : json_stringn(text.at, text.size);
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
        (void)json_object_set_new(json, "value", text_json(letter->value));
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

void
dead_topic_publish(struct dead_topic *topic, struct store *store, int32_t shard)
{
    struct err why;
    size_t arrived = 0;

    (void)pthread_mutex_lock(&topic->lock);
    topic->count = 0;
    if (!store_dead_unpublished(store, shard, on_dead, topic, &why))
        log_warning("dead_topic", "text=\"%s\"", why.text);
    (void)rd_kafka_flush(topic->client, FLUSH_MS);
    /* What has not been answered by now must not write into the next batch's marks. */
    (void)rd_kafka_purge(topic->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(topic->client, FLUSH_MS);
    for (size_t i = 0; i < topic->count; i++)
        if (topic->arrived[i])
            topic->letters[arrived++] = topic->letters[i];
    if (arrived > 0 && !store_dead_published(store, shard, topic->letters, arrived, &why))
        log_warning("dead_topic", "text=\"%s\"", why.text);
    metric_add(topic->metrics, METRIC_DEAD_PUBLISHED, (int64_t)arrived);
    (void)pthread_mutex_unlock(&topic->lock);
}
