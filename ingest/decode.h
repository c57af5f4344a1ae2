/*
 * Bytes to events: one Kafka value, structured or binary CloudEvents, single or array.
 *
 * Strict where it matters: only what cannot be read is refused (core/dead.def says what that is);
 * unknown members are ignored.  A decoder belongs to one thread; texts of an event live until the
 * next decoder_open.
 */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "core/event.h"
#include "core/record.h"

#define DECODE_SIZE_LIMIT 65536 /* bytes of one event's value */
#define DECODE_DEPTH_LIMIT 32

struct decoder;
/* NULL when memory is short. */
struct decoder *decoder_new(void);
void decoder_free(struct decoder *decoder);

enum decoded {
    DECODED_END,     /* no further event in this record */
    DECODED_EVENT,   /* *event is filled */
    DECODED_IGNORED, /* null value, empty array, a type without ".usage." */
    DECODED_DEAD,    /* *dead says why; tenant, source, id of *event as far as they could be read */
};

/* Starts on a record; what it finds is told by decoder_next, which must be called until it answers
 * DECODED_END.  The bytes of the record are copied (padding) and may go afterwards. */
void decoder_open(struct decoder *decoder, const struct record *record);
enum decoded decoder_next(struct decoder *decoder, struct event *event, struct dead *dead);

#endif
