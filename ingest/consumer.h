/*
 * One member of the consumer group: the partitions of a worker, as records in order.
 *
 * Partitions with the same number of all topics are one shard and come together (eager range
 * assignment over topics of equal partition counts).  The group tells which shards are assigned; the
 * worker claims them in Postgres and then says from which offsets each is to be read: Kafka's own
 * committed offsets are never read.  While topics have not grown alike, the group cannot keep shards
 * together: then each belongs to whom the group gives its partition of the first topic.
 *
 * What is guarded here: a record below the expected offset is dropped and counted; above it, the
 * partition is assigned anew at the expected offset once, and only when the broker again starts later
 * is it a gap, which is reported.  Known defects of librdkafka 2.0.2 are steered round (docs: no
 * pause, no seek, no cooperative assignment; a watcher thread asks for watermarks, which also wakes
 * the fetcher of versions before 2.2.0 from its sleep).
 *
 * Everything but the watcher runs in the worker's thread.
 */
#ifndef INGEST_CONSUMER_H
#define INGEST_CONSUMER_H

#include "config/config.h"
#include "core/record.h"

struct consumer;

/* What it points to outlives the consumer. */
struct consumer_setup {
    const struct config *config;
    const char *client_id;
    const char *instance_id; /* static membership; NULL: none */
};

struct consumer *consumer_open(const struct consumer_setup *setup, struct err *why);
/* Leaves the group for at most deadline_ms; false when the library did not come back in time (then
 * nothing is freed and the process should exit soon). */
bool consumer_close(struct consumer *consumer, int64_t deadline_ms);

enum membership {
    MEMBERSHIP_SAME,
    MEMBERSHIP_CHANGED, /* ask consumer_shards */
    MEMBERSHIP_REVOKED, /* all shards go: settle what can be settled, then consumer_let_go */
    MEMBERSHIP_LOST,    /* this member was thrown out: drop everything, it rejoins by itself */
    MEMBERSHIP_FENCED,  /* and what it had sent before came late: drop everything, consumer_renew */
    MEMBERSHIP_FATAL,   /* why says it */
};
/* Serves the group; call it often, it does not wait. */
enum membership consumer_poll(struct consumer *consumer, struct err *why);
/* Serves the group too, but leaves what it found for the next consumer_poll: true when there is
 * something. */
bool consumer_pending(struct consumer *consumer);
/* Begins again as a new client of the same group, with nothing assigned. The old one has a moment to
 * leave. False: FATAL. */
bool consumer_renew(struct consumer *consumer, struct err *why);
/* Completes a revocation. */
void consumer_let_go(struct consumer *consumer);
/* Shards assigned now, rising; returns how many. */
size_t consumer_shards(const struct consumer *consumer, const int32_t **shards);
/* More than the highest partition number that the group assigned, of any topic. */
int32_t consumer_reach(const struct consumer *consumer);

/* Where to read: offsets[topic], -1 leaves that partition out (halted). Takes effect with
 * consumer_assign, for all shards at once. */
void consumer_start(struct consumer *consumer, int32_t shard, const int64_t *offsets);
void consumer_stop(struct consumer *consumer, int32_t shard, int32_t topic);
bool consumer_assign(struct consumer *consumer, struct err *why);

struct gap {
    int32_t topic;
    int32_t shard;
    int64_t from;
    int64_t to; /* the offset of the record that comes next */
};
enum taken { TAKEN_RECORD, TAKEN_GAP, TAKEN_HALT };
/* One thing that came from a partition, in the order of the partition. */
struct arrival {
    enum taken taken;
    struct record record; /* TAKEN_RECORD */
    struct gap gap;       /* TAKEN_GAP; TAKEN_HALT: topic and shard, `why` says why */
    const char *why;      /* the consumer's, until its next take */
};
/* Waits up to timeout_ms for the first arrival and takes what else is there, at most `room`. They are
 * the consumer's until consumer_release. */
size_t consumer_take(struct consumer *consumer, int timeout_ms, size_t room,
                     struct arrival **arrivals);
void consumer_release(struct consumer *consumer);

/* What the broker last said of a partition; false when it has not answered yet. asked_ms: wall time
 * before it was asked, so that everything appended earlier lies below `high`. */
struct watermark {
    int64_t low; /* consumer_query's alone, else -1 */
    int64_t high;
    int64_t asked_ms;
};
bool consumer_watermark(struct consumer *consumer, int32_t topic, int32_t shard,
                        struct watermark *out);
/* The end of the partition as the client last reached it. Transactions end in markers that are no
 * records: what lies between the last record and this offset is only such. */
int64_t consumer_end(const struct consumer *consumer, int32_t topic, int32_t shard);
/* Offset of the record that is handed over next, as far as is known; -1: it is not read. */
int64_t consumer_expects(const struct consumer *consumer, int32_t topic, int32_t shard);
/* First offset with a record at or after the time; -1 when there is none or the broker cannot say
 * (the mock cluster never can). Waits like consumer_query. */
bool consumer_offset_for_time(struct consumer *consumer, int32_t topic, int32_t shard,
                              int64_t time_ms, int64_t *offset, struct err *why);
/* Low and high now; waits at most two seconds, and not at all while no broker answers anybody. */
bool consumer_query(struct consumer *consumer, int32_t topic, int32_t shard, struct watermark *out,
                    struct err *why);
/* Records dropped because they had been delivered before. */
int64_t consumer_repeated(const struct consumer *consumer);
/* True while a broker answers. */
bool consumer_up(const struct consumer *consumer);
/* How far is settled: only a hint for tools that show the lag of the group. Kafka hears of all at once
 * when it is told; those of partitions that are lost meanwhile are forgotten. */
void consumer_hint(struct consumer *consumer, int32_t topic, int32_t shard, int64_t next);
void consumer_tell_hints(struct consumer *consumer);

#endif
