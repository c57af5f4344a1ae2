/* Protects: what a silent server costs is bounded, and a statement's own end comes first. */
#include "config/now.h"
#include "sinks/pg.h"
#include "tests/check.h"
#include "tests/store_db.h"

#include <libpq-fe.h>
#include <stdlib.h>

static struct db db;

static const char *
setting(const struct pg *pg, const char *name)
{
    PQconninfoOption *const all = PQconninfo(pg->conn);
    static char value[32];

    value[0] = '\0';
    for (const PQconninfoOption *one = all; one != NULL && one->keyword != NULL; one++)
        if (strcmp(one->keyword, name) == 0 && one->val != NULL)
            (void)text_copy(value, sizeof value, text_of(one->val));
    PQconninfoFree(all);
    return value;
}

static void
test_silent(void)
{
    const int64_t began_ms = now_steady_ms();
    struct err why = {.class = ERR_NONE};
    struct pg pg;

    db_begin_empty(&db);
    CU_ASSERT_FATAL(pg_open(&pg, db.url, "test", &why));
    pg.answer_ms = 200;
    CU_ASSERT_PTR_NULL(pg_query(&pg, "SELECT pg_sleep(30)", NULL, &why));
    CHECK_INT("class", why.class, ERR_RETRY);
    CHECK_INT("broken", pg.broken, true);
    CU_ASSERT(now_steady_ms() - began_ms < 10000);
    pg_close(&pg);
    db_end(&db);
}

static void
test_deadlines(void)
{
    struct err why = {.class = ERR_NONE};
    char url[sizeof db.url + 32];
    struct pg pg;

    db_begin_empty(&db);
    CU_ASSERT_FATAL(pg_open(&pg, db.url, "test", &why));
    CU_ASSERT(pg.answer_ms > PG_STATEMENT_MS);
    CU_ASSERT_STRING_EQUAL(setting(&pg, "tcp_user_timeout"), "15000");
    PGresult *const rows =
        pg_query(&pg, "SELECT setting::integer FROM pg_settings WHERE name = 'statement_timeout'",
                 NULL, &why);

    CU_ASSERT_FATAL(rows != NULL);
    CHECK_INT("statement_timeout", pg_read_int(rows, 0, 0), PG_STATEMENT_MS);
    PQclear(rows);
    pg_close(&pg);
    (void)snprintf(url, sizeof url, "%s tcp_user_timeout=7000", db.url);
    CU_ASSERT_FATAL(pg_open(&pg, url, "test", &why));
    CU_ASSERT_STRING_EQUAL(setting(&pg, "tcp_user_timeout"), "7000");
    pg_close(&pg);
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"a server that says nothing is given up", test_silent},
    {"the server ends a statement before it is given up; postgres.url may say otherwise",
     test_deadlines},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_pg = {"pg", NULL, NULL, NULL, NULL, tests};
