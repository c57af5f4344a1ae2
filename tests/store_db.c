#include "tests/store_db.h"

#include "sinks/migrate.h"
#include "tests/check.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

static char template_name[64];
static int made;

static const char *
server(void)
{
    const char *const url = getenv("TRIPMETER_TEST_POSTGRES"); /* NOLINT(concurrency-mt-unsafe) */

    if (url == NULL) {
        CU_FAIL("TRIPMETER_TEST_POSTGRES is not set: run `make check`, which starts a Postgres");
        fprintf(stderr, "TRIPMETER_TEST_POSTGRES is not set: run `make check`\n");
        exit(2); /* NOLINT(concurrency-mt-unsafe) */
    }
    return url;
}

/* The server's connection string with another database. */
static void
url_of(const char *name, char out[1024])
{
    PQconninfoOption *const parts = PQconninfoParse(server(), NULL);
    size_t used = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(parts);
    assert(parts != NULL);
    for (const PQconninfoOption *part = parts; part->keyword != NULL; part++)
        if (part->val != NULL && strcmp(part->keyword, "dbname") != 0)
            used += (size_t)snprintf(out + used, 1024 - used, "%s='%s' ", part->keyword, part->val);
    (void)snprintf(out + used, 1024 - used, "dbname='%s'", name);
    PQconninfoFree(parts);
}

static bool
on_server(const char *sql)
{
    PGconn *const conn = PQconnectdb(server());
    PGresult *const result = PQexec(conn, sql);

    const bool done = PQresultStatus(result) == PGRES_COMMAND_OK;

    if (!done)
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
    return done;
}

static void
no_progress(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void
drop_template(void)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", template_name);
    (void)on_server(sql);
}

/* Migrated once; every test's database is a copy. */
static void
make_template(void)
{
    char sql[128];
    char url[1024];
    struct err why;

    if (template_name[0] != '\0')
        return;
    (void)snprintf(template_name, sizeof template_name, "tm_template_%d", (int)getpid());
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", template_name);
    CU_ASSERT_FATAL(on_server(sql));
    (void)atexit(drop_template);
    url_of(template_name, url);
    if (!migrate_run(url, no_progress, NULL, &why))
        fprintf(stderr, "migrate: %s\n", why.text);
    else
        return;
    CU_FAIL_FATAL("the schema cannot be made");
}

static void
make(struct db *db, const char *template)
{
    char sql[256];

    memset(db, 0, sizeof *db);
    (void)snprintf(db->name, sizeof db->name, "tm_test_%d_%d", (int)getpid(), ++made);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE %s", db->name, template);
    CU_ASSERT_FATAL(on_server(sql));
    url_of(db->name, db->url);
    db->sql = PQconnectdb(db->url);
    CU_ASSERT_EQUAL_FATAL(PQstatus(db->sql), CONNECTION_OK);
    db->arena = arena_new((size_t)1 << 24);
    CU_ASSERT_PTR_NOT_NULL_FATAL(db->arena);
    db->config.postgres.url = db->url;
    db->config.kafka.topics[0] = "usage";
    db->config.kafka.topics[1] = "usage2";
    db->config.kafka.topic_count = 2;
    db->config.dedupe.on = true;
    db->config.dedupe.records = 1000;
}

void
db_begin_empty(struct db *db)
{
    make(db, "template0");
}

void
db_begin(struct db *db)
{
    char sql[128];

    make_template();
    make(db, template_name);
    /* The store has no more rights than the engine needs; db->sql was opened before. */
    (void)snprintf(sql, sizeof sql, "ALTER DATABASE %s SET role = 'tripmeter_engine'", db->name);
    CU_ASSERT_FATAL(on_server(sql));
    db_reopen(db);
}

void
db_begin_layout(struct db *db, int32_t partitions)
{
    db_begin(db);
    CU_ASSERT_TRUE_FATAL(store_layout(db->store, &db->config, partitions, &db->why));
}

void
db_reopen(struct db *db)
{
    struct err why;

    store_close(db->store);
    db->store = store_open(&db->config, "test", &why);
    if (db->store == NULL)
        fprintf(stderr, "store: %s\n", why.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(db->store);
    CU_ASSERT_TRUE_FATAL(store_prepare_loads(db->store, &why));
}

void
db_as_owner(struct db *db)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "ALTER DATABASE %s RESET role", db->name);
    CU_ASSERT_FATAL(on_server(sql));
    db_reopen(db);
}

void
db_end(struct db *db)
{
    char sql[128];

    settlement_free(db->open);
    store_close(db->store);
    PQfinish(db->sql);
    arena_free(db->arena);
    (void)snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", db->name);
    CU_ASSERT_FATAL(on_server(sql));
}

PGconn *
db_connect(const struct db *db)
{
    PGconn *const conn = PQconnectdb(db->url);

    PQclear(PQexec(conn, "SET ROLE NONE"));
    return conn;
}

void
db_run(struct db *db, const char *sql)
{
    PGresult *const result = PQexec(db->sql, sql);
    const ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(db->sql));
    CU_ASSERT(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    PQclear(result);
}

