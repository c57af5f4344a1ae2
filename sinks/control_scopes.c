#include "sinks/control_scopes.h"

#include "core/identity.h"

#include <assert.h>
#include <stdlib.h>

struct packed_state {
    struct text scope;
    struct text tenant;
    struct text trigger;
    int64_t epoch;
    int64_t at_ms;
    int32_t shard;
    bool operator_said;
    bool forgotten;
    size_t count;
    struct restriction restrictions[]; /* `count`, then the bytes of all texts */
};

enum { FIRST_ROOM = 64 };

bool
scopes_init(struct scopes *scopes, size_t limit)
{
    list_init(&scopes->entries, sizeof(struct scope_entry *), limit);
    scopes->heap = NULL;
    scopes->heap_count = 0;
    scopes->heap_room = 0;
    return table_init(&scopes->index, FIRST_ROOM, limit);
}

static void
entry_free(struct scope_entry *entry)
{
    free(entry->state);
    free(entry);
}

void
scopes_free(struct scopes *scopes)
{
    for (size_t i = 0; i < scopes->entries.count; i++)
        entry_free(scopes_at(scopes, i));
    list_free(&scopes->entries);
    free(scopes->heap);
    table_free(&scopes->index);
}

/* Copies the bytes of a text to *at and moves on; an absent text stays absent. */
static void
pack(struct text *text, char **at)
{
    if (text->at == NULL)
        return;
    memcpy(*at, text->at, text->size);
    text->at = *at;
    *at += text->size;
}

static size_t
text_bytes(const struct scope_state *state)
{
    size_t bytes = state->scope.size + state->tenant.size + state->trigger.size;

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *restriction = &state->restrictions[i];

        bytes += restriction->rule.size + restriction->currency.size + restriction->reason.size +
                 restriction->actor.size;
    }
    return bytes;
}

static struct packed_state *
packed_new(const struct scope_state *state)
{
    const size_t size = sizeof(struct packed_state) + state->count * sizeof state->restrictions[0];
    struct packed_state *packed = malloc(size + text_bytes(state));
    char *at;

    if (packed == NULL)
        return NULL;
    at = (char *)packed + size;
    packed->scope = state->scope;
    packed->tenant = state->tenant;
    packed->trigger = state->trigger;
    packed->epoch = state->epoch;
    packed->at_ms = state->at_ms;
    packed->shard = state->shard;
    packed->operator_said = state->operator_said;
    packed->forgotten = state->forgotten;
    packed->count = state->count;
    memcpy(packed->restrictions, state->restrictions, state->count * sizeof state->restrictions[0]);
    pack(&packed->scope, &at);
    pack(&packed->tenant, &at);
    pack(&packed->trigger, &at);
    for (size_t i = 0; i < packed->count; i++) {
        pack(&packed->restrictions[i].rule, &at);
        pack(&packed->restrictions[i].currency, &at);
        pack(&packed->restrictions[i].reason, &at);
        pack(&packed->restrictions[i].actor, &at);
    }
    return packed;
}

struct scope_entry *
scopes_find(const struct scopes *scopes, struct text scope)
{
    const uint32_t at = table_find(&scopes->index, identity_one(scope));

    return at == TABLE_NONE ? NULL : scopes_at(scopes, at);
}

/* Room for every entry, so that scopes_due() cannot fail. */
static bool
heap_reserve(struct scopes *scopes)
{
    struct scope_entry **heap;

    if (scopes->heap_room >= scopes->entries.room)
        return true;
    heap = realloc(scopes->heap, scopes->entries.room * scopes->entries.size);
    if (heap == NULL)
        return false;
    scopes->heap = heap;
    scopes->heap_room = scopes->entries.room;
    return true;
}

static struct scope_entry *
entry_new(struct scopes *scopes, struct packed_state *state)
{
    struct scope_entry *entry = calloc(1, sizeof *entry);
    struct scope_entry **place = entry == NULL ? NULL : list_add(&scopes->entries);

    if (place == NULL) {
        free(entry);
        return NULL;
    }
    entry->state = state;
    entry->key = identity_one(state->scope);
    entry->index = scopes->entries.count - 1;
    entry->due_ms = SCOPE_NEVER;
    entry->renew_ms = SCOPE_NEVER;
    entry->offset = -1;
    *place = entry;
    if (!heap_reserve(scopes) || !table_put(&scopes->index, entry->key, (uint32_t)entry->index)) {
        scopes->entries.count--;
        free(entry);
        return NULL;
    }
    return entry;
}

struct scope_entry *
scopes_put(struct scopes *scopes, const struct scope_state *state)
{
    struct scope_entry *entry = scopes_find(scopes, state->scope);
    struct packed_state *packed = packed_new(state);

    if (packed == NULL)
        return NULL;
    if (entry == NULL) {
        entry = entry_new(scopes, packed);
        if (entry == NULL)
            free(packed);
        return entry;
    }
    free(entry->state);
    entry->state = packed;
    return entry;
}

