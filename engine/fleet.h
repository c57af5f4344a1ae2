/*
 * The leader of the fleet (core/fleet.h): a thread of each engine, of which one leads.
 *
 * Whose session has the advisory lock leads; the lock is lost with the connection, and with it
 * everything: the shard of the fleet is claimed anew, in the next epoch, by whoever comes first, and
 * begins with what Postgres says.  Twice a second the leader takes commands, reads what the shards
 * have settled, judges, and settles what came of it on the same connection, in its epoch: nothing is
 * told to a gateway before it is settled, so that a leader whose time is over says nothing.
 */
#ifndef ENGINE_FLEET_H
#define ENGINE_FLEET_H

#include "config/config.h"
#include "core/metric.h"
#include "rules/policy.h"
#include "sinks/control.h"

struct notifier;

struct fleet_setup {
    const struct config *config;
    const struct policy *policy; /* for a fleet that was never judged */
    const char *name;            /* the engine's */
    struct control *control;
    struct notifier *notifier;
    struct metric_set *metrics;
};

struct fleet;

/* NULL when memory or threads are short. */
struct fleet *fleet_start(const struct fleet_setup *setup);
/* It is to end; does not wait for that. */
void fleet_drain(struct fleet *fleet);
/* Ends the thread once what it is doing is done. */
void fleet_stop(struct fleet *fleet);
/* A stranger's record stands on a scope of the fleet. */
void fleet_offer(struct fleet *fleet, struct text scope);

#endif
