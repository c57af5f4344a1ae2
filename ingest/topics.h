/*
 * The usage topics as the broker knows them: how many partitions they have, and where those end.
 *
 * A client of its own that belongs to no group, for the start and for topics that grow.  Answers are
 * waited for, some seconds at most.
 */
#ifndef INGEST_TOPICS_H
#define INGEST_TOPICS_H

#include "config/config.h"

struct topics;

/* Both must outlive it. */
/* answer_ms: how long each question may wait for its answer. */
struct topics *topics_open(const struct config *config, const char *client_id, int answer_ms,
                           struct err *why);
void topics_close(struct topics *topics);

/* How many partitions each topic has. RETRY: no broker answers; FATAL: the text names thing and
 * remedy. */
bool topics_counts(struct topics *topics, int32_t *counts, struct err *why);
/* All have the same number; FATAL with the remedy when not. */
bool topics_alike(const struct config *config, const int32_t *counts, struct err *why);
/* ends[topic * partitions + partition]: the offset behind the last record, 0 when nothing is in it. */
bool topics_ends(struct topics *topics, int32_t partitions, int64_t *ends, struct err *why);

#endif
