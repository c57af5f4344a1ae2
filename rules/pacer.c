#include "rules/pacer.h"

#define RULE_SIZE 96 /* a kind and the name of a quota */

enum pace_kind { PACE_DAY, PACE_PERIOD };

static struct text
rule_of(enum pace_kind kind, struct text quota, char out[RULE_SIZE])
{
    const struct text prefix = kind == PACE_DAY ? TEXT("pacing/") : TEXT("forecast/");
    const size_t size = text_copy(out, RULE_SIZE, prefix);

    return (struct text){out, size + text_copy(out + size, RULE_SIZE - size, quota)};
}

/* What is told of: a quota, of a day or of a period that begins then. */
struct subject {
    enum pace_kind kind;
    struct text quota;
    struct text project; /* absent: the tenant itself */
    int64_t start_ms;
};

static void
tell(struct shard *shard, const struct tenant *tenant, const struct subject *subject,
     const struct transition *what)
{
    struct transition transition = *what;
    char rule[RULE_SIZE];
    char start[CLOCK_TEXT_SIZE];

    transition.rule = rule_of(subject->kind, subject->quota, rule);
    transition.severity = subject->kind == PACE_DAY ? SEVERITY_WARNING : SEVERITY_INFO;
    transition.at_ms = shard->time_ms;
    transition.zone = text_of(zone_name(tenant->zone));
    transition.labels[LABEL_TENANT] = tenant->name;
    transition.labels[LABEL_PROJECT] = subject->project;
    transition.labels[LABEL_PERIOD] = text_of(clock_format(subject->start_ms, start));
    shard_transition(shard, &transition);
}

static void
tell_state(struct shard *shard, const struct tenant *tenant, const struct quota_state *state,
           enum pace_kind kind, tally used, const struct pace_move *move)
{
    const struct pace *pace = &state->pace;
    const struct quota *rule = state->rule;
    const struct period *period = &tenant->periods[0].period;
    const bool money = meter_is_money(rule->meter);
    const bool day = kind == PACE_DAY;

    if (!move->moved)
        return;
    const struct subject subject = {.kind = kind,
                                    .quota = rule->name,
                                    .project = state->project < 0
                                                   ? (struct text){NULL, 0}
                                                   : tenant->spec.projects[state->project].name,
                                    .start_ms = day ? pace->day.start_ms : period->start_ms};
    const struct transition transition = {
        .move = move->move,
        .has_value = true,
        .is_money = money,
        .value = day ? used - pace->before : pace->forecast,
        .threshold = day ? pacing_allowance(state->limit - pace->before, pace->days) : state->limit,
        .unit = money ? tenant->currency : text_of(meter_names[rule->meter]),
        .resets_ms = day ? pace->day.end_ms : period->end_ms,
        .reason = move->reason};

    tell(shard, tenant, &subject, &transition);
}

bool
pacer_judge(struct shard *shard, const struct tenant *tenant, struct quota_state *state, tally used,
            enum resolved reason)
{
    struct pace_verdict verdict;

    pace_judge(state, used, &tenant->periods[0].period, shard->time_ms, reason, &verdict);
    tell_state(shard, tenant, state, PACE_DAY, used, &verdict.warning);
    tell_state(shard, tenant, state, PACE_PERIOD, used, &verdict.notice);
    return verdict.changed;
}

void
pacer_turn(struct shard *shard, struct tenant *tenant)
{
    static const struct occasion occasion = {.reason = RESOLVED_CLEARED};
    const struct tenant_period *period = &tenant->periods[0];

    for (size_t q = 0; q < tenant->quota_count; q++) {
        struct quota_state *state = &tenant->quotas[q];

        if (!state->rule->pacing || shard->time_ms < state->pace.day.end_ms)
            continue;
        pace_begin(state, meter_read(&period->totals[state->project + 1].sum, state->rule->meter),
                   tenant->zone, &period->period, shard->time_ms);
        judge_remember(shard, tenant, state);
    }
    tenant_set_pace(tenant);
    for (int32_t p = -1; p < (int32_t)tenant->spec.project_count; p++)
        judge_project(shard, tenant, p, &occasion);
}

bool
pacer_close(struct shard *shard, const struct tenant *tenant, struct quota_state *state)
{
    const struct pace_move warning = {state->pace.warning, MOVE_RESOLVE, RESOLVED_PERIOD_ROLLOVER};
    const struct pace_move notice = {state->pace.notice, MOVE_RESOLVE, RESOLVED_PERIOD_ROLLOVER};
    const tally used =
        meter_read(&tenant->periods[0].totals[state->project + 1].sum, state->rule->meter);

    tell_state(shard, tenant, state, PACE_DAY, used, &warning);
    tell_state(shard, tenant, state, PACE_PERIOD, used, &notice);
    state->pace.warning = state->pace.notice = false;
    return warning.moved || notice.moved;
}

void
pacer_left_over(struct shard *shard, const struct tenant *tenant, const struct quota_memory *memory,
                enum resolved reason)
{
    const struct transition end = {.move = MOVE_RESOLVE, .reason = reason};
    struct subject subject = {.kind = PACE_DAY,
                              .quota = memory->quota,
                              .project = memory->project.size == 0 ? (struct text){NULL, 0}
                                                                   : memory->project,
                              .start_ms = memory->pace.day_ms};

    if (memory->pace.warning)
        tell(shard, tenant, &subject, &end);
    subject.kind = PACE_PERIOD;
    subject.start_ms = memory->period_ms;
    if (memory->pace.notice)
        tell(shard, tenant, &subject, &end);
}
