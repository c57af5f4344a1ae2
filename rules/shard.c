#include "rules/shard_state.h"

#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/feature.h"
#include "rules/throttling.h"
#include "rules/trip.h"

#include <assert.h>
#include <stdlib.h>

#define WANTED_LIMIT    ((size_t)1 << 20)
#define WANTED_MEMORY   ((size_t)1 << 30)
#define UNPRICED_MODELS 10000

void *
shard_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

struct text
shard_keep(struct shard *shard, struct text text)
{
    const bool kept = arena_keep(shard->open->settlement->arena, &text);

    (void)shard_must(kept ? shard : NULL);
    return text;
}

/* ---- made, claimed, freed ------------------------------------------------------------------------ */

struct shard *
shard_new(const struct shard_setup *setup)
{
    struct shard *shard = calloc(1, sizeof *shard);

    if (shard == NULL)
        return NULL;
    shard->setup = *setup;
    shard->topics = calloc(setup->topic_count, sizeof *shard->topics);
    shard->wanted_memory = arena_new(WANTED_MEMORY);
    shard->scratch = arena_new(WANTED_MEMORY);
    list_init(&shard->wanted, sizeof(struct scope_state *), WANTED_LIMIT);
    shard->sources = sources_new();
    bool good = shard->topics != NULL && shard->sources != NULL && shard->wanted_memory != NULL &&
                shard->scratch != NULL && table_init(&shard->index, 1024, TABLE_NONE - 1) &&
                table_init(&shard->unpriced_models, 16, UNPRICED_MODELS) &&
                originals_init(&shard->originals) &&
                burst_init(&shard->burst, setup->burst_entries) &&
                book_init(&shard->books[0], setup->topic_count, setup->settle_memory) &&
                book_init(&shard->books[1], setup->topic_count, setup->settle_memory);

    for (size_t t = 0; good && setup->dedupe && t < setup->topic_count; t++) {
        shard->topics[t].seen = seen_new(setup->dedupe_window_ms, setup->dedupe_records);
        good = shard->topics[t].seen != NULL;
    }
    if (good)
        return shard;
    shard_free(shard);
    return NULL;
}

static void
forget_tenants(struct shard *shard)
{
    for (size_t i = 0; i < shard->tenant_count; i++)
        tenant_free(shard->tenants[i]);
    shard->tenant_count = 0;
    shard->restricted_count = 0;
    shard->due.count = 0;
    table_clear(&shard->index);
}

void
shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    if (shard->index.slots != NULL)
        forget_tenants(shard);
    for (size_t t = 0; shard->topics != NULL && t < shard->setup.topic_count; t++)
        seen_free(shard->topics[t].seen);
    free(shard->topics);
    free(shard->tenants);
    due_free(&shard->due);
    table_free(&shard->index);
    table_free(&shard->unpriced_models);
    originals_free(&shard->originals);
    burst_free(&shard->burst);
    sources_free(shard->sources);
    book_free(&shard->books[0]);
    book_free(&shard->books[1]);
    list_free(&shard->wanted);
    arena_free(shard->wanted_memory);
    arena_free(shard->scratch);
    free(shard);
}

void
shard_begin(struct shard *shard, const struct shard_start *start)
{
    forget_tenants(shard);
    for (size_t t = 0; t < shard->setup.topic_count; t++) {
        struct topic_state *topic = &shard->topics[t];

        if (topic->seen != NULL)
            seen_clear(topic->seen);
        /* Partition time begins anew with the tail, which reaches back before all that matters. */
        *topic = (struct topic_state){.seen = topic->seen,
                                      .time_ms = INT64_MIN,
                                      .halted = start->halted != NULL && start->halted[t]};
    }
    shard->policy = start->policy;
    shard->enforcing = start->enforcing;
    shard->epoch = start->epoch;
    shard->seq = start->seq;
    shard->time_ms = start->time_ms;
    shard->read_to_ms = 0;
    shard->closed_ms = start->closed_ms;
    shard->inherits_ms = start->inherits_ms;
    /* What was alerted may have been lost with the last owner: it is alerted again. */
    table_clear(&shard->unpriced_models);
    shard->unpriced_day = shard->unknown_day = 0;
    shard->wanted.count = 0;
    arena_clear(shard->wanted_memory);
    originals_clear(&shard->originals);
    burst_clear(&shard->burst);
    sources_clear(shard->sources);
    shard->frozen = NULL;
    shard->open = &shard->books[0];
    book_open(shard->open, ++shard->number, start->progress);
}

