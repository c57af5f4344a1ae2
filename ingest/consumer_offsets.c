/* What the broker says of the partitions, asked at once or by a thread of its own. */
#include "config/failpoint.h"
#include "config/now.h"
#include "ingest/consumer_state.h"

#include <time.h>

#define ANSWER_LIMIT_MS 1000
#define ASK_EVERY_MS    100
#define EACH_EVERY_MS   1000 /* where there are many partitions, each is asked about so often */

/* First offset at or after a time, or where the partition begins or ends.  rd_kafka_offsets_for_times
 * keeps its time-out; rd_kafka_query_watermark_offsets waits for the broker however long that is
 * silent (2.0.2). */
static bool
list_offset(struct consumer *consumer, int32_t topic, int32_t shard, int64_t time_ms,
            int64_t *offset, struct err *why)
{
    const char *name = consumer->config->kafka.topics[topic];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, name, shard);
    rd_kafka_resp_err_t code;

    one->offset = time_ms;
    code = rd_kafka_offsets_for_times(consumer->client, list, ANSWER_LIMIT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = one->err;
    *offset = code == RD_KAFKA_RESP_ERR_NO_ERROR ? one->offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(why, ERR_RETRY, "%s/%d: the broker does not tell its offsets: %s", name, shard,
                   rd_kafka_err2str(code));
}

bool
consumer_query(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out,
               struct err *why)
{
    if (!consumer_up(consumer))
        return err_set(why, ERR_RETRY, "%s/%d: no broker answers",
                       consumer->config->kafka.topics[topic], shard);
    out->asked_ms = now_wall_ms();
    return list_offset(consumer, topic, shard, RD_KAFKA_OFFSET_BEGINNING, &out->low, why) &&
           list_offset(consumer, topic, shard, RD_KAFKA_OFFSET_END, &out->high, why);
}

bool
consumer_watermark(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out)
{
    const struct part *part = consumer_part(consumer, topic, shard);

    if (part == NULL)
        return false;
    out->asked_ms = atomic_load(&part->asked_ms);
    out->low = -1;
    out->high = atomic_load(&part->high);
    return out->asked_ms > 0;
}

int64_t
consumer_end(const struct consumer *consumer, int32_t topic, int32_t shard)
{
    const struct part *part = consumer_part(consumer, topic, shard);

    return part == NULL ? -1 : part->end;
}

int64_t
consumer_expects(const struct consumer *consumer, int32_t topic, int32_t shard)
{
    const struct part *part = consumer_part(consumer, topic, shard);

    return part == NULL ? -1 : part->expected;
}

bool
consumer_offset_for_time(struct consumer *consumer, int32_t topic, int32_t shard, int64_t time_ms,
                         int64_t *offset, struct err *why)
{
    return list_offset(consumer, topic, shard, time_ms, offset, why);
}

/* Asks about one partition after the other: that is the lag monitor, what lets the wall clock move
 * shard time, and, before librdkafka 2.2.0, what wakes a fetcher that went to sleep for a second. */
void *
consumer_watch(void *opaque)
{
    struct consumer *consumer = opaque;
    size_t turn = 0;

    while (!atomic_load(&consumer->stopping)) {
        int64_t pause_ms = ASK_EVERY_MS;
        struct err why;
        int32_t topic = -1;
        int32_t shard = -1;
        int64_t high;

        (void)pthread_mutex_lock(&consumer->watch_lock);
        if (consumer->part_count > 0) {
            const struct part *part = &consumer->parts[turn++ % consumer->part_count];

            topic = part->topic;
            shard = part->shard;
            if (consumer->part_count > EACH_EVERY_MS / ASK_EVERY_MS)
                pause_ms = EACH_EVERY_MS / (int64_t)consumer->part_count;
        }
        (void)pthread_mutex_unlock(&consumer->watch_lock);
        const int64_t asked_ms = now_wall_ms();

        if (topic >= 0 && list_offset(consumer, topic, shard, RD_KAFKA_OFFSET_END, &high, &why)) {
            (void)pthread_mutex_lock(&consumer->watch_lock);
            struct part *part = consumer_part(consumer, topic, shard);

            if (part != NULL) {
                atomic_store(&part->high, high);
                atomic_store(&part->asked_ms, asked_ms);
                const int64_t reached = atomic_load(&part->reached);

                if (consumer->slow_fetcher && reached >= 0 && high - reached > CONSUMER_TAKE_LIMIT)
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
consumer_hint(struct consumer *consumer, int32_t topic, int32_t shard, int64_t next)
{
    const char *name = consumer->config->kafka.topics[topic];

    if (consumer->hints == NULL)
        consumer->hints = rd_kafka_topic_partition_list_new((int)consumer->part_count);
    rd_kafka_topic_partition_t *one =
        rd_kafka_topic_partition_list_find(consumer->hints, name, shard);

    if (one == NULL)
        one = rd_kafka_topic_partition_list_add(consumer->hints, name, shard);
    one->offset = next;
}

void
consumer_tell_hints(struct consumer *consumer)
{
    if (consumer->hints == NULL)
        return;
    if (failpoint(FAIL_commit_hint, -1)) {
        consumer_lost(consumer);
        (void)rd_kafka_test_fatal_error(consumer->client, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
                                        "late offset commit");
    }
    (void)rd_kafka_commit(consumer->client, consumer->hints, 1);
    consumer_drop_hints(consumer);
}

void
consumer_drop_hints(struct consumer *consumer)
{
    if (consumer->hints != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->hints);
    consumer->hints = NULL;
}
