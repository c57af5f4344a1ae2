/*
 * JSON for the hot path: a strict parser (simdjson's DOM) seen through a few C functions.
 *
 * The whole value is validated before anything is handed out: grammar, UTF-8, numbers, depth.
 * Objects and arrays are walked once, front to back.  A `struct json` owns all memory it will ever
 * need from its creation on; texts and walks live until its next json_parse.  This is the only
 * header that the one C++ file of the program sees.
 */
#ifndef INGEST_JSON_H
#define INGEST_JSON_H

#include "ingest/vocabulary.h"

#ifdef __cplusplus
extern "C" {
#endif

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_INTEGER, /* fits int64 */
    JSON_NATURAL, /* above INT64_MAX, fits uint64 */
    JSON_DOUBLE,  /* written with a point or an exponent; the nearest double */
    JSON_TEXT,    /* unescaped, valid UTF-8; may hold U+0000 */
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_type type;
    union {
        bool yes;
        int64_t integer;
        uint64_t natural;
        double number;
        struct text text;
        const void *inside[2]; /* the parser's; see json_walk_start */
    } is;
};

enum json_fault {
    JSON_FINE,
    JSON_BROKEN, /* not JSON */
    JSON_NUMBER, /* a number that is malformed, or fits neither 64 bits nor a double */
    JSON_ESCAPE, /* a text with an invalid escape, or half of a surrogate pair */
    JSON_DEEP,   /* nested too deep */
    JSON_NOT_UTF8,
    JSON_OVERSIZE, /* larger than size_limit */
};

struct json;
/* size_limit: bytes of one value. depth_limit: objects and arrays around one scalar (empty
 * ones do not count). NULL when memory is short. */
struct json *json_new(size_t size_limit, size_t depth_limit);
void json_free(struct json *json);

/* Copies the bytes and parses them. */
enum json_fault json_parse(struct json *json, struct text bytes, struct json_value *root);
/* The copy: the value as it was written, until the next parse. */
struct text json_source(const struct json *json);

/* A position in an object or an array. */
struct json_walk {
    const void *at[4]; /* the parser's */
};
/* container is of type JSON_OBJECT or JSON_ARRAY; then use the function of that type. */
void json_walk_start(struct json_walk *walk, const struct json_value *container);
bool json_next_member(struct json_walk *walk, struct text *name, struct json_value *value);
bool json_next_element(struct json_walk *walk, struct json_value *value);

/* The members of an object, sorted by a vocabulary in one pass. */
struct json_members {
    uint64_t given;      /* bit i: found[i] is neither null nor the empty text */
    uint64_t seen;       /* bit i: the member of name i is there, in found[i] */
    int twice;           /* a name that is there twice, the first one in found[]; -1: none */
    uint32_t unknown;    /* members of other names */
    bool unknown_nested; /* one of those is an object or an array */
    uint32_t order[VOCABULARY_LIMIT]; /* found[i] is the how many-th member, from 0 */
    struct json_value found[VOCABULARY_LIMIT];
};
void json_sort_members(struct json_members *members, const struct json_value *object,
                       const struct vocabulary *vocabulary);

/* Without blanks between the tokens; `valid` must be JSON. out has room for valid.size + 64 bytes.
 * Returns the size. */
size_t json_minify(struct text valid, char *out);
bool json_is_utf8(struct text text);

#ifdef __cplusplus
}
#endif
#endif
