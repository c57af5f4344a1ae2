/* produce: messages from the lines of standard input. */
#include "tests/tools/tool.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FLUSH_MS = 60000 };

struct writer {
    rd_kafka_t *client;
    const char *topic;
    int32_t partition;
    bool raw_events;
    int64_t rate; /* messages a second; 0 as fast as it goes */
    int64_t sent;
    int64_t delivered;
    int64_t failed;
};

/* One message. */
struct outgoing {
    char *key;
    size_t key_size;
    void *value; /* NULL: a tombstone */
    size_t value_size;
    int64_t timestamp_ms; /* 0: now */
    int32_t partition;
    rd_kafka_headers_t *headers;
    char *owned; /* holds the value where it had to be written anew */
};

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct writer *writer = opaque;

    (void)client;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        writer->delivered++;
    } else if (writer->failed++ == 0) {
        (void)fail("not delivered: %s", rd_kafka_err2str(message->err));
    }
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    /* The year begins in March here, so that the leap day comes last. */
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t m = month <= 2 ? month + 9 : month - 3;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* RFC 3339 to milliseconds; 0 where it is not such a time, which means now.  The engine's own
 * reader is not used: it is what the tests examine. */
static int64_t
time_of(const char *text)
{
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int end = 0;
    int off_hour = 0;
    int off_minute = 0;
    double second;
    char sign = 'Z';
    int64_t minutes;

    // NOLINTNEXTLINE(cert-err34-c) -- a time out of range becomes some other time; tests see it
    if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%lf%n", &year, &month, &day, &hour, &minute,
               &second, &end) != 6 ||
        end == 0)
        return 0;
    // NOLINTNEXTLINE(cert-err34-c)
    if (sscanf(text + end, "%c%2d:%2d", &sign, &off_hour, &off_minute) == 3 && sign == '-') {
        off_hour = -off_hour;
        off_minute = -off_minute;
    }
    minutes = (days_of(year, month, day) * 24 + hour - off_hour) * 60 + minute - off_minute;
    return minutes * 60000 + (int64_t)(second * 1000.0 + 0.5);
}

static void
set_key(struct outgoing *out, const json_t *key)
{
    if (!json_is_string(key))
        return;
    out->key = strdup(json_string_value(key));
    out->key_size = json_string_length(key);
}

/* A native event's own key and time; anything else is sent without. */
static void
read_event(struct outgoing *out, const json_t *event)
{
    const json_t *subject = json_object_get(event, "subject");
    const char *time = json_string_value(json_object_get(event, "time"));

    set_key(out, subject);
    out->timestamp_ms = time == NULL ? 0 : time_of(time);
}

static bool
read_hex(struct outgoing *out, const char *hex, size_t size)
{
    out->owned = malloc(size / 2 + 1);
    if (out->owned == NULL || size % 2 != 0)
        return false;
    for (size_t i = 0; i < size / 2; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;

        out->owned[i] = (char)strtoul(pair, &end, 16);
        if (*end != '\0')
            return false;
    }
    out->value = out->owned;
    out->value_size = size / 2;
    return true;
}

static bool
read_value(struct outgoing *out, const json_t *line)
{
    const json_t *hex = json_object_get(line, "value_hex");
    const json_t *value = json_object_get(line, "value");

    if (hex != NULL)
        return json_is_string(hex) &&
               read_hex(out, json_string_value(hex), json_string_length(hex));
    if (value == NULL || json_is_null(value))
        return true;
    if (json_is_string(value)) {
        out->owned = strdup(json_string_value(value));
        out->value_size = json_string_length(value);
    } else {
        out->owned = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        out->value_size = out->owned == NULL ? 0 : strlen(out->owned);
    }
    out->value = out->owned;
    return out->value != NULL;
}

static bool
read_line(struct outgoing *out, json_t *line)
{
    const json_t *key = json_object_get(line, "key");
    const json_t *partition = json_object_get(line, "partition");
    json_t *headers = json_object_get(line, "headers");
    const char *name;
    json_t *value;

    if (!json_is_object(line))
        return false;
    set_key(out, key);
    out->timestamp_ms = json_integer_value(json_object_get(line, "timestamp_ms"));
    if (partition != NULL)
        out->partition = (int32_t)json_integer_value(partition);
    if (json_object_size(headers) > 0) {
        out->headers = rd_kafka_headers_new(json_object_size(headers));
        json_object_foreach(headers, name, value)(void) rd_kafka_header_add(
            out->headers, name, -1, json_string_value(value), (ssize_t)json_string_length(value));
    }
    return read_value(out, line);
}

