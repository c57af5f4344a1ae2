/*
 * Up to eight decimal digits at once, in one 64-bit word (SIMD within a register): a number is read
 * without a loop, and so without a branch that guesses how long it is.
 */
#ifndef CORE_DIGITS_H
#define CORE_DIGITS_H

#include <stdint.h>
#include <string.h>

/* Eight bytes, the first in the lowest place; a digit is there as its value. */
static inline uint64_t
digits_load(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word ^ UINT64_C(0x3030303030303030);
}

/* How many of them, from the first on, are digits: 0..8. */
static inline unsigned
digits_count(uint64_t word)
{
    /* 10 and more reach the highest bit; a carry spoils only what is behind such a byte. */
    const uint64_t others =
        (word | (word + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);

    return others == 0 ? 8 : (unsigned)__builtin_ctzll(others) / 8;
}

/* The number that the first `count` of them write, 1..8. */
static inline uint32_t
digits_value(uint64_t word, unsigned count)
{
    /* Zeros in front; then pairs, fours and eights of digits are joined. */
    word <<= 64 - 8 * count;
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(word * 10000 + (word >> 32));
}

#endif
