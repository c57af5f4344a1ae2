#include "config/rollover_load.h"

#include "config/quota_load.h"
#include "config/value.h"
#include "rules/counter.h"

#include <stdio.h>

enum { WHAT_ROOM = 320 };

static const char *
member_name(const struct rollover_reading *reading, const char *name, char out[WHAT_ROOM])
{
    (void)snprintf(out, WHAT_ROOM, "%s: %s", reading->what, name);
    return out;
}

/* Exactly what is written, in millionths: a ratio that had to be rounded would be another one. */
static bool
read_ratio(const struct rollover_reading *reading, const struct yaml *node, struct rollover *out)
{
    char what[WHAT_ROOM];
    struct text text;
    tally nano;

    (void)member_name(reading, "ratio", what);
    if (!node_text(reading->findings, node, what, &text))
        return false;
    if (!tally_parse_money(text, &nano) || nano < 0 || nano > MONEY_NANO_PER_UNIT)
        return finding_error(reading->findings, node->at,
                             "%s: %s is outside 0..1 (1 carries all that is unused)", what,
                             text.at);
    if (nano % (MONEY_NANO_PER_UNIT / ROLLOVER_WHOLE) != 0)
        return finding_error(reading->findings, node->at, "%s: %s has more than 6 decimals", what,
                             text.at);
    out->ratio = (int32_t)(nano / (MONEY_NANO_PER_UNIT / ROLLOVER_WHOLE));
    return true;
}

static bool
read_cap(const struct rollover_reading *reading, const struct yaml *node, const char *name,
         tally *out)
{
    const bool money = meter_is_money(reading->quota->meter);
    char what[WHAT_ROOM];
    struct text text;
    tally nano = 0;
    bool decimals = false;

    (void)member_name(reading, name, what);
    if (!node_text(reading->findings, node, what, &text))
        return false;
    const char *must = text.at[0] == '-' ? "must not be negative"
                                         : limit_read(text, reading->currency, &nano, &decimals);

    if (must == NULL && !money && decimals)
        must = "must be a whole number: this meter counts";
    if (must != NULL)
        return finding_error(reading->findings, node->at, "%s: %s", what, must);
    *out = money ? nano : nano / MONEY_NANO_PER_UNIT;
    return true;
}

/* Caps that contradict each other or the limit would cut off what was sold. */
static bool
caps_are_clear(const struct rollover_reading *reading, const struct yaml *node,
               const struct rollover *rollover)
{
    const struct yaml *carry = yaml_member(node, TEXT("carry_cap"));
    const struct yaml *total = yaml_member(node, TEXT("total_cap"));
    bool good = true;

    if (carry != NULL && total != NULL && rollover->carry_cap > rollover->total_cap)
        good = finding_error(reading->findings, carry->at,
                             "%s: carry_cap %s is above total_cap %s: that much can never be "
                             "carried",
                             reading->what, carry->text.at, total->text.at);
    if (total != NULL && rollover->total_cap < reading->quota->limit)
        good = finding_error(reading->findings, total->at,
                             "%s: total_cap %s is below the limit of the quota: nothing could be "
                             "carried",
                             reading->what, total->text.at);
    return good;
}

/* Only what is counted in the totals of billing periods is closed with them. */
static bool
quota_may_roll(const struct rollover_reading *reading, const struct yaml *node)
{
    const struct quota *quota = reading->quota;

    if (quota->gauge.size > 0)
        return finding_error(reading->findings, node->key_at,
                             "%s contradicts gauge: a gauge is not used up; remove one of them",
                             reading->what);
    if (counter_is_for(quota))
        return finding_error(reading->findings, node->key_at,
                             "%s needs a quota of the billing period, of scope tenant or project",
                             reading->what);
    return true;
}

bool
rollover_load(const struct rollover_reading *reading, const struct yaml *node, struct rollover *out)
{
    static const char *const names[] = {"ratio", "carry_cap", "total_cap", "overage", NULL};
    const struct yaml *ratio = yaml_member(node, TEXT("ratio"));
    const struct yaml *carry = yaml_member(node, TEXT("carry_cap"));
    const struct yaml *total = yaml_member(node, TEXT("total_cap"));
    const struct yaml *overage = yaml_member(node, TEXT("overage"));
    char what[WHAT_ROOM];
    int64_t deducts = 0;

    *out = (struct rollover){
        .ratio = ROLLOVER_WHOLE, .carry_cap = ROLLOVER_NO_CAP, .total_cap = ROLLOVER_NO_CAP};
    bool good = quota_may_roll(reading, node);

    if (!node_is(reading->findings, node, YAML_MAP, reading->what,
                 "{ratio: 0.5, carry_cap: 2M, total_cap: 10M}"))
        return false;
    good = node_members(reading->findings, node, reading->what, names) && good;
    if (ratio != NULL)
        good = read_ratio(reading, ratio, out) && good;
    if (carry != NULL)
        good = read_cap(reading, carry, "carry_cap", &out->carry_cap) && good;
    if (total != NULL)
        good = read_cap(reading, total, "total_cap", &out->total_cap) && good;
    if (overage != NULL)
        good = node_choice(reading->findings, overage, member_name(reading, "overage", what),
                           "forgive|deduct", &deducts) &&
               good;
    out->deducts = deducts != 0;
    out->on = good;
    return good && caps_are_clear(reading, node, out);
}
