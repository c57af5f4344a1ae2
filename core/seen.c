#include "core/seen.h"

#include <stdlib.h>

struct seen {
    int64_t window_ms;
    int64_t records;
    struct occurrence *ring;
    size_t room; /* a power of two */
    size_t head; /* count of all ever put; the place of the next is head & (room - 1) */
    size_t tail; /* of the oldest still remembered */
    struct table index;
    int64_t shortened;
};

#define SEEN_FIRST_ROOM 1024
#define SEEN_MOST_ROOM  ((size_t)1 << 31)

struct seen *
seen_new(int64_t window_ms, int64_t records)
{
    struct seen *seen = calloc(1, sizeof *seen);

    if (seen == NULL)
        return NULL;
    seen->window_ms = window_ms;
    seen->records = records;
    seen->room = SEEN_FIRST_ROOM;
    seen->ring = malloc(seen->room * sizeof *seen->ring);
    if (seen->ring == NULL || !table_init(&seen->index, SEEN_FIRST_ROOM, TABLE_NONE - 1)) {
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
    table_free(&seen->index);
    free(seen->ring);
    free(seen);
}

void
seen_clear(struct seen *seen)
{
    table_clear(&seen->index);
    seen->head = seen->tail = 0;
}

static struct occurrence *
at(const struct seen *seen, size_t number)
{
    return &seen->ring[number & (seen->room - 1)];
}

/* What the index says of an occurrence: its number, as far as the largest ring tells numbers apart. */
static uint32_t
mark(size_t number)
{
    return (uint32_t)(number & (SEEN_MOST_ROOM - 1));
}

static bool
inside(const struct seen *seen, const struct occurrence *then, const struct occurrence *now)
{
    return now->time_ms - then->time_ms < seen->window_ms &&
           now->offset - then->offset < seen->records;
}

void
seen_foresee(const struct seen *seen, struct key128 identity)
{
    enum { LEAVING = 8 }; /* as many occurrences leave as come, in order */

    table_prefetch(&seen->index, identity);
    if (seen->head - seen->tail > LEAVING)
        table_prefetch(&seen->index, at(seen, seen->tail + LEAVING)->identity);
}

enum seen_answer
seen_ask(const struct seen *seen, const struct occurrence *occurrence)
{
    const uint32_t last = table_find(&seen->index, occurrence->identity);

    if (last == TABLE_NONE || !inside(seen, at(seen, last), occurrence))
        return SEEN_NEW;
    return at(seen, last)->content == occurrence->content ? SEEN_DUPLICATE : SEEN_CONFLICT;
}

/* The oldest occurrence leaves; its identity too unless it occurred again since. */
static void
drop_oldest(struct seen *seen)
{
    const struct key128 identity = at(seen, seen->tail)->identity;

    if (table_find(&seen->index, identity) == mark(seen->tail))
        table_remove(&seen->index, identity);
    seen->tail++;
}

/* Half of the occurrences move to the new half: the index, which knows numbers, stays as it is. */
static bool
grow(struct seen *seen)
{
    const size_t room = seen->room;

    if (room == SEEN_MOST_ROOM)
        return false;
    struct occurrence *ring = realloc(seen->ring, 2 * room * sizeof *ring);

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
    while (seen->tail < seen->head && !inside(seen, at(seen, seen->tail), occurrence)) {
        if (occurrence->time_ms - at(seen, seen->tail)->time_ms < seen->window_ms)
            seen->shortened++;
        drop_oldest(seen);
    }
    if (seen->head - seen->tail == seen->room && !grow(seen))
        return false;
    if (!table_put(&seen->index, occurrence->identity, mark(seen->head)))
        return false;
    *at(seen, seen->head++) = *occurrence;
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
    return seen->room * sizeof *seen->ring + (seen->index.mask + 1) * sizeof *seen->index.slots;
}
