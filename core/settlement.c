#include "core/settlement.h"

#include <assert.h>
#include <stdlib.h>

/* settlement_full() is asked between records; one record, with the timers that fire before it, may
 * still add this much. */
enum { ONE_RECORD_MORE = 16 * 1024 * 1024 };

/* Every list and what it holds, for what is done to all of them. */
static const struct {
    size_t at;
    size_t element_size;
} lists[] = {
    {offsetof(struct settlement, facts), sizeof(struct fact)},
    {offsetof(struct settlement, key_facts), sizeof(struct key_fact)},
    {offsetof(struct settlement, wide), sizeof(struct amounts)},
    {offsetof(struct settlement, periods), sizeof(struct period_total)},
    {offsetof(struct settlement, adjustments), sizeof(struct adjustment)},
    {offsetof(struct settlement, quotas), sizeof(struct quota_memory)},
    {offsetof(struct settlement, slots), sizeof(struct feature_slot)},
    {offsetof(struct settlement, hours), sizeof(struct feature_hour)},
    {offsetof(struct settlement, breakers), sizeof(struct breaker_memory)},
    {offsetof(struct settlement, moves), sizeof(struct breaker_move)},
    {offsetof(struct settlement, sources), sizeof(struct source_heard)},
    {offsetof(struct settlement, watches), sizeof(struct watch_memory)},
    {offsetof(struct settlement, notes), sizeof(struct anomaly_note)},
    {offsetof(struct settlement, reservations), sizeof(struct reservation_memory)},
    {offsetof(struct settlement, counters), sizeof(struct counter_memory)},
    {offsetof(struct settlement, carries), sizeof(struct carry_memory)},
    {offsetof(struct settlement, throttles), sizeof(struct throttle_memory)},
    {offsetof(struct settlement, due), sizeof(struct tenant_due)},
    {offsetof(struct settlement, transitions), sizeof(struct transition)},
    {offsetof(struct settlement, decisions), sizeof(struct scope_state)},
    {offsetof(struct settlement, dead), sizeof(struct dead_letter)},
    {offsetof(struct settlement, kept), sizeof(struct kept_event)},
    {offsetof(struct settlement, unpriced), sizeof(struct unpriced_event)},
    {offsetof(struct settlement, priced), sizeof(struct priced_event)},
    {offsetof(struct settlement, events), sizeof(struct settled_event)},
    {offsetof(struct settlement, commands), sizeof(struct command_done)},
    {offsetof(struct settlement, attempting), sizeof(int64_t)},
};
enum { LIST_COUNT = sizeof lists / sizeof lists[0] };

static struct list *
list_of(struct settlement *settlement, size_t index)
{
    return (void *)((char *)settlement + lists[index].at);
}

static const struct list *
list_in(const struct settlement *settlement, size_t index)
{
    return (const void *)((const char *)settlement + lists[index].at);
}

struct settlement *
settlement_new(size_t topic_count, size_t memory_limit)
{
    struct settlement *settlement = calloc(1, sizeof *settlement);
    const size_t most = PTRDIFF_MAX - ONE_RECORD_MORE;

    if (settlement == NULL)
        return NULL;
    settlement->topic_count = topic_count;
    settlement->memory_limit = memory_limit < most ? memory_limit : most;

    const size_t bytes = settlement->memory_limit + ONE_RECORD_MORE;

    for (size_t i = 0; i < LIST_COUNT; i++)
        list_init(list_of(settlement, i), lists[i].element_size, bytes / lists[i].element_size);
    settlement->arena = arena_new(bytes);
    settlement->progress = calloc(topic_count, sizeof *settlement->progress);
    if (settlement->arena == NULL || settlement->progress == NULL) {
        settlement_free(settlement);
        return NULL;
    }
    settlement_clear(settlement, NULL);
    return settlement;
}

void
settlement_free(struct settlement *settlement)
{
    if (settlement == NULL)
        return;
    for (size_t i = 0; i < LIST_COUNT; i++)
        list_free(list_of(settlement, i));
    arena_free(settlement->arena);
    free(settlement->progress);
    free(settlement);
}

/* Where a topic stands before anything of the next settlement is applied. */
static struct progress
progress_after(const struct progress *before)
{
    return (struct progress){
        .from = before->next,
        .next = before->next,
        .time_ms = before->time_ms,
        .last_offset = before->last_offset,
        .last_fingerprint = before->last_fingerprint,
    };
}

void
settlement_clear(struct settlement *settlement, const struct settlement *from)
{
    static const struct progress nothing = {.last_offset = -1};

    assert(from == NULL || from->topic_count == settlement->topic_count);
    for (size_t i = 0; i < settlement->topic_count; i++)
        settlement->progress[i] = from == NULL ? nothing : progress_after(&from->progress[i]);
    settlement->shard = from == NULL ? 0 : from->shard;
    settlement->epoch = from == NULL ? 0 : from->epoch;
    settlement->seq = from == NULL ? 0 : from->seq + 1;
    settlement->time_ms = from == NULL ? 0 : from->time_ms;
    settlement->policy = from == NULL ? 0 : from->policy;
    for (size_t i = 0; i < LIST_COUNT; i++)
        list_clear(list_of(settlement, i));
    arena_clear(settlement->arena);
}

bool
settlement_empty(const struct settlement *settlement)
{
    for (size_t i = 0; i < LIST_COUNT; i++)
        if (list_in(settlement, i)->count > 0)
            return false;
    for (size_t i = 0; i < settlement->topic_count; i++)
        if (settlement->progress[i].moved)
            return false;
    return true;
}

bool
settlement_full(const struct settlement *settlement)
{
    size_t bytes = arena_used(settlement->arena);

    for (size_t i = 0; i < LIST_COUNT; i++)
        bytes += list_in(settlement, i)->count * lists[i].element_size;
    return bytes >= settlement->memory_limit;
}

/* ---- keys -------------------------------------------------------------------------------------- */

struct key {
    struct text tenant, quota, of;
    int64_t begin_ms;
};

static int
compare_key(const struct key *a, const struct key *b)
{
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->quota, b->quota);
    if (order == 0)
        order = text_compare(a->of, b->of);
    return order != 0 ? order : (a->begin_ms > b->begin_ms) - (a->begin_ms < b->begin_ms);
}

int
quota_memory_compare(const void *one, const void *other)
{
    const struct quota_memory *a = one;
    const struct quota_memory *b = other;

    return compare_key(&(struct key){a->tenant, a->quota, a->project, a->period_ms},
                       &(struct key){b->tenant, b->quota, b->project, b->period_ms});
}

int
counter_memory_compare(const void *one, const void *other)
{
    const struct counter_memory *a = one;
    const struct counter_memory *b = other;

    return compare_key(&(struct key){a->tenant, a->quota, a->subject, a->start_ms},
                       &(struct key){b->tenant, b->quota, b->subject, b->start_ms});
}

int
carry_memory_compare(const void *one, const void *other)
{
    const struct carry_memory *a = one;
    const struct carry_memory *b = other;

    return compare_key(&(struct key){a->tenant, a->quota, a->project, a->start_ms},
                       &(struct key){b->tenant, b->quota, b->project, b->start_ms});
}
