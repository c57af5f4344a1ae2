/*
 * JSON for the hot path: strict (RFC 8259, UTF-8), in one pass over the bytes, into one array.
 *
 * The whole value is validated before anything is handed out: grammar, UTF-8, numbers, escapes,
 * depth; nothing is corrected or left for later.  What the array holds are the values in the order
 * in which they are written, each object and array in front of what is inside; a text without
 * escapes is not copied again but points into the copy of the bytes.  Members are named in the same
 * order by whoever writes many values, so the name that stood at the same place of the last value
 * is looked for first, by comparing instead of searching.  A `struct json` owns all memory it will
 * ever need from its creation on, most of which only a large value ever touches; what it hands out
 * lives until its next json_parse.
 *
 * The tests compare it with simdjson's DOM, value by value (tests/test_json.c, tests/fuzz).
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
    struct text name; /* of a member; absent otherwise */
    enum json_type type;
    uint8_t word; /* the name in the vocabulary; 0: not known */
    bool plain;   /* the text is printable ASCII and was written without escapes */
    union {
        bool yes;
        int64_t integer;
        uint64_t natural;
        double number;
        struct text text;
        struct {
            const struct json_value *end; /* behind the last value inside */
            uint32_t at;                  /* where its source begins, and how long that is */
            uint32_t size;
        } inside;
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
/* size_limit: bytes of one value, below 2^32. depth_limit: objects and arrays around one scalar
 * (empty ones do not count). The vocabulary, of member names, outlives the json. NULL when memory
 * is short. */
struct json *json_new(size_t size_limit, unsigned depth_limit, const struct vocabulary *words);
void json_free(struct json *json);

/* Copies the bytes and parses them. *root is the outermost value. */
enum json_fault json_parse(struct json *json, struct text bytes, const struct json_value **root);
/* The copy: the value as it was written, until the next parse. */
struct text json_source(const struct json *json);
/* An object or array as it was written. */
struct text json_source_of(const struct json *json, const struct json_value *container);

/*
 * Front to back through an object or array:
 *
 *   for (v = json_first(container); v != json_end(container); v = json_after(v))
 */
static inline const struct json_value *
json_first(const struct json_value *container)
{
    return container + 1;
}

static inline const struct json_value *
json_end(const struct json_value *container)
{
    return container->is.inside.end;
}

static inline const struct json_value *
json_after(const struct json_value *value)
{
    return value->type >= JSON_ARRAY ? value->is.inside.end : value + 1;
}

/* The source of a value of this json without blanks between the tokens: as it stands where it has
 * none, otherwise in `out`, which has room for source.size bytes. */
struct text json_minify(const struct json *json, struct text source, char *out);

#ifdef __cplusplus
}
#endif
#endif
