/* Rows of a settlement that do not add up: states, decisions, dead letters, events kept whole. */
#include "sinks/store_private.h"

#include <stdlib.h>

/* Of equal keys by index, which is where they stand in one list. */
static int
compare_keyed(const void *one, const void *other)
{
    const struct keyed_row *const a = one;
    const struct keyed_row *const b = other;
    const int order = a->compare(a->row, b->row);

    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

const struct keyed_row *
store_keyed(struct store *store, const struct list *list, row_compare *compare)
{
    if (list->count > store->keyed_room || store->keyed == NULL) {
        const size_t room = list->count + list->count / 2 + 16;
        struct keyed_row *const grown = realloc(store->keyed, room * sizeof *grown);

        if (grown == NULL)
            return NULL;
        store->keyed = grown;
        store->keyed_room = room;
    }
    struct keyed_row *const keyed = store->keyed;

    for (size_t i = 0; i < list->count; i++)
        keyed[i] = (struct keyed_row){.row = list_at(list, i), .compare = compare};
    qsort(keyed, list->count, sizeof *keyed, compare_keyed);
    for (size_t i = 0; i < list->count; i++)
        keyed[i].last = i + 1 == list->count || compare(keyed[i].row, keyed[i + 1].row) != 0;
    return keyed;
}

int
store_compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

struct pgparam *
store_columns(struct store *store, const enum pg_type *types, size_t count)
{
    struct pgparams *const params = store_params(store);

    for (size_t i = 0; i < count; i++)
        (void)pgparams_array(params, types[i]);
    return params->at;
}

bool
store_no_memory(struct err *why)
{
    return err_set(why, ERR_RETRY, "no memory for a settlement");
}

/* ---- what changes whole: the last one of a key counts -------------------------------------------- */

const char sql_quotas[] =
    "INSERT INTO tripmeter.quota_state AS q"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[],"
    " $6::numeric[], $7::boolean[], $8::boolean[], $9::timestamptz[], $10::timestamptz[],"
    " $11::bigint[], $12::numeric[], $13::boolean[], $14::boolean[], $15::boolean[],"
    " $16::boolean[], $17::numeric[])"
    " ON CONFLICT (tenant, quota, project, period) DO UPDATE SET spent = excluded.spent,"
    " spent_amount = excluded.spent_amount, is_open = excluded.is_open,"
    " blocked = excluded.blocked, since_at = excluded.since_at,"
    " day = excluded.day, day_number = excluded.day_number,"
    " day_before = excluded.day_before, day_warned = excluded.day_warned,"
    " day_open = excluded.day_open, forecast_told = excluded.forecast_told,"
    " forecast_open = excluded.forecast_open, forecast = excluded.forecast";

bool
fill_quotas(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_TIME, PG_INT8,   PG_NUMERIC,
                                         PG_BOOL, PG_BOOL, PG_TIME, PG_TIME, PG_INT8,   PG_NUMERIC,
                                         PG_BOOL, PG_BOOL, PG_BOOL, PG_BOOL, PG_NUMERIC};
    const struct list *const list = &input->settlement->quotas;
    const struct keyed_row *const row = store_keyed(store, list, quota_memory_compare);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct quota_memory *const quota = row[i].row;

        if (!row[i].last)
            continue;
        pgarray_text(&column[0], quota->tenant);
        pgarray_text(&column[1], quota->quota);
        pgarray_text(&column[2], quota->project);
        pgarray_time(&column[3], quota->period_ms);
        pgarray_int8(&column[4], quota->spent);
        pgarray_money(&column[5], quota->spent_amount);
        pgarray_bool(&column[6], quota->open);
        pgarray_bool(&column[7], quota->blocked);
        pgarray_time(&column[8], quota->since_ms);
        pgarray_time(&column[9], quota->pace.day_ms);
        pgarray_int8(&column[10], quota->pace.days);
        pgarray_money(&column[11], quota->pace.before);
        pgarray_bool(&column[12], quota->pace.warned);
        pgarray_bool(&column[13], quota->pace.warning);
        pgarray_bool(&column[14], quota->pace.noticed);
        pgarray_bool(&column[15], quota->pace.notice);
        pgarray_money(&column[16], quota->pace.forecast);
        ++*rows;
    }
    return true;
}

