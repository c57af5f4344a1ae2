/*
 * Inside the control sink: what control.c (the interface and the thread), control_publish.c (what
 * is written when) and control_follow.c (what is read back) share.
 *
 * Other threads touch only what `lock` guards, for moments; producing does not wait for the broker,
 * so the publisher may do it under the lock, and a disown is a barrier: when it returns, nothing
 * more of that shard is handed to the producer.
 */
#ifndef SINKS_CONTROL_INTERNAL_H
#define SINKS_CONTROL_INTERNAL_H

#include "core/clock.h"
#include "core/fleet.h"
#include "sinks/control.h"
#include "sinks/control_scopes.h"
#include "sinks/control_topic.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONTROL_SPACING_MS   CLOCK_SECOND_MS        /* between two records of a scope */
#define CONTROL_BEAT_MS      (10 * CLOCK_SECOND_MS) /* between two heartbeats of a shard */
#define CONTROL_SILENT_MS    (30 * CLOCK_SECOND_MS) /* a worker that says nothing has no heartbeat */
#define CONTROL_RETIRE_MS    CLOCK_DAY_MS           /* allowed that long: tombstone */
#define CONTROL_SIGHT_MS     (30 * CLOCK_SECOND_MS) /* acknowledged: by then it should be read */
#define CONTROL_IDLE_MS      CLOCK_SECOND_MS /* the publisher looks round at least so often */
#define CONTROL_COUNTER_BITS 24
#define CONTROL_COUNTER_MAX  ((INT64_C(1) << CONTROL_COUNTER_BITS) - 1)
#define CONTROL_SHARD_LIMIT  65536
#define STRANGER_LIMIT       65536

/* Wall time goes into messages; steady time, which never jumps, decides what is due. */
struct control_clock {
    int64_t (*wall_ms)(void *context);
    int64_t (*steady_ms)(void *context);
    void *context;
};

struct control_shard {
    bool owned;
    bool stopped;   /* numbers used up, or claimed by another engine: silent until owned anew */
    bool may_allow; /* what is weaker than a block is not held back (any more) */
    int64_t epoch;
    int64_t counter; /* of the last seq */
    int64_t as_of_ms;
    int64_t lag_records;
    int64_t reported_ms; /* steady: the worker spoke last */
    int64_t beat_due_ms; /* steady */
};

struct stranger {
    struct key128 key;
    char *scope;
};

struct control {
    const struct config *config;
    struct metric_set *metrics; /* the publisher's */
    struct control_clock clock;
    char source[SCOPE_SIZE];
    int wake_fd; /* eventfd: wanted states, delivery reports, records */
    pthread_t thread;
    atomic_bool caught_up;

    pthread_mutex_t lock; /* guards what follows, and the handing over to the producer */
    struct scopes scopes;
    struct control_shard *shards; /* by control_slot */
    size_t shard_count;
    struct list strangers; /* struct stranger, a stack */
    struct table stranger_index;
    bool strangers_missed; /* the stack was full: read the topic again when it is empty */
    int64_t layout_epoch;  /* see control_layout */
    bool woken;            /* wake_fd has been written since the publisher looked */
    bool reread;           /* read the topic from its beginning */
    bool closing;
    int64_t close_by_ms; /* steady */

    /* The publisher's own. */
    rd_kafka_t *producer; /* NULL between a fatal error and the next try */
    rd_kafka_topic_t *topic;
    int64_t reopen_ms; /* steady */
    rd_kafka_t *consumer;
    int32_t partitions;
    int64_t position[CONTROL_PARTITION_LIMIT]; /* next offset to be read; -1: not known yet */
    int64_t target[CONTROL_PARTITION_LIMIT];   /* caught up there */
    bool targets_known;
    int64_t ask_targets_ms; /* steady */
};

struct control *control_open_with(const struct config *config, struct metric_set *metrics,
                                  const struct control_clock *clock, struct err *why);
/* Makes the publisher look at everything now. */
void control_wake(struct control *control);

static inline int64_t
control_steady_ms(const struct control *control)
{
    return control->clock.steady_ms(control->clock.context);
}
static inline int64_t
control_wall_ms(const struct control *control)
{
    return control->clock.wall_ms(control->clock.context);
}

/* The fleet's, then those of the partitions. */
static inline size_t
control_slot(int32_t shard)
{
    return shard == FLEET_SHARD ? 0 : (size_t)shard + 1;
}
static inline int32_t
control_slot_shard(size_t slot)
{
    return slot == 0 ? FLEET_SHARD : (int32_t)slot - 1;
}

/* NULL when the shard is not ours. Under the lock. */
struct control_shard *control_shard_of(struct control *control, int32_t shard);

/* --- control_publish.c --- */
bool control_producer_open(struct control *control, struct err *why);
void control_producer_close(struct control *control);
/* Delivery reports; a producer with a fatal error is replaced. */
void control_producer_serve(struct control *control);
/* Writes what is due; returns when to come again (steady). */
int64_t control_publish_due(struct control *control);
int64_t control_publish_beats(struct control *control);
/* Everything of our shards is written again. Under the lock. */
void control_write_all_again(struct control *control);

/* --- control_follow.c --- */
bool control_follower_open(struct control *control, struct err *why);
void control_follower_close(struct control *control);
/* Takes what has arrived, within a bound; true when there may be more. */
bool control_follow(struct control *control);

/* One record of the topic; a NULL value.at is a tombstone. */
struct control_place {
    int32_t partition;
    int64_t offset;
};
void control_on_record(struct control *control, struct text key, struct text value,
                       struct control_place place);

#endif
