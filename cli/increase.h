/*
 * What an account manager needs to know of a tenant that asks for a larger quota: how it stands, what
 * it used in the periods before, when the limit will be reached, what was refused, what it is used
 * for, and what limit would do.
 */
#ifndef CLI_INCREASE_H
#define CLI_INCREASE_H

#include "cli/standing.h"

#define INCREASE_PERIODS 6
#define INCREASE_TOP     5

/* A period that is over. */
struct increase_period {
    int64_t start_ms;
    struct amounts used;
};

/* A limited quota of the tenant in its billing period. */
struct increase_quota {
    struct standing standing;
    int64_t reached_ms; /* when the limit is reached at the pace of this period; now when it is;
                           INT64_MAX: not in this period */
    bool has_need;      /* there is a period that is over, or a forecast */
    bool by_forecast;   /* no period is over: one and a half times the forecast */
    int64_t periods;    /* average and growth are made of them: view v_quota_increase */
    tally average;      /* like `used`, rounded up */
    int64_t growth_pct; /* of the last one over those before; may be negative */
    tally need;
    bool suffices;    /* the present limit is at least that */
    tally suggestion; /* need, rounded up to two digits */
};

struct increase_share {
    char name[300]; /* "openai gpt-4o"; empty: the events name none */
    tally cost;
    int64_t requests;
};

struct increase {
    struct standing_load load;
    struct increase_period periods[INCREASE_PERIODS]; /* the latest first */
    size_t period_count;
    struct increase_quota *quotas;
    size_t quota_count;
    int64_t since_ms; /* what follows is of the time since then */
    bool has_calls;   /* gateways report what they block */
    int64_t blocked_calls;
    bool has_cost; /* and what it would have cost */
    tally blocked_cost;
    tally blocked_estimate;
    int64_t blocked_seconds;
    struct increase_share features[INCREASE_TOP];
    size_t feature_count;
    struct increase_share models[INCREASE_TOP];
    size_t model_count;
};

/* increase_free afterwards, whatever the answer. out->load.seen is false of whom nobody knows. */
bool increase_load(struct session *session, const char *tenant, struct increase *out,
                   struct err *why);
void increase_free(struct increase *increase);

/* The least number of at most two digits and zeros that is not below. */
tally increase_round(tally amount, bool is_money);

#endif
