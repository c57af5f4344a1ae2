/* Features and their breakers: rows of a settlement, and loading them. */
#include "sinks/store_private.h"

#include "core/baseline.h"

/* NULL for a moment that never was. */
static void
put_moment(struct pgparam *column, int64_t at_ms)
{
    if (at_ms == INT64_MIN)
        pgarray_null(column);
    else
        pgarray_time(column, at_ms);
}

static int64_t
read_moment(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? INT64_MIN : pg_read_time(result, row, column);
}

/* Numeric counts are read like money. */
static bool
read_count(const PGresult *result, int row, int column, tally *out)
{
    tally nano;

    if (!pg_read_money(result, row, column, &nano))
        return false;
    *out = nano / MONEY_NANO_PER_UNIT;
    return true;
}

/* ---- in the order of their keys; the last one of a key counts ---------------------------------------- */

static int
compare_names(struct text tenant, struct text feature, struct text other_tenant,
              struct text other_feature)
{
    const int order = text_compare(tenant, other_tenant);

    return order != 0 ? order : text_compare(feature, other_feature);
}

static int64_t
place_of(const struct feature_slot *slot)
{
    const int64_t place = slot->slot.start_ms / SLOT_MS % SLOT_COUNT;

    return place < 0 ? place + SLOT_COUNT : place;
}

static int
compare_slots(const void *one, const void *other)
{
    const struct feature_slot *const a = one;
    const struct feature_slot *const b = other;
    const int order = compare_names(a->tenant, a->feature, b->tenant, b->feature);

    return order != 0 ? order : store_compare_int(place_of(a), place_of(b));
}

const char sql_slots[] =
    "INSERT INTO tripmeter.feature_slot AS s"
    " SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::integer[]),"
    " unnest($4::timestamptz[]), unnest($5::numeric[]), unnest($6::numeric[]),"
    " unnest($7::numeric[]), unnest($8::numeric[]), unnest($9::numeric[]),"
    " unnest($10::numeric[]), unnest($11::numeric[]), unnest($12::numeric[])"
    " ON CONFLICT (tenant, feature, place) DO UPDATE SET start_at = excluded.start_at,"
    " cost = excluded.cost, judged = excluded.judged, judged_calls = excluded.judged_calls,"
    " requests = excluded.requests, attempts = excluded.attempts, fallbacks = excluded.fallbacks,"
    " input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens";

bool
fill_slots(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT,    PG_TEXT,    PG_INT4,    PG_TIME,
                                         PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC,
                                         PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC};
    const struct list *const list = &input->settlement->slots;
    const struct keyed_row *const row = store_keyed(store, list, compare_slots);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct feature_slot *const one = row[i].row;

        if (!row[i].last)
            continue;
        pgarray_text(&column[0], one->tenant);
        pgarray_text(&column[1], one->feature);
        pgarray_int4(&column[2], (int32_t)place_of(one));
        pgarray_time(&column[3], one->slot.start_ms);
        pgarray_money(&column[4], one->slot.cost);
        pgarray_money(&column[5], one->slot.judged);
        pgarray_count(&column[6], one->slot.judged_calls);
        pgarray_count(&column[7], one->slot.requests);
        pgarray_count(&column[8], one->slot.attempts);
        pgarray_count(&column[9], one->slot.fallbacks);
        pgarray_count(&column[10], one->slot.input_tokens);
        pgarray_count(&column[11], one->slot.output_tokens);
        ++*rows;
    }
    return true;
}

static int
compare_hours(const void *one, const void *other)
{
    const struct feature_hour *const a = one;
    const struct feature_hour *const b = other;
    const int order = compare_names(a->tenant, a->feature, b->tenant, b->feature);

    return order != 0 ? order : store_compare_int(a->hour_ms, b->hour_ms);
}

const char sql_hours[] =
    "INSERT INTO tripmeter.feature_hour AS h"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::integer[],"
    " $5::numeric[], $6::numeric[])"
    " ON CONFLICT (tenant, feature, hour) DO UPDATE SET flags = excluded.flags,"
    " baseline = excluded.baseline, learned = h.learned + excluded.learned";

