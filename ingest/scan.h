/*
 * The first byte of a text that needs a look: anything but printable ASCII, a quote, a backslash.
 *
 * Sixteen bytes at a time where the processor surely has the instructions (SSE2 is part of every
 * x86-64), eight in plain C elsewhere.  Both are always there, so that they can be tested against
 * each other.  Reads up to SCAN_ROOM bytes from where the text begins, and on from each full step:
 * the text must have a byte that ends the scan, and SCAN_ROOM readable bytes from there on.
 */
#ifndef INGEST_SCAN_H
#define INGEST_SCAN_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SCAN_ROOM 16

static inline const char *
scan_portable(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = UINT64_C(0x8080808080808080);

    for (;; at += 8) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        /* A high bit for each such byte; carries and borrows come from such bytes only and spoil
         * at most what stands behind the first. */
        const uint64_t quote = word ^ ones * '"';
        const uint64_t backslash = word ^ ones * '\\';
        const uint64_t odd = (word | (word + ones) | (word - ones * 0x20) |
                              ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) &
                             high;

        if (odd != 0)
            return at + __builtin_ctzll(odd) / 8;
    }
}

static inline const char *
scan(const char *at)
{
#if defined(__SSE2__)
    for (;; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* From a blank on there are 95 printable bytes. */
        const __m128i beyond = _mm_sub_epi8(bytes, _mm_set1_epi8(' '));
        const __m128i unprintable = _mm_cmpeq_epi8(_mm_max_epu8(beyond, _mm_set1_epi8(95)), beyond);
        const __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                          _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        const unsigned odd = (unsigned)_mm_movemask_epi8(_mm_or_si128(unprintable, mark));

        if (odd != 0)
            return at + (unsigned)__builtin_ctz(odd);
    }
#else
    return scan_portable(at);
#endif
}

#endif
