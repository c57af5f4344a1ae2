/*
 * An index: 128-bit key -> position in somebody's array.
 *
 * Keys are seeded 128-bit hashes (core/identity.h) and stand for what was hashed: two different
 * things share one with a probability below 1e-20 for a billion things, and nobody outside can aim
 * for it without the seed.  Open addressing with linear probing and no tombstones (a removal shifts
 * what follows back), so lookups stay short for the life of the process.
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

struct table_slot {
    struct key128 key;
    uint32_t value; /* TABLE_NONE: free */
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
uint32_t table_find(const struct table *table, struct key128 key);
/* Adds or replaces; false when the limit is reached or memory is short. */
bool table_put(struct table *table, struct key128 key, uint32_t value);
void table_remove(struct table *table, struct key128 key);

/* Asks the processor for the key's slot ahead of table_find. */
static inline void
table_prefetch(const struct table *table, struct key128 key)
{
    __builtin_prefetch(&table->slots[key.low & table->mask]);
}

#endif
