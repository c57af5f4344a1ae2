/*
 * Requests of the last 60 seconds, of many keys at once: a table of a fixed size.
 *
 * A key (a hash that stands for an API key, a tenant, an address, a feature) has 60 slots of a
 * second.  The running second and the 59 before it are the window: what came at 10:00:00.9 counts
 * until 10:00:59.999 and is gone at 10:01:00.  Seconds are of record time; what is older than the
 * window when it comes counts nothing.
 *
 * Memory: an entry is 48 bytes while its requests lie in at most BURST_FEW seconds of the window, which
 * is nearly always; a key with more, and one that is held, has a ring of all 60 beside it, 256 bytes,
 * until its window is empty.  There are never more than `limit` entries; both are made when they are
 * needed.  While there is room the counts are exact.  When all are taken, those whose window is empty
 * leave first; then, for each newcomer, the one with the fewest requests among the next few
 * in turn, so that a spray of addresses with a request each pushes out its own kind and not the one
 * that hammers.  A key that is held (throttled now) never leaves; when only such are met, the
 * newcomer is not counted.
 */
#ifndef CORE_BURST_H
#define CORE_BURST_H

#include "core/list.h"
#include "core/table.h"
#include "core/text.h"

#define BURST_SECONDS   60
#define BURST_SLOT_MS   INT64_C(1000)
#define BURST_WINDOW_MS (BURST_SECONDS * BURST_SLOT_MS)

/* What can have a limit of its own. */
enum burst_scope { BURST_KEY, BURST_TENANT, BURST_IP, BURST_FEATURE, BURST_SCOPE_COUNT };
extern const char *const burst_names[BURST_SCOPE_COUNT]; /* "key", ...: also the kind of scope */
extern const char *const burst_rules[BURST_SCOPE_COUNT]; /* "burst/key", ...: as in alerts */
/* Which rule has this name; false: none. */
bool burst_named(struct text rule, enum burst_scope *out);

#define BURST_FEW 10

/* A second of the window, and what came in it. */
struct burst_second {
    uint8_t slot;   /* as in a ring */
    uint8_t amount; /* 0: free */
};

struct burst_entry {
    struct key128 key;
    int64_t second; /* the last of the window, as far as it was turned */
    uint32_t ring;  /* 1 + place in rings, which then has the window; 0: `few` has it */
    struct burst_second few[BURST_FEW];
};

struct burst_ring {
    uint64_t count;   /* sum of the slots */
    int64_t until_ms; /* held until then */
    uint32_t slots[BURST_SECONDS];
};

struct burst {
    struct table index;  /* key -> place in entries */
    struct list entries; /* struct burst_entry */
    struct list rings; /* struct burst_ring: those that were ever given out, no more than entries */
    uint32_t
        ring_free; /* 1 + the first that was given back, whose slots[0] names the next; 0: none */
    size_t hand;   /* where the search for one that may leave goes on */
    int64_t swept_second; /* in which those with an empty window left last */
    int64_t evicted;      /* left with a window that was not empty */
    int64_t missed;       /* newcomers that were not counted, and what no ring could be had for */
};

/* False when memory is short. */
bool burst_init(struct burst *burst, size_t limit);
void burst_free(struct burst *burst);
/* Forgets every key, keeps the memory and the two numbers above. */
void burst_clear(struct burst *burst);
size_t burst_bytes(const struct burst *burst);

struct burst_event {
    struct key128 key;
    int64_t at_ms;  /* record time */
    int64_t now_ms; /* of the window's end: never falls */
    int64_t amount;
};
/* What the window holds with this event; 0: it counts nothing. *until_ms: how long its key is held,
 * as far as it is. */
uint64_t burst_add(struct burst *burst, const struct burst_event *event, int64_t *until_ms);
/* Asks for the memory that a key will need: first where its entry stands, then, some events later, the
 * entry. */
void burst_foresee_place(const struct burst *burst, struct key128 key);
void burst_foresee(const struct burst *burst, struct key128 key);
uint64_t burst_count(struct burst *burst, struct key128 key, int64_t now_ms);
/* When fewer than `limit` requests will be in the window if no more come (a limit of 0 is taken as
 * 1); now, when that is so already. */
int64_t burst_below(struct burst *burst, struct key128 key, uint64_t limit, int64_t now_ms);
/* Not to leave the table until then; it is entered when it is not there and there is room. */
void burst_hold(struct burst *burst, struct key128 key, int64_t until_ms, int64_t now_ms);

#endif
