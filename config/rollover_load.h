/*
 * What a quota carries into the next period, as its policy file says it:
 *
 *     rollover: {ratio: 0.5, carry_cap: 2M, total_cap: 10M, overage: deduct}
 */
#ifndef CONFIG_ROLLOVER_LOAD_H
#define CONFIG_ROLLOVER_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

struct rollover_reading {
    struct findings *findings;
    const char *what; /* "plan free, quota tokens: rollover" */
    struct text currency;
    const struct quota *quota; /* as read so far: everything else of it */
};

bool rollover_load(const struct rollover_reading *reading, const struct yaml *node,
                   struct rollover *out);

#endif
