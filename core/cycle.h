/*
 * Billing periods and local hours: every place where local time decides anything.
 *
 * A cycle cuts a tenant's time into half-open periods [start, end).  Period n starts at local
 * midnight of the anchor date moved by n steps, always counted from the original anchor, so that
 * an anchor of Jan 31 gives Jan 31, Feb 28 (29), Mar 31, Apr 30.  A midnight that does not exist
 * is the first valid instant after it, one that exists twice is the first.
 */
#ifndef CORE_CYCLE_H
#define CORE_CYCLE_H

#include "core/zone.h"

enum cycle_kind {
    CYCLE_CALENDAR_MONTH, /* the 1st of each local month */
    CYCLE_ANCHOR,         /* `day` of each month, clamped to its length */
    CYCLE_CONTRACT,       /* every `step` months from `contract` (12: a fiscal year) */
    CYCLE_WEEK,           /* every local Monday */
    CYCLE_DAYS,           /* every `step` days from `contract` */
};

struct cycle {
    enum cycle_kind kind;
    int32_t day;           /* CYCLE_ANCHOR: 1..31 */
    int32_t step;          /* CYCLE_CONTRACT: months, CYCLE_DAYS: days; at least 1 */
    struct civil contract; /* CYCLE_CONTRACT and CYCLE_DAYS: the local date of period 0 */
};

struct period {
    int64_t start_ms;
    int64_t end_ms; /* first ms of the next period */
};

/* The period an instant lies in. Defined for every instant of years 1900..9000. */
struct period cycle_period(const struct cycle *cycle, const struct zone *zone, int64_t at_ms);

/* The local day an instant lies in, and how many of them [at_ms, end_ms) touches, its own included:
 * 1 on the last day of a period that ends with it. */
struct period cycle_day(const struct zone *zone, int64_t at_ms);
int64_t cycle_days(const struct zone *zone, int64_t at_ms, int64_t end_ms);

/*
 * The hour that facts are booked in: the start of the tenant's local clock hour as an instant, or
 * UTC midnight where that lies inside it (zones off by half an hour), or the change of offset
 * where that lies inside it.  Half-open; UTC days are exact unions of such hours.
 */
struct period cycle_hour(const struct zone *zone, int64_t at_ms);

#endif
