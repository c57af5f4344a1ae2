#include "sinks/pgarray.h"

#include <assert.h>
#include <stdlib.h>

/* ndim, has-null flag, element type, size of the dimension, lower bound: 4 bytes each. */
#define ARRAY_HEADER 20
#define LENGTH_SIZE  4
/* Postgres counts time in microseconds from 2000-01-01. */
#define PG_EPOCH_MS      INT64_C(946684800000)
#define NUMERIC_BASE     10000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_GROUPS   16 /* 39 digits need 10, 9 decimals need 3 */

__extension__ typedef unsigned __int128 magnitude; /* of a tally, INT128_MIN included */

static void
put32(char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(unsigned char)(value >> (24 - 8 * i));
}

static uint64_t
get(const char *from, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | (unsigned char)from[i];
    return value;
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

void
pgarray_time(struct pgparam *param, int64_t at_ms)
{
    char *const at = element(param, PG_TIME, 8);
    int64_t us;

    if (at == NULL)
        return;
    if (at_ms == INT64_MAX)
        us = INT64_MAX;
    else if (__builtin_sub_overflow(at_ms, PG_EPOCH_MS, &us) ||
             __builtin_mul_overflow(us, INT64_C(1000), &us))
        us = INT64_MAX - 1; /* the server refuses it: out of range */
    put64(at, us);
}

/* Base-10000 digits of a number, most significant first; returns how many. */
static int
groups_of(magnitude number, uint16_t out[NUMERIC_GROUPS])
{
    uint16_t reversed[NUMERIC_GROUPS];
    int count = 0;

    for (; number > 0; number /= NUMERIC_BASE)
        reversed[count++] = (uint16_t)(number % NUMERIC_BASE);
    for (int i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

static void
put_numeric(struct pgparam *param, bool negative, int whole_groups, const uint16_t *groups,
            int count, int decimals)
{
    char *const at = element(param, PG_NUMERIC, 8 + 2 * (size_t)count);

    if (at == NULL)
        return;
    /* ndigits, weight of the first group, sign, display scale, groups: 2 bytes each. */
    put32(at, (uint32_t)count << 16 | (uint16_t)(whole_groups - 1));
    put32(at + 4, (negative ? (uint32_t)NUMERIC_NEGATIVE << 16 : 0) | (uint32_t)decimals);
    for (int i = 0; i < count; i++) {
        at[8 + 2 * i] = (char)(unsigned char)(groups[i] >> 8);
        at[9 + 2 * i] = (char)(unsigned char)groups[i];
    }
}

void
pgarray_money(struct pgparam *param, tally nano)
{
    const magnitude size = nano < 0 ? -(magnitude)nano : (magnitude)nano;
    const uint64_t fraction = (uint64_t)(size % (uint64_t)MONEY_NANO_PER_UNIT);
    uint16_t groups[NUMERIC_GROUPS];
    const int whole = groups_of(size / (uint64_t)MONEY_NANO_PER_UNIT, groups);

    groups[whole] = (uint16_t)(fraction / 100000);
    groups[whole + 1] = (uint16_t)(fraction / 10 % NUMERIC_BASE);
    groups[whole + 2] = (uint16_t)(fraction % 10 * 1000);
    put_numeric(param, nano < 0, whole, groups, whole + 3, 9);
}

void
pgarray_count(struct pgparam *param, tally count)
{
    const magnitude size = count < 0 ? -(magnitude)count : (magnitude)count;
    uint16_t groups[NUMERIC_GROUPS];
    const int whole = groups_of(size, groups);

    put_numeric(param, count < 0, whole, groups, whole, 0);
}

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

bool
pg_read_bool(const PGresult *result, int row, int column)
{
    return !PQgetisnull(result, row, column) && *PQgetvalue(result, row, column) != 0;
}

int64_t
pg_read_int(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    const char *const at = PQgetvalue(result, row, column);

    switch (PQgetlength(result, row, column)) {
    case 2:
        return (int16_t)get(at, 2);
    case 4:
        return (int32_t)get(at, 4);
    default:
        assert(PQgetlength(result, row, column) == 8);
        return (int64_t)get(at, 8);
    }
}

struct text
pg_read_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return (struct text){NULL, 0};
    return (struct text){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

int64_t
pg_read_time(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    const int64_t us = (int64_t)get(PQgetvalue(result, row, column), 8);

    if (us == INT64_MAX)
        return INT64_MAX;
    return us / 1000 - (us % 1000 < 0 ? 1 : 0) + PG_EPOCH_MS;
}

bool
pg_read_money(const PGresult *result, int row, int column, tally *nano)
{
    const char *const at = PQgetvalue(result, row, column);
    const int count = (int)get(at, 2);
    const int weight = (int16_t)get(at + 2, 2);
    const uint64_t sign = get(at + 4, 2);
    tally sum = 0;

    if (PQgetisnull(result, row, column) || (sign != 0 && sign != NUMERIC_NEGATIVE))
        return false;
    /* Group i weighs 10000^(weight - i); the third behind the point has one digit of ours. */
    for (int i = 0; i <= weight + 3; i++) {
        const int64_t group = i < count ? (int64_t)get(at + 8 + 2 * (ptrdiff_t)i, 2) : 0;
        const bool last = i == weight + 3;

        if (last && group % 1000 != 0)
            return false;
        if (__builtin_mul_overflow(sum, (tally)(last ? 10 : NUMERIC_BASE), &sum) ||
            __builtin_add_overflow(sum, (tally)(last ? group / 1000 : group), &sum))
            return false;
    }
    if (count > weight + 4)
        return false;
    *nano = sign == 0 ? sum : -sum;
    return true;
}
