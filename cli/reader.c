#include "cli/reader.h"

#include "config/kafka_client.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    int32_t first; /* partitions that are read */
    int32_t count;
};

static rd_kafka_t *
open_client(const struct config *config, struct err *why)
{
    static const struct kafka_setting settings[] = {{"enable.auto.commit", "false"},
                                                    {"auto.offset.reset", "error"},
                                                    {"enable.partition.eof", "true"},
                                                    {"isolation.level", "read_committed"},
                                                    {"client.id", "tripmeter-command"},
                                                    /* What fails is said by the command. */
                                                    {"log_level", "2"},
                                                    {NULL, NULL}};
    rd_kafka_conf_t *conf = kafka_client_conf(config, settings, why);

    return conf == NULL ? NULL : kafka_client(RD_KAFKA_CONSUMER, conf, why);
}

/* How many partitions the topic has; 0 and an error when that cannot be told. */
static int32_t
partitions_of(struct reader *reader, const char *brokers, struct err *why)
{
    const char *name = rd_kafka_topic_name(reader->topic);
    const struct rd_kafka_metadata *metadata = NULL;
    const rd_kafka_resp_err_t failed =
        rd_kafka_metadata(reader->client, 0, reader->topic, &metadata, READER_WAIT_MS);
    int32_t count = 0;

    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)err_set(why, ERR_RETRY, "Kafka at %s does not answer: %s", brokers,
                      rd_kafka_err2str(failed));
    else if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
        count = metadata->topics[0].partition_cnt;
    if (failed == RD_KAFKA_RESP_ERR_NO_ERROR && count == 0)
        (void)err_set(why, ERR_INPUT, "there is no topic \"%s\" at %s", name, brokers);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    return count;
}

static bool
start_partitions(struct reader *reader, const struct reader_start *start, struct err *why)
{
    const int64_t offset = start->offset == READER_END     ? RD_KAFKA_OFFSET_END
                           : start->offset == READER_BEGIN ? RD_KAFKA_OFFSET_BEGINNING
                                                           : start->offset;

    for (int32_t p = reader->first; p < reader->first + reader->count; p++)
        if (rd_kafka_consume_start_queue(reader->topic, p, offset, reader->queue) != 0)
            return err_set(why, ERR_RETRY, "topic %s: %s", start->topic,
                           rd_kafka_err2str(rd_kafka_last_error()));
    return true;
}

static bool
open_topic(struct reader *reader, const struct config *config, const struct reader_start *start,
           struct err *why)
{
    reader->client = open_client(config, why);
    if (reader->client == NULL)
        return false;
    reader->queue = rd_kafka_queue_new(reader->client);
    reader->topic = rd_kafka_topic_new(reader->client, start->topic, NULL);
    if (reader->topic == NULL)
        return err_set(why, ERR_INPUT, "\"%s\" is no name of a topic", start->topic);
    const int32_t all = partitions_of(reader, config->kafka.brokers, why);

    if (all == 0)
        return false;
    if (start->partition >= all)
        return err_set(why, ERR_INPUT, "topic %s has no partition %" PRId32, start->topic,
                       start->partition);
    reader->first = start->partition < 0 ? 0 : start->partition;
    reader->count = start->partition < 0 ? all : 1;
    return start_partitions(reader, start, why);
}

struct reader *
reader_open(const struct config *config, const struct reader_start *start, struct err *why)
{
    struct reader *reader = calloc(1, sizeof *reader);

    if (reader != NULL && open_topic(reader, config, start, why))
        return reader;
    if (reader == NULL)
        (void)err_set(why, ERR_FATAL, "out of memory");
    reader_close(reader);
    return NULL;
}

void
reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    for (int32_t p = reader->first; p < reader->first + reader->count; p++)
        (void)rd_kafka_consume_stop(reader->topic, p);
    if (reader->topic != NULL)
        rd_kafka_topic_destroy(reader->topic);
    if (reader->queue != NULL)
        rd_kafka_queue_destroy(reader->queue);
    if (reader->client != NULL)
        rd_kafka_destroy(reader->client);
    free(reader);
}

rd_kafka_message_t *
reader_next(struct reader *reader, int timeout_ms)
{
    return rd_kafka_consume_queue(reader->queue, timeout_ms);
}

