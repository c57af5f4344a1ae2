/*
 * What the status page reads from Postgres: open alerts, deliveries that fail, who switched
 * enforcement off.  One connection of its own, one query, read-only; the answer is kept for a
 * second, also the answer that there is none.  Thread-safe.
 */
#ifndef SINKS_STATUS_QUERY_H
#define SINKS_STATUS_QUERY_H

#include "config/config.h"

#include <jansson.h>

struct status_query;

/* Connects when it is first asked. NULL when memory is short. */
struct status_query *status_query_new(const struct config *config);
void status_query_free(struct status_query *query);

/*
 * {"reachable": true,
 *  "enforcement": null or {"on", "actor", "reason", "at"},    what was said last
 *  "alerts": [{"rule", "tenant", "labels", "severity", "step", "step_amount", "restricts",
 *              "opened_at", "changed_at", "summary", "value", "threshold", "unit", "resets_at"}],
 *  "alert_count": 12,                                         open ones, also those not listed
 *  "deliveries": [{"endpoint", "failures", "failing_since", "disabled_at", "last_error",
 *                  "waiting", "oldest", "dead"}]}             endpoints that need a look
 * or {"reachable": false, "error": "..."}.  The caller's reference; not to be changed; NULL when
 * memory is short.  Takes a few seconds at most.
 */
json_t *status_query_get(struct status_query *query);

#endif
