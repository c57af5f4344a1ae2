#include "config/anomaly_load.h"

#include "config/quota_load.h"
#include "config/value.h"

#include <stdio.h>

/* Nano-units of the policy's currency. */
#define TICKET  ((tally)5 * MONEY_NANO_PER_UNIT)
#define PAGE    ((tally)25 * MONEY_NANO_PER_UNIT)
#define HOLD_MS (15 * CLOCK_MINUTE_MS)

static void
read_amount(struct findings *findings, const struct policy *policy, const struct yaml *parent,
            const char *name, tally *out)
{
    const struct yaml *node = yaml_member(parent, text_of(name));
    struct text text;
    bool decimals;
    const char *must;

    if (node == NULL || !node_text(findings, node, name, &text))
        return;
    must = limit_read(text, policy->currency, out, &decimals);
    if (must != NULL)
        (void)finding_error(findings, node->at, "anomalies: %s: %s", name, must);
}

static void
read_reservations(struct findings *findings, const struct yaml *parent, int64_t *out_ms)
{
    const struct yaml *node = yaml_member(parent, TEXT("reservations"));
    struct text text;
    int64_t hold_ms = 0;

    if (node == NULL || !node_text(findings, node, "reservations", &text))
        return;
    if (!value_duration(text, &hold_ms) || hold_ms < CLOCK_SECOND_MS || hold_ms > CLOCK_DAY_MS)
        (void)finding_error(
            findings, node->at,
            "anomalies: reservations: %s is not a duration from 1s to 24h, like 15m", text.at);
    else
        *out_ms = hold_ms;
}

static void
read_switch(struct findings *findings, const struct yaml *parent, const char *name, bool *out)
{
    const struct yaml *node = yaml_member(parent, text_of(name));
    char what[32];
    int64_t value;

    (void)snprintf(what, sizeof what, "anomalies: %s", name);
    if (node != NULL && node_choice(findings, node, what, "off|on", &value))
        *out = value != 0;
}

void
anomaly_load(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    static const char *const names[] = {"ticket", "page", "reservations", "keys", "margin", NULL};
    struct anomaly_rule *rule = &policy->anomaly;

    *rule = (struct anomaly_rule){.on = true,
                                  .ticket = TICKET,
                                  .page = PAGE,
                                  .reservations_ms = HOLD_MS,
                                  .keys = true,
                                  .margin = true};
    if (node->kind == YAML_EMPTY ||
        !node_is(findings, node, YAML_MAP, "anomalies", "{ticket: 5.00, page: 25.00}") ||
        !node_members(findings, node, "anomalies", names))
        return;
    read_amount(findings, policy, node, "ticket", &rule->ticket);
    read_amount(findings, policy, node, "page", &rule->page);
    read_reservations(findings, node, &rule->reservations_ms);
    read_switch(findings, node, "keys", &rule->keys);
    read_switch(findings, node, "margin", &rule->margin);
    if (rule->page < rule->ticket)
        (void)finding_error(findings, node->at, "anomalies: page is less than ticket");
}
