/*
 * One quota of one scope in one period: soft steps and the hard limit.
 *
 * Steps are percentages of the limit and fire once a period, inclusive, in integers; one event that
 * jumps over several fires the highest and spends the lower ones.  What is spent is therefore always
 * "every step up to this one", and one number remembers it.  A step is armed again when the level
 * falls 5 points below it (limit raised, refund); nothing is sent on the way down but the end of
 * what restricted traffic.
 *
 * At 100 % of a blocking quota traffic is restricted, below it is not; that follows the level at
 * once, while the episode lives on until step 100 is armed again.
 */
#ifndef RULES_QUOTA_H
#define RULES_QUOTA_H

#include "rules/pace.h"
#include "rules/policy.h"

#define QUOTA_REARM_POINTS 5

struct quota_state {
    const struct quota *rule;
    int32_t project; /* index into the tenant's projects, -1: the tenant itself */
    bool unlimited;
    tally limit;      /* base and carry, within the total cap */
    tally base;       /* what plan or contract give */
    tally carry;      /* brought from the period before; negative: deducted */
    tally total_cap;  /* ROLLOVER_NO_CAP where nothing rolls over */
    int32_t spent;    /* percent of the highest step that has fired; 0: none */
    bool open;        /* an episode is open */
    bool blocked;     /* at or above the limit of a blocking quota */
    int64_t since_ms; /* when `blocked` last became true */
    struct pace pace;
};

struct quota_verdict {
    bool changed; /* anything in the state changed: remember it */
    bool moved;   /* a transition is due: `move` */
    enum move move;
    int32_t step; /* the highest newly reached, or the one that was left behind */
    int32_t crossed[QUOTA_STEP_LIMIT + 1];
    size_t crossed_count;
};

/* Brings the state in line with what has been used. */
void quota_judge(struct quota_state *state, tally used, int64_t now_ms,
                 struct quota_verdict *verdict);

/* The next value above `used` at which quota_judge could change anything; TALLY_MAX: none. */
tally quota_trip_at(const struct quota_state *state);
#define TALLY_MAX ((((((tally)1) << 126) - 1) << 1) + 1)

/* used/limit in percent, rounded down, at most 999,999; 100 when the limit is 0. */
int32_t quota_percent(tally used, tally limit);

#endif
