/* Reservations that are followed: rows that change whole or go, and are loaded with their tenant. */
#include "sinks/store_private.h"

/* ---- written -------------------------------------------------------------------------------------- */

static int
compare_reservations(const void *one, const void *other)
{
    const struct reservation_memory *const a = one;
    const struct reservation_memory *const b = other;
    const int order = text_compare(a->tenant, b->tenant);

    return order != 0 ? order : text_compare(a->id, b->id);
}

const char sql_reservations[] =
    "WITH u AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],"
    " $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::numeric[])"
    " AS u(tenant, id, feature, currency, state, made_at, due_at, state_at, cost)),"
    " gone AS (DELETE FROM tripmeter.reservation r USING u"
    " WHERE u.state = '' AND r.tenant = u.tenant AND r.id = u.id)"
    " INSERT INTO tripmeter.reservation AS r (tenant, id, feature, currency, state, made_at, "
    "due_at,"
    " state_at, cost)"
    " SELECT * FROM u WHERE u.state <> ''"
    " ON CONFLICT (tenant, id) DO UPDATE SET feature = excluded.feature,"
    " currency = excluded.currency, state = excluded.state, made_at = excluded.made_at,"
    " due_at = excluded.due_at, state_at = excluded.state_at, cost = excluded.cost";

bool
fill_reservations(struct store *store, const struct settle_input *input, size_t *rows,
                  struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,   PG_TEXT,
                                         PG_TIME, PG_TIME, PG_TIME, PG_NUMERIC};
    const struct list *const list = &input->settlement->reservations;
    const struct keyed_row *const row = store_keyed(store, list, compare_reservations);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const columns = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct reservation_memory *const one = row[i].row;
        struct pgparam *column = columns;

        if (!row[i].last)
            continue;
        pgarray_text(column++, one->tenant);
        pgarray_text(column++, one->id);
        pgarray_text(column++, one->feature);
        pgarray_text(column++, one->currency);
        pgarray_text(column++, text_of(reservation_state_names[one->state]));
        pgarray_time(column++, one->made_ms);
        pgarray_time(column++, one->due_ms);
        pgarray_time(column++, one->at_ms);
        if (one->has_cost)
            pgarray_money(column, one->cost.nano);
        else
            pgarray_null(column);
        ++*rows;
    }
    return true;
}

/* ---- loaded --------------------------------------------------------------------------------------- */

const char sql_load_reservations[] =
    "SELECT n.ord, r.id, r.feature, r.currency, r.state, r.made_at, r.due_at, r.state_at, r.cost"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.reservation r USING (tenant)"
    " WHERE r.state IN ('open', 'late', 'early') AND $2::timestamptz < 'infinity'"
    " ORDER BY n.ord, r.made_at, r.id";

static bool
read_reservation(const PGresult *answer, int row, struct reservation_memory *out)
{
    const struct text state = pg_read_text(answer, row, 4);
    tally cost = 0;

    for (int s = 0; s < RESERVATION_STATE_COUNT; s++)
        if (text_eq(state, text_of(reservation_state_names[s])))
            out->state = (enum reservation_state)s;
    out->id = pg_read_text(answer, row, 1);
    out->feature = pg_read_text(answer, row, 2);
    out->currency = pg_read_text(answer, row, 3);
    out->made_ms = pg_read_time(answer, row, 5);
    out->due_ms = pg_read_time(answer, row, 6);
    out->at_ms = pg_read_time(answer, row, 7);
    out->has_cost = PQgetisnull(answer, row, 8) == 0;
    if (out->has_cost && !pg_read_money(answer, row, 8, &cost))
        return false;
    out->cost.nano = (int64_t)cost;
    return true;
}

bool
store_read_reservations(struct store *store, const PGresult *answer, int row,
                        struct tenant_load *load)
{
    load->reservations =
        arena_take(store->arena, (load->reservation_count + 1) * sizeof *load->reservations);
    for (size_t i = 0; load->reservations != NULL && i < load->reservation_count; i++, row++) {
        load->reservations[i] = (struct reservation_memory){.tenant = load->name};
        if (!read_reservation(answer, row, &load->reservations[i]))
            return false;
    }
    return load->reservations != NULL;
}
