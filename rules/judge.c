#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/carrying.h"
#include "rules/counting.h"
#include "rules/evaluate.h"
#include "rules/pacer.h"
#include "rules/shard_state.h"
#include "rules/throttling.h"
#include "rules/trip.h"

#include <stdlib.h>

#define UNKNOWN_PROJECT_LIMIT 100

static struct text
project_text(const struct tenant *tenant, int32_t project)
{
    return project < 0 ? (struct text){NULL, 0} : tenant->spec.projects[project].name;
}

/* ---- what is remembered and told ---------------------------------------------------------------- */

void
judge_remember(struct shard *shard, struct tenant *tenant, const struct quota_state *state)
{
    struct settlement *settlement = shard->open->settlement;
    struct quota_memory *row = shard_must(list_add(&settlement->quotas));

    tenant_quota_memory(tenant, state, row);
    row->tenant = arena_text(settlement->arena, row->tenant);
    row->quota = arena_text(settlement->arena, row->quota);
    row->project = row->project.size == 0 ? TEXT("") : arena_text(settlement->arena, row->project);
    tenant->touched = shard->open->number;
}

static struct text
unit_of(const struct tenant *tenant, enum meter meter)
{
    return meter_is_money(meter) ? tenant->currency : text_of(meter_names[meter]);
}

static void
tell(struct shard *shard, const struct tenant *tenant, const struct quota_state *state,
     const struct quota_verdict *verdict, bool restricted, enum resolved reason)
{
    const struct period *period = &tenant->periods[0].period;
    const struct quota *rule = state->rule;
    char start[CLOCK_TEXT_SIZE];
    struct transition transition = {
        .at_ms = shard->time_ms,
        .has_value = true,
        .is_money = meter_is_money(rule->meter),
        .value = meter_read(&tenant->periods[0].totals[state->project + 1].sum, rule->meter),
        .unit = unit_of(tenant, rule->meter),
        .zone = text_of(zone_name(tenant->zone)),
        .resets_ms = period->end_ms,
        .restricts = restricted && rule->mode == MODE_ENFORCE,
        .reason = verdict->move == MOVE_RESOLVE ? reason : RESOLVED_NOT};

    quota_describe(state, verdict, &transition);
    transition.labels[LABEL_TENANT] = tenant->name;
    transition.labels[LABEL_PROJECT] = project_text(tenant, state->project);
    transition.labels[LABEL_PERIOD] = text_of(clock_format(period->start_ms, start));
    shard_transition(shard, &transition);
}

/* ---- scopes --------------------------------------------------------------------------------------- */

static uint64_t
content_of(const struct scope_state *state)
{
    struct key128 sum = {.low = 0, .high = 0};

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *one = &state->restrictions[i];
        const int64_t numbers[] = {
            one->code,      one->rank,      one->since_ms,       one->ends_ms,
            one->resets_ms, one->throttles, (int64_t)one->limit, (int64_t)(one->limit >> 64)};
        const struct text texts[] = {one->rule, one->reason, one->actor};

        sum = identity_texts(identity_numbers(sum, numbers, sizeof numbers / sizeof numbers[0]),
                             texts, 3);
    }
    return sum.low;
}

static struct published *
published_as(struct tenant *tenant, struct text scope)
{
    for (struct published *one = tenant->published; one != NULL; one = one->next)
        if (text_eq(one->scope, scope))
            return one;
    return NULL;
}

/* Index of the project a scope is of, -1 when it is none's. */
static int32_t
scope_project(const struct tenant *tenant, struct text scope)
{
    char name[SCOPE_SIZE];

    if (scope.size < 8 || memcmp(scope.at, "project/", 8) != 0)
        return -1;
    for (size_t i = 0; i < tenant->spec.project_count; i++) {
        const size_t size =
            scope_build(name, "project", tenant->name, tenant->spec.projects[i].name);

        if (text_eq((struct text){name, size}, scope))
            return (int32_t)i;
    }
    return -1;
}

static void
evaluate(const struct shard *shard, const struct tenant *tenant, struct text scope,
         struct scope_state *state)
{
    const struct evaluation evaluation = {.now_ms = shard->time_ms,
                                          .enforcing = shard->enforcing,
                                          .policy = shard->policy->serial,
                                          .block_unknown_project =
                                              shard->policy->block_unknown_project};

    evaluate_scope(tenant, scope, scope.size > 7 && memcmp(scope.at, "tenant/", 7) == 0,
                   scope_project(tenant, scope), &evaluation, state);
    state->shard = shard->setup.shard;
    state->epoch = shard->epoch;
}

