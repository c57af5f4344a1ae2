#include "ingest/consumer.h"

#include "config/kafka_client.h"
#include "config/log.h"
#include "config/now.h"
#include "ingest/consumer_state.h"

#include <stdlib.h>
#include <time.h>

#define SHARD_LIMIT 10000
#define STOP_MS     500
#define LATE_MS     60000 /* the library keeps requests for as long (socket.timeout.ms) */
#define LEAVE_MS    5000
#define METADATA_MS "5000"

/* ---- the group ---------------------------------------------------------------------------------- */

/*
 * The library stops what it fetched in a thread of its own.  When an assignment is replaced while it
 * still does so for the one before, it asks some partitions to stop twice and aborts the process at
 * the second answer (librdkafka issue 5573; seen with 2.0.2).  Nothing tells when it has stopped, so
 * time does: it is a matter of the thread's turn, milliseconds.
 */
bool
consumer_may_replace(const struct consumer *consumer)
{
    return !consumer->fetching || now_steady_ms() >= consumer->stopped_by_ms;
}

rd_kafka_resp_err_t
consumer_replace(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    if (consumer->fetching)
        consumer->stopped_by_ms = now_steady_ms() + STOP_MS;
    consumer->fetching = list != NULL && list->cnt > 0;
    return rd_kafka_assign(consumer->client, list);
}

static void
unassign(struct consumer *consumer)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    while (!consumer_may_replace(consumer))
        (void)nanosleep(&pause, NULL);
    (void)consumer_replace(consumer, NULL);
}

static int
by_number(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a;
    const int32_t y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

struct part *
consumer_part(const struct consumer *consumer, int32_t topic, int32_t shard)
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

static void
drop_parts(struct consumer *consumer)
{
    consumer_drop_hints(consumer);
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

void
consumer_lost(struct consumer *consumer)
{
    consumer->late_until_ms = now_steady_ms() + LATE_MS;
}

/* Range assignment over equal counts gives each shard with all of its topics.  Where it does not, the
 * topics have not grown alike yet: then the first topic decides, which is in one hand everywhere. */
static bool
take_shards(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    const size_t topics = consumer->config->kafka.topic_count;
    size_t count = 0;

    drop_parts(consumer);
    free(consumer->shards);
    consumer->shards = calloc((size_t)list->cnt + 1, sizeof *consumer->shards);
    if (consumer->shards == NULL)
        abort();
    consumer->reach = 0;
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];

        if (strcmp(one->topic, consumer->config->kafka.topics[0]) == 0)
            consumer->shards[count++] = one->partition;
        if (one->partition >= consumer->reach)
            consumer->reach = one->partition + 1;
    }
    if (count > SHARD_LIMIT)
        return err_set(&consumer->fatal, ERR_FATAL,
                       "the group assigned %zu partitions of %s: start more engines", count,
                       consumer->config->kafka.topics[0]);
    if (count * topics != (size_t)list->cnt)
        log_warning("assigned",
                    "partitions=%d shards=%zu text=\"the usage topics do not have the same number "
                    "of partitions\"",
                    list->cnt, count);
    qsort(consumer->shards, count, sizeof *consumer->shards, by_number);
    struct part *parts = calloc(count * topics + 1, sizeof *parts);

    if (parts == NULL)
        abort();
    for (size_t s = 0; s < count; s++)
        for (size_t t = 0; t < topics; t++)
            parts[s * topics + t] = (struct part){.topic = (int32_t)t,
                                                  .shard = consumer->shards[s],
                                                  .expected = -1,
                                                  .reached = -1,
                                                  .suspicion = -1};
    (void)pthread_mutex_lock(&consumer->watch_lock);
    consumer->shard_count = count;
    consumer->parts = parts;
    consumer->part_count = count * topics;
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
        consumer_lost(consumer);
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

/*
 * A member that lost its session joins under a new number.  Hints it had sent under the old one, and
 * the library had kept while the coordinator was away, then look to the broker as if another process
 * ran as the same instance, and the library declares the client dead.  Who is fenced out of a steady
 * membership really has a double.
 */
static void
on_fatal(struct consumer *consumer)
{
    char text[ERR_TEXT_SIZE];
    const rd_kafka_resp_err_t code = rd_kafka_fatal_error(consumer->client, text, sizeof text);

    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID &&
        (rd_kafka_assignment_lost(consumer->client) || now_steady_ms() < consumer->late_until_ms)) {
        consumer->membership = MEMBERSHIP_FENCED;
        return;
    }
    consumer->membership = MEMBERSHIP_FATAL;
    (void)err_set(&consumer->fatal, ERR_FATAL,
                  "kafka: %s (is another process running as the same instance?)", text);
}

