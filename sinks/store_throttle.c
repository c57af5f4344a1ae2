/* Burst limits that were exceeded: rows that change whole, and are loaded with their tenant. */
#include "sinks/store_private.h"

/* ---- written -------------------------------------------------------------------------------------- */

static int
compare_throttles(const void *one, const void *other)
{
    const struct throttle_memory *const a = one;
    const struct throttle_memory *const b = other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = (int)a->scope - (int)b->scope;
    if (order == 0)
        order = text_compare(a->subject, b->subject);
    return order != 0 ? order : store_compare_int(a->began_ms, b->began_ms);
}

const char sql_throttles[] =
    "INSERT INTO tripmeter.throttle AS t (tenant, scope, subject, began_at, since_at, until_at,"
    " told_at, times, used, most, came, came_cost, attempts, shadow, alerted, is_over)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],"
    " $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::bigint[],"
    " $10::bigint[], $11::numeric[], $12::numeric[], $13::boolean[], $14::boolean[],"
    " $15::boolean[], $16::boolean[])"
    " ON CONFLICT (tenant, scope, subject, began_at) DO UPDATE SET since_at = excluded.since_at,"
    " until_at = excluded.until_at, told_at = excluded.told_at, times = excluded.times,"
    " used = excluded.used, most = excluded.most, came = excluded.came,"
    " came_cost = excluded.came_cost, attempts = excluded.attempts, shadow = excluded.shadow,"
    " alerted = excluded.alerted, is_over = excluded.is_over";

bool
fill_throttles(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_TIME, PG_TIME,    PG_TIME,
                                         PG_TIME, PG_INT8, PG_INT8, PG_INT8, PG_NUMERIC, PG_NUMERIC,
                                         PG_BOOL, PG_BOOL, PG_BOOL, PG_BOOL};
    const struct list *const list = &input->settlement->throttles;
    const struct keyed_row *const row = store_keyed(store, list, compare_throttles);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const columns = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct throttle_memory *const one = row[i].row;
        struct pgparam *column = columns;

        if (!row[i].last)
            continue;
        pgarray_text(column++, one->tenant);
        pgarray_text(column++, text_of(burst_names[one->scope]));
        pgarray_text(column++, one->subject);
        pgarray_time(column++, one->began_ms);
        pgarray_time(column++, one->since_ms);
        pgarray_time(column++, one->until_ms);
        pgarray_time(column++, one->told_ms);
        pgarray_int8(column++, one->times);
        pgarray_int8(column++, one->used);
        pgarray_int8(column++, one->limit);
        pgarray_count(column++, one->came);
        pgarray_money(column++, one->came_cost);
        pgarray_bool(column++, one->attempts);
        pgarray_bool(column++, one->shadow);
        pgarray_bool(column++, one->alerted);
        pgarray_bool(column, one->over);
        ++*rows;
    }
    return true;
}

/* ---- loaded --------------------------------------------------------------------------------------- */

const char sql_load_throttles[] =
    "SELECT n.ord, t.scope, t.subject, t.began_at, t.since_at, t.until_at, t.told_at, t.times,"
    " t.used, t.most, t.came, t.came_cost, t.attempts, t.shadow, t.alerted"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.throttle t USING (tenant)"
    " WHERE NOT t.is_over AND $2::timestamptz < 'infinity'"
    " ORDER BY n.ord, t.scope, t.subject, t.began_at";

static bool
read_throttle(const PGresult *rows, int row, struct throttle_memory *out)
{
    const struct text scope = pg_read_text(rows, row, 1);
    tally came;

    for (int s = 0; s < BURST_SCOPE_COUNT; s++)
        if (text_eq(scope, text_of(burst_names[s])))
            out->scope = (enum burst_scope)s;
    out->subject = pg_read_text(rows, row, 2);
    out->began_ms = pg_read_time(rows, row, 3);
    out->since_ms = pg_read_time(rows, row, 4);
    out->until_ms = pg_read_time(rows, row, 5);
    out->told_ms = pg_read_time(rows, row, 6);
    out->times = pg_read_int(rows, row, 7);
    out->used = pg_read_int(rows, row, 8);
    out->limit = pg_read_int(rows, row, 9);
    if (!pg_read_money(rows, row, 10, &came) || !pg_read_money(rows, row, 11, &out->came_cost))
        return false;
    out->came = came / MONEY_NANO_PER_UNIT;
    out->attempts = pg_read_bool(rows, row, 12);
    out->shadow = pg_read_bool(rows, row, 13);
    out->alerted = pg_read_bool(rows, row, 14);
    return true;
}

bool
store_read_throttles(struct store *store, const PGresult *rows, int row, struct tenant_load *load)
{
    load->throttles =
        arena_take(store->arena, (load->throttle_count + 1) * sizeof *load->throttles);
    for (size_t i = 0; load->throttles != NULL && i < load->throttle_count; i++, row++) {
        load->throttles[i].tenant = load->name;
        if (!read_throttle(rows, row, &load->throttles[i]))
            return false;
    }
    return load->throttles != NULL;
}
