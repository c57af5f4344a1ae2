/*
 * When the quota of a counter speaks, and what comes of it: alerts, restrictions, rows.
 * The inside of a shard, like rules/shard_state.h.
 */
#ifndef RULES_COUNTING_H
#define RULES_COUNTING_H

#include "rules/counter.h"
#include "rules/shard_state.h"

/* An event was booked: every counter it concerns is changed and judged. */
void counting_event(struct shard *shard, struct tenant *tenant, const struct event *event,
                    const struct booking *booking);
/* All of them, as after a load, another policy, or when one is due; what they restrict is to be
 * published when everything else of the tenant was judged, too. */
void counting_all(struct shard *shard, struct tenant *tenant, const struct occasion *occasion);
/* The scopes that they restrict; those that they restrict no more were published before. */
void counting_publish(struct shard *shard, struct tenant *tenant, struct text trigger);
/* What Postgres remembers as open and no counter holds any more: its quota left the plan. */
void counting_left_over(struct shard *shard, const struct tenant *tenant,
                        const struct tenant_load *load);
/* The earliest end of a window that somebody must be told of, and whether any restricts. */
int64_t counting_next(const struct tenant *tenant, bool *restricted);

#endif