static void
keep_decision(struct shard *shard, const struct scope_state *state)
{
    struct settlement *settlement = shard->open->settlement;
    struct scope_state *row = shard_must(list_add(&settlement->decisions));

    *row = *(struct scope_state *)shard_must(scope_copy(state, settlement->arena));
}

static struct published *
publish_first(struct tenant *tenant, struct text scope)
{
    struct published *one = shard_must(calloc(1, sizeof *one + scope.size));

    memcpy(one->name, scope.at, scope.size);
    one->scope = (struct text){one->name, scope.size};
    one->next = tenant->published;
    tenant->published = one;
    return one;
}

/* True when it is another state than before. */
static bool
publish_again(struct shard *shard, struct published *before, const struct scope_state *state)
{
    const uint64_t content = content_of(state);
    const bool restricted = state->count > 0;
    const bool changed = before->content != content || before->restricted != restricted;

    shard->restricted_count -= before->restricted;
    shard->restricted_count += restricted;
    before->content = content;
    before->restricted = restricted;
    return changed;
}

static void
want(struct shard *shard, const struct scope_state *state)
{
    struct scope_state **wanted = shard_must(list_add(&shard->wanted));

    *wanted = shard_must(scope_copy(state, shard->wanted_memory));
}

void
judge_scope(struct shard *shard, struct tenant *tenant, struct text scope, bool always,
            struct text trigger)
{
    struct published *before = published_as(tenant, scope);
    struct scope_state state;

    evaluate(shard, tenant, scope, &state);
    state.trigger = trigger;

    /* A scope nobody was ever told of is allowed already, and need not be remembered. */
    if (!always && (before == NULL ? state.count == 0 : before->content == content_of(&state)))
        return;
    want(shard, &state);
    if (before == NULL && state.count == 0)
        return;
    if (before == NULL)
        before = publish_first(tenant, scope);
    if (publish_again(shard, before, &state))
        keep_decision(shard, &state);
}

void
judge_lapsed(struct shard *shard, struct tenant *tenant, struct text scope)
{
    struct published *before = published_as(tenant, scope);
    struct scope_state state;

    evaluate(shard, tenant, scope, &state);
    if (state.count > 0) { /* another one answers now */
        judge_scope(shard, tenant, scope, false, (struct text){NULL, 0});
        return;
    }
    const bool unknown = before == NULL;

    if (unknown)
        before = publish_first(tenant, scope);
    if (publish_again(shard, before, &state) || unknown)
        keep_decision(shard, &state);
}

void
judge_forgotten(struct shard *shard, struct tenant *tenant, struct text scope)
{
    struct published **link = &tenant->published;
    struct scope_state state;

    judge_lapsed(shard, tenant, scope);
    while (!text_eq((*link)->scope, scope))
        link = &(*link)->next;
    struct published *one = *link;

    if (one->restricted)
        return;
    evaluate(shard, tenant, scope, &state);
    state.forgotten = true;
    want(shard, &state);
    *link = one->next;
    free(one);
}

static void
judge_project_scope(struct shard *shard, struct tenant *tenant, int32_t project,
                    struct text trigger)
{
    char scope[SCOPE_SIZE];
    const size_t size = scope_build(scope, project < 0 ? "tenant" : "project", tenant->name,
                                    project_text(tenant, project));

    judge_scope(shard, tenant, (struct text){scope, size}, false, trigger);
}

void
judge_unknown_project(struct shard *shard, struct tenant *tenant, struct text project,
                      struct text trigger)
{
    char scope[SCOPE_SIZE];
    const size_t size = scope_build(scope, "project", tenant->name, project);
    size_t published = 0;

    for (const struct published *one = tenant->published; one != NULL; one = one->next)
        published++;
    /* Names come from outside: beyond the limit they are counted as unassigned, not blocked. */
    if (shard->policy->block_unknown_project && published < UNKNOWN_PROJECT_LIMIT && !tenant->split)
        judge_scope(shard, tenant, (struct text){scope, size}, false, trigger);
}

/* ---- quotas ---------------------------------------------------------------------------------------- */

