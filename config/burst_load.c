#include "config/burst_load.h"

#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>

enum { WHAT_ROOM = 256 };

static bool
read_limit(struct findings *findings, const struct yaml *node, const char *what, int64_t *out)
{
    struct text text;

    if (!node_text(findings, node, what, &text))
        return false;
    if (!value_count(text, out) || *out < 0 || *out > BURST_LIMIT_MOST)
        return finding_error(findings, node->at,
                             "%s: %s is not a number of requests in a minute, 0 to %" PRId64
                             ", like 60",
                             what, text.at, BURST_LIMIT_MOST);
    if (*out == 0)
        finding_warning(findings, node->at, "%s: 0 throttles after every single request", what);
    return true;
}

static bool
read_choice(struct findings *findings, const struct yaml *map, const char *of, const char *name,
            const char *choices, int64_t *out)
{
    const struct yaml *node = yaml_member(map, text_of(name));
    char what[WHAT_ROOM + 16];

    (void)snprintf(what, sizeof what, "%s: %s", of, name);
    return node == NULL || node_choice(findings, node, what, choices, out);
}

/* {limit: 60, count: attempts, mode: shadow} */
static bool
read_map(struct findings *findings, const struct yaml *node, const char *of,
         struct burst_rule *rule)
{
    static const char *const names[] = {"limit", "count", "mode", NULL};
    const struct yaml *limit = yaml_member(node, TEXT("limit"));
    int64_t attempts = 0;
    int64_t shadow = 0;
    char what[WHAT_ROOM + 16];

    if (!node_members(findings, node, of, names))
        return false;
    if (limit == NULL)
        return finding_error(findings, node->key_at, "%s has no limit: requests in a minute", of);
    (void)snprintf(what, sizeof what, "%s: limit", of);
    const bool good = read_limit(findings, limit, what, &rule->limit);

    if (!read_choice(findings, node, of, "count", "requests|attempts", &attempts) ||
        !read_choice(findings, node, of, "mode", "enforce|shadow", &shadow))
        return false;
    rule->attempts = attempts != 0;
    rule->mode = shadow != 0 ? MODE_SHADOW : MODE_ENFORCE;
    return good;
}

/* One that its tenant's is below can never be reached. */
static void
compare(struct findings *findings, const struct yaml *node, const struct plan *plan)
{
    const struct burst_rule *tenant = &plan->bursts[BURST_TENANT];

    for (size_t s = 0; s < BURST_SCOPE_COUNT; s++) {
        const struct burst_rule *rule = &plan->bursts[s];

        if (rule->on && tenant->on && rule->attempts == tenant->attempts &&
            tenant->mode == MODE_ENFORCE && rule->limit > tenant->limit)
            finding_warning(findings, yaml_member(node, text_of(burst_names[s]))->key_at,
                            "plan %s: burst: %s is above the limit of the tenant, which is reached "
                            "first",
                            plan->name.at, burst_names[s]);
    }
}

void
burst_load(struct findings *findings, struct policy *policy, struct plan *plan,
           const struct yaml *node)
{
    const char *names[BURST_SCOPE_COUNT + 1] = {NULL};
    char of[WHAT_ROOM];

    for (size_t s = 0; s < BURST_SCOPE_COUNT; s++)
        names[s] = burst_names[s];
    (void)snprintf(of, sizeof of, "plan %.100s: burst", plan->name.at);
    if (node->kind == YAML_EMPTY || !node_is(findings, node, YAML_MAP, of, "{key: 60}") ||
        !node_members(findings, node, of, names))
        return;
    for (size_t s = 0; s < BURST_SCOPE_COUNT; s++) {
        const struct yaml *one = yaml_member(node, text_of(names[s]));
        struct burst_rule *rule = &plan->bursts[s];

        if (one == NULL)
            continue;
        (void)snprintf(of, sizeof of, "plan %.100s: burst: %s", plan->name.at, names[s]);
        rule->on = one->kind == YAML_MAP ? read_map(findings, one, of, rule)
                                         : read_limit(findings, one, of, &rule->limit);
        policy->bursts[s][rule->attempts] |= rule->on;
        policy->has_bursts |= rule->on;
    }
    compare(findings, node, plan);
}
