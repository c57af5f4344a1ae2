#include "ingest/vocabulary.h"

#include <assert.h>

#define TRY_LIMIT 1000000 /* multipliers; some dozens are enough for 60 names */

/* False when two names would share a slot. */
static bool
fill_slots(struct vocabulary *vocabulary)
{
    memset(vocabulary->slots, 0, sizeof vocabulary->slots);
    for (unsigned i = 1; i <= vocabulary->count; i++) {
        const size_t slot = vocabulary_slot(vocabulary, &vocabulary->keys[i]);

        if (vocabulary->slots[slot] != 0)
            return false;
        vocabulary->slots[slot] = (uint8_t)i;
    }
    return true;
}

static void
set_token(struct vocabulary_token *token, struct text name)
{
    char bytes[sizeof token->bytes] = {'"'};
    char mask[sizeof token->mask] = {0};

    memcpy(bytes + 1, name.at, name.size);
    bytes[name.size + 1] = '"';
    bytes[name.size + 2] = ':';
    memset(mask, 0xff, name.size + 3);
    memcpy(token->bytes, bytes, sizeof bytes);
    memcpy(token->mask, mask, sizeof mask);
    token->name_size = name.size;
}

static void
add_name(struct vocabulary *vocabulary, struct text name)
{
    assert(name.size > 0 && name.size <= VOCABULARY_NAME_LIMIT);
    for (unsigned i = 1; i <= vocabulary->count; i++)
        if (text_eq(vocabulary->names[i], name))
            return;
    const unsigned new = ++vocabulary->count;

    assert(new <= VOCABULARY_LIMIT);
    vocabulary->names[new] = name;
    vocabulary->keys[new] = vocabulary_key_of(name);
    set_token(&vocabulary->tokens[new], name);
}

void
vocabulary_add(struct vocabulary *vocabulary, const char *const *names, size_t count)
{
    int tries = 0;

    vocabulary->tokens[0].bytes[0] = 1; /* its mask is 0 */
    if (vocabulary->multiplier == 0)
        vocabulary->multiplier = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < count; i++)
        add_name(vocabulary, text_of(names[i]));
    /* Odd numbers in an order without order (splitmix's step and one round of its mixing). */
    while (!fill_slots(vocabulary)) {
        tries++;
        assert(tries < TRY_LIMIT);
        const uint64_t z =
            (vocabulary->multiplier + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);

        vocabulary->multiplier = (z ^ z >> 31) | 1;
    }
}
