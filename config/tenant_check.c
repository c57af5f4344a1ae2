/* Whether a tenant's contract fits the policy it is to be judged by. */
#include "config/tenant_spec.h"
#include "config/zones.h"
#include "rules/counter.h"

#include <inttypes.h>
#include <stdio.h>

enum { WHERE_ROOM = 192 };

static const struct quota *
find_quota(const struct plan *plan, struct text name)
{
    for (size_t i = 0; i < plan->quota_count; i++)
        if (text_eq(plan->quotas[i].name, name))
            return &plan->quotas[i];
    return NULL;
}

static const struct limit_override *
find_limit(const struct limit_override *limits, size_t count, struct text quota)
{
    for (size_t i = 0; i < count; i++)
        if (text_eq(limits[i].quota, quota))
            return &limits[i];
    return NULL;
}

/* Burst limits are the tenant's, and whole numbers. */
static bool
check_burst(const struct limit_override *limit, enum burst_scope scope, const char *where,
            const struct plan *plan, struct err *why)
{
    const char *name = limit->quota.at;

    if (!plan->bursts[scope].on)
        return err_set(why, ERR_INPUT, "%slimits.%s: plan %s has no such limit", where, name,
                       plan->name.at);
    if (where[0] != '\0')
        return err_set(why, ERR_INPUT, "%slimits.%s: this limit is not divided among projects",
                       where, name);
    if (!limit->unlimited &&
        (limit->is_decimal || limit->nano > BURST_LIMIT_MOST * (tally)MONEY_NANO_PER_UNIT))
        return err_set(why, ERR_INPUT, "limits.%s must be a whole number up to %" PRId64, name,
                       BURST_LIMIT_MOST);
    return true;
}

static bool
check_limits(const struct limit_override *limits, size_t count, const char *where,
             const struct plan *plan, struct err *why)
{
    for (size_t i = 0; i < count; i++) {
        const struct quota *quota = find_quota(plan, limits[i].quota);
        enum burst_scope scope;

        if (burst_named(limits[i].quota, &scope)) {
            if (!check_burst(&limits[i], scope, where, plan, why))
                return false;
            continue;
        }
        if (quota == NULL)
            return err_set(why, ERR_INPUT, "%slimits.%s: plan %s has no such quota", where,
                           limits[i].quota.at, plan->name.at);
        if (where[0] == '\0' && quota->scope == QUOTA_PROJECT)
            return err_set(why, ERR_INPUT,
                           "limits.%s: this quota is each project's own: give it in projects",
                           quota->name.at);
        if (where[0] != '\0' && quota->scope != QUOTA_PROJECT && counter_is_for(quota))
            return err_set(why, ERR_INPUT, "%slimits.%s: this quota is not divided among projects",
                           where, quota->name.at);
        if (limits[i].is_decimal && !meter_is_money(quota->meter))
            return err_set(why, ERR_INPUT,
                           "%slimits.%s must be a whole number: the quota counts %s", where,
                           limits[i].quota.at, meter_names[quota->meter]);
    }
    return true;
}

/* The tenant's own limit of a quota times 1e9, money in its currency; false when it has none. */
static bool
tenant_limit(const struct tenant_spec *spec, const struct policy *policy, const struct quota *quota,
             tally *nano)
{
    const struct limit_override *own = find_limit(spec->limits, spec->limit_count, quota->name);

    if (own != NULL ? own->unlimited : quota->unlimited)
        return false;
    if (own != NULL)
        *nano = own->nano;
    else
        *nano = meter_is_money(quota->meter)
                    ? prices_convert(&policy->prices, quota->limit, quota_currency(policy, quota),
                                     spec->currency.at == NULL ? policy->currency : spec->currency,
                                     INT64_MAX)
                    : quota->limit * MONEY_NANO_PER_UNIT;
    return true;
}

bool
tenant_spec_budget(const struct tenant_spec *spec, const struct policy *policy,
                   const struct quota *quota, struct tenant_budget *out)
{
    *out = (struct tenant_budget){.limit = 0};
    if (quota->scope != QUOTA_TENANT || !tenant_limit(spec, policy, quota, &out->limit))
        return false;
    for (size_t i = 0; i < spec->project_count; i++) {
        const struct project_spec *project = &spec->projects[i];
        const struct limit_override *own =
            find_limit(project->limits, project->limit_count, quota->name);

        if (own == NULL || own->unlimited)
            continue;
        out->given += own->nano;
        out->projects++;
    }
    return out->projects > 0;
}

/* What the projects get of a tenant's quota must not be more than it has. */
static bool
check_budget(const struct tenant_spec *spec, const struct policy *policy, const struct quota *quota,
             struct err *why)
{
    char given[TALLY_TEXT_SIZE];
    char whole[TALLY_TEXT_SIZE];
    struct tenant_budget budget;

    if (!tenant_spec_budget(spec, policy, quota, &budget) || budget.given <= budget.limit)
        return true;
    return err_set(why, ERR_INPUT,
                   "projects: together they have %s of %s, the tenant itself only %s: lower "
                   "theirs or raise limits.%s",
                   tally_format_short(budget.given, 0, given), quota->name.at,
                   tally_format_short(budget.limit, 0, whole), quota->name.at);
}

static bool
check_projects(const struct tenant_spec *spec, const struct plan *plan, struct err *why)
{
    char where[WHERE_ROOM];

    for (size_t i = 0; i < spec->project_count; i++) {
        (void)snprintf(where, sizeof where, "projects.%s: ", spec->projects[i].name.at);
        if (!check_limits(spec->projects[i].limits, spec->projects[i].limit_count, where, plan,
                          why))
            return false;
    }
    return true;
}

static bool
check_budgets(const struct tenant_spec *spec, const struct policy *policy, const struct plan *plan,
              struct err *why)
{
    for (size_t i = 0; i < plan->quota_count; i++)
        if (!check_budget(spec, policy, &plan->quotas[i], why))
            return false;
    return true;
}

/* Prices must be known in its currency, by the rates of today. */
static bool
check_money(const struct tenant_spec *spec, const struct policy *policy, struct err *why)
{
    const struct price_list *list = policy->prices.providers;
    struct charge_rule rule;
    int64_t rates[2];
    const char *must =
        spec->charge.at == NULL ? NULL : charge_read(spec->charge, &policy->prices, &rule);

    if (must != NULL)
        return err_set(why, ERR_INPUT, "charge %s", must);
    if (list == NULL || spec->currency.at == NULL ||
        prices_rates(&policy->prices, list->currency, spec->currency, INT64_MAX, rates))
        return true;
    return err_set(why, ERR_INPUT,
                   "currency: the policy has no exchange rate for %s: without one its events have "
                   "no price",
                   spec->currency.at);
}

bool
tenant_spec_check(const struct tenant_spec *spec, const struct policy *policy, struct err *why)
{
    const struct plan *plan =
        spec->plan.at == NULL ? policy->fallback_plan : policy_plan(policy, spec->plan);

    if (plan == NULL)
        return err_set(why, ERR_INPUT, "plan: the policy has no plan %s", spec->plan.at);
    if (spec->zone.at != NULL && zones_get(spec->zone, why) == NULL)
        return err_wrap(why, "zone");
    return check_money(spec, policy, why) &&
           check_limits(spec->limits, spec->limit_count, "", plan, why) &&
           check_projects(spec, plan, why) &&
           (policy->overcommit || check_budgets(spec, policy, plan, why));
}
