#include "sinks/store_private.h"

#include "config/failpoint.h"

#define EVENTS_A_RECORD 4096

static bool
claim_shard(struct store *store, const char *owner, struct claim *claim, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_int4(pgparams_scalar(params, PG_INT4), claim->shard);
    pgarray_text(pgparams_scalar(params, PG_TEXT), text_of(owner));
    pgarray_int8(pgparams_scalar(params, PG_INT8), claim->epoch);
    pgarray_int8(pgparams_scalar(params, PG_INT8), claim->seq);
    PGresult *const row = store_query(
        store,
        "SELECT kept, epoch, settle_seq, shard_time, policy, enforcing, claims, closed_to"
        " FROM tripmeter.claim($1, $2, $3, $4)",
        why);

    if (row == NULL)
        return false;
    claim->kept = pg_read_bool(row, 0, 0);
    claim->epoch = pg_read_int(row, 0, 1);
    claim->seq = pg_read_int(row, 0, 2);
    claim->time_ms = pg_read_time(row, 0, 3);
    claim->policy = pg_read_int(row, 0, 4);
    claim->enforcing = pg_read_bool(row, 0, 5);
    claim->claims = (int32_t)pg_read_int(row, 0, 6);
    claim->closed_ms = pg_read_time(row, 0, 7);
    PQclear(row);
    return true;
}

static void
read_topic(const PGresult *rows, int row, struct progress *progress, int64_t *attempting)
{
    *progress = (struct progress){.from = -1, .next = -1, .last_offset = -1};
    if (!PQgetisnull(rows, row, 0)) {
        progress->from = progress->next = pg_read_int(rows, row, 0);
        progress->time_ms = pg_read_time(rows, row, 1);
        progress->last_offset = pg_read_int(rows, row, 2);
        /* The bits of an unsigned number in a signed column. */
        progress->last_fingerprint = (uint64_t)pg_read_int(rows, row, 3);
    }
    *attempting = PQgetisnull(rows, row, 4) ? -1 : pg_read_int(rows, row, 4);
    if (*attempting < progress->next)
        *attempting = -1;
}

static bool
read_progress(struct store *store, struct claim *claim, struct arena *arena, struct err *why)
{
    pgarray_int4(pgparams_scalar(store_params(store), PG_INT4), claim->shard);
    store_topics(store);
    PGresult *const rows = store_query(
        store,
        "SELECT p.next_offset, p.record_time, p.last_offset, p.last_fingerprint,"
        " (s.attempting->>u.topic)::bigint,"
        " (SELECT coalesce(max(c.id), 0) FROM tripmeter.command c"
        "  WHERE c.shard = s.shard AND c.applied_at IS NULL),"
        " tripmeter.is_halted(u.topic, s.shard), s.inherits_to,"
        " (SELECT coalesce(max(l.partitions), 0) FROM tripmeter.layout l),"
        " (SELECT coalesce(max(g.epoch), 0) FROM tripmeter.growth g)"
        " FROM tripmeter.shard s CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS u(topic, ord)"
        " LEFT JOIN tripmeter.progress p ON p.topic = u.topic AND p.partition = s.shard"
        " WHERE s.shard = $1 ORDER BY u.ord",
        why);

    if (rows == NULL)
        return false;
    claim->progress = arena_take(arena, store->topic_count * sizeof *claim->progress);
    claim->attempting = arena_take(arena, store->topic_count * sizeof *claim->attempting);
    const bool room = claim->progress != NULL && claim->attempting != NULL;

    claim->command_waiting = PQntuples(rows) > 0 ? pg_read_int(rows, 0, 5) : 0;
    claim->inherits_ms = PQntuples(rows) > 0 ? pg_read_time(rows, 0, 7) : 0;
    claim->partitions = PQntuples(rows) > 0 ? (int32_t)pg_read_int(rows, 0, 8) : 0;
    claim->layout_epoch = PQntuples(rows) > 0 ? pg_read_int(rows, 0, 9) : 0;
    for (int row = 0; room && row < PQntuples(rows); row++) {
        read_topic(rows, row, &claim->progress[row], &claim->attempting[row]);
        claim->halted[row] = pg_read_bool(rows, row, 6);
    }
    PQclear(rows);
    return room || err_set(why, ERR_RETRY, "no memory to claim shard %d", (int)claim->shard);
}

