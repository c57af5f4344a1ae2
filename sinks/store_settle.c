/*
 * One settlement: BEGIN, the compare-and-set of shard and positions, everything that moved, COMMIT;
 * all in one pipeline, so that it costs one round trip (and two more for the record of settled
 * events).
 */
#include "sinks/store_private.h"

#include "config/failpoint.h"
#include "config/now.h"

#include <assert.h>
#include <stdio.h>

static settle_fill fill_begin, fill_progress;

static const char sql_begin[] = "SELECT tripmeter.settle_begin($1, $2, $3, $4, $5, $6)";
static const char sql_progress[] =
    "SELECT tripmeter.settle_progress($14, $1::text[], $2::bigint[], $3::bigint[], $4::bigint[],"
    " $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],"
    " $11::timestamptz[], $12::bigint[], $13::bigint[])";

/* In this order in every settlement. Steps without rows are left out; the sums are compared even
 * when there are no rows but events were counted. */
enum step {
    STEP_BEGIN,
    STEP_PROGRESS,
    STEP_FACTS,
    STEP_KEY_FACTS,
    STEP_PERIODS,
    STEP_ADJUSTMENTS,
    STEP_QUOTAS,
    STEP_COUNTERS,
    STEP_CARRIES,
    STEP_THROTTLES,
    STEP_SLOTS,
    STEP_HOURS,
    STEP_BREAKERS,
    STEP_MOVES,
    STEP_WATCHES,
    STEP_NOTES,
    STEP_RESERVATIONS,
    STEP_DUE,
    STEP_SOURCES,
    STEP_TRANSITIONS,
    STEP_DECISIONS,
    STEP_DEAD,
    STEP_KEPT,
    STEP_GAUGES,
    STEP_TOPUPS,
    STEP_GATEWAY,
    STEP_VALUES,
    STEP_UNPRICED,
    STEP_PRICED,
    STEP_COMMANDS,
    STEP_COUNT
};
static const struct {
    const char *sql; /* NULL: see prepare_sums */
    settle_fill *fill;
} steps[STEP_COUNT] = {
    [STEP_BEGIN] = {sql_begin, fill_begin},
    [STEP_PROGRESS] = {sql_progress, fill_progress},
    [STEP_FACTS] = {NULL, fill_facts},
    [STEP_KEY_FACTS] = {NULL, fill_key_facts},
    [STEP_PERIODS] = {NULL, fill_periods},
    [STEP_ADJUSTMENTS] = {NULL, fill_adjustments},
    [STEP_QUOTAS] = {sql_quotas, fill_quotas},
    [STEP_COUNTERS] = {sql_counters, fill_counters},
    [STEP_CARRIES] = {sql_carries, fill_carries},
    [STEP_THROTTLES] = {sql_throttles, fill_throttles},
    [STEP_SLOTS] = {sql_slots, fill_slots},
    [STEP_HOURS] = {sql_hours, fill_hours},
    [STEP_BREAKERS] = {sql_breakers, fill_breakers},
    [STEP_MOVES] = {sql_moves, fill_moves},
    [STEP_WATCHES] = {sql_watches, fill_watches},
    [STEP_NOTES] = {sql_notes, fill_notes},
    [STEP_RESERVATIONS] = {sql_reservations, fill_reservations},
    [STEP_DUE] = {sql_due, fill_due},
    [STEP_SOURCES] = {sql_sources, fill_sources},
    [STEP_TRANSITIONS] = {store_transitions_sql, fill_transitions},
    [STEP_DECISIONS] = {sql_decisions, fill_decisions},
    [STEP_DEAD] = {sql_dead, fill_dead},
    [STEP_KEPT] = {sql_kept, fill_kept},
    [STEP_GAUGES] = {sql_gauges, fill_gauges},
    [STEP_TOPUPS] = {sql_topups, fill_topups},
    [STEP_GATEWAY] = {sql_gateway, fill_gateway},
    [STEP_VALUES] = {sql_values, fill_values},
    [STEP_UNPRICED] = {sql_unpriced, fill_unpriced},
    [STEP_PRICED] = {sql_priced, fill_priced},
    [STEP_COMMANDS] = {sql_commands, fill_commands},
};