int64_t
shard_epoch(const struct shard *shard)
{
    return shard->epoch;
}

int64_t
shard_seq(const struct shard *shard)
{
    return shard->seq;
}

int64_t
shard_time(const struct shard *shard)
{
    return shard->time_ms;
}

int64_t
shard_next_offset(const struct shard *shard, int32_t topic)
{
    return shard->open->settlement->progress[topic].next;
}

bool
shard_halted(const struct shard *shard, int32_t topic)
{
    return shard->topics[topic].halted;
}

bool
shard_resume(struct shard *shard, int32_t topic)
{
    if (!shard->topics[topic].halted)
        return false;
    notice_resumed(shard, topic);
    return true;
}

/* ---- tenants --------------------------------------------------------------------------------------- */

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

/* The tenant is made anew from its own export under another contract or policy. */
static void
rebind(struct shard *shard, uint32_t place, const struct tenant_load *change)
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

/* ---- time and commands --------------------------------------------------------------------------------- */

/* The first time of all is no passing of time: what was held before is judged by it. */
static void
first_time(struct shard *shard, int64_t now_ms)
{
    shard->time_ms = now_ms;
    shard->time_moved = true;
    for (size_t i = 0; i < shard->tenant_count; i++)
        judge_now(shard, shard->tenants[i], RESOLVED_CLEARED);
}

bool
shard_advance(struct shard *shard, int64_t now_ms)
{
    if (shard->time_ms == SHARD_TIME_UNKNOWN)
        first_time(shard, now_ms);
    for (struct tenant *tenant = due_first(&shard->due, now_ms); tenant != NULL;
         tenant = due_first(&shard->due, now_ms)) {
        if (settlement_full(shard->open->settlement))
            return false;
        if (tenant->due_ms > shard->time_ms)
            shard->time_ms = tenant->due_ms;
        const int64_t due_ms = tenant->due_ms;

        if (tenant->judge_ms <= due_ms) {
            judge_now(shard, tenant, RESOLVED_CLEARED);
        } else {
            throttling_due(shard, tenant);
            anomaly_look(shard, tenant);
            judge_due(shard, tenant);
        }
        /* Its deadline has passed: the next one is later. */
        assert(tenant->due_ms > due_ms);
    }
    if (now_ms > shard->time_ms) {
        shard->time_ms = now_ms;
        shard->time_moved = true;
    }
    return true;
}

void
shard_read_to(struct shard *shard, int64_t now_ms)
{
    if (now_ms > shard->read_to_ms)
        shard->read_to_ms = now_ms;
}

int64_t
shard_closed(const struct shard *shard, int32_t topic)
{
    int64_t time_ms = shard->open->settlement->progress[topic].time_ms;

    if (shard->topics[topic].time_ms > time_ms)
        time_ms = shard->topics[topic].time_ms;
    if (shard->read_to_ms > time_ms)
        time_ms = shard->read_to_ms;
    time_ms -= shard->policy->grace_ms;
    return time_ms > shard->closed_ms ? time_ms : shard->closed_ms;
}

void
shard_policy(struct shard *shard, const struct policy *policy)
{
    shard->policy = policy;
    for (size_t i = 0; i < shard->tenant_count; i++)
        rebind(shard, (uint32_t)i, NULL);
}

