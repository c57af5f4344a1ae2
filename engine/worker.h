/*
 * A worker: one consumer, its shards, one settler.  The loop that joins source, shards and sinks.
 *
 *   poll the group -> take records -> load unknown tenants -> apply, judge, hand wanted states over
 *   -> let time pass -> freeze what is due -> take back what was settled
 */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "engine/settler.h"
#include "ingest/consumer.h"
#include "sinks/control.h"

struct worker;

struct worker_setup {
    const struct config *config;
    const struct policy *policy; /* the one in force at start */
    const char *name;            /* "host/0": client id, part of the owner */
    const char *instance_id;     /* static membership */
    struct control *control;
    struct notifier *notifier;
    struct dead_topic *dead_topic;
    struct metric_set *metrics;
    void (*on_fatal)(const struct err *why); /* from the worker's thread; the engine stops */
};

struct worker *worker_start(const struct worker_setup *setup, struct err *why);
/* Begins to drain: no more records, settle what is open. */
void worker_drain(struct worker *worker);
/* Waits for the drain until the deadline; false when something is stuck (exit all the same). */
bool worker_stop(struct worker *worker, int64_t deadline_ms);

/* A scope of this tenant stands on the control topic and nobody wants it: if its home is here, say
 * what holds. From any thread. */
void worker_offer(struct worker *worker, struct text scope, struct text tenant);

/* More than the highest partition number that the group has given to it; from any thread. */
int32_t worker_reach(const struct worker *worker);
/* The layout has so many partitions; what shards beyond it wait for, NULL: as before. From any
 * thread. */
void worker_layout(struct worker *worker, int32_t partitions, const char *waits);

/* One partition as the status page shows it. */
struct partition_view {
    const char *topic;
    int32_t shard;
    int64_t next;    /* offset of the next record */
    int64_t high;    /* -1: the broker has not said */
    int64_t time_ms; /* shard time */
    char state[160]; /* "" when it runs, else what it waits for or why it halted */
    bool halted;
};
typedef void worker_on_partition(void *context, const struct partition_view *view);
/* Postgres answers its settler; *kafka: a broker answers its consumer. */
bool worker_up(const struct worker *worker, bool *kafka);
/* Restrictions are published; `enforce off` has not been said. */
bool worker_is_enforcing(const struct worker *worker);
/* From any thread: a copy that is at most a second old. */
void worker_each(struct worker *worker, worker_on_partition *on_partition, void *context);
/* True when every assigned shard is running and the group is joined; else why says what is missing. */
bool worker_ready(struct worker *worker, struct err *why);

#endif
