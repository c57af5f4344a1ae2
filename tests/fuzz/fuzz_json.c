/*
 * Any bytes as JSON: our parser and simdjson's DOM accept the same, refuse the same for the same
 * reason, and find the same values; a member named twice is found at any depth.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decode.h"
#include "ingest/member.h"
#include "tests/json_dom.h"

#define SIZE_LIMIT ((size_t)65536)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"id", "data", "usage", "input_tokens", "a"};
    static struct text room[SIZE_LIMIT];
    static const struct reading reading = {room, SIZE_LIMIT};
    static struct vocabulary words;
    static struct json *json;
    static struct dom *dom;
    const struct text value = {(const char *)bytes, size};
    const struct json_value *root;
    struct dead dead;
    const char *what;

    if (json == NULL) {
        vocabulary_add(&words, names, sizeof names / sizeof names[0]);
        json = json_new(SIZE_LIMIT, DECODE_DEPTH_LIMIT, &words);
        dom = dom_new(SIZE_LIMIT, DECODE_DEPTH_LIMIT);
    }
    if (json == NULL || dom == NULL || size > SIZE_LIMIT)
        return 0;
    what = dom_differs(dom, json, value);
    if (what == NULL && json_parse(json, value, &root) == JSON_FINE &&
        value_is_unique(root, &reading, &dead) == dom_repeats(dom))
        what = "members named twice";
    if (what != NULL) {
        fprintf(stderr, "the parsers differ: %s\n", what);
        abort();
    }
    return 0;
}
