/* The fleet: its leader's lock and what it reads. */
#include "sinks/store_fleet.h"

#include "sinks/store_private.h"

bool
store_fleet_lead(struct store *store, bool *leads, struct err *why)
{
    *leads = false;
    /* A leader that is stopped must not stay one. */
    if (!pg_run(&store->pg, "SET idle_session_timeout = '10s'", why))
        return false;
    (void)store_params(store);
    PGresult *const row =
        store_query(store, "SELECT pg_try_advisory_lock(hashtext('tripmeter.fleet'))", why);

    if (row != NULL)
        *leads = pg_read_bool(row, 0, 0);
    PQclear(row);
    return row != NULL;
}

bool
store_fleet_seed(struct store *store, struct text zone, struct text currency, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_TEXT), zone);
    pgarray_text(pgparams_scalar(params, PG_TEXT), currency);
    PGresult *const done = store_query(store, "SELECT tripmeter.fleet_seed($1, $2)", why);

    PQclear(done);
    return done != NULL;
}

bool
store_fleet_time(struct store *store, int64_t *now_ms, struct err *why)
{
    (void)store_params(store);
    PGresult *const row = store_query(store, "SELECT tripmeter.fleet_time()", why);

    if (row == NULL)
        return false;
    *now_ms = PQgetisnull(row, 0, 0) ? 0 : pg_read_time(row, 0, 0);
    PQclear(row);
    return true;
}

static void
query_params(struct store *store, const struct fleet_query *query)
{
    pgarray_time(pgparams_scalar(&store->params, PG_TIME), query->from_ms);
    pgarray_text(pgparams_scalar(&store->params, PG_TEXT), query->currency);
}

bool
store_fleet_slots(struct store *store, const struct fleet_query *query, store_on_sum *on_sum,
                  void *context, struct err *why)
{
    (void)store_params(store);
    query_params(store, query);
    /* In the columns of a load. */
    PGresult *const rows = store_query(
        store,
        "SELECT 1::bigint, feature, start_at, cost, judged, judged_calls, requests, attempts,"
        " fallbacks, input_tokens, output_tokens FROM tripmeter.fleet_slots($1, $2)",
        why);

    if (rows == NULL)
        return false;
    struct tenant_load load = {.name = FLEET_TENANT, .slot_count = (size_t)PQntuples(rows)};

    arena_clear(store->arena);
    const bool good = store_read_slots(store, rows, 0, &load);

    for (size_t i = 0; good && i < load.slot_count; i++)
        on_sum(context, load.slots[i].feature, &load.slots[i].slot);
    PQclear(rows);
    return good || err_set(why, ERR_RETRY, "the slots of the fleet cannot be read");
}

bool
store_fleet_spread(struct store *store, const struct fleet_query *query, struct text feature,
                   struct fleet_spread *out, struct err *why)
{
    pgarray_text(pgparams_scalar(store_params(store), PG_TEXT), feature);
    query_params(store, query);
    PGresult *const rows = store_query(
        store, "SELECT tenant, cost, whole, tenants FROM tripmeter.fleet_spread($1, $2, $3)", why);
    bool good = rows != NULL;

    arena_clear(store->arena);
    *out = (struct fleet_spread){.tenants = 0};
    for (int row = 0; good && row < PQntuples(rows) && row < FLEET_TOP; row++) {
        out->top[row].tenant = arena_text(store->arena, pg_read_text(rows, row, 0));
        out->tenants = pg_read_int(rows, row, 3);
        out->count++;
        good =
            (out->top[row].tenant.at != NULL && pg_read_money(rows, row, 1, &out->top[row].cost) &&
             pg_read_money(rows, row, 2, &out->whole)) ||
            err_set(why, ERR_RETRY, "the spread of a feature cannot be read");
    }
    PQclear(rows);
    return good;
}

bool
store_fleet_sources(struct store *store, int64_t epoch, store_on_source *on_source, void *context,
                    struct err *why)
{
    pgarray_int8(pgparams_scalar(store_params(store), PG_INT8), epoch);
    PGresult *const rows =
        store_query(store, "SELECT source, last_at, silent FROM tripmeter.watch_sources($1)", why);

    for (int row = 0; rows != NULL && row < PQntuples(rows); row++)
        on_source(context, pg_read_text(rows, row, 0), pg_read_time(rows, row, 1),
                  pg_read_bool(rows, row, 2));
    PQclear(rows);
    return rows != NULL;
}

