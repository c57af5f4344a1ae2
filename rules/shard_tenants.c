/* The tenants of a shard: found, loaded, made anew, evicted. */
#include "rules/shard_state.h"

#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/feature.h"
#include "rules/trip.h"

#include <stdlib.h>

struct tenant *
shard_find(const struct shard *shard, struct text name, struct key128 *id)
{
    *id = identity_one(name);
    return shard_at(shard, *id);
}

bool
shard_knows(const struct shard *shard, struct text tenant)
{
    struct key128 id;

    return shard_find(shard, tenant, &id) != NULL;
}

static bool
add_tenant(struct shard *shard, struct tenant *tenant)
{
    if (shard->tenant_count == shard->tenant_room) {
        const size_t room = shard->tenant_room == 0 ? 256 : shard->tenant_room * 2;
        struct tenant **tenants = realloc(shard->tenants, room * sizeof(struct tenant *));

        if (tenants == NULL)
            return false;
        shard->tenants = tenants;
        shard->tenant_room = room;
    }
    if (!table_put(&shard->index, tenant->id, (uint32_t)shard->tenant_count))
        return false;
    shard->tenants[shard->tenant_count++] = tenant;
    return true;
}

bool
shard_load(struct shard *shard, const struct tenant_load *load)
{
    struct key128 id;

    if (shard_find(shard, load->name, &id) != NULL)
        return true;
    struct tenant *tenant = tenant_new(load, id, shard->setup.shard, shard->policy, shard->time_ms);

    if (tenant == NULL || !add_tenant(shard, tenant)) {
        tenant_free(tenant);
        return false;
    }
    tenant->touched = shard->open->number;
    if (tenant->split) {
        notice_split(shard, tenant);
        return true;
    }
    judge_left_over(shard, tenant, load);
    judge_tenant(shard, tenant, &(struct occasion){.reason = RESOLVED_LIMIT_RAISED});
    return true;
}

/* Totals of projects that were not declared before are known to Postgres only. */
static void
add_projects(struct shard *shard, const struct tenant *old, const struct tenant_load *change,
             struct tenant_load *load)
{
    struct period_total *rows = shard_must(
        arena_take(shard->scratch, (load->period_count + change->period_count) * sizeof *rows));

    memcpy(rows, load->periods, load->period_count * sizeof *rows);
    for (size_t i = 0; i < change->period_count; i++)
        if (change->periods[i].project.size > 0 &&
            tenant_project(old, change->periods[i].project) < 0)
            rows[load->period_count++] = change->periods[i];
    load->periods = rows;
}

/* What is known of the features goes on; where nothing is, because breakers are new in the policy, it
 * comes with the next load. */
static void
move_features(struct shard *shard, struct tenant *old, struct tenant *next,
              const struct tenant_load *change)
{
    if (next->split)
        return;
    if (!shard->policy->has_breakers) {
        anomaly_bind(shard, old, false);
        if (old->features != NULL && shard->time_ms != SHARD_TIME_UNKNOWN)
            trip_removed(shard, old);
        return;
    }
    if (old->features == NULL && change != NULL && change->has_features) {
        next->features = shard_must(features_new(change, next->zone, shard->policy));
        return;
    }
    next->features = old->features;
    old->features = NULL;
    if (next->features == NULL)
        return;
    features_bind(next->features, shard->policy);
    anomaly_bind(shard, next, shard->policy->anomaly.on);
    if (change != NULL && change->has_features)
        features_learn(next->features, change, next->zone, shard->policy);
}

void
shard_rebind(struct shard *shard, uint32_t place, const struct tenant_load *change)
{
    struct tenant *old = shard->tenants[place];
    struct tenant_load load;

    arena_clear(shard->scratch);
    book_complete_all(shard->open, old);
    if (!tenant_export(old, shard->setup.shard, shard->scratch, &load))
        abort();
    if (change != NULL) {
        load.due_ms = change->due_ms;
        load.restricted = change->restricted;
        load.known = change->known;
        load.version = change->version;
        load.spec = change->spec;
        load.plans = change->plans;
        load.plan_count = change->plan_count;
        load.zone = change->zone;
        load.words = change->words;
        load.word_count = change->word_count;
        add_projects(shard, old, change, &load);
    }
    struct tenant *next =
        shard_must(tenant_new(&load, old->id, shard->setup.shard, shard->policy, shard->time_ms));

    move_features(shard, old, next, change);
    next->published = old->published;
    old->published = NULL;
    /* The store may have been told otherwise by somebody else, to have the tenant looked at. */
    if (change == NULL) {
        next->stored_due_ms = old->stored_due_ms;
        next->stored_restricted = old->stored_restricted;
    }
    next->touched = shard->open->number;
    if (!due_set(&shard->due, old, INT64_MAX))
        abort();
    shard->tenants[place] = next;
    judge_left_over(shard, next, &load);
    tenant_free(old);
    judge_tenant(shard, next, &(struct occasion){.reason = RESOLVED_LIMIT_RAISED});
}

/* ---- left ------------------------------------------------------------------------------------------ */

void
shard_forget(struct shard *shard)
{
    for (size_t i = 0; i < shard->tenant_count; i++)
        tenant_free(shard->tenants[i]);
    shard->tenant_count = 0;
    shard->restricted_count = 0;
    shard->due.count = 0;
    table_clear(&shard->index);
}

void
shard_evict(struct shard *shard)
{
    enum { LOOK_AT = 4096 };

    for (size_t i = 0; i < LOOK_AT && shard->tenant_count > shard->setup.tenant_limit; i++) {
        if (shard->sweep >= shard->tenant_count)
            shard->sweep = 0;
        struct tenant *tenant = shard->tenants[shard->sweep];

        if (tenant->restricted || (tenant->due_place != 0 && !tenant->patient) ||
            tenant->touched >= shard->open->number) {
            shard->sweep++;
            continue;
        }
        (void)due_set(&shard->due, tenant, INT64_MAX);
        table_remove(&shard->index, tenant->id);
        shard->tenants[shard->sweep] = shard->tenants[--shard->tenant_count];
        if (shard->sweep < shard->tenant_count)
            (void)table_put(&shard->index, shard->tenants[shard->sweep]->id,
                            (uint32_t)shard->sweep);
        tenant_free(tenant);
    }
}

/* ---- told of --------------------------------------------------------------------------------------- */

size_t
shard_tenant_count(const struct shard *shard)
{
    return shard->tenant_count;
}

size_t
shard_restricted_count(const struct shard *shard)
{
    return shard->restricted_count;
}

void
shard_unprotected(const struct shard *shard, shard_on_name *on_name, void *context)
{
    for (size_t i = 0; i < shard->tenant_count && shard->policy->has_breakers; i++)
        if (shard->tenants[i]->features == NULL && !shard->tenants[i]->split)
            on_name(context, shard->tenants[i]->name);
}
