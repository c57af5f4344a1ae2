#include "cli/moment.h"

#include <stdio.h>

const char *
moment_text(const struct zone *zone, int64_t at_ms, char out[MOMENT_SIZE])
{
    char local[ZONE_TEXT_SIZE];
    char utc[CLOCK_TEXT_SIZE];

    (void)clock_format(at_ms, utc);
    if (zone == NULL || strcmp(zone_name(zone), "UTC") == 0)
        (void)snprintf(out, MOMENT_SIZE, "%s", utc);
    else
        (void)snprintf(out, MOMENT_SIZE, "%s (%s)", zone_format(zone, at_ms, local), utc);
    return out;
}

json_t *
moment_json(int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    return json_string(clock_format(at_ms, text));
}

const char *
amount_text(tally amount, bool is_money, struct text currency, char out[AMOUNT_SIZE])
{
    char digits[TALLY_TEXT_SIZE];

    if (is_money)
        (void)snprintf(out, AMOUNT_SIZE, "%s %.*s", tally_format_short(amount, 2, digits),
                       (int)(currency.size > 8 ? 8 : currency.size),
                       currency.at == NULL ? "" : currency.at);
    else
        (void)snprintf(out, AMOUNT_SIZE, "%s", tally_format_count(amount, digits));
    return out;
}

json_t *
amount_json(tally amount, bool is_money)
{
    char text[TALLY_TEXT_SIZE];

    return is_money ? json_string(tally_format_short(amount, 2, text))
                    : json_integer((json_int_t)amount);
}
