/* Postgres as the commands use it: parameters and answers as text, one statement at a time. */
#ifndef CLI_DB_H
#define CLI_DB_H

#include "config/config.h"
#include "sinks/pg.h"

struct db {
    struct pg pg;
};

/* RETRY when the server cannot be used (exit status 3), FATAL when its schema is not ours. */
bool db_open(struct db *db, const struct config *config, struct err *why);
void db_close(struct db *db);

/* NULL and an error when it fails; else the caller's to PQclear. Values may be NULL. */
PGresult *db_query(struct db *db, const char *sql, const char *const *values, int count,
                   struct err *why);
/* A statement whose answer does not matter. */
bool db_execute(struct db *db, const char *sql, struct err *why);
/* ROLLBACK, whatever the state; nothing can be done when that fails. */
void db_rollback(struct db *db);

/* NULL where the database says NULL. */
const char *db_text(const PGresult *rows, int row, int column);
/* 0 where it says NULL. */
int64_t db_int(const PGresult *rows, int row, int column);
bool db_true(const PGresult *rows, int row, int column);

/* When the last of the restrictions in a jsonb ends by itself; NULL: one of them does not. */
#define DB_UNTIL(column)                                   \
    "(SELECT CASE WHEN bool_and(r ->> 'ends' IS NOT NULL)" \
    " THEN max((r ->> 'ends')::timestamptz) END FROM jsonb_array_elements(" column ") AS r)"
/* A timestamptz as ms since 1970; NULL stays NULL, infinity becomes NULL. */
#define DB_MS(column) \
    "CASE WHEN isfinite(" column ") THEN floor(extract(epoch FROM " column ") * 1000)::bigint END"

#endif
