#include "cli/db.h"

#include "config/now.h"
#include "sinks/migrate.h"

#include <stdlib.h>

bool
db_open(struct db *db, const struct config *config, struct err *why)
{
    *db = (struct db){.pg = {.conn = NULL}};
    if (!pg_open(&db->pg, config->postgres.url, "tripmeter command", why)) {
        /* A refused password, too, is a server that cannot be reached from here. */
        why->class = ERR_RETRY;
        return false;
    }
    if (migrate_check(&db->pg, why))
        return true;
    db_close(db);
    return false;
}

void
db_close(struct db *db)
{
    pg_close(&db->pg);
}

static bool
failed(const PGresult *result)
{
    const ExecStatusType status = PQresultStatus(result);

    return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
}

/* The server was reached and says no: bad values, broken rules, what our functions refuse. */
static bool
is_refusal(const char *state)
{
    static const char *const classes[] = {"02", "22", "23", "42", "55000"};

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(state, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

PGresult *
db_query(struct db *db, const char *sql, const char *const *values, int count, struct err *why)
{
    if (PQsendQueryParams(db->pg.conn, sql, count, NULL, values, NULL, NULL, 0) != 1 ||
        !pg_flush(&db->pg, now_steady_ms() + db->pg.answer_ms)) {
        (void)pg_error(&db->pg, NULL, why);
        return NULL;
    }
    PGresult *answer = pg_next(&db->pg);

    if (answer == NULL) {
        (void)pg_error(&db->pg, NULL, why);
        return NULL;
    }
    for (PGresult *more = pg_next(&db->pg); more != NULL; more = pg_next(&db->pg))
        PQclear(more);
    if (!failed(answer))
        return answer;
    (void)pg_error(&db->pg, answer, why);
    if (is_refusal(pg_state(answer)))
        why->class = ERR_INPUT;
    PQclear(answer);
    return NULL;
}

bool
db_execute(struct db *db, const char *sql, struct err *why)
{
    PGresult *answer = db_query(db, sql, NULL, 0, why);

    PQclear(answer);
    return answer != NULL;
}

void
db_rollback(struct db *db)
{
    struct err ignored = {.class = ERR_NONE};

    (void)db_execute(db, "ROLLBACK", &ignored);
}

const char *
db_text(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

int64_t
db_int(const PGresult *rows, int row, int column)
{
    int64_t value = 0;

    (void)text_to_int(text_of(PQgetvalue(rows, row, column)), INT64_MIN, INT64_MAX, &value);
    return value;
}

bool
db_true(const PGresult *rows, int row, int column)
{
    return PQgetvalue(rows, row, column)[0] == 't';
}
