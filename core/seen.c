#include "core/seen.h"

#include <stdlib.h>

/* An occurrence as it is kept: of the identity as much as a table keeps of a key (core/table.h). */
struct kept {
    uint64_t high;
    int64_t offset;
    int64_t time_ms;
    uint32_t middle;
    uint32_t content;
};

/* Of an occurrence only its place in the ring and enough of its identity to say where the slot would
 * like to be: eight slots fill a cache line. What is found is compared in the ring. */
struct seen_slot {
    uint32_t middle; /* upper half of identity.low */
    uint32_t mark;   /* number of the occurrence; FREE: none */
};

enum { LINE_SLOTS = TABLE_LINE / sizeof(struct seen_slot) };
#define FREE UINT32_MAX

struct seen {
    int64_t window_ms;
    int64_t records;
    struct kept *ring;
    size_t room; /* a power of two */
    size_t head; /* count of all ever put; the place of the next is head & (room - 1) */
    size_t tail; /* of the oldest still remembered */
    struct seen_slot *slots;
    size_t mask;  /* number of slots - 1; a power of two */
    size_t count; /* of slots in use: at most 3/4 of them */
    int64_t shortened;
};

#define SEEN_FIRST_ROOM 1024
#define SEEN_MOST_ROOM  ((size_t)1 << 31)

static struct seen_slot *
slots_new(size_t count)
{
    struct seen_slot *slots = aligned_alloc(TABLE_LINE, count * sizeof *slots);

    for (size_t i = 0; slots != NULL && i < count; i++)
        slots[i].mark = FREE;
    return slots;
}

struct seen *
seen_new(int64_t window_ms, int64_t records)
{
    struct seen *seen = calloc(1, sizeof *seen);

    if (seen == NULL)
        return NULL;
    seen->window_ms = window_ms;
    seen->records = records;
    seen->room = SEEN_FIRST_ROOM;
    seen->mask = 2 * SEEN_FIRST_ROOM - 1;
    seen->ring = malloc(seen->room * sizeof *seen->ring);
    seen->slots = slots_new(seen->mask + 1);
    if (seen->ring == NULL || seen->slots == NULL) {
        seen_free(seen);
        return NULL;
    }
    return seen;
}

void
seen_free(struct seen *seen)
{
    if (seen == NULL)
        return;
    free(seen->slots);
    free(seen->ring);
    free(seen);
}

void
seen_clear(struct seen *seen)
{
    for (size_t i = 0; i <= seen->mask; i++)
        seen->slots[i].mark = FREE;
    seen->count = 0;
    seen->head = seen->tail = 0;
}

static struct kept *
at(const struct seen *seen, size_t number)
{
    return &seen->ring[number & (seen->room - 1)];
}

/* The number of an occurrence, as far as the largest ring tells numbers apart. */
static uint32_t
mark(size_t number)
{
    return (uint32_t)(number & (SEEN_MOST_ROOM - 1));
}

static uint32_t
middle_of(struct key128 identity)
{
    return (uint32_t)(identity.low >> 32);
}

/* ---- the index ----------------------------------------------------------------------------------- */

/* The first slot of a cache line, as in core/table.h. */
static size_t
home(const struct seen *seen, uint32_t middle)
{
    return middle & seen->mask & ~(size_t)(LINE_SLOTS - 1);
}

/* The slot of the identity, or the free one where it would go. */
static struct seen_slot *
slot_of(const struct seen *seen, uint64_t high, uint32_t middle)
{
    size_t place = home(seen, middle);

    while (seen->slots[place].mark != FREE &&
           (seen->slots[place].middle != middle || at(seen, seen->slots[place].mark)->high != high))
        place = (place + 1) & seen->mask;
    return &seen->slots[place];
}

/* The slot that knows this very occurrence; NULL: its identity occurred again since. */
static struct seen_slot *
slot_marked(const struct seen *seen, size_t number)
{
    size_t place = home(seen, at(seen, number)->middle);

    while (seen->slots[place].mark != FREE && seen->slots[place].mark != mark(number))
        place = (place + 1) & seen->mask;
    return seen->slots[place].mark == FREE ? NULL : &seen->slots[place];
}

