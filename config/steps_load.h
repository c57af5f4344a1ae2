/*
 * The steps of a quota, as its policy file says them:
 *
 *     steps: [50, 75, 90]                     percentages of the limit
 *     steps: [75, 100 USD, 90, 450.00 USD]    and amounts: a number and what the quota counts
 *
 * A number alone is a percentage; an amount has its unit, which is the currency for quotas of money
 * and the name of the meter or gauge for others (5k requests).  Percentages rise and amounts rise;
 * how the two mix is a matter of the limit, which every tenant may have of its own.
 */
#ifndef CONFIG_STEPS_LOAD_H
#define CONFIG_STEPS_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

struct steps_reading {
    struct findings *findings;
    const char *what;     /* "plan free, quota tokens: steps" */
    struct text currency; /* of amounts of money */
    struct quota *quota;  /* what it counts, its limit and what happens there are read */
};

/* Replaces the steps of the quota. */
bool steps_load(const struct steps_reading *reading, const struct yaml *node);

#endif