void
db_kill_store(struct db *db)
{
    db_run(db, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
               " WHERE application_name = 'test' AND datname = current_database()");
}

void
db_check(struct db *db, const char *sql, const char *expected, const char *file, unsigned line)
{
    PGresult *const result = PQexec(db->sql, sql);
    char real[2048] = "";
    size_t used = 0;
    char text[4608];

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        (void)snprintf(real, sizeof real, "%s", PQerrorMessage(db->sql));
    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < PQnfields(result) && used < sizeof real; column++)
            used += (size_t)snprintf(
                real + used, sizeof real - used, "%s%s", used == 0 ? "" : " ",
                PQgetisnull(result, row, column) ? "-" : PQgetvalue(result, row, column));
    (void)snprintf(text, sizeof text, "%s: is \"%s\", expected \"%s\"", sql, real, expected);
    (void)CU_assertImplementation(strcmp(real, expected) == 0, line, text, file, "", CU_FALSE);
    PQclear(result);
}

const char *
db_state(struct db *db, const char *sql, char out[6])
{
    PGresult *const result = PQexec(db->sql, sql);
    const char *const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    (void)text_copy(out, 6, text_of(state == NULL ? "" : state));
    PQclear(result);
    return out;
}

struct claim
db_claim(struct db *db, int32_t shard)
{
    struct claim claim = {.shard = shard, .epoch = -1, .seq = -1};
    struct err why = {.class = ERR_NONE};

    if (!store_claim(db->store, "me", &claim, db->arena, &why))
        fprintf(stderr, "claim: %s\n", why.text);
    CU_ASSERT_EQUAL(why.class, ERR_NONE);
    return claim;
}

void
db_load(struct db *db, const struct load_query *query, store_on_tenant *on_tenant, void *context)
{
    CU_ASSERT_TRUE_FATAL(store_load_send(db->store, query, &db->why));
    const int answered = store_load_poll(db->store, 10000, on_tenant, context, &db->why);

    if (answered == -1)
        printf("\n    %s\n", db->why.text);
    CHECK_INT("answered", answered, 1);
}

enum settled
db_settle(struct db *db, const struct settlement *settlement)
{
    db->why = (struct err){.class = ERR_NONE};
    return store_settle(db->store, &db->config, settlement, &db->settled, &db->why);
}

void
db_open_shard(struct db *db, int32_t shard)
{
    settlement_free(db->open);
    db->claim = db_claim(db, shard);
    db->open = settlement_of(&db->claim, 0);
}

void
db_settle_open(struct db *db)
{
    CHECK_INT(db->why.text, db_settle(db, db->open), SETTLED);
    settlement_clear(db->open, db->open);
    db->claim.seq++;
}

struct settlement *
settlement_of(const struct claim *claim, int64_t from)
{
    struct settlement *const settlement = settlement_new(2, (size_t)1 << 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(settlement);
    assert(settlement != NULL);
    settlement->shard = claim->shard;
    settlement->epoch = claim->epoch;
    settlement->seq = claim->seq;
    settlement->time_ms = DB_HOUR_MS;
    settlement->progress[0].from = settlement->progress[0].next = from;
    return settlement;
}

void
settlement_delta(struct settlement *settlement, struct delta *delta, const struct amounts *amounts)
{
    *delta = (struct delta){.cost = 0};
    CU_ASSERT_EQUAL(delta_add(delta, &settlement->wide, amounts, delta_fits(amounts)), DELTA_ADDED);
}

void
settlement_book(struct settlement *settlement, const char *tenant, int64_t records, int64_t nano)
{
    struct progress *const progress = &settlement->progress[0];
    struct fact *const fact = list_add(&settlement->facts);
    struct key_fact *const key = list_add(&settlement->key_facts);
    struct period_total *const period = list_add(&settlement->periods);
    const struct amounts delta = {
        .count = {[COUNT_events] = records, [COUNT_requests] = records},
        .cost = (tally)records * nano,
        .charge = (tally)records * nano,
    };

    progress->next += records;
    progress->processed += records;
    progress->counted += records;
    progress->keyed += records;
    progress->time_ms = settlement->time_ms;
    progress->last_offset = progress->next - 1;
    progress->last_fingerprint = UINT64_MAX;
    progress->moved = true;
    *fact = (struct fact){.tenant = text_of(tenant),
                          .feature = TEXT("search"),
                          .hour_ms = DB_HOUR_MS,
                          .period_ms = DB_PERIOD_MS};
    *key = (struct key_fact){.tenant = text_of(tenant),
                             .key = TEXT("k1"),
                             .hour_ms = DB_HOUR_MS,
                             .period_ms = DB_PERIOD_MS};
    settlement_delta(settlement, &fact->delta, &delta);
    settlement_delta(settlement, &key->delta, &delta);
    *period = (struct period_total){.tenant = text_of(tenant),
                                    .start_ms = DB_PERIOD_MS,
                                    .end_ms = DB_PERIOD_END_MS,
                                    .delta = delta};
}
