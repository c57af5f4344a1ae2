#include "rules/counter.h"

#include "core/baseline.h"
#include "core/identity.h"

#include <stdlib.h>

enum { ROOM_AT_FIRST = 16 };

bool
counter_is_for(const struct quota *rule)
{
    return rule->scope > QUOTA_PROJECT || rule->window != WINDOW_BILLING || rule->gauge.size > 0;
}

struct period
counter_window(const struct tenant *tenant, const struct quota *rule, int64_t at_ms)
{
    if (rule->gauge.size > 0)
        return (struct period){0, INT64_MAX};
    if (rule->window == WINDOW_HOUR) {
        const struct hour hour = baseline_hour(tenant->zone, at_ms);

        return (struct period){hour.start_ms, hour.end_ms};
    }
    if (rule->window == WINDOW_DAY)
        return cycle_day(tenant->zone, at_ms);
    return tenant_period_of(tenant, at_ms);
}

tally
counter_stored(const struct quota *rule, tally amount)
{
    return rule->gauge.size == 0 && meter_is_money(rule->meter) ? amount
                                                                : amount * MONEY_NANO_PER_UNIT;
}

tally
counter_recalled(const struct quota *rule, tally stored)
{
    return rule->gauge.size == 0 && meter_is_money(rule->meter) ? stored
                                                                : stored / MONEY_NANO_PER_UNIT;
}

enum label
counter_label(const struct quota *rule)
{
    static const enum label labels[] = {[QUOTA_TENANT] = LABEL_TENANT,
                                        [QUOTA_PROJECT] = LABEL_PROJECT,
                                        [QUOTA_FEATURE] = LABEL_FEATURE,
                                        [QUOTA_MODEL] = LABEL_MODEL,
                                        [QUOTA_KEY] = LABEL_API_KEY_ID};

    return labels[rule->scope];
}

size_t
counter_scope(const struct tenant *tenant, const struct counter *counter, char out[SCOPE_SIZE])
{
    static const char *const kinds[] = {[QUOTA_TENANT] = "tenant",
                                        [QUOTA_PROJECT] = "project",
                                        [QUOTA_FEATURE] = "feature",
                                        [QUOTA_MODEL] = "model",
                                        [QUOTA_KEY] = "key"};
    const struct quota *rule = counter->state.rule;

    if (rule->gauge.size > 0)
        return scope_build(out, "quota", tenant->name, rule->name);
    return scope_build(out, kinds[rule->scope], tenant->name,
                       rule->scope == QUOTA_TENANT ? (struct text){NULL, 0} : counter->subject);
}

/* ---- room ---------------------------------------------------------------------------------------- */

static void
forget(struct counters *counters, size_t place)
{
    struct counter *counter = &counters->at[place];
    const struct counter *last = &counters->at[counters->count - 1];

    table_remove(&counters->index, counter->key);
    free(counter->name);
    counters->count--;
    if (counter == last)
        return;
    *counter = *last;
    (void)table_put(&counters->index, counter->key, (uint32_t)place);
}

/* Those whose window is over and that have nothing to say any more; asked once a minute. */
static void
make_room(struct counters *counters, int64_t now_ms)
{
    if (counters->full_ms > now_ms - CLOCK_MINUTE_MS)
        return;
    counters->full_ms = now_ms;
    for (size_t i = counters->count; i-- > 0;) {
        const struct counter *counter = &counters->at[i];

        if (counter->window.end_ms <= now_ms && !counter->state.open && !counter->state.blocked &&
            counter->ahead == 0)
            forget(counters, i);
    }
}

static bool
grow(struct counters *counters, int64_t now_ms)
{
    if (counters->count < counters->room)
        return true;
    if (counters->room == COUNTER_LIMIT) {
        make_room(counters, now_ms);
        return counters->count < counters->room;
    }
    const size_t room = counters->room == 0 ? ROOM_AT_FIRST : counters->room * 2;
    struct counter *at = realloc(counters->at, room * sizeof *at);

    if (at == NULL)
        return false;
    counters->at = at;
    counters->room = room;
    return true;
}

