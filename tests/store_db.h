/* A fresh database with the schema for one test, on the server of TRIPMETER_TEST_POSTGRES. */
#ifndef TESTS_STORE_DB_H
#define TESTS_STORE_DB_H

#include "config/config.h"
#include "core/settlement.h"
#include "sinks/store.h"

#include <libpq-fe.h>

struct db {
    char url[1024];
    char name[64];
    PGconn *sql;          /* a plain connection of the test's own */
    struct config config; /* topics usage and usage2, this database */
    struct store *store;
    struct arena *arena; /* for what is read of it; freed with it */
    struct claim claim;
    struct settlement *open;      /* of the claim; freed with it */
    struct settle_result settled; /* by the last settlement */
    struct err why;               /* of the last settlement or load */
};

/* Made and opened; ends the test when that fails. */
void db_begin(struct db *db);
/* The same, as engines that see so many partitions laid it out. */
void db_begin_layout(struct db *db, int32_t partitions);
void db_end(struct db *db);
/* Closes the store and opens it again. */
void db_reopen(struct db *db);
/* The same with the rights of the server's owner, as who may end other sessions of that user. */
void db_as_owner(struct db *db);
/* Ends the store's session in the server. */
void db_kill_store(struct db *db);
/* An empty database without the schema; the store stays NULL. */
void db_begin_empty(struct db *db);

/* Another connection with all rights; PQfinish ends it. */
PGconn *db_connect(const struct db *db);
/* Runs a statement that must succeed. */
void db_run(struct db *db, const char *sql);
/* Fails the test unless the first value of the answer is this text; rows are joined by blanks, NULL
 * is "-". */
#define CHECK_SQL(db, sql, expected) db_check((db), (sql), (expected), __FILE__, __LINE__)
void db_check(struct db *db, const char *sql, const char *expected, const char *file,
              unsigned line);
/* The SQLSTATE a statement fails with; "" when it succeeds. */
const char *db_state(struct db *db, const char *sql, char out[6]);

/* Claims a shard for "me" as one who holds nothing. */
struct claim db_claim(struct db *db, int32_t shard);
/* Loads tenants, which must succeed. */
void db_load(struct db *db, const struct load_query *query, store_on_tenant *on_tenant,
             void *context);

/* ---- settlements ------------------------------------------------------------------------------- */
/* An empty one of the claimed shard: topic 0 stands at `from`. */
struct settlement *settlement_of(const struct claim *claim, int64_t from);
/* What a row of facts adds to. */
void settlement_delta(struct settlement *settlement, struct delta *delta,
                      const struct amounts *amounts);
/* Topic 0 moves by `records`, each with one counted event that names a key, booked as one fact, one
 * key fact and one period total of `tenant`, at `nano` each. */
void settlement_book(struct settlement *settlement, const char *tenant, int64_t records,
                     int64_t nano);
/* What becomes of it; db->settled and db->why say more. */
enum settled db_settle(struct db *db, const struct settlement *settlement);
/* Claims a shard: db->claim, and db->open, an empty settlement of it. */
void db_open_shard(struct db *db, int32_t shard);
/* Settles what is open, which must succeed, and opens the next. */
void db_settle_open(struct db *db);
#define DB_HOUR_MS       INT64_C(1772323200000) /* 2026-03-01T00:00:00Z */
#define DB_PERIOD_MS     DB_HOUR_MS
#define DB_PERIOD_END_MS INT64_C(1775001600000) /* 2026-04-01T00:00:00Z */

#endif
