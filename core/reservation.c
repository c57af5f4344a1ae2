#include "core/reservation.h"

#include "core/clock.h"

#include <stdio.h>

const char *const reservation_state_names[RESERVATION_STATE_COUNT] = {
    [RESERVATION_OPEN] = "open",
    [RESERVATION_LATE] = "late",
    [RESERVATION_EARLY] = "early",
    [RESERVATION_SETTLED] = "settled",
    [RESERVATION_RELEASED] = "released",
    [RESERVATION_GIVEN_UP] = "given up",
    [RESERVATION_GONE] = "",
};

const char *
reservation_tell(const struct reservation *one, char out[RESERVATION_TEXT_SIZE])
{
    char money[TALLY_TEXT_SIZE];
    char period[CLOCK_TEXT_SIZE];
    char amount[TALLY_TEXT_SIZE + EVENT_ID_LIMIT + 8] = "";

    if (one->has_cost)
        (void)snprintf(amount, sizeof amount, " of %s %s",
                       tally_format_short(one->cost.nano, 2, money), one->currency);
    (void)snprintf(out, RESERVATION_TEXT_SIZE,
                   "reservation %s%s%s%s was neither settled nor released within %s, twice its"
                   " time; the calls it was for may not be metered",
                   one->id, amount, one->feature[0] == '\0' ? "" : " for ", one->feature,
                   clock_format_duration(one->due_ms - one->made_ms, period));
    return out;
}
