/*
 * Reservations that nobody settles: what a gateway holds before a call, and settles or releases when the
 * call is over.  One that is open after twice its time is told of, for money is held that nobody uses,
 * or a call was made whose usage is missing.
 *
 *     reserve ──► OPEN ──► LATE ──► SETTLED, RELEASED, GIVEN_UP
 *                  │ settle, release                      a day later
 *     settle,      ▼
 *     release ──► EARLY ──► gone: its reserve has come, or nobody waits for it any more
 *
 * Times go by the shard's clock: a reservation has until its `expires`, counted from its event's own
 * time, or what the policy says, and is late when twice that has passed since it was read.  A settle
 * that comes before its reserve is remembered for as long, so that the reserve opens nothing.
 *
 * Bounded: RESERVATION_LIMIT of a tenant are followed, further ones are not (a metric counts them); of
 * those that were settled early the last EARLY_LIMIT are remembered.  One alert a tenant, while any
 * of its reservations is late.
 */
#ifndef RULES_RESERVATION_H
#define RULES_RESERVATION_H

#include "core/table.h"
#include "core/tenant.h"

#define RESERVATION_LIMIT      4096
#define EARLY_LIMIT            64
#define RESERVATION_GIVE_UP_MS CLOCK_DAY_MS

struct reservations {
    struct list open;   /* struct reservation: open and late ones */
    struct list early;  /* struct reservation, in the order they came */
    struct table index; /* id -> place in open */
    size_t late;
    int64_t next_ms; /* not after the first deadline; INT64_MAX: there is none */
};

struct shard;
struct tenant;

/* As loaded, NULL where there are none; aborts when memory is short. */
struct reservations *reservations_recall(const struct tenant_load *load);
void reservations_free(struct reservations *reservations);

/* A counted event of any kind. */
void reservations_event(struct shard *shard, struct tenant *tenant, const struct event *event);
/* What is due by shard time. */
void reservations_turn(struct shard *shard, struct tenant *tenant);
/* Nothing is followed any more. */
void reservations_end(struct shard *shard, struct tenant *tenant);

#endif
