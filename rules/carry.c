#include "rules/carry.h"

#include "rules/shard_state.h"

#include <stdlib.h>

enum { NO_ROW = -1 };

static struct carry *
carry_at(const struct carries *carries, size_t index)
{
    return list_at(&carries->rows, index);
}

static struct text
project_of(const struct tenant *tenant, const struct quota_state *state)
{
    return state->project < 0 ? TEXT("") : tenant->spec.projects[state->project].name;
}

/* Budgets that projects were given of their tenant's limit are parts of it: what they leave is left of
 * the tenant's. */
static bool
rolls(const struct quota_state *state)
{
    return state->rule->rollover.on &&
           (state->rule->scope == QUOTA_PROJECT) == (state->project >= 0);
}

static bool
is_of(const struct carry_memory *row, struct text quota, struct text project)
{
    return text_eq(row->quota, quota) && text_eq(row->project, project);
}

/* The last row of a chain, which is not closed; NO_ROW: it has ended, or never began. */
static int64_t
last_of(const struct tenant *tenant, const struct quota_state *state)
{
    const struct carries *carries = tenant->carries;
    const struct text project = project_of(tenant, state);

    for (size_t i = carries == NULL ? 0 : carries->rows.count; i-- > 0;) {
        const struct carry_memory *row = &carry_at(carries, i)->row;

        if (is_of(row, state->rule->name, project))
            return row->closed ? NO_ROW : (int64_t)i;
    }
    return NO_ROW;
}

/* The row that follows in the same chain; NO_ROW: it is the last one. */
static int64_t
next_of(const struct carries *carries, size_t index)
{
    const struct carry_memory *before = &carry_at(carries, index)->row;

    for (size_t i = index + 1; i < carries->rows.count; i++) {
        const struct carry_memory *row = &carry_at(carries, i)->row;

        if (is_of(row, before->quota, before->project))
            return row->start_ms == before->end_ms && row->meter == before->meter ? (int64_t)i
                                                                                  : NO_ROW;
    }
    return NO_ROW;
}

tally
carry_of(const struct tenant *tenant, const struct quota_state *state)
{
    const int64_t last = last_of(tenant, state);
    const struct carry_memory *row =
        last == NO_ROW ? NULL : &carry_at(tenant->carries, (size_t)last)->row;

    return row == NULL || row->start_ms != tenant->periods[0].period.start_ms ? 0 : row->carry;
}

bool
carries_wait(const struct tenant *tenant)
{
    const struct carries *carries = tenant->carries;

    for (size_t i = 0; carries != NULL && i < carries->rows.count; i++)
        if (!carry_at(carries, i)->row.closed)
            return true;
    return false;
}

/* ---- made and exported --------------------------------------------------------------------------- */

bool
carries_make(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms)
{
    if ((!tenant->plan->rolls && load->carry_count == 0) || tenant->split)
        return true;
    tenant->carries = calloc(1, sizeof *tenant->carries);
    if (tenant->carries == NULL)
        return false;
    list_init(&tenant->carries->rows, sizeof(struct carry), CARRY_LIMIT);
    for (size_t i = 0; i < load->carry_count && i < CARRY_LIMIT; i++) {
        struct carry *carry = list_add(&tenant->carries->rows);

        if (carry == NULL)
            return false;
        carry->row = load->carries[i];
        carry->row.tenant = tenant->name;
        if (!arena_keep(tenant->memory, &carry->row.quota) ||
            !arena_keep(tenant->memory, &carry->row.project))
            return false;
        /* They keep their bounds, as periods do that something was booked in. */
        if (carry->row.end_ms <= now_ms)
            tenant_remember(tenant, (struct period){carry->row.start_ms, carry->row.end_ms});
    }
    return true;
}

void
carries_free(struct carries *carries)
{
    if (carries == NULL)
        return;
    list_free(&carries->rows);
    free(carries);
}

