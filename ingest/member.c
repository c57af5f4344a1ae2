#include "ingest/member.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

#define NUMBER_COST_LIMIT INT64_C(1000000) /* units; a JSON number beyond is no amount */

void
members_init(struct members *members, const char *object, const char *const *names, size_t count,
             struct vocabulary *words)
{
    assert(count <= MEMBER_LIMIT);
    vocabulary_add(words, names, count);
    *members = (struct members){.object = object, .names = names};
    for (size_t i = 0; i < count; i++)
        members->slot_of[vocabulary_find(words, text_of(names[i]))] = (uint8_t)(i + 1);
}

const char *
text_quoted(struct text text, char out[QUOTED_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    size_t i = 0;

    for (; i < text.size && i < QUOTED_LIMIT; i++) {
        const unsigned char byte = (unsigned char)text.at[i];

        if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
            out[used++] = (char)byte;
            continue;
        }
        out[used++] = '\\';
        out[used++] = 'x';
        out[used++] = hex[byte >> 4];
        out[used++] = hex[byte & 15];
    }
    for (int dots = 0; i < text.size && dots < 3; dots++)
        out[used++] = '.';
    out[used] = '\0';
    return out;
}

bool
refuse(struct dead *dead, enum dead_reason reason, const char *format, ...)
{
    va_list arguments;

    dead->reason = reason;
    va_start(arguments, format);
    (void)vsnprintf(dead->detail, sizeof dead->detail, format, arguments);
    va_end(arguments);
    return false;
}

bool
object_refuse(const struct object *object, int slot, enum dead_reason reason, const char *what)
{
    return refuse(object->dead, reason, "%s%s: %s", object->known->object,
                  object->known->names[slot], what);
}

static bool
refuse_double(struct dead *dead, struct text name)
{
    char quoted[QUOTED_SIZE];

    return refuse(dead, DEAD_duplicate_member, "member \"%s\" is named twice in one object",
                  text_quoted(name, quoted));
}

