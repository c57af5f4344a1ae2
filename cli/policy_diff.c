#include "cli/policy_diff.h"

#include "cli/standing.h"
#include "config/tenant_spec.h"
#include "rules/shard.h"
#include "sinks/message.h"

#include <stdlib.h>

#define SETTLE_MEMORY ((size_t)64 << 20)
#define SCOPES_MEMORY ((size_t)16 << 20)
#define SCOPES_LIMIT  100000
#define BURST_ENTRIES 64 /* nothing is counted here */

struct policy_diff {
    const struct policy *now;
    const struct policy *next;
    struct shard *shard;
    struct metric_set metrics;
    struct arena *memory;
    struct list blocked; /* struct text: scopes that are restricted now */
};

/* One tenant on its way. */
struct trial {
    struct policy_diff *diff;
    const struct tenant_load *load;
    struct tenant *now;
    struct tenant *next;
    int64_t time_ms;
    diff_on_change *on_change;
    void *context;
};

struct policy_diff *
policy_diff_new(const struct policy *now, const struct policy *next)
{
    static const char *const topics[] = {"usage"};
    struct policy_diff *diff = calloc(1, sizeof *diff);

    if (diff == NULL)
        return NULL;
    diff->now = now;
    diff->next = next;
    list_init(&diff->blocked, sizeof(struct text), SCOPES_LIMIT);
    diff->memory = arena_new(SCOPES_MEMORY);
    diff->shard = shard_new(&(struct shard_setup){.topic_count = 1,
                                                  .topics = topics,
                                                  .settle_memory = SETTLE_MEMORY,
                                                  .tenant_limit = 1,
                                                  .burst_entries = BURST_ENTRIES,
                                                  .metrics = &diff->metrics});
    if (diff->memory != NULL && diff->shard != NULL)
        return diff;
    policy_diff_free(diff);
    return NULL;
}

void
policy_diff_free(struct policy_diff *diff)
{
    if (diff == NULL)
        return;
    shard_free(diff->shard);
    arena_free(diff->memory);
    list_free(&diff->blocked);
    free(diff);
}

/* ---- limits ----------------------------------------------------------------------------------------- */

static bool
is_of(const struct standing *standing, struct text of)
{
    const struct text own = standing->project.at != NULL ? standing->project : standing->subject;

    return text_eq(own, of);
}

/* The limit of a quota as the tenant has it, and what it has used; false when it has no such quota. */
static bool
find_limit(const struct trial *trial, const struct tenant *tenant, const struct diff_change *change,
           struct diff_limit *limit, struct diff_change *out)
{
    const struct text name = words_rule_name(change->rule);

    *limit = (struct diff_limit){.none = true};
    for (size_t i = 0; i < standing_count(tenant); i++) {
        struct standing one;

        standing_of(tenant, i, trial->time_ms, &one);
        if (!text_eq(one.quota->rule->name, name) || !is_of(&one, change->of))
            continue;
        *limit = (struct diff_limit){.unlimited = one.quota->unlimited, .amount = one.limit};
        out->used = one.used;
        out->is_money = one.is_money;
        return true;
    }
    return false;
}

static void
report(const struct trial *trial, struct diff_change *change)
{
    change->tenant = trial->load->name;
    change->currency = trial->now->currency;
    if (change->rule.size > 0) {
        const bool was = find_limit(trial, trial->now, change, &change->now, change);
        const bool is = find_limit(trial, trial->next, change, &change->next, change);

        change->has_quota = was || is;
    }
    trial->on_change(trial->context, change);
}

/* ---- what the settlement carries ---------------------------------------------------------------------- */

static void
report_alert(const struct trial *trial, const struct transition *transition)
{
    static const enum label subjects[] = {LABEL_PROJECT, LABEL_FEATURE, LABEL_MODEL,
                                          LABEL_API_KEY_ID};
    static const enum diff_kind kinds[] = {
        [MOVE_FIRE] = DIFF_OPENS, [MOVE_STEP] = DIFF_RISES, [MOVE_RESOLVE] = DIFF_CLOSES};
    struct diff_change change = {.kind = kinds[transition->move],
                                 .rule = transition->rule,
                                 .step = transition->step,
                                 .step_amount = transition->step_amount,
                                 .is_money = transition->is_money};

    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (transition->labels[subjects[i]].size > 0)
            change.of = transition->labels[subjects[i]];
    report(trial, &change);
}

