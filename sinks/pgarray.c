#include "sinks/pgarray.h"

#include "sinks/pgread.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

/* ndim, has-null flag, element type, size of the dimension, lower bound: 4 bytes each. */
#define ARRAY_HEADER   20
#define LENGTH_SIZE    4
#define NUMERIC_GROUPS 16 /* 39 digits need 10, 9 decimals need 3 */
#define NUMERIC_HEADER 8
#define NUMERIC_MOST   (LENGTH_SIZE + NUMERIC_HEADER + 2 * NUMERIC_GROUPS)

__extension__ typedef unsigned __int128 magnitude; /* of a tally, INT128_MIN included */

static void
put32(char *to, uint32_t value)
{
    const uint32_t swapped = htonl(value);

    memcpy(to, &swapped, sizeof swapped);
}

static void
put16(char *to, unsigned value)
{
    const uint16_t swapped = htons((uint16_t)value);

    memcpy(to, &swapped, sizeof swapped);
}

/* Room for more bytes at the end, or NULL. */
static char *
extend(struct pgparam *param, size_t more)
{
    if (param->failed || more > PG_PARAM_BYTES - param->size) {
        param->failed = true;
        return NULL;
    }
    if (param->size + more > param->room) {
        const size_t need = param->size + more;
        const size_t room = need < 4096 ? 4096 : need + need / 2;
        char *const grown = realloc(param->at, room);

        if (grown == NULL) {
            param->failed = true;
            return NULL;
        }
        param->at = grown;
        param->room = room;
    }
    param->size += more;
    return param->at + param->size - more;
}

void
pgparams_free(struct pgparams *params)
{
    for (size_t i = 0; i < PG_PARAM_LIMIT; i++)
        free(params->at[i].at);
    memset(params, 0, sizeof *params);
}

void
pgparams_clear(struct pgparams *params)
{
    params->count = 0;
}

static struct pgparam *
next_param(struct pgparams *params, enum pg_type type, bool array)
{
    assert(params->count < PG_PARAM_LIMIT);
    struct pgparam *const param = &params->at[params->count++];

    param->size = 0;
    param->type = type;
    param->array = array;
    param->has_null = false;
    param->failed = false;
    param->count = 0;
    (void)extend(param, ARRAY_HEADER);
    return param;
}

struct pgparam *
pgparams_array(struct pgparams *params, enum pg_type type)
{
    return next_param(params, type, true);
}

struct pgparam *
pgparams_scalar(struct pgparams *params, enum pg_type type)
{
    return next_param(params, type, false);
}

static void
finish(struct pgparams *params, size_t i)
{
    struct pgparam *const param = &params->at[i];

    if (param->array) {
        put32(param->at, param->count == 0 ? 0 : 1);
        put32(param->at + 4, param->has_null ? 1 : 0);
        put32(param->at + 8, (uint32_t)param->type);
        put32(param->at + 12, (uint32_t)param->count);
        put32(param->at + 16, 1);
        params->values[i] = param->at;
        /* An empty array has no dimensions, so that its header ends behind the type. */
        params->lengths[i] = param->count == 0 ? 12 : (int)param->size;
    } else {
        assert(param->count == 1);
        params->values[i] = param->has_null ? NULL : param->at + ARRAY_HEADER + LENGTH_SIZE;
        params->lengths[i] = (int)(param->size - ARRAY_HEADER - LENGTH_SIZE);
    }
    params->formats[i] = 1;
}

bool
pgparams_ready(struct pgparams *params)
{
    for (size_t i = 0; i < params->count; i++) {
        if (params->at[i].failed)
            return false;
        finish(params, i);
    }
    return true;
}

/* Room for the next element of `size` bytes, its length already written. */
static char *
element(struct pgparam *param, enum pg_type type, size_t size)
{
    assert(param->type == type || param->type == PG_ROW ||
           (type == PG_TEXT && param->type == PG_BYTEA));
    char *const at = extend(param, LENGTH_SIZE + size);

    if (at == NULL)
        return NULL;
    put32(at, (uint32_t)size);
    param->count++;
    return at + LENGTH_SIZE;
}

