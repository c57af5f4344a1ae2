/*
 * What has been seen in one topic partition: the duplicate window.
 *
 * An event is a duplicate when its identity occurred before, counted or itself a duplicate, less
 * than `window` of partition time and fewer than `records` offsets ago.  Partition time is the
 * highest record time up to an offset, so the answer depends on exactly the tail of the log that a
 * restart reads again, also where producers' times run backwards.
 *
 * A ring of occurrences in log order and an index to the last one of each identity: what has left
 * the window falls off the end of the ring.  A ring of 32 bytes an occurrence, and an index of 8 that
 * points into it.
 */
#ifndef CORE_SEEN_H
#define CORE_SEEN_H

#include "core/table.h"

struct seen;

struct occurrence {
    struct key128 identity;
    int64_t offset;
    int64_t time_ms;  /* partition time */
    uint32_t content; /* hash of what the event says */
};

/* records: how many offsets an occurrence is remembered for. NULL when memory is short. */
struct seen *seen_new(int64_t window_ms, int64_t records);
void seen_free(struct seen *seen);
void seen_clear(struct seen *seen);

enum seen_answer {
    SEEN_NEW,
    SEEN_DUPLICATE, /* the same content: the event is counted already */
    SEEN_CONFLICT,  /* the same identity with another content */
};

/* Asks for the memory that an occurrence of this identity will need. */
void seen_foresee(const struct seen *seen, struct key128 identity);
/* What would this occurrence be? */
enum seen_answer seen_ask(const struct seen *seen, const struct occurrence *occurrence);
/* Remembers it as the last one of its identity.  Those that are not in the order of the log (an event
 * read again at its old place) stay until what was remembered before them has left.  False when
 * memory is short. */
bool seen_remember(struct seen *seen, const struct occurrence *occurrence);
/* Occurrences the `records` bound pushed out while still inside the time window. */
int64_t seen_shortened(const struct seen *seen);
size_t seen_bytes(const struct seen *seen);

#endif
