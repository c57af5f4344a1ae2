/*
 * What a scenario is played on: one shard of the engine with its real decoder and rules, a log of
 * records, a control topic, and in memory what Postgres would hold.
 *
 * Settlements are applied as the server applies them (deltas added up, quota memory replaced); a
 * tenant is loaded from them as the engine loads it; a restart drops the shard and makes it anew
 * from them, the tail of the log, and what was not settled.  No I/O but the reading of time zones,
 * no clock: time is what it is told.
 *
 * Beside the story it watches three promises: progress has no gaps, memory and settled totals are
 * equal, facts sum to totals.  A broken one, like a limit that is passed, is in `fault`.
 */
#ifndef CLI_STAGE_H
#define CLI_STAGE_H

#include "rules/shard.h"

#include <jansson.h>

#define STAGE_RECORD_LIMIT 200000
#define STAGE_FEED_LIMIT   2000000 /* events that are fed, not told */

/* What somebody outside would notice. */
enum effect_kind {
    EFFECT_ALERT,
    EFFECT_DECISION, /* what the gateways are told of a scope changed */
    EFFECT_DEAD,
    EFFECT_REFUSED, /* a contract */
};

struct effect {
    enum effect_kind kind;
    const struct transition *alert;
    const struct scope_state *decision;
    struct dead_letter dead;
    struct text refusal;
    bool expected; /* an expectation named it */
};

struct stage;

/* The policy must outlive the stage, as every later one. NULL when memory is short. */
struct stage *stage_new(const struct policy *policy);
void stage_free(struct stage *stage);
/* NULL while all is well. */
const char *stage_fault(const struct stage *stage);

/* ---- what happens ------------------------------------------------------------------------------- */
void stage_advance(struct stage *stage, int64_t now_ms);
/* One record, now; its id is what stage_repeat finds it by. */
void stage_record(struct stage *stage, struct text id, struct text value);
/* What a quota that rolls over had brought into a period, as if that had just begun; to be said before
 * anything happens in it. */
void stage_carried(struct stage *stage, const struct carry_memory *memory);
/* A record at a time of its own, which is not kept: it cannot be sent again, nor read after a
 * restart. Its effects are noticed at the next pause. */
void stage_feed(struct stage *stage, int64_t time_ms, struct text value);
/* An event of a record that was refused when it was read, is read again at that time, by its index
 * (`tripmeter dead retry`): counted, unless it is refused once more. Not kept, either. */
void stage_revive(struct stage *stage, int64_t time_ms, struct text value, int32_t index);
/* Sends again what was recorded under the id (absent: the records from index `from` on). */
bool stage_repeat(struct stage *stage, struct text id, size_t from);
size_t stage_record_count(const struct stage *stage);
/* The contract of a tenant as it stands, to be copied and changed; NULL: it has none. */
const json_t *stage_contract_of(const struct stage *stage, struct text tenant);
/* The next version of it, unless the policy refuses it, which is an effect. */
void stage_contract(struct stage *stage, struct text tenant, json_t *contract);
/* An operator's word for a scope of a tenant; it replaces an earlier one. */
void stage_word(struct stage *stage, struct text tenant, const struct operator_word *word);
/* An operator's word for a breaker; without effect it is refused, which is an effect. */
/* An operator's answer to the last incident of a series, likewise. */
void stage_answer(struct stage *stage, const struct command *command);
void stage_breaker(struct stage *stage, const struct command *command);
void stage_policy(struct stage *stage, const struct policy *policy);
/* The record of settled events is kept (as at first), or not: a restart with another configuration. */
void stage_keep_record(struct stage *stage, bool on);
void stage_enforce(struct stage *stage, bool on);
/* What happened is noticed; its settlement is on its way to Postgres. */
void stage_pause(struct stage *stage);
/* And has arrived. */
void stage_settle(struct stage *stage);
/* The leader of the fleet looks at what is settled. Who never calls it has no fleet. */
void stage_fleet(struct stage *stage);
/* The memory is lost, and the settlement on its way; another process goes on from what is settled. */
void stage_restart(struct stage *stage);

/* ---- what came of it ------------------------------------------------------------------------------ */
/* Since the last stage_forget, in order. */
struct effect *stage_effects(struct stage *stage, size_t *count);
void stage_forget(struct stage *stage);
int64_t stage_time(const struct stage *stage);
/* The tenant as `tripmeter status` loads it from what is settled; tenant_free afterwards. */
struct tenant *stage_tenant(struct stage *stage, struct text name);
/* Settled total of the period that holds the instant; project absent: the tenant's own. NULL:
 * nothing was booked there. */
/* Every total, in the order they were first booked in. */
const struct period_total *stage_totals(const struct stage *stage, size_t *count);
const struct period_total *stage_total(const struct stage *stage, struct text tenant,
                                       struct text project, int64_t at_ms);
/* Adds what was booked in that total's period for usage of final ones. */
void stage_adjustments(const struct stage *stage, const struct period_total *total,
                       struct amounts *sum);
/* How a quota that rolls over stands or stood in the period that holds the instant; project absent: the
 * tenant's own. NULL: it did not. */
/* The last incident of a series (feature empty: the tenant's own); NULL: there was none. */
const struct anomaly_note *stage_note(const struct stage *stage, struct text tenant,
                                      struct text feature, enum watch_metric metric);
const struct carry_memory *stage_carry(const struct stage *stage, struct text tenant,
                                       struct text quota, struct text project, int64_t at_ms,
                                       bool *final);
/* Nothing will be booked in its period any more. */
bool stage_is_final(const struct stage *stage, const struct period_total *total);

#endif
