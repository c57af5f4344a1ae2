/*
 * Loading tenants: one pipeline of a few statements, whose answers are walked side by side, for all
 * of them are ordered by the place of the tenant in the question.
 */
#include "sinks/store_private.h"

#include "config/now.h"
#include "core/baseline.h"

#include <stdio.h>

/* A tenant that has no row yet or a provisional one belongs to the shard its first event came to.
 * Rows that are settled are not touched: ON CONFLICT would lock them. */
static const char sql_homes[] =
    "INSERT INTO tripmeter.tenant_shard AS t (tenant, shard, provisional)"
    " SELECT u, $2, false FROM unnest($1::text[]) AS u WHERE $3 AND NOT EXISTS"
    " (SELECT FROM tripmeter.tenant_shard s WHERE s.tenant = u AND NOT s.provisional)"
    " ORDER BY u COLLATE \"C\""
    " ON CONFLICT (tenant) DO UPDATE SET shard = excluded.shard, provisional = false"
    " WHERE t.provisional";

/* The contract as the JSON that `tripmeter tenant set` takes, whole and without the limits. */
static const char sql_tenants[] =
    "SELECT coalesce(t.shard, -1), v.version,"
    " jsonb_strip_nulls(jsonb_build_object('plan', v.plan, 'zone', v.zone, 'cycle', v.cycle,"
    " 'currency', v.currency, 'charge', v.charge, 'limits', v.limits, 'projects', "
    "v.projects))::text,"
    " jsonb_strip_nulls(jsonb_build_object('plan', v.plan, 'zone', v.zone, 'cycle', v.cycle,"
    " 'currency', v.currency, 'charge', v.charge))::text, coalesce(t.due_at, 'infinity'),"
    " coalesce(t.restricted, false)"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " LEFT JOIN tripmeter.tenant_shard t USING (tenant)"
    " LEFT JOIN LATERAL (SELECT * FROM tripmeter.tenant_version w WHERE w.tenant = n.tenant"
    " ORDER BY w.version DESC LIMIT 1) v ON true ORDER BY n.ord";

