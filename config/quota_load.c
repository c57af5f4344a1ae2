#include "config/quota_load.h"

#include "config/rollover_load.h"
#include "config/steps_load.h"
#include "config/value.h"

#include <stdio.h>

enum { SOFT_PCT = 80, WHAT_ROOM = 256 };
/* Whole units: far above any use, far below what could overflow when it is multiplied. */
#define LIMIT_UNITS INT64_C(1000000000000000)

struct reading {
    struct findings *findings;
    const struct policy *policy;
    const struct yaml *node;
    const char *quota_name; /* "plan free, quota api_calls" */
    char what[WHAT_ROOM];   /* that, and the member being read */
    struct quota *quota;
};

/* ---- limits ---------------------------------------------------------------------------------- */

static struct text
without_currency(struct text text, struct text currency, const char **must)
{
    const char *blank = memchr(text.at, ' ', text.size);
    const size_t size = blank == NULL ? text.size : (size_t)(blank - text.at);

    if (blank == NULL)
        return text;
    if (!text_eq((struct text){blank + 1, text.size - size - 1}, currency))
        *must = "must not be in another currency";
    return (struct text){text.at, size};
}

const char *
limit_read(struct text text, struct text currency, tally *nano, bool *decimals)
{
    const char *must = NULL;
    int64_t count;
    const struct text number = without_currency(text, currency, &must);

    if (must != NULL)
        return must;
    if (number.size > 0 && number.at[0] == '-')
        return "must not be negative; 0 blocks from the start";
    *decimals = false;
    if (value_count(number, &count))
        *nano = (tally)count * MONEY_NANO_PER_UNIT;
    else if (number.size > 0 && memchr(number.at, '.', number.size) != NULL &&
             tally_parse_money(number, nano))
        *decimals = true;
    else
        return "must be a number like 50000, 1_000, 50k, 1M or (money) 250.00";
    return *nano <= (tally)LIMIT_UNITS * MONEY_NANO_PER_UNIT ? NULL : "must be at most 1e15";
}

/* An amount in another currency than the policy's needs a rate; then all amounts of the quota are in
 * it. */
static bool
read_currency(struct reading *reading, const struct yaml *node, struct text text)
{
    const struct policy *policy = reading->policy;
    const char *blank = memchr(text.at, ' ', text.size);
    int64_t rates[2];

    if (blank == NULL)
        return true;
    const struct text unit = {blank + 1, text.size - (size_t)(blank + 1 - text.at)};
    const char *must = value_check_currency(unit);

    if (must != NULL)
        return finding_error(reading->findings, node->at, "%s: %.*s %s", reading->what,
                             (int)unit.size, unit.at, must);
    if (text_eq(unit, policy->currency))
        return true;
    if (!prices_rates(&policy->prices, unit, policy->currency, INT64_MAX, rates))
        return finding_error(reading->findings, node->at,
                             "%s: there is no rate for %.*s; add it to rates", reading->what,
                             (int)unit.size, unit.at);
    reading->quota->currency = arena_text(policy->arena, unit);
    return reading->quota->currency.at != NULL ||
           finding_error(reading->findings, node->at, "the policy is too large");
}

static bool
read_limit(struct reading *reading, const struct yaml *node)
{
    const bool money = meter_is_money(reading->quota->meter);
    struct text text;
    tally nano;
    bool decimals;
    const char *must;

    if (!node_text(reading->findings, node, reading->what, &text))
        return false;
    if (money && !read_currency(reading, node, text))
        return false;
    must = limit_read(text, quota_currency(reading->policy, reading->quota), &nano, &decimals);
    if (must == NULL && !money && (decimals || memchr(text.at, ' ', text.size) != NULL))
        must = "must be a whole number without a currency: this meter counts";
    if (must != NULL)
        return finding_error(reading->findings, node->at, "%s: %s", reading->what, must);
    reading->quota->limit = money ? nano : nano / MONEY_NANO_PER_UNIT;
    return true;
}