/* Whoever stands behind the hole and could stand in it or before it moves up. */
static void
close_hole(struct seen *seen, size_t hole)
{
    for (size_t place = (hole + 1) & seen->mask; seen->slots[place].mark != FREE;
         place = (place + 1) & seen->mask) {
        const size_t wanted = home(seen, seen->slots[place].middle);

        if (((place - wanted) & seen->mask) >= ((place - hole) & seen->mask)) {
            seen->slots[hole] = seen->slots[place];
            hole = place;
        }
    }
    seen->slots[hole].mark = FREE;
    seen->count--;
}

/* No two identities are the same: each goes to the first free place. */
static bool
grow_index(struct seen *seen)
{
    struct seen bigger = {.mask = 2 * seen->mask + 1};

    bigger.slots = slots_new(bigger.mask + 1);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i <= seen->mask; i++)
        if (seen->slots[i].mark != FREE) {
            size_t place = home(&bigger, seen->slots[i].middle);

            while (bigger.slots[place].mark != FREE)
                place = (place + 1) & bigger.mask;
            bigger.slots[place] = seen->slots[i];
        }
    free(seen->slots);
    seen->slots = bigger.slots;
    seen->mask = bigger.mask;
    return true;
}

/* ---- the window ---------------------------------------------------------------------------------- */

static bool
inside(const struct seen *seen, const struct kept *then, const struct occurrence *now)
{
    return now->time_ms - then->time_ms < seen->window_ms &&
           now->offset - then->offset < seen->records;
}

void
seen_foresee(const struct seen *seen, struct key128 identity)
{
    enum { LEAVING = 8 }; /* as many occurrences leave as come, in order */

    __builtin_prefetch(&seen->slots[home(seen, middle_of(identity))]);
    if (seen->head - seen->tail > LEAVING)
        __builtin_prefetch(&seen->slots[home(seen, at(seen, seen->tail + LEAVING)->middle)]);
}

enum seen_answer
seen_ask(const struct seen *seen, const struct occurrence *occurrence)
{
    const struct seen_slot *slot =
        slot_of(seen, occurrence->identity.high, middle_of(occurrence->identity));

    if (slot->mark == FREE || !inside(seen, at(seen, slot->mark), occurrence))
        return SEEN_NEW;
    return at(seen, slot->mark)->content == occurrence->content ? SEEN_DUPLICATE : SEEN_CONFLICT;
}

/* The oldest occurrence leaves; its identity too unless it occurred again since. */
static void
drop_oldest(struct seen *seen)
{
    const struct seen_slot *slot = slot_marked(seen, seen->tail);

    if (slot != NULL)
        close_hole(seen, (size_t)(slot - seen->slots));
    seen->tail++;
}

/* Half of the occurrences move to the new half: the index, which knows numbers, stays as it is. */
static bool
grow_ring(struct seen *seen)
{
    const size_t room = seen->room;

    if (room == SEEN_MOST_ROOM)
        return false;
    struct kept *ring = realloc(seen->ring, 2 * room * sizeof *ring);

    if (ring == NULL)
        return false;
    for (size_t i = seen->tail; i < seen->head; i++)
        if ((i & room) != 0)
            ring[i & (2 * room - 1)] = ring[i & (room - 1)];
    seen->ring = ring;
    seen->room = 2 * room;
    return true;
}

bool
seen_remember(struct seen *seen, const struct occurrence *occurrence)
{
    const uint32_t middle = middle_of(occurrence->identity);

    while (seen->tail < seen->head && !inside(seen, at(seen, seen->tail), occurrence)) {
        if (occurrence->time_ms - at(seen, seen->tail)->time_ms < seen->window_ms)
            seen->shortened++;
        drop_oldest(seen);
    }
    if (seen->head - seen->tail == seen->room && !grow_ring(seen))
        return false;
    if (seen->count + 1 > (seen->mask + 1) / 4 * 3 && !grow_index(seen))
        return false;
    struct seen_slot *slot = slot_of(seen, occurrence->identity.high, middle);

    seen->count += slot->mark == FREE;
    *slot = (struct seen_slot){.middle = middle, .mark = mark(seen->head)};
    *at(seen, seen->head++) = (struct kept){.high = occurrence->identity.high,
                                            .offset = occurrence->offset,
                                            .time_ms = occurrence->time_ms,
                                            .middle = middle,
                                            .content = occurrence->content};
    return true;
}

int64_t
seen_shortened(const struct seen *seen)
{
    return seen->shortened;
}

size_t
seen_bytes(const struct seen *seen)
{
    return seen->room * sizeof *seen->ring + (seen->mask + 1) * sizeof *seen->slots;
}