/* ---- rules of the last day --------------------------------------------------------------------------- */

bool
store_fleet_next(struct store *store, struct text after, int64_t count, struct text *upto,
                 struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_TEXT), after);
    pgarray_int8(pgparams_scalar(params, PG_INT8), count);
    PGresult *const row =
        store_query(store,
                    "SELECT max(t.tenant) FROM (SELECT s.tenant FROM tripmeter.tenant_shard s"
                    " WHERE s.tenant > $1 COLLATE \"C\" ORDER BY s.tenant LIMIT $2) t",
                    why);

    arena_clear(store->arena);
    *upto = (struct text){NULL, 0};
    if (row != NULL && !PQgetisnull(row, 0, 0))
        *upto = arena_text(store->arena, pg_read_text(row, 0, 0));
    PQclear(row);
    return row != NULL;
}

static bool
read_finding(const PGresult *rows, int row, struct day_finding *out)
{
    *out = (struct day_finding){.tenant = pg_read_text(rows, row, 0),
                                .over = pg_read_bool(rows, row, 1),
                                .zone = pg_read_text(rows, row, 2),
                                .currency = pg_read_text(rows, row, 3),
                                .name = pg_read_text(rows, row, 4)};
    if (out->over)
        return true;
    out->members = pg_read_int(rows, row, 8);
    out->all = pg_read_int(rows, row, 9);
    return pg_read_money(rows, row, 5, &out->spent) && pg_read_money(rows, row, 6, &out->against) &&
           pg_read_money(rows, row, 7, &out->impact);
}

bool
store_fleet_day(struct store *store, const struct day_query *query, store_on_finding *on_finding,
                void *context, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_TEXT), text_of(day_rule_names[query->rule]));
    pgarray_bool(pgparams_scalar(params, PG_BOOL), query->on);
    pgarray_text(pgparams_scalar(params, PG_TEXT), query->after);
    pgarray_text(pgparams_scalar(params, PG_TEXT), query->upto);
    pgarray_time(pgparams_scalar(params, PG_TIME), query->until_ms);
    pgarray_text(pgparams_scalar(params, PG_TEXT), query->zone);
    pgarray_text(pgparams_scalar(params, PG_TEXT), query->gates[0].currency);
    struct pgparam *const currencies = pgparams_array(params, PG_TEXT);
    struct pgparam *const gates = pgparams_array(params, PG_NUMERIC);

    for (size_t i = 0; i < query->gate_count; i++) {
        pgarray_text(currencies, query->gates[i].currency);
        pgarray_money(gates, query->gates[i].least);
    }
    PGresult *const rows = store_query(
        store, "SELECT * FROM tripmeter.watch_day($1, $2, $3, $4, $5, $6, $7, $8, $9)", why);
    bool good = rows != NULL;

    for (int row = 0; good && row < PQntuples(rows); row++) {
        struct day_finding finding;

        good = read_finding(rows, row, &finding) ||
               err_set(why, ERR_RETRY, "what the last day was cannot be read");
        if (good)
            on_finding(context, &finding);
    }
    PQclear(rows);
    return good;
}

/* ---- sources in settlements ------------------------------------------------------------------------ */

const char sql_sources[] =
    "INSERT INTO tripmeter.source_seen AS s"
    " SELECT u.source, $1, u.at, 1 FROM unnest($2::text[], $3::timestamptz[]) AS u(source, at)"
    " ORDER BY u.source COLLATE \"C\""
    " ON CONFLICT (source, shard) DO UPDATE SET last_at = greatest(s.last_at, excluded.last_at),"
    " hours = (s.hours << tripmeter.hours_between(s.last_at, excluded.last_at)) & 16777215 | 1";

bool
fill_sources(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    const struct list *const list = &input->settlement->sources;
    struct pgparams *const params = store_params(store);

    (void)why;
    pgarray_int4(pgparams_scalar(params, PG_INT4), input->settlement->shard);
    struct pgparam *const sources = pgparams_array(params, PG_TEXT);
    struct pgparam *const times = pgparams_array(params, PG_TIME);

    for (size_t i = 0; i < list->count; i++) {
        const struct source_heard *const heard = list_at(list, i);

        pgarray_text(sources, heard->source);
        pgarray_time(times, heard->at_ms);
    }
    *rows = list->count;
    return true;
}
