/*
 * One record of a topic partition, as a source hands it over: position, broker time, bytes.
 *
 * The bytes belong to the source and live until it takes the record back; who needs one longer
 * copies it (record_copy).  Headers are asked for only when the value is no structured event.
 */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include "core/arena.h"

struct header {
    struct text name;
    struct text value;
};

#define RECORD_HEADER_LIMIT 64

struct record {
    int32_t topic;     /* index into the configured topics */
    int32_t partition; /* the shard */
    int64_t offset;
    int64_t time_ms;   /* the broker's append time, or the producer's where that is trusted */
    bool append_time;  /* the broker says time_ms is LogAppendTime */
    struct text key;   /* absent: no key */
    struct text value; /* absent: a tombstone */
    /* Fills at most `room` headers in order and returns how many there are in all. */
    size_t (*headers)(const void *origin, struct header *out, size_t room);
    const void *origin; /* for headers() */
};

/* A copy whose bytes and headers live in the arena; false when it is full. */
bool record_copy(struct record *to, const struct record *from, struct arena *arena);

/* What identifies the record's content later: XXH3 of time, key and value (progress.fingerprint). */
uint64_t record_fingerprint(const struct record *record);

#endif
