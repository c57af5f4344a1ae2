/*
 * When the leader of the fleet looks at the rules of the last day (core/day_rule.h): at all tenants, some
 * at a time, when it begins to lead, when the policy changes, and when an hour is over.
 *
 * What it asks costs as much as the keys and models of those tenants have hours in a day.  So it asks
 * for as many as are answered in little time, and goes on in the next turn: breakers of the fleet do
 * not wait for it.  Tenants whose answer does not come in the time of a statement are left out, and
 * said so.
 */
#ifndef ENGINE_FLEET_DAY_H
#define ENGINE_FLEET_DAY_H

#include "rules/day.h"
#include "rules/shard.h"
#include "sinks/store_fleet.h"

#define DAY_TENANT_SIZE 256

/* Zeroed: nothing was looked at. */
struct fleet_day {
    int64_t until_ms;            /* of the last look at all of them, which may be under way */
    const struct policy *policy; /* likewise */
    bool under_way;
    int64_t count;               /* of tenants at a time */
    char after[DAY_TENANT_SIZE]; /* looked at up to this one */
};

/* What is to be told goes into the shard's open settlement. False when Postgres does not answer. */
bool fleet_day_look(struct fleet_day *day, struct store *store, struct shard *shard,
                    const struct policy *policy, struct err *why);

#endif
