/*
 * Inside of the outbox: what outbox.c (claim, finish) and freeze.c (route) share.
 */
#ifndef SINKS_OUTBOX_SQL_H
#define SINKS_OUTBOX_SQL_H

#include "core/clock.h"
#include "sinks/outbox.h"
#include "sinks/pg.h"

struct outbox {
    struct pg pg;
    int64_t now_ms; /* 0: the database's clock */
    char now[CLOCK_TEXT_SIZE];
    struct arena *arena;    /* of the call under way */
    struct pgparams params; /* of the statement under way, where it takes arrays */
    int route_most;         /* transitions that are routed together */
};

#define ROUTE_LIMIT 64

/* The first parameter of a statement that needs the time: text for ::timestamptz, NULL for the
 * database's own; NOW in the statement turns it into an instant. */
const char *outbox_now(const struct outbox *outbox);
#define NOW "coalesce($1::timestamptz, clock_timestamp())"

#define NUMBER_SIZE 24
const char *number_text(int64_t number, char out[NUMBER_SIZE]);

/* Runs one statement with text parameters. NULL and RETRY when it fails. */
PGresult *outbox_run(struct outbox *outbox, const char *statement, const char *const *values,
                     int count, struct err *why);
/* The same where no rows are wanted. */
bool outbox_do(struct outbox *outbox, const char *statement, const char *const *values, int count,
               struct err *why);

/* Several statements without parameters in one round trip; the rows are those of the last. */
PGresult *outbox_script(struct outbox *outbox, const char *script, struct err *why);
bool outbox_do_script(struct outbox *outbox, const char *script, struct err *why);

/* A column as text in the arena (absent when NULL), or as a number (0 when NULL). */
struct text column_text(const PGresult *rows, int row, int column, struct arena *arena);
int64_t column_number(const PGresult *rows, int row, int column);
bool column_true(const PGresult *rows, int row, int column);

/* SHA-256 of the parts, each followed by a NUL. */
void outbox_hash(const struct text *parts, size_t count, unsigned char out[32]);

#endif
