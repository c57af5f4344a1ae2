#include "ingest/vocabulary.h"

#include <assert.h>

#define TRY_LIMIT 1000000 /* multipliers; some fifty are enough for 31 names */

/* False when two names would share a slot. */
static bool
fill_slots(struct vocabulary *vocabulary)
{
    memset(vocabulary->slots, 0, sizeof vocabulary->slots);
    for (size_t i = 1; i <= vocabulary->count; i++) {
        const size_t slot = vocabulary_slot(vocabulary, &vocabulary->known[i]);

        if (vocabulary->slots[slot] != 0)
            return false;
        vocabulary->slots[slot] = (uint8_t)i;
    }
    return true;
}

void
vocabulary_init(struct vocabulary *vocabulary, const char *object, const char *const *names,
                size_t count)
{
    int tries = 0;

    assert(count <= VOCABULARY_LIMIT);
    *vocabulary = (struct vocabulary){
        .object = object, .count = count, .multiplier = UINT64_C(0x9e3779b97f4a7c15)};
    for (size_t i = 0; i < count; i++) {
        const struct text name = text_of(names[i]);

        assert(name.size > 0 && name.size <= VOCABULARY_NAME_LIMIT);
        vocabulary->names[i] = name;
        vocabulary->known[i + 1] = vocabulary_key_of(name);
    }
    /* Odd numbers in an order without order (splitmix's step and one round of its mixing). */
    while (!fill_slots(vocabulary)) {
        tries++;
        assert(tries < TRY_LIMIT);
        const uint64_t z =
            (vocabulary->multiplier + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);

        vocabulary->multiplier = (z ^ z >> 31) | 1;
    }
}
