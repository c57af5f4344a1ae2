/*
 * UM-1: the made usage events that engines are timed on, the same for every engine and every run.
 *
 * An event is a pure function of (seed, number), so that a repeat is made anew instead of being
 * remembered, and totals can be counted without writing a byte.  2,000 tenants Zipf(1.0), 20
 * features Zipf(1.0), 50 keys a tenant Zipf(0.8); projects and models are drawn evenly, which is
 * the hard case: nearly every event then is a row of its own in Postgres.  Six hours of event time
 * from 2026-03-02T00:00Z, +-2 s.  One event in a hundred comes again 1 to 20,000 positions later.
 */
#ifndef TESTS_BENCH_UM1_H
#define TESTS_BENCH_UM1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UM1_TENANTS    2000
#define UM1_FEATURES   20
#define UM1_HOURS      6
#define UM1_KEYS       50
#define UM1_START_MS   INT64_C(1772409600000)
#define UM1_AHEAD      20000 /* positions a repeat comes later, at most */
#define UM1_ORDER_ROOM ((size_t)2 * UM1_AHEAD)
#define UM1_SIZE       1024 /* bytes an event never reaches */

/* Walker's alias method: a draw from a fixed distribution in two loads. */
struct um1_draw {
    uint32_t count;
    uint32_t limit[UM1_TENANTS]; /* below: itself, else the alias */
    uint32_t alias[UM1_TENANTS];
};

struct um1 {
    uint64_t seed;
    int64_t records; /* positions in the topic; event time is spread over them */
    struct um1_draw tenant;
    struct um1_draw feature;
    struct um1_draw key;
};

struct um1_event {
    int64_t number;
    int64_t at_ms;
    char prefix; /* of the tenant's name: 't', and others for what is no part of UM-1 */
    int tenant;
    int feature;
    int project;
    int key;
    int model;
    int latency_ms;
    int64_t input_tokens;
    int64_t cache_read_tokens;
    int64_t output_tokens;
    int64_t cost_nano;
    uint64_t noise[2]; /* request_id, client_ip */
};

void um1_init(struct um1 *um1, uint64_t seed, int64_t records);
void um1_make(const struct um1 *um1, int64_t number, struct um1_event *event);

/* What stands at each position of the topic, from the first on. */
struct um1_order {
    const struct um1 *um1;
    int64_t position;
    int64_t fresh;                 /* number of the next new event */
    int64_t again[UM1_ORDER_ROOM]; /* by position: event that is due again, -1: none */
};
void um1_order_init(struct um1_order *order, const struct um1 *um1);
/* Number of the event at the next position; *repeat: it has been there before. */
int64_t um1_next(struct um1_order *order, bool *repeat);

/* Keeps the text of the day, which changes rarely. */
struct um1_writer {
    int64_t day;
    char date[16];
};
/* The event's JSON into out[UM1_SIZE]; its size. The tenant's name (the key) goes to *subject. */
size_t um1_write(struct um1_writer *writer, const struct um1_event *event, char *out,
                 char subject[24]);

#endif