/* Everything that came back. */
struct answers {
    enum step sent[STEP_COUNT]; /* in order; between BEGIN and COMMIT */
    size_t sent_count;
    bool begun; /* before the pipeline */
    bool committed;
    PGresult *error;   /* the first */
    PGresult *periods; /* totals */
};

static bool
fill_begin(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    const struct settlement *const settlement = input->settlement;
    struct pgparams *const params = store_params(store);

    (void)why;
    pgarray_int4(pgparams_scalar(params, PG_INT4), settlement->shard);
    pgarray_int8(pgparams_scalar(params, PG_INT8), settlement->epoch);
    pgarray_int8(pgparams_scalar(params, PG_INT8), settlement->seq);
    pgarray_time(pgparams_scalar(params, PG_TIME), settlement->time_ms);
    pgarray_int8(pgparams_scalar(params, PG_INT8), settlement->policy);
    pgarray_time(pgparams_scalar(params, PG_TIME), settlement->closed_ms);
    *rows = 1;
    return true;
}

static bool
fill_progress(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    struct pgparams *const params = store_params(store);

    (void)why;
    (void)pgparams_array(params, PG_TEXT);
    for (int i = 0; i < 9; i++)
        (void)pgparams_array(params, PG_INT8);
    (void)pgparams_array(params, PG_TIME);
    (void)pgparams_array(params, PG_INT8);
    (void)pgparams_array(params, PG_INT8);
    for (size_t i = 0; i < store->topic_count; i++) {
        const struct progress *const progress = &input->settlement->progress[i];
        struct pgparam *column = params->at;

        if (!progress->moved)
            continue;
        pgarray_text(column++, store->topics[i]);
        pgarray_int8(column++, progress->from);
        pgarray_int8(column++, progress->next);
        pgarray_int8(column++, progress->processed);
        pgarray_int8(column++, progress->gaps);
        pgarray_int8(column++, progress->counted);
        pgarray_int8(column++, progress->keyed);
        pgarray_int8(column++, progress->duplicates);
        pgarray_int8(column++, progress->dead);
        pgarray_int8(column++, progress->ignored);
        pgarray_time(column++, progress->time_ms);
        pgarray_int8(column++, progress->last_offset);
        pgarray_int8(column, (int64_t)progress->last_fingerprint);
        ++*rows;
    }
    pgarray_int4(pgparams_scalar(params, PG_INT4), input->settlement->shard);
    return true;
}

/* ---- once a connection --------------------------------------------------------------------------- */

static const char *
step_name(enum step step, char out[16])
{
    (void)snprintf(out, 16, "settle_%d", (int)step);
    return out;
}

static bool
prepare_step(struct store *store, enum step step, const char *sql, struct err *why)
{
    char name[16];

    if (sql == NULL)
        return err_set(why, ERR_RETRY, "no memory for a settlement");
    return store_prepare(store, step_name(step, name), sql, why);
}

static bool
prepare(struct store *store, struct err *why)
{
    for (enum step step = 0; step < STEP_COUNT; step++)
        if (steps[step].sql != NULL && !prepare_step(store, step, steps[step].sql, why))
            return false;
    store->prepared = true;
    return true;
}

/* The statements on sums take the columns that some settlement of this connection needed: most are
 * never used, and what is not sent costs nobody anything. */
