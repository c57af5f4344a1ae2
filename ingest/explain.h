/*
 * What the engine makes of each value of a file, in words: `tripmeter decode FILE`.
 *
 * For the gateway author who wants to know whether an event is read as it was meant, and for the
 * operator who looks at a dead letter.  A file has one value a line, like a topic dumped with any
 * Kafka tool; blank lines are skipped.
 */
#ifndef INGEST_EXPLAIN_H
#define INGEST_EXPLAIN_H

#include <stdio.h>

#include "ingest/decode.h"

/* Tenant, source and id of the event as far as they could be read; `name` says where it stands:
 * "value 7", "value 7, event 2". */
void explain_dead(FILE *out, const char *name, const struct event *event, const struct dead *dead);

/* A file has no record times, so events are not judged for being too old or ahead.  *refused: how
 * many events or values are refused.  RETRY error when the file cannot be read to its end, FATAL
 * when memory is short or `out` cannot be written. */
bool decode_file(FILE *in, FILE *out, size_t *refused, struct err *why);

#endif
