/* The policy file: plans with their quotas, and what holds for all of them. */
#include "config/anomaly_load.h"
#include "config/breaker_load.h"
#include "config/burst_load.h"
#include "config/config.h"
#include "config/cycle_text.h"
#include "config/policy_prices.h"
#include "config/quota_load.h"
#include "config/value.h"
#include "config/zones.h"
#include "rules/counter.h"

#include <stdio.h>

enum { ARENA_SIZE = 64 << 20, TREE_SIZE = 64 << 20, WHAT_ROOM = 192 };

struct reader {
    struct findings *findings;
    struct policy *policy;
    const struct yaml *root;
};

static bool
keep(struct reader *reader, struct mark at, struct text from, struct text *to)
{
    *to = arena_text(reader->policy->arena, from);
    return to->at != NULL || finding_error(reader->findings, at, "the policy is too large");
}

/* ---- what holds for all plans ----------------------------------------------------------------- */

static void
read_zone(struct reader *reader, const struct yaml *node)
{
    struct text name;
    struct err why;

    if (!node_text(reader->findings, node, "defaults.zone", &name))
        return;
    if (zones_get(name, &why) == NULL)
        (void)finding_error(reader->findings, node->at, "defaults.zone: %s", why.text);
    else
        (void)keep(reader, node->at, name, &reader->policy->zone);
}

static void
read_cycle(struct reader *reader, const struct yaml *node)
{
    struct text text;
    struct err why;

    if (node_text(reader->findings, node, "defaults.cycle", &text) &&
        !cycle_read(text, &reader->policy->cycle, &why))
        (void)finding_error(reader->findings, node->at, "defaults.cycle: %s", why.text);
}

/* At least two hours: the database asks of no younger row whether its period is final. */
static void
read_grace(struct reader *reader)
{
    const struct yaml *node = yaml_member(reader->root, TEXT("grace"));
    struct text text;
    int64_t grace_ms = 0;

    reader->policy->grace_ms = 72 * CLOCK_HOUR_MS;
    if (node == NULL || !node_text(reader->findings, node, "grace", &text))
        return;
    if (!value_duration(text, &grace_ms) || grace_ms < 2 * CLOCK_HOUR_MS ||
        grace_ms > 400 * CLOCK_DAY_MS)
        (void)finding_error(reader->findings, node->at,
                            "grace: %s is no duration of 2h to 9600h, like 72h", text.at);
    else
        reader->policy->grace_ms = grace_ms;
}

static void
read_currency(struct reader *reader, const struct yaml *node)
{
    struct text name;
    const char *must;

    if (!node_text(reader->findings, node, "defaults.currency", &name))
        return;
    must = value_check_currency(name);
    if (must != NULL)
        (void)finding_error(reader->findings, node->at, "defaults.currency: %s", must);
    else
        (void)keep(reader, node->at, name, &reader->policy->currency);
}

static void
read_defaults(struct reader *reader)
{
    static const char *const names[] = {"zone", "cycle", "currency", NULL};
    const struct yaml *defaults = yaml_member(reader->root, TEXT("defaults"));
    const struct yaml *zone = yaml_member(defaults, TEXT("zone"));
    const struct yaml *cycle = yaml_member(defaults, TEXT("cycle"));
    const struct yaml *currency = yaml_member(defaults, TEXT("currency"));

    reader->policy->zone = TEXT("UTC");
    reader->policy->currency = TEXT("USD");
    if (defaults == NULL || defaults->kind == YAML_EMPTY ||
        !node_is(reader->findings, defaults, YAML_MAP, "defaults", "{zone: UTC, currency: USD}"))
        return;
    (void)node_members(reader->findings, defaults, "defaults", names);
    if (zone != NULL)
        read_zone(reader, zone);
    if (cycle != NULL)
        read_cycle(reader, cycle);
    if (currency != NULL)
        read_currency(reader, currency);
}