bool
fill_hours(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT,    PG_TIME,
                                         PG_INT4, PG_NUMERIC, PG_NUMERIC};
    const struct list *const list = &input->settlement->hours;
    const struct keyed_row *const row = store_keyed(store, list, compare_hours);
    tally learned = 0;

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        const struct feature_hour *const one = row[i].row;

        learned += one->learned;
        if (!row[i].last)
            continue;
        pgarray_text(&column[0], one->tenant);
        pgarray_text(&column[1], one->feature);
        pgarray_time(&column[2], one->hour_ms);
        pgarray_int4(&column[3], (int32_t)one->flags);
        pgarray_money(&column[4], one->baseline);
        pgarray_money(&column[5], learned);
        learned = 0;
        ++*rows;
    }
    return true;
}

static int
compare_breakers(const void *one, const void *other)
{
    const struct breaker_memory *const a = one;
    const struct breaker_memory *const b = other;

    return compare_names(a->tenant, a->feature, b->tenant, b->feature);
}

const char sql_breakers[] =
    "INSERT INTO tripmeter.feature_breaker AS b"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],"
    " $5::timestamptz[], $6::integer[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[],"
    " $10::timestamptz[], $11::numeric[], $12::numeric[], $13::numeric[], $14::integer[],"
    " $15::boolean[], $16::boolean[], $17::integer[], $18::timestamptz[], $19::timestamptz[],"
    " $20::timestamptz[], $21::numeric[], $22::numeric[], $23::numeric[], $24::timestamptz[],"
    " $25::text[], $26::text[])"
    " ON CONFLICT (tenant, feature) DO UPDATE SET state = excluded.state,"
    " since_at = excluded.since_at, until_at = excluded.until_at, opens = excluded.opens,"
    " calm_at = excluded.calm_at, opened_at = excluded.opened_at,"
    " opened_before_at = excluded.opened_before_at, tripped_at = excluded.tripped_at,"
    " baseline = excluded.baseline, observed = excluded.observed, spent = excluded.spent,"
    " step = excluded.step, waits = excluded.waits, throttled = excluded.throttled,"
    " alarm = excluded.alarm, warn_at = excluded.warn_at, shadow_until = excluded.shadow_until,"
    " would_until = excluded.would_until, would_block = excluded.would_block,"
    " usual = excluded.usual, accepted = excluded.accepted,"
    " accepted_until = excluded.accepted_until, actor = excluded.actor, reason = excluded.reason";

static void
put_breaker(struct pgparam *column, const struct breaker_memory *memory)
{
    const struct breaker *const breaker = &memory->breaker;

    pgarray_text(column++, memory->tenant);
    pgarray_text(column++, memory->feature);
    pgarray_text(column++, text_of(breaker_state_names[breaker->state]));
    put_moment(column++, breaker->since_ms);
    pgarray_time(column++, breaker->until_ms);
    pgarray_int4(column++, breaker->opens);
    pgarray_time(column++, breaker->calm_ms);
    put_moment(column++, breaker->opened_ms[0]);
    put_moment(column++, breaker->opened_ms[1]);
    put_moment(column++, breaker->tripped_ms);
    pgarray_money(column++, breaker->baseline);
    pgarray_money(column++, breaker->observed);
    pgarray_money(column++, breaker->spent);
    pgarray_int4(column++, breaker->step);
    pgarray_bool(column++, breaker->waits);
    pgarray_bool(column++, breaker->throttled);
    pgarray_int4(column++, breaker->alarm);
    pgarray_time(column++, breaker->warn_ms);
    put_moment(column++, breaker->shadow_ms);
    pgarray_time(column++, breaker->would_ms);
    pgarray_money(column++, breaker->would_block);
    pgarray_money(column++, memory->usual);
    pgarray_money(column++, memory->accepted);
    put_moment(column++, memory->accepted_until_ms);
    pgarray_text_or_null(column++, memory->actor);
    pgarray_text_or_null(column, memory->reason);
}

bool
fill_breakers(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {
        PG_TEXT, PG_TEXT,    PG_TEXT,    PG_TIME,    PG_TIME,    PG_INT4, PG_TIME, PG_TIME, PG_TIME,
        PG_TIME, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_INT4,    PG_BOOL, PG_BOOL, PG_INT4, PG_TIME,
        PG_TIME, PG_TIME,    PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_TIME, PG_TEXT, PG_TEXT};
    const struct list *const list = &input->settlement->breakers;
    const struct keyed_row *const row = store_keyed(store, list, compare_breakers);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        if (!row[i].last)
            continue;
        put_breaker(column, row[i].row);
        ++*rows;
    }
    return true;
}

