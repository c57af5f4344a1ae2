/* Says whether this build of the detector gives the expected bits, and how long a window takes. */
#include "tests/detector_vectors.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 40, NS_PER_S = 1000000000 };

static struct detector_vector vectors[DETECTOR_VECTORS_COUNT];

/* CPU time: the machine may be busy with something else. */
static double
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * NS_PER_S + (double)now.tv_nsec;
}

int
main(int argc, char **argv)
{
    const size_t count = detector_vectors_read(vectors, DETECTOR_VECTORS_COUNT);
    size_t which = 0;
    size_t wrong = 0;
    const double start_ns = now_ns();

    for (int i = 0; i < ROUNDS; i++)
        wrong += detector_vectors_wrong(vectors, count, &which);
    const double took_ns = now_ns() - start_ns;

    if (count != DETECTOR_VECTORS_COUNT || wrong > 0) {
        printf("%s: %zu of %d windows read, %zu wrong, one is %zu\n", argc > 1 ? argv[1] : argv[0],
               count, DETECTOR_VECTORS_COUNT, wrong / ROUNDS, which);
        return 1;
    }
    printf("%-10s %zu windows bit for bit, %.0f ns each, %zu bytes a series\n",
           argc > 1 ? argv[1] : argv[0], count, took_ns / ROUNDS / (double)count,
           sizeof(struct detector));
    return 0;
}
