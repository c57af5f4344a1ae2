/*
 * The shard of the fleet (core/fleet.h): what goes in instead of events, and when its breakers speak.
 *
 * A breaker of the fleet is judged by what all tenants spent together, without those whose own
 * breaker deals with them already, and only while no single tenant makes more than half of it: the
 * runaway of one is that one's breaker's matter.  In turn:
 *
 *     shard_fleet_slot       the sums of a slot as they are settled, as often as they are read
 *     shard_advance          what is due until now
 *     shard_fleet_asks       a feature that spends more than is usual: who does?
 *     shard_fleet_spread     the answer
 *     shard_fleet_judge      all that came in is judged
 */
#ifndef RULES_FLEET_H
#define RULES_FLEET_H

#include "core/fleet.h"
#include "core/slots.h"
#include "rules/shard.h"

struct feature;

/* All of them of a feature and slot, whole: of `cost` and the counts everybody's, of `judged` and
 * `judged_calls` of those whose own breaker is at rest. */
void shard_fleet_slot(struct shard *shard, struct text name, const struct slot *sum);
/* False: none asks any more. The name lives as long as the shard. */
bool shard_fleet_asks(struct shard *shard, struct text *feature);
void shard_fleet_spread(struct shard *shard, struct text name, const struct fleet_spread *spread);
void shard_fleet_judge(struct shard *shard);

#define FLEET_SUMMARY_SIZE 1024 /* with names as long as they may be */
/* What is told of a breaker of the fleet, and who spends it; NULL: it does not warn any more. */
struct text fleet_summary(const struct feature *feature, const struct breaker *breaker,
                          char out[FLEET_SUMMARY_SIZE]);

#endif
