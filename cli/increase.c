#include "cli/increase.h"

#include <stdlib.h>

/* The columns behind the first are the counts in their order, then the money. */
static const char sql_periods[] =
    "SELECT " DB_MS("t.period") ", t.requests, t.attempts, t.input_tokens, t.output_tokens, t.cost,"
                                " t.charge FROM tripmeter.period_total t"
                                " WHERE t.tenant = $1 AND t.project = ''"
                                " AND t.period_end <= to_timestamp($2::bigint / 1000.0)"
                                " ORDER BY t.period DESC LIMIT 6";

static const char sql_need[] = "SELECT meter, periods, average, round(growth * 100)::bigint, need"
                               " FROM tripmeter.v_quota_increase WHERE tenant = $1";

/* Weeks in which the time asked for lies, whole. */
static const char sql_blocked[] =
    "SELECT sum(blocked_calls)::bigint, sum(blocked_cost), sum(blocked_estimate),"
    " sum(blocked_seconds)::bigint FROM tripmeter.v_blocked"
    " WHERE tenant = $1 AND week > (to_timestamp($2::bigint / 1000.0)"
    " AT TIME ZONE 'UTC')::date - 7";

static const char sql_features[] =
    "SELECT feature, sum(cost), sum(requests)::bigint FROM tripmeter.tenant_fact"
    " WHERE tenant = $1 AND period >= to_timestamp($2::bigint / 1000.0)"
    " GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT 5";

static const char sql_models[] =
    "SELECT ltrim(provider || ' ' || model), sum(cost), sum(requests)::bigint"
    " FROM tripmeter.tenant_fact"
    " WHERE tenant = $1 AND period >= to_timestamp($2::bigint / 1000.0)"
    " GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT 5";

tally
increase_round(tally amount, bool is_money)
{
    const tally least = is_money ? MONEY_NANO_PER_UNIT : 1;
    tally unit = least;

    while (amount > 99 * unit)
        unit *= 10;
    return amount <= 0 ? 0 : (amount + unit - 1) / unit * unit;
}

/* What v_quota_increase says, with nine decimals, as an amount of the meter: counts rounded up. */
static tally
amount_of(const PGresult *rows, int row, int column, bool is_money)
{
    tally nano = 0;

    if (!tally_parse_money(text_of(db_text(rows, row, column)), &nano))
        return 0;
    if (is_money || nano <= 0)
        return is_money ? nano : nano / MONEY_NANO_PER_UNIT;
    return (nano + MONEY_NANO_PER_UNIT - 1) / MONEY_NANO_PER_UNIT;
}

/* ---- asked ------------------------------------------------------------------------------------------ */

static bool
load_periods(struct session *session, const char *const *values, struct increase *out,
             struct err *why)
{
    static const enum count counts[] = {COUNT_requests, COUNT_attempts, COUNT_input_tokens,
                                        COUNT_output_tokens};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    PGresult *rows = db_query(&session->db, sql_periods, values, 2, why);

    for (int i = 0; i < PQntuples(rows) && i < INCREASE_PERIODS; i++) {
        struct increase_period *period = &out->periods[out->period_count++];

        period->start_ms = db_int(rows, i, 0);
        for (int c = 0; c < COUNTS; c++)
            period->used.count[counts[c]] = db_int(rows, i, 1 + c);
        period->used.cost = amount_of(rows, i, 1 + COUNTS, true);
        period->used.charge = amount_of(rows, i, 2 + COUNTS, true);
    }
    PQclear(rows);
    return rows != NULL;
}

static bool
load_blocked(struct session *session, const char *const *values, struct increase *out,
             struct err *why)
{
    PGresult *rows = db_query(&session->db, sql_blocked, values, 2, why);

    if (rows == NULL)
        return false;
    out->has_calls = db_text(rows, 0, 0) != NULL;
    out->blocked_calls = db_int(rows, 0, 0);
    out->has_cost = db_text(rows, 0, 1) != NULL;
    if (out->has_cost)
        out->blocked_cost = amount_of(rows, 0, 1, true);
    if (db_text(rows, 0, 2) != NULL)
        out->blocked_estimate = amount_of(rows, 0, 2, true);
    out->blocked_seconds = db_int(rows, 0, 3);
    PQclear(rows);
    return true;
}

static bool
load_top(struct session *session, const char *sql, const char *const *values,
         struct increase_share *top, size_t *count, struct err *why)
{
    PGresult *rows = db_query(&session->db, sql, values, 2, why);

