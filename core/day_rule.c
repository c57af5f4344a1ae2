#include "core/day_rule.h"

#include <inttypes.h>
#include <stdio.h>

const char *const day_rule_names[DAY_RULE_COUNT] = {
    [DAY_KEYS] = "anomaly/keys",
    [DAY_MARGIN] = "anomaly/margin",
};

int64_t
day_until(int64_t now_ms)
{
    const int64_t at_ms = now_ms - CLOCK_MINUTE_MS;

    return at_ms - at_ms % CLOCK_HOUR_MS;
}

/* ---- told ---------------------------------------------------------------------------------------- */

/* "12.40 USD". Returns out. */
#define AMOUNT_SIZE (TALLY_TEXT_SIZE + 8)
static const char *
amount(tally nano, const struct day_finding *finding, char out[AMOUNT_SIZE])
{
    char money[TALLY_TEXT_SIZE];

    (void)snprintf(out, AMOUNT_SIZE, "%s %.*s", tally_format_short(nano, 2, money),
                   (int)finding->currency.size, finding->currency.at);
    return out;
}

static void
tell_key(const struct day_finding *finding, char out[DAY_TEXT_SIZE])
{
    const double ratio = (double)finding->spent / (double)finding->against;
    char spent[AMOUNT_SIZE];
    char median[AMOUNT_SIZE];
    char more[64] = "";

    if (finding->members > 1)
        (void)snprintf(more, sizeof more, "; so did %" PRId64 " more", finding->members - 1);
    (void)snprintf(out, DAY_TEXT_SIZE,
                   "key %.*s spent %s in 24 hours, %.1fx the median of %" PRId64
                   " keys (%s): more than twice of it%s",
                   (int)finding->name.size, finding->name.at,
                   amount(finding->spent, finding, spent), ratio, finding->all,
                   amount(finding->against, finding, median), more);
}

static void
tell_margin(const struct day_finding *finding, char out[DAY_TEXT_SIZE])
{
    char cost[AMOUNT_SIZE];
    char charge[AMOUNT_SIZE];
    char lost[AMOUNT_SIZE];
    char more[64] = "";

    if (finding->members > 1)
        (void)snprintf(more, sizeof more, ", with %" PRId64 " more", finding->members - 1);
    (void)snprintf(out, DAY_TEXT_SIZE,
                   "%.*s cost %s in 24 hours and %s are charged for it: the margin is negative, %s"
                   " are lost%s",
                   (int)finding->name.size, finding->name.at, amount(finding->spent, finding, cost),
                   amount(finding->against, finding, charge),
                   amount(finding->impact, finding, lost), more);
}

const char *
day_tell(enum day_rule rule, const struct day_finding *finding, char out[DAY_TEXT_SIZE])
{
    switch (rule) {
    case DAY_KEYS:
        tell_key(finding, out);
        break;
    case DAY_MARGIN:
        tell_margin(finding, out);
        break;
    case DAY_RULE_COUNT:
        break;
    }
    return out;
}

const char *
day_tell_over(enum day_rule rule)
{
    return rule == DAY_KEYS ? "no key spends more than twice the median of all"
                            : "what is charged covers the cost again";
}