void
pgarray_null(struct pgparam *param)
{
    char *const at = extend(param, LENGTH_SIZE);

    if (at == NULL)
        return;
    put32(at, UINT32_MAX);
    param->has_null = true;
    param->count++;
}

void
pgarray_bool(struct pgparam *param, bool value)
{
    char *const at = element(param, PG_BOOL, 1);

    if (at != NULL)
        *at = value ? 1 : 0;
}

void
pgarray_int4(struct pgparam *param, int32_t value)
{
    char *const at = element(param, PG_INT4, 4);

    if (at != NULL)
        put32(at, (uint32_t)value);
}

static void
put64(char *at, int64_t value)
{
    put32(at, (uint32_t)((uint64_t)value >> 32));
    put32(at + 4, (uint32_t)(uint64_t)value);
}

void
pgarray_int8(struct pgparam *param, int64_t value)
{
    char *const at = element(param, PG_INT8, 8);

    if (at != NULL)
        put64(at, value);
}

void
pgarray_text(struct pgparam *param, struct text value)
{
    char *const at = element(param, PG_TEXT, value.size);

    if (at != NULL && value.size > 0)
        memcpy(at, value.at, value.size);
}

void
pgarray_text_or_null(struct pgparam *param, struct text value)
{
    if (value.at == NULL)
        pgarray_null(param);
    else
        pgarray_text(param, value);
}

/* ms since 1970 as Postgres has it. */
static int64_t
pg_time(int64_t at_ms)
{
    int64_t us;

    if (at_ms == INT64_MAX)
        return INT64_MAX;
    if (__builtin_sub_overflow(at_ms, PG_EPOCH_MS, &us) ||
        __builtin_mul_overflow(us, INT64_C(1000), &us))
        return INT64_MAX - 1; /* the server refuses it: out of range */
    return us;
}

void
pgarray_time(struct pgparam *param, int64_t at_ms)
{
    char *const at = element(param, PG_TIME, 8);

    if (at != NULL)
        put64(at, pg_time(at_ms));
}

