/*
 * What decoding costs alone: UM-1 made in memory, read again and again by one decoder.  The values
 * lie one behind the other and do not fit the processor's nearer caches, as those of Kafka do not.
 */
#include "ingest/decode.h"
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct value {
    struct text text;
    int64_t at_ms;
};

static int
compare_ns(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
make_values(struct value *values, char *bytes, int64_t count)
{
    struct um1 *um1 = calloc(1, sizeof *um1);
    struct um1_writer writer = {.day = -1};
    struct um1_event event;
    char subject[24];

    if (um1 == NULL)
        die("memory is short");
    um1_init(um1, 1, count);
    for (int64_t i = 0; i < count; i++) {
        um1_make(um1, i, &event);
        values[i].text = (struct text){bytes, um1_write(&writer, &event, bytes, subject)};
        values[i].at_ms = event.at_ms;
        bytes += values[i].text.size;
    }
    free(um1);
}

/* All values, asked for ahead as the engine does.  The sum of their costs is there so that nothing
 * is optimised away. */
static int64_t
decode_all(struct decoder *decoder, const struct value *values, int64_t count, int64_t *sum)
{
    const int64_t start_ns = cpu_ns();

    for (int64_t i = 0; i < count; i++) {
        const struct record record = {.time_ms = values[i].at_ms, .value = values[i].text};
        struct event event;
        struct dead dead;

        if (i + 8 < count)
            decoder_ahead(values[i + 8].text);
        decoder_open(decoder, &record);
        if (decoder_next(decoder, &event, &dead) != DECODED_EVENT)
            die("event %" PRId64 " is none", i);
        *sum += event.cost.nano;
        if (decoder_next(decoder, &event, &dead) != DECODED_END)
            die("event %" PRId64 " is two", i);
    }
    return cpu_ns() - start_ns;
}

int
bench_decode(const struct options *options)
{
    const int64_t count = option_number(options, "--events", 20000);
    const int64_t rounds = option_number(options, "--rounds", 21);
    struct value *values = calloc((size_t)count, sizeof *values);
    char *bytes = malloc((size_t)count * UM1_SIZE);
    int64_t *taken_ns = calloc((size_t)rounds, sizeof *taken_ns);
    struct decoder *decoder = decoder_new();
    int64_t sum = 0;

    if (values == NULL || bytes == NULL || taken_ns == NULL || decoder == NULL)
        die("memory is short");
    make_values(values, bytes, count);
    for (int64_t i = 0; i < rounds; i++)
        taken_ns[i] = decode_all(decoder, values, count, &sum);
    qsort(taken_ns, (size_t)rounds, sizeof *taken_ns, compare_ns);
    const int64_t median_ns = taken_ns[rounds / 2];

    printf("{\"events\":%" PRId64 ",\"rounds\":%" PRId64
           ",\"median_ns\":%.1f,\"least_ns\":%.1f,\"sum\":%" PRId64 "}\n",
           count, rounds, (double)median_ns / (double)count, (double)taken_ns[0] / (double)count,
           sum);
    decoder_free(decoder);
    free(taken_ns);
    free(bytes);
    free(values);
    return 0;
}
