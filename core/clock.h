/*
 * Instants: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX).
 *
 * Only arithmetic on the proleptic Gregorian calendar in UTC; local time lives in core/zone and
 * core/cycle.  Nothing here asks what time it is: time is always an argument.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/text.h"

#define CLOCK_SECOND_MS INT64_C(1000)
#define CLOCK_MINUTE_MS (60 * CLOCK_SECOND_MS)
#define CLOCK_HOUR_MS   (60 * CLOCK_MINUTE_MS)
#define CLOCK_DAY_MS    (24 * CLOCK_HOUR_MS)

struct civil {
    int32_t year;
    int32_t month; /* 1..12 */
    int32_t day;   /* 1..31 */
};

/* Days since 1970-01-01, and back. Any year in -9999..9999. */
int64_t clock_days(struct civil date);
struct civil clock_civil(int64_t days);
int32_t clock_month_days(int32_t year, int32_t month);
/* Monday 0 .. Sunday 6. */
int32_t clock_weekday(int64_t days);
/* Floor division: the day an instant lies in, also before 1970. */
int64_t clock_day_of(int64_t at_ms);

/* RFC 3339 date-time: 'T' or 't' or ' ' between, 'Z' or 'z' or +-hh:mm, any number of fraction
 * digits (cut, not rounded, to the ms), leap second 60 read as 59.999 of that minute; years
 * 1970..9999.  False for anything else. */
bool clock_parse(struct text text, int64_t *at_ms);

#define CLOCK_TEXT_SIZE 32
/* "2026-03-02T00:00:00Z", with ".mmm" only when the ms are not 0. Returns out. */
const char *clock_format(int64_t at_ms, char out[CLOCK_TEXT_SIZE]);

/* A duration: integer with unit ms, s, m, h, d or w ("15m", "500ms"); a sum of such ("1h30m");
 * "0" alone is allowed. Never negative, at most 10 years (3653 days). */
bool clock_parse_duration(struct text text, int64_t *ms);
/* An exact form of the same grammar for people ("15m", "1h30m", "0s"; weeks only when they are
 * whole: "2w", "30d"). Returns out. */
const char *clock_format_duration(int64_t ms, char out[CLOCK_TEXT_SIZE]);

#endif