/* Base-10000 digits of a number, most significant first; returns how many. */
static int
groups_of(magnitude number, uint16_t out[NUMERIC_GROUPS])
{
    uint16_t reversed[NUMERIC_GROUPS] = {0};
    int count = 0;

    for (; number > UINT64_MAX; number /= NUMERIC_BASE)
        reversed[count++] = (uint16_t)(number % NUMERIC_BASE);
    /* Nearly all of them are small, and divisions of 64 bits are several times quicker. */
    for (uint64_t rest = (uint64_t)number; rest > 0; rest /= NUMERIC_BASE)
        reversed[count++] = (uint16_t)(rest % NUMERIC_BASE);
    for (int i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

/* A NUMERIC with its length; returns the bytes written. */
static size_t
put_numeric(char *to, bool negative, int whole_groups, const uint16_t *groups, int count,
            int decimals)
{
    const size_t size = NUMERIC_HEADER + 2 * (size_t)count;

    put32(to, (uint32_t)size);
    to += LENGTH_SIZE;
    /* ndigits, weight of the first group, sign, display scale, groups: 2 bytes each. */
    put16(to, (unsigned)count);
    put16(to + 2, (unsigned)(whole_groups - 1));
    put16(to + 4, negative ? NUMERIC_NEGATIVE : 0);
    put16(to + 6, (unsigned)decimals);
    for (int i = 0; i < count; i++)
        put16(to + NUMERIC_HEADER + 2 * (ptrdiff_t)i, groups[i]);
    return LENGTH_SIZE + size;
}

static size_t
put_money(char *to, tally nano)
{
    const magnitude size = nano < 0 ? -(magnitude)nano : (magnitude)nano;
    const uint64_t unit = (uint64_t)MONEY_NANO_PER_UNIT;
    uint64_t fraction;
    uint16_t groups[NUMERIC_GROUPS];
    int whole;

    if (size <= UINT64_MAX) {
        fraction = (uint64_t)size % unit;
        whole = groups_of((uint64_t)size / unit, groups);
    } else {
        fraction = (uint64_t)(size % unit);
        whole = groups_of(size / unit, groups);
    }
    groups[whole] = (uint16_t)(fraction / 100000);
    groups[whole + 1] = (uint16_t)(fraction / 10 % NUMERIC_BASE);
    groups[whole + 2] = (uint16_t)(fraction % 10 * 1000);
    return put_numeric(to, nano < 0, whole, groups, whole + 3, 9);
}

/* Room for `count` NUMERICs of any size; what is not used is given back by trim. */
static char *
numerics(struct pgparam *param, size_t count)
{
    assert(param->type == PG_NUMERIC || param->type == PG_ROW);
    char *const at = extend(param, count * NUMERIC_MOST);

    if (at != NULL)
        param->count += (int32_t)count;
    return at;
}

static void
trim(struct pgparam *param, const char *end)
{
    param->size = (size_t)(end - param->at);
}

void
pgarray_money(struct pgparam *param, tally nano)
{
    char *const at = numerics(param, 1);

    if (at != NULL)
        trim(param, at + put_money(at, nano));
}

void
pgarray_count(struct pgparam *param, tally count)
{
    const magnitude size = count < 0 ? -(magnitude)count : (magnitude)count;
    uint16_t groups[NUMERIC_GROUPS];
    const int whole = groups_of(size, groups);
    char *const at = numerics(param, 1);

    if (at != NULL)
        trim(param, at + put_numeric(at, count < 0, whole, groups, whole, 0));
}

/* ---- a column of many rows ----------------------------------------------------------------------- */

static const void *
member(const void *row, size_t offset)
{
    return (const char *)row + offset;
}

/* Room for `count` elements of together `size` bytes, lengths apart. */
static char *
elements(struct pgparam *param, enum pg_type type, size_t count, size_t size)
{
    assert(param->type == type);
    char *const at = extend(param, count * LENGTH_SIZE + size);

    if (at != NULL)
        param->count += (int32_t)count;
    return at;
}

void
pgarray_text_column(struct pgparam *param, const void *const *rows, size_t count, size_t offset)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += ((const struct text *)member(rows[i], offset))->size;
    char *at = elements(param, PG_TEXT, count, size);

    for (size_t i = 0; i < count && at != NULL; i++) {
        const struct text *const text = member(rows[i], offset);

        put32(at, (uint32_t)text->size);
        at += LENGTH_SIZE;
        if (text->size > 0)
            memcpy(at, text->at, text->size);
        at += text->size;
    }
}

void
pgarray_int8_column(struct pgparam *param, const void *const *rows, size_t count, size_t offset)
{
    char *at = elements(param, PG_INT8, count, count * 8);

    for (size_t i = 0; i < count && at != NULL; i++, at += LENGTH_SIZE + 8) {
        put32(at, 8);
        put64(at + LENGTH_SIZE, *(const int64_t *)member(rows[i], offset));
    }
}

void
pgarray_time_column(struct pgparam *param, const void *const *rows, size_t count, size_t offset)
{
    char *at = elements(param, PG_TIME, count, count * 8);

    for (size_t i = 0; i < count && at != NULL; i++, at += LENGTH_SIZE + 8) {
        put32(at, 8);
        put64(at + LENGTH_SIZE, pg_time(*(const int64_t *)member(rows[i], offset)));
    }
}

void
pgarray_money_column(struct pgparam *param, const void *const *rows, size_t count, size_t offset)
{
    char *at = numerics(param, count);

    if (at == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        at += put_money(at, *(const tally *)member(rows[i], offset));
    trim(param, at);
}

/* ---- COPY ---------------------------------------------------------------------------------------- */

void
pgcopy_begin(struct pgparam *copy)
{
    /* Signature, flags, length of the header's extension. */
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

    *copy = (struct pgparam){.at = copy->at, .room = copy->room, .type = PG_ROW};
    char *const at = extend(copy, sizeof header);

    if (at != NULL)
        memcpy(at, header, sizeof header);
}

static void
put_fields(struct pgparam *copy, int fields)
{
    char *const at = extend(copy, 2);

    if (at == NULL)
        return;
    at[0] = (char)(unsigned char)((unsigned)fields >> 8);
    at[1] = (char)(unsigned char)fields;
}

void
pgcopy_row(struct pgparam *copy, int fields)
{
    put_fields(copy, fields);
}

void
pgcopy_end(struct pgparam *copy)
{
    put_fields(copy, -1);
}
