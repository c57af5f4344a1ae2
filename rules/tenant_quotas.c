/* The quotas of a tenant: bound to its plan and projects, what they remember, and their wires. */
#include "rules/counter.h"

static bool
has_budget(const struct project_spec *project, const struct quota *rule)
{
    if (rule->scope == QUOTA_PROJECT)
        return true;
    for (size_t i = 0; i < project->limit_count; i++)
        if (text_eq(project->limits[i].quota, rule->name))
            return true;
    return false;
}

/* One state for the tenant, and one for each project that has such a limit of its own: by the
 * quota's scope, or because the project's own limits name it. */
bool
tenant_bind_quotas(struct tenant *tenant)
{
    const size_t room = tenant->plan->quota_count * (tenant->spec.project_count + 1);

    tenant->quotas = arena_take(tenant->memory, room * sizeof *tenant->quotas);
    if (tenant->quotas == NULL)
        return false;
    for (size_t q = 0; q < tenant->plan->quota_count; q++) {
        const struct quota *rule = &tenant->plan->quotas[q];

        if (counter_is_for(rule))
            continue;
        if (rule->scope == QUOTA_TENANT) {
            struct quota_state *state = &tenant->quotas[tenant->quota_count++];

            *state = (struct quota_state){.rule = rule, .project = -1, .pace.wire = TALLY_MAX};
            tenant_bind_limit(tenant, state);
        }
        for (size_t p = 0; p < tenant->spec.project_count; p++)
            if (has_budget(&tenant->spec.projects[p], rule)) {
                struct quota_state *state = &tenant->quotas[tenant->quota_count++];

                *state = (struct quota_state){
                    .rule = rule, .project = (int32_t)p, .pace.wire = TALLY_MAX};
                tenant_bind_limit(tenant, state);
            }
    }
    return true;
}

/* ---- what they remember ------------------------------------------------------------------------ */

/* The day ends by today's zone; nothing is wired before it is judged. */
static void
recall_pace(const struct tenant *tenant, struct quota_state *state,
            const struct quota_memory *memory)
{
    state->pace = (struct pace){.days = memory->pace.days,
                                .before = counter_recalled(state->rule, memory->pace.before),
                                .warned = memory->pace.warned,
                                .warning = memory->pace.warning,
                                .noticed = memory->pace.noticed,
                                .notice = memory->pace.notice,
                                .forecast = counter_recalled(state->rule, memory->pace.forecast),
                                .wire = TALLY_MAX};
    if (memory->pace.day_ms != 0)
        state->pace.day = (struct period){memory->pace.day_ms,
                                          cycle_day(tenant->zone, memory->pace.day_ms).end_ms};
}

static bool
recall_one(struct tenant *tenant, const struct quota_memory *memory)
{
    for (size_t q = 0; q < tenant->quota_count; q++) {
        struct quota_state *state = &tenant->quotas[q];
        const struct text project =
            state->project < 0 ? TEXT("") : tenant->spec.projects[state->project].name;

        if (text_eq(memory->quota, state->rule->name) && text_eq(memory->project, project)) {
            state->spent = (int32_t)memory->spent;
            state->spent_amount = counter_recalled(state->rule, memory->spent_amount);
            state->open = memory->open;
            state->blocked = memory->blocked;
            state->since_ms = memory->since_ms;
            recall_pace(tenant, state, memory);
            return true;
        }
    }
    return false;
}

static bool
keep_other(struct tenant *tenant, const struct quota_memory *memory)
{
    struct quota_memory *other = &tenant->others[tenant->other_count++];

    *other = *memory;
    other->tenant = tenant->name;
    other->open = other->blocked = other->pace.warning = other->pace.notice = false;
    return arena_keep(tenant->memory, &other->quota) && arena_keep(tenant->memory, &other->project);
}

bool
tenant_recall(struct tenant *tenant, const struct quota_memory *memory, size_t count)
{
    tenant->others = arena_take(tenant->memory, count * sizeof *tenant->others);
    if (tenant->others == NULL)
        return false;
    for (size_t m = 0; m < count; m++)
        if (memory[m].period_ms == tenant->periods[0].period.start_ms &&
            !recall_one(tenant, &memory[m]) && !keep_other(tenant, &memory[m]))
            return false;
    return true;
}

void
tenant_quota_memory(const struct tenant *tenant, const struct quota_state *state,
                    struct quota_memory *out)
{
    const struct pace *pace = &state->pace;

    *out = (struct quota_memory){
        .tenant = tenant->name,
        .quota = state->rule->name,
        .project = state->project < 0 ? TEXT("") : tenant->spec.projects[state->project].name,
        .period_ms = tenant->periods[0].period.start_ms,
        .spent = (uint32_t)state->spent,
        .spent_amount = counter_stored(state->rule, state->spent_amount),
        .open = state->open,
        .blocked = state->blocked,
        .since_ms = state->since_ms,
        .pace = {.day_ms = pace->day.start_ms,
                 .days = pace->days,
                 .before = counter_stored(state->rule, pace->before),
                 .warned = pace->warned,
                 .warning = pace->warning,
                 .noticed = pace->noticed,
                 .notice = pace->notice,
                 .forecast = counter_stored(state->rule, pace->forecast)}};
}

/* ---- wires ------------------------------------------------------------------------------------- */

static bool
is_paced(const struct quota *rule)
{
    return rule->pacing || rule->forecast;
}

void
tenant_set_pace(struct tenant *tenant)
{
    tenant->pace_ms = INT64_MAX;
    for (size_t q = 0; q < tenant->quota_count && !tenant->split; q++)
        if (tenant->quotas[q].rule->pacing && tenant->quotas[q].pace.day.end_ms < tenant->pace_ms)
            tenant->pace_ms = tenant->quotas[q].pace.day.end_ms;
}

void
tenant_set_trips(struct tenant *tenant, int32_t project)
{
    struct totals *totals = &tenant->periods[0].totals[project + 1];

    totals->watched = 0;
    for (size_t q = 0; q < tenant->quota_count; q++) {
        const struct quota_state *state = &tenant->quotas[q];
        const enum meter meter = state->rule->meter;
        const uint32_t bit = UINT32_C(1) << meter;
        tally at = state->project == project ? quota_trip_at(state) : TALLY_MAX;

        if (state->project == project && is_paced(state->rule) && state->pace.wire < at)
            at = state->pace.wire;
        if (at == TALLY_MAX || ((totals->watched & bit) != 0 && totals->trip_at[meter] <= at))
            continue;
        totals->trip_at[meter] = at;
        totals->watched |= bit;
    }
}
