#include "rules/day.h"

#include "rules/shard_state.h"

bool
day_rule_on(const struct policy *policy, enum day_rule rule)
{
    return policy->anomaly.on && (rule == DAY_KEYS ? policy->anomaly.keys : policy->anomaly.margin);
}

void
shard_day(struct shard *shard, enum day_rule rule, const struct day_finding *finding)
{
    char summary[DAY_TEXT_SIZE];
    struct transition transition = {
        .move = MOVE_RESOLVE,
        .rule = text_of(day_rule_names[rule]),
        .severity = SEVERITY_WARNING,
        .at_ms = shard->time_ms,
        .zone = finding->zone,
        .reason = day_rule_on(shard->policy, rule) ? RESOLVED_CLEARED : RESOLVED_RULE_REMOVED,
        .summary = text_of(day_tell_over(rule))};

    transition.labels[LABEL_TENANT] = finding->tenant;
    if (!finding->over) {
        transition.move = MOVE_FIRE;
        transition.reason = RESOLVED_NOT;
        transition.has_value = transition.is_money = true;
        transition.value = finding->spent;
        transition.threshold = (rule == DAY_KEYS ? 2 : 1) * finding->against;
        transition.unit = finding->currency;
        transition.summary = text_of(day_tell(rule, finding, summary));
    }
    shard_transition(shard, &transition);
}
