/*
 * What the two halves of the parser share: json_parse.c, where every value passes, and json_seldom.c,
 * where only those do that have something unusual about them.
 *
 * The functions that read something get the place where it begins and return the one behind it.
 * After a fault that is the end of the bytes, where nothing can be read on: whoever goes on there
 * only finds that something is missing, and the first fault stands.
 */
#ifndef INGEST_JSON_PRIVATE_H
#define INGEST_JSON_PRIVATE_H

#include "ingest/json.h"

/* Behind the bytes, so that a scan may read on: the first ends every text and every number. */
#define PADDING 64

/* One pass is one loop: what every value needs is part of it, what few need is not. */
#define OFTEN  static inline __attribute__((always_inline))
#define SELDOM __attribute__((noinline, cold))

struct json {
    char *bytes; /* the copy of the value, padding, then unescaped texts */
    size_t size;
    size_t size_limit;
    unsigned depth_limit;
    bool blanks; /* the value has some between its tokens */
    enum json_fault fault;
    struct json_value *values;
    struct json_value *next; /* behind what was inside the last object or array */
    char *texts;             /* where the next unescaped text goes */
    const struct vocabulary *words;
    uint8_t follows[1 + VOCABULARY_LIMIT]; /* by name: the one behind it, the last time */
    uint32_t sizes[1 + VOCABULARY_LIMIT];  /* by name: of its text, the last time */
};

static inline bool
is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Keeps the first fault; returns the end of the bytes. */
SELDOM const char *json_fail(struct json *json, enum json_fault fault);

/* A text with anything in it but printable ASCII.  It is copied from its first escape on.
 * start: behind the opening quote; at: where the first odd byte is. */
SELDOM const char *json_odd_text(struct json *json, const char *start, const char *at,
                                 struct text *out);
/* A number with a point or an exponent. start: its sign or first digit; at: on the point or 'e'. */
SELDOM const char *json_double(struct json *json, const char *start, const char *at,
                               struct json_value *out);
/* A number of eight digits and more. start: its sign or first digit. */
SELDOM const char *json_long_number(struct json *json, const char *start, struct json_value *out);

#endif
