#include "ingest/vocabulary.h"

#include <assert.h>

void
vocabulary_init(struct vocabulary *vocabulary, const char *object, const char *const *names,
                size_t count)
{
    assert(count <= VOCABULARY_LIMIT);
    *vocabulary = (struct vocabulary){.object = object, .count = count};
    for (size_t i = 0; i < count; i++) {
        vocabulary->names[i] = text_of(names[i]);
        assert(vocabulary->names[i].size > 0);
        unsigned slot = vocabulary_hash(vocabulary->names[i]) % VOCABULARY_SLOTS;

        while (vocabulary->slots[slot] != 0)
            slot = (slot + 1) % VOCABULARY_SLOTS;
        vocabulary->slots[slot] = (uint8_t)(i + 1);
    }
}
