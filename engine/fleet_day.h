/*
 * When the leader of the fleet looks at the rules of the last day (core/day_rule.h): once when it begins to
 * lead, when the policy changes, and when an hour is over.
 */
#ifndef ENGINE_FLEET_DAY_H
#define ENGINE_FLEET_DAY_H

#include "rules/day.h"
#include "rules/shard.h"
#include "sinks/store_fleet.h"

struct fleet_day {
    int64_t until_ms;            /* looked at so far; zeroed: nothing */
    const struct policy *policy; /* by this one */
};

/* What is to be told goes into the shard's open settlement. */
bool fleet_day_look(struct fleet_day *day, struct store *store, struct shard *shard,
                    const struct policy *policy, struct err *why);

#endif
