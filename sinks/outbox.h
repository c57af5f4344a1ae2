/*
 * The outbox: from transitions to frozen messages to their fate, in SQL.
 *
 *              +--> superseded (over before it was delivered)
 *   queued ----+--> leased --> delivered
 *      ^       |      |  \---> retry --> leased ...
 *      |       |      |   \--> dead
 *   routing ---+--> suppressed (and why)
 *
 * Routing takes a batch of transitions, decides for each endpoint of their receivers what it is
 * told, and freezes the messages, all in one transaction: a crash leaves a transition either
 * unrouted or routed whole.  A claim is one statement: it leases the head of each group, never two messages of
 * a group at once, counts the attempt and takes a new fencing token.  An outcome reported under an
 * old token changes nothing.
 *
 * Time is the database's, so that engines whose clocks differ agree; tests set their own.
 *
 * One connection, owned by one thread.
 */
#ifndef SINKS_OUTBOX_H
#define SINKS_OUTBOX_H

#include "sinks/delivery.h"

/* Numbers without operators: they are part of SQL statements. */
#define LEASE_MS               60000
#define ENDPOINT_FLIGHT_LIMIT  4 /* messages under way to one endpoint */
#define ENDPOINT_FAILURE_LIMIT 5 /* failures in a row from which on an endpoint is only probed */
#define ENDPOINT_PROBE_MS      60000
#define ENDPOINT_FAILING_HOURS 120 /* failing for so long, it is switched off */

struct outbox;

struct outbox *outbox_open(const struct config *config, struct err *why);
void outbox_close(struct outbox *outbox);
/* The connection is gone: close and open again. */
bool outbox_broken(const struct outbox *outbox);
/* From now on it is this time; 0: the database's clock again. */
void outbox_set_now(struct outbox *outbox, int64_t now_ms);

/* Makes the endpoints of the configuration known; one whose target changed starts anew. */
bool outbox_endpoints(struct outbox *outbox, const struct config *config, struct err *why);

/* Routes the oldest transitions that nobody else is routing, at most one of each alert. How many; 0:
 * there is none, -1: failed, nothing changed. */
int outbox_route(struct outbox *outbox, const struct config *config, struct err *why);

/* Claims one due message of an endpoint of the configuration; its texts live in the arena.
 * 1: claimed, 0: nothing is due, -1: failed. */
int outbox_claim(struct outbox *outbox, const struct config *config, struct arena *arena,
                 struct delivery *out, struct err *why);

/* What became of a claimed message. */
enum fate { FATE_DELIVERED, FATE_RETRY, FATE_DEAD, FATE_STALE };
/* Writes it down, raises `delivery/dead` or `delivery/disabled` where it must. FATE_STALE: somebody
 * else holds the message by now, nothing was changed. */
bool outbox_finish(struct outbox *outbox, const struct delivery *delivery,
                   const struct attempt *attempt, enum fate *fate, struct err *why);

/* Gives up messages of endpoints that are not configured any more and have grown too old. */
bool outbox_sweep(struct outbox *outbox, const struct config *config, struct err *why);

#endif
