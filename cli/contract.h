/*
 * A tenant's contract on its way into Postgres: a JSON object as config/tenant_spec.h has it, checked
 * against the policy, written as the next version.  Versions are never changed.
 */
#ifndef CLI_CONTRACT_H
#define CLI_CONTRACT_H

#include "cli/db.h"
#include "rules/policy.h"

#include <jansson.h>

/* Can the policy live with it? INPUT error that names the member. */
bool contract_check(json_t *spec, const struct policy *policy, struct err *why);

/* The newest version; *spec is the caller's, empty for a tenant that has none (version 0). Within a
 * transaction it keeps other commands from writing a version of this tenant until the end. */
bool contract_read(struct db *db, const char *tenant, json_t **spec, int64_t *version,
                   struct err *why);

/* From a row whose columns 1 to 7 are plan, zone, cycle, currency, charge, limits, projects; NULL: no
 * memory. */
json_t *contract_of_row(const PGresult *rows, int row);

struct contract_words {
    const char *actor;
    const char *reason;
    const char *from;     /* timestamp, NULL: now */
    const char *currency; /* of contracts that name none */
};
/* Writes the next version unless the newest says the same. *version: 0 when it does. INPUT error when
 * it names another currency than what the tenant has used is booked in. */
bool contract_write(struct db *db, const char *tenant, json_t *spec,
                    const struct contract_words *words, int64_t *version, struct err *why);

/* One change of `tenant set`: "api_calls=60000", "spend=250.00", "=unlimited", "=plan" (as the plan
 * has it). INPUT error. */
bool contract_limit(json_t *limits, const char *word, struct err *why);
/* "web" or "web:api_calls=500,spend=20.00": declares the project; its limits replace earlier ones. */
bool contract_project(json_t *spec, const char *word, struct err *why);

#endif
