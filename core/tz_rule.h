/*
 * The rule that continues a time zone beyond its table: a POSIX TZ string.
 *
 *     std offset [ dst [offset] , start [/time] , end [/time] ]
 *
 * as in "CET-1CEST,M3.5.0,M10.5.0/3" or "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" (POSIX.1-2017
 * 8.3, with the times -167..167 hours of RFC 8536 3.3.1).  The signs are POSIX's: west of
 * Greenwich is positive in the text; offsets here are local minus UTC.  Summer time without a
 * rule of its own is refused: what it would mean is left open.
 */
#ifndef CORE_TZ_RULE_H
#define CORE_TZ_RULE_H

#include "core/clock.h"

#define TZ_NAME_SIZE 16

struct tz_local {
    int64_t offset_ms;
    char name[TZ_NAME_SIZE]; /* abbreviation: letters, digits, + and - */
};

enum tz_day_kind {
    TZ_DAY_JULIAN,     /* Jn: day 1..365, February 29 is never counted */
    TZ_DAY_ZERO_BASED, /* n: day 0..365 */
    TZ_DAY_OF_MONTH,   /* Mm.w.d: the w-th (5: last) weekday d (Sunday 0) of month m */
};

struct tz_change {
    enum tz_day_kind kind;
    int32_t month;
    int32_t week;
    int32_t day;
    int64_t time_ms; /* after local midnight of that day; may be negative */
};

struct tz_rule {
    struct tz_local standard;
    bool has_summer; /* what follows is only then set */
    struct tz_local summer;
    struct tz_change start;
    struct tz_change end;
};

bool tz_rule_parse(struct text text, struct tz_rule *out);

/* The instants at which summer time starts and ends in a year. */
int64_t tz_rule_start(const struct tz_rule *rule, int32_t year);
int64_t tz_rule_end(const struct tz_rule *rule, int32_t year);

/* Copies an abbreviation; false when a character is not allowed or it is too long or empty. */
bool tz_name_copy(char to[TZ_NAME_SIZE], struct text name);

#endif