/* ---- in the order they happened ----------------------------------------------------------------------- */

const char sql_moves[] =
    "INSERT INTO tripmeter.breaker_move (tenant, feature, at, from_state, to_state, would, opens,"
    " baseline, observed, would_block, trigger, actor, reason, shard)"
    " SELECT m.tenant, m.feature, m.at, m.from_state, m.to_state, m.would, m.opens, m.baseline,"
    " m.observed, m.would_block, m.trigger, m.actor, m.reason, $14"
    " FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[],"
    " $6::boolean[], $7::integer[], $8::numeric[], $9::numeric[], $10::numeric[], $11::text[],"
    " $12::text[], $13::text[]) WITH ORDINALITY AS m(tenant, feature, at, from_state, to_state,"
    " would, opens, baseline, observed, would_block, trigger, actor, reason, ord) ORDER BY m.ord";

bool
fill_moves(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TIME,    PG_TEXT,    PG_TEXT,
                                         PG_BOOL, PG_INT4, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC,
                                         PG_TEXT, PG_TEXT, PG_TEXT};
    const struct list *const list = &input->settlement->moves;
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    (void)why;
    for (size_t i = 0; i < list->count; i++) {
        const struct breaker_move *const move = list_at(list, i);

        pgarray_text(&column[0], move->tenant);
        pgarray_text(&column[1], move->feature);
        pgarray_time(&column[2], move->at_ms);
        pgarray_text(&column[3], text_of(breaker_state_names[move->from]));
        pgarray_text(&column[4], text_of(breaker_state_names[move->to]));
        pgarray_bool(&column[5], move->would);
        pgarray_int4(&column[6], move->opens);
        pgarray_money(&column[7], move->baseline);
        pgarray_money(&column[8], move->observed);
        pgarray_money(&column[9], move->would_block);
        pgarray_text_or_null(&column[10], move->trigger);
        pgarray_text_or_null(&column[11], move->actor);
        pgarray_text_or_null(&column[12], move->reason);
    }
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), input->settlement->shard);
    *rows = list->count;
    return true;
}

/* ---- loading -------------------------------------------------------------------------------------------- */

/* $2 is a moment before which nothing matters, infinity when nothing is asked for. What an hour cost
 * is what its facts say, refunds not taken off. */
