/*
 * Memory that is given back all at once.
 *
 * A batch or a settlement takes what it needs piece by piece and is emptied in one step; chunks
 * are kept for the next round, so that a warm arena allocates nothing.  The limit is given at
 * creation: a full arena answers NULL and its owner decides what that means (back-pressure).
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/text.h"

struct arena;

/* limit: bytes this arena may hold in all, chunks included. NULL when memory is short. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *arena);
/* Forgets everything taken, keeps the chunks. */
void arena_clear(struct arena *arena);

/* Zeroed memory aligned for any object, or NULL when the limit is reached. */
void *arena_take(struct arena *arena, size_t size);
/* Copies with a NUL behind (not counted in .size); absent stays absent; .at NULL on a full arena
 * for a present text. */
struct text arena_text(struct arena *arena, struct text from);
/* Replaces a text by its copy in the arena: what a deep copy does to each of its texts. */
static inline bool
arena_keep(struct arena *arena, struct text *text)
{
    const bool present = text->at != NULL;

    *text = arena_text(arena, *text);
    return !present || text->at != NULL;
}

/* Bytes taken since the last clear. */
size_t arena_used(const struct arena *arena);

#endif