static int
compare_due(const void *one, const void *other)
{
    const struct tenant_due *const a = one;
    const struct tenant_due *const b = other;

    return text_compare(a->tenant, b->tenant);
}

/* Only the home looks after a tenant: what another shard remembers of it is not written. */
const char sql_due[] =
    "INSERT INTO tripmeter.tenant_shard AS t (tenant, shard, provisional, due_at, restricted)"
    " SELECT d.tenant, $4, false, d.due_at, d.restricted"
    " FROM unnest($1::text[], $2::timestamptz[], $3::boolean[]) AS d(tenant, due_at, restricted)"
    " ON CONFLICT (tenant) DO UPDATE SET due_at = excluded.due_at,"
    " restricted = excluded.restricted WHERE t.shard = excluded.shard";

bool
fill_due(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TIME, PG_BOOL};
    const struct list *const list = &input->settlement->due;
    const struct keyed_row *const row = store_keyed(store, list, compare_due);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct tenant_due *const due = row[i].row;

        if (!row[i].last)
            continue;
        pgarray_text(&column[0], due->tenant);
        pgarray_time(&column[1], due->due_ms);
        pgarray_bool(&column[2], due->restricted);
        ++*rows;
    }
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), input->settlement->shard);
    return true;
}

/* ---- in the order they happened ------------------------------------------------------------------ */

bool
fill_transitions(struct store *store, const struct settle_input *input, size_t *rows,
                 struct err *why)
{
    const struct list *const list = &input->settlement->transitions;

    store_transition_params(store, input->settlement->shard);
    for (size_t i = 0; i < list->count; i++)
        if (!store_transition_add(store, list_at(list, i), why))
            return false;
    *rows = list->count;
    return true;
}

const char sql_decisions[] =
    "INSERT INTO tripmeter.decision (scope, tenant, at, outcome, code, restrictions, trigger,"
    " epoch, shard, policy)"
    " SELECT d.scope, d.tenant, d.at, d.outcome, d.code, d.restrictions::jsonb, d.trigger,"
    " d.epoch, $9, $10"
    " FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::bigint[]) WITH ORDINALITY"
    " AS d(scope, tenant, at, outcome, code, restrictions, trigger, epoch, ord) ORDER BY d.ord";

bool
fill_decisions(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TIME, PG_TEXT,
                                         PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8};
    const struct list *const list = &input->settlement->decisions;
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct scope_state *const state = list_at(list, i);
        const struct restriction *const answer = scope_answer(state);
        const struct text json = store_json_restrictions(state, store->arena);

        if (json.at == NULL)
            return store_no_memory(why);
        pgarray_text(&column[0], state->scope);
        pgarray_text_or_null(&column[1], state->tenant);
        pgarray_time(&column[2], state->at_ms);
        pgarray_text(&column[3], text_of(outcome_names[scope_outcome(state)]));
        pgarray_text_or_null(&column[4],
                             text_of(answer == NULL ? NULL : code_table[answer->code].name));
        pgarray_text(&column[5], json);
        pgarray_text_or_null(&column[6], state->trigger);
        pgarray_int8(&column[7], state->epoch);
    }
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), input->settlement->shard);
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), input->settlement->policy);
    *rows = list->count;
    return true;
}

const char sql_commands[] =
    "SELECT tripmeter.settle_commands($4, $1::bigint[], $2::timestamptz[], $3::text[])";

bool
fill_commands(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_INT8, PG_TIME, PG_TEXT};
    const struct list *const list = &input->settlement->commands;
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    (void)why;
    for (size_t i = 0; i < list->count; i++) {
        const struct command_done *const done = list_at(list, i);

        pgarray_int8(&column[0], done->id);
        pgarray_time(&column[1], done->at_ms);
        pgarray_text_or_null(&column[2], done->error);
    }
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), input->settlement->shard);
    *rows = list->count;
    return true;
}
