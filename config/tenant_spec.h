/*
 * A tenant's contract as JSON, as it stands in Postgres and as `tripmeter tenant set` takes it:
 *
 *   {"plan": "starter", "zone": "Europe/Berlin", "cycle": "anchor:31", "currency": "USD",
 *    "limits": {"api_calls": 60000, "spend": "250.00", "ai_tokens": "unlimited"},
 *    "projects": {"web": {"limits": {"api_calls": 500}}}}
 *
 * Every member may be left out; config/cycle_text.h says what a cycle is.  A limit with decimals is
 * a text: a JSON number with a fraction is not exact.  A project that needs no limit of its own is
 * {}.
 */
#ifndef CONFIG_TENANT_SPEC_H
#define CONFIG_TENANT_SPEC_H

#include "core/tenant.h"
#include "rules/policy.h"

#define TENANT_SPEC_SIZE_LIMIT ((size_t)1 << 20)

/* INPUT error names the member. Texts live in the arena. Nothing is looked up: a contract stays
 * readable when its plan or zone is gone. */
bool tenant_spec_parse(struct text json, struct arena *arena, struct tenant_spec *out,
                       struct err *why);

/* For a contract that is to be stored: its plan, zone and quotas are there, limits fit their
 * meters, and what is given to projects is not more than the tenant has, unless the policy allows
 * that. INPUT error. */
bool tenant_spec_check(const struct tenant_spec *spec, const struct policy *policy,
                       struct err *why);

/* What a tenant has given to its projects of a limit of its own. Amounts are times 1e9, money in the
 * tenant's currency. */
struct tenant_budget {
    tally limit;
    tally given;
    size_t projects; /* with a limit of their own */
};

/* False when the quota is not divided, or without a limit. */
bool tenant_spec_budget(const struct tenant_spec *spec, const struct policy *policy,
                        const struct quota *quota, struct tenant_budget *out);

#endif
