/*
 * The log: one line an event, logfmt or JSON, to standard error.  Thread-safe, never blocks the
 * caller on anything but the write itself.
 *
 *   log_info("claim", "shard=%d epoch=%" PRId64, shard, epoch);
 *
 * gives  time=2026-03-02T00:00:00.123Z level=info event=claim shard=3 epoch=17
 */
#ifndef CONFIG_LOG_H
#define CONFIG_LOG_H

#include "core/text.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_setup(enum log_level level, bool json);
/* `fields` is logfmt: key=value pairs separated by blanks. A value that comes from outside or may
 * hold blanks is written key=%s with log_quote; control characters become blanks, and a line over
 * LOG_LINE_SIZE is cut. In JSON unquoted integers are numbers, everything else is a string. */
#define LOG_LINE_SIZE 4096 /* what one write() to a pipe does not interleave */
void log_line(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

#define LOG_QUOTE_SIZE 512
/* "..." with '"' and '\\' escaped, cut when too long; absent is "". Returns out. */
const char *log_quote(struct text text, char out[LOG_QUOTE_SIZE]);

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

#endif
