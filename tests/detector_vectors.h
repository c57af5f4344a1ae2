/*
 * The detector against tests/vectors/detector.csv, for the unit tests and for a program of its own
 * that other compilers and settings build.
 */
#ifndef TESTS_DETECTOR_VECTORS_H
#define TESTS_DETECTOR_VECTORS_H

#include "core/detector.h"

#include <string.h>

#define DETECTOR_VECTORS       "tests/vectors/detector.csv"
#define DETECTOR_VECTORS_COUNT 8064

struct detector_vector {
    int64_t start_s;
    float value;
    struct detector_verdict expected;
};

/* Scores are compared as bits. */
static inline uint32_t
detector_bits(float score)
{
    uint32_t bits;

    memcpy(&bits, &score, sizeof bits);
    return bits;
}

/* Returns how many there are; 0 after a message on stderr when the file cannot be read. */
size_t detector_vectors_read(struct detector_vector *out, size_t limit);
/* Feeds all to a new series; returns how many gave other bits, the first of them in *which. */
size_t detector_vectors_wrong(const struct detector_vector *vectors, size_t count, size_t *which);

#endif
