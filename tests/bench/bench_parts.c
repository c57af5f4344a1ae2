#include "tests/bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void
die(const char *format, ...)
{
    va_list list;

    fputs("bench_tool: ", stderr);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    _Exit(1); /* from any thread: nothing is worth tidying up */
}

/* ---- options ---------------------------------------------------------------------------------- */

const char *
option(const struct options *options, const char *name)
{
    for (int i = 0; i + 1 < options->count; i++)
        if (strcmp(options->word[i], name) == 0)
            return options->word[i + 1];
    return NULL;
}

const char *
option_needed(const struct options *options, const char *name)
{
    const char *value = option(options, name);

    if (value == NULL)
        die("%s is missing", name);
    return value;
}

int64_t
option_number(const struct options *options, const char *name, int64_t fallback)
{
    const char *value = option(options, name);
    char *end = NULL;
    long long number;

    if (value == NULL)
        return fallback;
    errno = 0;
    number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < 0)
        die("%s must be a whole number, not \"%s\"", name, value);
    return number;
}

bool
option_flag(const struct options *options, const char *name)
{
    for (int i = 0; i < options->count; i++)
        if (strcmp(options->word[i], name) == 0)
            return true;
    return false;
}

FILE *
file_new(const struct options *options, const char *name)
{
    FILE *file = fopen(option_needed(options, name), "w");

    if (file == NULL)
        die("%s: cannot be written", option(options, name));
    return file;
}

/* ---- clocks ----------------------------------------------------------------------------------- */

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t
wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

int64_t
cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t
peak_rss_kib(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

void
sleep_until_ns(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                                .tv_nsec = (long)(at_ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* ---- Kafka ------------------------------------------------------------------------------------ */

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        die("%s=%s: %s", name, value, text);
}

static rd_kafka_t *
client(const struct options *options, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[256];

    set(conf, "bootstrap.servers", option_needed(options, "--brokers"));
    rd_kafka_t *made = rd_kafka_new(type, conf, text, sizeof text);

    if (made == NULL)
        die("%s", text);
    return made;
}

rd_kafka_t *
producer_new(const struct options *options, const char *const *settings,
             on_delivery_function *on_delivery, void *opaque)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "partitioner", "murmur2_random");
    set(conf, "acks", "all");
    for (; settings[0] != NULL; settings += 2)
        set(conf, settings[0], settings[1]);
    rd_kafka_conf_set_opaque(conf, opaque);
    if (on_delivery != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return client(options, RD_KAFKA_PRODUCER, conf);
}

rd_kafka_t *
producer_prompt(const struct options *options, on_delivery_function *on_delivery, void *opaque)
{
    static const char *const settings[] = {
        "linger.ms", "0", "enable.idempotence", "true", "socket.nagle.disable", "true", NULL};

    return producer_new(options, settings, on_delivery, opaque);
}

void
produce_at_last(rd_kafka_t *client_of, rd_kafka_topic_t *topic, const char *key, void *value,
                size_t size)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, key,
                            strlen(key), NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        (void)rd_kafka_poll(client_of, 10);
    }
    (void)rd_kafka_poll(client_of, 0);
}

rd_kafka_t *
consumer_new(const struct options *options)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "isolation.level", "read_committed");
    set(conf, "check.crcs", "true");
    set(conf, "socket.nagle.disable", "true");
    set(conf, "fetch.wait.max.ms", "100");
    set(conf, "fetch.message.max.bytes", "262144");
    set(conf, "queued.min.messages", "5000");
    /* Since librdkafka 2.2.0; before it the caller keeps the fetcher awake. */
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", NULL, 0);
    rd_kafka_t *made = client(options, RD_KAFKA_CONSUMER, conf);

    (void)rd_kafka_poll_set_consumer(made);
    return made;
}

rd_kafka_queue_t *
consumer_read(rd_kafka_t *client_of, const char *topic, int partitions, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client_of);

    for (int i = 0; i < partitions; i++) {
        rd_kafka_queue_t *part = rd_kafka_queue_get_partition(client_of, topic, i);

        rd_kafka_queue_forward(part, queue);
        rd_kafka_queue_destroy(part);
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = offset;
    }
    const rd_kafka_resp_err_t code = rd_kafka_assign(client_of, list);

    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("%s: %s", topic, rd_kafka_err2str(code));
    return queue;
}

int
topic_partitions(rd_kafka_t *client_of, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client_of, topic, NULL);
    const rd_kafka_resp_err_t code = rd_kafka_metadata(client_of, 0, handle, &metadata, 10000);

    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("%s: %s", topic, rd_kafka_err2str(code));
    const int count = metadata->topics[0].partition_cnt;

    rd_kafka_metadata_destroy(metadata);
    if (count == 0)
        die("%s: no such topic", topic);
    return count;
}

/* ---- percentiles ------------------------------------------------------------------------------ */

void
samples_init(struct samples *samples, size_t limit)
{
    *samples = (struct samples){.limit = limit, .ns = calloc(limit + 1, sizeof *samples->ns)};
    if (samples->ns == NULL)
        die("memory is short");
}

void
samples_add(struct samples *samples, int64_t ns)
{
    if (samples->count < samples->limit)
        samples->ns[samples->count++] = ns;
}

static int
by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The smallest that is not below `thousandths` of all. */
static double
percentile_ms(const struct samples *samples, size_t thousandths)
{
    if (samples->count == 0)
        return 0;
    size_t rank = (samples->count * thousandths + 999) / 1000;

    rank = rank > 0 ? rank - 1 : 0;
    return (double)samples->ns[rank] / 1e6;
}

void
samples_print(struct samples *samples, const char *name)
{
    qsort(samples->ns, samples->count, sizeof *samples->ns, by_size);
    printf("\"%s\":{\"count\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,"
           "\"max_ms\":%.3f}",
           name, samples->count, percentile_ms(samples, 500), percentile_ms(samples, 990),
           percentile_ms(samples, 999), percentile_ms(samples, 1000));
}

void
samples_free(struct samples *samples)
{
    free(samples->ns);
}
