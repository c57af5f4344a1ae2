#include "sinks/migrate.h"

#include "core/text.h"
#include "sinks/pg.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#define MIGRATION(number, name, file) extern const char migration_##number[];
#include "sinks/migrations.def"
#undef MIGRATION
extern const char schema_roles[];
extern const char schema_grants[];

/* Any number that nothing else in the database locks by: "tripmete" in ASCII. */
#define LOCK_KEY      "8390043714152228965"
#define CHECKSUM_SIZE 65
#define MIGRATE_MS    (INT64_C(24) * 60 * 60 * 1000)

static const struct migration {
    int number;
    const char *name;
    const char *sql;
} migrations[] = {
#define MIGRATION(number, name, file) {1##number - 10000, #name, migration_##number},
#include "sinks/migrations.def"
#undef MIGRATION
};
enum { MIGRATION_COUNT = sizeof migrations / sizeof migrations[0] };

static const char migration_table[] =
    "CREATE TABLE IF NOT EXISTS tripmeter.migration ("
    " number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now(), applied_by text NOT NULL DEFAULT "
    "session_user);"
    "COMMENT ON TABLE tripmeter.migration IS 'Changes of this schema that were applied';"
    "COMMENT ON COLUMN tripmeter.migration.number IS 'Order of application';"
    "COMMENT ON COLUMN tripmeter.migration.name IS 'What it is about';"
    "COMMENT ON COLUMN tripmeter.migration.checksum IS 'SHA-256 of its text, hexadecimal';"
    "COMMENT ON COLUMN tripmeter.migration.applied_at IS 'When';"
    "COMMENT ON COLUMN tripmeter.migration.applied_by IS 'By which user'";

/* The owner's role where there is one, so that everything belongs to it whoever migrates. */
static const char become_owner[] = "SELECT CASE WHEN pg_get_userbyid(nspowner) = 'tripmeter_owner'"
                                   " THEN set_config('role', 'tripmeter_owner', true) END"
                                   " FROM pg_namespace WHERE nspname = 'tripmeter'";

static bool
checksum_of(const char *sql, char out[CHECKSUM_SIZE], struct err *why)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (EVP_Digest(sql, strlen(sql), hash, &size, EVP_sha256(), NULL) != 1)
        return err_set(why, ERR_FATAL, "OpenSSL offers no SHA-256");
    for (unsigned i = 0; i < 32; i++)
        (void)snprintf(out + 2 * (size_t)i, 3, "%02x", hash[i]);
    return true;
}

static bool
in_transaction(struct pg *pg, const char *sql, struct err *why)
{
    struct err ignored;

    if (pg_run(pg, "BEGIN", why) && pg_run(pg, become_owner, why) && pg_run(pg, sql, why) &&
        pg_run(pg, "COMMIT", why))
        return true;
    (void)pg_run(pg, "ROLLBACK", &ignored);
    return false;
}

static PGresult *
find(struct pg *pg, const struct migration *migration, struct err *why)
{
    struct pgparams params = {.count = 0};

    pgarray_int4(pgparams_scalar(&params, PG_INT4), migration->number);
    PGresult *const result =
        pg_query(pg, "SELECT checksum FROM tripmeter.migration WHERE number = $1", &params, why);

    pgparams_free(&params);
    return result;
}

static bool
apply(struct pg *pg, const struct migration *migration, const char *checksum, struct err *why)
{
    struct pgparams params = {.count = 0};
    struct err ignored;
    PGresult *result = NULL;

    if (pg_run(pg, "BEGIN", why) && pg_run(pg, become_owner, why) &&
        pg_run(pg, migration->sql, why)) {
        pgarray_int4(pgparams_scalar(&params, PG_INT4), migration->number);
        pgarray_text(pgparams_scalar(&params, PG_TEXT), text_of(migration->name));
        pgarray_text(pgparams_scalar(&params, PG_TEXT), text_of(checksum));
        result = pg_query(pg,
                          "INSERT INTO tripmeter.migration (number, name, checksum)"
                          " VALUES ($1, $2, $3)",
                          &params, why);
    }
    const bool done = result != NULL && pg_run(pg, "COMMIT", why);

    if (!done)
        (void)pg_run(pg, "ROLLBACK", &ignored);
    PQclear(result);
    pgparams_free(&params);
    return done || err_wrap(why, "migration %04d %s", migration->number, migration->name);
}

