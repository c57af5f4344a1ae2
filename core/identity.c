#include "core/identity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

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

struct key128
identity_texts(struct key128 base, const struct text *texts, size_t count)
{
    char buffer[1024];
    size_t used = sizeof base;

    memcpy(buffer, &base, sizeof base);
    for (size_t i = 0; i < count; i++) {
        const uint16_t size = (uint16_t)texts[i].size;

        if (used + sizeof size + size > sizeof buffer) {
            /* Long names are rare: fold what there is and go on. */
            base = hash(buffer, used);
            memcpy(buffer, &base, sizeof base);
            used = sizeof base;
        }
        memcpy(buffer + used, &size, sizeof size);
        used += sizeof size;
        if (size > 0)
            memcpy(buffer + used, texts[i].at, size);
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

    memcpy(all.numbers, numbers, count * sizeof *numbers);
    return hash(&all, sizeof all.base + count * sizeof *numbers);
}

uint64_t
identity_stable(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}
