/*
 * The burst limits of a plan in the policy file: requests in 60 seconds of each key, of the tenant,
 * of each client address, of each feature.
 */
#ifndef CONFIG_BURST_LOAD_H
#define CONFIG_BURST_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

/* `node` is the member `burst` of the plan. */
void burst_load(struct findings *findings, struct policy *policy, struct plan *plan,
                const struct yaml *node);

#endif