static rd_kafka_resp_err_t
hand_over(struct writer *writer, struct outgoing *out)
{
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = writer->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = out->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {out->key, out->key_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {out->value, out->value_size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = out->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = out->headers},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(writer->client, parts, sizeof parts / sizeof parts[0]);
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);

    if (error == NULL)
        out->headers = NULL; /* librdkafka's now */
    else
        rd_kafka_error_destroy(error);
    return code;
}

static bool
send_message(struct writer *writer, struct outgoing *out)
{
    rd_kafka_resp_err_t err;

    while ((err = hand_over(writer, out)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        (void)rd_kafka_poll(writer->client, 100);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)fail("%s: %s", writer->topic, rd_kafka_err2str(err));
        return false;
    }
    writer->sent++;
    (void)rd_kafka_poll(writer->client, 0);
    return true;
}

static bool
send_line(struct writer *writer, char *text, size_t size)
{
    struct outgoing out = {.partition = writer->partition};
    json_t *line = json_loadb(text, size, 0, NULL);
    bool good = true;

    if (writer->raw_events) {
        read_event(&out, line);
        out.value = text;
        out.value_size = size;
    } else if (!read_line(&out, line)) {
        (void)fail("line %lld is not a message: %.200s", (long long)writer->sent + 1, text);
        good = false;
    }
    good = good && send_message(writer, &out);
    if (out.headers != NULL)
        rd_kafka_headers_destroy(out.headers);
    free(out.key);
    free(out.owned);
    json_decref(line);
    return good;
}

/* Waits until the next message is due at the rate that is asked for. */
static void
keep_pace(const struct writer *writer, const struct timespec *start)
{
    struct timespec due = *start;

    if (writer->rate == 0)
        return;
    due.tv_sec += (time_t)(writer->sent / writer->rate);
    due.tv_nsec += (long)(writer->sent % writer->rate * 1000000000 / writer->rate);
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static bool
send_all(struct writer *writer)
{
    struct timespec start;
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    bool good = true;

    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    while (good && !stop_asked() && (size = getline(&text, &room, stdin)) > 0) {
        if (text[size - 1] == '\n')
            text[--size] = '\0';
        keep_pace(writer, &start);
        good = send_line(writer, text, (size_t)size);
    }
    free(text);
    if (rd_kafka_flush(writer->client, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)fail("%d messages still not delivered after %d s", rd_kafka_outq_len(writer->client),
                   FLUSH_MS / 1000);
    return good && writer->delivered == writer->sent;
}

int
produce(const struct target *target, struct words *words)
{
    struct writer writer = {.raw_events = take_flag(words, "--raw-events")};
    const bool lz4 = take_flag(words, "--lz4");
    const char *partition = take_value(words, "--partition", "-1");
    const char *rate = take_value(words, "--rate", "0");
    const char *partitioner = take_value(words, "--partitioner", "murmur2_random");
    rd_kafka_conf_t *conf;
    int64_t number;
    char text[256];
    bool good;

    if (!only_word(words) || !parse_number(partition, "--partition", -1, 9999, &number) ||
        !parse_number(rate, "--rate", 0, 10000000, &writer.rate))
        return TOOL_USAGE;
    writer.partition = (int32_t)number;
    writer.topic = words->word[0];
    conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "partitioner", partitioner, text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return fail("--partitioner: %s", text);
    }
    set_property(conf, "enable.idempotence", "true");
    set_property(conf, "compression.codec", lz4 ? "lz4" : "none");
    set_property(conf, "linger.ms", writer.rate == 0 ? "5" : "0");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, &writer);
    writer.client = client_new(target, RD_KAFKA_PRODUCER, conf);
    if (writer.client == NULL)
        return TOOL_FAILED;
    good = send_all(&writer);
    rd_kafka_destroy(writer.client);
    printf("{\"produced\":%lld}\n", (long long)writer.delivered);
    return good ? TOOL_OK : TOOL_FAILED;
}
