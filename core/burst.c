#include "core/burst.h"

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
    *burst = (struct burst){.swept_second = INT64_MIN};
    list_init(&burst->entries, sizeof(struct burst_entry), limit);
    list_init(&burst->rings, sizeof(struct burst_ring), limit);
    return table_init(&burst->index, 16, limit);
}

void
burst_free(struct burst *burst)
{
    table_free(&burst->index);
    list_free(&burst->entries);
    list_free(&burst->rings);
}

void
burst_clear(struct burst *burst)
{
    table_clear(&burst->index);
    list_clear(&burst->entries);
    list_clear(&burst->rings);
    burst->hand = 0;
    burst->ring_free = 0;
    burst->swept_second = INT64_MIN;
}

size_t
burst_bytes(const struct burst *burst)
{
    return burst->entries.room * burst->entries.size + burst->rings.room * burst->rings.size +
           (burst->index.mask + 1) * sizeof *burst->index.slots;
}

/* ---- the window of an entry ------------------------------------------------------------------------- */

/* Rounded down, also before 1970. */
static int64_t
second_of(int64_t at_ms)
{
    return at_ms / BURST_SLOT_MS - (at_ms % BURST_SLOT_MS < 0);
}

static uint8_t
slot_of(int64_t second)
{
    const int64_t place = second % BURST_SECONDS;

    return (uint8_t)(place < 0 ? place + BURST_SECONDS : place);
}

/* Only of an entry that has one. */
static struct burst_ring *
ring_of(const struct burst *burst, const struct burst_entry *entry)
{
    return list_at(&burst->rings, entry->ring - 1);
}

static uint64_t
count_of(const struct burst *burst, const struct burst_entry *entry)
{
    uint64_t count = 0;

    if (entry->ring != 0)
        return ring_of(burst, entry)->count;
    for (size_t i = 0; i < BURST_FEW; i++)
        count += entry->few[i].amount;
    return count;
}

static int64_t
held_until(const struct burst *burst, const struct burst_entry *entry)
{
    return entry->ring == 0 ? INT64_MIN : ring_of(burst, entry)->until_ms;
}

static uint32_t
amount_in(const struct burst *burst, const struct burst_entry *entry, uint8_t slot)
{
    if (entry->ring != 0)
        return ring_of(burst, entry)->slots[slot];
    for (size_t i = 0; i < BURST_FEW; i++)
        if (entry->few[i].amount > 0 && entry->few[i].slot == slot)
            return entry->few[i].amount;
    return 0;
}

static void
turn_few(struct burst_entry *entry, int64_t seconds)
{
    const int last = slot_of(entry->second);

    for (size_t i = 0; i < BURST_FEW; i++) {
        const int age = last - entry->few[i].slot;

        if ((age < 0 ? age + BURST_SECONDS : age) + seconds >= BURST_SECONDS)
            entry->few[i].amount = 0;
    }
}

static void
turn_ring(struct burst_ring *ring, int64_t from, int64_t to)
{
    if (to - from >= BURST_SECONDS) {
        memset(ring->slots, 0, sizeof ring->slots);
        ring->count = 0;
    }
    for (int64_t s = from + 1; s <= to && ring->count > 0; s++) {
        uint32_t *slot = &ring->slots[slot_of(s)];

        ring->count -= *slot;
        *slot = 0;
    }
}

static void
give_ring_back(struct burst *burst, struct burst_entry *entry)
{
    ring_of(burst, entry)->slots[0] = burst->ring_free;
    burst->ring_free = entry->ring;
    entry->ring = 0;
    memset(entry->few, 0, sizeof entry->few);
}

/* What has left the window is forgotten. */
static void
turn(struct burst *burst, struct burst_entry *entry, int64_t second)
{
    if (second <= entry->second)
        return;
    if (entry->ring == 0) {
        turn_few(entry, second - entry->second);
        entry->second = second;
        return;
    }
    struct burst_ring *ring = ring_of(burst, entry);

    turn_ring(ring, entry->second, second);
    entry->second = second;
    if (ring->count == 0 && ring->until_ms <= second * BURST_SLOT_MS)
        give_ring_back(burst, entry);
}

/* Gives the entry a ring, with what it has of the window; false when memory is short. */
static bool
take_ring(struct burst *burst, struct burst_entry *entry)
{
    if (entry->ring != 0)
        return true;
    const bool again = burst->ring_free != 0;
    struct burst_ring *ring =
        again ? list_at(&burst->rings, burst->ring_free - 1) : list_add(&burst->rings);

    if (ring == NULL)
        return false;
    const uint32_t place = again ? burst->ring_free : (uint32_t)burst->rings.count;

    if (again)
        burst->ring_free = ring->slots[0];
    *ring = (struct burst_ring){.count = count_of(burst, entry), .until_ms = INT64_MIN};
    for (size_t i = 0; i < BURST_FEW; i++)
        ring->slots[entry->few[i].slot] += entry->few[i].amount;
    entry->ring = place;
    return true;
}

/* False: it does not fit. */
static bool
add_few(struct burst_entry *entry, uint8_t slot, uint32_t amount)
{
    struct burst_second *found = NULL;

    for (size_t i = 0; i < BURST_FEW; i++) {
        struct burst_second *one = &entry->few[i];

        if (one->amount > 0 && one->slot == slot) {
            found = one;
            break;
        }
        if (one->amount == 0)
            found = one;
    }
    if (found == NULL || amount > (uint32_t)(UINT8_MAX - found->amount))
        return false;
    *found = (struct burst_second){slot, (uint8_t)(found->amount + amount)};
    return true;
}

