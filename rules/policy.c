#include "rules/policy.h"

void
policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    prices_free(&policy->prices);
    arena_free(policy->arena);
}

struct text
quota_currency(const struct policy *policy, const struct quota *quota)
{
    return quota->currency.size > 0 ? quota->currency : policy->currency;
}

const struct plan *
policy_plan(const struct policy *policy, struct text name)
{
    for (size_t i = 0; i < policy->plan_count; i++)
        if (text_eq(policy->plans[i].name, name))
            return &policy->plans[i];
    return NULL;
}

bool
policy_rolls(const struct policy *policy)
{
    for (size_t i = 0; i < policy->plan_count; i++)
        if (policy->plans[i].rolls)
            return true;
    return false;
}

const struct breaker_rule *
policy_breaker(const struct policy *policy, struct text feature)
{
    for (size_t i = 0; i < policy->breaker_count; i++)
        if (text_eq(policy->breakers[i].feature, feature))
            return &policy->breakers[i];
    return &policy->breaker;
}

const struct breaker_rule *
policy_fleet(const struct policy *policy, struct text feature)
{
    for (size_t i = 0; i < policy->fleet_count; i++)
        if (text_eq(policy->fleets[i].feature, feature))
            return &policy->fleets[i];
    return &policy->fleet;
}

enum severity
policy_step_severity(int32_t step_pct)
{
    if (step_pct < 75)
        return SEVERITY_INFO;
    return step_pct < 90 ? SEVERITY_WARNING : SEVERITY_CRITICAL;
}

tally
policy_step_amount(tally limit, int32_t step_pct)
{
    /* ceil(pct*limit / 100) with the multiplication done on parts that cannot overflow. */
    return limit / 100 * step_pct + (limit % 100 * step_pct + 99) / 100;
}

const char *
policy_level(tally used, tally limit)
{
    static const struct {
        int32_t pct;
        const char *name;
    } levels[] = {{100, "exceeded"}, {90, "critical"}, {75, "warning"}, {50, "info"}};

    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (limit == 0 || used >= policy_step_amount(limit, levels[i].pct))
            return levels[i].name;
    return "ok";
}