/* Since when the tenant has had its last plans. */
static const char sql_plans[] =
    "SELECT n.ord, p.plan, p.created_at FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " CROSS JOIN LATERAL (SELECT v.version, v.plan, v.created_at FROM ("
    "SELECT w.version, w.plan, w.created_at,"
    " lag(w.version) OVER o IS NULL OR lag(w.plan) OVER o IS DISTINCT FROM w.plan AS changed"
    " FROM tripmeter.tenant_version w WHERE w.tenant = n.tenant"
    " WINDOW o AS (ORDER BY w.version)) v WHERE v.changed ORDER BY v.version DESC LIMIT 8) p"
    " ORDER BY n.ord, p.version";

_Static_assert(TENANT_PLAN_LIMIT == 8, "as many as sql_plans asks for");

/* What is not over, and what a quota that rolls over may have to be closed or reckoned again with.
 * The columns from 5 on are those of struct amounts; see sql_periods(). */
#define SQL_PERIODS_FROM                                                                    \
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"                            \
    " CROSS JOIN LATERAL (SELECT min(q.period) AS period FROM tripmeter.quota_period q"     \
    " WHERE q.tenant = n.tenant AND NOT q.is_final AND $2 < 'infinity'::timestamptz) carry" \
    " JOIN tripmeter.period_total p ON p.tenant = n.tenant"                                 \
    " WHERE p.period_end > $2 OR p.period >= carry.period ORDER BY n.ord, p.project, p.period"

/* Late events must find the bounds that a period had under an earlier contract. */
static const char sql_past[] =
    "SELECT n.ord, p.period, p.period_end"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " CROSS JOIN LATERAL (SELECT t.period, t.period_end FROM tripmeter.period_total t"
    " WHERE t.tenant = n.tenant AND t.project = '' AND t.period_end <= $2 AND $2 < 'infinity'"
    " ORDER BY t.period DESC LIMIT 16) p ORDER BY n.ord";

_Static_assert(TENANT_PAST_LIMIT == 16, "as many as sql_past asks for");

/* What is open, and the latest of each: also where nothing was booked, so that what a limit of nothing
 * has told does not depend on whether its tenant stayed in memory. */
static const char sql_memories[] =
    "SELECT n.ord, q.quota, q.project, q.period, q.spent, q.spent_amount, q.is_open,"
    " q.blocked, q.since_at,"
    " q.day, q.day_number, q.day_before, q.day_warned, q.day_open, q.forecast_told, "
    "q.forecast_open, q.forecast"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.quota_state q USING (tenant)"
    " WHERE q.is_open OR q.blocked OR q.day_open OR q.forecast_open OR (q.period <= $2 AND NOT "
    "EXISTS"
    " (SELECT FROM tripmeter.quota_state l WHERE l.tenant = q.tenant AND l.quota = q.quota"
    " AND l.project = q.project AND l.period > q.period))"
    " ORDER BY n.ord, q.quota, q.project, q.period";

static const char sql_words[] =
    "SELECT ord, scope, kind, since_at, until_at, actor, reason FROM"
    " (SELECT DISTINCT ON (n.ord, w.scope) n.ord, w.*"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.operator_word w USING (tenant) ORDER BY n.ord, w.scope, w.id DESC) AS latest"
    " WHERE kind <> 'revoke' AND until_at > $2 ORDER BY ord, scope";

static const char *
sql_periods(char out[2048])
{
    size_t used = (size_t)snprintf(out, 2048, "SELECT n.ord, p.project, p.period, p.period_end");

    for (size_t i = 0; i < COUNT_COUNT; i++)
        used += (size_t)snprintf(out + used, 2048 - used, ", p.%s", count_names[i]);
    (void)snprintf(out + used, 2048 - used,
                   ", p.cost, p.charge, p.refunded, p.estimate" SQL_PERIODS_FROM);
    return out;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static void
names_param(struct store *store, const struct load_query *query)
{
    struct pgparam *const names = pgparams_array(store_params(store), PG_TEXT);

    for (size_t i = 0; i < query->count; i++)
        pgarray_text(names, query->names[i]);
}

static const char *const statements[ANSWERS] = {
    [ANSWER_HOMES] = sql_homes,
    [ANSWER_TENANTS] = sql_tenants,
    [ANSWER_PLANS] = sql_plans,
    [ANSWER_PERIODS] = NULL, /* made */
    [ANSWER_PAST] = sql_past,
    [ANSWER_QUOTAS] = sql_memories,
    [ANSWER_COUNTERS] = sql_load_counters,
    [ANSWER_CARRIES] = sql_load_carries,
    [ANSWER_THROTTLES] = sql_load_throttles,
    [ANSWER_WORDS] = sql_words,
    [ANSWER_HOURS] = sql_load_hours,
    [ANSWER_SLOTS] = sql_load_slots,
    [ANSWER_BREAKERS] = sql_load_breakers,
    [ANSWER_WATCHES] = sql_load_watches,
    [ANSWER_RESERVATIONS] = sql_load_reservations,
};

static const char *
statement(enum load_answer answer, char made[2048])
{
    return statements[answer] == NULL ? sql_periods(made) : statements[answer];
}

static const char *
statement_name(enum load_answer answer, char out[16])
{
    (void)snprintf(out, 16, "load_%d", (int)answer);
    return out;
}

/* The plans are made when the tables may be empty, and must do when they are large: from each name
 * through an index, whatever the server would guess. */
bool
store_prepare_loads(struct store *store, struct err *why)
{
    char name[16];
    char made[2048];

    if (!pg_run(&store->pg,
                "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
                " SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off",
                why))
        return false;
    for (enum load_answer answer = 0; answer < ANSWERS; answer++)
        if (!store_prepare(store, statement_name(answer, name), statement(answer, made), why))
            return false;
    store->loads_prepared = true;
    return true;
}

static bool
send(struct store *store, enum load_answer answer, struct err *why)
{
    struct pgparams *const params = &store->params;
    char name[16];
    char made[2048];

    if (!pgparams_ready(params))
        return err_set(why, ERR_RETRY, "no memory to load tenants");
    const int sent =
        store->loads_prepared
            ? PQsendQueryPrepared(store->pg.conn, statement_name(answer, name), (int)params->count,
                                  params->values, params->lengths, params->formats, 1)
            : PQsendQueryParams(store->pg.conn, statement(answer, made), (int)params->count, NULL,
                                params->values, params->lengths, params->formats, 1);

    return sent == 1 || pg_error(&store->pg, NULL, why);
}

/* The history of features, where it is asked for; an hour more than what counts, for zones. */
static int64_t
after_ms(const struct load_query *query, enum load_answer answer)
{
    const int64_t past_ms = (BASELINE_DAYS + 1) * CLOCK_DAY_MS;

    if (answer >= ANSWER_HOURS)
        return query->features ? query->after_ms - past_ms : INT64_MAX;
    return query->contract_only && answer != ANSWER_WORDS ? INT64_MAX : query->after_ms;
}

static void
fill(struct store *store, const struct load_query *query, enum load_answer answer)
{
    names_param(store, query);
    if (answer == ANSWER_HOMES) {
        pgarray_int4(pgparams_scalar(&store->params, PG_INT4), query->shard);
        pgarray_bool(pgparams_scalar(&store->params, PG_BOOL), query->claim_home);
    } else if (answer != ANSWER_TENANTS && answer != ANSWER_PLANS)
        pgarray_time(pgparams_scalar(&store->params, PG_TIME), after_ms(query, answer));
}

static bool
send_all(struct store *store, const struct load_query *query, struct err *why)
{
    if (PQenterPipelineMode(store->pg.conn) == 0)
        return pg_error(&store->pg, NULL, why);
    for (enum load_answer answer = 0; answer < ANSWERS; answer++) {
        fill(store, query, answer);
        if (!send(store, answer, why))
            return false;
    }
    return (PQpipelineSync(store->pg.conn) == 1 || pg_error(&store->pg, NULL, why)) &&
           (pg_flush(&store->pg, now_steady_ms() + store->pg.answer_ms) ||
            pg_error(&store->pg, NULL, why));
}

static void
forget(struct store *store)
{
    for (size_t i = 0; i < ANSWERS; i++) {
        PQclear(store->loaded[i]);
        store->loaded[i] = NULL;
    }
    store->load_step = 0;
}

bool
store_load_send(struct store *store, const struct load_query *query, struct err *why)
{
    forget(store);
    store->loading = *query;
    if (store->pg.broken)
        return pg_error(&store->pg, NULL, why);
    if (send_all(store, query, why))
        return true;
    store->pg.broken = true; /* half a pipeline cannot be taken back */
    return false;
}

/* ---- answers ------------------------------------------------------------------------------------- */

static bool
pass_on(struct store *store, store_on_tenant *on_tenant, void *context, struct err *why)
{
    struct load_cursor cursor = {.tenant = 0};

    while ((size_t)cursor.tenant < store->loading.count) {
        struct tenant_load load;

        if (!store_loaded(store, &cursor, &load, why))
            return false;
        on_tenant(context, &load);
    }
    return true;
}

/* Takes what has arrived. 1: all of it, 0: not yet, -1: failed. */
static int
take(struct store *store, int timeout_ms, struct err *why)
{
    const int64_t deadline_ms = now_steady_ms() + timeout_ms;

    for (;;) {
        const int64_t left = deadline_ms - now_steady_ms();
        const int ready = pg_wait(&store->pg, left > 0 ? left : 0);

        if (ready <= 0) {
            if (ready < 0)
                (void)pg_error(&store->pg, NULL, why);
            return ready;
        }
        PGresult *const answer = PQgetResult(store->pg.conn);

        if (answer == NULL) {
            if (++store->load_step > ANSWERS) {
                store->pg.broken = true;
                (void)pg_error(&store->pg, NULL, why);
                return -1;
            }
        } else if (PQresultStatus(answer) == PGRES_PIPELINE_SYNC) {
            PQclear(answer);
            return 1;
        } else if (store->load_step < ANSWERS && store->loaded[store->load_step] == NULL)
            store->loaded[store->load_step] = answer;
        else
            PQclear(answer);
    }
}

static bool
check(struct store *store, struct err *why)
{
    for (size_t i = 0; i < ANSWERS; i++) {
        const ExecStatusType status = PQresultStatus(store->loaded[i]);

        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            return pg_error(&store->pg, store->loaded[i], why);
    }
    return true;
}

int
store_load_take(struct store *store, int timeout_ms, struct err *why)
{
    const int taken = take(store, timeout_ms, why);

    if (taken <= 0)
        return taken;
    if (PQexitPipelineMode(store->pg.conn) == 0)
        store->pg.broken = true;
    return check(store, why) ? 1 : -1;
}

int
store_load_poll(struct store *store, int timeout_ms, store_on_tenant *on_tenant, void *context,
                struct err *why)
{
    int taken = store_load_take(store, timeout_ms, why);

    if (taken == 1 && !pass_on(store, on_tenant, context, why))
        taken = -1;
    if (taken != 0)
        forget(store);
    return taken;
}

void
store_load_end(struct store *store)
{
    forget(store);
}

/* ---- due ----------------------------------------------------------------------------------------- */

#define DUE_PAGE 10000

bool
store_due(struct store *store, const struct due_query *query, store_on_name *on_name, void *context,
          struct err *why)
{
    char after[EVENT_ID_LIMIT + 1] = "";
    int rows = DUE_PAGE;

    while (rows == DUE_PAGE) {
        struct pgparams *const params = store_params(store);

        pgarray_int4(pgparams_scalar(params, PG_INT4), query->shard);
        pgarray_time(pgparams_scalar(params, PG_TIME), query->until_ms);
        pgarray_bool(pgparams_scalar(params, PG_BOOL), query->restricted);
        pgarray_text(pgparams_scalar(params, PG_TEXT), text_of(after));
        PGresult *const names =
            store_query(store,
                        "SELECT tenant FROM tripmeter.tenant_shard WHERE shard = $1"
                        " AND tenant > $4 AND ((due_at <= $2 AND due_at > '1970-01-02Z')"
                        " OR ($3 AND restricted))"
                        " ORDER BY tenant LIMIT 10000",
                        why);

        if (names == NULL)
            return false;
        rows = PQntuples(names);
        for (int row = 0; row < rows; row++)
            on_name(context, pg_read_text(names, row, 0));
        if (rows > 0)
            (void)text_copy(after, sizeof after, pg_read_text(names, rows - 1, 0));
        PQclear(names);
    }
    return true;
}

bool
store_overdue(struct store *store, int32_t shard, store_on_name *on_name, void *context,
              struct err *why)
{
    pgarray_int4(pgparams_scalar(store_params(store), PG_INT4), shard);
    PGresult *const names =
        store_query(store,
                    "SELECT t.tenant FROM tripmeter.tenant_shard t WHERE t.shard = $1"
                    " AND t.due_at <= (SELECT s.shard_time - interval '1 min'"
                    " FROM tripmeter.shard s WHERE s.shard = $1) ORDER BY t.due_at LIMIT 1000",
                    why);

    if (names == NULL)
        return false;
    for (int row = 0; row < PQntuples(names); row++)
        on_name(context, pg_read_text(names, row, 0));
    PQclear(names);
    return true;
}
