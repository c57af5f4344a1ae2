#include "ingest/consumer.h"

#include "config/kafka_client.h"
#include "config/log.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define TAKE_LIMIT       1000
#define SHARD_LIMIT      10000
#define QUERY_TIMEOUT_MS 1000
#define WATCH_TIMEOUT_MS 1000
#define STOP_MS          500

/* One topic partition of an assigned shard. */
struct part {
    int32_t topic;
    int32_t shard;
    int64_t expected; /* offset of the next record; -1: not read */
    int64_t end; /* where the client last reached the end; behind `expected` only markers lie */
    int64_t suspicion; /* expected offset at which a gap was asked about again; -1: none */
    rd_kafka_queue_t *queue;
    _Atomic int64_t low;
    _Atomic int64_t high;
    _Atomic int64_t asked_ms; /* 0: never answered */
};

struct consumer {
    const struct config *config;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;    /* all partition queues are forwarded to it */
    enum membership membership; /* what the callbacks found since the last poll */
    bool revoking;
    bool reassign;         /* a gap is to be asked about again */
    bool fetching;         /* partitions are assigned with offsets */
    int64_t stopped_by_ms; /* until then the library may be stopping what was fetched before */
    int32_t *shards;
    size_t shard_count;
    struct part *parts; /* shard by shard, topic by topic */
    size_t part_count;
    rd_kafka_message_t *messages[TAKE_LIMIT];
    size_t message_count;
    struct arrival *arrivals;
    int64_t repeated;
    atomic_bool up;
    struct err fatal;
    bool slow_fetcher;          /* before 2.2.0: it must be woken while there is lag */
    pthread_mutex_t watch_lock; /* parts may not change while the watcher asks about one */
    pthread_t watcher;
    bool watching;
    atomic_bool stopping;
};

static int64_t
wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t
steady_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the group ---------------------------------------------------------------------------------- */

/*
 * The library stops what it fetched in a thread of its own.  When an assignment is replaced while it
 * still does so for the one before, it asks some partitions to stop twice and aborts the process at
 * the second answer (librdkafka issue 5573; seen with 2.0.2).  Nothing tells when it has stopped, so
 * time does: it is a matter of the thread's turn, milliseconds.
 */
static bool
may_replace(const struct consumer *consumer)
{
    return !consumer->fetching || steady_ms() >= consumer->stopped_by_ms;
}

static rd_kafka_resp_err_t
replace(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    if (consumer->fetching)
        consumer->stopped_by_ms = steady_ms() + STOP_MS;
    consumer->fetching = list != NULL && list->cnt > 0;
    return rd_kafka_assign(consumer->client, list);
}

static void
unassign(struct consumer *consumer)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    while (!may_replace(consumer))
        (void)nanosleep(&pause, NULL);
    (void)replace(consumer, NULL);
}

