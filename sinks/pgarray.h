/*
 * Parameters of one statement in Postgres's binary format: scalars, and arrays for unnest().
 *
 * A set of parameters is filled from the first to the last, sent, and filled again for the next
 * statement; memory is kept, so that a warm set allocates nothing.  What does not fit marks the
 * whole set as failed, to be looked at once before sending.
 *
 * Formats: PostgreSQL's array_recv, numeric_recv, timestamptz_recv (src/backend/utils/adt).
 */
#ifndef SINKS_PGARRAY_H
#define SINKS_PGARRAY_H

#include "core/money.h"
#include <libpq-fe.h>

#define PG_PARAM_LIMIT 48
#define PG_PARAM_BYTES ((size_t)256 << 20) /* of one parameter */

/* Element types, by their OID (src/include/catalog/pg_type.dat). */
enum pg_type {
    PG_ROW = 0, /* no element type: rows of COPY, whose fields look like elements */
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_TIME = 1184,
    PG_NUMERIC = 1700,
};

struct pgparam {
    char *at; /* array header, then elements: length and bytes each */
    size_t size;
    size_t room;
    enum pg_type type;
    bool array;
    bool has_null;
    bool failed;
    int32_t count;
};

struct pgparams {
    struct pgparam at[PG_PARAM_LIMIT];
    size_t count;
    const char *values[PG_PARAM_LIMIT]; /* as libpq wants them, after pgparams_ready */
    int lengths[PG_PARAM_LIMIT];
    int formats[PG_PARAM_LIMIT];
};

void pgparams_free(struct pgparams *params);
/* Forgets all parameters, keeps their memory. */
void pgparams_clear(struct pgparams *params);
/* The next parameter; a scalar takes exactly one element. */
struct pgparam *pgparams_array(struct pgparams *params, enum pg_type type);
struct pgparam *pgparams_scalar(struct pgparams *params, enum pg_type type);
/* Completes values, lengths and formats; false when anything did not fit. */
bool pgparams_ready(struct pgparams *params);

void pgarray_null(struct pgparam *param);
void pgarray_bool(struct pgparam *param, bool value);
void pgarray_int4(struct pgparam *param, int32_t value);
void pgarray_int8(struct pgparam *param, int64_t value);
/* Texts and bytes; absent is the empty text, or NULL with the second form. */
void pgarray_text(struct pgparam *param, struct text value);
void pgarray_text_or_null(struct pgparam *param, struct text value);
/* ms since 1970; INT64_MAX is infinity. */
void pgarray_time(struct pgparam *param, int64_t at_ms);
/* Nano-units as NUMERIC with 9 decimals, or a count as one without. */
void pgarray_money(struct pgparam *param, tally nano);
void pgarray_count(struct pgparam *param, tally count);

/* ---- a column of many rows --------------------------------------------------------------------- */
/* What the functions above do, for the member at `offset` of each of the rows. */
void pgarray_text_column(struct pgparam *param, const void *const *rows, size_t count,
                         size_t offset);
void pgarray_int8_column(struct pgparam *param, const void *const *rows, size_t count,
                         size_t offset);
void pgarray_time_column(struct pgparam *param, const void *const *rows, size_t count,
                         size_t offset);
void pgarray_money_column(struct pgparam *param, const void *const *rows, size_t count,
                          size_t offset);

/* ---- COPY ... (FORMAT binary) ------------------------------------------------------------------ */
/* A buffer of rows: begun, a header a row and its fields by the functions above, ended; what is in
 * `at` (`size` bytes) may be sent and taken out at any time (size = 0). */
void pgcopy_begin(struct pgparam *copy);
void pgcopy_row(struct pgparam *copy, int fields);
void pgcopy_end(struct pgparam *copy);

#endif
