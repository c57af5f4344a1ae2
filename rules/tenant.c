#include "rules/tenant.h"

#include "core/fleet.h"
#include "rules/carry.h"
#include "rules/counter.h"
#include "rules/feature.h"
#include "rules/throttle.h"

#include <assert.h>
#include <stdlib.h>

/* What is computed by the zone and cycle of today gives way to a period that stands. */
static struct period
give_way(struct period period, const struct period *stands, int64_t at_ms)
{
    if (at_ms >= stands->start_ms && at_ms < stands->end_ms)
        return *stands;
    if (at_ms >= stands->end_ms && period.start_ms < stands->end_ms)
        period.start_ms = stands->end_ms;
    if (at_ms < stands->start_ms && period.end_ms > stands->start_ms)
        period.end_ms = stands->start_ms;
    return period;
}

/* A change of zone or cycle starts where the present period ends, and changes no earlier one. */
struct period
tenant_period_of(const struct tenant *tenant, int64_t at_ms)
{
    struct period period = cycle_period(&tenant->cycle, tenant->zone, at_ms);

    for (size_t i = 0; i < tenant->past_count; i++)
        period = give_way(period, &tenant->past[i], at_ms);
    for (size_t i = 0; i < tenant->period_count; i++)
        period = give_way(period, &tenant->periods[i].period, at_ms);
    return period;
}

/* The oldest is forgotten when there is no room. */
void
tenant_remember(struct tenant *tenant, struct period period)
{
    struct period *past = tenant->past;
    size_t at = 0; /* how many are earlier */

    while (at < tenant->past_count && past[at].start_ms < period.start_ms)
        at++;
    if (at < tenant->past_count && past[at].start_ms == period.start_ms)
        return;
    if (tenant->past_count < TENANT_PAST_LIMIT)
        memmove(past + at + 1, past + at, (tenant->past_count++ - at) * sizeof *past);
    else if (at == 0)
        return;
    else
        memmove(past, past + 1, --at * sizeof *past);
    past[at] = period;
}

/* ---- copying what came in --------------------------------------------------------------------- */

static bool
copy_limits(struct limit_override **limits, size_t count, struct arena *memory)
{
    struct limit_override *copy = arena_take(memory, count * sizeof *copy);

    if (copy == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*limits)[i];
        copy[i].quota = arena_text(memory, copy[i].quota);
        if (copy[i].quota.at == NULL)
            return false;
    }
    *limits = copy;
    return true;
}

static bool
copy_spec(struct tenant_spec *to, const struct tenant_spec *from, struct arena *memory)
{
    *to = *from;
    to->plan = arena_text(memory, from->plan);
    to->zone = arena_text(memory, from->zone);
    to->currency = arena_text(memory, from->currency);
    to->charge = arena_text(memory, from->charge);
    to->projects = arena_take(memory, from->project_count * sizeof *to->projects);
    if (to->projects == NULL || !copy_limits(&to->limits, to->limit_count, memory))
        return false;
    for (size_t i = 0; i < from->project_count; i++) {
        to->projects[i] = from->projects[i];
        to->projects[i].name = arena_text(memory, from->projects[i].name);
        if (to->projects[i].name.at == NULL ||
            !copy_limits(&to->projects[i].limits, to->projects[i].limit_count, memory))
            return false;
    }
    return true;
}

static bool
copy_words(struct tenant *tenant, const struct operator_word *words, size_t count)
{
    tenant->words = arena_take(tenant->memory, count * sizeof *tenant->words);
    if (tenant->words == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct operator_word *word = &tenant->words[i];

        *word = words[i];
        word->scope = arena_text(tenant->memory, words[i].scope);
        word->actor = arena_text(tenant->memory, words[i].actor);
        word->reason = arena_text(tenant->memory, words[i].reason);
        if (word->scope.at == NULL)
            return false;
    }
    tenant->word_count = count;
    return true;
}