static int
by_number(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a;
    const int32_t y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

static void
drop_parts(struct consumer *consumer)
{
    (void)pthread_mutex_lock(&consumer->watch_lock);
    for (size_t i = 0; i < consumer->part_count; i++)
        if (consumer->parts[i].queue != NULL)
            rd_kafka_queue_destroy(consumer->parts[i].queue);
    free(consumer->parts);
    consumer->parts = NULL;
    consumer->part_count = 0;
    consumer->shard_count = 0;
    (void)pthread_mutex_unlock(&consumer->watch_lock);
}

/* Every shard must come with all of its topics: range assignment over equal counts sees to that. */
static bool
take_shards(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    const size_t topics = consumer->config->kafka.topic_count;
    size_t count = 0;

    drop_parts(consumer);
    free(consumer->shards);
    consumer->shards = calloc((size_t)list->cnt + 1, sizeof *consumer->shards);
    struct part *parts = calloc((size_t)list->cnt + 1, sizeof *parts);

    if (consumer->shards == NULL || parts == NULL)
        abort();
    for (int i = 0; i < list->cnt; i++)
        consumer->shards[count++] = list->elems[i].partition;
    qsort(consumer->shards, count, sizeof *consumer->shards, by_number);
    size_t distinct = 0;

    for (size_t i = 0; i < count; i++)
        if (i == 0 || consumer->shards[i] != consumer->shards[i - 1])
            consumer->shards[distinct++] = consumer->shards[i];
    if (distinct * topics != count || distinct > SHARD_LIMIT) {
        free(parts);
        (void)err_set(&consumer->fatal, ERR_FATAL,
                      "the group assigned %zu partitions that are no whole shards of %zu topics: "
                      "give all members of group %s the same kafka.topics",
                      count, topics, consumer->config->kafka.group);
        return false;
    }
    for (size_t s = 0; s < distinct; s++)
        for (size_t t = 0; t < topics; t++)
            parts[s * topics + t] = (struct part){
                .topic = (int32_t)t, .shard = consumer->shards[s], .expected = -1, .suspicion = -1};
    (void)pthread_mutex_lock(&consumer->watch_lock);
    consumer->shard_count = distinct;
    consumer->parts = parts;
    consumer->part_count = distinct * topics;
    (void)pthread_mutex_unlock(&consumer->watch_lock);
    return true;
}

static void
on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
             void *opaque)
{
    struct consumer *consumer = opaque;

    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        /* Nothing is fetched before the shards are claimed: membership now, offsets later. */
        consumer->membership = take_shards(consumer, list) ? MEMBERSHIP_CHANGED : MEMBERSHIP_FATAL;
        return;
    }
    if (rd_kafka_assignment_lost(client)) {
        unassign(consumer);
        drop_parts(consumer);
        consumer->membership = MEMBERSHIP_LOST;
        return;
    }
    if (atomic_load(&consumer->stopping)) {
        unassign(consumer);
        return;
    }
    consumer->membership = MEMBERSHIP_REVOKED;
    consumer->revoking = true;
}

static void
on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;
    char quoted[LOG_QUOTE_SIZE];

    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[ERR_TEXT_SIZE];

        (void)rd_kafka_fatal_error(client, text, sizeof text);
        consumer->membership = MEMBERSHIP_FATAL;
        (void)err_set(&consumer->fatal, ERR_FATAL,
                      "kafka: %s (is another process running as the same instance?)", text);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        atomic_store(&consumer->up, false);
    log_warning("kafka", "text=%s", log_quote(text_of(reason), quoted));
}

bool
consumer_pending(struct consumer *consumer)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, 0);

    if (message != NULL) {
        /* Records come through our own queue; what is left here are errors of the group. */
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            char quoted[LOG_QUOTE_SIZE];

            log_warning("kafka", "text=%s",
                        log_quote(text_of(rd_kafka_message_errstr(message)), quoted));
        }
        rd_kafka_message_destroy(message);
    }
    return consumer->membership != MEMBERSHIP_SAME;
}

enum membership
consumer_poll(struct consumer *consumer, struct err *why)
{
    (void)consumer_pending(consumer);
    const enum membership found = consumer->membership;

    consumer->membership = MEMBERSHIP_SAME;
    if (found == MEMBERSHIP_FATAL)
        *why = consumer->fatal;
    return found;
}

void
consumer_let_go(struct consumer *consumer)
{
    if (!consumer->revoking)
        return;
    consumer->revoking = false;
    unassign(consumer);
    drop_parts(consumer);
}

size_t
consumer_shards(const struct consumer *consumer, const int32_t **shards)
{
    *shards = consumer->shards;
    return consumer->shard_count;
}

/* ---- where to read ------------------------------------------------------------------------------- */

static struct part *
part_of(const struct consumer *consumer, int32_t topic, int32_t shard)
{
    const int32_t *at = consumer->shard_count == 0
                            ? NULL
                            : bsearch(&shard, consumer->shards, consumer->shard_count,
                                      sizeof *consumer->shards, by_number);

    if (at == NULL)
        return NULL;
    return &consumer->parts[(size_t)(at - consumer->shards) * consumer->config->kafka.topic_count +
                            (size_t)topic];
}

