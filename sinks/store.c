#include "sinks/store_private.h"

#include "sinks/migrate.h"

#include <stdlib.h>

static bool
remember_config(struct store *store, const struct config *config)
{
    store->dedupe_records = config->dedupe.on ? config->dedupe.records : 0;
    for (size_t i = 0; i < config->kafka.topic_count; i++) {
        char *const copy = strdup(config->kafka.topics[i]);

        if (copy == NULL)
            return false;
        store->topic_names[store->topic_count] = copy;
        store->topics[store->topic_count++] = text_of(copy);
    }
    return true;
}

struct store *
store_open(const struct config *config, const char *name, struct err *why)
{
    struct store *const store = calloc(1, sizeof *store);

    if (store == NULL) {
        (void)err_set(why, ERR_RETRY, "no memory for a store");
        return NULL;
    }
    store->arena = arena_new(STORE_ARENA_BYTES);
    if (store->arena == NULL || !remember_config(store, config))
        (void)err_set(why, ERR_RETRY, "no memory for a store");
    else if (pg_open(&store->pg, config->postgres.url, name, why) && migrate_check(&store->pg, why))
        return store;
    store_close(store);
    return NULL;
}

void
store_close(struct store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < sizeof store->loaded / sizeof store->loaded[0]; i++)
        PQclear(store->loaded[i]);
    pg_close(&store->pg);
    pgparams_free(&store->params);
    free(store->copy.at);
    arena_free(store->arena);
    for (size_t i = 0; i < store->topic_count; i++)
        free(store->topic_names[i]);
    free(store->keyed);
    free(store->placed);
    free(store->differing);
    free(store);
}

bool
store_broken(const struct store *store)
{
    return store->pg.broken;
}

void
store_topics(struct store *store)
{
    struct pgparam *const names = pgparams_array(&store->params, PG_TEXT);

    for (size_t i = 0; i < store->topic_count; i++)
        pgarray_text(names, store->topics[i]);
}

int32_t
store_topic(const struct store *store, struct text name)
{
    for (size_t i = 0; i < store->topic_count; i++)
        if (text_eq(store->topics[i], name))
            return (int32_t)i;
    return -1;
}

struct pgparams *
store_params(struct store *store)
{
    pgparams_clear(&store->params);
    return &store->params;
}

PGresult *
store_query(struct store *store, const char *sql, struct err *why)
{
    return pg_query(&store->pg, sql, &store->params, why);
}

bool
store_prepare(struct store *store, const char *name, const char *sql, struct err *why)
{
    PGresult *result;
    bool good = true;

    if (PQsendPrepare(store->pg.conn, name, sql, 0, NULL) == 0)
        return pg_error(&store->pg, NULL, why);
    while ((result = pg_next(&store->pg)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && good)
            good = pg_error(&store->pg, result, why);
        PQclear(result);
    }
    return good && (!store->pg.broken || pg_error(&store->pg, NULL, why));
}

bool
store_begin(struct store *store, struct err *why)
{
    return pg_run(&store->pg, "BEGIN", why);
}

bool
store_commit(struct store *store, struct err *why)
{
    return pg_run(&store->pg, "COMMIT", why);
}

void
store_rollback(struct store *store)
{
    struct err ignored;

    if (!store->pg.broken)
        (void)pg_run(&store->pg, "ROLLBACK", &ignored);
}

/* A client that is stopped, or gone without a word, between two statements of a pipeline holds its
 * locks for as long as it pleases: to the server it is active, so that no timeout of a session ends
 * it.  Its shard could not be claimed, nor any alert be written that it was about to write. What it
 * had sent is rolled back, and if it comes back it sends it again or is fenced. */
void
store_end_silent(struct store *store)
{
    struct err ignored;

    if (!store->pg.lock_timeout || store->pg.broken)
        return;
    (void)pg_run(&store->pg,
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE usename = session_user AND datname = current_database()"
                 " AND state = 'active' AND wait_event = 'ClientRead'"
                 " AND state_change < clock_timestamp() - interval '5 s'",
                 &ignored);
    store->pg.lock_timeout = false;
}

/* ---- policy ------------------------------------------------------------------------------------ */

bool
store_policy(struct store *store, const struct config *config, bool activate, bool look,
             int64_t *serial, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_BYTEA),
                 (struct text){(const char *)config->policy_hash, sizeof config->policy_hash});
    pgarray_text(pgparams_scalar(params, PG_TEXT),
                 (struct text){config->policy_body, config->policy_size});
    pgarray_bool(pgparams_scalar(params, PG_BOOL), activate);
    pgarray_bool(pgparams_scalar(params, PG_BOOL), look);
    PGresult *const result = store_query(
        store,
        "SELECT serial, older FROM tripmeter.store_policy($1, $2, $3, $4, session_user::text)",
        why);

    if (result == NULL)
        return false;
    *serial = pg_read_int(result, 0, 0);
    const int64_t older = pg_read_int(result, 0, 1);

    PQclear(result);
    return older == 0 || err_set(why, ERR_FATAL,
                                 "%s is policy %lld, which policy %lld has replaced; start with "
                                 "--activate (or send SIGHUP) to go back to it",
                                 config->policy_path, (long long)older, (long long)*serial);
}

bool
store_policy_serial(struct store *store, int64_t *serial, struct err *why)
{
    (void)store_params(store);
    PGresult *const result =
        store_query(store, "SELECT coalesce(max(serial), 0) FROM tripmeter.policy", why);

    if (result == NULL)
        return false;
    *serial = pg_read_int(result, 0, 0);
    PQclear(result);
    return true;
}

bool
store_policy_body(struct store *store, int64_t serial, struct arena *arena, struct text *body,
                  struct err *why)
{
    pgarray_int8(pgparams_scalar(store_params(store), PG_INT8), serial);
    PGresult *const result =
        store_query(store, "SELECT body FROM tripmeter.policy WHERE serial = $1", why);

    if (result == NULL)
        return false;
    const bool there = PQntuples(result) == 1;

    if (there)
        *body = arena_text(arena, pg_read_text(result, 0, 0));
    PQclear(result);
    if (!there)
        return err_set(why, ERR_FATAL, "%s has no policy %lld", store->pg.where, (long long)serial);
    return body->at != NULL ||
           err_set(why, ERR_RETRY, "no memory for policy %lld", (long long)serial);
}

/* ---- periods ------------------------------------------------------------------------------------- */

bool
store_close_periods(struct store *store, struct text currency, struct text zone, int64_t *count,
                    struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_TEXT), currency);
    pgarray_text(pgparams_scalar(params, PG_TEXT), zone);
    PGresult *const closed = store_query(store, "SELECT tripmeter.close_periods($1, $2)", why);

    if (closed != NULL)
        *count = pg_read_int(closed, 0, 0);
    PQclear(closed);
    return closed != NULL;
}

/* ---- partitions ---------------------------------------------------------------------------------- */

bool
store_close_days(struct store *store, int64_t now_ms, struct err *why)
{
    pgarray_time(pgparams_scalar(store_params(store), PG_TIME), now_ms);
    PGresult *const done = store_query(store, "SELECT tripmeter.close_days($1)", why);

    PQclear(done);
    return done != NULL;
}

bool
store_maintain(struct store *store, int64_t now_ms, int32_t keep_months, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_time(pgparams_scalar(params, PG_TIME), now_ms);
    pgarray_int4(pgparams_scalar(params, PG_INT4), keep_months);
    PGresult *const done = store_query(
        store, "SELECT count(*) FROM tripmeter.maintain(2, nullif($2, 0), false, $1)", why);

    PQclear(done);
    return done != NULL;
}
