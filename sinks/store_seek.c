/* What the record of settled events is asked: one query for many identities. */
#include "sinks/store_private.h"

#include "config/now.h"
#include "core/identity.h"

static const char sql_seek[] =
    "SELECT * FROM tripmeter.record_find($1::text[], $2::text[], $3::text[], $4::bigint[],"
    " $5::timestamptz[])";

/* Columns of record_find. */
enum {
    AT_ORD,
    AT_KIND,
    AT_CONTENT,
    AT_ATTEMPT,
    AT_HOUR,
    AT_PERIOD,
    AT_PERIOD_END,
    AT_REPLACED,
    AT_PROJECT,
    AT_FEATURE,
    AT_PROVIDER,
    AT_MODEL,
    AT_KEY,
    AT_AMOUNTS,
    AT_LEFT_COST = AT_AMOUNTS + COUNT_COUNT + 4,
    AT_LEFT_CHARGE,
    AT_LISTED,
};

bool
store_seek_send(struct store *store, const struct sought *sought, size_t count, struct err *why)
{
    struct pgparams *const params = store_params(store);
    struct pgparam *const columns = params->at;

    for (int i = 0; i < 3; i++)
        (void)pgparams_array(params, PG_TEXT);
    (void)pgparams_array(params, PG_INT8);
    (void)pgparams_array(params, PG_TIME);
    for (size_t i = 0; i < count; i++) {
        const struct sought *const one = &sought[i];

        pgarray_text(&columns[0], one->tenant);
        pgarray_text(&columns[1], one->source);
        pgarray_text(&columns[2], one->id);
        pgarray_int8(&columns[3], identity_settled(one->tenant, one->source, one->id));
        pgarray_time(&columns[4], one->since_ms < 0 ? 0 : one->since_ms);
    }
    if (!pgparams_ready(params))
        return err_set(why, ERR_RETRY, "no memory to ask the record of settled events");
    return PQsendQueryParams(store->pg.conn, sql_seek, (int)params->count, NULL, params->values,
                             params->lengths, params->formats, 1) == 1 ||
           pg_error(&store->pg, NULL, why);
}

static enum event_kind
kind_of(struct text name)
{
    for (enum event_kind kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (text_eq(name, text_of(event_kind_names[kind])))
            return kind;
    return EVENT_KIND_COUNT;
}

static bool
read_original(const PGresult *answer, int row, struct original *original)
{
    *original = (struct original){.kind = kind_of(pg_read_text(answer, row, AT_KIND)),
                                  .content = (uint64_t)pg_read_int(answer, row, AT_CONTENT),
                                  .attempt = (int32_t)pg_read_int(answer, row, AT_ATTEMPT),
                                  .hour_ms = pg_read_time(answer, row, AT_HOUR),
                                  .period_ms = pg_read_time(answer, row, AT_PERIOD),
                                  .period_end_ms = pg_read_time(answer, row, AT_PERIOD_END),
                                  .replaced = pg_read_bool(answer, row, AT_REPLACED),
                                  .project = pg_read_text(answer, row, AT_PROJECT),
                                  .feature = pg_read_text(answer, row, AT_FEATURE),
                                  .provider = pg_read_text(answer, row, AT_PROVIDER),
                                  .model = pg_read_text(answer, row, AT_MODEL),
                                  .key = pg_read_text(answer, row, AT_KEY),
                                  .listed = pg_read_bool(answer, row, AT_LISTED)};
    return store_read_amounts(answer, row, AT_AMOUNTS, &original->amounts) &&
           pg_read_money(answer, row, AT_LEFT_COST, &original->left_cost) &&
           pg_read_money(answer, row, AT_LEFT_CHARGE, &original->left_charge);
}

static bool
pass_on(const PGresult *answer, store_on_original *on_original, void *context, struct err *why)
{
    for (int row = 0; row < PQntuples(answer); row++) {
        struct original original;

        if (!read_original(answer, row, &original))
            return err_set(why, ERR_RETRY, "the record holds an amount that cannot be read");
        on_original(context, (size_t)pg_read_int(answer, row, AT_ORD) - 1, &original);
    }
    return true;
}

int
store_seek_poll(struct store *store, int timeout_ms, store_on_original *on_original, void *context,
                struct err *why)
{
    const int64_t deadline_ms = now_steady_ms() + timeout_ms;

    if (!pg_flush(&store->pg, now_steady_ms() + store->pg.answer_ms))
        return pg_error(&store->pg, NULL, why) ? 1 : -1;
    const int ready = pg_wait(&store->pg, timeout_ms > 0 ? deadline_ms - now_steady_ms() : 0);

    if (ready == 0)
        return 0;
    PGresult *const answer = ready < 0 ? NULL : pg_next(&store->pg);
    bool good = PQresultStatus(answer) == PGRES_TUPLES_OK;

    if (!good)
        (void)pg_error(&store->pg, answer, why);
    else
        good = pass_on(answer, on_original, context, why);
    PQclear(answer);
    for (PGresult *more = pg_next(&store->pg); more != NULL; more = pg_next(&store->pg))
        PQclear(more);
    return good ? 1 : -1;
}
