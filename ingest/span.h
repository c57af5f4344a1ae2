/*
 * Where a value stands in the text of JSON that is known to be valid.
 *
 * The parser keeps no positions.  The few places that need the text as it was written (what is
 * kept whole, the size of one event of an array) find it with this scan.
 */
#ifndef INGEST_SPAN_H
#define INGEST_SPAN_H

#include "core/text.h"

/* The next value of an array or the next member's value of an object.  *rest starts as the text of
 * the container itself and moves on; false at its end. */
bool span_next(struct text *rest, struct text *value);

#endif
