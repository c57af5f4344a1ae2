/*
 * The policy: plans, quotas and rules, checked and immutable.  config/ builds it from YAML; a new
 * one replaces it whole, at a record boundary.
 */
#ifndef RULES_POLICY_H
#define RULES_POLICY_H

#include "core/alert.h"
#include "core/arena.h"
#include "core/burst.h"
#include "core/cycle.h"
#include "core/meter.h"
#include "core/rollover.h"
#include "rules/prices.h"

#define QUOTA_STEP_LIMIT 16
#define PLAN_QUOTA_LIMIT 64

enum quota_scope { QUOTA_TENANT, QUOTA_PROJECT, QUOTA_FEATURE, QUOTA_MODEL, QUOTA_KEY };
enum quota_window { WINDOW_BILLING, WINDOW_DAY, WINDOW_HOUR };
enum on_exceed { ON_EXCEED_BLOCK, ON_EXCEED_ALERT };
enum mode { MODE_ENFORCE, MODE_SHADOW };

struct quota {
    struct text name;       /* unique in its plan: "api_calls" */
    struct text full_name;  /* the rule's name in alerts and decisions: "quota/api_calls" */
    enum meter meter;       /* of no meaning for gauges */
    struct text gauge;      /* name in gauge events; absent: it is none */
    enum quota_scope scope; /* other than QUOTA_TENANT: each of them has this limit of its own */
    enum quota_window window;
    struct text currency; /* of its amounts of money; absent: the policy's */
    bool unlimited;
    tally limit;                     /* nano-units for money meters, else a count */
    int32_t soft_pct;                /* `approaching` from here on, default 80 */
    int32_t steps[QUOTA_STEP_LIMIT]; /* those that are percentages, rising, 1..100 */
    size_t step_count;
    tally amounts[QUOTA_STEP_LIMIT]; /* those that are amounts, as `limit`, rising, above 0 */
    size_t amount_count;             /* both together: less than QUOTA_STEP_LIMIT */
    enum on_exceed on_exceed;
    enum mode mode;
    bool pacing;              /* a day that takes more than its share is told of: rules/pace.h */
    bool forecast;            /* a period that will end above the limit is */
    struct rollover rollover; /* of billing periods of the tenant or of each project only */
};

/* Requests in 60 seconds. */
#define BURST_LIMIT_MOST INT64_C(1000000000)
struct burst_rule {
    bool on;       /* else: there is no such limit */
    bool attempts; /* counts attempts, else requests */
    enum mode mode;
    int64_t limit; /* 0..BURST_LIMIT_MOST */
};

struct plan {
    struct text name;
    struct quota *quotas;
    size_t quota_count;
    bool counts; /* some of them count for themselves: rules/counter.h */
    bool rolls;  /* some of them carry what is not used into the next period: rules/carry.h */
    struct charge_rule charge;
    struct burst_rule bursts[BURST_SCOPE_COUNT];
};

/* Breakers: how features are protected from running away. */
#define BREAKER_RULE_LIMIT 256
struct breaker_rule {
    struct text feature; /* absent: every feature without a rule of its own */
    bool off;
    bool enforce;        /* else: shadow */
    bool configured;     /* `budget` is the baseline, else it is learned */
    tally budget;        /* nano-units of the policy's currency an hour, like the next two */
    tally absolute;      /* trips whatever is usual; TALLY_MAX: none */
    tally floor;         /* the least that a learned baseline can be */
    int64_t open_ms;     /* how long a first cut lasts; the other times are in proportion */
    int64_t least_calls; /* fewer in the last 60 minutes never trip */
};

/* What makes more than a note of a broken record, in nano-units of the policy's currency. */
struct anomaly_rule {
    bool on;
    tally ticket;
    tally page;
    int64_t reservations_ms; /* a reservation has until then when it does not say */
    bool keys;               /* core/day_rule.h: keys beside the median of their tenant's, */
    bool margin;             /* and what costs more than is charged for it */
};

struct policy {
    struct arena *arena; /* owns the policy and everything below */
    int64_t serial;      /* given by the store; 0 before it is stored */
    struct plan *plans;
    size_t plan_count;
    const struct plan
        *fallback_plan;    /* of tenants that are not known, and of plans that are gone */
    struct text zone;      /* default, IANA name */
    struct cycle cycle;    /* default; zeroes are calendar months */
    struct text currency;  /* default, ISO 4217 */
    int64_t grace_ms;      /* late events change a period that ended until this much later */
    bool count_failed;     /* failed calls without cost use quota */
    bool prorate_upgrades; /* a larger plan counts from its day on, not for the whole period */
    bool block_unknown_project;
    bool overcommit; /* budgets of projects may sum to more than their tenant has */
    bool has_bursts; /* some plan has burst limits: */
    bool bursts[BURST_SCOPE_COUNT][2]; /* of these; [0] requests, [1] attempts */
    bool has_breakers;
    struct breaker_rule breaker; /* of features without their own */
    struct breaker_rule *breakers;
    size_t breaker_count;
    struct breaker_rule fleet; /* the same of the fleet (core/fleet.h) */
    struct breaker_rule *fleets;
    size_t fleet_count;
    struct prices prices;
    struct text body; /* the file, and behind it the price lists it names (config/price_load.h) */
    struct anomaly_rule anomaly;
};

void policy_free(struct policy *policy);
/* What the amounts of a quota of money are in. */
struct text quota_currency(const struct policy *policy, const struct quota *quota);
/* NULL when there is no such plan. */
const struct plan *policy_plan(const struct policy *policy, struct text name);
/* Does any plan carry what is not used into the next period? */
bool policy_rolls(const struct policy *policy);
/* The rule of a feature; meaningful with has_breakers. */
const struct breaker_rule *policy_breaker(const struct policy *policy, struct text feature);
/* The same over all tenants. */
const struct breaker_rule *policy_fleet(const struct policy *policy, struct text feature);
/* Severity of a step: info below 75, warning below 90, critical from there on. */
enum severity policy_step_severity(int32_t step_pct);
/* The least amount at which a step of 1..100 % is reached: used*100 >= pct*limit, exactly. */
tally policy_step_amount(tally limit, int32_t step_pct);
/* "ok", "info" (50), "warning" (75), "critical" (90), "exceeded" (100) of used against limit. */
const char *policy_level(tally used, tally limit);

#endif
