/*
 * The campaign's log: a file a shard, a record a line, appended to by the driver while workers read.
 *
 *   TIME_MS <tab> KEY <tab> VALUE        the line's number from 0 is the offset; no value: a tombstone
 */
#ifndef TESTS_CAMPAIGN_LOG_H
#define TESTS_CAMPAIGN_LOG_H

#include "core/record.h"

#include <stdio.h>

struct fake_log {
    int32_t shard;
    FILE *file;
    char **lines; /* whole ones only */
    size_t count;
    size_t room;
};

/* Ends the program when there is no such file. */
void fake_log_open(struct fake_log *log, const char *directory, int32_t shard);
void fake_log_close(struct fake_log *log);
/* Looks what was appended; the offset behind the last record. */
int64_t fake_log_end(struct fake_log *log);
/* The record at an offset below that end; its bytes live as long as the log. */
struct record fake_log_at(const struct fake_log *log, int64_t offset);

#endif
