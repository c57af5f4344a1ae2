/*
 * The wanted states of scopes, each with the one moment at which the publisher looks at it next.
 *
 * An index finds an entry by its scope; a heap finds the entry that is due first.  States are kept
 * packed: one allocation that is as long as its restrictions and texts need.  Times here are
 * steady ms (they never jump).  No lock: the publisher's guards it.
 */
#ifndef SINKS_CONTROL_SCOPES_H
#define SINKS_CONTROL_SCOPES_H

#include "core/decision.h"
#include "core/list.h"
#include "core/table.h"

#define SCOPES_LIMIT ((size_t)1 << 20)
#define SCOPE_NEVER  INT64_MAX

struct packed_state;

struct scope_entry {
    struct packed_state *state;
    struct key128 key;
    size_t index;       /* in scopes.entries */
    size_t in_heap;     /* position + 1; 0: not in the heap */
    int64_t due_ms;     /* SCOPE_NEVER: not in the heap */
    int64_t allowed_ms; /* when it became allow; meaningless while restricted */
    /* What was written last. */
    int64_t seq;         /* 0: nothing yet */
    struct key128 print; /* of its restrictions */
    enum outcome outcome;
    int64_t written_ms;
    int64_t renew_ms; /* SCOPE_NEVER: its expiry is final */
    int32_t partition;
    int64_t offset; /* -1: not acknowledged yet, or not told */
    bool seen;      /* read back from the topic */
    bool timed;     /* an event caused what is wanted, and it is not acknowledged yet */
    bool tombstone; /* it was one: the entry goes when that is acknowledged */
    /* What is to be done. */
    bool dirty;   /* the state may differ from what was written */
    bool force;   /* write although nothing changed */
    bool adopted; /* nobody here wants it: an allow found on the topic, to be cleared away */
};

struct scopes {
    struct table index;        /* hash of the scope -> entries */
    struct list entries;       /* struct scope_entry * */
    struct scope_entry **heap; /* the earliest due_ms first */
    size_t heap_count;
    size_t heap_room; /* at least as much as entries has */
};

bool scopes_init(struct scopes *scopes, size_t limit);
void scopes_free(struct scopes *scopes);

/* NULL when there is none. */
struct scope_entry *scopes_find(const struct scopes *scopes, struct text scope);
/* The scope's entry with a copy of this state; a new one when there was none (seq is then 0).
 * NULL when the limit is reached or memory is short: nothing has changed then. */
struct scope_entry *scopes_put(struct scopes *scopes, const struct scope_state *state);
void scopes_remove(struct scopes *scopes, struct scope_entry *entry);

void scopes_due(struct scopes *scopes, struct scope_entry *entry, int64_t due_ms);
/* The entry that is due first, NULL when none ever is. */
struct scope_entry *scopes_first(const struct scopes *scopes);

static inline size_t
scopes_count(const struct scopes *scopes)
{
    return scopes->entries.count;
}
static inline struct scope_entry *
scopes_at(const struct scopes *scopes, size_t index)
{
    return *(struct scope_entry **)list_at(&scopes->entries, index);
}

/* The state, its texts in the entry. */
void scope_entry_state(const struct scope_entry *entry, struct scope_state *out);
struct text scope_entry_name(const struct scope_entry *entry);
int32_t scope_entry_shard(const struct scope_entry *entry);
/* How many restrictions its state has. */
size_t scope_entry_count(const struct scope_entry *entry);

/* Equal for states that mean the same to a gateway: every member of every restriction. */
struct key128 scope_print(const struct scope_state *state);

#endif
