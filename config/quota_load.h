/*
 * One quota of a policy file (config/policy_load.c reads the rest).
 */
#ifndef CONFIG_QUOTA_LOAD_H
#define CONFIG_QUOTA_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

/* `what` names it in findings: "plan free, quota api_calls". The policy's defaults must be there. */
bool quota_load(struct findings *findings, const struct policy *policy, const struct yaml *node,
                const char *what, struct quota *out);

/* A limit as people write it, times 1e9 whatever its unit: 50k, 1_000, 250.00, "250.00 USD".
 * NULL, or what it must be ("must be ..."). `decimals`: it has a point. */
const char *limit_read(struct text text, struct text currency, tally *nano, bool *decimals);

#endif
