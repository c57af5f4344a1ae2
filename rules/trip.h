/*
 * When the breaker of a feature speaks, and what comes of it: restrictions, alerts, rows.
 * The inside of a shard, like rules/shard_state.h.
 */
#ifndef RULES_TRIP_H
#define RULES_TRIP_H

#include "rules/shard_state.h"

/* An event was booked: its feature spends. */
void trip_event(struct shard *shard, struct tenant *tenant, const struct event *event,
                const struct booking *booking);
/* Breakers that are due are judged. */
void trip_due(struct shard *shard, struct tenant *tenant);
/* All of them, as after a load, another policy or zone: what they restrict is wanted. */
void trip_all(struct shard *shard, struct tenant *tenant);
/* The policy has no breakers any more: they come to rest. */
void trip_removed(struct shard *shard, struct tenant *tenant);
/* The earliest deadline of a breaker, and whether any restricts or alarms. */
int64_t trip_next(const struct tenant *tenant, bool *restricted);

#endif
