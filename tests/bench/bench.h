/*
 * What the commands of bench_tool share: options, clocks, Kafka handles, percentiles.
 *
 * A command does one measurement and prints one JSON object; what goes wrong ends the program with
 * a line on stderr, because a measurement that limps is worth nothing.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct options {
    int count;
    char **word; /* --name value ... */
};
/* NULL when it is not there. */
const char *option(const struct options *options, const char *name);
/* The program ends when it is not there, or is no number. */
const char *option_needed(const struct options *options, const char *name);
int64_t option_number(const struct options *options, const char *name, int64_t fallback);
bool option_flag(const struct options *options, const char *name);

/* To be written, at the path that the option names. */
FILE *file_new(const struct options *options, const char *name);

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

int64_t now_ns(void);  /* monotonic */
int64_t wall_ms(void); /* since 1970 */
int64_t cpu_ns(void);  /* user and system, all threads of this process so far */
int64_t peak_rss_kib(void);
void sleep_until_ns(int64_t at_ns); /* monotonic */

/* Settings in pairs, ended by NULL; on_delivery may be NULL. */
typedef void on_delivery_function(rd_kafka_t *client, const rd_kafka_message_t *message,
                                  void *opaque);
rd_kafka_t *producer_new(const struct options *options, const char *const *settings,
                         on_delivery_function *on_delivery, void *opaque);
/* linger 0, acks all, idempotent: how decisions, and events that are timed, are sent. */
rd_kafka_t *producer_prompt(const struct options *options, on_delivery_function *on_delivery,
                            void *opaque);
/* Hands a message over and lets the client call back; waits while its queue is full. */
void produce_at_last(rd_kafka_t *client, rd_kafka_topic_t *topic, const char *key, void *value,
                     size_t size);
/* A consumer as the engine sets its own up (ingest/consumer.c). */
rd_kafka_t *consumer_new(const struct options *options);
/* Reads these partitions from an offset on into one queue, which is returned. */
rd_kafka_queue_t *consumer_read(rd_kafka_t *client, const char *topic, int partitions,
                                int64_t offset);
int topic_partitions(rd_kafka_t *client, const char *topic);

/* Times of something that happens again and again. Beyond the limit they are not kept. */
struct samples {
    int64_t *ns;
    size_t count;
    size_t limit;
};
void samples_init(struct samples *samples, size_t limit);
void samples_add(struct samples *samples, int64_t ns);
/* "name":{"count":..,"p50_ms":..,"p99_ms":..,"p999_ms":..,"max_ms":..} */
void samples_print(struct samples *samples, const char *name);
void samples_free(struct samples *samples);

int bench_decode(const struct options *options);
int bench_detector(const struct options *options);
int bench_apply(const struct options *options);
int bench_generate(const struct options *options);
int bench_oracle(const struct options *options);
int bench_consume(const struct options *options);
int bench_echo(const struct options *options);
int bench_latency(const struct options *options);

#endif
