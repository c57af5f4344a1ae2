/*
 * A piece of text somebody else owns: a pointer and a size in bytes, no NUL needed.
 *
 * Names of tenants, features and models arrive as such pieces of a buffer; they are compared,
 * hashed and copied from there.  {NULL, 0} means "absent"; a present but empty text has a pointer.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *at;
    size_t size; /* bytes */
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
/* The same for the rows of a static table, where C11 wants a constant. */
#define TEXT_ROW(literal)              \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

/* A text over a NUL-terminated string; NULL gives the absent text. */
static inline struct text
text_of(const char *string)
{
    return string == NULL ? (struct text){NULL, 0} : (struct text){string, strlen(string)};
}

static inline bool
text_eq(struct text a, struct text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* <0, 0, >0 in byte order; a prefix sorts before what it is a prefix of. */
int text_compare(struct text a, struct text b);

/* True when the bytes are valid UTF-8 without surrogates, U+0000 or any other control character
 * (C0, DEL, C1). */
bool text_is_clean(struct text text);

/* The size of the UTF-8 sequence at `at`, 0 when it is malformed (RFC 3629, table 3-7 of the Unicode
 * standard: overlong, a surrogate, above U+10FFFF, cut). room: bytes there are, at least 1. */
size_t text_sequence(const char *at, size_t room);
bool text_is_utf8(struct text text);

/* Copies at most room-1 bytes and a NUL; returns the number of bytes copied. */
size_t text_copy(char *to, size_t room, struct text from);

/* Percent-encodes every byte outside A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved).  Returns the size
 * written without the NUL, or 0 when room does not suffice (to[0] is then NUL). */
size_t text_percent_encode(char *to, size_t room, struct text from);
/* The reverse; false on a bad escape or lack of room.  *size without the NUL. */
bool text_percent_decode(char *to, size_t room, struct text from, size_t *size);

/* Edit distance with transpositions (Damerau-Levenshtein, restricted), at most `limit` + 1; for
 * "did you mean". Texts over 64 bytes give limit + 1. */
unsigned text_distance(struct text a, struct text b, unsigned limit);

/* Whole text is a decimal integer in the range; false otherwise. */
bool text_to_int(struct text text, int64_t low, int64_t high, int64_t *out);

#endif
