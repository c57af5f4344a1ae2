/* Unpriced events that wait for a price. */
#include "sinks/store_private.h"

#define STRINGIFY(number) #number
#define AS_TEXT(number)   STRINGIFY(number)

static const char sql_waiting[] =
    "SELECT topic, record_offset, event_index, at, hour, period, kind, cost, estimate, tenant,"
    " source, id, project, feature, key, provider, model, currency, requests, input_tokens,"
    " cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, audio_ms,"
    " bytes, original_source, original_id FROM tripmeter.unpriced"
    " WHERE partition = $1 AND priced_at IS NULL AND topic = ANY ($2::text[])"
    " AND (topic, record_offset, event_index) > ($3, $4, $5)"
    " ORDER BY topic, record_offset, event_index LIMIT " AS_TEXT(UNPRICED_PAGE);

enum {
    AT_TOPIC,
    AT_OFFSET,
    AT_INDEX,
    AT_TIME,
    AT_HOUR,
    AT_PERIOD,
    AT_KIND,
    AT_COST,
    AT_ESTIMATE,
    AT_TEXTS,
    AT_USAGE = AT_TEXTS + 9,
    AT_ORIGINAL = AT_USAGE + USAGE_COUNT,
};

#define SEEK_MS 30000

static PGresult *
ask(struct store *store, const struct unpriced_query *query, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_int4(pgparams_scalar(params, PG_INT4), query->shard);
    store_topics(store);
    pgarray_text(pgparams_scalar(params, PG_TEXT),
                 query->topic < 0 ? TEXT("") : store->topics[query->topic]);
    pgarray_int8(pgparams_scalar(params, PG_INT8), query->offset);
    pgarray_int4(pgparams_scalar(params, PG_INT4), query->index);
    return store_query(store, sql_waiting, why);
}

/* Absent where it is NULL or empty. */
static bool
keep_text(const PGresult *rows, int row, int column, struct arena *arena, struct text *out)
{
    const struct text text = pg_read_text(rows, row, column);

    *out = text.size == 0 ? (struct text){NULL, 0} : arena_text(arena, text);
    return text.size == 0 || out->at != NULL;
}

static bool
read_event(const struct store *store, const PGresult *rows, int row, struct arena *arena,
           struct unpriced_event *out)
{
    struct text *const texts[] = {&out->tenant,   &out->source,  &out->id,
                                  &out->project,  &out->feature, &out->key,
                                  &out->provider, &out->model,   &out->currency};
    tally cost = 0;

    *out = (struct unpriced_event){.topic = store_topic(store, pg_read_text(rows, row, AT_TOPIC)),
                                   .offset = pg_read_int(rows, row, AT_OFFSET),
                                   .index = (int32_t)pg_read_int(rows, row, AT_INDEX),
                                   .at_ms = pg_read_time(rows, row, AT_TIME),
                                   .hour_ms = pg_read_time(rows, row, AT_HOUR),
                                   .period_ms = pg_read_time(rows, row, AT_PERIOD),
                                   .kind = text_eq(pg_read_text(rows, row, AT_KIND), TEXT("refund"))
                                               ? EVENT_REFUND
                                               : EVENT_RECORD,
                                   .has_cost = !PQgetisnull(rows, row, AT_COST)};
    for (int i = 0; i < AT_USAGE - AT_TEXTS; i++)
        if (!keep_text(rows, row, AT_TEXTS + i, arena, texts[i]))
            return false;
    for (int u = 0; u < USAGE_COUNT; u++)
        out->usage[u] = pg_read_int(rows, row, AT_USAGE + u);
    if (!keep_text(rows, row, AT_ORIGINAL, arena, &out->original_source) ||
        !keep_text(rows, row, AT_ORIGINAL + 1, arena, &out->original_id) ||
        !pg_read_money(rows, row, AT_ESTIMATE, &out->estimate) ||
        (out->has_cost && !pg_read_money(rows, row, AT_COST, &cost)))
        return false;
    out->cost.nano = (int64_t)cost;
    return true;
}

/* ---- what refunds are of ------------------------------------------------------------------------- */

struct answers {
    struct unpriced_event **asked;
    struct arena *arena;
    bool full;
};

static void
on_original(void *context, size_t index, const struct original *original)
{
    struct answers *answers = context;
    struct original *kept = arena_take(answers->arena, sizeof *kept);
    struct text *const texts[] = {&kept->project, &kept->feature, &kept->provider, &kept->model,
                                  &kept->key};

    if (kept == NULL) {
        answers->full = true;
        return;
    }
    *kept = *original;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        answers->full |= !arena_keep(answers->arena, texts[i]);
    answers->asked[index]->original = kept;
}

static bool
seek_originals(struct store *store, struct arena *arena, const struct list *events, struct err *why)
{
    struct answers answers = {.arena = arena};
    struct sought *sought = arena_take(arena, (events->count + 1) * sizeof *sought);
    size_t count = 0;

    answers.asked = arena_take(arena, (events->count + 1) * sizeof(struct unpriced_event *));
    if (sought == NULL || answers.asked == NULL)
        return err_set(why, ERR_RETRY, "no memory for unpriced events");
    for (size_t i = 0; i < events->count; i++) {
        struct unpriced_event *event = list_at(events, i);

        if (event->original_id.at == NULL)
            continue;
        sought[count] = (struct sought){.tenant = event->tenant,
                                        .source = event->original_source,
                                        .id = event->original_id,
                                        .since_ms = INT64_MIN};
        answers.asked[count++] = event;
    }
    if (count == 0)
        return true;
    if (!store_seek_send(store, sought, count, why))
        return false;
    const int answer = store_seek_poll(store, SEEK_MS, on_original, &answers, why);

    if (answer == 0)
        return err_set(why, ERR_RETRY, "the record of settled events does not answer");
    return answer > 0 &&
           (!answers.full || err_set(why, ERR_RETRY, "no memory for what is refunded"));
}

bool
store_unpriced(struct store *store, const struct unpriced_query *query, struct arena *arena,
               struct list *events, struct err *why)
{
    PGresult *const rows = ask(store, query, why);
    bool good = rows != NULL;

    for (int row = 0; good && row < PQntuples(rows); row++) {
        struct unpriced_event *event = list_add(events);

        good = (event != NULL && read_event(store, rows, row, arena, event)) ||
               err_set(why, ERR_RETRY, "no memory for unpriced events");
    }
    PQclear(rows);
    return good && seek_originals(store, arena, events, why);
}
