/*
 * The control topic: what the gateways follow.
 *
 * A publisher thread holds a map of wanted scope states with dirty marks, not a queue: what is
 * wanted last is what is written.  A stricter outcome leaves at once, everything else at most once a
 * second a scope.  `seq` = epoch << 24 | counter only grows.  The publisher follows the topic and
 * answers a record of its scopes that is not its own latest with the current state.
 *
 * Who has just claimed a shard knows what is settled, and its predecessor may have blocked on more
 * than that.  So until control_may_allow() a block of this shard leaves, and nothing weaker: an
 * allow, a downgrade or a throttle is held back, for it could undo a block that is only going to be
 * derived again.  What an operator says is not held back: it does not hang on events.
 * Message: schemas/control.v1.json.
 */
#ifndef SINKS_CONTROL_H
#define SINKS_CONTROL_H

#include "config/config.h"
#include "core/decision.h"
#include "core/metric.h"

struct control;

/* Creates the topic (compacted) when it is missing and that is permitted, checks cleanup.policy,
 * starts the thread. FATAL when it exists and is not compacted; RETRY when no broker answers. */
struct control *control_open(const struct config *config, struct metric_set *metrics,
                             struct err *why);
/* Flushes what is dirty for at most deadline_ms, stops the thread. */
void control_close(struct control *control, int64_t deadline_ms);

/* Wall clock used for expiry and heartbeats is now + config->clock_offset_ms. */

/* A shard is ours from now on under this epoch; a heartbeat is written at once and then every 10 s.
 * Unless it was ours under this epoch, everything wanted for it is forgotten: the caller wants every
 * state of the shard that has a restriction (again). seq goes on where an epoch left it. */
void control_own(struct control *control, int32_t shard, int64_t epoch);
/* Records of an epoch before this one are of an older layout, and their tenants may be at home in any
 * shard now: scopes that they restrict are strangers (control_stranger) to everybody who does not
 * want them. To be said before control_own. */
void control_layout(struct control *control, int64_t epoch);
/* The shard has judged everything its predecessor can have: what was held back goes, nothing more is
 * held back until it is owned under another epoch. May be called again and again. */
void control_may_allow(struct control *control, int32_t shard);
/* Not ours any more: everything wanted for it is dropped, nothing more is published for it, and what
 * the producer still holds is taken back. */
void control_disown(struct control *control, int32_t shard);
/* Position for the heartbeat: shard time and lag. To be called every few seconds: a worker that says
 * nothing for 30 s gets no heartbeat, so that gateways see that nobody judges. */
void control_heartbeat(struct control *control, int32_t shard, int64_t as_of_ms,
                       int64_t lag_records);

/* The state of a scope is now this (copied). Any thread; never waits for the broker. False when the
 * map is full (the caller holds back and calls again). A state of an epoch that is not the shard's
 * is dropped, with true. */
bool control_want(struct control *control, const struct scope_state *state);

/* Has the topic been read to the end it had when the shard was owned? */
bool control_caught_up(struct control *control);
/* Takes a scope with a restriction that was read from the topic under one of our shards' numbers and
 * that nobody here wants, and its tenant: if the tenant's home is here, the caller wants the scope's
 * current state, allow included; if not, it does nothing. False when there is none (or the arena is
 * full). */
bool control_stranger(struct control *control, struct arena *arena, struct text *scope,
                      struct text *tenant);
/* True when the shard is silent until it is owned under a new epoch: its numbers are used up, or
 * the topic shows a later claim. */
bool control_is_silent(struct control *control, int32_t shard);

/* `tripmeter watch`, the status page: every wanted state with a restriction, in order of scope.
 * The publisher waits meanwhile; on_state must not call back. */
typedef void control_on_state(void *context, const struct scope_state *state, int64_t seq,
                              int64_t expires_ms);
void control_each(struct control *control, control_on_state *on_state, void *context);

#endif
