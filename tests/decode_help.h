/* One value through the decoder; for the tests of ingest/decode. */
#ifndef TESTS_DECODE_HELP_H
#define TESTS_DECODE_HELP_H

#include "ingest/decode.h"
#include "tests/check.h"

/* Rows are written with ' for " so that they can be read; a value has none of its own. */
#define DECODE_TEXT_LIMIT 4096

/* The record's time in all rows that do not say otherwise: 2026-03-02T12:00:00Z. */
#define DECODE_NOON_MS INT64_C(1772452800000)

#define EVENT_TIMED(kind, time, body)                                                  \
    "{'specversion':'1.0','id':'e1','source':'//gw','type':'com.x.usage." kind ".v1'," \
    "'time':'" time "','subject':'acme','data':{" body "}}"
#define EVENT_OF(kind, body) EVENT_TIMED(kind, "2026-03-02T12:00:00Z", body)
#define RECORD_USAGE(usage)  EVENT_OF("record", "'request_id':'r1','usage':{" usage "}")
#define RECORD_WITH(more)    EVENT_OF("record", "'request_id':'r1','usage':{}," more)

struct one {
    enum decoded decoded;
    struct event event; /* texts live until the next call */
    struct dead dead;
    enum decoded then; /* what came after it */
};

/* Copies with every ' as ". */
struct text decode_quotes(const char *row, char out[DECODE_TEXT_LIMIT]);
struct one decode_value(struct decoder *decoder, struct text value);
struct one decode_row(struct decoder *decoder, const char *row);

#endif
