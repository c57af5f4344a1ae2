/* What the anomaly detector costs: a series in bytes, a window in nanoseconds of CPU. */
#include "core/watch.h"
#include "tests/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>

enum { SERIES = 1024 };

/* Values of a busy and a quiet half of the day, a new one each time. */
static float
next_value(uint64_t *state, int64_t window)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (float)(*state >> 44) * 1e-4F + (window % 288 > 144 ? 100.0F : 10.0F);
}

/* Of the six series of a watch, the largest. */
static size_t
stored_size(const struct watch *watch)
{
    char state[WATCH_STATE_SIZE];
    size_t most = 0;

    for (int m = 0; m < WATCH_METRIC_COUNT; m++) {
        const size_t size = watch_store(watch, (enum watch_metric)m, state);

        most = size > most ? size : most;
    }
    return most;
}

int
bench_detector(const struct options *options)
{
    static struct detector series[SERIES];
    static struct watch watches[SERIES];
    const int64_t rounds = option_number(options, "rounds", 1000);
    uint64_t state = 1;
    float sum = 0;
    int64_t began_ns = cpu_ns();

    for (int64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < SERIES; i++)
            sum += detector_window(&series[i], round * 300, next_value(&state, round)).score;
    const int64_t detector_ns = cpu_ns() - began_ns;

    for (size_t i = 0; i < SERIES; i++)
        watch_begin(&watches[i], 0);
    began_ns = cpu_ns();
    for (int64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < SERIES; i++) {
            const float value = next_value(&state, round);
            const struct watch_usage usage = {.sums = {value, value, value, 1, value, value}};
            struct watch_window window = {.start_ms = 0};

            (void)watch_take(&watches[i], &usage, &window);
            sum += window.findings[WATCH_COST].value;
        }
    const int64_t watch_ns = cpu_ns() - began_ns;
    const double windows = (double)rounds * SERIES;

    printf("{\"windows\":%.0f,\"series_bytes\":%zu,\"stored_bytes\":%zu,\"window_ns\":%.1f,"
           "\"watch_window_ns\":%.1f,\"sum\":%.0f}\n",
           windows, sizeof(struct detector), stored_size(&watches[0]),
           (double)detector_ns / windows, (double)watch_ns / windows / WATCH_METRIC_COUNT,
           (double)sum);
    return 0;
}