/* ---- one record ---------------------------------------------------------------------------------- */

static bool
keep(struct arena *arena, const void *bytes, size_t size, struct text *out)
{
    *out = bytes == NULL ? (struct text){NULL, 0} : (struct text){bytes, size};
    return arena_keep(arena, out);
}

/* The headers "ce_NAME" as members of an object; NULL when there is no ce_specversion. */
static json_t *
event_headers(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name = NULL;
    const void *value = NULL;
    size_t size = 0;
    json_t *event = json_object();

    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                           RD_KAFKA_RESP_ERR_NO_ERROR;
             i++)
            if (strncmp(name, "ce_", 3) == 0 && value != NULL)
                (void)json_object_set_new(event, name + 3, json_stringn(value, size));
    if (json_object_get(event, "specversion") != NULL)
        return event;
    json_decref(event);
    return NULL;
}

/* {"specversion":...,"data":VALUE}: the value's bytes go in as they are, so that no digit of an
 * amount changes. */
static bool
make_structured(const rd_kafka_message_t *message, struct arena *arena,
                struct reader_record *record)
{
    static const char between[] = ",\"data\":";
    json_t *event = event_headers(message);
    char *head = event == NULL ? NULL : json_dumps(event, JSON_COMPACT);
    const size_t head_size = head == NULL ? 0 : strlen(head) - 1; /* without its brace */
    const struct text value = record->value;
    bool good = true;

    record->event = value;
    if (head != NULL && value.at != NULL) {
        char *text = arena_take(arena, head_size + sizeof between + value.size + 1);

        good = text != NULL;
        if (good) {
            memcpy(text, head, head_size);
            memcpy(text + head_size, between, sizeof between - 1);
            memcpy(text + head_size + sizeof between - 1, value.at, value.size);
            text[head_size + sizeof between - 1 + value.size] = '}';
            record->event = (struct text){text, head_size + sizeof between + value.size};
        }
    }
    free(head);
    json_decref(event);
    return good;
}

/* True when the value says itself that it is an event, or several: headers are then not asked. */
static bool
is_structured(struct text value)
{
    json_t *json = value.at == NULL ? NULL : json_loadb(value.at, value.size, 0, NULL);
    const json_t *event = json_is_array(json) ? json_array_get(json, 0) : json;
    const bool has = json_object_get(event, "specversion") != NULL;

    json_decref(json);
    return has;
}

int32_t
reader_partitions(const struct reader *reader)
{
    return reader->count;
}

bool
reader_take(const rd_kafka_message_t *message, struct arena *arena, struct reader_record *out,
            struct err *why)
{
    out->time_ms = rd_kafka_message_timestamp(message, NULL);
    if (!keep(arena, message->key, message->key_len, &out->key) ||
        !keep(arena, message->payload, message->len, &out->value))
        return err_set(why, ERR_FATAL, "out of memory");
    out->event = out->value;
    if (!is_structured(out->value) && !make_structured(message, arena, out))
        return err_set(why, ERR_FATAL, "out of memory");
    return true;
}

bool
reader_fetch(const struct config *config, const struct reader_start *at, struct arena *arena,
             struct reader_record *out, struct err *why)
{
    struct reader *reader = reader_open(config, at, why);

    if (reader == NULL)
        return false;
    rd_kafka_message_t *message = reader_next(reader, READER_WAIT_MS);
    bool good = false;

    if (message == NULL || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        (void)err_set(why, ERR_RETRY, "%s/%" PRId32 "/%" PRId64 ": Kafka gives no record",
                      at->topic, at->partition, at->offset);
    else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
             message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
             (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset != at->offset))
        (void)err_set(why, ERR_INPUT,
                      "%s/%" PRId32 "/%" PRId64
                      " is not in the topic any more (retention); only a new event from its source "
                      "can replace it",
                      at->topic, at->partition, at->offset);
    else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)err_set(why, ERR_RETRY, "%s/%" PRId32 "/%" PRId64 ": %s", at->topic, at->partition,
                      at->offset, rd_kafka_message_errstr(message));
    else
        good = reader_take(message, arena, out, why);
    if (message != NULL)
        rd_kafka_message_destroy(message);
    reader_close(reader);
    return good;
}
