#include "core/pacing.h"

#include <assert.h>

/* amount * part / whole, rounded down, without the product that might not fit. */
static tally
share_of(tally amount, int64_t part, int64_t whole)
{
    return amount / whole * part + amount % whole * part / whole;
}

tally
pacing_allowance(tally left, int64_t days)
{
    assert(days >= 1);
    return left <= 0 ? 0 : 3 * left / (2 * (tally)days);
}

bool
pacing_is_past(tally limit, tally before, tally used, int64_t days)
{
    return before < limit && used >= pacing_trip_at(limit, before, days);
}

/* Whole numbers above a fraction are those above its whole part. */
tally
pacing_trip_at(tally limit, tally before, int64_t days)
{
    return before + pacing_allowance(limit - before, days) + 1;
}

int64_t
forecast_from(const struct period *period)
{
    return period->start_ms + (period->end_ms - period->start_ms + 9) / 10;
}

tally
forecast_of(tally used, const struct period *period, int64_t now_ms)
{
    assert(now_ms > period->start_ms);
    return used <= 0 ? 0
                     : share_of(used, period->end_ms - period->start_ms, now_ms - period->start_ms);
}

bool
forecast_exceeds(tally used, tally limit, const struct period *period, int64_t now_ms)
{
    return used >= forecast_trip_at(limit, period, now_ms);
}

tally
forecast_trip_at(tally limit, const struct period *period, int64_t now_ms)
{
    return share_of(limit, now_ms - period->start_ms, period->end_ms - period->start_ms) + 1;
}
