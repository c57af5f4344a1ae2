/*
 * From a change in Postgres to its effect: every change is one or more rows of tripmeter.command,
 * and the engine marks each when it has applied it.
 */
#ifndef CLI_APPLIED_H
#define CLI_APPLIED_H

#include "cli/session.h"

#define APPLIED_WAIT_MS 5000

struct applied {
    char *ids;        /* a bigint[] literal; NULL: none */
    int64_t count;    /* commands in all */
    int64_t done;     /* of them: applied */
    int64_t homeless; /* of them: without a shard, because no engine has run yet */
    char error[256];  /* why one had no effect, "" when all had */
};

/* Within the transaction that made the change, before its COMMIT. */
bool applied_begin(struct db *db, struct applied *applied, struct err *why);
/* After the COMMIT: waits until all are applied, at most limit_ms (0: looks once). */
bool applied_wait(struct db *db, struct applied *applied, int64_t limit_ms, struct err *why);
void applied_free(struct applied *applied);

/* A change, within its transaction; `what` is the command's own. */
typedef bool applied_step(struct session *session, const struct arguments *arguments, void *what,
                          struct err *why);
/* BEGIN, the step, COMMIT, a wait unless --no-wait, and a line that says what became of it. False and
 * an error only when the change itself was not committed. */
bool applied_change(struct session *session, const struct arguments *arguments, applied_step *step,
                    void *what, struct err *why);
/* The same as a whole command. */
enum answer applied_command(const struct arguments *arguments, applied_step *step, void *what);

#endif
