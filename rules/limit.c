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

tally
tenant_amount(const struct tenant *tenant, tally nano, int64_t at_ms)
{
    return prices_convert(&tenant->policy->prices, nano, tenant->policy->currency, tenant->currency,
                          at_ms);
}

/* Of the currency of a quota's amounts into the tenant's: at the beginning of its period, so that what
 * it has does not move within it; before a rate is known, at the first one. */
static void
rates_in(const struct tenant *tenant, const struct quota *quota, struct period period,
         int64_t rates[2])
{
    const struct prices *prices = &tenant->policy->prices;
    const struct text from = quota_currency(tenant->policy, quota);

    const int64_t since_ms[] = {prices_known_since(prices, from),
                                prices_known_since(prices, tenant->currency)};
    int64_t at_ms = period.start_ms;

    for (size_t i = 0; i < 2; i++)
        at_ms = since_ms[i] > at_ms ? since_ms[i] : at_ms;
    if (!meter_is_money(quota->meter) ||
        !prices_rates(prices, from, tenant->currency, at_ms, rates))
        rates[0] = rates[1] = 1;
}

static tally
amount_in(const struct tenant *tenant, const struct quota *quota, tally amount,
          struct period period)
{
    int64_t rates[2];

    rates_in(tenant, quota, period, rates);
    return prices_at(amount, rates);
}

/* Totals are capped by the most generous plan of the period. */
static void
plan_cap(const struct tenant *tenant, const struct quota *quota, struct period period,
         struct quota_state *state, bool *capped)
{
    if (!quota->rollover.on)
        return;
    const tally cap = quota->rollover.total_cap == ROLLOVER_NO_CAP
                          ? ROLLOVER_NO_CAP
                          : amount_in(tenant, quota, quota->rollover.total_cap, period);

    if (!*capped || cap > state->total_cap)
        state->total_cap = cap;
    *capped = true;
}

static tally
more_of(tally one, tally other)
{
    return one > other ? one : other;
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
    state->base = amount_in(tenant, state->rule, state->rule->limit, period);
    state->total_cap = ROLLOVER_NO_CAP;
    plan_cap(tenant, state->rule, period, state, &capped);
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
            plan_cap(tenant, quota, period, state, &capped);
        if (quota == NULL || quota->unlimited)
            state->unlimited = true;
        else
            most = more_of(most, amount_in(tenant, quota, quota->limit, period));
        shares += most * (until_ms - from_ms);
    }
    state->base = more_of(state->base, most);
    if (tenant->policy->prorate_upgrades && tenant->plan_count > 1 && shares > 0)
        state->base = shares / whole_ms;
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
    rates_in(tenant, state->rule, period, state->rates);
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
