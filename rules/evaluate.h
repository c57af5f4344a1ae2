/*
 * The order of judgement: which restrictions a scope of a tenant has now.
 *
 *   1 hard blocks (operator's words)   2 models   3 plan and project allowances
 *   4 burst   5 breaker   6 prepaid floor
 *
 * Every active restriction is listed with its rank; an operator's allow sets all of them aside.
 */
#ifndef RULES_EVALUATE_H
#define RULES_EVALUATE_H

#include "rules/tenant.h"

struct evaluation {
    int64_t now_ms; /* shard time */
    bool enforcing; /* `enforce off` lists nothing */
    int64_t policy; /* serial */
    bool block_unknown_project;
};

/* Fills the restrictions of one scope. `project`: index of the project the scope is of, -1: it is
 * not a project's scope; `is_tenant`: it is the tenant's own. Texts point into the tenant. */
void evaluate_scope(const struct tenant *tenant, struct text scope, bool is_tenant, int32_t project,
                    const struct evaluation *evaluation, struct scope_state *out);

#endif
