/*
 * The burst limits of a tenant, where its plan has some, and who is throttled by them.
 *
 * Requests are counted in the shard's one table (core/burst.h), by a key that holds tenant, scope and
 * subject.  Only who exceeded a limit has anything here: a throttle.  It goes through
 *
 *   (none) --exceeded--> ACTIVE --until--> LAPSED --5 min without another--> over, (none)
 *                           ^                 |
 *                           +----exceeded-----+
 *
 * Gateways let go by themselves at `until`, which they were told; what is published when it is over
 * only clears away.
 */
#ifndef RULES_THROTTLE_H
#define RULES_THROTTLE_H

#include "rules/tenant.h"

#define THROTTLE_LIMIT       1000 /* of a tenant; who else exceeds a limit is not throttled */
#define THROTTLE_ALERT_LIMIT 20   /* of them with an alert of their own at the same time */
#define THROTTLE_LEAST_MS    (5 * CLOCK_SECOND_MS)
#define THROTTLE_QUIET_MS    (5 * CLOCK_MINUTE_MS)

struct burst_bound {
    bool on;
    bool attempts;
    bool shadow;
    int64_t limit;
    struct key128 base; /* of tenant and scope: what keys begin with */
};

struct throttle {
    struct throttle_memory memory; /* texts point into `names` */
    struct key128 key;             /* in the table, and in the index below */
    struct text scope;             /* "key/acme/k1" */
    bool lapsed;
    uint64_t row_of; /* number of the settlement that `row` belongs to; 0: none */
    size_t row;
    char names[]; /* subject and scope */
};

struct bursts {
    struct burst_bound at[BURST_SCOPE_COUNT];
    struct throttle **throttles;
    size_t count;
    size_t room;
    struct table index; /* key -> place in throttles; made with the first one */
};

/* What is counted by: of the tenant with this identity, then of one of its keys, addresses, ... */
struct key128 burst_base(struct key128 tenant, enum burst_scope scope, bool attempts);
struct key128 burst_key(struct key128 base, struct text subject);

/* Made where the plan has burst limits or somebody is throttled still. False when memory is short. */
bool bursts_make(struct tenant *tenant, const struct tenant_load *load);
void bursts_free(struct bursts *bursts);
/* What they remember, for bursts_make of another version of the tenant. */
bool bursts_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load);

/* NULL: nobody who is known to have exceeded anything lately. */
struct throttle *throttle_find(const struct bursts *bursts, struct key128 key);
/* NULL: no more can be held. The subject is copied. */
struct throttle *throttle_made(struct tenant *tenant, const struct throttle_memory *memory);
void throttle_drop(struct bursts *bursts, size_t place);

#endif
