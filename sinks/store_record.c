/*
 * The record of settled events: rows go in by COPY, the quickest way in that Postgres has.
 *
 * COPY is not possible within a pipeline, so that it opens the settlement's transaction: what the
 * pipeline behind it finds (another owner, committed before) takes the rows back with everything
 * else.
 */
#include "sinks/store_private.h"

#include "config/now.h"
#include "core/clock.h"
#include "core/identity.h"

#include <stdio.h>

#define CHUNK_SIZE  ((size_t)256 << 10)
#define AHEAD_DAYS  3
#define BYTES_OF_GB INT64_C(1000000000)

/* Columns that are not NULL, in this order; then the counts of `kept_counts`, then money. */
static const char sql_copy[] =
    "BEGIN; COPY tripmeter.settled_event (recorded_at, at, hour, period, identity, original,"
    " content, record_offset, policy, price_version, charge_version, partition, event_index, "
    "attempt, reversal,"
    " kind, topic, tenant, source, id, project, feature, provider, model, key, request_id,"
    " original_source, original_id, charge_rule, cost, charge, refunded, estimate, requests, "
    "attempts, failed,"
    " input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,"
    " images, audio_ms, bytes, unpriced, unverified, estimated, zero_cost, clamped)"
    " FROM STDIN (FORMAT binary)";
enum { FIELDS_BEFORE_COUNTS = 33, FIELDS = FIELDS_BEFORE_COUNTS + COUNT_COUNT - 1 };

/* Every count but `events`, which is 1 of every row that is no reversal. */
static void
add_counts(struct pgparam *copy, const struct amounts *amounts)
{
    for (size_t i = COUNT_events + 1; i < COUNT_COUNT; i++)
        if (amounts->count[i] == 0)
            pgarray_null(copy);
        else
            pgarray_int8(copy, amounts->count[i]);
}

static void
add_version(struct pgparam *copy, int64_t from_ms)
{
    if (from_ms < 0)
        pgarray_null(copy);
    else
        pgarray_time(copy, from_ms);
}

static void
add_place(struct pgparam *copy, const struct settlement *settlement,
          const struct settled_event *event, const struct fact *fact)
{
    pgarray_time(copy, event->time_ms);
    pgarray_time(copy, event->at_ms);
    pgarray_time(copy, fact->hour_ms);
    pgarray_time(copy, fact->period_ms);
    pgarray_int8(copy, identity_settled(fact->tenant, event->source, event->id));
    if (event->original_id.at == NULL)
        pgarray_null(copy);
    else
        pgarray_int8(copy,
                     identity_settled(fact->tenant, event->original_source, event->original_id));
    pgarray_int8(copy, (int64_t)event->content);
    pgarray_int8(copy, event->offset);
    pgarray_int8(copy, event->policy);
    add_version(copy, event->price_version);
    add_version(copy, event->charge_version);
    pgarray_int4(copy, settlement->shard);
    pgarray_int4(copy, event->index);
    pgarray_int4(copy, event->attempt);
    pgarray_bool(copy, event->reversal);
}

static void
add_event(struct store *store, const struct settlement *settlement,
          const struct settled_event *event)
{
    const struct fact *const fact = list_at(&settlement->facts, event->fact);
    struct pgparam *const copy = &store->copy;

    pgcopy_row(copy, FIELDS);
    add_place(copy, settlement, event, fact);
    pgarray_text(copy, text_of(event->price ? "price" : event_kind_names[event->kind]));
    pgarray_text(copy, store->topics[event->topic]);
    pgarray_text(copy, fact->tenant);
    pgarray_text(copy, event->source);
    pgarray_text(copy, event->id);
    pgarray_text(copy, fact->project);
    pgarray_text(copy, fact->feature);
    pgarray_text(copy, fact->provider);
    pgarray_text(copy, fact->model);
    pgarray_text(copy, event->key);
    pgarray_text(copy, event->request_id);
    pgarray_text_or_null(copy, event->original_source);
    pgarray_text_or_null(copy, event->original_id);
    pgarray_text_or_null(copy, event->charge_rule);
    pgarray_money(copy, event->amounts.cost);
    pgarray_money(copy, event->amounts.charge);
    pgarray_money(copy, event->amounts.refunded);
    if (event->amounts.estimate == 0)
        pgarray_null(copy);
    else
        pgarray_money(copy, event->amounts.estimate);
    add_counts(copy, &event->amounts);
}

