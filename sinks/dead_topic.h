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

/* Creates the topic when it is missing and that is permitted, and starts the thread that writes, with
 * a connection of its own. NULL with ERR_NONE when no topic is configured. */
struct dead_topic *dead_topic_open(const struct config *config, struct metric_set *metrics,
                                   struct err *why);
/* What is not published yet is published after the next start; may wait a few seconds. */
void dead_topic_close(struct dead_topic *topic);
/* The shard has dead letters that were not published yet. Any thread; never waits. */
void dead_topic_wake(struct dead_topic *topic, int32_t shard);

#endif
