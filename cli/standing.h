/*
 * How a tenant stands: each quota's use against its limit, as the engine would judge it.
 *
 * Loaded by the engine's own query and bound by the engine's own code (rules/tenant.h), with the
 * totals that are settled in Postgres and the shard's own time.
 */
#ifndef CLI_STANDING_H
#define CLI_STANDING_H

#include "cli/session.h"
#include "rules/tenant.h"

struct standing {
    const struct quota_state *quota;
    struct text project; /* absent: the tenant itself */
    struct text subject; /* of a quota by feature, model or key; absent: none */
    bool is_money;
    tally used;
    tally limit;       /* 0 when unlimited */
    tally remaining;   /* never negative */
    tally over;        /* what is beyond the limit */
    int32_t percent;   /* rounded down */
    const char *level; /* ok, info, warning, critical, exceeded */
    bool approaching;  /* at or above the soft threshold */
    int64_t resets_ms;
    bool has_pace;     /* of a tenant or a project in its billing period, and limited */
    bool has_today;    /* the day is known: `pacing: on`, and an event today */
    tally today;       /* used today */
    tally day_left;    /* left at its beginning (now, when it is not known); may be negative */
    tally day_share;   /* that by the days left */
    int64_t days;      /* left, today included */
    bool has_forecast; /* a tenth of the period is over */
    tally forecast;    /* use at its end, when it goes on as it began */
    bool has_budgets;  /* some of the tenant's limit was given to projects */
    tally unallocated; /* what was not */
};

/* How many there are: the tenant's quotas, then what counts for itself. */
size_t standing_count(const struct tenant *tenant);
/* The quota's numbers now; `index` below that. */
void standing_of(const struct tenant *tenant, size_t index, int64_t now_ms, struct standing *out);

struct standing_load {
    struct tenant *tenant;
    int64_t now_ms; /* shard time, or the wall clock before the first settlement */
    bool settled;   /* now_ms is shard time */
    int32_t shard;  /* -1: none yet */
    bool seen;      /* has events, a contract or an operator's word */
};
/* tenant_free afterwards. The tenant may be one that nobody knows: see `seen`. */
bool standing_load(struct session *session, const char *name, struct standing_load *out,
                   struct err *why);

#endif
