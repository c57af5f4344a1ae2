/*
 * What the leader of the fleet (engine/fleet.h) asks Postgres, on its own connection.
 */
#ifndef SINKS_STORE_FLEET_H
#define SINKS_STORE_FLEET_H

#include "core/day_rule.h"
#include "core/fleet.h"
#include "sinks/store.h"

/* Takes the lead unless another session has it. It is lost with the connection, which the server ends
 * when it hears nothing for ten seconds. */
bool store_fleet_lead(struct store *store, bool *leads, struct err *why);

/* Hours and slots of the fleet from those of the tenants, when nothing is known of it. */
bool store_fleet_seed(struct store *store, struct text zone, struct text currency, struct err *why);
/* Now, as the shards have settled it; 0 before the first settlement. */
bool store_fleet_time(struct store *store, int64_t *now_ms, struct err *why);

struct fleet_query {
    int64_t from_ms;      /* slots that start then or later */
    struct text currency; /* of tenants that are billed in it */
};
typedef void store_on_sum(void *context, struct text feature, const struct slot *sum);
bool store_fleet_slots(struct store *store, const struct fleet_query *query, store_on_sum *on_sum,
                       void *context, struct err *why);
/* The texts live until the store's next call. */
bool store_fleet_spread(struct store *store, const struct fleet_query *query, struct text feature,
                        struct fleet_spread *out, struct err *why);

/* Sources that have fallen silent and are not told yet, and those that are told and speak again. */
typedef void store_on_source(void *context, struct text source, int64_t last_ms, bool silent);
bool store_fleet_sources(struct store *store, int64_t epoch, store_on_source *on_source,
                         void *context, struct err *why);

/* The last of the next tenants after a name, `count` at most; absent: there are none. Lives until the
 * store's next call. */
bool store_fleet_next(struct store *store, struct text after, int64_t count, struct text *upto,
                      struct err *why);

/* What is to be told of some tenants for the 24 hours before a moment, and what was told and is over. The
 * texts live as long as the call. */
struct day_gate {
    struct text currency;
    tally least; /* impact that is told of */
};
struct day_query {
    enum day_rule rule;
    bool on; /* else what is told is over */
    int64_t until_ms;
    struct text after; /* tenants after this one, */
    struct text upto;  /* and up to this one */
    struct text zone;  /* of tenants that name none; likewise the first currency */
    const struct day_gate *gates;
    size_t gate_count; /* at least 1 */
};
typedef void store_on_finding(void *context, const struct day_finding *finding);
bool store_fleet_day(struct store *store, const struct day_query *query,
                     store_on_finding *on_finding, void *context, struct err *why);

#endif