    for (int i = 0; i < PQntuples(rows) && i < INCREASE_TOP; i++) {
        struct increase_share *share = &top[(*count)++];

        (void)text_copy(share->name, sizeof share->name, text_of(db_text(rows, i, 0)));
        share->cost = amount_of(rows, i, 1, true);
        share->requests = db_int(rows, i, 2);
    }
    PQclear(rows);
    return rows != NULL;
}

/* ---- reckoned --------------------------------------------------------------------------------------- */

/* When so much will be used at the pace of the period so far. */
static int64_t
reached_at(const struct standing *standing, const struct period *period, int64_t now_ms)
{
    if (standing->used >= standing->limit)
        return now_ms;
    if (standing->used <= 0)
        return INT64_MAX;
    const tally left_ms = standing->remaining * (tally)(now_ms - period->start_ms) / standing->used;

    return left_ms >= period->end_ms - now_ms ? INT64_MAX : now_ms + (int64_t)left_ms;
}

static void
set_need(const PGresult *rows, struct increase_quota *quota)
{
    const struct standing *standing = &quota->standing;
    const char *meter = meter_names[standing->quota->rule->meter];

    for (int i = 0; i < PQntuples(rows) && !quota->has_need; i++) {
        if (strcmp(db_text(rows, i, 0), meter) != 0)
            continue;
        quota->has_need = true;
        quota->periods = db_int(rows, i, 1);
        quota->average = amount_of(rows, i, 2, standing->is_money);
        quota->growth_pct = db_int(rows, i, 3);
        quota->need = amount_of(rows, i, 4, standing->is_money);
    }
    if (!quota->has_need && standing->has_forecast) {
        quota->has_need = quota->by_forecast = true;
        quota->need = (3 * standing->forecast + 1) / 2;
    }
    quota->suffices = quota->need <= standing->limit;
    quota->suggestion = increase_round(quota->need, standing->is_money);
}

static bool
load_quotas(struct session *session, const char *const *values, struct increase *out,
            struct err *why)
{
    const struct tenant *tenant = out->load.tenant;
    PGresult *rows = db_query(&session->db, sql_need, values, 1, why);

    out->quotas = calloc(tenant->quota_count + 1, sizeof *out->quotas);
    if (rows == NULL || out->quotas == NULL) {
        PQclear(rows);
        return rows != NULL && err_set(why, ERR_FATAL, "out of memory");
    }
    for (size_t i = 0; i < tenant->quota_count; i++) {
        struct increase_quota *quota = &out->quotas[out->quota_count];

        standing_of(tenant, i, out->load.now_ms, &quota->standing);
        if (tenant->quotas[i].project >= 0 || !quota->standing.has_pace)
            continue;
        out->quota_count++;
        quota->reached_ms =
            reached_at(&quota->standing, &tenant->periods[0].period, out->load.now_ms);
        set_need(rows, quota);
    }
    PQclear(rows);
    return true;
}

bool
increase_load(struct session *session, const char *tenant, struct increase *out, struct err *why)
{
    char now[32];
    char since[32];
    char last[32];

    *out = (struct increase){.quotas = NULL};
    if (!standing_load(session, tenant, &out->load, why))
        return false;
    if (!out->load.seen)
        return true;
    (void)snprintf(now, sizeof now, "%lld", (long long)out->load.now_ms);
    const char *values[] = {tenant, now};

    if (!load_periods(session, values, out, why))
        return false;
    out->since_ms = out->period_count > 0 ? out->periods[out->period_count - 1].start_ms
                                          : out->load.tenant->periods[0].period.start_ms;
    (void)snprintf(since, sizeof since, "%lld", (long long)out->since_ms);
    (void)snprintf(last, sizeof last, "%lld",
                   (long long)(out->period_count > 0
                                   ? out->periods[0].start_ms
                                   : out->load.tenant->periods[0].period.start_ms));
    values[1] = since;
    if (!load_quotas(session, values, out, why) || !load_blocked(session, values, out, why))
        return false;
    values[1] = last;
    return load_top(session, sql_features, values, out->features, &out->feature_count, why) &&
           load_top(session, sql_models, values, out->models, &out->model_count, why);
}

void
increase_free(struct increase *increase)
{
    free(increase->quotas);
    tenant_free(increase->load.tenant);
}