void
judge_project(struct shard *shard, struct tenant *tenant, int32_t project,
              const struct occasion *occasion)
{
    const struct amounts *sum = &tenant->periods[0].totals[project + 1].sum;
    bool changed = false;

    for (size_t q = 0; q < tenant->quota_count; q++) {
        struct quota_state *state = &tenant->quotas[q];
        const bool was_blocked = state->blocked;
        struct quota_verdict verdict;

        if (state->project != project)
            continue;
        const tally used = meter_read(sum, state->rule->meter);

        quota_judge(state, used, shard->time_ms, &verdict);
        if (verdict.moved)
            tell(shard, tenant, state, &verdict, state->blocked || was_blocked, occasion->reason);
        if (!pacer_judge(shard, tenant, state, used, occasion->reason) && !verdict.changed &&
            !verdict.moved)
            continue;
        changed = true;
        judge_remember(shard, tenant, state);
    }
    tenant_set_trips(tenant, project);
    if (!changed)
        return;
    judge_project_scope(shard, tenant, project, occasion->trigger);
    judge_due(shard, tenant);
}

void
judge_tenant(struct shard *shard, struct tenant *tenant, const struct occasion *occasion)
{
    if (tenant->split || shard->time_ms == SHARD_TIME_UNKNOWN)
        return;
    if (tenant->carries != NULL)
        carrying_store(shard, tenant);
    counting_all(shard, tenant, occasion);
    for (int32_t p = -1; p < (int32_t)tenant->spec.project_count; p++) {
        judge_project(shard, tenant, p, occasion);
        judge_project_scope(shard, tenant, p, occasion->trigger);
    }
    for (size_t i = 0; i < tenant->word_count; i++)
        judge_scope(shard, tenant, tenant->words[i].scope, false, occasion->trigger);
    counting_publish(shard, tenant, occasion->trigger);
    trip_all(shard, tenant);
    throttling_all(shard, tenant);
    /* Scopes that were published and that nothing above names any more. */
    for (struct published *one = tenant->published; one != NULL; one = one->next)
        judge_scope(shard, tenant, one->scope, false, occasion->trigger);
    judge_due(shard, tenant);
}

/* An episode of a period that is over ends with it. */
static void
close_episode(struct shard *shard, struct tenant *tenant, struct quota_state *state,
              enum resolved reason)
{
    const bool was_blocked = state->blocked;
    const bool was_open = state->open;
    const struct quota_verdict verdict = {.move = MOVE_RESOLVE, .step = quota_spent(state)};

    if (!pacer_close(shard, tenant, state) && !was_open && !was_blocked &&
        verdict.step.percent == 0 && verdict.step.amount == 0)
        return;
    state->open = false;
    state->blocked = false;
    judge_remember(shard, tenant, state);
    if (was_open)
        tell(shard, tenant, state, &verdict, was_blocked, reason);
    quota_forget(state);
}

void
judge_turn(struct shard *shard, struct tenant *tenant)
{
    for (size_t q = 0; q < tenant->quota_count && !tenant->split; q++)
        close_episode(shard, tenant, &tenant->quotas[q], RESOLVED_PERIOD_ROLLOVER);
    book_complete_all(shard->open, tenant);
    (void)shard_must(tenant_turn(tenant, shard->time_ms) ? tenant : NULL);
    judge_tenant(shard, tenant, &(struct occasion){.reason = RESOLVED_PERIOD_ROLLOVER});
}

void
judge_now(struct shard *shard, struct tenant *tenant, enum resolved reason)
{
    trip_due(shard, tenant);
    if (shard->time_ms >= tenant->periods[0].period.end_ms)
        judge_turn(shard, tenant);
    else
        judge_tenant(shard, tenant, &(struct occasion){.reason = reason});
}

void
judge_end_remembered(struct shard *shard, const struct tenant *tenant, struct text quota,
                     uint32_t spent, const struct transition *told)
{
    struct transition end = *told;
    char rule[80] = "quota/";

    (void)text_copy(rule + 6, sizeof rule - 6, quota);
    end.move = MOVE_RESOLVE;
    end.rule = text_of(rule);
    end.severity = policy_step_severity((int32_t)spent);
    end.at_ms = shard->time_ms;
    end.step = (int32_t)spent;
    end.zone = text_of(zone_name(tenant->zone));
    end.labels[LABEL_TENANT] = tenant->name;
    shard_transition(shard, &end);
}

