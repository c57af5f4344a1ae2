/*
 * A list of member names with a small hash table over it: which of the known names is this?
 *
 * In a header because the lookup is the hot path of decoding, on both sides of the C view of JSON.
 */
#ifndef INGEST_VOCABULARY_H
#define INGEST_VOCABULARY_H

#include "core/text.h"

#define VOCABULARY_LIMIT 40 /* names */
#define VOCABULARY_SLOTS 128

struct vocabulary {
    const char *object; /* what stands before a member's name in messages: "data.usage." */
    size_t count;
    struct text names[VOCABULARY_LIMIT];
    uint8_t slots[VOCABULARY_SLOTS]; /* index of a name + 1; 0: free */
};

/* names: `count` strings, none empty, that outlive the vocabulary. */
void vocabulary_init(struct vocabulary *vocabulary, const char *object, const char *const *names,
                     size_t count);

static inline unsigned
vocabulary_hash(struct text name)
{
    const unsigned char *at = (const unsigned char *)name.at;

    return (unsigned)name.size * 5U + at[0] * 7U + at[name.size / 2] * 13U +
           at[name.size - 1] * 31U;
}

/* text_eq for names, which are short: two overlapping words instead of a call of memcmp. */
static inline bool
vocabulary_same(struct text a, struct text b)
{
    uint64_t x[4];
    const size_t size = a.size;

    if (size != b.size)
        return false;
    if (size < 8 || size > 16)
        return memcmp(a.at, b.at, size) == 0;
    memcpy(&x[0], a.at, 8);
    memcpy(&x[1], b.at, 8);
    memcpy(&x[2], a.at + size - 8, 8);
    memcpy(&x[3], b.at + size - 8, 8);
    return ((x[0] ^ x[1]) | (x[2] ^ x[3])) == 0;
}

/* The name's index, or -1. */
static inline int
vocabulary_find(const struct vocabulary *vocabulary, struct text name)
{
    unsigned slot;

    if (name.size == 0)
        return -1;
    for (slot = vocabulary_hash(name) % VOCABULARY_SLOTS; vocabulary->slots[slot] != 0;
         slot = (slot + 1) % VOCABULARY_SLOTS) {
        const int index = vocabulary->slots[slot] - 1;

        if (vocabulary_same(vocabulary->names[index], name))
            return index;
    }
    return -1;
}

#endif
