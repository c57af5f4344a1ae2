#include "core/identity.h"

#include "core/partitioner.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <string.h>

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

/* A long text takes part by its own hash, behind a size that no short one has. */
enum { SHORT_TEXT = 256, TEXTS_SIZE = 4096 };

struct key128
identity_texts(struct key128 base, const struct text *texts, size_t count)
{
    char buffer[TEXTS_SIZE];
    size_t used = sizeof base;

    assert(count <= (TEXTS_SIZE - sizeof base) / (sizeof(uint32_t) + SHORT_TEXT));
    memcpy(buffer, &base, sizeof base);
    for (size_t i = 0; i < count; i++) {
        const bool is_short = texts[i].size <= SHORT_TEXT;
        struct key128 own = {0, 0};
        const void *bytes = is_short ? (const void *)texts[i].at : (const void *)&own;
        const uint32_t size = is_short ? (uint32_t)texts[i].size : (uint32_t)sizeof own;
        const uint32_t mark = is_short ? size : UINT32_MAX;

        if (!is_short)
            own = identity_one(texts[i]);
        memcpy(buffer + used, &mark, sizeof mark);
        used += sizeof mark;
        if (size > 0)
            memcpy(buffer + used, bytes, size);
        used += size;
    }
    return hash(buffer, used);
}

struct key128
identity_numbers(struct key128 base, const int64_t *numbers, size_t count)
{
    struct {
        struct key128 base;
        int64_t numbers[16];
    } all = {.base = base};

    assert(count <= sizeof all.numbers / sizeof all.numbers[0]);
    memcpy(all.numbers, numbers, count * sizeof *numbers);
    return hash(&all, sizeof all.base + count * sizeof *numbers);
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
