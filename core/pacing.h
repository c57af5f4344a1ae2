/*
 * Pacing: how fast the limit of a period is being used up, in integers.
 *
 * The share of a day is what was left at local midnight divided by the days left, today included;
 * past one and a half times that, the day takes from those that follow.  300 left with 30 days to
 * go: a day is worth 10, and past 15 is worth a word.
 *
 * The forecast of a period is what will have been used at its end when it goes on as it began: used
 * divided by the share of the period that is over.  Before a tenth of it is over that says nothing.
 *
 * Amounts are of a quota's meter: a count, or nano-units.
 */
#ifndef CORE_PACING_H
#define CORE_PACING_H

#include "core/cycle.h"
#include "core/money.h"

/* The most that may be used on a day without a word; 0 when nothing is left. Rounded down. `days`:
 * left, today included. */
tally pacing_allowance(tally left, int64_t days);
/* Had `before` been used at midnight: is the day past it? Nothing left is no matter of pace. */
bool pacing_is_past(tally limit, tally before, tally used, int64_t days);
/* The least `used` that is past it; meaningful when something was left. */
tally pacing_trip_at(tally limit, tally before, int64_t days);

/* From when on there is a forecast: a tenth of the period is over. */
int64_t forecast_from(const struct period *period);
/* What will have been used at the end; now_ms is in the period and not before forecast_from. Rounded
 * down. */
tally forecast_of(tally used, const struct period *period, int64_t now_ms);
/* Will that be more than the limit? Exactly, not by the rounded forecast. */
bool forecast_exceeds(tally used, tally limit, const struct period *period, int64_t now_ms);
/* The least `used` of which that is so now, and so of which it may be so later: it only grows. */
tally forecast_trip_at(tally limit, const struct period *period, int64_t now_ms);

#endif
