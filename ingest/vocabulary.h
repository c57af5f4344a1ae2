/*
 * A list of member names with a perfect hash over it: which of the known names is this?
 *
 * A name is known by its size and by words of its bytes that overlap where it is short, which say
 * all of it up to VOCABULARY_NAME_LIMIT bytes.  A lookup is one multiplication, two loads and a
 * comparison.  In a header because it is the hot path of decoding.
 */
#ifndef INGEST_VOCABULARY_H
#define INGEST_VOCABULARY_H

#include "core/text.h"

#define VOCABULARY_LIMIT      40 /* names */
#define VOCABULARY_NAME_LIMIT 24 /* bytes of a name */
#define VOCABULARY_SLOT_BITS  7

struct vocabulary_key {
    uint64_t first;
    uint64_t last;
    uint64_t middle; /* of names above 16 bytes */
    uint64_t size;   /* 0: of no name */
};

struct vocabulary {
    const char *object; /* what stands before a member's name in messages: "data.usage." */
    size_t count;
    uint64_t multiplier; /* with which no two names share a slot */
    struct text names[VOCABULARY_LIMIT];
    struct vocabulary_key known[1 + VOCABULARY_LIMIT]; /* names[i] is known[i + 1] */
    uint8_t slots[1 << VOCABULARY_SLOT_BITS];          /* index into known; 0: free */
};

/* names: `count` strings of 1 to VOCABULARY_NAME_LIMIT bytes that outlive the vocabulary, all
 * different. */
void vocabulary_init(struct vocabulary *vocabulary, const char *object, const char *const *names,
                     size_t count);

static inline uint64_t
vocabulary_word(const char *at, size_t size)
{
    uint64_t word = 0;

    memcpy(&word, at, size);
    return word;
}

/* A name of 1 to VOCABULARY_NAME_LIMIT bytes. */
static inline struct vocabulary_key
vocabulary_key_of(struct text name)
{
    const char *at = name.at;
    struct vocabulary_key out = {0, 0, 0, name.size};

    if (name.size >= 8) {
        out.first = vocabulary_word(at, 8);
        out.last = vocabulary_word(at + name.size - 8, 8);
        if (name.size > 16)
            out.middle = vocabulary_word(at + 8, 8);
    } else if (name.size >= 4) {
        out.first = vocabulary_word(at, 4);
        out.last = vocabulary_word(at + name.size - 4, 4);
    } else {
        out.first = vocabulary_word(at, 1);
        out.middle = vocabulary_word(at + name.size / 2, 1);
        out.last = vocabulary_word(at + name.size - 1, 1);
    }
    return out;
}

static inline size_t
vocabulary_slot(const struct vocabulary *vocabulary, const struct vocabulary_key *key)
{
    const uint64_t mixed = key->first ^ (key->last << 7) ^ key->middle ^ key->size;

    return (size_t)((mixed * vocabulary->multiplier) >> (64 - VOCABULARY_SLOT_BITS));
}

/* The name's index, or -1. */
static inline int
vocabulary_find(const struct vocabulary *vocabulary, struct text name)
{
    if (name.size == 0 || name.size > VOCABULARY_NAME_LIMIT)
        return -1;
    const struct vocabulary_key asked = vocabulary_key_of(name);
    const unsigned index = vocabulary->slots[vocabulary_slot(vocabulary, &asked)];
    const struct vocabulary_key *known = &vocabulary->known[index];

    if (((known->first ^ asked.first) | (known->last ^ asked.last) |
         (known->middle ^ asked.middle) | (known->size ^ asked.size)) != 0)
        return -1;
    return (int)index - 1;
}

#endif