bool
carries_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load)
{
    const struct carries *carries = tenant->carries;
    const size_t count = carries == NULL ? 0 : carries->rows.count;

    load->carries = arena_take(arena, (count + 1) * sizeof *load->carries);
    if (load->carries == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        load->carries[load->carry_count++] = carry_at(carries, i)->row;
    return true;
}

/* ---- a period ends -------------------------------------------------------------------------------- */

/* What the load tells of the use of a period that has ended; false when it does not. */
static bool
used_before(const struct tenant_load *load, const struct carry_memory *row, tally *used)
{
    for (size_t i = 0; load != NULL && i < load->period_count; i++) {
        const struct period_total *total = &load->periods[i];

        if (total->start_ms == row->start_ms &&
            (row->project.size == 0 ? total->project.size == 0
                                    : text_eq(total->project, row->project))) {
            *used = meter_read(&total->delta, row->meter);
            return true;
        }
    }
    return false;
}

/* What was used in a period that is held, or that the load tells of. */
static tally
used_in(const struct tenant *tenant, const struct tenant_load *load, const struct carry_memory *row,
        int32_t project)
{
    tally used = 0;

    for (size_t i = 0; i < tenant->period_count; i++)
        if (tenant->periods[i].period.start_ms == row->start_ms)
            return meter_read(&tenant->periods[i].totals[project + 1].sum, row->meter);
    (void)used_before(load, row, &used);
    return used;
}

/* How the period ended, by the rule that its row holds. */
static void
reckon(struct carry *carry)
{
    struct carry_memory *row = &carry->row;

    carry->changed = true;
    row->end = (struct rollover_end){.allowance = 0};
    if (!row->unlimited)
        row->end =
            rollover_close(&row->rule, row->base, row->carry, row->total_cap, row->used, row->room);
}

/* A row for a period, as its plan and contract have it. False when memory is short. */
static bool
begin(struct tenant *tenant, const struct quota_state *state, struct period period, tally carry)
{
    struct list *rows = &tenant->carries->rows;
    struct carry *next = list_add(rows);

    if (next == NULL)
        return rows->count == CARRY_LIMIT;
    *next = (struct carry){.row = {.tenant = tenant->name,
                                   .quota = state->rule->name,
                                   .project = project_of(tenant, state),
                                   .meter = state->rule->meter,
                                   .start_ms = period.start_ms,
                                   .end_ms = period.end_ms,
                                   .unlimited = state->unlimited,
                                   .base = state->base,
                                   .carry = carry,
                                   .total_cap = state->total_cap},
                           .changed = true};
    return true;
}

/* A closed row has changed: so does what every later one was given. True when that reaches the present
 * period. */
static bool
pass_on(struct carries *carries, size_t index)
{
    for (int64_t next; (next = next_of(carries, index)) != NO_ROW; index = (size_t)next) {
        const tally carried = carry_at(carries, index)->row.end.carried;
        struct carry *carry = carry_at(carries, (size_t)next);

        if (carry->row.carry == carried)
            return false;
        carry->row.carry = carried;
        carry->changed = true;
        if (!carry->row.closed)
            return true;
        reckon(carry);
    }
    return false;
}

/* Closes a row by the rule that the plan has at its end, and begins the next one if it goes on. */
static bool
end(struct tenant *tenant, const struct tenant_load *load, size_t index)
{
    struct carry *carry = carry_at(tenant->carries, index);
    const struct period next = tenant_period_of(tenant, carry->row.end_ms);
    struct quota_state state = {
        .rule = tenant_rule_before(tenant, carry->row.quota, carry->row.end_ms),
        .project = carry->row.project.size == 0 ? -1 : tenant_project(tenant, carry->row.project)};
    const bool is_there = carry->row.project.size == 0 || state.project >= 0;
    const bool goes_on =
        state.rule != NULL && is_there && rolls(&state) && state.rule->meter == carry->row.meter;

    if (is_there)
        carry->row.used = used_in(tenant, load, &carry->row, state.project);
    carry->row.closed = true;
    carry->row.policy = tenant->policy->serial;
    carry->row.rule = (struct rollover){.on = false};
    if (goes_on) {
        tenant_limit_in(tenant, next, &state);
        carry->row.rule = state.rule->rollover;
        if (carry->row.rule.carry_cap != ROLLOVER_NO_CAP)
            carry->row.rule.carry_cap = prices_at(carry->row.rule.carry_cap, state.rates);
        carry->row.room = state.unlimited ? 0 : rollover_room(state.base, state.total_cap);
    }
    reckon(carry);
    tenant_remember(tenant, (struct period){carry->row.start_ms, carry->row.end_ms});
    return !goes_on || begin(tenant, &state, next, carry->row.end.carried);
}

/* A chain that the plan asks for goes on or begins; what was carried of another meter is nothing to
 * this one. */
static bool
take_up(struct tenant *tenant, const struct quota_state *quota, struct period present)
{
    const int64_t last = last_of(tenant, quota);
    struct quota_state state = *quota;

    if (last != NO_ROW) {
        struct carry *carry = carry_at(tenant->carries, (size_t)last);

        if (carry->row.meter != quota->rule->meter) {
            carry->row.meter = quota->rule->meter;
            carry->row.carry = 0;
            carry->changed = true;
        }
        return true;
    }
    tenant_limit_in(tenant, present, &state);
    return begin(tenant, &state, present, 0);
}

bool
carries_bring(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms)
{
    struct carries *carries = tenant->carries;

    if (carries == NULL || now_ms == SHARD_TIME_UNKNOWN)
        return true;
    /* A row that ends may add the next one behind it, which may have ended as well. */
    for (size_t i = 0; i < carries->rows.count; i++) {
        struct carry *carry = carry_at(carries, i);
        tally used = 0;

        /* What other shards booked of a tenant that was split is known from the load only. */
        if (carry->row.closed && used_before(load, &carry->row, &used) && used != carry->row.used) {
            carry->row.used = used;
            reckon(carry);
            (void)pass_on(carries, i);
        } else if (!carry->row.closed && carry->row.end_ms <= now_ms && !end(tenant, load, i)) {
            return false;
        }
    }
    for (size_t q = 0; q < tenant->quota_count; q++)
        if (rolls(&tenant->quotas[q]) &&
            !take_up(tenant, &tenant->quotas[q], tenant_period_of(tenant, now_ms)))
            return false;
    return true;
}

void
carries_note(struct tenant *tenant)
{
    for (size_t q = 0; tenant->carries != NULL && q < tenant->quota_count; q++) {
        const struct quota_state *state = &tenant->quotas[q];
        const int64_t last = last_of(tenant, state);

        if (last == NO_ROW)
            continue;
        struct carry *carry = carry_at(tenant->carries, (size_t)last);
        struct carry_memory *row = &carry->row;

        if (row->start_ms != tenant->periods[0].period.start_ms)
            continue;
        tenant->periods[0].begun = true; /* it keeps its bounds */
        carry->changed |= row->unlimited != state->unlimited || row->base != state->base ||
                          row->total_cap != state->total_cap;
        row->unlimited = state->unlimited;
        row->base = state->base;
        row->total_cap = state->total_cap;
    }
}

/* ---- late usage ----------------------------------------------------------------------------------- */

bool
carries_late(struct tenant *tenant, int32_t project, int64_t period_ms,
             const struct amounts *amounts)
{
    struct carries *carries = tenant->carries;
    bool reaches = false;

    for (size_t i = 0; i < carries->rows.count; i++) {
        struct carry *carry = carry_at(carries, i);
        struct carry_memory *row = &carry->row;
        const bool concerned =
            row->project.size == 0 ||
            (project >= 0 && text_eq(row->project, tenant->spec.projects[project].name));

        if (!row->closed || row->start_ms != period_ms || !concerned)
            continue;
        row->used += meter_read(amounts, row->meter);
        reckon(carry);
        reaches = pass_on(carries, i) || reaches;
    }
    return reaches;
}