void
scopes_remove(struct scopes *scopes, struct scope_entry *entry)
{
    struct scope_entry *last = scopes_at(scopes, scopes->entries.count - 1);

    scopes_due(scopes, entry, SCOPE_NEVER);
    table_remove(&scopes->index, entry->key);
    if (last != entry) {
        last->index = entry->index;
        *(struct scope_entry **)list_at(&scopes->entries, last->index) = last;
        /* The key is there, so this cannot fail. */
        (void)table_put(&scopes->index, last->key, (uint32_t)last->index);
    }
    scopes->entries.count--;
    entry_free(entry);
}

static void
heap_set(struct scopes *scopes, size_t position, struct scope_entry *entry)
{
    scopes->heap[position] = entry;
    entry->in_heap = position + 1;
}

static void
heap_up(struct scopes *scopes, size_t position)
{
    struct scope_entry *entry = scopes->heap[position];

    while (position > 0) {
        struct scope_entry *parent = scopes->heap[(position - 1) / 2];

        if (parent->due_ms <= entry->due_ms)
            break;
        heap_set(scopes, position, parent);
        position = (position - 1) / 2;
    }
    heap_set(scopes, position, entry);
}

static void
heap_down(struct scopes *scopes, size_t position)
{
    struct scope_entry *entry = scopes->heap[position];

    for (;;) {
        size_t child = 2 * position + 1;

        if (child >= scopes->heap_count)
            break;
        if (child + 1 < scopes->heap_count &&
            scopes->heap[child + 1]->due_ms < scopes->heap[child]->due_ms)
            child++;
        if (scopes->heap[child]->due_ms >= entry->due_ms)
            break;
        heap_set(scopes, position, scopes->heap[child]);
        position = child;
    }
    heap_set(scopes, position, entry);
}

static void
heap_take(struct scopes *scopes, struct scope_entry *entry)
{
    const size_t position = entry->in_heap - 1;
    struct scope_entry *last = scopes->heap[--scopes->heap_count];

    entry->in_heap = 0;
    if (last == entry)
        return;
    heap_set(scopes, position, last);
    heap_up(scopes, position);
    heap_down(scopes, last->in_heap - 1);
}

void
scopes_due(struct scopes *scopes, struct scope_entry *entry, int64_t due_ms)
{
    if (entry->in_heap > 0)
        heap_take(scopes, entry);
    entry->due_ms = due_ms;
    if (due_ms == SCOPE_NEVER)
        return;

    assert(scopes->heap_count < scopes->heap_room);
    scopes->heap[scopes->heap_count] = entry;
    heap_up(scopes, scopes->heap_count++);
}

struct scope_entry *
scopes_first(const struct scopes *scopes)
{
    return scopes->heap_count == 0 ? NULL : scopes->heap[0];
}

void
scope_entry_state(const struct scope_entry *entry, struct scope_state *out)
{
    const struct packed_state *packed = entry->state;

    out->scope = packed->scope;
    out->tenant = packed->tenant;
    out->trigger = packed->trigger;
    out->epoch = packed->epoch;
    out->at_ms = packed->at_ms;
    out->shard = packed->shard;
    out->operator_said = packed->operator_said;
    out->forgotten = packed->forgotten;
    out->count = packed->count;
    memcpy(out->restrictions, packed->restrictions, packed->count * sizeof packed->restrictions[0]);
}

struct text
scope_entry_name(const struct scope_entry *entry)
{
    return entry->state->scope;
}

int32_t
scope_entry_shard(const struct scope_entry *entry)
{
    return entry->state->shard;
}

size_t
scope_entry_count(const struct scope_entry *entry)
{
    return entry->state->count;
}

struct key128
scope_print(const struct scope_state *state)
{
    struct key128 print = identity_one(state->scope);

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *restriction = &state->restrictions[i];
        const struct text texts[] = {restriction->rule, restriction->currency, restriction->reason,
                                     restriction->actor};
        const int64_t numbers[] = {
            (int64_t)restriction->code,  restriction->rank,
            restriction->policy,         restriction->since_ms,
            restriction->ends_ms,        restriction->has_usage,
            restriction->is_money,       (int64_t)(restriction->used >> 64),
            (int64_t)restriction->used,  (int64_t)(restriction->limit >> 64),
            (int64_t)restriction->limit, restriction->resets_ms,
        };

        print = identity_texts(print, texts, sizeof texts / sizeof texts[0]);
        print = identity_numbers(print, numbers, sizeof numbers / sizeof numbers[0]);
    }
    return print;
}