/* Of a tenant's own: by the quota's place in its plan, and by the subject. */
static struct key128
key_of(const struct tenant *tenant, const struct quota *rule, struct key128 subject)
{
    const uint64_t place = (uint64_t)(rule - tenant->plan->quotas) + 1;

    return identity_join((struct key128){place, place}, subject);
}

static const struct key128 no_subject;

/* What an event is looked up by, for a quota that counts for itself. */
static struct key128
key_foreseen(const struct tenant *tenant, const struct quota *rule, const struct lookup *lookup)
{
    const struct key128 subjects[] = {[QUOTA_TENANT] = no_subject,
                                      [QUOTA_PROJECT] = lookup->project,
                                      [QUOTA_FEATURE] = lookup->feature,
                                      [QUOTA_MODEL] = lookup->model,
                                      [QUOTA_KEY] = lookup->key};

    return key_of(tenant, rule, subjects[rule->scope]);
}

void
counter_foresee_index(const struct tenant *tenant)
{
    if (tenant->counters != NULL)
        __builtin_prefetch(tenant->counters);
}

void
counter_foresee_place(const struct tenant *tenant, const struct lookup *lookup)
{
    for (size_t q = 0; tenant->counters != NULL && q < tenant->plan->quota_count; q++)
        if (counter_is_for(&tenant->plan->quotas[q]))
            table_prefetch(&tenant->counters->index,
                           key_foreseen(tenant, &tenant->plan->quotas[q], lookup));
}

void
counter_foresee(const struct tenant *tenant, const struct lookup *lookup)
{
    for (size_t q = 0; tenant->counters != NULL && q < tenant->plan->quota_count; q++) {
        const struct quota *rule = &tenant->plan->quotas[q];
        const uint32_t found = counter_is_for(rule) ? table_find(&tenant->counters->index,
                                                                 key_foreseen(tenant, rule, lookup))
                                                    : TABLE_NONE;

        if (found != TABLE_NONE) {
            __builtin_prefetch(&tenant->counters->at[found], 1);
            __builtin_prefetch(&tenant->counters->at[found].state, 1);
        }
    }
}

struct counter *
counter_of(struct tenant *tenant, const struct quota *rule, struct text subject, int32_t project,
           int64_t now_ms)
{
    struct counters *counters = tenant->counters;
    const struct key128 key =
        key_of(tenant, rule, subject.size == 0 ? no_subject : identity_one(subject));
    const uint32_t found = table_find(&counters->index, key);

    if (found != TABLE_NONE)
        return &counters->at[found];
    if (!grow(counters, now_ms))
        return NULL;
    char *name = malloc(subject.size + 1);

    if (name == NULL || !table_put(&counters->index, key, (uint32_t)counters->count)) {
        free(name);
        return NULL;
    }
    if (subject.size > 0)
        memcpy(name, subject.at, subject.size);
    struct counter *counter = &counters->at[counters->count++];

    *counter = (struct counter){.state = {.rule = rule, .project = project},
                                .subject = {name, subject.size},
                                .name = name,
                                .key = key,
                                .window = counter_window(tenant, rule, now_ms)};
    tenant_bind_limit(tenant, &counter->state);
    return counter;
}

/* ---- made and exported --------------------------------------------------------------------------- */

static const struct quota *
rule_of(const struct tenant *tenant, struct text name)
{
    for (size_t q = 0; q < tenant->plan->quota_count; q++)
        if (text_eq(tenant->plan->quotas[q].name, name))
            return counter_is_for(&tenant->plan->quotas[q]) ? &tenant->plan->quotas[q] : NULL;
    return NULL;
}