static void
read_flag(struct reader *reader, const char *name, const char *choices, bool *out)
{
    const struct yaml *node = yaml_member(reader->root, text_of(name));
    int64_t value;

    if (node != NULL && node_choice(reader->findings, node, name, choices, &value))
        *out = value != 0;
}

/* ---- plans ------------------------------------------------------------------------------------ */

/* A plan's quota of this name; NULL when it has none. */
static const struct quota *
find_quota(const struct plan *plan, struct text name)
{
    for (size_t i = 0; i < plan->quota_count; i++)
        if (text_eq(plan->quotas[i].name, name))
            return &plan->quotas[i];
    return NULL;
}

static const char *
counted_by(const struct quota *quota)
{
    return quota->gauge.size > 0 ? quota->gauge.at : meter_names[quota->meter];
}

/* What is stored for a tenant carries the quota's name: after a change of plan it must still mean
 * the same. */
static bool
agrees_with_plans(struct reader *reader, const struct yaml *node, const char *what,
                  const struct quota *quota)
{
    static const char *const scopes[] = {[QUOTA_TENANT] = "tenant",
                                         [QUOTA_PROJECT] = "project",
                                         [QUOTA_FEATURE] = "feature",
                                         [QUOTA_MODEL] = "model",
                                         [QUOTA_KEY] = "key"};
    static const char *const windows[] = {
        [WINDOW_BILLING] = "billing period", [WINDOW_DAY] = "day", [WINDOW_HOUR] = "hour"};

    for (size_t i = 0; i < reader->policy->plan_count; i++) {
        const struct plan *plan = &reader->policy->plans[i];
        const struct quota *other = find_quota(plan, node->key);

        if (other == NULL ||
            (other->meter == quota->meter && other->scope == quota->scope &&
             other->window == quota->window && text_eq(other->gauge, quota->gauge)))
            continue;
        return finding_error(
            reader->findings, node->key_at,
            "%s counts %s by %s and %s, but plan %s has it count %s by %s and %s: a quota of one "
            "name must mean the same in all plans",
            what, counted_by(quota), scopes[quota->scope], windows[quota->window], plan->name.at,
            counted_by(other), scopes[other->scope], windows[other->window]);
    }
    return true;
}

static bool
name_quota(struct reader *reader, const struct yaml *node, struct quota *quota)
{
    static const char kind[] = "quota/";
    char full[sizeof kind + 64];

    (void)snprintf(full, sizeof full, "%s%s", kind, node->key.at);
    return keep(reader, node->key_at, node->key, &quota->name) &&
           keep(reader, node->key_at, text_of(full), &quota->full_name);
}

static void
read_quota(struct reader *reader, const struct yaml *node, struct plan *plan)
{
    struct quota *quota = &plan->quotas[plan->quota_count];
    const char *must = value_check_word(node->key);
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "plan %s, quota %s", plan->name.at, node->key.at);
    if (must != NULL)
        (void)finding_error(reader->findings, node->key_at, "plan %s: the name of a quota %s",
                            plan->name.at, must);
    else if (quota_load(reader->findings, reader->policy, node, what, quota) &&
             agrees_with_plans(reader, node, what, quota) && name_quota(reader, node, quota)) {
        plan->counts |= counter_is_for(quota);
        plan->rolls |= quota->rollover.on;
        plan->quota_count++;
    }
}

static void
read_quotas(struct reader *reader, const struct yaml *node, struct plan *plan)
{
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "plan %s: quotas", plan->name.at);
    if (node->kind == YAML_EMPTY || /* {} and nothing are the same: a plan without limits */
        !node_is(reader->findings, node, YAML_MAP, what,
                 "{api_calls: {meter: requests, limit: 50k}}"))
        return;
    if (node->count > PLAN_QUOTA_LIMIT) {
        (void)finding_error(reader->findings, node->key_at, "%s: more than %d", what,
                            PLAN_QUOTA_LIMIT);
        return;
    }
    plan->quotas = arena_take(reader->policy->arena, (node->count + 1) * sizeof *plan->quotas);
    if (plan->quotas == NULL) {
        (void)finding_error(reader->findings, node->at, "the policy is too large");
        return;
    }
    for (const struct yaml *member = node->first; member != NULL; member = member->next)
        read_quota(reader, member, plan);
}