void
shard_enforce(struct shard *shard, bool on)
{
    shard->enforcing = on;
    for (size_t i = 0; i < shard->tenant_count; i++)
        if (shard->tenants[i]->restricted)
            judge_tenant(shard, shard->tenants[i], &(struct occasion){.reason = RESOLVED_OPERATOR});
}

void
shard_contract(struct shard *shard, const struct tenant_load *load)
{
    const uint32_t place = table_find(&shard->index, identity_one(load->name));

    if (place != TABLE_NONE)
        rebind(shard, place, load);
}

void
shard_command_done(struct shard *shard, int64_t id, const char *error)
{
    struct command_done *row = shard_must(list_add(&shard->open->settlement->commands));

    *row = (struct command_done){
        .id = id, .at_ms = shard->time_ms, .error = shard_keep(shard, text_of(error))};
    metric_add(shard->setup.metrics, METRIC_COMMANDS, 1);
}

/* ---- out ----------------------------------------------------------------------------------------------- */

size_t
shard_wanted(const struct shard *shard, struct scope_state *const **states)
{
    *states = shard->wanted.at;
    return shard->wanted.count;
}

void
shard_wanted_taken(struct shard *shard, size_t count)
{
    struct scope_state **states = shard->wanted.at;

    assert(count <= shard->wanted.count);
    if (count == 0)
        return;
    memmove(states, states + count, (shard->wanted.count - count) * sizeof(struct scope_state *));
    shard->wanted.count -= count;
    if (shard->wanted.count == 0)
        arena_clear(shard->wanted_memory);
}

void
shard_republish(struct shard *shard)
{
    for (size_t i = 0; i < shard->tenant_count; i++)
        for (const struct published *one = shard->tenants[i]->published; one != NULL;
             one = one->next)
            judge_scope(shard, shard->tenants[i], one->scope, true, (struct text){NULL, 0});
}

void
shard_declare(struct shard *shard, struct text scope, struct text tenant)
{
    struct key128 id;
    struct tenant *held = shard_find(shard, tenant, &id);

    if (held != NULL && !held->split)
        judge_scope(shard, held, scope, true, (struct text){NULL, 0});
}

void
shard_transition(struct shard *shard, const struct transition *transition)
{
    struct settlement *settlement = shard->open->settlement;
    struct transition *row = shard_must(list_add(&settlement->transitions));

    *row = *(struct transition *)shard_must(transition_copy(transition, settlement->arena));
    metric_add(shard->setup.metrics, METRIC_TRANSITIONS, 1);
}

/* ---- settlements ------------------------------------------------------------------------------------------ */

bool
shard_clean(const struct shard *shard)
{
    return settlement_empty(shard->open->settlement);
}

bool
shard_full(const struct shard *shard)
{
    return settlement_full(shard->open->settlement);
}

/* The rows of totals are completed, with what memory believes the totals to be once the settlement is
 * committed. */
static void
expect_totals(struct shard *shard, struct book *book)
{
    const struct list *periods = &book->settlement->periods;

    for (size_t i = 0; i < periods->count; i++) {
        struct period_total *row = list_at(periods, i);
        struct key128 id;
        struct tenant *tenant = shard_find(shard, row->tenant, &id);

        if (tenant == NULL || tenant->split)
            continue;
        const int32_t project = row->project.size == 0 ? -1 : tenant_project(tenant, row->project);

        for (size_t p = 0; p < tenant->period_count; p++)
            if (tenant->periods[p].period.start_ms == row->start_ms &&
                (project >= 0 || row->project.size == 0)) {
                struct totals *totals = &tenant->periods[p].totals[project + 1];

                book_complete(book, totals);
                row->expected_known = true;
                row->expected = totals->sum;
            }
    }
}