static bool
keep_plans(struct tenant *tenant, const struct tenant_load *load)
{
    const size_t first =
        load->plan_count > TENANT_PLAN_LIMIT ? load->plan_count - TENANT_PLAN_LIMIT : 0;

    for (size_t i = first; i < load->plan_count; i++) {
        struct plan_since *one = &tenant->plans[tenant->plan_count++];

        *one = load->plans[i];
        if (!arena_keep(tenant->memory, &one->plan))
            return false;
    }
    return true;
}

/* ---- periods ----------------------------------------------------------------------------------- */

/* The tenant's own limits of plans that went before end with the period. */
static void
bind_limits(struct tenant *tenant)
{
    for (size_t q = 0; q < tenant->quota_count; q++)
        tenant_bind_limit(tenant, &tenant->quotas[q]);
    carries_note(tenant);
}

/* The period is not held yet and later than the last one that is. */
static struct tenant_period *
add_period(struct tenant *tenant, struct period period)
{
    if (tenant->period_count == TENANT_PERIODS_HELD)
        return NULL;
    struct tenant_period *held = &tenant->periods[tenant->period_count];

    held->period = period;
    held->begun = false;
    held->totals =
        arena_take(tenant->memory, (tenant->spec.project_count + 1) * sizeof *held->totals);
    if (held->totals == NULL)
        return NULL;
    tenant->period_count++;
    return held;
}

int32_t
tenant_period_at(struct tenant *tenant, int64_t at_ms)
{
    for (size_t i = 0; i < tenant->period_count; i++)
        if (at_ms >= tenant->periods[i].period.start_ms && at_ms < tenant->periods[i].period.end_ms)
            return (int32_t)i;
    if (at_ms < tenant->periods[tenant->period_count - 1].period.end_ms)
        return -1;
    /* Clocks ahead are a few minutes ahead, so a gap between held periods does not occur. */
    return add_period(tenant, tenant_period_of(tenant, at_ms)) == NULL
               ? -1
               : (int32_t)tenant->period_count - 1;
}

/* A period without usage has not begun: a new zone or cycle may still move it. */
static bool
has_begun(const struct tenant_period *period)
{
    return period->begun || period->totals[0].sum.count[COUNT_events] > 0;
}

static void
turn_periods(struct tenant *tenant, int64_t now_ms)
{
    size_t gone = 0;

    while (gone < tenant->period_count && tenant->periods[gone].period.end_ms <= now_ms) {
        if (has_begun(&tenant->periods[gone]))
            tenant_remember(tenant, tenant->periods[gone].period);
        gone++;
    }
    if (gone == 0)
        return;
    struct totals *spare = tenant->periods[0].totals;
    const struct period present = tenant_period_of(tenant, now_ms);

    tenant->other_count = 0;
    tenant->period_count -= gone;
    memmove(tenant->periods, tenant->periods + gone,
            tenant->period_count * sizeof *tenant->periods);
    if (tenant->period_count > 0 && tenant->periods[0].period.start_ms == present.start_ms)
        return;
    /* Nothing was booked in the present one yet: it takes over the memory of one that left. */
    memmove(tenant->periods + 1, tenant->periods, tenant->period_count * sizeof *tenant->periods);
    memset(spare, 0, (tenant->spec.project_count + 1) * sizeof *spare);
    tenant->periods[0] = (struct tenant_period){.period = present, .totals = spare};
    tenant->period_count++;
}

/* What ends is closed while its totals are held. False when memory is short. */
bool
tenant_turn(struct tenant *tenant, int64_t now_ms)
{
    if (!carries_bring(tenant, NULL, now_ms))
        return false;
    turn_periods(tenant, now_ms);
    bind_limits(tenant);
    for (size_t q = 0; q < tenant->quota_count; q++)
        tenant->quotas[q].pace = (struct pace){.wire = TALLY_MAX};
    tenant_set_pace(tenant);
    return true;
}

