#include "core/record.h"

#include <xxhash.h>

/* What headers() of a copy answers from. */
struct copied_headers {
    size_t count; /* as the source said; `kept` of them are here */
    size_t kept;
    struct header at[RECORD_HEADER_LIMIT];
};

static size_t
copied_headers_read(const void *origin, struct header *out, size_t room)
{
    const struct copied_headers *headers = origin;
    const size_t count = headers->kept < room ? headers->kept : room;

    memcpy(out, headers->at, count * sizeof *out);
    return headers->count;
}

static bool
copy_headers(struct record *to, const struct record *from, struct arena *arena)
{
    struct header headers[RECORD_HEADER_LIMIT];
    const size_t count = from->headers(from->origin, headers, RECORD_HEADER_LIMIT);
    const size_t kept = count < RECORD_HEADER_LIMIT ? count : RECORD_HEADER_LIMIT;
    struct copied_headers *copy =
        arena_take(arena, offsetof(struct copied_headers, at) + kept * sizeof headers[0]);

    if (copy == NULL)
        return false;
    copy->count = count;
    copy->kept = kept;
    for (size_t i = 0; i < kept; i++) {
        if (!arena_keep(arena, &headers[i].name) || !arena_keep(arena, &headers[i].value))
            return false;
        copy->at[i] = headers[i];
    }
    to->headers = copied_headers_read;
    to->origin = copy;
    return true;
}

bool
record_copy(struct record *to, const struct record *from, struct arena *arena)
{
    *to = *from;
    if (!arena_keep(arena, &to->key) || !arena_keep(arena, &to->value))
        return false;
    return from->headers == NULL || copy_headers(to, from, arena);
}

static void
put_u64(unsigned char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

/* Sizes are part of it, so that key and value cannot trade bytes; an absent text is not an empty
 * one. */
static void
put_text(unsigned char to[16], struct text text)
{
    put_u64(to, text.at == NULL ? UINT64_MAX : (uint64_t)text.size);
    put_u64(to + 8, text.at == NULL ? 0 : XXH3_64bits(text.at, text.size));
}

uint64_t
record_fingerprint(const struct record *record)
{
    unsigned char whole[40];

    put_u64(whole, (uint64_t)record->time_ms);
    put_text(whole + 8, record->key);
    put_text(whole + 24, record->value);
    return XXH3_64bits(whole, sizeof whole);
}
