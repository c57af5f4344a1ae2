/* What a settlement stores event by event. */
#include "sinks/store_private.h"

static void
begin_columns(struct store *store, const enum pg_type *types, size_t count)
{
    struct pgparams *const params = store_params(store);

    for (size_t i = 0; i < count; i++)
        (void)pgparams_array(params, types[i]);
}

/* Topic, offset, index: where the event stands; the partition is the shard, a scalar at the end. */
static struct pgparam *
add_position(struct store *store, int32_t topic, int64_t offset, int32_t index)
{
    struct pgparam *column = store->params.at;

    pgarray_text(column++, store->topics[topic]);
    pgarray_int8(column++, offset);
    pgarray_int4(column++, index);
    return column;
}

static void
end_columns(struct store *store, const struct settle_input *input)
{
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), input->settlement->shard);
}

/* ---- dead letters ------------------------------------------------------------------------------ */

/* A letter that was read again and is refused again stays one row. */
const char sql_dead[] =
    "INSERT INTO tripmeter.dead_letter AS l (topic, partition, record_offset, event_index, at,"
    " reason, detail, retryable, tenant, source, id, hash, fingerprint, payload, remembered)"
    " SELECT d.topic, $15, d.record_offset, d.event_index, d.at, d.reason, d.detail, d.retryable,"
    " d.tenant, d.source, d.id, d.hash, d.fingerprint, d.payload, d.remembered"
    " FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::text[],"
    " $6::text[], $7::boolean[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[],"
    " $13::bytea[], $14::boolean[]) AS d(topic, record_offset, event_index, at, reason, detail,"
    " retryable, tenant, source, id, hash, fingerprint, payload, remembered)"
    " ON CONFLICT (topic, partition, record_offset, event_index) DO UPDATE"
    " SET reason = excluded.reason, detail = excluded.detail, retryable = excluded.retryable,"
    " retries = l.retries + 1";

bool
fill_dead(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_INT8, PG_INT4,  PG_TIME, PG_TEXT,
                                         PG_TEXT, PG_BOOL, PG_TEXT,  PG_TEXT, PG_TEXT,
                                         PG_TEXT, PG_INT8, PG_BYTEA, PG_BOOL};
    const struct list *const list = &input->settlement->dead;

    (void)why;
    begin_columns(store, types, sizeof types / sizeof types[0]);
    for (size_t i = 0; i < list->count; i++) {
        const struct dead_letter *const dead = list_at(list, i);
        struct pgparam *column = add_position(store, dead->topic, dead->offset, dead->index);

        pgarray_time(column++, dead->time_ms);
        pgarray_text(column++, text_of(dead_names[dead->why.reason]));
        pgarray_text(column++, text_of(dead->why.detail));
        pgarray_bool(column++, dead_retryable[dead->why.reason]);
        pgarray_text_or_null(column++, dead->tenant);
        pgarray_text_or_null(column++, dead->source);
        pgarray_text_or_null(column++, dead->id);
        pgarray_text(column++, text_of(dead->hash));
        pgarray_int8(column++, (int64_t)dead->fingerprint);
        pgarray_text_or_null(column++, dead->value);
        pgarray_bool(column, dead->remembered);
    }
    end_columns(store, input);
    *rows = list->count;
    return true;
}

/* ---- events kept whole, each kind in its table --------------------------------------------------- */

/* One set of columns for all kinds; each statement takes those it needs. */
#define KEPT_ROWS                                                                               \
    " FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::text[],"      \
    " $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],"   \
    " $13::numeric[], $14::text[], $15::text[], $16::bigint[], $17::text[], $18::text[])"       \
    " WITH ORDINALITY AS k(topic, record_offset, event_index, at, tenant, source, id, project," \
    " feature, key, model, request_id, amount, word, reason, value, body, kind, ord)"
#define POSITION    "topic, partition, record_offset, event_index, at, tenant, source, id"
#define POSITION_OF "k.topic, $19, k.record_offset, k.event_index, k.at, k.tenant, k.source, k.id"
#define WHO         "project, feature, key, model, request_id"
#define WHO_OF      "k.project, k.feature, k.key, k.model, k.request_id"

