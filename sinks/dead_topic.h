/*
 * The dead-letter topic: what was refused, written after the commit that booked it, at least once.
 *
 * Key topic/partition/offset/index, value JSON (schemas/dead-letter.v1.json): why, where, SHA-256 of
 * the value, never the value itself unless the configuration keeps it.  What arrived is marked in
 * Postgres; what is not marked is written again after a restart.
 */
#ifndef SINKS_DEAD_TOPIC_H
#define SINKS_DEAD_TOPIC_H

#include "core/metric.h"
#include "sinks/store.h"

struct dead_topic;

/* NULL with ERR_NONE when no topic is configured. */
struct dead_topic *dead_topic_open(const struct config *config, struct metric_set *metrics,
                                   struct err *why);
void dead_topic_close(struct dead_topic *topic, int64_t deadline_ms);
/* Writes what the shard has not published yet and marks what the broker acknowledged. Called from
 * several settlers, one at a time. Failures are logged; the next call tries again. */
void dead_topic_publish(struct dead_topic *topic, struct store *store, int32_t shard);

#endif
