/*
 * Rollover: what was not used of one period's allowance is carried into the next one.
 *
 * A period begins with a base (what the plan or the contract gives) and a carry (what the period
 * before left over); together, at most the total cap, they are its allowance.  When it ends, a
 * ratio of what was not used is carried on, within caps.  The carry is used up before the base.
 * What was used beyond the allowance (a quota that only alerts, or calls that had begun before the
 * block) is forgiven, or deducted from the next allowance as a negative carry, for as many periods
 * as it takes.
 *
 * With B base, C carry, K total cap and U used:
 *
 *     allowance  E  = min(B + C, K), never below 0
 *     unused        = max(0, E - U)
 *     carried on C' = max(0, min(floor(ratio * unused), carry cap, K' - B'))    (' the next period)
 *     overage       = max(0, U - min(B + C, K)); deducted: C' = -overage
 *
 * The cap limits what is carried, never what was agreed: a base above it counts in full.
 *
 * Amounts are tallies, in nano-units for money and counts otherwise; all of it is exact.
 */
#ifndef CORE_ROLLOVER_H
#define CORE_ROLLOVER_H

#include "core/money.h"

#define ROLLOVER_WHOLE 1000000 /* a ratio of 1, in millionths */
/* Where a cap has no limit; far above any amount, far below what could overflow when added to. */
#define ROLLOVER_NO_CAP ((tally)1 << 120)

struct rollover {
    bool on;         /* else: nothing is carried on, and no cap holds */
    bool deducts;    /* overage is deducted, else forgiven */
    int32_t ratio;   /* 0..ROLLOVER_WHOLE millionths of what is unused */
    tally carry_cap; /* of what is carried on; ROLLOVER_NO_CAP: none */
    tally total_cap; /* of an allowance; ROLLOVER_NO_CAP: none */
};

struct rollover_end {
    tally allowance;
    tally unused;
    tally overage;
    tally carried; /* into the next period; negative: deducted from it */
};

/* What may be used in a period. */
tally rollover_allowance(tally base, tally carry, tally total_cap);
/* What there is room for in a period beside its base, as far as its total cap goes. */
tally rollover_room(tally base, tally total_cap);
/* A period ends: `rule` says what is carried on, `room` how much the next one takes; total_cap is
 * that of the period that ends. */
struct rollover_end rollover_close(const struct rollover *rule, tally base, tally carry,
                                   tally total_cap, tally used, tally room);

#endif
