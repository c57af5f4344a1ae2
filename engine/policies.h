/*
 * Policies by serial: built once, kept for the life of the process, shared read-only by every thread.
 */
#ifndef ENGINE_POLICIES_H
#define ENGINE_POLICIES_H

#include "rules/policy.h"
#include "sinks/store.h"

/* Takes the policy over under its serial, and gives the one that is kept: another where that serial was
 * there already. */
const struct policy *policies_add(struct policy *policy);
/* From memory, else from Postgres. NULL: RETRY, or FATAL when what is stored cannot be read. */
const struct policy *policies_get(struct store *store, int64_t serial, struct err *why);
/* The prices of a policy are likely, beside those that are in force. FATAL when they are not; true when
 * none is in force, or what is stored cannot be read. */
bool policies_likely(struct store *store, const struct policy *policy, struct err *why);
void policies_free(void);

#endif