/* False: memory is short. */
static bool
add_to(struct burst *burst, struct burst_entry *entry, uint8_t slot, int64_t amount)
{
    if (entry->ring == 0 && amount <= UINT8_MAX && add_few(entry, slot, (uint32_t)amount))
        return true;
    if (!take_ring(burst, entry))
        return false;
    struct burst_ring *ring = ring_of(burst, entry);
    const uint32_t room = UINT32_MAX - ring->slots[slot];
    const uint32_t more = amount < room ? (uint32_t)amount : room;

    ring->slots[slot] += more;
    ring->count += more;
    return true;
}

/* ---- who leaves -------------------------------------------------------------------------------------- */

static struct burst_entry *
entry_at(const struct burst *burst, size_t place)
{
    return list_at(&burst->entries, place);
}

static void
drop(struct burst *burst, size_t place)
{
    struct burst_entry *entry = entry_at(burst, place);
    const size_t last = --burst->entries.count;

    if (entry->ring != 0)
        give_ring_back(burst, entry);
    table_remove(&burst->index, entry->key);
    if (place == last)
        return;
    *entry = *entry_at(burst, last);
    (void)table_put(&burst->index, entry->key, (uint32_t)place);
}

/* Within one second no further window becomes empty: once in each is enough. */
static void
sweep(struct burst *burst, int64_t now_ms)
{
    const int64_t second = second_of(now_ms);

    if (burst->swept_second == second)
        return;
    burst->swept_second = second;
    for (size_t i = burst->entries.count; i-- > 0;) {
        struct burst_entry *entry = entry_at(burst, i);

        turn(burst, entry, second);
        if (count_of(burst, entry) == 0 && held_until(burst, entry) <= now_ms)
            drop(burst, i);
    }
}

static bool
evict(struct burst *burst, int64_t now_ms)
{
    const size_t count = burst->entries.count;
    size_t least = count;
    uint64_t least_count = UINT64_MAX;

    for (size_t i = 0; i < LOOK_AT && i < count; i++) {
        if (burst->hand >= count)
            burst->hand = 0;
        struct burst_entry *entry = entry_at(burst, burst->hand);

        turn(burst, entry, second_of(now_ms));
        if (held_until(burst, entry) <= now_ms && count_of(burst, entry) < least_count) {
            least_count = count_of(burst, entry);
            least = burst->hand;
        }
        burst->hand++;
    }
    if (least == count)
        return false;
    burst->evicted++;
    drop(burst, least);
    return true;
}

/* False: all are held. */
static bool
make_room(struct burst *burst, int64_t now_ms)
{
    if (burst->entries.count == burst->entries.limit)
        sweep(burst, now_ms);
    return burst->entries.count < burst->entries.limit || evict(burst, now_ms);
}

/* ---- counted ------------------------------------------------------------------------------------------ */

static struct burst_entry *
find(const struct burst *burst, struct key128 key)
{
    const uint32_t place = table_find(&burst->index, key);

    return place == TABLE_NONE ? NULL : entry_at(burst, place);
}

void
burst_foresee_place(const struct burst *burst, struct key128 key)
{
    table_prefetch(&burst->index, key);
}

void
burst_foresee(const struct burst *burst, struct key128 key)
{
    const struct burst_entry *entry = find(burst, key);

    if (entry == NULL)
        return;
    __builtin_prefetch(entry, 1);
    __builtin_prefetch((const char *)(entry + 1) - 1, 1);
}

/* NULL: there is no room. */
static struct burst_entry *
enter(struct burst *burst, struct key128 key, int64_t now_ms)
{
    struct burst_entry *entry = make_room(burst, now_ms) ? list_add(&burst->entries) : NULL;

    if (entry == NULL) {
        burst->missed++;
        return NULL;
    }
    if (!table_put(&burst->index, key, (uint32_t)burst->entries.count - 1)) {
        burst->entries.count--;
        burst->missed++;
        return NULL;
    }
    entry->key = key;
    entry->second = second_of(now_ms);
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
    turn(burst, entry, now);
    if (at <= entry->second - BURST_SECONDS)
        return 0;
    if (!add_to(burst, entry, slot_of(at), event->amount)) {
        burst->missed++;
        return 0;
    }
    *until_ms = held_until(burst, entry);
    return count_of(burst, entry);
}

uint64_t
burst_count(struct burst *burst, struct key128 key, int64_t now_ms)
{
    struct burst_entry *entry = find(burst, key);

    if (entry == NULL)
        return 0;
    turn(burst, entry, second_of(now_ms));
    return count_of(burst, entry);
}

int64_t
burst_below(struct burst *burst, struct key128 key, uint64_t limit, int64_t now_ms)
{
    const uint64_t most = limit == 0 ? 0 : limit - 1;
    uint64_t left = burst_count(burst, key, now_ms);
    const struct burst_entry *entry = find(burst, key);

    if (left <= most)
        return now_ms;
    for (int64_t s = entry->second - BURST_SECONDS + 1; s <= entry->second; s++) {
        left -= amount_in(burst, entry, slot_of(s));
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
    if (entry == NULL || (entry->ring == 0 && until_ms <= now_ms))
        return;
    if (take_ring(burst, entry))
        ring_of(burst, entry)->until_ms = until_ms;
}
