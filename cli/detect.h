/*
 * `tripmeter detect`: the anomaly detector over a file of (timestamp, value).
 *
 * Without a step every row is a window, in the order of the file.  With one, rows are gathered in
 * windows of that width, aligned to 1970-01-01T00:00:00Z; rows must then be in order of time.  An
 * empty window is a 0 for up to a day in a row; of means it is none, since nothing has no mean.
 */
#ifndef CLI_DETECT_H
#define CLI_DETECT_H

#include "core/err.h"

#include <stdint.h>
#include <stdio.h>

struct detect_options {
    int64_t step_ms; /* 0: every row is a window */
    bool mean;       /* of the values in a window; else their sum */
    bool notes;      /* print the alerts, in words, instead of every window */
};

/* INPUT error with the line for what cannot be read; what came before it was printed. */
bool detect_rows(int fd, FILE *out, const struct detect_options *options, struct err *why);

#endif
