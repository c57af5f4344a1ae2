/* Quotas that count for themselves: rows that change whole, and are loaded with their tenant. */
#include "sinks/store_private.h"

/* ---- written -------------------------------------------------------------------------------------- */

const char sql_counters[] =
    "INSERT INTO tripmeter.counter AS c (tenant, quota, subject, window_start, window_end, label,"
    " used, measured_at, spent, spent_amount, is_open, blocked, since_at)"
    " SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]),"
    " unnest($4::timestamptz[]), unnest($5::timestamptz[]), unnest($6::integer[]),"
    " unnest($7::numeric[]), unnest($8::timestamptz[]), unnest($9::bigint[]),"
    " unnest($10::numeric[]), unnest($11::boolean[]), unnest($12::boolean[]),"
    " unnest($13::timestamptz[])"
    " ON CONFLICT (tenant, quota, subject, window_start) DO UPDATE SET"
    " window_end = excluded.window_end, used = excluded.used, measured_at = excluded.measured_at,"
    " spent = excluded.spent, spent_amount = excluded.spent_amount,"
    " is_open = excluded.is_open, blocked = excluded.blocked, since_at = excluded.since_at";

bool
fill_counters(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT,    PG_TEXT, PG_TIME, PG_TIME,
                                         PG_INT4, PG_NUMERIC, PG_TIME, PG_INT8, PG_NUMERIC,
                                         PG_BOOL, PG_BOOL,    PG_TIME};
    const struct list *const list = &input->settlement->counters;
    const struct keyed_row *const row = store_keyed(store, list, counter_memory_compare);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const columns = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct counter_memory *const counter = row[i].row;
        struct pgparam *column = columns;

        if (!row[i].last)
            continue;
        pgarray_text(column++, counter->tenant);
        pgarray_text(column++, counter->quota);
        pgarray_text(column++, counter->subject);
        pgarray_time(column++, counter->start_ms);
        pgarray_time(column++, counter->end_ms);
        pgarray_int4(column++, (int32_t)counter->label);
        pgarray_money(column++, counter->used);
        pgarray_time(column++, counter->at_ms);
        pgarray_int8(column++, counter->spent);
        pgarray_money(column++, counter->spent_amount);
        pgarray_bool(column++, counter->open);
        pgarray_bool(column++, counter->blocked);
        pgarray_time(column, counter->since_ms);
        ++*rows;
    }
    return true;
}

/* ---- loaded --------------------------------------------------------------------------------------- */

const char sql_load_counters[] =
    "SELECT n.ord, c.quota, c.subject, c.window_start, c.window_end, c.label, c.used,"
    " c.measured_at, c.spent, c.spent_amount, c.is_open, c.blocked, c.since_at"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.counter c USING (tenant)"
    " WHERE $2::timestamptz < 'infinity' AND (c.window_end > $2 OR c.is_open OR c.blocked)"
    " ORDER BY n.ord, c.quota, c.subject, c.window_start";

bool
store_read_counters(struct store *store, const PGresult *rows, int row, struct tenant_load *load)
{
    load->counters = arena_take(store->arena, (load->counter_count + 1) * sizeof *load->counters);
    for (size_t i = 0; load->counters != NULL && i < load->counter_count; i++, row++) {
        struct counter_memory *const counter = &load->counters[i];

        counter->tenant = load->name;
        counter->quota = pg_read_text(rows, row, 1);
        counter->subject = pg_read_text(rows, row, 2);
        counter->start_ms = pg_read_time(rows, row, 3);
        counter->end_ms = pg_read_time(rows, row, 4);
        counter->label = (enum label)pg_read_int(rows, row, 5);
        if (!pg_read_money(rows, row, 6, &counter->used) ||
            !pg_read_money(rows, row, 9, &counter->spent_amount))
            return false;
        counter->at_ms = pg_read_time(rows, row, 7);
        counter->spent = (uint32_t)pg_read_int(rows, row, 8);
        counter->open = pg_read_bool(rows, row, 10);
        counter->blocked = pg_read_bool(rows, row, 11);
        counter->since_ms = pg_read_time(rows, row, 12);
    }
    return load->counters != NULL;
}
