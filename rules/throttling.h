/*
 * When a burst limit speaks, and what comes of it: restrictions, alerts, rows.
 * The inside of a shard, like rules/shard_state.h.
 */
#ifndef RULES_THROTTLING_H
#define RULES_THROTTLING_H

#include "rules/shard_state.h"
#include "rules/throttle.h"

/* An event was booked: it counts against every limit of its tenant that it falls under. */
void throttling_event(struct shard *shard, struct tenant *tenant, const struct record *record,
                      const struct event *event, const struct booking *booking);
/* Asks for the memory of what an event's API key is counted in, first for its place. */
void throttling_foresee_place(const struct shard *shard, const struct lookup *lookup);
void throttling_foresee(const struct shard *shard, const struct lookup *lookup);
/* An event of the tail, that was counted before: its requests are in the window still. */
void throttling_tail(struct shard *shard, const struct record *record, const struct event *event,
                     const struct lookup *lookup);
/* Throttles that end, or are over. */
void throttling_due(struct shard *shard, struct tenant *tenant);
/* All of them, as after a load or another policy: what they restrict is wanted. */
void throttling_all(struct shard *shard, struct tenant *tenant);
/* The earliest deadline of a throttle, and whether there is any. */
int64_t throttling_next(const struct tenant *tenant, bool *restricted);

#endif