static bool
prepare_sums(struct store *store, const struct settlement *settlement, struct err *why)
{
    static const enum step of_sums[SUMS_COUNT] = {STEP_FACTS, STEP_KEY_FACTS, STEP_PERIODS,
                                                  STEP_ADJUSTMENTS};

    for (enum sums sums = 0; sums < SUMS_COUNT; sums++) {
        const uint32_t before = store->sums_used[sums];
        const uint32_t used = before | store_sums_used(sums, settlement);
        char sql[32] = "DEALLOCATE ";

        if (used == before)
            continue;
        (void)step_name(of_sums[sums], sql + strlen(sql));
        store->sums_used[sums] = 0;
        if ((before != 0 && !pg_run(&store->pg, sql, why)) ||
            !prepare_step(store, of_sums[sums], store_sums_sql(sums, used, store->arena), why))
            return false;
        store->sums_used[sums] = used;
    }
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static bool
send_plain(struct store *store, const char *sql, struct err *why)
{
    return PQsendQueryParams(store->pg.conn, sql, 0, NULL, NULL, NULL, NULL, 1) == 1 ||
           pg_error(&store->pg, NULL, why);
}

static bool
needed(enum step step, const struct settle_input *input, size_t rows)
{
    return rows > 0 || (step == STEP_FACTS && input->counted != 0) ||
           (step == STEP_KEY_FACTS && input->keyed != 0);
}

static bool
send_step(struct store *store, enum step step, const struct settle_input *input, size_t *rows,
          struct err *why)
{
    char name[16];

    *rows = 0;
    if (!steps[step].fill(store, input, rows, why))
        return false;
    if (!pgparams_ready(&store->params))
        return err_set(why, ERR_RETRY, "no memory for a settlement");
    if (!needed(step, input, *rows))
        return true;
    return PQsendQueryPrepared(store->pg.conn, step_name(step, name), (int)store->params.count,
                               store->params.values, store->params.lengths, store->params.formats,
                               1) == 1 ||
           pg_error(&store->pg, NULL, why);
}

/* A stumble on the way: what was queued so far is in the server's hands when it happens. */
static bool
pass(struct store *store, enum failpoint place, int64_t number, struct err *why)
{
    if (!failpoint_any)
        return true;
    (void)pg_flush(&store->pg, now_steady_ms() + store->pg.answer_ms);
    if (failpoint(place, number))
        store->pg.broken = true;
    return !store->pg.broken || pg_error(&store->pg, NULL, why);
}

/* The record of settled events, where it is kept, goes first: it opens the transaction. What the
 * server refuses of it is an answer. */
static bool
send_record(struct store *store, const struct settlement *settlement, struct answers *answers,
            struct settle_result *result, struct err *why)
{
    if (settlement->events.count == 0)
        return true;
    if (!store_copy_events(store, settlement, &answers->error, why))
        return answers->error != NULL;
    answers->begun = true;
    result->rows += settlement->events.count;
    return pass(store, FAIL_settle_record, -1, why);
}

static bool
send_all(struct store *store, const struct settle_input *input, struct answers *answers,
         struct settle_result *result, struct err *why)
{
    if (!answers->begun && !send_plain(store, "BEGIN", why))
        return false;
    for (enum step step = 0; step < STEP_COUNT; step++) {
        size_t rows;

        if (!pass(store, FAIL_settle_rows, (int64_t)step, why) ||
            !send_step(store, step, input, &rows, why))
            return false;
        result->rows += rows;
        if (needed(step, input, rows))
            answers->sent[answers->sent_count++] = step;
    }
    return pass(store, FAIL_settle_commit, -1, why) && send_plain(store, "COMMIT", why) &&
           (PQpipelineSync(store->pg.conn) == 1 || pg_error(&store->pg, NULL, why)) &&
           pass(store, FAIL_settle_commit_sent, -1, why);
}

/* ---- answers ------------------------------------------------------------------------------------- */

static void
take_answer(struct answers *answers, size_t at, PGresult *answer, struct settle_result *result)
{
    const enum step step =
        at >= 1 && at <= answers->sent_count ? answers->sent[at - 1] : STEP_COUNT;

    switch (PQresultStatus(answer)) {
    case PGRES_TUPLES_OK:
        if (step == STEP_TRANSITIONS)
            result->transitions = (size_t)pg_read_int(answer, 0, 0);
        if (step == STEP_PERIODS) {
            answers->periods = answer;
            return;
        }
        break;
    case PGRES_COMMAND_OK:
        /* COMMIT of a transaction that has failed answers ROLLBACK, without an error. */
        if (at == answers->sent_count + 1)
            answers->committed = strcmp(PQcmdStatus(answer), "COMMIT") == 0;
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        if (answers->error == NULL) {
            answers->error = answer;
            return;
        }
        break;
    }
    PQclear(answer);
}

/* Reads up to the end of the pipeline; a NULL ends each statement. */
static void
take_answers(struct store *store, struct answers *answers, struct settle_result *result)
{
    size_t at = answers->begun ? 1 : 0;
    bool ended = true;

    while (!store->pg.broken) {
        PGresult *const answer = pg_next(&store->pg);

        if (answer == NULL && (ended || at > answers->sent_count + 1))
            store->pg.broken = true; /* two ends in a row: nothing more will come */
        else if (answer == NULL)
            at++;
        else if (PQresultStatus(answer) == PGRES_PIPELINE_SYNC) {
            PQclear(answer);
            return;
        } else
            take_answer(answers, at, answer, result);
        ended = answer == NULL;
    }
}

static enum settled
outcome_of(const char *state)
{
    if (strcmp(state, "TM001") == 0)
        return SETTLE_FENCED;
    if (strcmp(state, "TM002") == 0)
        return SETTLED;
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0)
        return SETTLE_REFUSED;
    /* Ours to have got wrong: positions, sums, a key twice in one statement. */
    if (strncmp(state, "TM", 2) == 0 || strcmp(state, "21000") == 0)
        return SETTLE_IMPOSSIBLE;
    return SETTLE_UNKNOWN;
}

