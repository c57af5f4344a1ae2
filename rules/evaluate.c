#include "rules/evaluate.h"

#include "rules/counter.h"
#include "rules/feature.h"
#include "rules/throttle.h"

/* The word that governs a scope now, NULL when none does. */
static const struct operator_word *
word_of(const struct tenant *tenant, struct text scope, int64_t now_ms)
{
    for (size_t i = 0; i < tenant->word_count; i++)
        if (tenant->words[i].until_ms > now_ms && text_eq(tenant->words[i].scope, scope))
            return &tenant->words[i];
    return NULL;
}

/* What an operator's block is called for each kind of scope. */
static enum code
word_code(struct text scope)
{
    static const struct {
        const char *kind;
        enum code code;
    } kinds[] = {
        {"tenant/", CODE_tenant_disabled},
        {"key/", CODE_key_revoked},
        {"feature/", CODE_feature_not_allowed},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (scope.size > strlen(kinds[i].kind) &&
            memcmp(scope.at, kinds[i].kind, strlen(kinds[i].kind)) == 0)
            return kinds[i].code;
    return CODE_compliance_hold;
}

/* NULL: the scope is no feature's, or of one without a breaker. */
static const struct feature *
scope_feature(const struct tenant *tenant, struct text scope)
{
    static const struct text kind = TEXT_ROW("feature/");
    char name[SCOPE_SIZE];
    size_t slash = scope.size;
    size_t size = 0;

    if (tenant->features == NULL || scope.size <= kind.size ||
        memcmp(scope.at, kind.at, kind.size) != 0)
        return NULL;
    while (scope.at[slash - 1] != '/')
        slash--;
    if (!text_percent_decode(name, sizeof name, (struct text){scope.at + slash, scope.size - slash},
                             &size))
        return NULL;
    return feature_find(tenant->features, (struct text){name, size});
}

static void
restrict_to(struct scope_state *out, enum code code, struct restriction restriction)
{
    restriction.code = code;
    restriction.rank = code_table[code].rank;
    scope_restrict(out, &restriction);
}

static void
hard_blocks(const struct operator_word *word, const struct evaluation *evaluation,
            struct scope_state *out)
{
    if (word != NULL && word->kind == WORD_BLOCK)
        restrict_to(out, word_code(out->scope),
                    (struct restriction){.rule = TEXT("operator"),
                                         .policy = evaluation->policy,
                                         .since_ms = word->since_ms,
                                         .ends_ms = word->until_ms,
                                         .reason = word->reason,
                                         .actor = word->actor});
}

/* A project that the tenant, which declares its projects, has not declared. */
static void
unknown_project(const struct tenant *tenant, int32_t project, const struct evaluation *evaluation,
                struct scope_state *out)
{
    if (evaluation->block_unknown_project && project < 0 && tenant->spec.project_count > 0 &&
        out->scope.size > 8 && memcmp(out->scope.at, "project/", 8) == 0)
        restrict_to(out, CODE_unknown_project,
                    (struct restriction){.rule = TEXT("unknown_project"),
                                         .policy = evaluation->policy,
                                         .ends_ms = INT64_MAX});
}

static void
allowances(const struct tenant *tenant, int32_t project, const struct evaluation *evaluation,
           struct scope_state *out)
{
    const struct tenant_period *present = &tenant->periods[0];

    for (size_t q = 0; q < tenant->quota_count; q++) {
        const struct quota_state *state = &tenant->quotas[q];
        const struct quota *rule = state->rule;

        if (state->project != project || !state->blocked || rule->mode == MODE_SHADOW)
            continue;
        restrict_to(
            out, project < 0 ? CODE_plan_allowance_exhausted : CODE_project_budget_exhausted,
            (struct restriction){.rule = rule->full_name,
                                 .policy = evaluation->policy,
                                 .since_ms = state->since_ms,
                                 .ends_ms = present->period.end_ms,
                                 .resets_ms = present->period.end_ms,
                                 .has_usage = true,
                                 .is_money = meter_is_money(rule->meter),
                                 .used = meter_read(&present->totals[project + 1].sum, rule->meter),
                                 .limit = state->limit,
                                 .currency = tenant->currency});
    }
}

/* Rank 3 as well: what is counted of this scope for itself. */
static void
counted(const struct tenant *tenant, const struct evaluation *evaluation, struct scope_state *out)
{
    const struct counters *counters = tenant->counters;

    for (size_t i = 0; counters != NULL && i < counters->count; i++) {
        const struct counter *counter = &counters->at[i];
        const struct quota *rule = counter->state.rule;
        const bool turns = rule->gauge.size == 0;
        char scope[SCOPE_SIZE];

        if (!counter->state.blocked || rule->mode == MODE_SHADOW)
            continue;
        const size_t size = counter_scope(tenant, counter, scope);

        if (!text_eq((struct text){scope, size}, out->scope))
            continue;
        restrict_to(out,
                    rule->scope == QUOTA_PROJECT ? CODE_project_budget_exhausted
                                                 : CODE_plan_allowance_exhausted,
                    (struct restriction){.rule = rule->full_name,
                                         .policy = evaluation->policy,
                                         .since_ms = counter->state.since_ms,
                                         .ends_ms = counter->window.end_ms,
                                         .resets_ms = turns ? counter->window.end_ms : 0,
                                         .has_usage = true,
                                         .is_money = turns && meter_is_money(rule->meter),
                                         .used = counter->used,
                                         .limit = counter->state.limit,
                                         .currency = tenant->currency});
    }
}

/* Rank 4: burst limits. */
static void
bursts(const struct tenant *tenant, const struct evaluation *evaluation, struct scope_state *out)
{
    static const enum code codes[] = {[BURST_KEY] = CODE_key_rate_limited,
                                      [BURST_TENANT] = CODE_tenant_rate_limited,
                                      [BURST_IP] = CODE_ip_rate_limited,
                                      [BURST_FEATURE] = CODE_feature_rate_limited};

    for (size_t i = 0; tenant->bursts != NULL && i < tenant->bursts->count; i++) {
        const struct throttle *throttle = tenant->bursts->throttles[i];
        const struct throttle_memory *memory = &throttle->memory;

        if (memory->shadow || memory->over || memory->until_ms <= evaluation->now_ms ||
            !text_eq(throttle->scope, out->scope))
            continue;
        restrict_to(out, codes[memory->scope],
                    (struct restriction){.rule = text_of(burst_rules[memory->scope]),
                                         .policy = evaluation->policy,
                                         .since_ms = memory->since_ms,
                                         .ends_ms = memory->until_ms,
                                         .throttles = true,
                                         .has_usage = true,
                                         .used = memory->used,
                                         .limit = memory->limit});
    }
}

/* Rank 5: the feature's breaker. */
static void
breaker(const struct tenant *tenant, const struct evaluation *evaluation, struct scope_state *out)
{
    const struct feature *feature = scope_feature(tenant, out->scope);
    bool throttles = false;

    if (feature == NULL || !breaker_restricts(&feature->breaker, &throttles))
        return;
    const struct breaker *state = &feature->breaker;
    const bool forced = state->state == BREAKER_FORCED_OPEN;

    restrict_to(out, CODE_feature_suspended,
                (struct restriction){.rule = tenant->fleet ? TEXT("breaker/fleet")
                                                           : TEXT("breaker/runaway"),
                                     .policy = evaluation->policy,
                                     .since_ms = state->since_ms,
                                     .ends_ms = state->until_ms,
                                     .throttles = throttles,
                                     .has_usage = !forced,
                                     .is_money = true,
                                     .used = state->observed,
                                     .limit = state->baseline,
                                     .currency = tenant->currency,
                                     .reason = feature->reason,
                                     .actor = feature->actor});
}

void
evaluate_scope(const struct tenant *tenant, struct text scope, bool is_tenant, int32_t project,
               const struct evaluation *evaluation, struct scope_state *out)
{
    const struct operator_word *word = word_of(tenant, scope, evaluation->now_ms);

    *out =
        (struct scope_state){.scope = scope, .tenant = tenant->name, .at_ms = evaluation->now_ms};
    out->operator_said = !evaluation->enforcing || (word != NULL && word->kind == WORD_ALLOW);
    if (out->operator_said || tenant->split)
        return;
    hard_blocks(word, evaluation, out);
    unknown_project(tenant, project, evaluation, out);
    if (is_tenant || project >= 0)
        allowances(tenant, project, evaluation, out);
    counted(tenant, evaluation, out);
    bursts(tenant, evaluation, out);
    breaker(tenant, evaluation, out);
}
