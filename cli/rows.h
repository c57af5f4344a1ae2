/*
 * The rows of a CSV of (timestamp, value), as fast as they can be read: one buffer, nothing
 * allocated a row.
 *
 * A header is optional, blank lines are passed over, a byte order mark and quotes around a field
 * are taken off.  A timestamp is Unix seconds or milliseconds (from 10^11 on), with or without a
 * fraction, or RFC 3339; without its offset ("2026-03-02 14:00:00") it is UTC.  A value is a decimal
 * number, read as the nearest double.
 */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include "core/err.h"
#include "core/text.h"

#define ROWS_LINE_LIMIT 65536 /* bytes */

struct row {
    int64_t at_ms;
    double value;   /* at most 10^20 either way */
    bool is_number; /* the timestamp was */
    /* As they stand in the file; valid until the next row is read. */
    struct text at_text;
    struct text value_text;
};

enum rows_answer { ROWS_ROW, ROWS_END, ROWS_FAILED };

struct rows;

/* Reads from the descriptor, which stays the caller's. `before_read`, if not NULL, is called before
 * each read: one that waits for input should not hold back answers. NULL: no memory. */
struct rows *rows_new(int fd, void (*before_read)(void *context), void *context);
void rows_free(struct rows *rows);
/* INPUT error "line 12: ..." for what cannot be read. */
enum rows_answer rows_next(struct rows *rows, struct row *out, struct err *why);
/* Of the last row, from 1. */
int64_t rows_line(const struct rows *rows);

/* The nearest double to a decimal number ("12", "-.5", "1e-3"); false for anything else. */
bool rows_number(struct text text, double *out);

#endif