/* A project's limit that its tenant's is below can never be reached. */
static void
compare_scopes(struct reader *reader, const struct yaml *quotas, const struct plan *plan)
{
    for (size_t p = 0; p < plan->quota_count; p++)
        for (size_t t = 0; t < plan->quota_count; t++) {
            const struct quota *project = &plan->quotas[p];
            const struct quota *tenant = &plan->quotas[t];

            if (project->scope == QUOTA_PROJECT && tenant->scope == QUOTA_TENANT &&
                project->window == tenant->window && tenant->gauge.size == 0 &&
                project->meter == tenant->meter && !project->unlimited && !tenant->unlimited &&
                project->limit > tenant->limit)
                finding_warning(reader->findings, yaml_member(quotas, project->name)->key_at,
                                "plan %s: quota %s of a project is above quota %s of its tenant, "
                                "which is reached first",
                                plan->name.at, project->name.at, tenant->name.at);
        }
}

static void
read_plan(struct reader *reader, const struct yaml *node)
{
    static const char *const names[] = {"quotas", "charge", "burst", NULL};
    struct plan *plan = &reader->policy->plans[reader->policy->plan_count];
    const struct yaml *quotas = yaml_member(node, TEXT("quotas"));
    const struct yaml *burst = yaml_member(node, TEXT("burst"));
    const char *must = value_check_label(node->key);
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "plan %s", node->key.at);
    if (must != NULL) {
        (void)finding_error(reader->findings, node->key_at, "plans: the name of a plan %s", must);
        return;
    }
    if (!keep(reader, node->key_at, node->key, &plan->name))
        return;
    if (node->kind != YAML_EMPTY &&
        node_is(reader->findings, node, YAML_MAP, what, "{quotas: {...}}") &&
        node_members(reader->findings, node, what, names)) {
        policy_charge_read(reader->findings, reader->policy, yaml_member(node, TEXT("charge")),
                           what, &plan->charge);
        if (quotas != NULL) {
            read_quotas(reader, quotas, plan);
            compare_scopes(reader, quotas, plan);
        }
        if (burst != NULL)
            burst_load(reader->findings, reader->policy, plan, burst);
    }
    reader->policy->plan_count++;
}

static void
read_plans(struct reader *reader)
{
    const struct yaml *plans = yaml_member(reader->root, TEXT("plans"));

    if (plans == NULL) {
        (void)finding_error(reader->findings, (struct mark){1, 1},
                            "plans is missing: the plans and their quotas");
        return;
    }
    if (!node_is(reader->findings, plans, YAML_MAP, "plans", "{free: {quotas: {...}}}"))
        return;
    if (plans->count == 0)
        (void)finding_error(reader->findings, plans->at, "plans: there must be at least one");
    reader->policy->plans =
        arena_take(reader->policy->arena, (plans->count + 1) * sizeof *reader->policy->plans);
    if (reader->policy->plans == NULL) {
        (void)finding_error(reader->findings, plans->at, "the policy is too large");
        return;
    }
    for (const struct yaml *member = plans->first; member != NULL; member = member->next)
        read_plan(reader, member);
}

/* ---- the fallback ----------------------------------------------------------------------------- */

static bool
limits_something(const struct plan *plan)
{
    for (size_t i = 0; i < plan->quota_count; i++)
        if (!plan->quotas[i].unlimited && plan->quotas[i].on_exceed == ON_EXCEED_BLOCK &&
            plan->quotas[i].mode == MODE_ENFORCE)
            return true;
    return false;
}

