/* consume: a topic's messages as JSON lines, without a consumer group. */
#include "tests/tools/tool.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    rd_kafka_t *client;
    int partitions; /* that are read */
    int ended;      /* of these, at their end */
    bool *at_end;   /* by partition number */
    int64_t left;   /* messages still wanted */
    bool until_end;
};

/* Sets name to the bytes, or name_hex where they are not text. */
static void
set_bytes(json_t *line, const char *name, const void *bytes, size_t size)
{
    json_t *text = bytes == NULL ? json_null() : json_stringn(bytes, size);
    char hex_name[64];
    char *hex;

    if (bytes == NULL || text != NULL) {
        (void)json_object_set_new(line, name, text);
        return;
    }
    hex = malloc(2 * size + 1);
    if (hex == NULL)
        abort();
    for (size_t i = 0; i < size; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)bytes)[i]);
    (void)snprintf(hex_name, sizeof hex_name, "%.50s_hex", name);
    (void)json_object_set_new(line, hex_name, json_stringn(hex, 2 * size));
    free(hex);
}

static json_t *
headers_of(const rd_kafka_message_t *message)
{
    json_t *out = json_object();
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;

    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                           RD_KAFKA_RESP_ERR_NO_ERROR;
             i++)
            set_bytes(out, name, value, size);
    return out;
}

static void
print_message(const rd_kafka_message_t *message)
{
    json_t *line = json_object();
    rd_kafka_timestamp_type_t type;

    (void)json_object_set_new(line, "partition", json_integer(message->partition));
    (void)json_object_set_new(line, "offset", json_integer(message->offset));
    set_bytes(line, "key", message->key, message->key_len);
    set_bytes(line, "value", message->payload, message->len);
    (void)json_object_set_new(line, "headers", headers_of(message));
    (void)json_object_set_new(line, "timestamp_ms",
                              json_integer(rd_kafka_message_timestamp(message, &type)));
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

/* False after a message that ends the reading. */
static bool
take(struct reader *reader, const rd_kafka_message_t *message)
{
    bool *end = &reader->at_end[message->partition];

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reader->ended += !*end;
        *end = true;
        return true;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        /* librdkafka connects again by itself. */
        if (message->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
            message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
            message->err == RD_KAFKA_RESP_ERR__RESOLVE)
            return true;
        (void)fail("%s", rd_kafka_message_errstr(message));
        return false;
    }
    print_message(message);
    reader->left--;
    return true;
}

static int
read_all(struct reader *reader)
{
    bool good = true;

    while (good && reader->left > 0 && !stop_asked() &&
           !(reader->until_end && reader->ended == reader->partitions)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->client, 50);

        if (message == NULL) {
            /* Whoever reads our pipe sees what there is whenever we wait. */
            (void)fflush(stdout);
            continue;
        }
        good = take(reader, message);
        rd_kafka_message_destroy(message);
    }
    return fflush(stdout) == 0 && good ? TOOL_OK : TOOL_FAILED;
}

static bool
parse_start(const char *text, int64_t *out)
{
    if (strcmp(text, "beginning") == 0)
        *out = RD_KAFKA_OFFSET_BEGINNING;
    else if (strcmp(text, "end") == 0)
        *out = RD_KAFKA_OFFSET_END;
    else
        return parse_number(text, "--from (beginning, end or an offset)", 0, INT64_MAX, out);
    return true;
}

/* Assigns one partition, or all when it is -1, from the offset on. */
static int
assign(struct reader *reader, const char *topic, int only, int64_t start)
{
    const int total = partition_count(reader->client, topic);
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err;

    if (total < 0)
        return TOOL_FAILED;
    if (only >= total)
        return fail("%s has %d partitions", topic, total);
    reader->at_end = calloc((size_t)total, sizeof *reader->at_end);
    if (reader->at_end == NULL)
        return fail("out of memory");
    list = rd_kafka_topic_partition_list_new(total);
    for (int i = only < 0 ? 0 : only; i < (only < 0 ? total : only + 1); i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = start;
    reader->partitions = list->cnt;
    err = rd_kafka_assign(reader->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? TOOL_OK : fail("%s", rd_kafka_err2str(err));
}

int
consume(const struct target *target, struct words *words)
{
    struct reader reader = {.until_end = take_flag(words, "--until-end")};
    const char *count = take_value(words, "--count", "9223372036854775807");
    const char *partition = take_value(words, "--partition", "-1");
    const char *from = take_value(words, "--from", "beginning");
    rd_kafka_conf_t *conf;
    int64_t only;
    int64_t start;
    int status;

    if (!only_word(words) || !parse_number(count, "--count", 1, INT64_MAX, &reader.left) ||
        !parse_number(partition, "--partition", -1, 9999, &only) || !parse_start(from, &start))
        return TOOL_USAGE;
    conf = rd_kafka_conf_new();
    set_property(conf, "group.id", "kafka_tool"); /* demanded, unused: nothing is committed */
    set_property(conf, "enable.auto.commit", "false");
    set_property(conf, "enable.partition.eof", "true");
    set_property(conf, "auto.offset.reset", "error");
    set_property(conf, "fetch.wait.max.ms", "50");
    reader.client = client_new(target, RD_KAFKA_CONSUMER, conf);
    if (reader.client == NULL)
        return TOOL_FAILED;
    (void)rd_kafka_poll_set_consumer(reader.client);
    status = assign(&reader, words->word[0], (int)only, start);
    if (status == TOOL_OK)
        status = read_all(&reader);
    (void)rd_kafka_consumer_close(reader.client);
    rd_kafka_destroy(reader.client);
    free(reader.at_end);
    return status;
}
