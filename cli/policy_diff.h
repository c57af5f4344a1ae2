/*
 * What another policy would do to a tenant as it stands: which alerts and which restrictions it would
 * open or close, the moment it is loaded.
 *
 * The engine's own code is asked: a shard that holds nothing but this tenant is given the policy in
 * force, then the other one, as a running engine is given it; what its settlement would carry is what
 * would happen.
 */
#ifndef CLI_POLICY_DIFF_H
#define CLI_POLICY_DIFF_H

#include "core/tenant.h"
#include "rules/policy.h"

struct policy_diff;

/* Both policies must outlive it. NULL when memory is short. */
struct policy_diff *policy_diff_new(const struct policy *now, const struct policy *next);
void policy_diff_free(struct policy_diff *diff);

enum diff_kind {
    DIFF_OPENS,   /* an alert, at `step` (0: it has none) */
    DIFF_RISES,   /* to `step` */
    DIFF_CLOSES,  /* an alert */
    DIFF_BLOCKS,  /* a scope: `code` answers for it from now on */
    DIFF_ALLOWS,  /* a scope is restricted no more */
    DIFF_MISFITS, /* the contract does not fit the policy: `text` */
};

/* One of them; texts live until on_change returns. */
struct diff_change {
    enum diff_kind kind;
    struct text tenant;
    struct text rule;     /* "quota/api_calls"; DIFF_ALLOWS and DIFF_MISFITS: absent */
    struct text of;       /* project, feature, model or key; absent: the tenant itself */
    struct text scope;    /* DIFF_BLOCKS, DIFF_ALLOWS */
    struct text currency; /* of the tenant */
    struct text text;     /* DIFF_MISFITS: what does not fit */
    bool before;          /* DIFF_MISFITS: the policy in force is no better */
    int32_t step;
    tally step_amount; /* when the step is one; 0: it is none */
    const char *code;
    bool has_quota; /* these are known: */
    bool is_money;
    tally used;
    struct diff_limit {
        bool none; /* there is no such quota */
        bool unlimited;
        tally amount;
    } now, next;
};
typedef void diff_on_change(void *context, const struct diff_change *change);

/* The tenant as it is settled, at the time of its shard. False when memory is short. */
struct diff_moment {
    int64_t time_ms;
    bool enforcing;
};
bool policy_diff_tenant(struct policy_diff *diff, const struct tenant_load *load,
                        const struct diff_moment *moment, diff_on_change *on_change, void *context);

#endif
