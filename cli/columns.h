/*
 * A table for people: aligned columns, two spaces between, no lines drawn.
 *
 * Cells are copied; control characters in them become blanks, so that a text somebody else wrote
 * cannot move the cursor.  Widths are counted in characters, not in bytes.
 */
#ifndef CLI_COLUMNS_H
#define CLI_COLUMNS_H

#include <stddef.h>
#include <stdio.h>

#define COLUMN_LIMIT 16

struct columns;

/* Titles end with NULL; one that begins with '>' is of numbers, to the right. NULL: no memory. */
struct columns *columns_new(const char *const *titles);
void columns_free(struct columns *columns);
/* The next cell, row by row; NULL is an empty one. */
void columns_add(struct columns *columns, const char *cell);
size_t columns_rows(const struct columns *columns);
/* Ends the program's line where memory was short: an aligned table that lacks cells would lie. */
void columns_print(const struct columns *columns, FILE *out);

#endif
