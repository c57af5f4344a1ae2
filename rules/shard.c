#include "rules/shard_state.h"

#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/throttling.h"

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

void
shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    if (shard->index.slots != NULL)
        shard_forget(shard);
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
    shard_forget(shard);
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
        shard_rebind(shard, (uint32_t)i, NULL);
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
        shard_rebind(shard, place, load);
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
