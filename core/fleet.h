/*
 * The fleet: the same feature over all tenants.
 *
 * A runaway that is spread over many small tenants trips none of their breakers.  The fleet is judged
 * as one more tenant, called `*`, at home in a shard of its own that no partition feeds: what goes in
 * are the settled slots of all tenants, summed a feature (rules/fleet.h).  What comes out is what
 * comes out of any shard: settlements in an epoch of its own, alerts, restrictions of the scope of the
 * feature in tenant `*`; commands go in the same way too.  One engine has the shard, see engine/fleet.h.
 */
#ifndef CORE_FLEET_H
#define CORE_FLEET_H

#include "core/money.h"
#include "core/text.h"

#define FLEET_SHARD 100000 /* no partition has this number: there are at most so many */
/* Nobody else can be called so: an event's tenant `*` would be at home in the fleet's shard, and what
 * comes elsewhere is counted but not judged. In scopes it stands as it is, any other `*` is encoded. */
#define FLEET_TENANT TEXT("*")

#define FLEET_TOP 3
/* Who spends what a feature spends, in the last 60 minutes. */
struct fleet_spread {
    int64_t tenants;
    tally whole;
    size_t count; /* of those that spend most, in order */
    struct {
        struct text tenant;
        tally cost;
    } top[FLEET_TOP];
};

#endif
