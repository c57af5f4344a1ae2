#include "sinks/pgread.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t
get(const char *from, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | (unsigned char)from[i];
    return value;
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
