/*
 * The breakers of the policy file: what holds for every feature, and features with rules of their
 * own.
 */
#ifndef CONFIG_BREAKER_LOAD_H
#define CONFIG_BREAKER_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

/* `node` is the policy's member `breakers`; the policy's defaults must be there. */
/* No breaker at all, but features are kept all the same. */
void breaker_load_none(struct findings *findings, struct policy *policy);
void breaker_load(struct findings *findings, struct policy *policy, const struct yaml *node);

#endif
