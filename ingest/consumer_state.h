/* The inside of a consumer, shared by ingest/consumer.c (the group, opened and closed),
 * consumer_take.c (where to read, and what is read) and consumer_offsets.c (what the broker says of
 * the partitions), and by nobody else. */
#ifndef INGEST_CONSUMER_STATE_H
#define INGEST_CONSUMER_STATE_H

#include "ingest/consumer.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONSUMER_TAKE_LIMIT 256 /* records at once: what is touched again lies in a cache still */

/* One topic partition of an assigned shard. */
struct part {
    int32_t topic;
    int32_t shard;
    int64_t expected; /* offset of the next record; -1: not read */
    int64_t from;     /* where the reading began */
    int64_t end; /* where the client last reached the end; behind `expected` only markers lie */
    int64_t asked_end; /* end that came before any record, and was asked about again; -1: none */
    int64_t suspicion; /* expected offset at which a gap was asked about again; -1: none */
    rd_kafka_queue_t *queue;
    _Atomic int64_t high;
    _Atomic int64_t asked_ms; /* 0: never answered */
    _Atomic int64_t reached;  /* `expected` as the watcher may see it: after the last batch */
    struct err halted;        /* why it is not read any more */
};

struct consumer {
    struct consumer_setup setup;
    const struct config *config; /* the setup's */
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;    /* all partition queues are forwarded to it */
    enum membership membership; /* what the callbacks found since the last poll */
    bool revoking;
    bool reassign;         /* a gap is to be asked about again */
    bool fetching;         /* partitions are assigned with offsets */
    int64_t stopped_by_ms; /* until then the library may be stopping what was fetched before */
    int64_t forward_at_ms; /* the partitions' queues are forwarded again */
    int64_t late_until_ms; /* until then what was sent as a former member may come late */
    int32_t *shards;
    size_t shard_count;
    int32_t reach;      /* see consumer_reach */
    struct part *parts; /* shard by shard, topic by topic */
    size_t part_count;
    rd_kafka_message_t *messages[CONSUMER_TAKE_LIMIT];
    size_t message_count;
    struct arrival *arrivals;
    rd_kafka_topic_partition_list_t *hints; /* to be told; NULL: none */
    int64_t repeated;
    atomic_bool up;
    struct err fatal;
    bool slow_fetcher;          /* before 2.2.0: it must be woken while there is lag */
    pthread_mutex_t watch_lock; /* parts may not change while the watcher asks about one */
    pthread_t watcher;
    bool watching;
    atomic_bool stopping;
};

/* NULL when the shard is not assigned. */
struct part *consumer_part(const struct consumer *consumer, int32_t topic, int32_t shard);
/* The group has, or may soon have, another member in its place. */
void consumer_lost(struct consumer *consumer);
/* False while the library may still be ending the assignment before. */
bool consumer_may_replace(const struct consumer *consumer);
rd_kafka_resp_err_t consumer_replace(struct consumer *consumer,
                                     const rd_kafka_topic_partition_list_t *list);
void consumer_drop_hints(struct consumer *consumer);
/* The watcher's thread; its argument is the consumer. */
void *consumer_watch(void *opaque);

#endif
