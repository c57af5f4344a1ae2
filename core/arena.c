#include "core/arena.h"

#include <stdlib.h>

/* Chunks double from the first to the largest: a tenant's arena stays small, a batch's gets few. */
enum { FIRST_CHUNK_SIZE = 1024, CHUNK_SIZE = 64 * 1024, ALIGNMENT = _Alignof(max_align_t) };

struct chunk {
    struct chunk *next;
    size_t size; /* bytes behind the header */
    size_t used;
    max_align_t at[];
};

struct arena {
    struct chunk *busy;  /* the first one is being filled */
    struct chunk *spare; /* empty, kept for the next round */
    size_t limit;
    size_t held; /* bytes of all chunks, headers included */
    size_t used;
};

struct arena *
arena_new(size_t limit)
{
    struct arena *arena = calloc(1, sizeof *arena);

    /* No object can be larger, and sums of sizes below it do not wrap. */
    if (arena != NULL)
        arena->limit = limit < PTRDIFF_MAX ? limit : PTRDIFF_MAX;
    return arena;
}

static void
chunk_release(struct arena *arena, struct chunk **list)
{
    struct chunk *chunk = *list;

    *list = chunk->next;
    arena->held -= sizeof *chunk + chunk->size;
    free(chunk);
}

void
arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->busy != NULL)
        chunk_release(arena, &arena->busy);
    while (arena->spare != NULL)
        chunk_release(arena, &arena->spare);
    free(arena);
}

void
arena_clear(struct arena *arena)
{
    while (arena->busy != NULL) {
        struct chunk *chunk = arena->busy;

        arena->busy = chunk->next;
        chunk->used = 0;
        chunk->next = arena->spare;
        arena->spare = chunk;
    }
    arena->used = 0;
}

static struct chunk *
spare_chunk(struct arena *arena, size_t size)
{
    for (struct chunk **link = &arena->spare; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;

        if (chunk->size >= size) {
            *link = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

static struct chunk *
new_chunk(struct arena *arena, size_t size)
{
    /* No spare chunk is big enough: without giving small ones back, a round of many small pieces
     * would leave no room for one big piece for ever. */
    while (arena->spare != NULL && arena->limit - arena->held < sizeof(struct chunk) + size)
        chunk_release(arena, &arena->spare);

    size_t room = arena->limit - arena->held;

    if (room < sizeof(struct chunk) + size)
        return NULL;
    room -= sizeof(struct chunk);
    size_t usual = arena->held < FIRST_CHUNK_SIZE ? FIRST_CHUNK_SIZE : arena->held;

    if (usual > CHUNK_SIZE)
        usual = CHUNK_SIZE;
    if (usual < size)
        usual = size;
    if (room > usual)
        room = usual;

    struct chunk *chunk = malloc(sizeof *chunk + room);

    if (chunk == NULL)
        return NULL;
    chunk->size = room;
    chunk->used = 0;
    arena->held += sizeof *chunk + room;
    return chunk;
}

void *
arena_take(struct arena *arena, size_t size)
{
    if (size > arena->limit)
        return NULL;
    /* An empty piece has an address of its own, too. */
    const size_t need = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    if (arena->busy == NULL || arena->busy->size - arena->busy->used < need) {
        struct chunk *chunk = spare_chunk(arena, need);

        if (chunk == NULL)
            chunk = new_chunk(arena, need);
        if (chunk == NULL)
            return NULL;
        chunk->next = arena->busy;
        arena->busy = chunk;
    }
    char *piece = (char *)arena->busy->at + arena->busy->used;

    arena->busy->used += need;
    arena->used += need;
    memset(piece, 0, need);
    return piece;
}

struct text
arena_text(struct arena *arena, struct text from)
{
    if (from.at == NULL)
        return from;
    char *copy = arena_take(arena, from.size + 1);

    if (copy == NULL)
        return (struct text){NULL, 0};
    memcpy(copy, from.at, from.size);
    return (struct text){copy, from.size};
}

size_t
arena_used(const struct arena *arena)
{
    return arena->used;
}
