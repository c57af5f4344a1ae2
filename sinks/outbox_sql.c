#include "sinks/outbox_sql.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

const char *
outbox_now(const struct outbox *outbox)
{
    return outbox->now_ms == 0 ? NULL : outbox->now;
}

const char *
number_text(int64_t number, char out[NUMBER_SIZE])
{
    (void)snprintf(out, NUMBER_SIZE, "%" PRId64, number);
    return out;
}

/* Of what was sent: the rows of the last statement. */
static PGresult *
take_rows(struct outbox *outbox, bool sent, struct err *why)
{
    struct pg *pg = &outbox->pg;
    PGresult *rows = NULL;
    PGresult *next;

    while (sent && (next = pg_next(pg)) != NULL) {
        PQclear(rows);
        rows = next;
    }
    const ExecStatusType status = PQresultStatus(rows);

    if (!pg->broken && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK))
        return rows;
    (void)pg_error(pg, rows, why);
    PQclear(rows);
    return NULL;
}

PGresult *
outbox_run(struct outbox *outbox, const char *statement, const char *const *values, int count,
           struct err *why)
{
    struct pg *pg = &outbox->pg;

    return take_rows(outbox,
                     !pg->broken && PQsendQueryParams(pg->conn, statement, count, NULL, values,
                                                      NULL, NULL, 0) == 1,
                     why);
}

PGresult *
outbox_script(struct outbox *outbox, const char *script, struct err *why)
{
    struct pg *pg = &outbox->pg;

    return take_rows(outbox, !pg->broken && PQsendQuery(pg->conn, script) == 1, why);
}

bool
outbox_do_script(struct outbox *outbox, const char *script, struct err *why)
{
    PGresult *rows = outbox_script(outbox, script, why);

    PQclear(rows);
    return rows != NULL;
}

bool
outbox_do(struct outbox *outbox, const char *statement, const char *const *values, int count,
          struct err *why)
{
    PGresult *rows = outbox_run(outbox, statement, values, count, why);

    PQclear(rows);
    return rows != NULL;
}

struct text
column_text(const PGresult *rows, int row, int column, struct arena *arena)
{
    const struct text text = {PQgetvalue(rows, row, column),
                              (size_t)PQgetlength(rows, row, column)};

    return PQgetisnull(rows, row, column) ? (struct text){NULL, 0} : arena_text(arena, text);
}

int64_t
column_number(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

bool
column_true(const PGresult *rows, int row, int column)
{
    return PQgetvalue(rows, row, column)[0] == 't';
}

void
outbox_hash(const struct text *parts, size_t count, unsigned char out[32])
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool good = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; i < count && good; i++)
        good = EVP_DigestUpdate(hash, parts[i].at, parts[i].size) == 1 &&
               EVP_DigestUpdate(hash, "", 1) == 1;
    if (!good || EVP_DigestFinal_ex(hash, out, NULL) != 1)
        abort(); /* OpenSSL without SHA-256 or memory: no identity could be trusted */
    EVP_MD_CTX_free(hash);
}
