/*
 * Policies by serial: built once, kept for the life of the process, shared read-only by every thread.
 */
#ifndef ENGINE_POLICIES_H
#define ENGINE_POLICIES_H

#include "rules/policy.h"
#include "sinks/store.h"

/* Takes the policy over under its serial. */
void policies_add(struct policy *policy);
/* From memory, else from Postgres. NULL: RETRY, or FATAL when what is stored cannot be read. */
const struct policy *policies_get(struct store *store, int64_t serial, struct err *why);
void policies_free(void);

#endif
