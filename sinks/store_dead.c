/* Dead letters on their way to the dead-letter topic. */
#include "sinks/store_private.h"

static enum dead_reason
reason_of(struct text name)
{
    enum dead_reason reason = 0;

    while (reason < DEAD_COUNT && !text_eq(name, text_of(dead_names[reason])))
        reason++;
    return reason;
}

static bool
read_letter(const struct store *store, const PGresult *rows, int row, struct dead_letter *out)
{
    *out = (struct dead_letter){
        .topic = store_topic(store, pg_read_text(rows, row, 0)),
        .offset = pg_read_int(rows, row, 1),
        .index = (int32_t)pg_read_int(rows, row, 2),
        .time_ms = pg_read_time(rows, row, 3),
        .why.reason = reason_of(pg_read_text(rows, row, 4)),
        .tenant = pg_read_text(rows, row, 6),
        .source = pg_read_text(rows, row, 7),
        .id = pg_read_text(rows, row, 8),
        .fingerprint = (uint64_t)pg_read_int(rows, row, 10),
        .value = pg_read_text(rows, row, 11),
    };
    (void)text_copy(out->why.detail, sizeof out->why.detail, pg_read_text(rows, row, 5));
    (void)text_copy(out->hash, sizeof out->hash, pg_read_text(rows, row, 9));
    /* A topic or a reason of another configuration or program: not ours to publish. */
    return out->topic >= 0 && out->why.reason < DEAD_COUNT;
}

bool
store_dead_unpublished(struct store *store, int32_t shard, store_on_dead *on_dead, void *context,
                       struct err *why)
{
    struct dead_letter letter;

    pgarray_int4(pgparams_scalar(store_params(store), PG_INT4), shard);
    PGresult *const rows = store_query(
        store,
        "SELECT topic, record_offset, event_index, at, reason, detail, tenant, source, id, hash,"
        " fingerprint, payload FROM tripmeter.dead_letter"
        " WHERE partition = $1 AND published_at IS NULL ORDER BY record_offset, topic, event_index"
        " LIMIT 1000",
        why);

    if (rows == NULL)
        return false;
    for (int row = 0; row < PQntuples(rows); row++)
        if (read_letter(store, rows, row, &letter))
            on_dead(context, &letter, shard);
    PQclear(rows);
    return true;
}

bool
store_dead_published(struct store *store, int32_t shard, const struct dead_letter *dead,
                     size_t count, struct err *why)
{
    struct pgparams *const params = store_params(store);
    struct pgparam *const topics = pgparams_array(params, PG_TEXT);
    struct pgparam *const offsets = pgparams_array(params, PG_INT8);
    struct pgparam *const indexes = pgparams_array(params, PG_INT4);

    for (size_t i = 0; i < count; i++) {
        pgarray_text(topics, store->topics[dead[i].topic]);
        pgarray_int8(offsets, dead[i].offset);
        pgarray_int4(indexes, dead[i].index);
    }
    pgarray_int4(pgparams_scalar(params, PG_INT4), shard);
    PGresult *const done =
        store_query(store,
                    "UPDATE tripmeter.dead_letter l SET published_at = clock_timestamp()"
                    " FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS d(topic, at_, index_)"
                    " WHERE l.topic = d.topic AND l.partition = $4 AND l.record_offset = d.at_"
                    " AND l.event_index = d.index_ AND l.published_at IS NULL",
                    why);

    PQclear(done);
    return done != NULL;
}
