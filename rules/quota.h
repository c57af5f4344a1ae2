/*
 * One quota of one scope in one period: soft steps and the hard limit.
 *
 * Steps are percentages of the limit, or amounts in what the quota counts; together they are one
 * ladder, whose rungs are values of use.  A percentage is a rung that moves with the limit, an amount
 * one that stays, and all that an unlimited quota can have.  A rung fires once a period, inclusive, in
 * integers; one event that jumps over several fires the highest and spends the lower ones.
 *
 * What is spent must survive that the limit or the policy changes, and with it the order of the
 * rungs.  Percentages among themselves and amounts among themselves never change places: of each kind
 * "every step up to this one" is spent, and two numbers remember it.
 *
 * A rung is armed again when use falls well below it, by whatever (refund; for percentages also a
 * limit that is raised): 5 points of the limit below a percentage, 5 % of itself below an amount.
 * Nothing is sent on the way down but the end of what restricted traffic.
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
    tally limit;     /* base and carry, within the total cap */
    tally base;      /* what plan or contract give */
    tally carry;     /* brought from the period before; negative: deducted */
    tally total_cap; /* ROLLOVER_NO_CAP where nothing rolls over */
    int64_t
        rates[2];  /* of the rule's currency into the tenant's, in this period (rules/prices.h) */
    int32_t spent; /* the highest percentage that has fired; 0: none */
    tally spent_amount; /* the highest amount that has fired, in the tenant's currency; 0: none */
    bool open;          /* an episode is open */
    bool blocked;       /* at or above the limit of a blocking quota */
    int64_t since_ms;   /* when `blocked` last became true */
    struct pace pace;
};

/* A step by its name: a percentage, or else an amount; neither: none. */
struct quota_step {
    int32_t percent;
    tally amount;
};

struct quota_verdict {
    bool changed; /* anything in the state changed: remember it */
    bool moved;   /* a transition is due: `move` */
    enum move move;
    struct quota_step step; /* the highest newly reached, or the one that was left behind */
    int32_t crossed[QUOTA_STEP_LIMIT + 1]; /* the percentages newly reached, rising */
    size_t crossed_count;
    tally crossed_amounts[QUOTA_STEP_LIMIT]; /* and the amounts */
    size_t crossed_amount_count;
};

/* Brings the state in line with what has been used. */
void quota_judge(struct quota_state *state, tally used, int64_t now_ms,
                 struct quota_verdict *verdict);

/* The next value above `used` at which quota_judge could change anything; TALLY_MAX: none. */
tally quota_trip_at(const struct quota_state *state);
#define TALLY_MAX ((((((tally)1) << 126) - 1) << 1) + 1)

/* The highest percentage that is spent, else the highest amount: what an episode is named by that
 * ends. */
struct quota_step quota_spent(const struct quota_state *state);
/* Nothing is spent any more: a new period. */
void quota_forget(struct quota_state *state);

/* What a step says in an alert: the step and what came with it, its severity (an amount's is that of
 * its share of the limit; a warning where there is none), and what use is compared with: the limit,
 * or without one the step. */
void quota_describe(const struct quota_state *state, const struct quota_verdict *verdict,
                    struct transition *out);
enum severity quota_severity(const struct quota_step *step, bool limited, tally limit);

/* used/limit in percent, rounded down, at most 999,999; 100 when the limit is 0. */
int32_t quota_percent(tally used, tally limit);

#endif