static int
compare_names(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* Above this many, sorting is cheaper than comparing each with each. */
enum { FEW_NAMES = 24 };

/* Names that differ here are not the same; few that differ meet. */
static unsigned
name_mark(struct text name)
{
    if (name.size == 0)
        return 0;
    const unsigned first = (unsigned char)name.at[0];
    const unsigned middle = (unsigned char)name.at[name.size / 2];
    const unsigned last = (unsigned char)name.at[name.size - 1];

    return ((unsigned)name.size * 7 + first * 5 + middle * 3 + last) & 63;
}

static bool
repeats_sorted(struct text *names, size_t count, struct text *twice)
{
    qsort(names, count, sizeof names[0], compare_names);
    for (size_t i = 1; i < count; i++)
        if (text_eq(names[i - 1], names[i])) {
            *twice = names[i];
            return true;
        }
    return false;
}

/* Whether this one object names a member twice; *twice says which. */
static bool
names_repeat(const struct json_value *object, const struct reading *reading, struct text *twice)
{
    size_t count = 0;
    uint64_t marks = 0;

    for (const struct json_value *value = json_first(object); value != json_end(object);
         value = json_after(value)) {
        const struct text name = value->name;
        const uint64_t mark = UINT64_C(1) << name_mark(name);

        for (size_t i = 0; (marks & mark) != 0 && count <= FEW_NAMES && i < count; i++)
            if (text_eq(reading->names[i], name)) {
                *twice = name;
                return true;
            }
        assert(count < reading->name_limit);
        reading->names[count++] = name;
        marks |= mark;
    }
    return count > FEW_NAMES && repeats_sorted(reading->names, count, twice);
}

bool
value_is_unique(const struct json_value *value, const struct reading *reading, struct dead *dead)
{
    struct text name;

    if (value->type < JSON_ARRAY)
        return true;
    if (value->type == JSON_OBJECT && names_repeat(value, reading, &name))
        return refuse_double(dead, name);
    for (const struct json_value *inner = json_first(value); inner != json_end(value);
         inner = json_after(inner))
        if (!value_is_unique(inner, reading, dead))
            return false;
    return true;
}

/* What the vocabulary does not name may still not be there twice, here or further inside. */
static bool
check_unknown(const struct members *known, const struct json_value *object,
              const struct reading *reading, struct dead *dead)
{
    struct text name;

    if (names_repeat(object, reading, &name))
        return refuse_double(dead, name);
    for (const struct json_value *value = json_first(object); value != json_end(object);
         value = json_after(value))
        if (known->slot_of[value->word] == 0 && !value_is_unique(value, reading, dead))
            return false;
    return true;
}

static bool
is_absent(const struct json_value *value)
{
    return value->type == JSON_NULL || (value->type == JSON_TEXT && value->is.text.size == 0);
}

bool
object_read(struct object *object, const struct members *known, const struct json_value *value,
            const struct reading *reading, struct dead *dead)
{
    const struct json_value *twice = NULL;
    uint64_t seen = 0;
    uint64_t given = 0;
    unsigned unknown = 0;
    bool unknown_nested = false;

    object->known = known;
    object->dead = dead;
    for (const struct json_value *member = json_first(value); member != json_end(value);
         member = json_after(member)) {
        const int slot = known->slot_of[member->word] - 1;

        if (slot < 0) {
            unknown++;
            unknown_nested |= member->type >= JSON_ARRAY;
            continue;
        }
        const uint64_t bit = UINT64_C(1) << slot;

        if ((seen & bit) != 0) {
            twice = member;
            continue;
        }
        seen |= bit;
        given |= is_absent(member) ? 0 : bit;
        object->value[slot] = member;
    }
    object->given = given;
    if (twice != NULL)
        return refuse_double(dead, twice->name);
    return (unknown <= 1 && !unknown_nested) || check_unknown(known, value, reading, dead);
}

bool
object_needs(const struct object *object, uint64_t needed)
{
    const uint64_t missing = needed & ~object->given;

    return missing == 0 ||
           object_refuse(object, __builtin_ctzll(missing), DEAD_missing_member, "is missing");
}

bool
object_inner(const struct object *object, int slot, const struct members *known,
             const struct reading *reading, struct object *inner)
{
    if (!object_needs(object, UINT64_C(1) << slot))
        return false;
    if (object->value[slot]->type != JSON_OBJECT)
        return object_refuse(object, slot, DEAD_bad_member, "is no object");
    return object_read(inner, known, object->value[slot], reading, object->dead);
}

bool
text_is_usable(struct text text, size_t limit, enum dead_reason *reason, const char **what)
{
    if (text.size > limit) {
        *reason = DEAD_bad_member;
        *what = "is too long";
        return false;
    }
    if (text_is_clean(text))
        return true;
    const bool utf8 = text_is_utf8(text);

    *reason = utf8 ? DEAD_control_character : DEAD_not_utf8;
    *what = utf8 ? "has a control character in it" : "is not valid UTF-8";
    return false;
}

bool
object_text(const struct object *object, int slot, size_t limit, struct text *out)
{
    enum dead_reason reason;
    const char *what;

    if (!object_has(object, slot))
        return true;
    const struct json_value *value = object->value[slot];

    if (value->type != JSON_TEXT)
        return object_refuse(object, slot, DEAD_bad_member, "is no text");
    if (!text_is_plain(value, limit) && !text_is_usable(value->is.text, limit, &reason, &what))
        return object_refuse(object, slot, reason, what);
    *out = value->is.text;
    return true;
}

bool
count_of(const struct json_value *value, int64_t *out, enum dead_reason *reason, const char **what)
{
    int64_t count = -1;

    *reason = DEAD_count_range;
    *what = "is outside 0..2^53-1";
    switch (value->type) {
    case JSON_INTEGER:
        count = value->is.integer;
        break;
    case JSON_DOUBLE:
        /* Some languages write every number with a point. */
        if (!(value->is.number >= 0 && value->is.number <= (double)COUNT_LIMIT))
            return false;
        count = (int64_t)value->is.number;
        if ((double)count < value->is.number) {
            *reason = DEAD_bad_member;
            *what = "is no whole number";
            return false;
        }
        break;
    case JSON_NATURAL:
        return false;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_TEXT:
    case JSON_ARRAY:
    case JSON_OBJECT:
        *reason = DEAD_bad_member;
        *what = "is no number";
        return false;
    }
    if (count < 0 || count > COUNT_LIMIT)
        return false;
    *out = count;
    return true;
}

bool
object_count(const struct object *object, int slot, int64_t *out)
{
    enum dead_reason reason;
    const char *what;

    if (!object_has(object, slot))
        return true;
    return count_of(object->value[slot], out, &reason, &what) ||
           object_refuse(object, slot, reason, what);
}

bool
object_small(const struct object *object, int slot, int32_t low, int32_t high, int32_t *out)
{
    int64_t count = low;
    char what[64];

    if (!object_count(object, slot, &count))
        return false;
    if (!object_has(object, slot))
        return true;
    if (count < low || count > high) {
        (void)snprintf(what, sizeof what, "is outside %" PRId32 "..%" PRId32, low, high);
        return object_refuse(object, slot, DEAD_bad_member, what);
    }
    *out = (int32_t)count;
    return true;
}

bool
object_flag(const struct object *object, int slot, unsigned flag, unsigned *flags)
{
    if (!object_has(object, slot))
        return true;
    const struct json_value *value = object->value[slot];

    if (value->type != JSON_BOOL)
        return object_refuse(object, slot, DEAD_bad_member, "is neither true nor false");
    *flags = value->is.yes ? *flags | flag : *flags & ~flag;
    return true;
}

/* "12.5 EUR" is no amount at all; "1e30" is one, only too large. */
static enum dead_reason
amount_fault(struct text text)
{
    static const char marks[] = "0123456789+-.eE";

    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] == '\0' || strchr(marks, text.at[i]) == NULL)
            return DEAD_bad_member;
    return DEAD_cost_range;
}

bool
object_money(const struct object *object, int slot, struct money *out)
{
    struct err why;

    if (!object_has(object, slot))
        return true;
    const struct json_value *value = object->value[slot];

    switch (value->type) {
    case JSON_TEXT:
        return money_parse(value->is.text, out, &why) ||
               object_refuse(object, slot, amount_fault(value->is.text),
                             "is no decimal number within +-9e9");
    case JSON_DOUBLE:
        return money_from_double(value->is.number, NUMBER_COST_LIMIT, out, &why) ||
               object_refuse(object, slot, DEAD_cost_range,
                             "as a JSON number is beyond +-1e6; send it as text");
    case JSON_INTEGER:
        if (value->is.integer >= -NUMBER_COST_LIMIT && value->is.integer <= NUMBER_COST_LIMIT) {
            out->nano = value->is.integer * MONEY_NANO_PER_UNIT;
            return true;
        }
        break;
    case JSON_NATURAL:
        break;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return object_refuse(object, slot, DEAD_bad_member, "is neither decimal text nor a number");
    }
    return object_refuse(object, slot, DEAD_cost_range,
                         "as a JSON number is beyond +-1e6; send it as text");
}

bool
object_time(const struct object *object, int slot, int64_t *out)
{
    if (!object_has(object, slot))
        return true;
    const struct json_value *value = object->value[slot];

    if (value->type == JSON_TEXT && clock_parse(value->is.text, out))
        return true;
    return object_refuse(object, slot, DEAD_bad_time, "is no RFC 3339 date-time");
}
