/*
 * A list of names with a perfect hash over it: which of the known names is this?
 *
 * A name is known by its size and by words of its bytes that overlap where it is short, which say
 * all of it up to VOCABULARY_NAME_LIMIT bytes.  A lookup is one multiplication, two loads and a
 * comparison.  Whether a certain name stands in JSON as a member's name is a masked comparison of
 * 24 bytes, without any search for where it ends.  In a header because both are the hot path of
 * decoding.
 */
#ifndef INGEST_VOCABULARY_H
#define INGEST_VOCABULARY_H

#include "core/text.h"

#define VOCABULARY_LIMIT      80 /* names */
#define VOCABULARY_NAME_LIMIT 21 /* bytes of a name */
#define VOCABULARY_SLOT_BITS  9

struct vocabulary_key {
    uint64_t first;
    uint64_t last;
    uint64_t middle; /* of names above 16 bytes, and below 4 */
    uint64_t size;   /* 0: of no name */
};

/* `"name":`, in a cache line of its own. */
struct vocabulary_token {
    uint64_t bytes[3]; /* of name 0: what no masked word can be */
    uint64_t mask[3];  /* which of them count */
    uint64_t name_size;
    uint64_t unused;
};

/* Names are counted from 1; 0 is every name that is not known. */
struct vocabulary {
    unsigned count;
    uint64_t multiplier; /* with which no two names share a slot */
    struct text names[1 + VOCABULARY_LIMIT];
    struct vocabulary_key keys[1 + VOCABULARY_LIMIT];
    struct vocabulary_token tokens[1 + VOCABULARY_LIMIT] __attribute__((aligned(64)));
    uint8_t slots[1 << VOCABULARY_SLOT_BITS]; /* a name or 0 */
};

/* Adds what is not there yet; the strings, of 1 to VOCABULARY_NAME_LIMIT bytes, outlive the
 * vocabulary, which is all zeros at first. */
void vocabulary_add(struct vocabulary *vocabulary, const char *const *names, size_t count);

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

/* Which name it is; 0: none of them. */
static inline unsigned
vocabulary_find(const struct vocabulary *vocabulary, struct text name)
{
    if (name.size == 0 || name.size > VOCABULARY_NAME_LIMIT)
        return 0;
    const struct vocabulary_key asked = vocabulary_key_of(name);
    const unsigned found = vocabulary->slots[vocabulary_slot(vocabulary, &asked)];
    const struct vocabulary_key *key = &vocabulary->keys[found];

    return ((key->first ^ asked.first) | (key->last ^ asked.last) | (key->middle ^ asked.middle) |
            (key->size ^ asked.size)) == 0
               ? found
               : 0;
}

/* Whether `"name":` stands at `at`, from where 24 bytes can be read. False for name 0. */
static inline bool
vocabulary_stands(const struct vocabulary *vocabulary, unsigned name, const char *at)
{
    const struct vocabulary_token *token = &vocabulary->tokens[name];

    return (((vocabulary_word(at, 8) & token->mask[0]) ^ token->bytes[0]) |
            ((vocabulary_word(at + 8, 8) & token->mask[1]) ^ token->bytes[1]) |
            ((vocabulary_word(at + 16, 8) & token->mask[2]) ^ token->bytes[2])) == 0;
}

#endif
