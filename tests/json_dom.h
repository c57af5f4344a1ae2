/*
 * What another strict JSON parser, simdjson's DOM, makes of the same bytes: the judge over
 * ingest/json in its tests.  Same accepted, same refused, every value the same.
 */
#ifndef TESTS_JSON_DOM_H
#define TESTS_JSON_DOM_H

#include "ingest/json.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dom;
/* NULL when memory is short. */
struct dom *dom_new(size_t size_limit, unsigned depth_limit);
void dom_free(struct dom *dom);

/* Parses the bytes with both. NULL when they agree, else where they do not, in a few words. */
const char *dom_differs(struct dom *dom, struct json *json, struct text bytes);
/* Of the value parsed last, when it was accepted: whether any object in it names a member twice. */
bool dom_accepted(const struct dom *dom);
bool dom_repeats(const struct dom *dom);

#ifdef __cplusplus
}
#endif
#endif
