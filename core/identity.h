/*
 * Seeded 128-bit hashes of texts (XXH3): what the engine knows names and identities by.
 *
 * The seed is drawn once a process, so that nobody outside can make two names meet; nothing that is
 * stored or decided depends on it.  Each text goes in by its own hash, so ("ab","c") and ("a","bc")
 * differ.
 */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include "core/table.h"
#include "core/text.h"

/* Before the first hash, from one thread. */
void identity_seed(uint64_t seed);

struct key128 identity_one(struct text text);
/* A key over two keys, in order. Both are seeded hashes: sums of odd multiples of them are as good as a
 * hash of the pair. */
static inline struct key128
identity_join(struct key128 base, struct key128 more)
{
    return (struct key128){.low = base.low * UINT64_C(0x9e3779b97f4a7c15) + more.low,
                           .high = base.high * UINT64_C(0xc2b2ae3d27d4eb4f) + more.high};
}
/* A key over a key and further texts, or numbers. */
struct key128 identity_texts(struct key128 base, const struct text *texts, size_t count);
struct key128 identity_numbers(struct key128 base, const int64_t *numbers, size_t count);

/* Hash of bytes without the seed: equal in every process and at every time. */
uint64_t identity_stable(const void *bytes, size_t size);
/* The same of a number so far and a text, to hash several. */
uint64_t identity_stable_text(uint64_t base, struct text text);
/* What the record of settled events finds an event by: murmur2 of the tenant in the high half, so
 * that a tenant's events lie side by side, source and id in the low one. */
int64_t identity_settled(struct text tenant, struct text source, struct text id);

#endif
