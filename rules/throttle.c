#include "rules/throttle.h"

#include "core/identity.h"

#include <stdlib.h>

struct key128
burst_base(struct key128 tenant, enum burst_scope scope, bool attempts)
{
    const uint64_t number = 2 * (uint64_t)scope + attempts;

    return identity_join(tenant, (struct key128){number, number});
}

struct key128
burst_key(struct key128 base, struct text subject)
{
    return subject.size == 0 ? base : identity_join(base, identity_one(subject));
}

/* ---- limits ------------------------------------------------------------------------------------------ */

/* The plan's, or the tenant's own where the plan has one. */
static void
bind(const struct tenant *tenant, enum burst_scope scope, struct burst_bound *bound)
{
    const struct burst_rule *rule = &tenant->plan->bursts[scope];
    const struct tenant_spec *spec = &tenant->spec;

    *bound = (struct burst_bound){.on = rule->on,
                                  .attempts = rule->attempts,
                                  .shadow = rule->mode == MODE_SHADOW,
                                  .limit = rule->limit,
                                  .base = burst_base(tenant->id, scope, rule->attempts)};
    for (size_t i = 0; i < spec->limit_count; i++)
        if (text_eq(spec->limits[i].quota, text_of(burst_rules[scope]))) {
            bound->on = rule->on && !spec->limits[i].unlimited;
            bound->limit = (int64_t)(spec->limits[i].nano / MONEY_NANO_PER_UNIT);
        }
}

bool
bursts_make(struct tenant *tenant, const struct tenant_load *load)
{
    struct bursts bursts = {.count = 0};
    bool needed = load->throttle_count > 0;

    for (int s = 0; s < BURST_SCOPE_COUNT; s++) {
        bind(tenant, (enum burst_scope)s, &bursts.at[s]);
        needed |= bursts.at[s].on;
    }
    if (!needed)
        return true;
    tenant->bursts = malloc(sizeof *tenant->bursts);
    if (tenant->bursts == NULL)
        return false;
    *tenant->bursts = bursts;
    for (size_t i = 0; i < load->throttle_count; i++)
        if (throttle_made(tenant, &load->throttles[i]) == NULL)
            return tenant->bursts->count == THROTTLE_LIMIT;
    return true;
}

void
bursts_free(struct bursts *bursts)
{
    if (bursts == NULL)
        return;
    for (size_t i = 0; i < bursts->count; i++)
        free(bursts->throttles[i]);
    free(bursts->throttles);
    table_free(&bursts->index);
    free(bursts);
}

bool
bursts_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load)
{
    const struct bursts *bursts = tenant->bursts;

    if (bursts == NULL || bursts->count == 0)
        return true;
    load->throttles = arena_take(arena, bursts->count * sizeof *load->throttles);
    if (load->throttles == NULL)
        return false;
    for (size_t i = 0; i < bursts->count; i++)
        load->throttles[load->throttle_count++] = bursts->throttles[i]->memory;
    return true;
}

/* ---- who is throttled ---------------------------------------------------------------------------------- */

struct throttle *
throttle_find(const struct bursts *bursts, struct key128 key)
{
    const uint32_t place =
        bursts->index.slots == NULL ? TABLE_NONE : table_find(&bursts->index, key);

    return place == TABLE_NONE ? NULL : bursts->throttles[place];
}

static bool
make_room(struct bursts *bursts)
{
    const size_t room = bursts->room == 0 ? 4 : bursts->room * 2;

    if (bursts->index.slots == NULL && !table_init(&bursts->index, 4, THROTTLE_LIMIT))
        return false;
    if (bursts->count < bursts->room)
        return true;
    struct throttle **throttles = realloc(bursts->throttles, room * sizeof(struct throttle *));

    if (throttles == NULL)
        return false;
    bursts->throttles = throttles;
    bursts->room = room;
    return true;
}

struct throttle *
throttle_made(struct tenant *tenant, const struct throttle_memory *memory)
{
    struct bursts *bursts = tenant->bursts;
    const struct text subject = memory->subject;
    char scope[SCOPE_SIZE];
    const size_t size = scope_build(scope, burst_names[memory->scope], tenant->name,
                                    subject.size == 0 ? (struct text){NULL, 0} : subject);

    if (size == 0 || bursts->count == THROTTLE_LIMIT || !make_room(bursts))
        return NULL;
    struct throttle *throttle = calloc(1, sizeof *throttle + subject.size + size);

    if (throttle == NULL)
        return NULL;
    throttle->memory = *memory;
    throttle->memory.tenant = tenant->name;
    if (subject.size > 0)
        memcpy(throttle->names, subject.at, subject.size);
    memcpy(throttle->names + subject.size, scope, size);
    throttle->memory.subject = (struct text){throttle->names, subject.size};
    throttle->scope = (struct text){throttle->names + subject.size, size};
    throttle->key =
        burst_key(burst_base(tenant->id, memory->scope, memory->attempts), memory->subject);
    if (!table_put(&bursts->index, throttle->key, (uint32_t)bursts->count)) {
        free(throttle);
        return NULL;
    }
    bursts->throttles[bursts->count++] = throttle;
    return throttle;
}

void
throttle_drop(struct bursts *bursts, size_t place)
{
    struct throttle *gone = bursts->throttles[place];
    struct throttle *last = bursts->throttles[--bursts->count];

    table_remove(&bursts->index, gone->key);
    free(gone);
    if (last == gone)
        return;
    bursts->throttles[place] = last;
    (void)table_put(&bursts->index, last->key, (uint32_t)place);
}
