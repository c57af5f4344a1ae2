/*
 * From alert transitions to delivered messages.
 *
 * One thread with its own connection: it routes unrouted transitions, groups them, freezes outbox
 * rows in its own transaction, claims due rows with a lease, sends them (sinks/webhook, sinks/email)
 * and writes what became of each.  At least once, with stable ids.  Several engines may run a
 * notifier at the same time: row locks and leases arbitrate.
 */
#ifndef SINKS_NOTIFIER_H
#define SINKS_NOTIFIER_H

#include "config/config.h"
#include "core/metric.h"

struct notifier;

/* Starts the thread; it connects by itself and keeps trying. NULL when memory is short. */
struct notifier *notifier_start(const struct config *config, struct metric_set *metrics);
/* A settlement wrote transitions: look now instead of at the next turn. */
void notifier_wake(struct notifier *notifier);
/* New receivers after a reload; config must live until the notifier is stopped or given another. */
void notifier_reconfigure(struct notifier *notifier, const struct config *config);
/* Lets what is in flight finish for at most deadline_ms. */
void notifier_stop(struct notifier *notifier, int64_t deadline_ms);

#endif