/* Applies a migration unless it was; *applied says which. */
static bool
bring(struct pg *pg, const struct migration *migration, bool *applied, struct err *why)
{
    char checksum[CHECKSUM_SIZE];

    *applied = false;
    if (!checksum_of(migration->sql, checksum, why))
        return false;
    PGresult *const found = find(pg, migration, why);

    if (found == NULL)
        return false;
    const bool known = PQntuples(found) == 1;
    const bool same = known && text_eq(pg_read_text(found, 0, 0), text_of(checksum));

    PQclear(found);
    if (known && !same)
        return err_set(why, ERR_FATAL,
                       "migration %04d %s of %s was applied with another text; use the tripmeter "
                       "that applied it, or a released one",
                       migration->number, migration->name, pg->where);
    if (known)
        return true;
    *applied = apply(pg, migration, checksum, why);
    return *applied;
}

static bool
bring_all(struct pg *pg, migrate_on_progress *on_progress, void *context, struct err *why)
{
    char line[512];
    int count = 0;

    for (size_t i = 0; i < MIGRATION_COUNT; i++) {
        bool applied;

        if (!bring(pg, &migrations[i], &applied, why))
            return false;
        if (!applied)
            continue;
        count++;
        (void)snprintf(line, sizeof line, "applied %04d %s", migrations[i].number,
                       migrations[i].name);
        on_progress(context, line);
    }
    if (!in_transaction(pg, schema_grants, why))
        return err_wrap(why, "granting rights");
    (void)snprintf(line, sizeof line, "%s: schema tripmeter is at %04d, %d applied now", pg->where,
                   migrations[MIGRATION_COUNT - 1].number, count);
    on_progress(context, line);
    return true;
}

static bool
newest(struct pg *pg, int *number, bool *there, struct err *why)
{
    PGresult *result =
        pg_query(pg, "SELECT to_regclass('tripmeter.migration') IS NOT NULL", NULL, why);

    if (result == NULL)
        return false;
    *there = pg_read_bool(result, 0, 0);
    PQclear(result);
    *number = 0;
    if (!*there)
        return true;
    result = pg_query(pg, "SELECT coalesce(max(number), 0) FROM tripmeter.migration", NULL, why);
    if (result == NULL)
        return false;
    *number = (int)pg_read_int(result, 0, 0);
    PQclear(result);
    return true;
}

static bool
not_newer(struct pg *pg, struct err *why)
{
    const int known = migrations[MIGRATION_COUNT - 1].number;
    int number;
    bool there;

    if (!newest(pg, &number, &there, why))
        return false;
    return number <= known ||
           err_set(why, ERR_FATAL,
                   "schema tripmeter of %s is at %04d, newer than this program (%04d); run the "
                   "newer tripmeter; an older one cannot use it, and `tripmeter migrate` never "
                   "goes back",
                   pg->where, number, known);
}

struct listener {
    migrate_on_progress *on_progress;
    void *context;
};

/* Warnings of the migrations are for people too. */
static void
pass_notice(void *context, const char *message)
{
    const struct listener *const listener = context;
    char line[512];

    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(message, "\n"), message);
    listener->on_progress(listener->context, line);
}

bool
migrate_run(const char *url, migrate_on_progress *on_progress, void *context, struct err *why)
{
    struct listener listener = {on_progress, context};
    struct pg pg;

    if (!pg_open(&pg, url, "tripmeter migrate", why))
        return false;
    (void)PQsetNoticeProcessor(pg.conn, pass_notice, &listener);
    /* Waits for another one that migrates, and gives big tables the time they need. */
    pg.answer_ms = MIGRATE_MS;
    const bool done = pg_run(&pg, "SET lock_timeout = 0; SET statement_timeout = 0", why) &&
                      pg_run(&pg, "SELECT pg_advisory_lock(" LOCK_KEY ")", why) &&
                      not_newer(&pg, why) && pg_run(&pg, schema_roles, why) &&
                      in_transaction(&pg, migration_table, why) &&
                      bring_all(&pg, on_progress, context, why);

    pg_close(&pg);
    return done;
}

bool
migrate_check(struct pg *pg, struct err *why)
{
    int number;
    bool there;

    if (!newest(pg, &number, &there, why))
        return why->class == ERR_RETRY && !pg->broken
                   ? err_set(why, ERR_FATAL,
                             "%s: this user may not read schema tripmeter; run `tripmeter migrate` "
                             "as its owner and grant it the role tripmeter_engine",
                             pg->where)
                   : false;
    if (!there)
        return err_set(why, ERR_FATAL, "%s has no schema tripmeter; run `tripmeter migrate`",
                       pg->where);
    if (!not_newer(pg, why))
        return false;
    PGresult *const result = pg_query(pg, "SELECT count(*) FROM tripmeter.migration", NULL, why);

    if (result == NULL)
        return false;
    const int64_t count = pg_read_int(result, 0, 0);

    PQclear(result);
    return count >= MIGRATION_COUNT ||
           err_set(why, ERR_FATAL,
                   "schema tripmeter of %s is older than this program (%" PRId64
                   " of %d migrations); run `tripmeter migrate`",
                   pg->where, count, (int)MIGRATION_COUNT);
}
