/*
 * Bytes to events: one Kafka value, structured or binary CloudEvents, single or array.
 *
 * Strict where it matters: only what cannot be read is refused (core/dead.def says what that is);
 * unknown members are ignored.  A decoder belongs to one thread; texts of an event live until the
 * next decoder_open.  Nothing is allocated after decoder_new.
 *
 * A value is structured when it is an object with `specversion`, or an array of such objects (a
 * batch); the content type is not asked.  Only when `specversion` is missing are the headers
 * looked at: with `ce_specversion` among them the value is the event's `data`.
 *
 *   type      <any prefix>.usage.<kind>.v1; without ".usage." the event is not ours: ignored
 *   null, ""  a member that is null or the empty text is absent
 *   counts    whole numbers 0..2^53-1, also written 44.0
 *   amounts   decimal text within +-9e9, or a JSON number within +-1e6: the double it denotes
 *   time      at most 5 minutes after the record's, at most 400 days before it
 */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "core/event.h"
#include "core/record.h"

/* Bytes of one event's value, and of an element of an array. */
#define DECODE_SIZE_LIMIT ((size_t)65536)
/* Bytes of a whole value. */
#define DECODE_VALUE_LIMIT ((size_t)1048576)
/* Objects and arrays around one scalar, from the value's outermost on. */
#define DECODE_DEPTH_LIMIT 32
#define DECODE_AHEAD_MS    INT64_C(300000)
#define DECODE_AGE_MS      INT64_C(34560000000)
/* As a record's time_ms: there is none (a file), so an event's time is not compared with it. */
#define DECODE_NO_TIME INT64_MIN

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

/* Asks the processor for the bytes of a value that is decoded soon, some records later: they were
 * unpacked by another thread and are not near.  What is beyond the size of most events comes by
 * itself once it is read. */
static inline void
decoder_ahead(struct text value)
{
    const size_t size = value.size < 1024 ? value.size : 1024;

    for (size_t at = 0; at < size; at += 64)
        __builtin_prefetch(value.at + at);
}

#endif
