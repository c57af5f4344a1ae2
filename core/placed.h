/*
 * Sorting many rows by a number.
 *
 * Settlements write their rows in one order, so that two of them cannot wait for each other.  Any
 * order will do in which all processes agree; so a row has a place among 2^64, a hash of its key,
 * and nothing is compared but rows that meet in one place, which is rare.
 */
#ifndef CORE_PLACED_H
#define CORE_PLACED_H

#include <stddef.h>
#include <stdint.h>

struct placed {
    uint64_t place;
    const void *row;
};

/* Of two struct placed with the same place, as qsort wants it. */
typedef int placed_compare(const void *a, const void *b);

/* Sorts by place, then by `compare`. `spare` has room for as many; less than 2^32. */
void placed_sort(struct placed *rows, struct placed *spare, size_t count, placed_compare *compare);

#endif
