#include "cli/standing.h"

#include "config/zones.h"
#include "rules/counter.h"
#include "sinks/store.h"

#define LOAD_WAIT_MS 30000

static void
set_unallocated(const struct tenant *tenant, struct standing *out)
{
    out->unallocated = out->limit;
    for (size_t i = 0; i < tenant->quota_count; i++) {
        const struct quota_state *budget = &tenant->quotas[i];

        if (budget->rule != out->quota->rule || budget->project < 0 || budget->unlimited)
            continue;
        out->has_budgets = true;
        out->unallocated -= budget->limit;
    }
}

size_t
standing_count(const struct tenant *tenant)
{
    return tenant->quota_count + (tenant->counters == NULL ? 0 : tenant->counters->count);
}

/* A window that is over by the shard's time has been left: nothing was counted in the next one. */
static void
take_counter(const struct tenant *tenant, const struct counter *counter, int64_t now_ms,
             struct standing *out)
{
    const struct quota *rule = counter->state.rule;
    const bool over = counter->window.end_ms <= now_ms;

    *out = (struct standing){.quota = &counter->state,
                             .is_money = rule->gauge.size == 0 && meter_is_money(rule->meter),
                             .used = over ? 0 : counter->used,
                             .resets_ms = counter->window.end_ms};
    if (over)
        out->resets_ms = counter_window(tenant, rule, now_ms).end_ms;
    if (rule->scope == QUOTA_PROJECT)
        out->project = counter->subject;
    else if (counter->subject.size > 0)
        out->subject = counter->subject;
}

static void
take_quota(const struct tenant *tenant, const struct quota_state *quota, struct standing *out)
{
    const struct tenant_period *period = &tenant->periods[0];

    *out = (struct standing){
        .quota = quota,
        .is_money = meter_is_money(quota->rule->meter),
        .used = meter_read(&period->totals[quota->project + 1].sum, quota->rule->meter),
        .resets_ms = period->period.end_ms};
    if (quota->project >= 0)
        out->project = tenant->spec.projects[quota->project].name;
}

static void
set_pace(const struct tenant *tenant, int64_t now_ms, struct standing *out)
{
    const struct period *period = &tenant->periods[0].period;
    const struct pace *pace = &out->quota->pace;
    const bool present = now_ms >= period->start_ms && now_ms < period->end_ms;

    if (!present)
        return;
    out->has_pace = true;
    out->has_today = out->quota->rule->pacing && now_ms < pace->day.end_ms;
    out->today = out->has_today ? out->used - pace->before : 0;
    out->days = out->has_today ? pace->days : cycle_days(tenant->zone, now_ms, period->end_ms);
    out->day_left = out->limit - (out->used - out->today);
    out->day_share = out->day_left <= 0 ? 0 : out->day_left / out->days;
    out->has_forecast = now_ms >= forecast_from(period);
    if (out->has_forecast)
        out->forecast = forecast_of(out->used, period, now_ms);
}

void
standing_of(const struct tenant *tenant, size_t index, int64_t now_ms, struct standing *out)
{
    if (index < tenant->quota_count)
        take_quota(tenant, &tenant->quotas[index], out);
    else
        take_counter(tenant, &tenant->counters->at[index - tenant->quota_count], now_ms, out);
    const struct quota_state *quota = out->quota;
    const bool is_gauge = quota->rule->gauge.size > 0;
    const tally used = out->used;

    out->level = "ok";
    if (quota->unlimited)
        return;
    out->limit = quota->limit;
    /* Refunds can leave less than nothing used; of a limit of nothing nothing remains all the same. */
    out->remaining = quota->limit > 0 && used < quota->limit ? quota->limit - used : 0;
    out->over = used > quota->limit ? used - quota->limit : 0;
    out->percent =
        is_gauge && quota->limit == 0 && used <= 0 ? 0 : quota_percent(used, quota->limit);
    out->level = is_gauge && used <= quota->limit && out->percent >= 100
                     ? "critical"
                     : policy_level(used, quota->limit);
    out->approaching =
        quota->limit == 0 || used >= policy_step_amount(quota->limit, quota->rule->soft_pct);
    if (index < tenant->quota_count)
        set_pace(tenant, now_ms, out);
    if (index < tenant->quota_count && quota->project < 0)
        set_unallocated(tenant, out);
}

struct loading {
    const struct policy *policy;
    const struct zone *zone; /* the policy's */
    struct standing_load *out;
};

static void
on_tenant(void *context, const struct tenant_load *load)
{
    const struct loading *loading = context;
    struct tenant_load whole = *load;

    if (whole.zone == NULL)
        whole.zone = loading->zone;
    loading->out->seen = load->known || load->period_count > 0 || load->word_count > 0;
    loading->out->tenant = tenant_new(&whole, (struct key128){0, 0}, load->home, loading->policy,
                                      loading->out->now_ms);
}

/* The time of the shard that judges the tenant. */
static bool
shard_time(struct session *session, const char *name, struct standing_load *out, struct err *why)
{
    const char *const values[] = {name};
    PGresult *rows =
        db_query(&session->db,
                 "SELECT h, " DB_MS(
                     "s.shard_time") " FROM tripmeter.home_shard($1) h LEFT JOIN tripmeter.shard s"
                                     " ON s.shard = h",
                 values, 1, why);

    if (rows == NULL)
        return false;
    out->shard = db_text(rows, 0, 0) == NULL ? -1 : (int32_t)db_int(rows, 0, 0);
    out->settled = db_text(rows, 0, 1) != NULL;
    out->now_ms = out->settled ? db_int(rows, 0, 1) : command_now_ms(session->config);
    PQclear(rows);
    return true;
}

static bool
load_tenant(struct session *session, const char *name, struct loading *loading, struct err *why)
{
    const struct text names[] = {text_of(name)};
    const struct load_query query = {.shard = loading->out->shard,
                                     .after_ms = loading->out->now_ms,
                                     .features = loading->policy->has_breakers,
                                     .names = names,
                                     .count = 1};
    struct store *store = store_open(session->config, "tripmeter command", why);
    const bool good = store != NULL && store_load_send(store, &query, why);
    const int answer = good ? store_load_poll(store, LOAD_WAIT_MS, on_tenant, loading, why) : -1;

    store_close(store);
    return answer == 1 || (answer == 0 && err_set(why, ERR_RETRY, "Postgres does not answer"));
}

bool
standing_load(struct session *session, const char *name, struct standing_load *out, struct err *why)
{
    struct loading loading = {.policy = session_policy(session, why), .out = out};

    *out = (struct standing_load){.tenant = NULL};
    if (loading.policy == NULL)
        return false;
    loading.zone = zones_get(loading.policy->zone, why);
    if (loading.zone == NULL || !shard_time(session, name, out, why) ||
        !load_tenant(session, name, &loading, why))
        return false;
    return out->tenant != NULL || err_set(why, ERR_FATAL, "out of memory");
}
