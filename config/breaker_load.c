#include "config/breaker_load.h"

#include "config/quota_load.h"
#include "config/value.h"
#include "core/breaker.h"
#include "core/event.h"
#include "rules/quota.h"

#include <stdio.h>

enum { LEAST_CALLS = 20, WHAT_ROOM = 256 };

struct reading {
    struct findings *findings;
    struct policy *policy;
    const struct yaml *node;
    const char *of;       /* "breakers", "breakers, feature search" */
    char what[WHAT_ROOM]; /* that, and the member being read */
    struct breaker_rule *rule;
};

static const struct yaml *
member(struct reading *reading, const char *name)
{
    (void)snprintf(reading->what, sizeof reading->what, "%s: %s", reading->of, name);
    return yaml_member(reading->node, text_of(name));
}

/* An amount an hour, above 0. */
static bool
read_amount(struct reading *reading, const char *name, tally *out)
{
    const struct yaml *node = member(reading, name);
    struct text text;
    bool decimals;
    const char *must;

    if (node == NULL || !node_text(reading->findings, node, reading->what, &text))
        return false;
    must = limit_read(text, reading->policy->currency, out, &decimals);
    if (must == NULL && *out == 0)
        must = "must be more than 0; mode: off switches the breaker off";
    return must == NULL ||
           finding_error(reading->findings, node->at, "%s: %s", reading->what, must);
}

static void
read_least_calls(struct reading *reading)
{
    const struct yaml *node = member(reading, "least_calls");
    struct text text;

    if (node == NULL || !node_text(reading->findings, node, reading->what, &text))
        return;
    if (!value_count(text, &reading->rule->least_calls) || reading->rule->least_calls < 0 ||
        reading->rule->least_calls > 1000000)
        (void)finding_error(reading->findings, node->at,
                            "%s: %s is not a number of calls up to 1M, like 20", reading->what,
                            text.at);
}

static void
read_open(struct reading *reading)
{
    const struct yaml *node = member(reading, "open");
    struct text text;

    if (node == NULL || !node_text(reading->findings, node, reading->what, &text))
        return;
    if (!value_duration(text, &reading->rule->open_ms) ||
        reading->rule->open_ms < CLOCK_SECOND_MS || reading->rule->open_ms > 6 * CLOCK_HOUR_MS)
        (void)finding_error(reading->findings, node->at,
                            "%s: %s is not a duration from 1s to 6h, like 15m", reading->what,
                            text.at);
}

static bool
read_mode(struct reading *reading)
{
    const struct yaml *node = member(reading, "mode");
    int64_t value;

    if (node == NULL ||
        !node_choice(reading->findings, node, reading->what, "enforce|shadow|off", &value))
        return false;
    reading->rule->enforce = value == 0;
    reading->rule->off = value == 2;
    return true;
}

static void
read_common(struct reading *reading)
{
    tally amount;

    if (read_amount(reading, "floor", &amount))
        reading->rule->floor = amount;
    if (read_amount(reading, "absolute", &amount))
        reading->rule->absolute = amount;
    read_least_calls(reading);
    read_open(reading);
}

static void
read_feature(const struct reading *whole, const struct yaml *node, struct breaker_rule *rule)
{
    static const char *const names[] = {"budget",      "mode", "floor", "absolute",
                                        "least_calls", "open", NULL};
    struct findings *findings = whole->findings;
    char of[WHAT_ROOM / 2];

    (void)snprintf(of, sizeof of, "%s, feature %.60s", whole->of, node->key.at);
    struct reading reading = {
        .findings = findings, .policy = whole->policy, .node = node, .of = of, .rule = rule};

    rule->feature = arena_text(whole->policy->arena, node->key);
    if (rule->feature.at == NULL) {
        (void)finding_error(findings, node->key_at, "the policy is too large");
        return;
    }
    if (node->key.size == 0 || node->key.size > EVENT_ID_LIMIT)
        (void)finding_error(findings, node->key_at, "%s: the name of a feature has 1 to %d bytes",
                            whole->of, EVENT_ID_LIMIT);
    if (!node_is(findings, node, YAML_MAP, of, "{budget: 20.00}") ||
        !node_members(findings, node, of, names))
        return;
    read_common(&reading);
    rule->configured = read_amount(&reading, "budget", &rule->budget);
    /* Whoever gives a budget means it; what is learned is first looked at. */
    if (!read_mode(&reading) && rule->configured) {
        rule->enforce = true;
        rule->off = false;
    }
    if (rule->configured && rule->absolute != TALLY_MAX && rule->absolute <= rule->budget)
        finding_warning(findings, node->key_at,
                        "%s: absolute is not above the budget: a usual hour trips the breaker", of);
}

/* The features of a group, each a rule made from the group's own. NULL when there are none. */
static struct breaker_rule *
read_features(const struct reading *whole, size_t *count)
{
    const struct yaml *features = yaml_member(whole->node, TEXT("features"));
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "%s: features", whole->of);
    if (features == NULL || features->kind == YAML_EMPTY ||
        !node_is(whole->findings, features, YAML_MAP, what, "{search: {budget: 20.00}}"))
        return NULL;
    if (features->count > BREAKER_RULE_LIMIT) {
        (void)finding_error(whole->findings, features->at, "%s: more than %d", what,
                            BREAKER_RULE_LIMIT);
        return NULL;
    }
    struct breaker_rule *rules =
        arena_take(whole->policy->arena, (features->count + 1) * sizeof *rules);

    if (rules == NULL) {
        (void)finding_error(whole->findings, features->at, "the policy is too large");
        return NULL;
    }
    for (const struct yaml *one = features->first; one != NULL; one = one->next) {
        rules[*count] = *whole->rule;
        read_feature(whole, one, &rules[(*count)++]);
    }
    return rules;
}

/* `breakers` and, in it, `fleet`. */
static struct breaker_rule *
read_group(struct reading *reading, const char *const *names, size_t *count)
{
    *reading->rule = (struct breaker_rule){.absolute = TALLY_MAX,
                                           .floor = MONEY_NANO_PER_UNIT,
                                           .open_ms = BREAKER_OPEN_MS,
                                           .least_calls = LEAST_CALLS};
    if (reading->node == NULL || reading->node->kind == YAML_EMPTY ||
        !node_is(reading->findings, reading->node, YAML_MAP, reading->of,
                 "{mode: shadow, features: {...}}") ||
        !node_members(reading->findings, reading->node, reading->of, names))
        return NULL;
    read_common(reading);
    (void)read_mode(reading);
    return read_features(reading, count);
}

void
breaker_load(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    static const char *const names[] = {"mode", "floor",    "absolute", "least_calls",
                                        "open", "features", "fleet",    NULL};
    static const char *const fleet_names[] = {"mode", "floor",    "absolute", "least_calls",
                                              "open", "features", NULL};
    struct reading reading = {.findings = findings,
                              .policy = policy,
                              .node = node,
                              .of = "breakers",
                              .rule = &policy->breaker};

    policy->has_breakers = true;
    policy->breakers = read_group(&reading, names, &policy->breaker_count);
    reading.node = yaml_member(node, TEXT("fleet"));
    reading.of = "breakers: fleet";
    reading.rule = &policy->fleet;
    policy->fleets = read_group(&reading, fleet_names, &policy->fleet_count);
}

void
breaker_load_none(struct findings *findings, struct policy *policy)
{
    static const struct yaml nothing = {.kind = YAML_EMPTY};

    breaker_load(findings, policy, &nothing);
    policy->breaker.off = policy->fleet.off = true;
}
