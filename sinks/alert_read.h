/*
 * Inside of routing: a transition as a message needs it, read from Postgres.
 */
#ifndef SINKS_ALERT_READ_H
#define SINKS_ALERT_READ_H

#include "sinks/message.h"
#include "sinks/outbox_sql.h"

/* Begins a transaction and locks the oldest transitions that are not routed and that nobody else
 * holds, at most one of each alert: its first. NULL when it fails. */
PGresult *alert_take(struct outbox *outbox, int most, struct err *why);

/* From a row of alert_take. Texts live in the outbox's arena. */
bool alert_read(struct outbox *outbox, const PGresult *rows, int row, struct alert_view *view,
                enum severity *episode_severity, struct err *why);

/* Adds who causes it, from the facts of the tenant and period.  A message without that is better
 * than none: a slow or failing query leaves it out. */
bool alert_evidence(struct outbox *outbox, struct alert_view *view, struct err *why);

#endif