static bool
read_unlimited(struct reading *reading, const struct yaml *node)
{
    int64_t value;

    if (!node_choice(reading->findings, node, reading->what, "false|true", &value))
        return false;
    reading->quota->unlimited = value != 0;
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool
read_soft(struct reading *reading, const struct yaml *node)
{
    struct text text;
    int64_t value = 0;

    if (!node_text(reading->findings, node, reading->what, &text))
        return false;
    if (!value_integer(text, &value))
        return finding_error(reading->findings, node->at,
                             "%s: %s is not a whole number of percent, like 80", reading->what,
                             text.at);
    if (value < 1 || value > 100)
        return finding_error(reading->findings, node->at, "%s: %s is outside 1..100 (percent)",
                             reading->what, text.at);
    reading->quota->soft_pct = (int32_t)value;
    return true;
}

/* Where there is no limit, the first step says what its amounts are in. */
static bool
read_steps(struct reading *reading, const struct yaml *node)
{
    const struct quota *quota = reading->quota;
    const struct yaml *first = node->kind == YAML_LIST ? node->first : NULL;

    if (quota->unlimited && quota->gauge.size == 0 && meter_is_money(quota->meter) &&
        first != NULL && first->text.size > 0 && !read_currency(reading, first, first->text))
        return false;
    const struct steps_reading steps = {.findings = reading->findings,
                                        .what = reading->what,
                                        .currency = quota_currency(reading->policy, reading->quota),
                                        .quota = reading->quota};

    return steps_load(&steps, node);
}

/* ---- choices --------------------------------------------------------------------------------- */

static bool
read_meter(struct reading *reading, const struct yaml *node)
{
    char choices[WHAT_ROOM] = "";
    int64_t value;

    for (size_t i = 0; i < METER_COUNT; i++)
        (void)snprintf(choices + strlen(choices), sizeof choices - strlen(choices), "%s%s",
                       i == 0 ? "" : "|", meter_names[i]);
    if (!node_choice(reading->findings, node, reading->what, choices, &value))
        return false;
    reading->quota->meter = (enum meter)value;
    return true;
}

static bool
read_gauge(struct reading *reading, const struct yaml *node)
{
    struct text name;
    const char *must;

    if (!node_text(reading->findings, node, reading->what, &name))
        return false;
    must = value_check_word(name);
    if (must != NULL)
        return finding_error(reading->findings, node->at, "%s %s", reading->what, must);
    reading->quota->gauge = arena_text(reading->policy->arena, name);
    return reading->quota->gauge.at != NULL ||
           finding_error(reading->findings, node->at, "the policy is too large");
}

static bool
read_scope(struct reading *reading, const struct yaml *node)
{
    int64_t value;

    if (node->kind == YAML_TEXT && text_eq(node->text, TEXT("workspace")))
        return finding_error(reading->findings, node->at,
                             "%s: workspaces are not counted, gateways have no scope for them; let "
                             "events name them as projects",
                             reading->what);
    if (!node_choice(reading->findings, node, reading->what, "tenant|project|feature|model|key",
                     &value))
        return false;
    reading->quota->scope = (enum quota_scope)value;
    return true;
}

static bool
read_period(struct reading *reading, const struct yaml *node)
{
    int64_t value;

    if (!node_choice(reading->findings, node, reading->what, "billing|day|hour|month", &value))
        return false;
    /* `month` is an older word for the tenant's billing period, whatever its cycle. */
    reading->quota->window = value > WINDOW_HOUR ? WINDOW_BILLING : (enum quota_window)value;
    return true;
}

static bool
read_on_exceed(struct reading *reading, const struct yaml *node)
{
    int64_t value;

    if (node->kind == YAML_TEXT && text_eq(node->text, TEXT("prepaid")))
        return finding_error(reading->findings, node->at,
                             "%s: prepaid balances are not there yet; write block, or alert to let "
                             "usage go on",
                             reading->what);
    if (!node_choice(reading->findings, node, reading->what, "block|alert", &value))
        return false;
    reading->quota->on_exceed = (enum on_exceed)value;
    return true;
}

static bool
read_mode(struct reading *reading, const struct yaml *node)
{
    int64_t value;

    if (!node_choice(reading->findings, node, reading->what, "enforce|shadow", &value))
        return false;
    reading->quota->mode = (enum mode)value;
    return true;
}

static bool
read_switch(struct reading *reading, const struct yaml *node, bool *out)
{
    int64_t value;

    if (!node_choice(reading->findings, node, reading->what, "off|on", &value))
        return false;
    *out = value != 0;
    return true;
}

static bool
read_pacing(struct reading *reading, const struct yaml *node)
{
    return read_switch(reading, node, &reading->quota->pacing);
}

static bool
read_forecast(struct reading *reading, const struct yaml *node)
{
    return read_switch(reading, node, &reading->quota->forecast);
}

/* ---- the quota ------------------------------------------------------------------------------- */

/* After the limit, which caps are compared with. */
static bool
read_rollover(struct reading *reading, const struct yaml *node)
{
    const struct rollover_reading rollover = {.findings = reading->findings,
                                              .what = reading->what,
                                              .currency =
                                                  quota_currency(reading->policy, reading->quota),
                                              .quota = reading->quota};

    return rollover_load(&rollover, node, &reading->quota->rollover);
}

/* The meter first: a limit's form depends on it; steps after what they are measured by. */
static const struct {
    const char *name;
    bool (*read)(struct reading *reading, const struct yaml *node);
    bool with_limit; /* says something about a limit: contradicts `unlimited` */
} members[] = {
    {"meter", read_meter, false},        {"unlimited", read_unlimited, false},
    {"gauge", read_gauge, false},        {"limit", read_limit, true},
    {"soft", read_soft, true},           {"steps", read_steps, false},
    {"scope", read_scope, false},        {"period", read_period, false},
    {"on_exceed", read_on_exceed, true}, {"mode", read_mode, true},
    {"pacing", read_pacing, true},       {"forecast", read_forecast, true},
    {"rollover", read_rollover, true},
};
enum { MEMBER_COUNT = sizeof members / sizeof members[0] };

static bool
names_are_known(struct reading *reading)
{
    const char *names[MEMBER_COUNT + 1] = {NULL};

    for (size_t i = 0; i < MEMBER_COUNT; i++)
        names[i] = members[i].name;
    return node_members(reading->findings, reading->node, reading->quota_name, names);
}

static const struct yaml *
member_node(const struct reading *reading, const char *name)
{
    return yaml_member(reading->node, text_of(name));
}

/* Both a limit and none, or neither. */
static bool
limit_is_clear(struct reading *reading)
{
    const struct quota *quota = reading->quota;
    const struct yaml *unlimited = member_node(reading, "unlimited");
    bool good = true;

    if ((unlimited == NULL || text_eq(unlimited->text, TEXT("false"))) &&
        member_node(reading, "limit") == NULL)
        return finding_error(reading->findings, reading->node->key_at,
                             "%s has neither limit nor unlimited: true", reading->quota_name);
    for (size_t i = 0; quota->unlimited && i < MEMBER_COUNT; i++) {
        const struct yaml *node = member_node(reading, members[i].name);

        if (members[i].with_limit && node != NULL)
            good = finding_error(reading->findings, node->key_at,
                                 "%s: %s contradicts unlimited: true; remove one of them",
                                 reading->quota_name, members[i].name);
    }
    return good;
}

static bool
read_member(struct reading *reading, size_t index)
{
    const struct yaml *node = member_node(reading, members[index].name);

    (void)snprintf(reading->what, sizeof reading->what, "%s: %s", reading->quota_name,
                   members[index].name);
    return node == NULL || members[index].read(reading, node);
}

/* A gauge is of the tenant, and its last value stands until the next one. */
static bool
gauge_is_clear(struct reading *reading)
{
    static const char *const others[] = {"meter", "scope", "period"};
    bool good = true;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct yaml *node = member_node(reading, others[i]);

        if (member_node(reading, "gauge") != NULL && node != NULL)
            good = finding_error(reading->findings, node->key_at,
                                 "%s: %s contradicts gauge: a gauge is of the tenant and has no "
                                 "period; remove one of them",
                                 reading->quota_name, others[i]);
    }
    return good;
}