/* What is closed to the events of every topic. */
static int64_t
closed_to_all(const struct shard *shard)
{
    int64_t closed_ms = INT64_MAX;

    for (size_t t = 0; t < shard->setup.topic_count; t++) {
        const int64_t topic_ms = shard_closed(shard, (int32_t)t);

        if (topic_ms < closed_ms)
            closed_ms = topic_ms;
    }
    return closed_ms;
}

struct settlement *
shard_freeze(struct shard *shard)
{
    if (shard->frozen != NULL || (shard_clean(shard) && !shard->time_moved))
        return NULL;
    struct settlement *settlement = shard->open->settlement;

    settlement->shard = shard->setup.shard;
    settlement->epoch = shard->epoch;
    settlement->seq = shard->seq++;
    settlement->time_ms = shard->time_ms;
    settlement->policy = shard->policy->serial;
    settlement->closed_ms = shard->closed_ms = closed_to_all(shard);
    expect_totals(shard, shard->open);
    originals_trim(&shard->originals);
    shard->time_moved = false;
    shard->frozen = shard->open;
    shard->open = shard->open == &shard->books[0] ? &shard->books[1] : &shard->books[0];
    book_open(shard->open, ++shard->number, settlement->progress);
    return settlement;
}

/* Idle tenants beyond the limit leave, a few each time. */
static void
evict(struct shard *shard)
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

void
shard_settled(struct shard *shard, const struct period_total *differing, size_t count)
{
    assert(shard->frozen != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct period_total *row = &differing[i];
        struct key128 id;
        struct tenant *tenant = shard_find(shard, row->tenant, &id);
        struct amounts correction;

        if (tenant == NULL)
            continue;
        const int32_t project = row->project.size == 0 ? -1 : tenant_project(tenant, row->project);

        amounts_difference(&correction, &row->delta, &row->expected);
        book_complete_all(shard->open, tenant);
        for (size_t p = 0; p < tenant->period_count; p++)
            if (tenant->periods[p].period.start_ms == row->start_ms &&
                (project >= 0 || row->project.size == 0))
                (void)amounts_add(&tenant->periods[p].totals[project + 1].sum, &correction);
        if (!tenant->split)
            judge_now(shard, tenant, RESOLVED_CLEARED);
    }
    shard->frozen = NULL;
    shard->originals.settled++;
    evict(shard);
    metric_add(shard->setup.metrics, METRIC_BURST_EVICTED,
               shard->burst.evicted - shard->burst_evicted);
    metric_add(shard->setup.metrics, METRIC_BURST_MISSED,
               shard->burst.missed - shard->burst_missed);
    shard->burst_evicted = shard->burst.evicted;
    shard->burst_missed = shard->burst.missed;
    metric_set_to(shard->setup.metrics, METRIC_TENANTS, (int64_t)shard->tenant_count);
}

/* ---- the record --------------------------------------------------------------------------------------------- */

size_t
shard_sought(const struct shard *shard, const struct sought **sought)
{
    *sought = shard->originals.sought.at;
    return shard->originals.sought.count;
}

void
shard_asked(struct shard *shard)
{
    originals_ask(&shard->originals);
}

void
shard_found(struct shard *shard, size_t index, const struct original *original)
{
    originals_found(&shard->originals, index, original);
}

bool
shard_answered(struct shard *shard, size_t count)
{
    return originals_answered(&shard->originals, count, shard->open->settlement,
                              shard->frozen == NULL ? NULL : shard->frozen->settlement);
}

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

struct text
shard_default_zone(const struct shard *shard)
{
    return shard->policy->zone;
}

bool
shard_has_breakers(const struct shard *shard)
{
    return shard->policy->has_breakers;
}

void
shard_unprotected(const struct shard *shard, shard_on_name *on_name, void *context)
{
    for (size_t i = 0; i < shard->tenant_count && shard->policy->has_breakers; i++)
        if (shard->tenants[i]->features == NULL && !shard->tenants[i]->split)
            on_name(context, shard->tenants[i]->name);
}
