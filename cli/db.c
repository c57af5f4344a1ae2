#include "cli/db.h"

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

PGresult *
db_query(struct db *db, const char *sql, const char *const *values, int count, struct err *why)
{
    if (PQsendQueryParams(db->pg.conn, sql, count, NULL, values, NULL, NULL, 0) != 1 ||
        !pg_flush(&db->pg, pg_now_ms() + db->pg.answer_ms)) {
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
    PQclear(answer);
    return NULL;
}

bool
db_run(struct db *db, const char *sql, struct err *why)
{
    PGresult *answer = db_query(db, sql, NULL, 0, why);

    PQclear(answer);
    return answer != NULL;
}

void
db_rollback(struct db *db)
{
    struct err ignored = {.class = ERR_NONE};

    (void)db_run(db, "ROLLBACK", &ignored);
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