static bool
is_blocked(const struct policy_diff *diff, struct text scope)
{
    for (size_t i = 0; i < diff->blocked.count; i++)
        if (text_eq(*(struct text *)list_at(&diff->blocked, i), scope))
            return true;
    return false;
}

/* A restriction that goes on, if with another limit, is no news. */
static void
report_scope(const struct trial *trial, const struct scope_state *state)
{
    const struct restriction *answer = scope_answer(state);
    struct diff_change change = {.scope = state->scope};
    struct scope_parts parts;

    if ((answer != NULL) == is_blocked(trial->diff, state->scope))
        return;
    change.kind = answer == NULL ? DIFF_ALLOWS : DIFF_BLOCKS;
    if (answer != NULL) {
        change.rule = answer->rule;
        change.code = code_table[answer->code].name;
        if (scope_split(state->scope, trial->diff->memory, &parts))
            change.of = parts.b;
    }
    report(trial, &change);
}

static bool
keep_blocked(struct policy_diff *diff, const struct settlement *settlement)
{
    arena_clear(diff->memory);
    list_clear(&diff->blocked);
    for (size_t i = 0; settlement != NULL && i < settlement->decisions.count; i++) {
        const struct scope_state *state = list_at(&settlement->decisions, i);
        struct text *scope = scope_answer(state) == NULL ? NULL : list_add(&diff->blocked);

        if (scope_answer(state) == NULL)
            continue;
        if (scope == NULL)
            return false;
        *scope = arena_text(diff->memory, state->scope);
        if (scope->at == NULL)
            return false;
    }
    return true;
}

static void
check_contract(const struct trial *trial)
{
    struct diff_change change = {.kind = DIFF_MISFITS};
    struct err why = {.class = ERR_NONE};
    struct err before = {.class = ERR_NONE};

    if (!trial->load->known || tenant_spec_check(&trial->load->spec, trial->diff->next, &why))
        return;
    change.text = text_of(why.text);
    change.before = !tenant_spec_check(&trial->load->spec, trial->diff->now, &before);
    report(trial, &change);
}

/* ---- a tenant ------------------------------------------------------------------------------------------ */

static void
forget_wanted(struct shard *shard)
{
    struct scope_state *const *states;

    shard_wanted_taken(shard, shard_wanted(shard, &states));
}

/* The shard takes the tenant over as it is, then the other policy. */
static bool
play(const struct trial *trial, const struct diff_moment *moment)
{
    static const struct progress nowhere = {.last_offset = -1};
    struct policy_diff *diff = trial->diff;
    struct shard *shard = diff->shard;
    struct tenant_load load = *trial->load;

    load.home = 0;
    shard_begin(shard, &(struct shard_start){.epoch = 1,
                                             .time_ms = moment->time_ms,
                                             .progress = &nowhere,
                                             .policy = diff->now,
                                             .enforcing = moment->enforcing});
    if (!shard_load(shard, &load))
        return false;
    const struct settlement *settlement = shard_freeze(shard);

    if (!keep_blocked(diff, settlement))
        return false;
    if (settlement != NULL)
        shard_settled(shard, NULL, 0);
    shard_policy(shard, diff->next);
    settlement = shard_freeze(shard);
    for (size_t i = 0; settlement != NULL && i < settlement->transitions.count; i++)
        report_alert(trial, list_at(&settlement->transitions, i));
    for (size_t i = 0; settlement != NULL && i < settlement->decisions.count; i++)
        report_scope(trial, list_at(&settlement->decisions, i));
    if (settlement != NULL)
        shard_settled(shard, NULL, 0);
    forget_wanted(shard);
    return true;
}

bool
policy_diff_tenant(struct policy_diff *diff, const struct tenant_load *load,
                   const struct diff_moment *moment, diff_on_change *on_change, void *context)
{
    const struct key128 id = {0, 0};
    struct trial trial = {
        .diff = diff,
        .load = load,
        .now = tenant_new(load, id, load->home, diff->now, moment->time_ms),
        .next = tenant_new(load, id, load->home, diff->next, moment->time_ms),
        .time_ms = moment->time_ms,
        .on_change = on_change,
        .context = context,
    };
    const bool made = trial.now != NULL && trial.next != NULL;
    const bool good = made && play(&trial, moment);

    if (good)
        check_contract(&trial);
    tenant_free(trial.now);
    tenant_free(trial.next);
    return good;
}
