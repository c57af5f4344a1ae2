/*
 * The control sink on an embedded broker, with clocks that a test moves, and a reader and a writer of
 * its topic.
 */
#ifndef TESTS_CONTROL_BENCH_H
#define TESTS_CONTROL_BENCH_H

#include "sinks/control.h"
#include "sinks/control_internal.h"
#include "sinks/control_message.h"
#include "tests/check.h"

#include <jansson.h>
#include <librdkafka/rdkafka_mock.h>

#define NOW_MS    INT64_C(1772323200000) /* 2026-03-01T00:00:00Z */
#define EPOCH     INT64_C(7)
#define SHARD     3
#define SEQ(n)    ((EPOCH << CONTROL_COUNTER_BITS) | (n))
#define OLD_SEQ   (((EPOCH - 2) << CONTROL_COUNTER_BITS) | 9)
#define LATER_SEQ (((EPOCH + 2) << CONTROL_COUNTER_BITS) | 1)

enum { RECORD_LIMIT = 512, DEADLINE_S = 20, PARTITIONS = 4 };

struct record {
    char *key;
    json_t *value; /* NULL: tombstone */
};

struct bench {
    char topic[32];
    rd_kafka_t *reader;
    rd_kafka_t *writer;
    struct config config;
    struct metric_set metrics;
    _Atomic int64_t passed_ms; /* of both clocks */
    struct control *control;
    struct record records[RECORD_LIMIT];
    size_t count;
};

/* Of the suites: one embedded broker (it takes its time to stop), a topic for each test. */
extern rd_kafka_mock_cluster_t *bench_mock;
int bench_suite_open(void);
int bench_suite_close(void);

/* The topic of a test, with its reader and writer; bench_control starts the sink, which owns SHARD
 * under EPOCH and may allow. */
struct bench *bench_open(void);
struct bench *bench_open_of(int partitions);
bool bench_control(struct bench *bench);
void bench_close(struct bench *bench);
/* Both clocks go on. */
void bench_pass(struct bench *bench, int64_t ms);
int64_t bench_wall_ms(void *context);
/* Waits until the publisher has looked at everything that is due. */
void bench_turn(struct bench *bench);
/* Waits until the topic has shown `count` records of the scope; the last one, or NULL. */
const struct record *bench_await(struct bench *bench, const char *scope, size_t count);
const json_t *bench_data(const struct record *record);
const char *bench_text(const json_t *data, const char *name);
int64_t bench_integer(const json_t *data, const char *name);
int64_t bench_used(const struct record *record);
/* States of SHARD under EPOCH; the first one allows. */
struct scope_state bench_state(const char *scope);
struct scope_state bench_blocked(const char *scope, int64_t used);
struct scope_state bench_throttled(const char *scope, int64_t ends_ms);
void bench_want(struct bench *bench, struct scope_state state);
/* Of the claim after EPOCH. */
void bench_want_of_next(struct bench *bench, struct scope_state state);
/* When this scope's record is there, the publisher has looked at everything that was due before. */
void bench_await_sentinel(struct bench *bench, const char *scope);
/* A record that another engine wrote. */
void bench_write_foreign(struct bench *bench, struct scope_state state, int64_t seq);
bool bench_await_true(struct bench *bench, bool (*holds)(struct bench *));
bool bench_is_caught_up(struct bench *bench);
bool bench_is_silent(struct bench *bench);
bool bench_all_are_read_back(struct bench *bench);

#endif
