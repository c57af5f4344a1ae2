/*
 * A gateway's view of the control topic: what it knows, and what it answers.
 *
 *   follower BOOTSTRAP TOPIC --until-end   the view at the topic's end, a JSON line a scope
 *   follower BOOTSTRAP TOPIC --watch       a line for each change, until it is stopped
 *
 * The view is a JSON object, scope -> the event with the highest seq.
 */
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Instants are RFC 3339 in UTC: as text they are ordered to the second. */
enum { INSTANT_SIZE = 20, TO_THE_SECOND = 19, STALE_S = 60 };

/* ---- the part a gateway needs ---- */

static const char *
text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? "" : text;
}

static json_int_t
seq_of(const json_t *event)
{
    return json_integer_value(json_object_get(json_object_get(event, "data"), "seq"));
}

/* A record of the topic; no event: a tombstone. True when it changes the view. */
static bool
view_apply(json_t *view, const char *scope, json_t *event)
{
    if (event == NULL)
        return json_object_del(view, scope) == 0;
    if (seq_of(event) <= seq_of(json_object_get(view, scope)))
        return false; /* written late by an engine that had lost its work */
    return json_object_set(view, scope, event) == 0;
}

/* `now` is to the second: what expires within it holds until it is over. */
static bool
holds(const char *expires_at, const char *now)
{
    const int order = strncmp(expires_at, now, TO_THE_SECOND);

    return order > 0 || (order == 0 && expires_at[TO_THE_SECOND] == '.');
}

/* Among all unexpired restrictions of the scopes that deny, the lowest rank answers: NULL lets the
 * request through, else "http" in it is the answer.  scopes: tenant/T, key/T/K, feature/T/F, ... of
 * the request, names percent-encoded. */
static const json_t *
view_denial(const json_t *view, const char *const *scopes, size_t count, const char *now)
{
    const json_t *denial = NULL;

    for (size_t i = 0; i < count; i++) {
        const json_t *data = json_object_get(json_object_get(view, scopes[i]), "data");
        const json_t *restriction;
        size_t at;

        json_array_foreach(json_object_get(data, "restrictions"), at, restriction)
        {
            const char *outcome = text_in(restriction, "outcome");
            const json_t *rank = json_object_get(restriction, "rank");

            if ((strcmp(outcome, "block") == 0 || strcmp(outcome, "throttle") == 0) &&
                holds(text_in(restriction, "expires_at"), now) &&
                (denial == NULL ||
                 json_integer_value(rank) < json_integer_value(json_object_get(denial, "rank"))))
                denial = restriction;
        }
    }
    return denial;
}

/* An engine that has not been heard for a minute may have missed a limit: what the gateway then
 * does with a request that nothing denies (on_stale: open or closed) is its own choice.
 * limit: now - 60 s. */
static bool
view_is_stale(json_t *view, const char *limit)
{
    const char *scope;
    json_t *event;
    bool heard = false;

    json_object_foreach(view, scope, event)
    {
        if (strncmp(scope, "engine/", 7) != 0)
            continue;
        heard = true;
        if (strncmp(text_in(event, "time"), limit, TO_THE_SECOND) < 0)
            return true;
    }
    return !heard;
}

/* ---- reading the topic ---- */

static void
instant(time_t at, char out[INSTANT_SIZE])
{
    struct tm utc;

    (void)gmtime_r(&at, &utc);
    (void)strftime(out, INSTANT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
}

static void
print_scope(json_t *view, const char *scope)
{
    char now[INSTANT_SIZE];
    const json_t *event = json_object_get(view, scope);
    const json_t *denial;
    json_t *line;

    instant(time(NULL), now);
    denial = view_denial(view, &scope, 1, now);
    line = json_pack("{s:s,s:o,s:s,s:s?,s:O?}", "scope", scope, "seq",
                     event == NULL ? json_null() : json_integer(seq_of(event)), "outcome",
                     denial == NULL ? "allow" : text_in(denial, "outcome"), "code",
                     denial == NULL ? NULL : text_in(denial, "code"), "status",
                     json_object_get(json_object_get(denial, "http"), "status"));
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(line);
}

static void
take(json_t *view, const rd_kafka_message_t *message, bool watch)
{
    json_t *event =
        message->payload == NULL ? NULL : json_loadb(message->payload, message->len, 0, NULL);
    char *scope = strndup(message->key, message->key_len);

    /* What cannot be read says nothing. */
    if (scope != NULL && (event != NULL || message->payload == NULL) &&
        view_apply(view, scope, event) && watch && strncmp(scope, "engine/", 7) != 0)
        print_scope(view, scope);
    free(scope);
    json_decref(event);
}

/* Every partition from its beginning; how many there are, 0 when there is no topic. */
static int
assign_all(rd_kafka_t *consumer, const char *name)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, name, NULL);
    const struct rd_kafka_metadata *metadata;
    int count = 0;

    if (rd_kafka_metadata(consumer, 0, topic, &metadata, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, name, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(topic);
    return count;
}

static void
follow(rd_kafka_t *consumer, json_t *view, int partitions, bool watch)
{
    while (watch || partitions > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);

        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            partitions--;
        else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            take(view, message, watch);
        rd_kafka_message_destroy(message);
    }
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
print_view(json_t *view)
{
    const char **scopes = calloc(json_object_size(view) + 1, sizeof(char *));
    const char *scope;
    json_t *event;
    size_t count = 0;

    json_object_foreach(view, scope, event) if (scopes != NULL && strncmp(scope, "engine/", 7) != 0)
        scopes[count++] = scope;
    if (count > 0)
        qsort(scopes, count, sizeof(char *), by_name);
    for (size_t i = 0; i < count; i++)
        print_scope(view, scopes[i]);
    free(scopes);
}

int
main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char limit[INSTANT_SIZE];
    char text[256] = "usage: follower BOOTSTRAP TOPIC --until-end | --watch";
    rd_kafka_t *consumer = NULL;
    json_t *view = json_object();
    int partitions = 0;

    if (argc == 4 &&
        rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], text, sizeof text) == 0 &&
        rd_kafka_conf_set(conf, "group.id", "gateway", text, sizeof text) == 0 &&
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof text) == 0 &&
        rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text) == 0)
        consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (consumer == NULL) {
        (void)fprintf(stderr, "%s\n", text);
        return 2;
    }
    partitions = assign_all(consumer, argv[2]);
    follow(consumer, view, partitions, strcmp(argv[3], "--watch") == 0);
    print_view(view);
    instant(time(NULL) - STALE_S, limit);
    if (view_is_stale(view, limit))
        (void)fprintf(stderr, "follower: stale, no engine was heard for a minute\n");
    json_decref(view);
    rd_kafka_destroy(consumer);
    return partitions > 0 ? 0 : 1;
}
