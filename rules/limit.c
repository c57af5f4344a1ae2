/* What a quota is limited to: by the plans of the period, the tenant's own limits, and what was
 * carried in. */
#include "rules/carry.h"

/* The same quota as a plan has it, NULL when it has none. */
static const struct quota *
quota_of_plan(const struct tenant *tenant, struct text plan_name, struct text quota)
{
    const struct plan *plan = policy_plan(tenant->policy, plan_name);

    if (plan == NULL)
        plan = tenant->policy->fallback_plan;
    for (size_t q = 0; q < plan->quota_count; q++)
        if (text_eq(plan->quotas[q].name, quota))
            return &plan->quotas[q];
    return NULL;
}

const struct quota *
tenant_rule_before(const struct tenant *tenant, struct text quota, int64_t at_ms)
{
    struct text plan = tenant->plan->name;

    for (size_t i = 0; i < tenant->plan_count; i++)
        if (i == 0 || tenant->plans[i].since_ms < at_ms)
            plan = tenant->plans[i].plan;
    return quota_of_plan(tenant, plan, quota);
}

/* Totals are capped by the most generous plan of the period. */
static void
plan_cap(const struct quota *quota, struct quota_state *state, bool *capped)
{
    if (!quota->rollover.on)
        return;
    if (!*capped || quota->rollover.total_cap > state->total_cap)
        state->total_cap = quota->rollover.total_cap;
    *capped = true;
}

tally
tenant_amount(const struct tenant *tenant, tally nano, int64_t at_ms)
{
    return prices_convert(&tenant->policy->prices, nano, tenant->policy->currency, tenant->currency,
                          at_ms);
}

/* Plans are in the policy's currency: a tenant of another one has them at the rate of the beginning of
 * its period, so that they do not move within it. */
static void
into_currency_of(const struct tenant *tenant, struct period period, struct quota_state *state)
{
    state->base = tenant_amount(tenant, state->base, period.start_ms);
    if (state->total_cap != ROLLOVER_NO_CAP)
        state->total_cap = tenant_amount(tenant, state->total_cap, period.start_ms);
}

/* What a plan gave in a period it gives until that ends, whatever plan came after it: a larger plan
 * acts at once, a smaller one from the next period on. A plan without such a quota did not limit it. */
static void
plan_limit(const struct tenant *tenant, struct period period, struct quota_state *state)
{
    const int64_t whole_ms = period.end_ms - period.start_ms;
    bool capped = false;
    tally most = 0;
    tally shares = 0; /* limit * ms */

    state->unlimited = state->rule->unlimited;
    state->base = state->rule->limit;
    state->total_cap = ROLLOVER_NO_CAP;
    plan_cap(state->rule, state, &capped);
    for (size_t i = 0; i < tenant->plan_count; i++) {
        const bool last = i + 1 == tenant->plan_count;
        int64_t from_ms = tenant->plans[i].since_ms;
        int64_t until_ms = last ? period.end_ms : tenant->plans[i + 1].since_ms;
        const struct quota *quota = quota_of_plan(tenant, tenant->plans[i].plan, state->rule->name);

        if (i == 0 || from_ms < period.start_ms)
            from_ms = period.start_ms;
        if (until_ms > period.end_ms)
            until_ms = period.end_ms;
        if (until_ms <= from_ms)
            continue;
        if (quota != NULL)
            plan_cap(quota, state, &capped);
        if (quota == NULL || quota->unlimited)
            state->unlimited = true;
        else if (quota->limit > most)
            most = quota->limit;
        shares += most * (until_ms - from_ms);
    }
    if (most > state->base)
        state->base = most;
    if (tenant->policy->prorate_upgrades && tenant->plan_count > 1 && shares > 0)
        state->base = shares / whole_ms;
    if (meter_is_money(state->rule->meter))
        into_currency_of(tenant, period, state);
}

bool
tenant_plan_changed(const struct tenant *tenant)
{
    return tenant->plan_count > 1 &&
           tenant->plans[tenant->plan_count - 1].since_ms > tenant->periods[0].period.start_ms;
}

void
tenant_limit_in(const struct tenant *tenant, struct period period, struct quota_state *state)
{
    const struct project_spec *project =
        state->project < 0 ? NULL : &tenant->spec.projects[state->project];
    const struct limit_override *limits = project == NULL ? tenant->spec.limits : project->limits;
    const size_t count = project == NULL ? tenant->spec.limit_count : project->limit_count;

    plan_limit(tenant, period, state);
    for (size_t i = 0; i < count; i++)
        if (text_eq(limits[i].quota, state->rule->name)) {
            state->unlimited = limits[i].unlimited;
            state->base = meter_is_money(state->rule->meter) ? limits[i].nano
                                                             : limits[i].nano / MONEY_NANO_PER_UNIT;
        }
    state->carry = 0;
    state->limit = state->base;
    state->rates[0] = state->rates[1] = 1;
    if (meter_is_money(state->rule->meter) &&
        !prices_rates(&tenant->policy->prices, tenant->policy->currency, tenant->currency,
                      period.start_ms, state->rates))
        state->rates[0] = state->rates[1] = 1;
}

void
tenant_bind_limit(const struct tenant *tenant, struct quota_state *state)
{
    tenant_limit_in(tenant, tenant->periods[0].period, state);
    if (tenant->carries == NULL)
        return;
    state->carry = carry_of(tenant, state);
    state->limit = rollover_allowance(state->base, state->carry, state->total_cap);
}