void
judge_left_over(struct shard *shard, struct tenant *tenant, const struct tenant_load *load)
{
    struct settlement *settlement = shard->open->settlement;

    for (size_t m = 0; m < load->quota_count && !tenant->split; m++) {
        const struct quota_memory *memory = &load->quotas[m];
        const bool present = memory->period_ms == tenant->periods[0].period.start_ms;
        bool held = false;
        char start[CLOCK_TEXT_SIZE];

        for (size_t q = 0; q < tenant->quota_count && present; q++)
            held |= text_eq(memory->quota, tenant->quotas[q].rule->name) &&
                    text_eq(memory->project.size == 0 ? (struct text){NULL, 0} : memory->project,
                            project_text(tenant, tenant->quotas[q].project));
        if (held ||
            (!memory->open && !memory->blocked && !memory->pace.warning && !memory->pace.notice))
            continue;
        struct quota_memory *row = shard_must(list_add(&settlement->quotas));

        *row = *memory;
        row->tenant = arena_text(settlement->arena, memory->tenant);
        row->quota = arena_text(settlement->arena, memory->quota);
        row->project = arena_text(settlement->arena, memory->project);
        row->open = row->blocked = row->pace.warning = row->pace.notice = false;
        const enum resolved reason = present ? RESOLVED_RULE_REMOVED : RESOLVED_PERIOD_ROLLOVER;

        pacer_left_over(shard, tenant, memory, reason);
        if (!memory->open)
            continue;
        struct transition end = {.restricts = memory->blocked, .reason = reason};

        end.labels[LABEL_PROJECT] =
            memory->project.size == 0 ? (struct text){NULL, 0} : memory->project;
        end.labels[LABEL_PERIOD] = text_of(clock_format(memory->period_ms, start));
        judge_end_remembered(shard, tenant, memory->quota, memory->spent, &end);
    }
    counting_left_over(shard, tenant, load);
}

/* ---- deadlines --------------------------------------------------------------------------------------- */

void
judge_due(struct shard *shard, struct tenant *tenant)
{
    int64_t due_ms = INT64_MAX;
    bool restricted = false;
    bool at_once = false;

    if (tenant->split)
        return;
    for (size_t q = 0; q < tenant->quota_count; q++) {
        const struct quota_state *state = &tenant->quotas[q];

        const int64_t pace_ms = pace_due(state, &tenant->periods[0].period);

        restricted |= state->open || state->blocked || state->pace.warning || state->pace.notice ||
                      state->pace.awaits;
        at_once |= state->limit == 0 && !state->unlimited;
        due_ms = pace_ms < due_ms ? pace_ms : due_ms;
    }
    /* Usage booked ahead of time is judged when its period begins, and so are a limit of nothing and what
     * a smaller plan makes of a gauge. */
    const int64_t end_ms = tenant->periods[0].period.end_ms;

    at_once |= tenant_plan_changed(tenant);
    if ((restricted || at_once || tenant->period_count > 1) && end_ms < due_ms)
        due_ms = end_ms;
    for (size_t i = 0; i < tenant->word_count; i++)
        if (tenant->words[i].until_ms > shard->time_ms) {
            restricted = true;
            if (tenant->words[i].until_ms < due_ms)
                due_ms = tenant->words[i].until_ms;
        }
    for (const struct published *one = tenant->published; one != NULL; one = one->next)
        restricted |= one->restricted;
    const int64_t count_ms = counting_next(tenant, &restricted);
    const int64_t trip_ms = trip_next(tenant, &restricted);
    const int64_t window_ms = anomaly_next(tenant);
    const int64_t throttle_ms = throttling_next(tenant, &restricted);

    restricted |= anomaly_tells(tenant);
    due_ms = count_ms < due_ms ? count_ms : due_ms;
    due_ms = trip_ms < due_ms ? trip_ms : due_ms;
    tenant->patient = due_ms == INT64_MAX && throttle_ms == INT64_MAX;
    if (carries_wait(tenant) && tenant->periods[0].period.end_ms < due_ms)
        due_ms = tenant->periods[0].period.end_ms;
    tenant->judge_ms = due_ms;
    due_ms = throttle_ms < due_ms ? throttle_ms : due_ms;
    due_ms = window_ms < due_ms ? window_ms : due_ms;
    tenant->restricted = restricted;
    if (due_ms != tenant->due_ms)
        (void)shard_must(due_set(&shard->due, tenant, due_ms) ? tenant : NULL);
    if (due_ms == tenant->stored_due_ms && restricted == tenant->stored_restricted)
        return;
    struct settlement *settlement = shard->open->settlement;
    struct tenant_due *row = shard_must(list_add(&settlement->due));

    *row = (struct tenant_due){.tenant = arena_text(settlement->arena, tenant->name),
                               .due_ms = due_ms,
                               .restricted = restricted};
    tenant->stored_due_ms = due_ms;
    tenant->stored_restricted = restricted;
    tenant->touched = shard->open->number;
}