static enum settled
judge(struct store *store, const struct settlement *settlement, const struct answers *answers,
      struct settle_result *result, struct err *why)
{
    if (answers->committed) {
        if (answers->periods != NULL &&
            !store_compare_periods(store, settlement, answers->periods, result, why))
            return SETTLE_IMPOSSIBLE;
        result->dead_count = settlement->dead.count;
        return SETTLED;
    }
    (void)pg_error(&store->pg, answers->error, why);
    const enum settled outcome = outcome_of(pg_state(answers->error));

    *result = (struct settle_result){.resent = outcome == SETTLED};
    if (outcome == SETTLED)
        result->dead_count = settlement->dead.count;
    (void)err_wrap(why, "settlement %lld of shard %d in epoch %lld", (long long)settlement->seq,
                   (int)settlement->shard, (long long)settlement->epoch);
    return outcome;
}

/* Leaves the connection ready for the next one, or broken. */
static void
clean_up(struct store *store)
{
    if (store->pg.broken)
        return;
    if (PQexitPipelineMode(store->pg.conn) == 0) {
        store->pg.broken = true;
        return;
    }
    if (PQtransactionStatus(store->pg.conn) != PQTRANS_IDLE)
        store_rollback(store);
    store_end_silent(store);
}

/* Sends everything and takes the answers. False: it ended half-way. */
static bool
exchange(struct store *store, const struct settle_input *input, struct answers *answers,
         struct settle_result *result, struct err *why)
{
    if (!pass(store, FAIL_settle_begin, -1, why) ||
        !send_record(store, input->settlement, answers, result, why))
        return false;
    if (answers->error != NULL)
        return true;
    if (PQenterPipelineMode(store->pg.conn) == 0 || !send_all(store, input, answers, result, why))
        return false;
    take_answers(store, answers, result);
    return true;
}

enum settled
store_settle(struct store *store, const struct config *config, const struct settlement *settlement,
             struct settle_result *result, struct err *why)
{
    struct settle_input input = {.settlement = settlement};
    struct answers answers = {.sent_count = 0};

    (void)config;
    assert(settlement->topic_count == store->topic_count);
    *result = (struct settle_result){.rows = 0};
    for (size_t i = 0; i < settlement->topic_count; i++) {
        input.counted += settlement->progress[i].counted;
        input.keyed += settlement->progress[i].keyed;
    }
    arena_clear(store->arena);
    if (store->pg.broken) {
        (void)pg_error(&store->pg, NULL, why);
        return SETTLE_UNKNOWN;
    }
    if ((!store->prepared && !prepare(store, why)) || !prepare_sums(store, settlement, why))
        return SETTLE_UNKNOWN;
    if (!exchange(store, &input, &answers, result, why)) {
        /* Half a transaction cannot be taken back: the server rolls back with the connection. */
        store->pg.broken = true;
        return why->class == ERR_INPUT ? SETTLE_REFUSED : SETTLE_UNKNOWN;
    }
    if (failpoint(FAIL_settle_commit_answered, -1)) {
        PQclear(answers.error);
        PQclear(answers.periods);
        answers = (struct answers){.sent_count = 0};
        store->pg.broken = true;
    }
    const enum settled outcome = judge(store, settlement, &answers, result, why);

    clean_up(store);
    PQclear(answers.error);
    PQclear(answers.periods);
    return outcome;
}
