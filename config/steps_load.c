#include "config/steps_load.h"

#include "config/quota_load.h"
#include "config/value.h"

/* A blocking quota adds the step 100 by itself. */
enum { STEPS_LIMIT = QUOTA_STEP_LIMIT - 1 };

/* "120.00 USD" */
struct written {
    struct text number;
    struct text unit; /* absent: a percentage */
};

static struct written
split(struct text text)
{
    const char *blank = memchr(text.at, ' ', text.size);
    const size_t size = blank == NULL ? text.size : (size_t)(blank - text.at);

    if (blank == NULL)
        return (struct written){.number = text};
    return (struct written){.number = {text.at, size}, .unit = {blank + 1, text.size - size - 1}};
}

static bool
is_money(const struct quota *quota)
{
    return quota->gauge.size == 0 && meter_is_money(quota->meter);
}

static struct text
unit_of(const struct steps_reading *reading)
{
    const struct quota *quota = reading->quota;

    if (quota->gauge.size > 0)
        return quota->gauge;
    return is_money(quota) ? reading->currency : text_of(meter_names[quota->meter]);
}

static bool
add_percent(const struct steps_reading *reading, const struct yaml *item, struct text text)
{
    struct quota *quota = reading->quota;
    const struct text unit = unit_of(reading);
    int64_t value = 0;

    if (!value_integer(text, &value) || value < 1 || value > 100)
        return finding_error(reading->findings, item->at,
                             "%s: %s is neither a whole number of percent (1..100) nor an amount "
                             "with its unit, like 500 %.*s",
                             reading->what, text.at, (int)unit.size, unit.at);
    if (quota->unlimited)
        return finding_error(reading->findings, item->at,
                             "%s: %s %% of no limit is nothing; unlimited: true can have amounts, "
                             "like 500 %.*s",
                             reading->what, text.at, (int)unit.size, unit.at);
    if (quota->step_count > 0 && value <= quota->steps[quota->step_count - 1])
        return finding_error(reading->findings, item->at, "%s: must rise: %d comes after %d",
                             reading->what, (int)value, (int)quota->steps[quota->step_count - 1]);
    quota->steps[quota->step_count++] = (int32_t)value;
    return true;
}

/* NULL, or what the number must be. */
static const char *
read_amount(const struct steps_reading *reading, struct text number, tally *out)
{
    const bool money = is_money(reading->quota);
    bool decimals = false;
    tally nano = 0;
    const char *must = number.size > 0 && number.at[0] == '-'
                           ? NULL
                           : limit_read(number, reading->currency, &nano, &decimals);

    if (must == NULL && nano <= 0)
        must = "must be above 0";
    if (must == NULL && decimals && !money)
        must = "must be a whole number: this quota counts";
    *out = money ? nano : nano / MONEY_NANO_PER_UNIT;
    return must;
}

static bool
add_amount(const struct steps_reading *reading, const struct yaml *item,
           const struct written *written)
{
    struct quota *quota = reading->quota;
    const struct text unit = unit_of(reading);
    tally amount = 0;

    if (!text_eq(written->unit, unit))
        return finding_error(reading->findings, item->at, "%s: %s must be in %.*s", reading->what,
                             item->text.at, (int)unit.size, unit.at);
    const char *must = read_amount(reading, written->number, &amount);

    if (must != NULL)
        return finding_error(reading->findings, item->at, "%s: %s %s", reading->what, item->text.at,
                             must);
    if (!quota->unlimited && quota->limit > 0 && amount >= quota->limit)
        return finding_error(reading->findings, item->at,
                             "%s: %s is not below the limit, where 100 is the step", reading->what,
                             item->text.at);
    if (quota->amount_count > 0 && amount <= quota->amounts[quota->amount_count - 1])
        return finding_error(reading->findings, item->at,
                             "%s: amounts must rise: %s is not above the one before", reading->what,
                             item->text.at);
    quota->amounts[quota->amount_count++] = amount;
    return true;
}

static bool
add_step(const struct steps_reading *reading, const struct yaml *item)
{
    struct text text;

    if (!node_text(reading->findings, item, reading->what, &text))
        return false;
    const struct written written = split(text);

    return written.unit.at == NULL ? add_percent(reading, item, text)
                                   : add_amount(reading, item, &written);
}

/* No fault, for other tenants have other limits; but one of the two says nothing new. */
static void
find_twins(const struct steps_reading *reading, const struct yaml *node)
{
    const struct quota *quota = reading->quota;
    size_t index = 0;

    for (const struct yaml *item = node->first; item != NULL; item = item->next) {
        if (split(item->text).unit.at == NULL)
            continue;
        const tally amount = quota->amounts[index++];

        for (size_t i = 0; i < quota->step_count && !quota->unlimited; i++)
            if (amount * 100 == quota->limit * quota->steps[i])
                finding_warning(reading->findings, item->at,
                                "%s: %s is the same as %d: one alert tells of both", reading->what,
                                item->text.at, (int)quota->steps[i]);
    }
}

bool
steps_load(const struct steps_reading *reading, const struct yaml *node)
{
    struct quota *quota = reading->quota;
    bool good = true;

    if (!node_is(reading->findings, node, YAML_LIST, reading->what, "[50, 75, 90]"))
        return false;
    if (node->count > STEPS_LIMIT)
        return finding_error(reading->findings, node->at, "%s: more than %d steps", reading->what,
                             (int)STEPS_LIMIT);
    quota->step_count = 0;
    for (const struct yaml *item = node->first; item != NULL; item = item->next)
        good = add_step(reading, item) && good;
    if (good)
        find_twins(reading, node);
    return good;
}
