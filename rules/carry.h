/*
 * Carries: what quotas that roll over bring from one billing period into the next.
 *
 * Each such quota of a tenant (or of each of its projects) has one row a period, a chain in time: the
 * row of the present period, which says what was carried in, and those of periods that have ended
 * but are not final yet.  A period is closed when its time is over, with or without events; months
 * in which nobody looked are closed one after the other.  Usage that comes late changes how its
 * period ended, and with it what every later one was given: that is why rows stay in memory until
 * nothing can come late any more.  The rule by which a period was closed stays with its row.
 *
 * A chain begins in the period in which the tenant is first judged under the rule, with nothing
 * carried in, and ends with the period at whose end its plan has no such rule.
 *
 * A tenant without such quotas has no carries, and an event of the present period costs nothing.
 */
#ifndef RULES_CARRY_H
#define RULES_CARRY_H

#include "rules/tenant.h"

#define CARRY_LIMIT 131072 /* rows of a tenant in memory; what does not fit is not carried */

struct carry {
    struct carry_memory row;
    bool changed; /* and not stored since */
};

struct carries {
    struct list rows; /* struct carry; those of a chain in order of time */
};

/* Made for a tenant whose plan has such quotas or that has rows; NULL stays for others. False when
 * memory is short. */
bool carries_make(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms);
void carries_free(struct carries *carries);
/* What they remember, for carries_make of another version of the tenant. */
bool carries_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load);

/* Closes the periods that ended at or before now, and begins the chains that the plan asks for; to be
 * called while the totals of what ended are held, or are in the load. False when memory is short. */
bool carries_bring(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms);
/* The limits of the present period are bound: its rows follow them. */
void carries_note(struct tenant *tenant);
/* What was carried into the present period. */
tally carry_of(const struct tenant *tenant, const struct quota_state *state);
/* The usage was booked in a period of the past. True when that changes what the present one was
 * given: bind its limits. */
bool carries_late(struct tenant *tenant, int32_t project, int64_t period_ms,
                  const struct amounts *amounts);
/* Is anything to be closed at the end of the present period? */
bool carries_wait(const struct tenant *tenant);

#endif