const char sql_load_hours[] =
    "SELECT n.ord, h.feature, h.hour, h.cost, h.flags, h.baseline"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord) CROSS JOIN LATERAL ("
    " SELECT f.feature, f.hour, sum(f.cost - f.refunded) AS cost, 0 AS flags, 0::numeric AS "
    "baseline"
    " FROM tripmeter.tenant_fact f WHERE f.tenant = n.tenant AND f.hour >= $2 AND f.feature <> ''"
    " GROUP BY f.feature, f.hour UNION ALL"
    " SELECT k.feature, k.hour, k.learned, k.flags, k.baseline FROM tripmeter.feature_hour k"
    " WHERE k.tenant = n.tenant AND k.hour >= $2) h ORDER BY n.ord, h.feature, h.hour";

const char sql_load_slots[] =
    "SELECT n.ord, s.feature, s.start_at, s.cost, s.judged, s.judged_calls, s.requests, s.attempts,"
    " s.fallbacks, s.input_tokens, s.output_tokens"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.feature_slot s USING (tenant) WHERE $2 < 'infinity'::timestamptz"
    " ORDER BY n.ord, s.feature, s.start_at";

const char sql_load_breakers[] =
    "SELECT n.ord, b.feature, b.state, b.since_at, b.until_at, b.opens, b.calm_at, b.opened_at,"
    " b.opened_before_at, b.tripped_at, b.baseline, b.observed, b.spent, b.step, b.waits,"
    " b.throttled, b.alarm, b.warn_at, b.shadow_until, b.would_until, b.would_block, b.usual,"
    " b.accepted, b.accepted_until, b.actor, b.reason"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.feature_breaker b USING (tenant) WHERE $2 < 'infinity'::timestamptz"
    " ORDER BY n.ord, b.feature";

bool
store_read_hours(struct store *store, const PGresult *answer, int row, struct tenant_load *load)
{
    load->hours = arena_take(store->arena, (load->hour_count + 1) * sizeof *load->hours);
    for (size_t i = 0; load->hours != NULL && i < load->hour_count; i++, row++) {
        struct feature_past *const hour = &load->hours[i];

        hour->feature = pg_read_text(answer, row, 1);
        hour->at_ms = pg_read_time(answer, row, 2);
        hour->flags = (unsigned)pg_read_int(answer, row, 4);
        if (!pg_read_money(answer, row, 3, &hour->cost) ||
            !pg_read_money(answer, row, 5, &hour->baseline))
            return false;
    }
    return load->hours != NULL;
}

bool
store_read_slots(struct store *store, const PGresult *answer, int row, struct tenant_load *load)
{
    load->slots = arena_take(store->arena, (load->slot_count + 1) * sizeof *load->slots);
    for (size_t i = 0; load->slots != NULL && i < load->slot_count; i++, row++) {
        struct slot *const slot = &load->slots[i].slot;

        load->slots[i].tenant = load->name;
        load->slots[i].feature = pg_read_text(answer, row, 1);
        slot->start_ms = pg_read_time(answer, row, 2);
        if (!pg_read_money(answer, row, 3, &slot->cost) ||
            !pg_read_money(answer, row, 4, &slot->judged) ||
            !read_count(answer, row, 5, &slot->judged_calls) ||
            !read_count(answer, row, 6, &slot->requests) ||
            !read_count(answer, row, 7, &slot->attempts) ||
            !read_count(answer, row, 8, &slot->fallbacks) ||
            !read_count(answer, row, 9, &slot->input_tokens) ||
            !read_count(answer, row, 10, &slot->output_tokens))
            return false;
    }
    return load->slots != NULL;
}

static bool
read_breaker(const PGresult *answer, int row, struct breaker_memory *memory)
{
    struct breaker *const breaker = &memory->breaker;
    const struct text state = pg_read_text(answer, row, 2);

    memory->feature = pg_read_text(answer, row, 1);
    while (breaker->state < BREAKER_STATE_COUNT &&
           !text_eq(state, text_of(breaker_state_names[breaker->state])))
        breaker->state++;
    breaker->since_ms = read_moment(answer, row, 3);
    breaker->until_ms = pg_read_time(answer, row, 4);
    breaker->opens = (int32_t)pg_read_int(answer, row, 5);
    breaker->calm_ms = pg_read_time(answer, row, 6);
    breaker->opened_ms[0] = read_moment(answer, row, 7);
    breaker->opened_ms[1] = read_moment(answer, row, 8);
    breaker->tripped_ms = read_moment(answer, row, 9);
    breaker->step = (int32_t)pg_read_int(answer, row, 13);
    breaker->waits = pg_read_bool(answer, row, 14);
    breaker->throttled = pg_read_bool(answer, row, 15);
    breaker->alarm = (int32_t)pg_read_int(answer, row, 16);
    breaker->warn_ms = pg_read_time(answer, row, 17);
    breaker->shadow_ms = read_moment(answer, row, 18);
    breaker->would_ms = pg_read_time(answer, row, 19);
    memory->accepted_until_ms = read_moment(answer, row, 23);
    memory->actor = pg_read_text(answer, row, 24);
    memory->reason = pg_read_text(answer, row, 25);
    return breaker->state < BREAKER_STATE_COUNT &&
           pg_read_money(answer, row, 10, &breaker->baseline) &&
           pg_read_money(answer, row, 11, &breaker->observed) &&
           pg_read_money(answer, row, 12, &breaker->spent) &&
           pg_read_money(answer, row, 20, &breaker->would_block) &&
           pg_read_money(answer, row, 21, &memory->usual) &&
           pg_read_money(answer, row, 22, &memory->accepted);
}

bool
store_read_breakers(struct store *store, const PGresult *answer, int row, struct tenant_load *load)
{
    load->breakers = arena_take(store->arena, (load->breaker_count + 1) * sizeof *load->breakers);
    for (size_t i = 0; load->breakers != NULL && i < load->breaker_count; i++, row++) {
        load->breakers[i].tenant = load->name;
        if (!read_breaker(answer, row, &load->breakers[i]))
            return false;
    }
    return load->breakers != NULL;
}
