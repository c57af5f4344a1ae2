#include "cli/applied.h"

#include "config/now.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

bool
applied_begin(struct db *db, struct applied *applied, struct err *why)
{
    /* created_at is the transaction's time, and what is not committed cannot be applied. */
    PGresult *rows = db_query(db,
                              "SELECT array_agg(id), count(*) FROM tripmeter.command"
                              " WHERE applied_at IS NULL AND created_at = now()",
                              NULL, 0, why);

    *applied = (struct applied){.ids = NULL};
    if (rows == NULL)
        return false;
    if (db_text(rows, 0, 0) != NULL)
        applied->ids = strdup(db_text(rows, 0, 0));
    applied->count = db_int(rows, 0, 1);
    PQclear(rows);
    return true;
}

static bool
look(struct db *db, struct applied *applied, struct err *why)
{
    const char *const values[] = {applied->ids};
    PGresult *rows = db_query(db,
                              "SELECT count(applied_at), count(*) FILTER (WHERE shard IS NULL),"
                              " coalesce(max(error), '') FROM tripmeter.command"
                              " WHERE id = ANY ($1::bigint[])",
                              values, 1, why);

    if (rows == NULL)
        return false;
    applied->done = db_int(rows, 0, 0);
    applied->homeless = db_int(rows, 0, 1);
    (void)text_copy(applied->error, sizeof applied->error, text_of(db_text(rows, 0, 2)));
    PQclear(rows);
    return true;
}

bool
applied_wait(struct db *db, struct applied *applied, int64_t limit_ms, struct err *why)
{
    static const struct timespec pause = {.tv_sec = 0, .tv_nsec = 50 * 1000000L};
    const int64_t end_ms = now_steady_ms() + limit_ms;

    while (applied->ids != NULL) {
        if (!look(db, applied, why))
            return false;
        if (applied->done == applied->count || applied->homeless > 0 || now_steady_ms() >= end_ms)
            break;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

void
applied_free(struct applied *applied)
{
    free(applied->ids);
    applied->ids = NULL;
}

static void
report(const struct applied *applied)
{
    if (applied->error[0] != '\0')
        printf("the engine could not apply it: %s\n", applied->error);
    else if (applied->homeless > 0)
        puts("no engine has run on this database yet: it acts as soon as one does");
    else if (applied->done == applied->count)
        puts("applied by the engine");
    else
        printf("not applied yet (%" PRId64 " of %" PRId64 " after %d s): it acts as soon as an "
               "engine runs; see: tripmeter status\n",
               applied->done, applied->count, APPLIED_WAIT_MS / 1000);
}

bool
applied_change(struct session *session, const struct arguments *arguments, applied_step *step,
               void *what, struct err *why)
{
    struct db *db = &session->db;
    struct applied applied = {.ids = NULL};
    struct err lost = {.class = ERR_NONE};
    const bool good = db_execute(db, "BEGIN", why) && step(session, arguments, what, why) &&
                      applied_begin(db, &applied, why) && db_execute(db, "COMMIT", why);

    if (good && !option_given(arguments, "no-wait")) {
        if (applied_wait(db, &applied, APPLIED_WAIT_MS, &lost))
            report(&applied);
        else
            printf("stored, but whether the engine has applied it is not known: %s\n", lost.text);
    }
    applied_free(&applied);
    return good;
}

enum answer
applied_command(const struct arguments *arguments, applied_step *step, void *what)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)applied_change(&session, arguments, step, what, &why);
    return session_close(&session, ANSWER_FINE, &why);
}
