/*
 * The control topic itself: there, compacted, and how many partitions.
 *
 * It is created with one partition: decisions are few (at most one a second and scope), every
 * reader sees them in one order, and a gateway has one position to catch up with.  Existing topics
 * may have more.  Segments are small, so that compaction, which leaves the newest one alone, keeps
 * what a starting gateway reads close to one record a scope.
 */
#ifndef SINKS_CONTROL_TOPIC_H
#define SINKS_CONTROL_TOPIC_H

#include "config/config.h"

#define CONTROL_PARTITION_LIMIT 256

/* FATAL with the command that helps: missing and it may not be created, not compacted, more
 * partitions than the limit. RETRY when no broker answers. What the broker does not let us check is
 * a warning in the log. */
bool control_topic_ready(const struct config *config, int32_t *partitions, struct err *why);

#endif
