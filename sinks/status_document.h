/*
 * What the status page and /status.json both say, as one JSON document:
 *
 *   now          wall time of the engine (clock.offset is in it)
 *   instance     its name, or null
 *   enforcing    restrictions are published
 *   reasons      why the process is not ready; empty when it is
 *   events       {counted, duplicate, dead, ignored} since the process started
 *   current      {state, lag_records, lag_ms, as_of}: state is "current" (less than 10 s behind),
 *                "behind", "stale" (60 s: gateways follow their own on_stale), "unknown", or
 *                "standby" (no partitions here)
 *   partitions   [{topic, partition, position, end, lag_records, lag_ms, as_of, halted}]
 *   restricted   {block, throttle, downgrade}: how many scopes
 *   restrictions [{scope, tenant, outcome, restrictions: [...]}], blocks first; at most 300 of an
 *                outcome.  The first restriction is the one that answers.
 *   database     see sinks/status_query.h
 *   problems     [{what, todo}]: what somebody should look at beside
 *                enforcement being off; commands stand in `backticks`
 *
 * Times are RFC 3339, amounts decimal text; what is not known is null.
 */
#ifndef SINKS_STATUS_DOCUMENT_H
#define SINKS_STATUS_DOCUMENT_H

#include "sinks/status.h"

#include <jansson.h>

#define STATUS_SCOPE_LIMIT     300 /* listed, of each outcome */
#define STATUS_PARTITION_LIMIT 4096
#define STATUS_REASON_LIMIT    100

#define STATUS_BEHIND_MS (10 * CLOCK_SECOND_MS)
#define STATUS_STALE_MS  CLOCK_MINUTE_MS

/* A new document; takes over the reference to `database`. NULL when memory is short. */
json_t *status_document(const struct config *config, const struct status_source *source,
                        json_t *database, int64_t now_ms);

#endif