/* Pace is a matter of what is used up over a billing period, by a tenant or a project. */
static bool
pace_is_clear(struct reading *reading)
{
    static const char *const names[] = {"pacing", "forecast"};
    const struct quota *quota = reading->quota;
    const bool set[] = {quota->pacing, quota->forecast};
    bool good = true;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (set[i] && (quota->gauge.size > 0 || quota->window != WINDOW_BILLING ||
                       quota->scope > QUOTA_PROJECT))
            good = finding_error(reading->findings, member_node(reading, names[i])->key_at,
                                 "%s: %s is for quotas of a tenant or a project in its billing "
                                 "period; remove it",
                                 reading->quota_name, names[i]);
    return good;
}

static bool
read_members(struct reading *reading)
{
    bool good = names_are_known(reading);

    if (!gauge_is_clear(reading))
        return false;
    if (member_node(reading, "meter") == NULL && member_node(reading, "gauge") == NULL)
        return finding_error(reading->findings, reading->node->key_at,
                             "%s has no meter: what is counted, like requests, tokens or cost",
                             reading->quota_name);
    if (!read_member(reading, 0)) /* whether a limit is money is not known */
        return false;
    for (size_t i = 1; i < MEMBER_COUNT; i++)
        good = read_member(reading, i) && good;
    return pace_is_clear(reading) && limit_is_clear(reading) && good;
}

bool
quota_load(struct findings *findings, const struct policy *policy, const struct yaml *node,
           const char *what, struct quota *out)
{
    static const int32_t steps[] = {50, 75, 90};
    struct reading reading = {
        .findings = findings, .policy = policy, .node = node, .quota_name = what, .quota = out};

    if (!node_is(findings, node, YAML_MAP, what, "{meter: requests, limit: 50k}"))
        return false;
    *out = (struct quota){.soft_pct = SOFT_PCT, .step_count = sizeof steps / sizeof steps[0]};
    memcpy(out->steps, steps, sizeof steps);
    if (!read_members(&reading))
        return false;
    if (!out->unlimited && out->limit == 0 && out->on_exceed == ON_EXCEED_BLOCK)
        finding_warning(findings, member_node(&reading, "limit")->at,
                        "%s: limit 0 blocks from the start", what);
    return true;
}