/* The present period as it was begun, else as zone and cycle have it. */
static struct period
present_period(const struct tenant *tenant, const struct tenant_load *load, int64_t now_ms)
{
    for (size_t i = 0; i < load->period_count; i++)
        if (load->periods[i].start_ms <= now_ms && now_ms < load->periods[i].end_ms)
            return (struct period){load->periods[i].start_ms, load->periods[i].end_ms};
    for (size_t i = 0; i < load->carry_count; i++)
        if (load->carries[i].start_ms <= now_ms && now_ms < load->carries[i].end_ms)
            return (struct period){load->carries[i].start_ms, load->carries[i].end_ms};
    return tenant_period_of(tenant, now_ms);
}

/* In order of period; those that began keep their bounds. */
static void
recall_totals(struct tenant *tenant, const struct period_total *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tenant_period *last = &tenant->periods[tenant->period_count - 1];
        const int32_t project =
            rows[i].project.size == 0 ? -1 : tenant_project(tenant, rows[i].project);

        if (rows[i].project.size > 0 && project < 0)
            continue;
        if (rows[i].start_ms >= last->period.end_ms)
            (void)add_period(tenant, (struct period){rows[i].start_ms, rows[i].end_ms});
        for (size_t p = 0; p < tenant->period_count; p++)
            if (tenant->periods[p].period.start_ms == rows[i].start_ms) {
                tenant->periods[p].totals[project + 1].sum = rows[i].delta;
                tenant->periods[p].begun = true;
            }
    }
}

int32_t
tenant_project(const struct tenant *tenant, struct text name)
{
    for (size_t i = 0; i < tenant->spec.project_count; i++)
        if (text_eq(tenant->spec.projects[i].name, name))
            return (int32_t)i;
    return -1;
}

/* ---- made and exported ------------------------------------------------------------------------- */

/* A price list that left the policy: the plan's rule holds. */
static struct charge_rule
charge_of(const struct tenant *tenant, const struct policy *policy)
{
    struct charge_rule own;

    return tenant->spec.charge.size > 0 &&
                   charge_read(tenant->spec.charge, &policy->prices, &own) == NULL
               ? own
               : tenant->plan->charge;
}

/* The fleet has none. */
static const struct plan *
plan_of(const struct tenant *tenant, const struct policy *policy)
{
    static const struct plan none = {.name = TEXT_ROW("none")};
    const struct plan *plan = policy_plan(policy, tenant->spec.plan);

    if (tenant->fleet)
        return &none;
    return plan == NULL ? policy->fallback_plan : plan;
}

struct tenant *
tenant_new(const struct tenant_load *load, struct key128 id, int32_t shard,
           const struct policy *policy, int64_t now_ms)
{
    struct arena *memory = arena_new(TENANT_MEMORY_LIMIT);
    struct tenant *tenant = memory == NULL ? NULL : arena_take(memory, sizeof *tenant);

    if (tenant == NULL)
        goto short_of_memory;
    *tenant = (struct tenant){.memory = memory,
                              .name = arena_text(memory, load->name),
                              .id = id,
                              .known = load->known,
                              .fleet = shard == FLEET_SHARD,
                              .split = load->home >= 0 && load->home != shard,
                              .home = load->home,
                              .version = load->version,
                              .zone = load->zone,
                              .due_ms = INT64_MAX,
                              .stored_due_ms = load->due_ms == 0 ? INT64_MAX : load->due_ms,
                              .stored_restricted = load->restricted};
    if (tenant->name.at == NULL || !copy_spec(&tenant->spec, &load->spec, memory) ||
        !copy_words(tenant, load->words, load->word_count))
        goto short_of_memory;
    tenant->plan = plan_of(tenant, policy);
    tenant->policy = policy;
    tenant->cycle = tenant->spec.has_cycle ? tenant->spec.cycle : policy->cycle;
    for (size_t i = 0; i < load->past_count; i++)
        tenant_remember(tenant, load->past[i]);
    tenant->currency = tenant->spec.currency.size > 0 ? tenant->spec.currency : policy->currency;
    tenant->charge = charge_of(tenant, policy);
    if (!keep_plans(tenant, load) || !carries_make(tenant, load, now_ms) ||
        add_period(tenant, present_period(tenant, load, now_ms)) == NULL ||
        !tenant_bind_quotas(tenant) || !tenant_recall(tenant, load->quotas, load->quota_count))
        goto short_of_memory;
    recall_totals(tenant, load->periods, load->period_count);
    if (!carries_bring(tenant, load, now_ms))
        goto short_of_memory;
    if (tenant->carries != NULL)
        bind_limits(tenant);
    for (int32_t p = -1; p < (int32_t)tenant->spec.project_count; p++)
        tenant_set_trips(tenant, p);
    tenant_set_pace(tenant);
    if (!tenant->split && (!counters_make(tenant, load, now_ms) || !bursts_make(tenant, load)))
        goto short_of_memory;
    if (policy->has_breakers && load->has_features && !tenant->split) {
        tenant->features = features_new(load, tenant->zone, policy);
        if (tenant->features == NULL)
            goto short_of_memory;
    }
    return tenant;

short_of_memory:
    if (tenant != NULL) {
        carries_free(tenant->carries);
        bursts_free(tenant->bursts);
        counters_free(tenant->counters);
    }
    arena_free(memory);
    return NULL;
}

