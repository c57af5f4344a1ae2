#include "core/placed.h"

#include <stdlib.h>

enum { DIGIT_BITS = 8, DIGITS = 64 / DIGIT_BITS, DIGIT_VALUES = 1 << DIGIT_BITS };
_Static_assert(DIGITS % 2 == 0, "an even number of passes ends in the array it began in");

static unsigned
digit_of(uint64_t place, int digit)
{
    return (unsigned)(place >> digit * DIGIT_BITS) % DIGIT_VALUES;
}

/* Counts how often each value occurs to where its first one goes. */
static void
begin_of_each(uint32_t counts[DIGIT_VALUES])
{
    uint32_t begin = 0;

    for (int value = 0; value < DIGIT_VALUES; value++) {
        const uint32_t here = counts[value];

        counts[value] = begin;
        begin += here;
    }
}

/* Least significant digit first. */
static void
sort_by_place(struct placed *rows, struct placed *spare, size_t count)
{
    uint32_t counts[DIGITS][DIGIT_VALUES] = {{0}};

    for (size_t i = 0; i < count; i++)
        for (int digit = 0; digit < DIGITS; digit++)
            counts[digit][digit_of(rows[i].place, digit)]++;
    for (int digit = 0; digit < DIGITS; digit++) {
        struct placed *const sorted = spare;

        begin_of_each(counts[digit]);
        for (size_t i = 0; i < count; i++)
            sorted[counts[digit][digit_of(rows[i].place, digit)]++] = rows[i];
        spare = rows;
        rows = sorted;
    }
}

void
placed_sort(struct placed *rows, struct placed *spare, size_t count, placed_compare *compare)
{
    sort_by_place(rows, spare, count);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && rows[end].place == rows[i].place; end++)
            continue;
        if (end - i > 1)
            qsort(&rows[i], end - i, sizeof *rows, compare);
    }
}