const char sql_kept[] =
    "INSERT INTO tripmeter.kept_event (" POSITION ", " WHO ", kind, amount, reference, body)"
    " SELECT " POSITION_OF ", " WHO_OF ", k.kind, k.amount, k.word, k.body::jsonb" KEPT_ROWS;

const char sql_gateway[] =
    "INSERT INTO tripmeter.gateway_decision (" POSITION ", " WHO
    ", outcome, reason, estimated_cost, body)"
    " SELECT " POSITION_OF ", " WHO_OF ", k.word, k.reason, k.amount, k.body::jsonb" KEPT_ROWS;

const char sql_values[] = "INSERT INTO tripmeter.customer_value (" POSITION ", " WHO ", name, body)"
                          " SELECT " POSITION_OF ", " WHO_OF ", k.word, k.body::jsonb" KEPT_ROWS;

/* The first one of a reference counts, for ever. */
const char sql_topups[] =
    "INSERT INTO tripmeter.ledger (" POSITION ", reference, amount, body)"
    " SELECT DISTINCT ON (k.tenant, k.word) " POSITION_OF
    ", k.word, k.amount, k.body::jsonb" KEPT_ROWS
    " ORDER BY k.tenant, k.word, k.ord ON CONFLICT (tenant, reference) DO NOTHING";

/* The last one by event time counts; of equals the one applied later. */
const char sql_gauges[] =
    "INSERT INTO tripmeter.gauge AS g (" POSITION ", project, name, value)"
    " SELECT DISTINCT ON (k.tenant, coalesce(k.project, ''), k.word) " POSITION_OF
    ", coalesce(k.project, ''), k.word, k.value" KEPT_ROWS
    " ORDER BY k.tenant, coalesce(k.project, ''), k.word, k.at DESC, k.ord DESC"
    " ON CONFLICT (tenant, project, name) DO UPDATE SET topic = excluded.topic,"
    " partition = excluded.partition, record_offset = excluded.record_offset,"
    " event_index = excluded.event_index, at = excluded.at, source = excluded.source,"
    " id = excluded.id, value = excluded.value WHERE excluded.at >= g.at";

static void
add_kept(struct store *store, const struct kept_event *event)
{
    struct pgparam *column = add_position(store, event->topic, event->offset, event->index);

    pgarray_time(column++, event->at_ms);
    pgarray_text(column++, event->tenant);
    pgarray_text(column++, event->source);
    pgarray_text(column++, event->id);
    pgarray_text_or_null(column++, event->project);
    pgarray_text_or_null(column++, event->feature);
    pgarray_text_or_null(column++, event->key);
    pgarray_text_or_null(column++, event->model);
    pgarray_text_or_null(column++, event->request_id);
    if (event->has_amount)
        pgarray_money(column++, event->amount.nano);
    else
        pgarray_null(column++);
    pgarray_text_or_null(column++, event->word);
    pgarray_text_or_null(column++, event->reason);
    pgarray_int8(column++, event->value);
    pgarray_text_or_null(column++, event->body);
    pgarray_text(column, text_of(event_kind_names[event->kind]));
}

static bool
fill_kinds(struct store *store, const struct settle_input *input, unsigned kinds, size_t *rows)
{
    static const enum pg_type types[] = {
        PG_TEXT, PG_INT8, PG_INT4, PG_TIME,    PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,
        PG_TEXT, PG_TEXT, PG_TEXT, PG_NUMERIC, PG_TEXT, PG_TEXT, PG_INT8, PG_TEXT, PG_TEXT,
    };
    const struct list *const list = &input->settlement->kept;

    begin_columns(store, types, sizeof types / sizeof types[0]);
    for (size_t i = 0; i < list->count; i++) {
        const struct kept_event *const event = list_at(list, i);

        if ((kinds & 1U << event->kind) == 0)
            continue;
        add_kept(store, event);
        ++*rows;
    }
    end_columns(store, input);
    return true;
}

bool
fill_kept(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    (void)why;
    return fill_kinds(store, input, 1U << EVENT_RESERVE | 1U << EVENT_RELEASE | 1U << EVENT_CORRECT,
                      rows);
}

bool
fill_gauges(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    (void)why;
    return fill_kinds(store, input, 1U << EVENT_GAUGE, rows);
}

