/*
 * The pace of one quota of one scope in its period: is a day taking more than its share, and where
 * will the period end?  The arithmetic is core/pacing.h; here is what is said of it, and once.
 *
 * A day is a local one, by shard time: what was used before it is what stood when its first event
 * came.  The warning is given once a day and ends with it, or when it holds no more.  The forecast is
 * told once a period, and stands until the period ends or the limit is above what was told.  Neither
 * is a matter of gauges, of quotas of hours and days, or of what is unlimited; and when the limit is
 * reached, that is what is said, not that it would be.
 */
#ifndef RULES_PACE_H
#define RULES_PACE_H

#include "core/alert.h"
#include "core/pacing.h"

struct quota_state;

struct pace {
    struct period day; /* of `before`; [0, 0): none yet */
    int64_t days;      /* of the period from that day on, itself included */
    tally before;      /* used when the first event of the day came */
    bool warned;       /* on that day */
    bool warning;      /* its alert is open */
    bool noticed;      /* the forecast was told in this period */
    bool notice;       /* its alert is open */
    tally forecast;    /* as it was told */
    bool awaits;       /* it is to be told at forecast_from, whether an event comes or not */
    tally wire;        /* the next use at which any of this could change; TALLY_MAX: none */
};

struct pace_move {
    bool moved;
    enum move move;
    enum resolved reason;
};

struct pace_verdict {
    bool changed; /* anything in the pace changed: remember it */
    struct pace_move warning;
    struct pace_move notice;
};

/* The day of now begins, with that much used. */
void pace_begin(struct quota_state *state, tally used, const struct zone *zone,
                const struct period *period, int64_t now_ms);
/* Brings the pace in line with what has been used; `reason`: why it was asked. */
void pace_judge(struct quota_state *state, tally used, const struct period *period, int64_t now_ms,
                enum resolved reason, struct pace_verdict *verdict);
/* When it must be judged without any event; INT64_MAX: never. */
int64_t pace_due(const struct quota_state *state, const struct period *period);

#endif