void
consumer_start(struct consumer *consumer, int32_t shard, const int64_t *offsets)
{
    for (size_t t = 0; t < consumer->config->kafka.topic_count; t++) {
        struct part *part = part_of(consumer, (int32_t)t, shard);

        if (part == NULL)
            return;
        part->expected = offsets[t];
        part->end = -1;
        part->suspicion = -1;
    }
}

void
consumer_stop(struct consumer *consumer, int32_t shard, int32_t topic)
{
    struct part *part = part_of(consumer, topic, shard);

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

    if (!may_replace(consumer))
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
    code = replace(consumer, list);
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
            return part_of(consumer, (int32_t)t, message->partition);
    return NULL;
}

static bool
take_error(struct part *part, const rd_kafka_message_t *message, struct arrival *arrival)
{
    const char *text = rd_kafka_message_errstr(message);

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        /* Unless something before it is being asked for again. */
        if (part->suspicion < 0)
            part->end = message->offset;
        return false;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return false;
    default:
        break;
    }
    *arrival =
        (struct arrival){.taken = TAKEN_HALT, .gap = {.topic = part->topic, .shard = part->shard}};
    (void)err_set(&arrival->why, ERR_FATAL, "at offset %" PRId64 ": %s", part->expected, text);
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
        return take_error(part, message, arrival);
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
            (void)err_set(&arrival->why, ERR_FATAL,
                          "offsets %" PRId64 " to %" PRId64
                          " hold no record: more than kafka.gap_max, was the log truncated?",
                          part->expected, message->offset - 1);
            part->expected = -1;
            return true;
        }
        *gap_first = true;
        arrival++;
    }
    *arrival = (struct arrival){.taken = TAKEN_RECORD,
                                .record = {.topic = part->topic,
                                           .partition = part->shard,
                                           .offset = message->offset,
                                           .time_ms = rd_kafka_message_timestamp(message, &kind),
                                           .key = {message->key, message->key_len},
                                           .value = {message->payload, message->len},
                                           .headers = headers_of,
                                           .origin = message}};
    arrival->record.append_time = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    part->expected = message->offset + 1;
    return true;
}

/*
 * A partition that is assigned again is stopped and started by the library's own thread, which takes
 * the forwarding of its queue away some time after rd_kafka_assign has returned (seen with 2.0.2: a
 * shard claimed after another one silenced the first for good).  Nothing tells when, so it is given
 * back each time; what lay in the partition's queue comes along, in order.
 */
