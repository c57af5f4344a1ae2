/* From which offsets the partitions are read, and what comes from them. */
#include "config/log.h"
#include "config/now.h"
#include "ingest/consumer_state.h"

#include <assert.h>
#include <inttypes.h>

#define FORWARD_EVERY_MS 100

/* ---- where to read ------------------------------------------------------------------------------- */

void
consumer_start(struct consumer *consumer, int32_t shard, const int64_t *offsets)
{
    for (size_t t = 0; t < consumer->config->kafka.topic_count; t++) {
        struct part *part = consumer_part(consumer, (int32_t)t, shard);

        if (part == NULL)
            return;
        part->expected = part->from = offsets[t];
        part->end = part->asked_end = -1;
        part->suspicion = -1;
    }
}

void
consumer_stop(struct consumer *consumer, int32_t shard, int32_t topic)
{
    struct part *part = consumer_part(consumer, topic, shard);

    if (part != NULL && part->expected >= 0) {
        part->expected = -1;
        consumer->reassign = true;
    }
}

bool
consumer_assign(struct consumer *consumer, struct err *why)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    if (!consumer_may_replace(consumer))
        return err_set(why, ERR_RETRY, "kafka: the assignment before this one is still ending");
    list = rd_kafka_topic_partition_list_new((int)consumer->part_count);
    for (size_t i = 0; i < consumer->part_count; i++) {
        struct part *part = &consumer->parts[i];
        const char *topic = consumer->config->kafka.topics[part->topic];

        if (part->expected < 0)
            continue;
        if (part->queue == NULL) {
            part->queue = rd_kafka_queue_get_partition(consumer->client, topic, part->shard);
            rd_kafka_queue_forward(part->queue, consumer->queue);
        }
        rd_kafka_topic_partition_list_add(list, topic, part->shard)->offset = part->expected;
    }
    consumer->reassign = false;
    code = consumer_replace(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(why, ERR_RETRY, "kafka: assign: %s", rd_kafka_err2str(code));
}

/* ---- records -------------------------------------------------------------------------------------- */

static size_t
headers_of(const void *origin, struct header *out, size_t room)
{
    /* The library parses headers into the message when they are first asked for: it is not const. */
    rd_kafka_message_t *message;
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0;

    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself is copied */
    memcpy(&message, &origin, sizeof message);
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    for (;;) {
        const char *name;
        const void *value;
        size_t size;

        if (rd_kafka_header_get_all(headers, count, &name, &value, &size) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            return count;
        if (count < room)
            out[count] = (struct header){text_of(name), {value, size}};
        count++;
    }
}

static struct part *
part_of_message(const struct consumer *consumer, const rd_kafka_message_t *message)
{
    /* Topics are few: the one of the message before is usually meant. */
    const char *name = rd_kafka_topic_name(message->rkt);

    for (size_t t = 0; t < consumer->config->kafka.topic_count; t++)
        if (strcmp(name, consumer->config->kafka.topics[t]) == 0)
            return consumer_part(consumer, (int32_t)t, message->partition);
    return NULL;
}

/*
 * The client has reached the end; what lies between the last record and this offset are markers.  But
 * where nothing has come since the reading began, what reached the end may have been the assignment
 * before, which had read on from elsewhere: then all before the end would be passed over unread.  So
 * it is asked for once more, and counts when nothing comes before it again.
 */
static void
take_end(struct consumer *consumer, struct part *part, int64_t offset)
{
    /* Something before it is being asked for again. */
    if (consumer->reassign || part->suspicion >= 0)
        return;
    if (offset > part->expected && part->expected == part->from && part->asked_end != offset) {
        part->asked_end = offset;
        consumer->reassign = true;
        return;
    }
    part->end = offset;
}

static bool
take_error(struct consumer *consumer, struct part *part, const rd_kafka_message_t *message,
           struct arrival *arrival)
{
    const char *text = rd_kafka_message_errstr(message);

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        take_end(consumer, part, message->offset);
        return false;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return false;
    default:
        break;
    }
    *arrival = (struct arrival){.taken = TAKEN_HALT,
                                .gap = {.topic = part->topic, .shard = part->shard},
                                .why = part->halted.text};
    (void)err_set(&part->halted, ERR_FATAL, "at offset %" PRId64 ": %s", part->expected, text);
    part->expected = -1;
    return true;
}

