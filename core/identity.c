#include "core/identity.h"

#include "core/partitioner.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed_of_process;

void
identity_seed(uint64_t seed)
{
    seed_of_process = seed;
}

static struct key128
hash(const void *bytes, size_t size)
{
    const XXH128_hash_t both = XXH3_128bits_withSeed(bytes, size, seed_of_process);

    return (struct key128){.low = both.low64, .high = both.high64};
}

struct key128
identity_one(struct text text)
{
    return hash(text.at, text.size);
}

struct key128
identity_texts(struct key128 base, const struct text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        base = identity_join(base, identity_one(texts[i]));
    return base;
}

struct key128
identity_numbers(struct key128 base, const int64_t *numbers, size_t count)
{
    return identity_join(base, hash(numbers, count * sizeof *numbers));
}

uint64_t
identity_stable(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

uint64_t
identity_stable_text(uint64_t base, struct text text)
{
    return XXH3_64bits_withSeed(text.size == 0 ? "" : text.at, text.size, base + text.size);
}

int64_t
identity_settled(struct text tenant, struct text source, struct text id)
{
    const uint64_t low = identity_stable_text(identity_stable_text(0, source), id) & UINT32_MAX;
    const uint64_t high = (uint32_t)partitioner_murmur2(tenant);

    return (int64_t)(high << 32 | low);
}
