/*
 * An index: 128-bit key -> position in somebody's array.
 *
 * Keys are seeded 128-bit hashes (core/identity.h) and stand for what was hashed; 96 bits of them
 * are compared, so that four slots fill a cache line.  Among ten million keys of one table two that
 * differ are taken for one with a probability below 1e-14, and nobody outside can aim for it without
 * the seed.  Open addressing with linear probing and no tombstones (a removal shifts what follows
 * back), so lookups stay short for the life of the process.
 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key128 {
    uint64_t low;
    uint64_t high;
};

#define TABLE_NONE UINT32_MAX
#define TABLE_LINE 64 /* bytes of a cache line */

struct table_slot {
    uint64_t high;   /* of the key */
    uint32_t middle; /* upper half of key.low: also says where the slot would like to be */
    uint32_t value;  /* TABLE_NONE: free */
};

struct table {
    struct table_slot *slots;
    size_t mask;  /* number of slots - 1; a power of two */
    size_t count; /* at most 3/4 of the slots */
    size_t limit; /* keys it may hold */
};

/* Room for `expected` keys without growing; false when memory is short. */
bool table_init(struct table *table, size_t expected, size_t limit);
void table_free(struct table *table);
/* Forgets every key, keeps the memory. */
void table_clear(struct table *table);

/* TABLE_NONE when the key is not there. */
static inline uint32_t table_find(const struct table *table, struct key128 key);
/* Adds or replaces; false when the limit is reached or memory is short. */
bool table_put(struct table *table, struct key128 key, uint32_t value);
void table_remove(struct table *table, struct key128 key);

/* ---- inside -------------------------------------------------------------------------------------- */

/* The first slot of a cache line: nearly every search ends in the line it begins in. */
static inline size_t
table_home(const struct table *table, uint32_t middle)
{
    return middle & table->mask & ~(size_t)(TABLE_LINE / sizeof(struct table_slot) - 1);
}

/* The slot that holds the key, or the free one where it would go. */
static inline size_t
table_place(const struct table *table, struct key128 key)
{
    const uint32_t middle = (uint32_t)(key.low >> 32);
    size_t at = table_home(table, middle);

    while (table->slots[at].value != TABLE_NONE &&
           (table->slots[at].high != key.high || table->slots[at].middle != middle))
        at = (at + 1) & table->mask;
    return at;
}

static inline uint32_t
table_find(const struct table *table, struct key128 key)
{
    return table->slots[table_place(table, key)].value;
}

/* Asks the processor for the key's slot ahead of table_find. */
static inline void
table_prefetch(const struct table *table, struct key128 key)
{
    __builtin_prefetch(&table->slots[table_home(table, (uint32_t)(key.low >> 32))]);
}

#endif
