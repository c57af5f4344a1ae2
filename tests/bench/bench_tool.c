/* The parts of `make bench` that must be as fast as the engine; run_bench.py puts them together. */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(const struct options *options);
    const char *usage;
};

static const struct command commands[] = {
    {"decode", bench_decode,
     "[--events N] [--rounds N]\n"
     "      decodes UM-1 from memory: nanoseconds of CPU an event"},
    {"apply", bench_apply,
     "[--events N]\n"
     "      decodes and books UM-1 from memory: what an event costs without Kafka and Postgres"},
    {"detector", bench_detector,
     "[--rounds N]\n"
     "      feeds 1,024 series N windows: bytes a series, nanoseconds of CPU a window"},
    {"generate", bench_generate,
     "--topic T --events N --limits FILE [--seed N] [--keys N --rate N --first N] [--dry]\n"
     "      writes N records of UM-1, and limits for its tenants; or of so many keys in turn"},
    {"oracle", bench_oracle,
     "--topic T --limits FILE --totals FILE --decisions FILE [--burst N]\n"
     "      reads UM-1 back and writes what it adds up to, and what is to be decided"},
    {"consume", bench_consume,
     "--topic T [--parse]\n"
     "      reads all of it with librdkafka alone and touches a byte of each; --parse: also into\n"
     "      events with the engine's decoder"},
    {"echo", bench_echo,
     "--topic A --back B --rate N --seconds N [--every N]\n"
     "      produce, consume, produce, consume; one in --every comes back"},
    {"latency", bench_latency,
     "--topic T --control C --postgres URL --rate N --seconds N [--limit N] [--every N]\n"
     "      events at a rate, one in --every (50) reaches its tenant's limit; how long until a "
     "block\n"
     "      stands on the control topic, and until an event stands in Postgres"},
};

int
main(int argc, char **argv)
{
    const struct options options = {argc - 2, argv + 2};

    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(&options);
    fputs("usage: bench_tool COMMAND --brokers HOST:PORT ...\n", stderr);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].usage);
    return 2;
}
