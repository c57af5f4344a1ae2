#include <stdlib.h>

#include "core/digits.h"
#include "ingest/json_private.h"
#include "ingest/scan.h"

struct json *
json_new(size_t size_limit, unsigned depth_limit, const struct vocabulary *words)
{
    struct json *json = calloc(1, sizeof *json);

    if (json == NULL)
        return NULL;
    json->size_limit = size_limit;
    json->depth_limit = depth_limit;
    json->words = words;
    /* A text is never longer than it was with its escapes.  The shortest value is `0,`, but for a
     * bracket that opens, of which only so many can follow each other. */
    json->bytes = malloc(2 * size_limit + PADDING);
    json->values = calloc(size_limit / 2 + depth_limit + 2, sizeof *json->values);
    if (json->bytes == NULL || json->values == NULL) {
        json_free(json);
        return NULL;
    }
    return json;
}

void
json_free(struct json *json)
{
    if (json == NULL)
        return;
    free(json->values);
    free(json->bytes);
    free(json);
}

SELDOM static const char *
skip_some_blanks(struct json *json, const char *at)
{
    for (; is_blank(*at); at++)
        json->blanks = true;
    return at;
}

OFTEN const char *
skip_blanks(struct json *json, const char *at)
{
    return (unsigned char)*at > ' ' ? at : skip_some_blanks(json, at);
}

/*
 * A text that is found to end where it was expected ends there: the same place, but one that the
 * processor has known before the text was looked at, so that it is busy with the next value by
 * then.  (To the compiler the two would be one, and the branch a conditional move.)
 */
OFTEN const char *
expect(const char *expected, const char *found)
{
    const char *known = expected;

    __asm__("" : "+r"(known));
    if (found == expected) {
        __asm__ volatile("" : "+r"(known));
        return known;
    }
    return found;
}