/* What is in the buffer goes to the server, which has read it when this returns. */
static bool
send_chunk(struct store *store, struct err *why)
{
    if (store->copy.failed)
        return err_set(why, ERR_RETRY, "no memory for the record of settled events");
    if (PQputCopyData(store->pg.conn, store->copy.at, (int)store->copy.size) != 1 ||
        !pg_flush(&store->pg, now_steady_ms() + store->pg.answer_ms))
        return pg_error(&store->pg, NULL, why);
    store->copy.size = 0;
    return true;
}

static bool
send_rows(struct store *store, const struct settlement *settlement, struct err *why)
{
    pgcopy_begin(&store->copy);
    for (size_t i = 0; i < settlement->events.count; i++) {
        add_event(store, settlement, list_at(&settlement->events, i));
        if (store->copy.size >= CHUNK_SIZE && !send_chunk(store, why))
            return false;
    }
    pgcopy_end(&store->copy);
    return send_chunk(store, why) &&
           (PQputCopyEnd(store->pg.conn, NULL) == 1 || pg_error(&store->pg, NULL, why));
}

/* The first answer that is no success, or that asks for rows; NULL at the end. */
static PGresult *
next_answer(struct store *store)
{
    PGresult *answer = pg_next(&store->pg);

    while (PQresultStatus(answer) == PGRES_COMMAND_OK) {
        PQclear(answer);
        answer = pg_next(&store->pg);
    }
    return answer;
}

/* Takes the rest of the answers, so that the next statement can be sent. */
static bool
refuse(struct store *store, PGresult *answer, PGresult **refused, struct err *why)
{
    PGresult *more;

    (void)pg_error(&store->pg, answer, why);
    while ((more = pg_next(&store->pg)) != NULL)
        PQclear(more);
    *refused = answer;
    return false;
}

bool
store_copy_events(struct store *store, const struct settlement *settlement, PGresult **refused,
                  struct err *why)
{
    if (PQsendQuery(store->pg.conn, sql_copy) == 0)
        return pg_error(&store->pg, NULL, why);
    PGresult *answer = next_answer(store);

    if (answer == NULL)
        return pg_error(&store->pg, NULL, why);
    if (PQresultStatus(answer) != PGRES_COPY_IN)
        return refuse(store, answer, refused, why);
    PQclear(answer);
    if (!send_rows(store, settlement, why)) {
        store->pg.broken = true; /* half a row cannot be taken back */
        return false;
    }
    answer = next_answer(store);
    if (answer != NULL)
        return refuse(store, answer, refused, why);
    return !store->pg.broken || pg_error(&store->pg, NULL, why);
}

/* ---- days -------------------------------------------------------------------------------------- */

static bool
raise_dropped(struct store *store, int64_t now_ms, struct text last, int64_t days, struct err *why)
{
    char summary[256];
    char day[CLOCK_TEXT_SIZE];
    struct transition transition = {.move = MOVE_FIRE,
                                    .rule = TEXT("engine/record_size"),
                                    .severity = SEVERITY_WARNING,
                                    .at_ms = now_ms,
                                    .zone = TEXT("UTC")};

    (void)snprintf(summary, sizeof summary,
                   "the record of settled events outgrew record.keep_gb: %lld of its oldest days "
                   "are gone before their time, up to %.*s",
                   (long long)days, (int)last.size, last.at);
    transition.summary = text_of(summary);
    transition.labels[LABEL_PERIOD] = text_of(clock_format(now_ms - now_ms % CLOCK_DAY_MS, day));
    return store_raise(store, &transition, why);
}

bool
store_maintain_record(struct store *store, const struct config *config, int64_t now_ms,
                      struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_int4(pgparams_scalar(params, PG_INT4), config->record.on ? AHEAD_DAYS : -1);
    pgarray_int4(pgparams_scalar(params, PG_INT4),
                 (int32_t)(config->record.keep_ms / CLOCK_DAY_MS));
    pgarray_int8(pgparams_scalar(params, PG_INT8), config->record.keep_gb * BYTES_OF_GB);
    pgarray_time(pgparams_scalar(params, PG_TIME), now_ms);
    PGresult *const done =
        store_query(store,
                    "SELECT count(*), max(name) FROM tripmeter.maintain_record($1, $2,"
                    " nullif($3::bigint, 0), $4) WHERE action = 'dropped for size'",
                    why);

    if (done == NULL)
        return false;
    const int64_t days = pg_read_int(done, 0, 0);
    const bool good =
        days == 0 || raise_dropped(store, now_ms, pg_read_text(done, 0, 1), days, why);

    PQclear(done);
    return good;
}
