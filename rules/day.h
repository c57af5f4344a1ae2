/*
 * What the leader of the fleet is answered about the last day (core/day_rule.h), as alerts of its shard.
 */
#ifndef RULES_DAY_H
#define RULES_DAY_H

#include "core/day_rule.h"
#include "rules/policy.h"

/* The policy has it. */
bool day_rule_on(const struct policy *policy, enum day_rule rule);

struct shard;
/* An alert fires, or ends: with the rule, where the policy has it no more. */
void shard_day(struct shard *shard, enum day_rule rule, const struct day_finding *finding);

#endif
