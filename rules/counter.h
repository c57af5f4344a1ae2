/*
 * Counters: quotas that no total answers, each with a sum of its own.
 *
 * The totals of billing periods answer what a tenant and its projects used in a billing period.
 * Every other quota counts for itself: of a feature, a model or a key; of a day or an hour; and
 * gauges, whose last value stands instead of a sum.  A counter is of one quota and one subject, and
 * of one window at a time; it is made by the first event that names the subject, and written whole
 * with every settlement in which it changed.  A plan without such quotas has no counters, and an
 * event of its tenants costs nothing more.
 *
 * Names come from outside: a tenant has at most COUNTER_LIMIT counters in memory.  Those whose window
 * is over make room; a subject for which there is none is not limited.
 */
#ifndef RULES_COUNTER_H
#define RULES_COUNTER_H

#include "rules/lookup.h"
#include "rules/tenant.h"

#define COUNTER_LIMIT 4096

struct counter {
    /* What every event touches, side by side. */
    tally used;
    tally trip_at;        /* below it, what is added changes nothing else: quota_trip_at */
    struct period window; /* gauges: always */
    uint64_t row_of;      /* number of the settlement that `row` belongs to; 0: none */
    size_t row;           /* index of its row there */
    /* The rest. */
    struct quota_state state; /* project: index, for quotas of projects; else -1 */
    struct text subject;      /* feature, model, key or project; empty: the tenant */
    char *name;               /* its bytes, the counter's own */
    struct key128 key;        /* in the index */
    tally ahead;              /* of the window that follows, from clocks that are ahead */
    int64_t at_ms;            /* gauges: when the value was measured */
};

struct counters {
    struct table index;
    struct counter *at;
    size_t count;
    size_t room;
    int64_t full_ms; /* when no room was found last */
};

/* Does the quota count for itself? */
bool counter_is_for(const struct quota *rule);
/* Made for a tenant whose plan has such quotas, with what was stored of them; NULL stays for others.
 * False when memory is short. */
bool counters_make(struct tenant *tenant, const struct tenant_load *load, int64_t now_ms);
void counters_free(struct counters *counters);
/* What they remember, for counters_make of another version of the tenant. */
bool counters_export(const struct tenant *tenant, struct arena *arena, struct tenant_load *load);

/* Asks for the memory of the counters of an event, some events ahead of its turn: each step for what
 * the one before led to. */
void counter_foresee_index(const struct tenant *tenant);
void counter_foresee_place(const struct tenant *tenant, const struct lookup *lookup);
void counter_foresee(const struct tenant *tenant, const struct lookup *lookup);
/* The counter of a subject, made when it is not there. NULL: there is no room. */
struct counter *counter_of(struct tenant *tenant, const struct quota *rule, struct text subject,
                           int32_t project, int64_t now_ms);
/* The window of a quota that an instant lies in. */
struct period counter_window(const struct tenant *tenant, const struct quota *rule, int64_t at_ms);
/* What its subject is in an alert; LABEL_TENANT: it has none. */
enum label counter_label(const struct quota *rule);
/* The scope that it restricts. Returns the size. */
size_t counter_scope(const struct tenant *tenant, const struct counter *counter,
                     char out[SCOPE_SIZE]);
/* An amount as it is stored: times 1e9, whatever the meter. */
tally counter_stored(const struct quota *rule, tally amount);
tally counter_recalled(const struct quota *rule, tally stored);
/* What is stored of it; texts point into it. Then only what usage changes. */
void counter_memory_of(const struct tenant *tenant, const struct counter *counter,
                       struct counter_memory *out);
void counter_memory_update(const struct counter *counter, struct counter_memory *out);

#endif
