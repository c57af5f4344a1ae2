/*
 * The log: one line an event, logfmt or JSON, to standard error.  Thread-safe, never blocks the
 * caller on anything but the write itself.
 *
 *   log_info("claim", "shard=%d epoch=%" PRId64, shard, epoch);
 *
 * gives  time=2026-03-02T00:00:00.123Z level=info event=claim shard=3 epoch=17
 */
#ifndef SINKS_LOG_H
#define SINKS_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_setup(enum log_level level, bool json);
/* `fields` is logfmt: key=value pairs separated by blanks; a value with blanks is written
 * key=%s with log_quote or as "..." in the format; control characters become blanks. */
void log_line(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