void
tenant_free(struct tenant *tenant)
{
    if (tenant == NULL)
        return;
    for (struct published *one = tenant->published, *next; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    features_free(tenant->features);
    bursts_free(tenant->bursts);
    counters_free(tenant->counters);
    carries_free(tenant->carries);
    arena_free(tenant->memory);
}

bool
tenant_export(const struct tenant *tenant, int32_t shard, struct arena *arena,
              struct tenant_load *load)
{
    const size_t scopes = tenant->spec.project_count + 1;

    *load = (struct tenant_load){.name = tenant->name,
                                 .home = tenant->split ? tenant->home : shard,
                                 .known = tenant->known,
                                 .version = tenant->version,
                                 .spec = tenant->spec,
                                 .zone = tenant->zone,
                                 .words = tenant->words,
                                 .word_count = tenant->word_count,
                                 .plan_count = tenant->plan_count};
    load->plans = arena_take(arena, (tenant->plan_count + 1) * sizeof *load->plans);
    load->past = arena_take(arena, tenant->past_count * sizeof *load->past);
    load->periods = arena_take(arena, tenant->period_count * scopes * sizeof *load->periods);
    load->quotas =
        arena_take(arena, (tenant->quota_count + tenant->other_count) * sizeof *load->quotas);
    if (load->periods == NULL || load->quotas == NULL || load->past == NULL || load->plans == NULL)
        return false;
    if (!counters_export(tenant, arena, load) || !carries_export(tenant, arena, load) ||
        !bursts_export(tenant, arena, load))
        return false;
    memcpy(load->past, tenant->past, tenant->past_count * sizeof *load->past);
    load->past_count = tenant->past_count;
    memcpy(load->plans, tenant->plans, tenant->plan_count * sizeof *load->plans);
    for (size_t i = 0; i < tenant->period_count; i++)
        for (size_t s = 0; s < scopes; s++) {
            if (!has_begun(&tenant->periods[i]))
                continue;
            load->periods[load->period_count++] = (struct period_total){
                .tenant = tenant->name,
                .project = s == 0 ? TEXT("") : tenant->spec.projects[s - 1].name,
                .start_ms = tenant->periods[i].period.start_ms,
                .end_ms = tenant->periods[i].period.end_ms,
                .delta = tenant->periods[i].totals[s].sum};
        }
    for (size_t q = 0; q < tenant->quota_count; q++)
        tenant_quota_memory(tenant, &tenant->quotas[q], &load->quotas[load->quota_count++]);
    for (size_t i = 0; i < tenant->other_count; i++)
        load->quotas[load->quota_count++] = tenant->others[i];
    return true;
}
