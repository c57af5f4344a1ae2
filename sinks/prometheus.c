#include "sinks/prometheus.h"

#include "core/event.h"

#include <inttypes.h>

enum { TYPE_COUNTER, TYPE_GAUGE };
static const char *const type_names[] = {[TYPE_COUNTER] = "counter", [TYPE_GAUGE] = "gauge"};

static const struct {
    const char *name;
    const char *labels;
    int type;
    const char *help;
} rows[METRIC_COUNT] = {
#define METRIC(id, name, labels, type, help) {(name), (labels), TYPE_##type, (help)},
#include "core/metrics.def"
#undef METRIC
};

static void
put_head(struct writer *out, const char *name, const char *type, const char *help)
{
    writer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_table(struct writer *out, const struct status_source *source)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        int64_t sum = 0;

        for (size_t j = 0; j < source->set_count; j++)
            sum += metric_get(source->sets[j], (enum metric)i);
        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            put_head(out, rows[i].name, type_names[rows[i].type], rows[i].help);
        writer_string(out, rows[i].name);
        if (rows[i].labels[0] != '\0')
            writer_format(out, "{%s}", rows[i].labels);
        writer_format(out, " %" PRId64 "\n", sum);
    }
}

/* Milliseconds as decimal seconds, exactly. */
static void
put_seconds(struct writer *out, int64_t ms)
{
    writer_format(out, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

static void
put_delay(struct writer *out, const struct status_source *source)
{
    static const char name[] = "tripmeter_decision_delay_seconds";
    int64_t count = 0;
    int64_t sum_ms = 0;

    put_head(out, name, "histogram",
             "From the broker's time of the record to the decision being handed to Kafka");
    for (size_t i = 0; i < DELAY_BUCKETS; i++) {
        for (size_t j = 0; j < source->set_count; j++)
            count += atomic_load_explicit(&source->sets[j]->delay[i], memory_order_relaxed);
        writer_format(out, "%s_bucket{le=\"", name);
        if (i < DELAY_BUCKETS - 1)
            put_seconds(out, delay_bounds_ms[i]);
        else
            writer_string(out, "+Inf");
        writer_format(out, "\"} %" PRId64 "\n", count);
    }
    for (size_t j = 0; j < source->set_count; j++)
        sum_ms += atomic_load_explicit(&source->sets[j]->delay_sum_ms, memory_order_relaxed);
    writer_format(out, "%s_sum ", name);
    put_seconds(out, sum_ms);
    writer_format(out, "\n%s_count %" PRId64 "\n", name, count);
}

static void
put_dead(struct writer *out, const struct status_source *source)
{
    static const char name[] = "tripmeter_dead_events_total";

    put_head(out, name, "counter", "Events refused, by reason");
    for (size_t i = 0; i < DEAD_COUNT; i++) {
        int64_t sum = 0;

        for (size_t j = 0; j < source->set_count; j++)
            sum += atomic_load_explicit(&source->sets[j]->dead[i], memory_order_relaxed);
        writer_format(out, "%s{reason=\"%s\"} %" PRId64 "\n", name, dead_names[i], sum);
    }
}

/* Label values: backslash, quote and newline are escaped. */
static void
put_label(struct writer *out, struct text value)
{
    for (size_t i = 0; i < value.size; i++)
        switch (value.at[i]) {
        case '\n':
            writer_string(out, "\\n");
            break;
        case '"':
        case '\\':
            writer_string(out, "\\");
            writer_add(out, &value.at[i], 1);
            break;
        default:
            writer_add(out, &value.at[i], 1);
        }
}

/* One of the series of partitions, which are several passes over the same partitions. */
struct partition_series {
    const char *name;
    const char *help;
    enum { SERIES_RECORDS, SERIES_SECONDS, SERIES_HALTED } value;
    struct writer *out;
};

static void
put_partition(void *to, const struct status_partition *partition)
{
    const struct partition_series *series = to;
    struct writer *out = series->out;
    const int64_t lag =
        series->value == SERIES_RECORDS ? partition->lag_records : partition->lag_ms;

    if (series->value != SERIES_HALTED && lag < 0)
        return;
    writer_format(out, "%s{topic=\"", series->name);
    put_label(out, partition->topic);
    writer_format(out, "\",partition=\"%" PRId32 "\"} ", partition->partition);
    switch (series->value) {
    case SERIES_RECORDS:
        writer_format(out, "%" PRId64, lag);
        break;
    case SERIES_SECONDS:
        put_seconds(out, lag);
        break;
    case SERIES_HALTED:
        writer_format(out, "%d", partition->halted.at != NULL);
        break;
    }
    writer_string(out, "\n");
}

static void
put_partitions(struct writer *out, const struct status_source *source)
{
    const struct partition_series all[] = {
        {"tripmeter_partition_lag_records", "Records between the position and the end",
         SERIES_RECORDS, out},
        {"tripmeter_partition_lag_seconds", "Age of the oldest record not yet processed",
         SERIES_SECONDS, out},
        {"tripmeter_partition_halted", "1 when the partition stopped and needs an operator",
         SERIES_HALTED, out},
    };

    if (source->partitions == NULL)
        return;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct partition_series series = all[i];

        put_head(out, series.name, "gauge", series.help);
        source->partitions(source->context, put_partition, &series);
    }
}

void
prometheus_write(struct writer *out, const struct status_source *source)
{
    put_table(out, source);
    put_delay(out, source);
    put_dead(out, source);
    put_partitions(out, source);
}