/* False: nothing to hand over (a repeat, or something that is asked for again). */
static bool
take_message(struct consumer *consumer, rd_kafka_message_t *message, struct arrival *arrival,
             bool *gap_first)
{
    struct part *part = part_of_message(consumer, message);
    rd_kafka_timestamp_type_t kind;

    *gap_first = false;
    if (part == NULL || part->expected < 0)
        return false; /* of an assignment that is over */
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return take_error(consumer, part, message, arrival);
    atomic_store_explicit(&consumer->up, true, memory_order_relaxed);
    if (message->offset < part->expected) {
        consumer->repeated++;
        return false;
    }
    if (message->offset > part->expected) {
        if (part->suspicion != part->expected) {
            part->suspicion = part->expected;
            consumer->reassign = true;
            return false;
        }
        if (consumer->reassign)
            return false; /* still of the assignment that is being replaced */
        *arrival = (struct arrival){.taken = TAKEN_GAP,
                                    .gap = {.topic = part->topic,
                                            .shard = part->shard,
                                            .from = part->expected,
                                            .to = message->offset}};
        part->suspicion = -1;
        if (message->offset - part->expected > consumer->config->kafka.gap_max) {
            arrival->taken = TAKEN_HALT;
            arrival->why = part->halted.text;
            (void)err_set(&part->halted, ERR_FATAL,
                          "offsets %" PRId64 " to %" PRId64
                          " hold no record: more than kafka.gap_max, was the log truncated?",
                          part->expected, message->offset - 1);
            part->expected = -1;
            return true;
        }
        *gap_first = true;
        arrival++;
    }
    arrival->taken = TAKEN_RECORD;
    arrival->record = (struct record){.topic = part->topic,
                                      .partition = part->shard,
                                      .offset = message->offset,
                                      .time_ms = rd_kafka_message_timestamp(message, &kind),
                                      .key = {message->key, message->key_len},
                                      .value = {message->payload, message->len},
                                      .headers = headers_of,
                                      .origin = message};
    arrival->record.append_time = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    part->expected = message->offset + 1;
    return true;
}

/*
 * A partition that is assigned again is stopped and started by the library's own thread, which takes
 * the forwarding of its queue away some time after rd_kafka_assign has returned (seen with 2.0.2: a
 * shard claimed after another one silenced the first for good).  Nothing tells when, so it is given
 * back: each time while that is to be expected, now and then for a thread that had no turn for so
 * long.  What lay in the partition's queue comes along, in order.
 */
static void
forward_parts(struct consumer *consumer)
{
    const int64_t now_ms = now_steady_ms();

    if (consumer_may_replace(consumer) && now_ms < consumer->forward_at_ms)
        return;
    consumer->forward_at_ms = now_ms + FORWARD_EVERY_MS;
    for (size_t i = 0; i < consumer->part_count; i++)
        if (consumer->parts[i].queue != NULL)
            rd_kafka_queue_forward(consumer->parts[i].queue, consumer->queue);
}

size_t
consumer_take(struct consumer *consumer, int timeout_ms, size_t room, struct arrival **arrivals)
{
    ssize_t got;
    size_t count = 0;
    struct err why;

    assert(consumer->message_count == 0);
    *arrivals = consumer->arrivals;
    if (consumer->reassign && consumer_may_replace(consumer) && !consumer_assign(consumer, &why))
        log_warning("assign", "text=\"%s\"", why.text);
    forward_parts(consumer);
    if (room > CONSUMER_TAKE_LIMIT)
        room = CONSUMER_TAKE_LIMIT;
    /* A batch call would wait until it is full: first take what is there, then wait for one. */
    got = rd_kafka_consume_batch_queue(consumer->queue, 0, consumer->messages, room);
    if (got <= 0 && timeout_ms > 0) {
        consumer->messages[0] = rd_kafka_consume_queue(consumer->queue, timeout_ms);
        got = consumer->messages[0] != NULL;
        if (got == 1 && room > 1) {
            const ssize_t more =
                rd_kafka_consume_batch_queue(consumer->queue, 0, consumer->messages + 1, room - 1);

            got += more > 0 ? more : 0;
        }
    }
    consumer->message_count = got > 0 ? (size_t)got : 0;
    for (size_t i = 0; i < consumer->message_count; i++) {
        bool gap_first;

        if (take_message(consumer, consumer->messages[i], &consumer->arrivals[count], &gap_first))
            count += gap_first ? 2 : 1;
    }
    if (consumer->slow_fetcher)
        for (size_t i = 0; i < consumer->part_count; i++)
            atomic_store_explicit(&consumer->parts[i].reached, consumer->parts[i].expected,
                                  memory_order_relaxed);
    return count;
}

void
consumer_release(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->message_count; i++)
        rd_kafka_message_destroy(consumer->messages[i]);
    consumer->message_count = 0;
}

int64_t
consumer_repeated(const struct consumer *consumer)
{
    return consumer->repeated;
}

bool
consumer_up(const struct consumer *consumer)
{
    return atomic_load(&consumer->up);
}
