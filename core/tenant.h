/*
 * What is known of a tenant outside the engine's memory: its contract as versioned in Postgres, and
 * what the settlements remember of it.  Values only; rules/ builds its judging state from them.
 */
#ifndef CORE_TENANT_H
#define CORE_TENANT_H

#include "core/cycle.h"
#include "core/decision.h"
#include "core/settlement.h"

#define TENANT_PROJECT_LIMIT 1000
#define TENANT_LIMIT_LIMIT   64
#define TENANT_PLAN_LIMIT    8
#define TENANT_PAST_LIMIT    16 /* more than a year of months, and more days than the grace has */

/* "api_calls: 2000" of a tenant or of one of its projects; overrides the plan's. */
struct limit_override {
    struct text quota;
    bool unlimited;
    bool
        is_decimal; /* value came as text with decimals: money in nano; counts are whole numbers * 1e9 */
    tally nano; /* the number written, times 1e9, whatever the quota's meter */
};

struct project_spec {
    struct text name;
    struct limit_override *limits;
    size_t limit_count;
};

/* One version of a tenant. */
struct tenant_spec {
    struct text plan; /* absent: the fallback plan */
    struct text zone; /* absent: the policy's */
    bool has_cycle;   /* false: the policy's */
    struct cycle cycle;
    struct text currency; /* absent: the policy's */
    struct text charge;   /* absent: the plan's; see charge_read() */
    struct limit_override *limits;
    size_t limit_count;
    struct project_spec *projects; /* none declared: every project name is accepted as it comes */
    size_t project_count;
};

/* What the operator said of a scope; holds until it ends or is replaced. */
enum word_kind { WORD_ALLOW, WORD_BLOCK };
struct operator_word {
    struct text scope; /* "tenant/acme", "key/acme/k1" */
    enum word_kind kind;
    int64_t since_ms;
    int64_t until_ms; /* INT64_MAX: until revoked */
    struct text actor;
    struct text reason;
};

/* A past hour of a feature, in any order and perhaps in several pieces: costs add up, flags join. */
struct feature_past {
    struct text feature;
    int64_t at_ms; /* any instant of the hour */
    tally cost;
    unsigned flags;
    tally baseline;
};

/* A plan of the tenant's, from when on; absent: the fallback plan. */
struct plan_since {
    struct text plan;
    int64_t since_ms;
};

/* A tenant as loaded: everything its home shard needs to judge it. */
struct tenant_load {
    struct text name;
    int32_t home;    /* its shard */
    bool known;      /* has a row in Postgres; else spec is empty and the fallback plan applies */
    int64_t version; /* 0 when not known */
    struct tenant_spec spec;
    int64_t due_ms;               /* as stored: when it is to be looked at; 0 or INT64_MAX: never */
    bool restricted;              /* as stored */
    const struct zone *zone;      /* of spec.zone or the default, resolved by the loader */
    struct period_total *periods; /* totals of periods that end after the time asked for */
    size_t period_count;          /* (delta holds the total) */
    struct period *past;          /* last periods before those that something was booked in: */
    size_t past_count;            /* they keep their bounds */
    struct plan_since *plans;     /* the last ones, rising; spec.plan is the last of them */
    size_t plan_count;
    struct quota_memory *quotas; /* of the same periods, and every open or blocked one */
    size_t quota_count;
    struct counter_memory *counters; /* of windows that end after the time asked for, and open */
    size_t counter_count;            /* ones, in order of quota, subject and start */
    struct carry_memory *carries;    /* not final yet, in order of quota, project and start; the */
    size_t carry_count;              /* totals of their periods are in `periods` as well */
    struct throttle_memory *throttles; /* that are not over */
    size_t throttle_count;
    struct operator_word *words;
    size_t word_count;
    bool has_features; /* the following were asked for: the policy has breakers */
    struct feature_past *hours;
    size_t hour_count;
    struct feature_slot *slots;
    size_t slot_count;
    struct breaker_memory *breakers;
    size_t breaker_count;
    struct watch_memory *watches; /* the tenant's and its features' */
    size_t watch_count;
    struct reservation_memory *reservations; /* open, late and early ones, as they were made */
    size_t reservation_count;
};

/* What an operator or another program changed; applied at a record boundary, in order of id. */
enum command_kind {
    COMMAND_TENANT,  /* a new version of the tenant: load holds all of it */
    COMMAND_WORD,    /* words of a scope changed: load holds all words of the tenant */
    COMMAND_POLICY,  /* a new policy serial */
    COMMAND_ENFORCE, /* enforcement on or off */
    COMMAND_RETRY,   /* a dead letter's record, read again */
    COMMAND_BREAKER, /* an operator's word for the breaker of a feature */
    COMMAND_RESUME,  /* a halted partition is read on */
    COMMAND_RERATE,  /* unpriced events that have a price now are priced */
    COMMAND_ANOMALY, /* what an operator says of an incident */
    COMMAND_KIND_COUNT
};

struct command {
    int64_t id;
    enum command_kind kind;
    struct text tenant;
    struct tenant_load load; /* TENANT and WORD: spec, zone and words as of the command */
    int64_t serial;          /* POLICY */
    bool on;                 /* ENFORCE */
    struct text topic;       /* RESUME */
    struct {                 /* RETRY: the record as it was */
        struct text topic;
        int32_t partition;
        int64_t offset;
        int32_t index;
        int64_t time_ms;
        struct text key;
        struct text value;
    } retry;
    struct {                 /* ANOMALY */
        struct text feature; /* empty: the tenant's own */
        enum watch_metric metric;
        int64_t since_ms; /* of the incident */
        enum watch_answer answer;
        struct text before; /* extremes[CHANNEL_COUNT] */
    } anomaly;
    struct { /* BREAKER */
        struct text feature;
        enum breaker_word word;
        int64_t until_ms; /* INT64_MAX: until another word */
    } breaker;
    struct text actor;
    struct text reason;
};

#endif
