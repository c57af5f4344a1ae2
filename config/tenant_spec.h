/*
 * A tenant's contract as JSON, as it stands in Postgres and as `tripmeter tenant set` takes it:
 *
 *   {"plan": "starter", "zone": "Europe/Berlin", "currency": "USD",
 *    "limits": {"api_calls": 60000, "spend": "250.00", "ai_tokens": "unlimited"},
 *    "projects": {"web": {"limits": {"api_calls": 500}}}}
 */
#ifndef CONFIG_TENANT_SPEC_H
#define CONFIG_TENANT_SPEC_H

#include "core/tenant.h"

/* INPUT error names the member. Texts live in the arena. */
bool tenant_spec_parse(struct text json, struct arena *arena, struct tenant_spec *out,
                       struct err *why);

#endif
