#include "core/burst.h"

#include <stdlib.h>
#include <string.h>

/* How many are looked at for one that may leave: enough that a key with some requests is all but
 * never the least of them, few enough for every event of a spray. */
#define LOOK_AT 32

const char *const burst_names[BURST_SCOPE_COUNT] = {
    [BURST_KEY] = "key",
    [BURST_TENANT] = "tenant",
    [BURST_IP] = "ip",
    [BURST_FEATURE] = "feature",
};

const char *const burst_rules[BURST_SCOPE_COUNT] = {
    [BURST_KEY] = "burst/key",
    [BURST_TENANT] = "burst/tenant",
    [BURST_IP] = "burst/ip",
    [BURST_FEATURE] = "burst/feature",
};

bool
burst_named(struct text rule, enum burst_scope *out)
{
    for (size_t s = 0; s < BURST_SCOPE_COUNT; s++)
        if (text_eq(rule, text_of(burst_rules[s]))) {
            *out = (enum burst_scope)s;
            return true;
        }
    return false;
}

bool
burst_init(struct burst *burst, size_t limit)
{
    *burst = (struct burst){.limit = limit, .swept_second = INT64_MIN};
    return table_init(&burst->index, 16, limit);
}

void
burst_free(struct burst *burst)
{
    table_free(&burst->index);
    free(burst->entries);
    burst->entries = NULL;
    burst->count = burst->room = 0;
}

void
burst_clear(struct burst *burst)
{
    table_clear(&burst->index);
    burst->count = burst->hand = 0;
    burst->swept_second = INT64_MIN;
}

size_t
burst_bytes(const struct burst *burst)
{
    return burst->room * sizeof *burst->entries +
           (burst->index.mask + 1) * sizeof *burst->index.slots;
}

/* Rounded down, also before 1970. */
static int64_t
second_of(int64_t at_ms)
{
    return at_ms / BURST_SLOT_MS - (at_ms % BURST_SLOT_MS < 0);
}

static uint32_t *
slot_of(struct burst_entry *entry, int64_t second)
{
    const int64_t place = second % BURST_SECONDS;

    return &entry->slots[place < 0 ? place + BURST_SECONDS : place];
}

/* What has left the window is forgotten. */
static void
turn(struct burst_entry *entry, int64_t second)
{
    if (second <= entry->second)
        return;
    if (second - entry->second >= BURST_SECONDS) {
        memset(entry->slots, 0, sizeof entry->slots);
        entry->count = 0;
    }
    for (int64_t s = entry->second + 1; s <= second && entry->count > 0; s++) {
        uint32_t *slot = slot_of(entry, s);

        entry->count -= *slot;
        *slot = 0;
    }
    entry->second = second;
}

/* ---- who leaves -------------------------------------------------------------------------------------- */

static void
drop(struct burst *burst, size_t place)
{
    const size_t last = --burst->count;

    table_remove(&burst->index, burst->entries[place].key);
    if (place == last)
        return;
    burst->entries[place] = burst->entries[last];
    (void)table_put(&burst->index, burst->entries[place].key, (uint32_t)place);
}

/* Within one second no further window becomes empty: once in each is enough. */
static void
sweep(struct burst *burst, int64_t now_ms)
{
    const int64_t second = second_of(now_ms);

    if (burst->swept_second == second)
        return;
    burst->swept_second = second;
    for (size_t i = burst->count; i-- > 0;) {
        turn(&burst->entries[i], second);
        if (burst->entries[i].count == 0 && burst->entries[i].until_ms <= now_ms)
            drop(burst, i);
    }
}

static bool
evict(struct burst *burst, int64_t now_ms)
{
    size_t least = burst->count;

    for (size_t i = 0; i < LOOK_AT && i < burst->count; i++) {
        if (burst->hand >= burst->count)
            burst->hand = 0;
        struct burst_entry *entry = &burst->entries[burst->hand];

        turn(entry, second_of(now_ms));
        if (entry->until_ms <= now_ms &&
            (least == burst->count || entry->count < burst->entries[least].count))
            least = burst->hand;
        burst->hand++;
    }
    if (least == burst->count)
        return false;
    burst->evicted++;
    drop(burst, least);
    return true;
}

static bool
make_room(struct burst *burst, int64_t now_ms)
{
    if (burst->count == burst->limit && burst->entries != NULL)
        sweep(burst, now_ms);
    if (burst->count == burst->limit)
        return burst->entries != NULL && evict(burst, now_ms);
    if (burst->count < burst->room)
        return true;
    size_t room = burst->room == 0 ? 64 : burst->room * 2;

    if (room > burst->limit)
        room = burst->limit;
    struct burst_entry *entries = realloc(burst->entries, room * sizeof *entries);

    if (entries == NULL)
        return false;
    burst->entries = entries;
    burst->room = room;
    return true;
}

/* ---- counted ------------------------------------------------------------------------------------------ */

static struct burst_entry *
find(const struct burst *burst, struct key128 key)
{
    const uint32_t place = table_find(&burst->index, key);

    return place == TABLE_NONE ? NULL : &burst->entries[place];
}

/* NULL: there is no room. */
static struct burst_entry *
enter(struct burst *burst, struct key128 key, int64_t now_ms)
{
    if (!make_room(burst, now_ms) || !table_put(&burst->index, key, (uint32_t)burst->count)) {
        burst->missed++;
        return NULL;
    }
    struct burst_entry *entry = &burst->entries[burst->count++];

    *entry = (struct burst_entry){.key = key, .second = second_of(now_ms), .until_ms = INT64_MIN};
    return entry;
}

uint64_t
burst_add(struct burst *burst, const struct burst_event *event, int64_t *until_ms)
{
    const int64_t now = second_of(event->now_ms);
    const int64_t at = second_of(event->at_ms);
    struct burst_entry *entry = find(burst, event->key);

    *until_ms = INT64_MIN;
    if (event->amount <= 0 || at > now)
        return 0;
    if (entry == NULL && at > now - BURST_SECONDS)
        entry = enter(burst, event->key, event->now_ms);
    if (entry == NULL)
        return 0;
    turn(entry, now);
    if (at <= entry->second - BURST_SECONDS)
        return 0;
    uint32_t *slot = slot_of(entry, at);
    const uint32_t room = UINT32_MAX - *slot;
    const uint32_t amount = event->amount < room ? (uint32_t)event->amount : room;

    *slot += amount;
    entry->count += amount;
    *until_ms = entry->until_ms;
    return entry->count;
}

uint64_t
burst_count(struct burst *burst, struct key128 key, int64_t now_ms)
{
    struct burst_entry *entry = find(burst, key);

    if (entry == NULL)
        return 0;
    turn(entry, second_of(now_ms));
    return entry->count;
}

int64_t
burst_below(struct burst *burst, struct key128 key, uint64_t limit, int64_t now_ms)
{
    const uint64_t most = limit == 0 ? 0 : limit - 1;
    uint64_t left = burst_count(burst, key, now_ms);
    struct burst_entry *entry = find(burst, key);

    if (left <= most)
        return now_ms;
    for (int64_t s = entry->second - BURST_SECONDS + 1; s <= entry->second; s++) {
        left -= *slot_of(entry, s);
        if (left <= most)
            return (s + BURST_SECONDS) * BURST_SLOT_MS;
    }
    return now_ms;
}

void
burst_hold(struct burst *burst, struct key128 key, int64_t until_ms, int64_t now_ms)
{
    struct burst_entry *entry = find(burst, key);

    if (entry == NULL && until_ms > now_ms)
        entry = enter(burst, key, now_ms);
    if (entry != NULL)
        entry->until_ms = until_ms;
}
