/* Carries in a shard: what is to be stored of them, and late usage that changes them. */
#ifndef RULES_CARRYING_H
#define RULES_CARRYING_H

#include "rules/booking.h"
#include "rules/carry.h"
#include "rules/shard.h"

/* What has changed goes into the settlement; what is final leaves memory. */
void carrying_store(struct shard *shard, struct tenant *tenant);
/* Something was booked in a period of the past, which may change. */
void carrying_late(struct shard *shard, struct tenant *tenant, const struct booking *booking,
                   struct text trigger);

#endif
