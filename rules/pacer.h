/*
 * When the pace of a quota speaks, and what comes of it: alerts, rows, the turn of the day.
 * The inside of a shard, like rules/shard_state.h.
 */
#ifndef RULES_PACER_H
#define RULES_PACER_H

#include "rules/shard_state.h"

/* One quota, whose scope has used that much. True: it is to be remembered. */
bool pacer_judge(struct shard *shard, const struct tenant *tenant, struct quota_state *state,
                 tally used, enum resolved reason);
/* The first event of a local day comes, and is not booked yet. */
void pacer_turn(struct shard *shard, struct tenant *tenant);
/* The period is over: what is open ends with it. True when anything was. */
bool pacer_close(struct shard *shard, const struct tenant *tenant, struct quota_state *state);
/* What only Postgres remembers as open ends. */
void pacer_left_over(struct shard *shard, const struct tenant *tenant,
                     const struct quota_memory *memory, enum resolved reason);

#endif
