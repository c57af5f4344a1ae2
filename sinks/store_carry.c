/* Quotas that roll over: a row a period (quota_period), loaded with their tenant until it is final. */
#include "sinks/store_private.h"

/* Amounts are stored in units, whatever the meter. */
static tally
scale_of(enum meter meter)
{
    return meter_is_money(meter) ? 1 : MONEY_NANO_PER_UNIT;
}

/* ---- written -------------------------------------------------------------------------------------- */

const char sql_carries[] =
    "INSERT INTO tripmeter.quota_period AS q (tenant, quota, project, period, period_end, meter,"
    " base, carry, total_cap, closed, used, allowance, unused, overage, rolls, ratio, carry_cap,"
    " room, deducts, carried, policy)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],"
    " $5::timestamptz[], $6::text[], $7::numeric[], $8::numeric[], $9::numeric[], $10::boolean[],"
    " $11::numeric[], $12::numeric[], $13::numeric[], $14::numeric[], $15::boolean[],"
    " $16::numeric[], $17::numeric[], $18::numeric[], $19::boolean[], $20::numeric[],"
    " $21::bigint[])"
    " ON CONFLICT (tenant, quota, project, period) DO UPDATE SET"
    " period_end = excluded.period_end, meter = excluded.meter, base = excluded.base,"
    " carry = excluded.carry, total_cap = excluded.total_cap, closed = excluded.closed,"
    " used = excluded.used, allowance = excluded.allowance, unused = excluded.unused,"
    " overage = excluded.overage, rolls = excluded.rolls, ratio = excluded.ratio,"
    " carry_cap = excluded.carry_cap, room = excluded.room, deducts = excluded.deducts,"
    " carried = excluded.carried, policy = excluded.policy, changed_at = now()"
    " WHERE NOT q.is_final";

static void
add_cap(struct pgparam *column, tally cap, tally scale)
{
    if (cap >= ROLLOVER_NO_CAP)
        pgarray_null(column);
    else
        pgarray_money(column, cap * scale);
}

static void
add_amount(struct pgparam *column, bool known, tally amount, tally scale)
{
    if (known)
        pgarray_money(column, amount * scale);
    else
        pgarray_null(column);
}

static void
add_row(struct pgparam *column, const struct carry_memory *row)
{
    const tally scale = scale_of(row->meter);

    pgarray_text(column++, row->tenant);
    pgarray_text(column++, row->quota);
    pgarray_text(column++, row->project);
    pgarray_time(column++, row->start_ms);
    pgarray_time(column++, row->end_ms);
    pgarray_text(column++, text_of(meter_names[row->meter]));
    add_amount(column++, !row->unlimited, row->base, scale);
    pgarray_money(column++, row->carry * scale);
    add_cap(column++, row->total_cap, scale);
    pgarray_bool(column++, row->closed);
    pgarray_money(column++, row->used * scale);
    add_amount(column++, row->closed && !row->unlimited, row->end.allowance, scale);
    pgarray_money(column++, row->end.unused * scale);
    pgarray_money(column++, row->end.overage * scale);
    pgarray_bool(column++, row->rule.on);
    pgarray_money(column++, (tally)row->rule.ratio * (MONEY_NANO_PER_UNIT / ROLLOVER_WHOLE));
    add_cap(column++, row->rule.on ? row->rule.carry_cap : ROLLOVER_NO_CAP, scale);
    add_cap(column++, row->rule.on ? row->room : ROLLOVER_NO_CAP, scale);
    pgarray_bool(column++, row->rule.deducts);
    pgarray_money(column++, row->end.carried * scale);
    pgarray_int8(column, row->policy);
}

bool
fill_carries(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {
        PG_TEXT,    PG_TEXT,    PG_TEXT,    PG_TIME,    PG_TIME,    PG_TEXT,    PG_NUMERIC,
        PG_NUMERIC, PG_NUMERIC, PG_BOOL,    PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC,
        PG_BOOL,    PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_BOOL,    PG_NUMERIC, PG_INT8};
    const struct list *const list = &input->settlement->carries;
    const struct keyed_row *const row = store_keyed(store, list, carry_memory_compare);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const columns = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        if (!row[i].last)
            continue;
        add_row(columns, row[i].row);
        ++*rows;
    }
    return true;
}

/* ---- loaded --------------------------------------------------------------------------------------- */

const char sql_load_carries[] =
    "SELECT n.ord, q.quota, q.project, q.period, q.period_end, q.meter, q.base, q.carry,"
    " q.total_cap, q.closed, q.used, q.rolls, q.ratio, q.carry_cap, q.room, q.deducts, q.allowance,"
    " q.unused, q.overage, q.carried, q.policy"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.quota_period q USING (tenant)"
    " WHERE $2::timestamptz < 'infinity' AND NOT q.is_final"
    " ORDER BY n.ord, q.quota, q.project, q.period";

static bool
read_amount(const PGresult *rows, int row, int column, tally scale, tally *out)
{
    *out = 0;
    if (PQgetisnull(rows, row, column))
        return true;
    if (!pg_read_money(rows, row, column, out))
        return false;
    *out /= scale;
    return true;
}

static bool
read_cap(const PGresult *rows, int row, int column, tally scale, tally *out)
{
    const bool good = read_amount(rows, row, column, scale, out);

    if (PQgetisnull(rows, row, column))
        *out = ROLLOVER_NO_CAP;
    return good;
}

/* How it ended. */
static bool
read_end(const PGresult *rows, int row, tally scale, struct carry_memory *out)
{
    tally ratio = 0;

    out->closed = pg_read_bool(rows, row, 9);
    out->rule.on = pg_read_bool(rows, row, 11);
    out->rule.deducts = pg_read_bool(rows, row, 15);
    out->policy = pg_read_int(rows, row, 20);
    const bool good = read_amount(rows, row, 10, scale, &out->used) &&
                      pg_read_money(rows, row, 12, &ratio) &&
                      read_cap(rows, row, 13, scale, &out->rule.carry_cap) &&
                      read_cap(rows, row, 14, scale, &out->room) &&
                      read_amount(rows, row, 16, scale, &out->end.allowance) &&
                      read_amount(rows, row, 17, scale, &out->end.unused) &&
                      read_amount(rows, row, 18, scale, &out->end.overage) &&
                      read_amount(rows, row, 19, scale, &out->end.carried);

    out->rule.ratio = (int32_t)(ratio / (MONEY_NANO_PER_UNIT / ROLLOVER_WHOLE));
    return good;
}

bool
store_read_carries(struct store *store, const PGresult *rows, int row, struct tenant_load *load)
{
    load->carries = arena_take(store->arena, (load->carry_count + 1) * sizeof *load->carries);
    for (size_t i = 0; load->carries != NULL && i < load->carry_count; i++, row++) {
        struct carry_memory *const carry = &load->carries[i];

        carry->tenant = load->name;
        carry->quota = pg_read_text(rows, row, 1);
        carry->project = pg_read_text(rows, row, 2);
        carry->start_ms = pg_read_time(rows, row, 3);
        carry->end_ms = pg_read_time(rows, row, 4);
        if (!meter_by_name(pg_read_text(rows, row, 5), &carry->meter))
            return false;
        const tally scale = scale_of(carry->meter);

        carry->unlimited = PQgetisnull(rows, row, 6);
        if (!read_amount(rows, row, 6, scale, &carry->base) ||
            !read_amount(rows, row, 7, scale, &carry->carry) ||
            !read_cap(rows, row, 8, scale, &carry->total_cap) || !read_end(rows, row, scale, carry))
            return false;
    }
    return load->carries != NULL;
}