bool
fill_topups(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    (void)why;
    return fill_kinds(store, input, 1U << EVENT_TOPUP, rows);
}

bool
fill_gateway(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    (void)why;
    return fill_kinds(store, input, 1U << EVENT_DECISION, rows);
}

bool
fill_values(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    (void)why;
    return fill_kinds(store, input, 1U << EVENT_VALUE, rows);
}

/* ---- events without a price ---------------------------------------------------------------------- */

const char sql_unpriced[] =
    "INSERT INTO tripmeter.unpriced (topic, record_offset, event_index, at, tenant, source, id,"
    " project, feature, key, provider, model, currency, hour, period, requests, input_tokens,"
    " cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, audio_ms,"
    " bytes, kind, cost, estimate, original_source, original_id, partition)"
    " SELECT *, $30 FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[],"
    " $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],"
    " $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::bigint[],"
    " $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[],"
    " $23::bigint[], $24::bigint[], $25::text[], $26::numeric[], $27::numeric[],"
    " $28::text[], $29::text[])";

static void
add_unpriced(struct pgparam *column, const struct unpriced_event *event)
{
    pgarray_time(column++, event->at_ms);
    pgarray_text(column++, event->tenant);
    pgarray_text(column++, event->source);
    pgarray_text(column++, event->id);
    pgarray_text_or_null(column++, event->project);
    pgarray_text_or_null(column++, event->feature);
    pgarray_text_or_null(column++, event->key);
    pgarray_text_or_null(column++, event->provider);
    pgarray_text_or_null(column++, event->model);
    pgarray_text_or_null(column++, event->currency);
    pgarray_time(column++, event->hour_ms);
    pgarray_time(column++, event->period_ms);
    for (size_t u = 0; u < USAGE_COUNT; u++)
        pgarray_int8(column++, event->usage[u]);
    pgarray_text(column++, text_of(event_kind_names[event->kind]));
    if (event->has_cost)
        pgarray_money(column++, event->cost.nano);
    else
        pgarray_null(column++);
    pgarray_money(column++, event->estimate);
    pgarray_text_or_null(column++, event->original_source);
    pgarray_text_or_null(column, event->original_id);
}

bool
fill_unpriced(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {
        PG_TEXT, PG_INT8,    PG_INT4,    PG_TIME, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,
        PG_TEXT, PG_TEXT,    PG_TEXT,    PG_TEXT, PG_TEXT, PG_TIME, PG_TIME, PG_INT8,
        PG_INT8, PG_INT8,    PG_INT8,    PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_INT8,
        PG_TEXT, PG_NUMERIC, PG_NUMERIC, PG_TEXT, PG_TEXT,
    };
    const struct list *const list = &input->settlement->unpriced;

    (void)why;
    begin_columns(store, types, sizeof types / sizeof types[0]);
    for (size_t i = 0; i < list->count; i++) {
        const struct unpriced_event *const event = list_at(list, i);

        add_unpriced(add_position(store, event->topic, event->offset, event->index), event);
    }
    end_columns(store, input);
    *rows = list->count;
    return true;
}

const char sql_priced[] =
    "SELECT tripmeter.settle_priced($8, $1::text[], $2::bigint[], $3::integer[], $4::text[],"
    " $5::text[], $6::text[], $7::timestamptz[])";

bool
fill_priced(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT, PG_INT8, PG_INT4, PG_TEXT,
                                         PG_TEXT, PG_TEXT, PG_TIME};
    const struct list *const list = &input->settlement->priced;

    (void)why;
    begin_columns(store, types, sizeof types / sizeof types[0]);
    for (size_t i = 0; i < list->count; i++) {
        const struct priced_event *const event = list_at(list, i);
        struct pgparam *column = store->params.at;

        if (event->topic < 0)
            pgarray_null(column++);
        else
            pgarray_text(column++, store->topics[event->topic]);
        pgarray_int8(column++, event->offset);
        pgarray_int4(column++, event->index);
        pgarray_text(column++, event->tenant);
        pgarray_text(column++, event->source);
        pgarray_text(column++, event->id);
        pgarray_time(column, event->at_ms);
    }
    end_columns(store, input);
    *rows = list->count;
    return true;
}