static void
forward_parts(struct consumer *consumer)
{
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
    if (consumer->reassign && may_replace(consumer) && !consumer_assign(consumer, &why))
        log_warning("assign", "text=\"%s\"", why.text);
    forward_parts(consumer);
    if (room > TAKE_LIMIT)
        room = TAKE_LIMIT;
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

/* ---- what the broker says of the partitions ---------------------------------------------------------- */

/* First offset at or after a time, or where the partition begins or ends.  rd_kafka_offsets_for_times
 * keeps its time-out; rd_kafka_query_watermark_offsets waits for the broker however long that is
 * silent (2.0.2). */
static bool
list_offset(struct consumer *consumer, int32_t topic, int32_t shard, int64_t time_ms,
            int64_t *offset, int timeout_ms, struct err *why)
{
    const char *name = consumer->config->kafka.topics[topic];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, name, shard);
    rd_kafka_resp_err_t code;

    one->offset = time_ms;
    code = rd_kafka_offsets_for_times(consumer->client, list, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = one->err;
    *offset = code == RD_KAFKA_RESP_ERR_NO_ERROR ? one->offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(why, ERR_RETRY, "%s/%d: the broker does not tell its offsets: %s", name, shard,
                   rd_kafka_err2str(code));
}

static bool
query(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out,
      int timeout_ms, struct err *why)
{
    out->asked_ms = wall_ms();
    return list_offset(consumer, topic, shard, RD_KAFKA_OFFSET_BEGINNING, &out->low, timeout_ms,
                       why) &&
           list_offset(consumer, topic, shard, RD_KAFKA_OFFSET_END, &out->high, timeout_ms, why);
}

bool
consumer_query(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out,
               struct err *why)
{
    if (!consumer_up(consumer))
        return err_set(why, ERR_RETRY, "%s/%d: no broker answers",
                       consumer->config->kafka.topics[topic], shard);
    return query(consumer, topic, shard, out, QUERY_TIMEOUT_MS, why);
}

bool
consumer_watermark(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out)
{
    const struct part *part = part_of(consumer, topic, shard);

    if (part == NULL)
        return false;
    out->asked_ms = atomic_load(&part->asked_ms);
    out->low = atomic_load(&part->low);
    out->high = atomic_load(&part->high);
    return out->asked_ms > 0;
}

int64_t
consumer_end(const struct consumer *consumer, int32_t topic, int32_t shard)
{
    const struct part *part = part_of(consumer, topic, shard);

    return part == NULL ? -1 : part->end;
}

bool
consumer_offset_for_time(struct consumer *consumer, int32_t topic, int32_t shard, int64_t time_ms,
                         int64_t *offset, struct err *why)
{
    return list_offset(consumer, topic, shard, time_ms, offset, QUERY_TIMEOUT_MS, why);
}

/* Asks about one partition after the other: that is the lag monitor, what lets the wall clock move
 * shard time, and, before librdkafka 2.2.0, what wakes a fetcher that went to sleep for a second. */
static void *
watch(void *opaque)
{
    struct consumer *consumer = opaque;
    size_t turn = 0;

    while (!atomic_load(&consumer->stopping)) {
        int64_t pause_ms = 50;
        struct err why;
        int32_t topic = -1;
        int32_t shard = -1;
        struct watermark mark;

        (void)pthread_mutex_lock(&consumer->watch_lock);
        if (consumer->part_count > 0) {
            const struct part *part = &consumer->parts[turn++ % consumer->part_count];

            topic = part->topic;
            shard = part->shard;
            pause_ms = consumer->part_count >= 20 ? 1000 / (int64_t)consumer->part_count : 50;
        }
        (void)pthread_mutex_unlock(&consumer->watch_lock);
        if (topic >= 0 && query(consumer, topic, shard, &mark, WATCH_TIMEOUT_MS, &why)) {
            (void)pthread_mutex_lock(&consumer->watch_lock);
            struct part *part = part_of(consumer, topic, shard);

            if (part != NULL) {
                atomic_store(&part->low, mark.low);
                atomic_store(&part->high, mark.high);
                atomic_store(&part->asked_ms, mark.asked_ms);
                if (consumer->slow_fetcher && part->expected >= 0 &&
                    mark.high - part->expected > TAKE_LIMIT)
                    pause_ms = 10;
            }
            (void)pthread_mutex_unlock(&consumer->watch_lock);
            atomic_store(&consumer->up, true);
        }
        const struct timespec pause = {.tv_nsec = (pause_ms > 0 ? pause_ms : 1) * 1000000};

        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

void
consumer_commit_hint(struct consumer *consumer, int32_t topic, int32_t shard, int64_t next)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, consumer->config->kafka.topics[topic], shard)->offset =
        next;
    (void)rd_kafka_commit(consumer->client, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- opened and closed --------------------------------------------------------------------------------- */

static rd_kafka_conf_t *
consumer_conf(const struct consumer_setup *setup, bool *slow_fetcher, struct err *why)
{
    struct kafka_setting settings[24] = {
        {"client.id", setup->client_id},
        {"group.id", setup->config->kafka.group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        {"partition.assignment.strategy", "range"},
        {"session.timeout.ms", "10000"},
        {"max.poll.interval.ms", "600000"},
        {"socket.nagle.disable", "true"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", "262144"},
        {"queued.min.messages", "5000"},
        {"enable.partition.eof", "true"},
    };
    size_t count = 15;

    *slow_fetcher = !kafka_client_knows("fetch.queue.backoff.ms");
    if (!*slow_fetcher)
        settings[count++] = (struct kafka_setting){"fetch.queue.backoff.ms", "5"};
    if (setup->instance_id != NULL)
        settings[count++] = (struct kafka_setting){"group.instance.id", setup->instance_id};
    return kafka_client_conf(setup->config, settings, why);
}

static bool
subscribe(struct consumer *consumer, struct err *why)
{
    const struct config *config = consumer->config;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)config->kafka.topic_count);

    for (size_t t = 0; t < config->kafka.topic_count; t++)
        rd_kafka_topic_partition_list_add(list, config->kafka.topics[t], RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->client, list);

    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(why, ERR_FATAL, "kafka: subscribe: %s", rd_kafka_err2str(code));
}

struct consumer *
consumer_open(const struct consumer_setup *setup, struct err *why)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    rd_kafka_conf_t *conf;

    if (consumer == NULL) {
        (void)err_set(why, ERR_FATAL, "memory is short");
        return NULL;
    }
    consumer->config = setup->config;
    (void)pthread_mutex_init(&consumer->watch_lock, NULL);
    /* A message gives at most two arrivals: a gap, and itself. */
    consumer->arrivals = calloc((size_t)TAKE_LIMIT * 2, sizeof *consumer->arrivals);
    conf = consumer_conf(setup, &consumer->slow_fetcher, why);
    if (conf != NULL) {
        rd_kafka_conf_set_opaque(conf, consumer);
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        rd_kafka_conf_set_error_cb(conf, on_error);
        consumer->client = kafka_client(RD_KAFKA_CONSUMER, conf, why);
    }
    if (consumer->client == NULL || consumer->arrivals == NULL) {
        (void)consumer_close(consumer, 0);
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(consumer->client);
    consumer->queue = rd_kafka_queue_new(consumer->client);
    consumer->watching = pthread_create(&consumer->watcher, NULL, watch, consumer) == 0;
    if (!consumer->watching || !subscribe(consumer, why)) {
        (void)consumer_close(consumer, 1000);
        return NULL;
    }
    return consumer;
}

/* With the broker gone the library may block while it leaves the group: that happens in a thread
 * that may be left behind. */
struct leaving {
    struct consumer *consumer;
    atomic_bool done;
};

static void *
leave(void *opaque)
{
    struct leaving *leaving = opaque;
    struct consumer *consumer = leaving->consumer;

    (void)rd_kafka_consumer_close(consumer->client);
    drop_parts(consumer);
    if (consumer->queue != NULL)
        rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_destroy(consumer->client);
    atomic_store(&leaving->done, true);
    return NULL;
}

bool
consumer_close(struct consumer *consumer, int64_t deadline_ms)
{
    if (consumer == NULL)
        return true;
    struct leaving *leaving = calloc(1, sizeof *leaving);
    pthread_t thread;
    const int64_t until_ms = wall_ms() + deadline_ms;

    atomic_store(&consumer->stopping, true);
    if (leaving == NULL)
        return false;
    if (consumer->watching)
        (void)pthread_join(consumer->watcher, NULL);
    leaving->consumer = consumer;
    if (consumer->client != NULL) {
        if (pthread_create(&thread, NULL, leave, leaving) != 0)
            return false;
        (void)pthread_detach(thread);
        while (!atomic_load(&leaving->done) && wall_ms() < until_ms) {
            const struct timespec pause = {.tv_nsec = 10000000};

            (void)nanosleep(&pause, NULL);
        }
        if (!atomic_load(&leaving->done))
            return false;
    }
    free(leaving);
    free(consumer->shards);
    free(consumer->arrivals);
    (void)pthread_mutex_destroy(&consumer->watch_lock);
    free(consumer);
    return true;
}
