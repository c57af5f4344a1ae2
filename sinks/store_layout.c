/* The layout: topics and their partition count, and how it changes (schemas/migrations/0017). */
#include "sinks/store_private.h"

#define GROWTH_ANSWER_MS (11 * CLOCK_MINUTE_MS)

static bool
layout_refused(const struct store *store, const PGresult *stored, int32_t partitions,
               struct err *why)
{
    char names[256] = "";
    size_t used = 0;

    for (int i = 0; i < PQntuples(stored) && used + 2 < sizeof names; i++) {
        used += text_copy(names + used, sizeof names - used - 1, pg_read_text(stored, i, 0));
        names[used++] = ' ';
        names[used] = '\0';
    }
    return err_set(
        why, ERR_FATAL,
        "%s was begun with topics %sof %d partitions, not with the %zu configured of %d; "
        "configure those, or give the new layout a database of its own",
        store->pg.where, names, PQntuples(stored) == 0 ? 0 : (int)pg_read_int(stored, 0, 1),
        store->topic_count, (int)partitions);
}

/* The topics are those that were stored, and have as many partitions or some more, which is the
 * matter of store_growth. */
static bool
layout_fits(const struct store *store, const PGresult *stored, int32_t partitions)
{
    if (PQntuples(stored) != (int)store->topic_count)
        return false;
    for (int i = 0; i < PQntuples(stored); i++)
        if (store_topic(store, pg_read_text(stored, i, 0)) < 0 ||
            partitions < pg_read_int(stored, i, 1))
            return false;
    return true;
}

bool
store_layout(struct store *store, const struct config *config, int32_t partitions, struct err *why)
{
    (void)config;
    (void)store_params(store);
    store_topics(store);
    pgarray_int4(pgparams_scalar(&store->params, PG_INT4), partitions);
    PGresult *const stored = store_query(
        store, "SELECT topic, partitions FROM tripmeter.store_layout($1::text[], $2)", why);

    if (stored == NULL)
        return false;
    const bool good =
        layout_fits(store, stored, partitions) || layout_refused(store, stored, partitions, why);

    PQclear(stored);
    return good;
}

bool
store_has_layout(struct store *store, bool *has, struct err *why)
{
    (void)store_params(store);
    PGresult *const row = store_query(store, "SELECT EXISTS (SELECT FROM tripmeter.layout)", why);

    if (row != NULL)
        *has = pg_read_bool(row, 0, 0);
    PQclear(row);
    return row != NULL;
}

bool
store_growth(struct store *store, const int32_t *counts, int64_t wait_ms, struct growth *growth,
             struct err *why)
{
    /* The switch writes a row for every tenant. */
    store->pg.answer_ms = GROWTH_ANSWER_MS;
    if (!pg_run(&store->pg, "SET statement_timeout = '10min'", why))
        return false;
    (void)store_params(store);
    store_topics(store);
    struct pgparam *const numbers = pgparams_array(&store->params, PG_INT4);

    for (size_t i = 0; i < store->topic_count; i++)
        pgarray_int4(numbers, counts[i]);
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), wait_ms);
    PGresult *const row = store_query(store,
                                      "SELECT partitions, ask_ends, waits"
                                      " FROM tripmeter.growth_look($1::text[], $2::integer[], $3)",
                                      why);

    if (row == NULL)
        return false;
    *growth = (struct growth){.partitions = (int32_t)pg_read_int(row, 0, 0),
                              .ask_ends = pg_read_bool(row, 0, 1)};
    (void)text_copy(growth->waits, sizeof growth->waits, pg_read_text(row, 0, 2));
    PQclear(row);
    return true;
}

bool
store_growth_ends(struct store *store, int32_t partitions, const int64_t *ends, struct err *why)
{
    (void)store_params(store);
    struct pgparam *const topics = pgparams_array(&store->params, PG_TEXT);
    struct pgparam *const parts = pgparams_array(&store->params, PG_INT4);
    struct pgparam *const offsets = pgparams_array(&store->params, PG_INT8);

    for (size_t t = 0; t < store->topic_count; t++)
        for (int32_t p = 0; p < partitions; p++) {
            pgarray_text(topics, store->topics[t]);
            pgarray_int4(parts, p);
            pgarray_int8(offsets, ends[t * (size_t)partitions + (size_t)p]);
        }
    PGresult *const done = store_query(
        store, "SELECT tripmeter.growth_ends($1::text[], $2::integer[], $3::bigint[])", why);

    PQclear(done);
    return done != NULL;
}
