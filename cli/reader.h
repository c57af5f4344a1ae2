/*
 * Reading a topic by position, for a look: no consumer group, nothing committed, nobody's
 * partitions moved.
 */
#ifndef CLI_READER_H
#define CLI_READER_H

#include "config/config.h"

#include <librdkafka/rdkafka.h>

#define READER_WAIT_MS 10000

struct reader;

#define READER_END   (-1) /* from what comes next */
#define READER_BEGIN (-2) /* from what is there still */

/* One partition from an offset, or (partition -1) all of them. RETRY when no broker answers, INPUT
 * when there is no such topic. */
struct reader_start {
    const char *topic;
    int32_t partition;
    int64_t offset;
};
struct reader *reader_open(const struct config *config, const struct reader_start *start,
                           struct err *why);
void reader_close(struct reader *reader);
/* How many partitions are read. */
int32_t reader_partitions(const struct reader *reader);
/* The next message, to be destroyed by the caller; NULL when none came in time. Errors are messages
 * with `err` set; the end of a partition, as it is now, is one too (..._PARTITION_EOF). */
rd_kafka_message_t *reader_next(struct reader *reader, int timeout_ms);

/* A record as it stands in its topic. */
struct reader_record {
    int64_t time_ms;
    struct text key;   /* absent: none */
    struct text value; /* as it was written; absent: a tombstone */
    /* The event in structured mode: `value`, or for binary mode (ce_ headers) one made of headers
     * and value, so that it can be read without its headers. */
    struct text event;
};
/* A message without `err` as that; texts live in the arena. */
bool reader_take(const rd_kafka_message_t *message, struct arena *arena, struct reader_record *out,
                 struct err *why);
/* Fetches exactly that record; texts live in the arena. INPUT error when it is not there any more,
 * RETRY when the broker does not answer. */
bool reader_fetch(const struct config *config, const struct reader_start *at, struct arena *arena,
                  struct reader_record *out, struct err *why);

#endif
