/*
 * Events played through one or two policies, without any side effect: what would have been told and
 * decided when, and what it comes to.
 *
 * Everything goes through the engine's own decoder and rules on a stage; time is that of the
 * records.  The same input gives the same bytes of output.
 */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/stage.h"

#include <stdio.h>

struct replay;

/* `other` (NULL: none) stands beside the first, and only differences are told. The policies must
 * outlive it. NULL when memory is short. */
struct replay *replay_new(const struct policy *policy, const struct policy *other);
void replay_free(struct replay *replay);
/* A tenant's contract from this time on; the object stays the caller's. */
void replay_contract(struct replay *replay, struct text tenant, json_t *contract);
/* What a quota that rolls over carried into the period in which the records begin. */
void replay_carried(struct replay *replay, const struct carry_memory *memory);
/* The first policy gives way to another one at that moment; it must outlive the replay as well. What
 * waited for a price and has one now is priced. */
void replay_policy(struct replay *replay, const struct policy *policy, int64_t at_ms);
/* What comes from here on changes totals, but is not told. */
void replay_quietly(struct replay *replay);
/* The next record, in the order of time. */
void replay_record(struct replay *replay, int64_t time_ms, struct text value);
/* An event of a record that was refused, and read again then, by its index; likewise. */
void replay_revive(struct replay *replay, int64_t time_ms, struct text value, int32_t index);
/* The end: prints the timeline, then the totals of every tenant and period. False and an error when
 * a limit of the stage was passed. */
bool replay_print(struct replay *replay, FILE *out, struct err *why);
/* What the first policy comes to. */
const struct period_total *replay_totals(const struct replay *replay, size_t *count);
/* How a quota that rolls over stood under it in the period that holds the instant; NULL: it did not. */
const struct carry_memory *replay_carry(const struct replay *replay, struct text tenant,
                                        struct text quota, struct text project, int64_t at_ms);

#endif
