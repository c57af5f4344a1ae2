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
read_feature(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    static const char *const names[] = {"budget",      "mode", "floor", "absolute",
                                        "least_calls", "open", NULL};
    struct breaker_rule *rule = &policy->breakers[policy->breaker_count];
    char of[WHAT_ROOM / 2];

    (void)snprintf(of, sizeof of, "breakers, feature %.60s", node->key.at);
    struct reading reading = {
        .findings = findings, .policy = policy, .node = node, .of = of, .rule = rule};

    *rule = policy->breaker;
    rule->feature = arena_text(policy->arena, node->key);
    if (rule->feature.at == NULL) {
        (void)finding_error(findings, node->key_at, "the policy is too large");
        return;
    }
    if (node->key.size == 0 || node->key.size > EVENT_ID_LIMIT)
        (void)finding_error(findings, node->key_at,
                            "breakers: the name of a feature has 1 to %d bytes", EVENT_ID_LIMIT);
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
    policy->breaker_count++;
}

void
breaker_load(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    static const char *const names[] = {"mode", "floor",    "absolute", "least_calls",
                                        "open", "features", NULL};
    const struct yaml *features = yaml_member(node, TEXT("features"));
    struct reading reading = {.findings = findings,
                              .policy = policy,
                              .node = node,
                              .of = "breakers",
                              .rule = &policy->breaker};

    policy->has_breakers = true;
    policy->breaker = (struct breaker_rule){.absolute = TALLY_MAX,
                                            .floor = MONEY_NANO_PER_UNIT,
                                            .open_ms = BREAKER_OPEN_MS,
                                            .least_calls = LEAST_CALLS};
    if (node->kind == YAML_EMPTY ||
        !node_is(findings, node, YAML_MAP, "breakers", "{mode: shadow, features: {...}}") ||
        !node_members(findings, node, "breakers", names))
        return;
    read_common(&reading);
    (void)read_mode(&reading);
    if (features == NULL || features->kind == YAML_EMPTY ||
        !node_is(findings, features, YAML_MAP, "breakers: features", "{search: {budget: 20.00}}"))
        return;
    if (features->count > BREAKER_RULE_LIMIT) {
        (void)finding_error(findings, features->at, "breakers: features: more than %d",
                            BREAKER_RULE_LIMIT);
        return;
    }
    policy->breakers = arena_take(policy->arena, (features->count + 1) * sizeof *policy->breakers);
    if (policy->breakers == NULL) {
        (void)finding_error(findings, features->at, "the policy is too large");
        return;
    }
    for (const struct yaml *one = features->first; one != NULL; one = one->next)
        read_feature(findings, policy, one);
}
