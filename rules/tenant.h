/*
 * A tenant as its home shard judges it: contract, running totals, quotas, words, published scopes.
 *
 * Made from what is known of it (struct tenant_load) and the policy in force.  There is one way in:
 * a new version of the contract or a new policy makes the tenant anew from its own export, so that
 * what it remembers goes through the same door as what Postgres remembers.
 *
 * A period that something was booked in keeps its bounds: a change of zone or cycle takes effect at
 * its end.
 *
 * Totals are held for the period shard time is in and for later ones that have events already;
 * periods of the past live in Postgres only.  Every total carries, for each meter, the next value at
 * which a rule could say anything (`trip_at`), so that an event is an addition and a comparison.
 */
#ifndef RULES_TENANT_H
#define RULES_TENANT_H

#include "core/table.h"
#include "core/tenant.h"
#include "rules/quota.h"

struct carries;
struct bursts;
struct counters;
struct features;

#define TENANT_PERIODS_HELD 4 /* the present one and what clocks ahead may have begun */
#define TENANT_MEMORY_LIMIT ((size_t)32 << 20)

struct totals {
    struct amounts sum;
    uint64_t row_of;  /* number of the settlement that `row` belongs to; 0: none */
    uint32_t row;     /* of this total in its list of periods */
    uint32_t watched; /* bit m: trip_at[m] is a wire */
    tally trip_at[METER_COUNT];
};

struct tenant_period {
    struct period period;
    struct totals *totals; /* [0] the tenant, [1 + i] project i */
    bool begun;            /* it has a row in the store, be there usage or not */
};

/* A scope that was wanted on the control topic; allocated with its name. */
struct published {
    struct published *next;
    struct text scope;
    uint64_t content; /* hash of what was wanted last */
    bool restricted;
    char name[];
};

struct tenant {
    /* What every event touches, side by side. */
    struct key128 id;
    struct {
        struct key128 key; /* of tenant, hour and period: what rows of facts begin with */
        int64_t hour_ms;
        int64_t period_ms;
        struct text name; /* of the tenant, as the rows of a settlement share it */
        uint64_t name_of; /* number of that settlement */
    } row;                /* of the event before: the next one is nearly always in it */
    struct period hour;   /* of the event before, likewise */
    uint64_t touched;     /* number of the settlement that last held anything of it */
    int64_t pace_ms;      /* the first event from then on begins a day: rules/pacer.h */
    struct tenant_period periods[TENANT_PERIODS_HELD]; /* [0]: the present one */
    size_t period_count;
    struct counters *counters; /* NULL: the plan has no such quotas; rules/counter.h */
    struct features *features; /* NULL: the policy has no breakers; rules/feature.h */
    struct bursts *bursts;     /* NULL: the plan has no burst limits; rules/throttle.h */
    bool known;                /* has a row in Postgres */
    bool fleet;                /* it is all of them together (core/fleet.h) */
    bool split;                /* its home is another shard: counted here, not judged */
    struct text currency;
    struct text name;
    struct charge_rule charge;
    /* The rest. */
    struct arena *memory; /* of everything here */
    int32_t home;         /* of one that is split */
    int64_t split_day;    /* UTC day that was alerted for */
    int64_t version;
    const struct zone *zone;
    struct cycle cycle; /* the contract's, else the policy's */
    struct tenant_spec spec;
    const struct plan *plan;
    const struct policy *policy; /* it was made under */
    struct plan_since plans[TENANT_PLAN_LIMIT];
    size_t plan_count;
    struct operator_word *words;
    size_t word_count;
    struct quota_state *quotas;
    size_t quota_count;
    struct quota_memory
        *others; /* of the present period, of rules that are gone: they may return */
    size_t other_count;
    struct period
        past[TENANT_PAST_LIMIT]; /* of earlier ones that something was booked in, rising */
    size_t past_count;
    struct carries *carries; /* NULL: nothing rolls over; rules/carry.h */
    struct published *published;
    int64_t due_ms;         /* when it must be looked at without any event; INT64_MAX: never */
    int64_t judge_ms;       /* the same, but for ends of throttles and of windows of series */
    size_t due_place;       /* rules/due.h's: 1 + index in its heap; 0: not in it */
    bool patient;           /* a later look will do: it is due for the end of a period only */
    int64_t stored_due_ms;  /* what the store knows */
    bool restricted;        /* a restriction, an open episode, or a notice to come */
    bool stored_restricted; /* what the store knows */
    int64_t project_day;    /* UTC day for which an undeclared project was alerted */
};

/* Everything is copied. NULL when memory is short. */
struct tenant *tenant_new(const struct tenant_load *load, struct key128 id, int32_t shard,
                          const struct policy *policy, int64_t now_ms);
void tenant_free(struct tenant *tenant);

/* What it knows and remembers, for tenant_new; points into the tenant and the arena. False when the
 * arena is full. */
bool tenant_export(const struct tenant *tenant, int32_t shard, struct arena *arena,
                   struct tenant_load *load);

/* For tenant_new: makes its quotas by plan and projects; what they remembered of the present period.
 * Open episodes of an earlier one (it ended while nobody owned the shard) and of quotas that are gone
 * are the caller's to resolve. False when memory is short. */
bool tenant_bind_quotas(struct tenant *tenant);
bool tenant_recall(struct tenant *tenant, const struct quota_memory *memory, size_t count);
/* What is stored of one of its quotas; texts point into the tenant. */
void tenant_quota_memory(const struct tenant *tenant, const struct quota_state *state,
                         struct quota_memory *out);
/* Sets the limit of one of its quotas: the override, else the plan's, with what was carried in
 * (rules/limit.c). */
void tenant_bind_limit(const struct tenant *tenant, struct quota_state *state);
/* What the quota would be limited to in another period, without a carry. */
void tenant_limit_in(const struct tenant *tenant, struct period period, struct quota_state *state);
/* It got another plan in its present period: what is smaller in that acts when the period ends. */
bool tenant_plan_changed(const struct tenant *tenant);
/* The quota of that name in the plan that the tenant had just before an instant; NULL: none. */
const struct quota *tenant_rule_before(const struct tenant *tenant, struct text quota,
                                       int64_t at_ms);

/* An amount of the policy in the tenant's currency, at the rate of an instant; without one as it is
 * written. */
tally tenant_amount(const struct tenant *tenant, tally nano, int64_t at_ms);

/* Index of a declared project, -1 when there is none of that name. */
int32_t tenant_project(const struct tenant *tenant, struct text name);
/* The index into periods that an event at this time goes to; makes a later period when the event is
 * the first of it. -1: a past period, or one more than can be held. */
int32_t tenant_period_at(struct tenant *tenant, int64_t at_ms);
/* The period of an instant, held or not. */
struct period tenant_period_of(const struct tenant *tenant, int64_t at_ms);
/* Something is booked in a period that is not held: it keeps these bounds. */
void tenant_remember(struct tenant *tenant, struct period period);
/* Periods that ended at or before now leave; the present one comes to the front. False when memory is
 * short. */
bool tenant_turn(struct tenant *tenant, int64_t now_ms);
/* Sets trip_at of every meter of one scope of the present period (project -1: the tenant). */
void tenant_set_trips(struct tenant *tenant, int32_t project);
/* Sets pace_ms: the end of the days that its quotas are in. */
void tenant_set_pace(struct tenant *tenant);

#endif