/* The window that was written last is the present one, or over: rows are in order of start. */
static bool
recall(struct tenant *tenant, const struct counter_memory *memory, int64_t now_ms)
{
    const struct quota *rule = rule_of(tenant, memory->quota);
    int32_t project = -1;

    if (rule == NULL)
        return true;
    if (rule->scope == QUOTA_PROJECT) {
        project = tenant_project(tenant, memory->subject);
        if (project < 0)
            return true;
    }
    struct counter *counter = counter_of(tenant, rule, memory->subject, project, now_ms);

    if (counter == NULL)
        return tenant->counters->count == COUNTER_LIMIT;
    if (memory->start_ms > now_ms && memory->start_ms == counter->window.end_ms) {
        counter->ahead = counter_recalled(rule, memory->used);
        return true;
    }
    counter->window = (struct period){memory->start_ms, memory->end_ms};
    counter->used = counter_recalled(rule, memory->used);
    counter->at_ms = memory->at_ms;
    counter->state.spent = (int32_t)memory->spent;
    counter->state.spent_amount = counter_recalled(rule, memory->spent_amount);
    counter->state.open = memory->open;
    counter->state.blocked = memory->blocked;
    counter->state.since_ms = memory->since_ms;
    return true;
}

/* Those whose subject is known without any event: a limit of nothing holds from the start. */
static bool
make_known(struct tenant *tenant, const struct quota *rule, int64_t now_ms)
{
    if (rule->scope == QUOTA_TENANT)
        return counter_of(tenant, rule, TEXT(""), -1, now_ms) != NULL;
    for (size_t p = 0; rule->scope == QUOTA_PROJECT && p < tenant->spec.project_count; p++)
        if (counter_of(tenant, rule, tenant->spec.projects[p].name, (int32_t)p, now_ms) == NULL)
            return tenant->counters->count == COUNTER_LIMIT;
    return true;
}

bool
counters_make(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms)
{
    bool good = true;

    if (!tenant->plan->counts)
        return true;
    tenant->counters = calloc(1, sizeof *tenant->counters);
    if (tenant->counters == NULL ||
        !table_init(&tenant->counters->index, ROOM_AT_FIRST, COUNTER_LIMIT))
        return false;
    for (size_t q = 0; good && q < tenant->plan->quota_count; q++)
        if (counter_is_for(&tenant->plan->quotas[q]))
            good = make_known(tenant, &tenant->plan->quotas[q], now_ms);
    for (size_t i = 0; good && i < load->counter_count; i++)
        good = recall(tenant, &load->counters[i], now_ms);
    return good;
}

void
counters_free(struct counters *counters)
{
    if (counters == NULL)
        return;
    for (size_t i = 0; i < counters->count; i++)
        free(counters->at[i].name);
    free(counters->at);
    table_free(&counters->index);
    free(counters);
}

void
counter_memory_of(const struct tenant *tenant, const struct counter *counter,
                  struct counter_memory *out)
{
    *out = (struct counter_memory){.tenant = tenant->name,
                                   .quota = counter->state.rule->name,
                                   .label = counter_label(counter->state.rule),
                                   .subject = counter->subject,
                                   .start_ms = counter->window.start_ms,
                                   .end_ms = counter->window.end_ms};
    counter_memory_update(counter, out);
}

void
counter_memory_update(const struct counter *counter, struct counter_memory *out)
{
    out->used = counter_stored(counter->state.rule, counter->used);
    out->at_ms = counter->at_ms;
    out->spent = (uint32_t)counter->state.spent;
    out->spent_amount = counter_stored(counter->state.rule, counter->state.spent_amount);
    out->open = counter->state.open;
    out->blocked = counter->state.blocked;
    out->since_ms = counter->state.since_ms;
}

bool
counters_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load)
{
    const struct counters *counters = tenant->counters;
    const size_t count = counters == NULL ? 0 : counters->count;

    load->counters = arena_take(arena, (2 * count + 1) * sizeof *load->counters);
    if (load->counters == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct counter *counter = &counters->at[i];
        struct counter_memory *row = &load->counters[load->counter_count++];

        counter_memory_of(tenant, counter, row);
        if (counter->ahead == 0)
            continue;
        load->counters[load->counter_count++] =
            (struct counter_memory){.quota = row->quota,
                                    .subject = row->subject,
                                    .start_ms = row->end_ms,
                                    .end_ms = INT64_MAX,
                                    .used = counter_stored(counter->state.rule, counter->ahead)};
    }
    return true;
}
