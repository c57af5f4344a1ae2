/*
 * A connection to Postgres, opened and waited for with deadlines.
 *
 * libpq's blocking calls wait for ever when a server is stopped but not dead; here every wait has an
 * end, after which the connection counts as broken.  Error texts name host, port and database,
 * never the password.
 */
#ifndef SINKS_PG_H
#define SINKS_PG_H

#include "core/err.h"
#include "sinks/pgarray.h"
#include "sinks/pgread.h"

#define PG_CONNECT_MS 5000
/* A machine that is gone is noticed by tcp_user_timeout.  A server that is stopped is not: its kernel
 * goes on acknowledging.  But it ends every statement of ours itself after PG_STATEMENT_MS, so what
 * says nothing for that long and a while for the way of the answer will not say anything more. */
#define PG_TCP_MS       15000
#define PG_STATEMENT_MS 30000
#define PG_ANSWER_MS    (PG_STATEMENT_MS + PG_CONNECT_MS)

struct pg {
    PGconn *conn;
    bool broken;
    bool lock_timeout; /* what failed last, failed because a lock was not to be had */
    int64_t answer_ms; /* how long an answer may take: PG_ANSWER_MS */
    char where[256];   /* "database tripmeter on 127.0.0.1:5432" */
};

/* Opens with the engine's session settings. RETRY when the server cannot be reached or is not ready
 * within PG_CONNECT_MS, FATAL when waiting cannot help. `name` becomes application_name. */
bool pg_open(struct pg *pg, const char *url, const char *name, struct err *why);
void pg_close(struct pg *pg);

/* Sends what libpq still holds; false when the connection broke or the deadline passed. */
bool pg_flush(struct pg *pg, int64_t deadline_ms);
/* Waits until the next result can be taken. 1 ready, 0 not within timeout_ms, -1 broken. */
int pg_wait(struct pg *pg, int64_t timeout_ms);
/* The next result of what was sent, NULL at the end of a statement or when the connection broke. */
PGresult *pg_next(struct pg *pg);

/* One statement with parameters (NULL: none), binary results; NULL and an error when it fails. */
PGresult *pg_query(struct pg *pg, const char *sql, struct pgparams *params, struct err *why);
/* One or more statements without parameters or results. */
bool pg_run(struct pg *pg, const char *sql, struct err *why);

/* What a failed result means: its SQLSTATE ("" when the connection broke). */
const char *pg_state(const PGresult *result);
/* Sets the error of a failed result (NULL: of the connection) and returns false. */
bool pg_error(struct pg *pg, const PGresult *result, struct err *why);

#endif
