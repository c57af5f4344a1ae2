/*
 * The features of a tenant, where the policy has breakers: what each spent in the last hour, what is
 * usual, and its breaker.
 *
 * They outlive the tenant's record, which is made anew with every change of its contract: the new one
 * takes them over.  An event is one lookup, a few additions and one comparison: a feature at rest
 * carries a wire, the spending of the running slot above which its breaker could have anything to
 * say; rules/trip.c is asked only then, when a slot is over, or while the breaker is not at rest.
 */
#ifndef RULES_FEATURE_H
#define RULES_FEATURE_H

#include "core/baseline.h"
#include "core/fleet.h"
#include "core/table.h"
#include "core/tenant.h"
#include "rules/policy.h"

#define FEATURE_LIMIT 512 /* of a tenant; further ones are counted, but not protected */

/* A row of the settlement with this number; 0: none. */
struct row_ref {
    uint64_t of;
    uint32_t row;
};

/* What only a feature of the fleet has: what came in and is not judged yet. */
struct fleet_part {
    bool fed;
    bool asked; /* who spends it is known, or need not be */
    tally spent;
    struct fleet_spread spread;
    char names[FLEET_TOP][EVENT_ID_LIMIT + 1]; /* of its tenants */
};

struct tenant;
struct watch;
struct reservations;

struct feature {
    struct text name;
    const struct breaker_rule *rule;
    struct slots slots;
    struct history history;
    struct hour hour; /* the running one, by the clock of the tenant; [0, 0): not known yet */
    struct baseline_rule usual; /* the rule's amounts of it, in the tenant's currency ... */
    tally absolute;             /* ... at the rate of its beginning; TALLY_MAX: none */
    struct baseline baseline;   /* of it */
    tally before;               /* B of the hour before; 0: none */
    struct breaker breaker;
    tally accepted;            /* the baseline is at least this ... */
    int64_t accepted_until_ms; /* ... until then */
    struct text actor;         /* whose word holds; absent: nobody's */
    struct text reason;
    int64_t late_hour_ms; /* that was alerted for having come late */
    bool quick;           /* at rest: only the wire matters in the running slot */
    tally wire;           /* of the slot's judged cost */
    struct row_ref slot_rows[SLOT_COUNT];
    struct row_ref breaker_row;
    struct fleet_part *fleet; /* NULL: it is a tenant's */
    bool alone; /* the fleet's: one tenant makes most of it, which is that one's breaker's matter */
    struct watch *watch; /* NULL: it has none */
    struct row_ref watch_row;
};

/* What the detector follows, where the policy has anomalies (rules/anomaly.h). */
struct anomalies {
    struct watch *watch; /* the tenant's; NULL until it uses something */
    struct row_ref row;
    struct feature *rest; /* what is used without a feature, or beyond FEATURE_LIMIT: slots only */
    size_t watched;       /* features with a watch */
    int64_t turn_ms;      /* when the next slot is over; INT64_MAX while there is no watch */
    struct reservations *reservations; /* NULL: there was none yet */
};

struct features {
    struct feature **at; /* in the order they were first seen */
    size_t count;
    size_t room;
    struct table index;
    struct feature *last;        /* of the event before */
    int64_t storm_ms;            /* end of a storm; INT64_MIN: there is none */
    bool fleet;                  /* of the fleet, with its rules */
    bool full_noticed;           /* that FEATURE_LIMIT is reached was alerted */
    struct anomalies *anomalies; /* NULL: the policy has none */
};

/* As loaded. NULL when memory is short. */
struct features *features_new(const struct tenant_load *load, const struct zone *zone,
                              const struct policy *policy);
void features_free(struct features *features);
/* Hours that were learned from elsewhere meanwhile; what is known of an hour stays. */
void features_learn(struct features *features, const struct tenant_load *load,
                    const struct zone *zone, const struct policy *policy);
/* The rules of another policy. */
void features_bind(struct features *features, const struct policy *policy);

/* One that nobody finds: feature_made is for those of events. */
struct feature *feature_new(struct text name);
void feature_free(struct feature *feature);
struct feature *feature_find(const struct features *features, struct text name);
/* The same, made when it is not there; NULL when there are FEATURE_LIMIT. */
struct feature *feature_made(struct features *features, struct text name,
                             const struct policy *policy);
/* Words of an operator with it; absent ones clear it. */
void feature_signed(struct feature *feature, struct text actor, struct text reason);

/* Hour, amounts and baseline are those of now; `anew`: also when the hour is still the same. */
void feature_turn(struct feature *feature, const struct tenant *tenant, int64_t now_ms, bool anew);
/* What the breaker is judged by. */
void feature_view(const struct feature *feature, int64_t now_ms, struct breaker_view *out);
/* Sets the wire for the running slot. */
void feature_wire(struct feature *feature);

#endif