/* out->word is set. at: behind the opening quote. */
OFTEN const char *
read_text(struct json *json, const char *at, struct json_value *out)
{
    uint32_t *size = &json->sizes[out->word];
    const char *odd = expect(at + *size, scan(at));

    out->type = JSON_TEXT;
    if (*odd != '"') {
        out->plain = false;
        return json_odd_text(json, at, odd, &out->is.text);
    }
    out->plain = true;
    *size = (uint32_t)(odd - at);
    out->is.text = (struct text){at, (size_t)(odd - at)};
    return odd + 1;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

OFTEN const char *
read_number(struct json *json, const char *start, struct json_value *out)
{
    const bool negative = *start == '-';
    const char *first = start + negative;
    const uint64_t digits = digits_load(first);
    const unsigned count = digits_count(digits);
    const char *at = first + count;

    if (count == 0 || (*first == '0' && is_digit(first[1])))
        return json_fail(json, JSON_NUMBER);
    if (count == 8)
        return json_long_number(json, start, out);
    if (*at == '.' || *at == 'e' || *at == 'E')
        return json_double(json, start, at, out);
    const int64_t value = digits_value(digits, count);

    out->type = JSON_INTEGER;
    out->is.integer = negative ? -value : value;
    return at;
}

/* ---- values ----------------------------------------------------------------------------------- */

static const char *
read_word(struct json *json, const char *at, struct json_value *out)
{
    if (memcmp(at, "true", 4) == 0) {
        out->type = JSON_BOOL;
        out->is.yes = true;
        return at + 4;
    }
    if (memcmp(at, "false", 5) == 0) {
        out->type = JSON_BOOL;
        out->is.yes = false;
        return at + 5;
    }
    if (memcmp(at, "null", 4) == 0) {
        out->type = JSON_NULL;
        return at + 4;
    }
    return json_fail(json, JSON_BROKEN);
}

/* What has nothing inside. */
OFTEN const char *
read_scalar(struct json *json, const char *at, struct json_value *out)
{
    if (*at == '"')
        return read_text(json, at + 1, out);
    if (is_digit(*at) || *at == '-')
        return read_number(json, at, out);
    return read_word(json, at, out);
}

/* A name that is not the one that stood at this place the last time. */
SELDOM static const char *
search_name(struct json *json, const char *at, struct json_value *out)
{
    uint8_t *follows = &json->follows[out[-1].word];

    at = skip_blanks(json, at);
    if (vocabulary_stands(json->words, *follows, at)) {
        out->word = *follows;
        out->name = (struct text){at + 1, json->words->tokens[out->word].name_size};
        return at + out->name.size + 3;
    }
    if (*at != '"')
        return json_fail(json, JSON_BROKEN);
    at = json_odd_text(json, at + 1, scan(at + 1), &out->name);
    if (json->fault != JSON_FINE)
        return at;
    out->word = *follows = (uint8_t)vocabulary_find(json->words, out->name);
    at = skip_blanks(json, at);
    return *at == ':' ? at + 1 : json_fail(json, JSON_BROKEN);
}

/*
 * A member's name and the colon: as at this place of the last value, or else as behind the last
 * name, which is that of the value in front.
 *
 * out: still as the last value has left it.
 */
OFTEN const char *
read_name(struct json *json, const char *at, struct json_value *out)
{
    const unsigned word = out->word;

    if (!vocabulary_stands(json->words, word, at))
        return search_name(json, at, out);
    out->name = (struct text){at + 1, json->words->tokens[word].name_size};
    return at + out->name.size + 3;
}

static bool
is_bracket(char c)
{
    return c == '{' || c == '[';
}

/* An object or array, and what is inside. depth: of what is around it. */
static const char *
read_container(struct json *json, const char *at, struct json_value *out, unsigned depth)
{
    const char *const start = at;
    const bool object = *at == '{';
    const char close = object ? '}' : ']';
    struct json_value *value = out + 1;

    out->type = object ? JSON_OBJECT : JSON_ARRAY;
    at = skip_blanks(json, at + 1);
    if (*at != close) {
        if (depth == json->depth_limit)
            return json_fail(json, JSON_DEEP);
        for (;; at++) {
            if (object) {
                at = read_name(json, at, value);
            } else {
                value->name = (struct text){NULL, 0};
                value->word = 0;
            }
            at = skip_blanks(json, at);
            if (is_bracket(*at)) {
                at = read_container(json, at, value, depth + 1);
                value = json->next;
            } else {
                at = read_scalar(json, at, value);
                value++;
            }
            if (*at == ',')
                continue;
            at = skip_blanks(json, at);
            if (*at != ',')
                break;
        }
        if (*at != close)
            return json_fail(json, JSON_BROKEN);
    }
    json->next = value;
    out->is.inside.end = value;
    out->is.inside.at = (uint32_t)(start - json->bytes);
    out->is.inside.size = (uint32_t)(at + 1 - start);
    return at + 1;
}

/* Bytes that are no UTF-8 are the more useful reason, whatever else is wrong in front of them. */
static enum json_fault
fault_of(const struct json *json)
{
    return text_is_utf8(json_source(json)) ? json->fault : JSON_NOT_UTF8;
}

enum json_fault
json_parse(struct json *json, struct text bytes, const struct json_value **root)
{
    json->size = 0;
    if (bytes.size > json->size_limit)
        return JSON_OVERSIZE;
    if (bytes.size == 0)
        return JSON_BROKEN;
    memcpy(json->bytes, bytes.at, bytes.size);
    memset(json->bytes + bytes.size, 0, PADDING);
    json->size = bytes.size;
    json->blanks = false;
    json->fault = JSON_FINE;
    json->texts = json->bytes + bytes.size + PADDING;
    json->values->name = (struct text){NULL, 0};
    json->values->word = 0;

    const char *at = skip_blanks(json, json->bytes);

    at = is_bracket(*at) ? read_container(json, at, json->values, 0)
                         : read_scalar(json, at, json->values);
    if (skip_blanks(json, at) != json->bytes + json->size)
        (void)json_fail(json, JSON_BROKEN);
    if (json->fault != JSON_FINE)
        return fault_of(json);
    *root = json->values;
    return JSON_FINE;
}

struct text
json_source(const struct json *json)
{
    return (struct text){json->bytes, json->size};
}

struct text
json_source_of(const struct json *json, const struct json_value *container)
{
    return (struct text){json->bytes + container->is.inside.at, container->is.inside.size};
}

struct text
json_minify(const struct json *json, struct text source, char *out)
{
    const char *end = source.at + source.size;
    char *to = out;

    if (!json->blanks)
        return source;
    for (const char *at = source.at; at < end;) {
        const char *start = at++;

        if (is_blank(*start))
            continue;
        /* A text ends at a quote that is behind no backslash, or behind two. */
        if (*start == '"') {
            for (; *at != '"'; at++)
                if (*at == '\\')
                    at++;
            at++;
        }
        memcpy(to, start, (size_t)(at - start));
        to += at - start;
    }
    return (struct text){out, (size_t)(to - out)};
}