static void
on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;
    char quoted[LOG_QUOTE_SIZE];

    (void)client;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        on_fatal(consumer);
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
        /* Records come through our own queue; what is left here are errors of the group. After a
         * fatal one the client does nothing any more. */
        if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
            on_fatal(consumer);
        } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
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

int32_t
consumer_reach(const struct consumer *consumer)
{
    return consumer->reach;
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
        /* An answer a record would be as many wake-ups here and in the broker: it waits until there are
         * a few, but never long. */
        {"fetch.min.bytes", "2048"},
        {"fetch.wait.max.ms", "5"},
        {"fetch.message.max.bytes", "262144"},
        {"queued.min.messages", "5000"},
        {"enable.partition.eof", "true"},
        {"topic.metadata.refresh.interval.ms", METADATA_MS}, /* partitions may have been added */
    };
    size_t count = 17;

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

/* A client that has subscribed, its queue and its watcher. */
static bool
begin(struct consumer *consumer, struct err *why)
{
    rd_kafka_conf_t *conf = consumer_conf(&consumer->setup, &consumer->slow_fetcher, why);

    if (conf == NULL)
        return false;
    atomic_store(&consumer->stopping, false);
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    consumer->client = kafka_client(RD_KAFKA_CONSUMER, conf, why);
    if (consumer->client == NULL)
        return false;
    (void)rd_kafka_poll_set_consumer(consumer->client);
    consumer->queue = rd_kafka_queue_new(consumer->client);
    consumer->watching = pthread_create(&consumer->watcher, NULL, consumer_watch, consumer) == 0;
    return (consumer->watching || err_set(why, ERR_FATAL, "no thread can be started")) &&
           subscribe(consumer, why);
}

struct consumer *
consumer_open(const struct consumer_setup *setup, struct err *why)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);

    if (consumer == NULL) {
        (void)err_set(why, ERR_FATAL, "memory is short");
        return NULL;
    }
    consumer->setup = *setup;
    consumer->config = setup->config;
    (void)pthread_mutex_init(&consumer->watch_lock, NULL);
    /* A message gives at most two arrivals: a gap, and itself. */
    consumer->arrivals = calloc((size_t)CONSUMER_TAKE_LIMIT * 2, sizeof *consumer->arrivals);
    if (consumer->arrivals == NULL)
        (void)err_set(why, ERR_FATAL, "memory is short");
    if (consumer->arrivals == NULL || !begin(consumer, why)) {
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

/* Undoes begin; false when the client did not come back in time. */
static bool
end(struct consumer *consumer, int64_t deadline_ms)
{
    struct leaving *leaving = calloc(1, sizeof *leaving);
    pthread_t thread;
    const int64_t until_ms = now_steady_ms() + deadline_ms;

    atomic_store(&consumer->stopping, true);
    if (leaving == NULL)
        return false;
    if (consumer->watching)
        (void)pthread_join(consumer->watcher, NULL);
    consumer->watching = false;
    leaving->consumer = consumer;
    if (consumer->client != NULL) {
        if (pthread_create(&thread, NULL, leave, leaving) != 0)
            return false;
        (void)pthread_detach(thread);
        while (!atomic_load(&leaving->done) && now_steady_ms() < until_ms) {
            const struct timespec pause = {.tv_nsec = 10000000};

            (void)nanosleep(&pause, NULL);
        }
        if (!atomic_load(&leaving->done))
            return false;
    }
    free(leaving);
    consumer->client = NULL;
    consumer->queue = NULL;
    return true;
}

bool
consumer_renew(struct consumer *consumer, struct err *why)
{
    if (!end(consumer, LEAVE_MS))
        return err_set(why, ERR_FATAL, "kafka: the former client has not ended in %d s",
                       LEAVE_MS / 1000);
    consumer->membership = MEMBERSHIP_SAME;
    consumer->revoking = false;
    consumer->reassign = false;
    consumer->fetching = false;
    consumer->late_until_ms = 0;
    atomic_store(&consumer->up, false);
    return begin(consumer, why);
}

bool
consumer_close(struct consumer *consumer, int64_t deadline_ms)
{
    if (consumer == NULL)
        return true;
    if (!end(consumer, deadline_ms))
        return false;
    free(consumer->shards);
    free(consumer->arrivals);
    (void)pthread_mutex_destroy(&consumer->watch_lock);
    free(consumer);
    return true;
}