/* Positions that the tail must skip, for they were refused: of one topic, rising. */
static bool
read_dead(struct store *store, struct claim *claim, size_t topic, struct arena *arena,
          struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_text(pgparams_scalar(params, PG_TEXT), store->topics[topic]);
    pgarray_int4(pgparams_scalar(params, PG_INT4), claim->shard);
    pgarray_int8(pgparams_scalar(params, PG_INT8),
                 claim->progress[topic].next - store->dedupe_records);
    PGresult *const rows =
        store_query(store,
                    "SELECT record_offset, event_index FROM tripmeter.dead_letter"
                    " WHERE topic = $1 AND partition = $2 AND record_offset >= $3"
                    " AND resolved_at IS NULL AND NOT remembered ORDER BY 1, 2",
                    why);

    if (rows == NULL)
        return false;
    const size_t count = (size_t)PQntuples(rows);

    claim->dead[topic] = arena_take(arena, (count + 1) * sizeof *claim->dead[topic]);
    claim->dead_count[topic] = count;
    for (size_t i = 0; claim->dead[topic] != NULL && i < count; i++)
        claim->dead[topic][i] =
            pg_read_int(rows, (int)i, 0) * EVENTS_A_RECORD + pg_read_int(rows, (int)i, 1);
    PQclear(rows);
    return claim->dead[topic] != NULL ||
           err_set(why, ERR_RETRY, "no memory for the dead letters of shard %d", (int)claim->shard);
}

static bool
claim_all(struct store *store, const char *owner, struct claim *claim, struct arena *arena,
          struct err *why)
{
    if (!claim_shard(store, owner, claim, why) || !read_progress(store, claim, arena, why))
        return false;
    for (size_t topic = 0; topic < store->topic_count; topic++) {
        claim->dead[topic] = NULL;
        claim->dead_count[topic] = 0;
        if (!claim->kept && !read_dead(store, claim, topic, arena, why))
            return false;
    }
    return true;
}

bool
store_claim(struct store *store, const char *owner, struct claim *claim, struct arena *arena,
            struct err *why)
{
    if (failpoint(FAIL_claim_before, -1))
        return err_set(why, ERR_RETRY, "failpoint claim_before");
    if (store_begin(store, why) && claim_all(store, owner, claim, arena, why) &&
        store_commit(store, why)) {
        if (!failpoint(FAIL_claim_after, -1))
            return true;
        store->pg.broken = true;
        return err_set(why, ERR_RETRY, "failpoint claim_after");
    }
    store_rollback(store);
    store_end_silent(store);
    return err_wrap(why, "claiming shard %d", (int)claim->shard);
}

bool
store_attempting(struct store *store, const struct settlement *refused, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_int4(pgparams_scalar(params, PG_INT4), refused->shard);
    pgarray_int8(pgparams_scalar(params, PG_INT8), refused->epoch);
    pgarray_int8(pgparams_scalar(params, PG_INT8), refused->seq);
    store_topics(store);
    struct pgparam *const offsets = pgparams_array(params, PG_INT8);

    for (size_t i = 0; i < store->topic_count; i++)
        pgarray_int8(offsets, refused->progress[i].moved ? refused->progress[i].next - 1 : -1);
    PGresult *const done =
        store_query(store, "SELECT tripmeter.attempt($1, $2, $3, $4::text[], $5::bigint[])", why);

    PQclear(done);
    return done != NULL;
}

bool
store_try(struct store *store, const struct trial *trial, int32_t *times, struct err *why)
{
    struct pgparams *const params = store_params(store);

    pgarray_int4(pgparams_scalar(params, PG_INT4), trial->shard);
    pgarray_int8(pgparams_scalar(params, PG_INT8), trial->epoch);
    pgarray_text(pgparams_scalar(params, PG_TEXT), text_of(trial->topic));
    pgarray_int8(pgparams_scalar(params, PG_INT8), trial->offset);
    PGresult *const row = store_query(store, "SELECT tripmeter.try_record($1, $2, $3, $4)", why);

    if (row != NULL)
        *times = (int32_t)pg_read_int(row, 0, 0);
    PQclear(row);
    return row != NULL;
}