static void
unknown_plan(struct reader *reader, const struct yaml *node, struct text name)
{
    unsigned best = value_typo_limit(name.size) + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < reader->policy->plan_count; i++) {
        const struct text plan = reader->policy->plans[i].name;
        const unsigned distance = text_distance(name, plan, best);

        if (distance < best) {
            best = distance;
            nearest = plan.at;
        }
    }
    if (nearest != NULL)
        (void)finding_error(reader->findings, node->at,
                            "fallback_plan: there is no plan %s; did you mean %s?", name.at,
                            nearest);
    else
        (void)finding_error(reader->findings, node->at, "fallback_plan: there is no plan %s",
                            name.at);
}

static void
read_fallback(struct reader *reader)
{
    const struct yaml *node = yaml_member(reader->root, TEXT("fallback_plan"));
    struct text name;

    if (node == NULL) {
        (void)finding_error(reader->findings, (struct mark){1, 1},
                            "fallback_plan is missing: the plan of tenants that are not known");
        return;
    }
    if (!node_text(reader->findings, node, "fallback_plan", &name))
        return;
    reader->policy->fallback_plan = policy_plan(reader->policy, name);
    if (reader->policy->fallback_plan == NULL)
        unknown_plan(reader, node, name);
    else if (!limits_something(reader->policy->fallback_plan))
        finding_warning(reader->findings, node->at,
                        "fallback_plan: plan %s blocks nothing: whoever is not known is not "
                        "limited",
                        name.at);
}

/* ---- the file ---------------------------------------------------------------------------------- */

static void
read_all(struct reader *reader)
{
    static const char *const names[] = {
        "plans",        "fallback_plan",   "defaults", "grace",     "upgrades",
        "count_failed", "unknown_project", "breakers", "anomalies", "prices",
        "rates",        "overcommit",      NULL};

    if (!node_is(reader->findings, reader->root, YAML_MAP, "policy",
                 "groups of keys, see policy.example.yaml"))
        return;
    (void)node_members(reader->findings, reader->root, "policy", names);
    read_defaults(reader);
    read_grace(reader);
    read_flag(reader, "count_failed", "false|true", &reader->policy->count_failed);
    read_flag(reader, "upgrades", "full|prorate", &reader->policy->prorate_upgrades);
    read_flag(reader, "unknown_project", "unassigned|block",
              &reader->policy->block_unknown_project);
    read_flag(reader, "overcommit", "refuse|allow", &reader->policy->overcommit);
    policy_prices_read(reader->findings, reader->policy, reader->root);
    read_plans(reader);
    read_fallback(reader);
    const struct yaml *breakers = yaml_member(reader->root, TEXT("breakers"));

    if (breakers != NULL)
        breaker_load(reader->findings, reader->policy, breakers);
    const struct yaml *anomalies = yaml_member(reader->root, TEXT("anomalies"));

    if (anomalies == NULL)
        return;
    anomaly_load(reader->findings, reader->policy, anomalies);
    if (breakers == NULL)
        breaker_load_none(reader->findings, reader->policy);
}

static struct policy *
new_policy(void)
{
    struct arena *arena = arena_new(ARENA_SIZE);
    struct policy *policy = arena == NULL ? NULL : arena_take(arena, sizeof *policy);

    if (policy == NULL)
        arena_free(arena);
    else
        policy->arena = arena;
    return policy;
}

struct policy *
policy_load(const char *file, const char *body, size_t size, struct findings *findings)
{
    const size_t errors = findings->error_count;
    const size_t from = findings->count;
    struct arena *tree = arena_new(TREE_SIZE);
    struct reader reader = {.findings = findings, .policy = new_policy()};

    findings_file(findings, file);
    if (tree == NULL || reader.policy == NULL)
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
    else
        reader.root = yaml_parse(policy_own_text((struct text){body, size}), tree, findings);
    if (reader.root != NULL)
        read_all(&reader);
    findings_sort(findings, from);
    if (reader.root != NULL)
        policy_lists_load(findings, reader.policy, file, (struct text){body, size});
    arena_free(tree);
    if (findings->error_count == errors)
        return reader.policy;
    policy_free(reader.policy);
    return NULL;
}
