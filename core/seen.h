/*
 * What has been seen in one topic partition: the duplicate window.
 *
 * An event is a duplicate when its identity occurred before, counted or itself a duplicate, less
 * than `window` of partition time and fewer than `records` offsets ago.  Partition time is the
 * highest record time up to an offset, so the answer depends on exactly the tail of the log that a
 * restart reads again, also where producers' times run backwards.
 *
 * A ring of occurrences in log order and an index to the last one of each identity: what has left
 * the window falls off the end of the ring.  About 40 bytes an occurrence.
 */
#ifndef CORE_SEEN_H
#define CORE_SEEN_H

#include "core/table.h"

struct seen;

/* records: at most so many occurrences are remembered. NULL when memory is short. */
struct seen *seen_new(int64_t window_ms, int64_t records);
void seen_free(struct seen *seen);
void seen_clear(struct seen *seen);

enum seen_answer {
    SEEN_NEW,
    SEEN_DUPLICATE, /* the same content: the event is counted already */
    SEEN_CONFLICT,  /* the same identity with another content */
};

/* What would the event at this position be? `content` is a hash of what the event says. */
enum seen_answer seen_ask(struct seen *seen, struct key128 identity, uint32_t content,
                          int64_t offset, int64_t time_ms);
/* Remembers an occurrence; offsets must not fall, time_ms is partition time. False when memory is
 * short (then nothing is remembered, and the caller must not count the event). */
bool seen_remember(struct seen *seen, struct key128 identity, uint32_t content, int64_t offset,
                   int64_t time_ms);
/* Occurrences the `records` bound pushed out while still inside the time window. */
int64_t seen_shortened(const struct seen *seen);
size_t seen_bytes(const struct seen *seen);

#endif
