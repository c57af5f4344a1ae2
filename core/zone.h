/*
 * A time zone: the offsets from UTC that the IANA database gives for every instant.
 *
 * Built from the bytes of a TZif file (RFC 8536: version 2+ with its POSIX TZ footer for the years
 * beyond the table); reading the file is somebody else's work.  Immutable once built, so threads
 * may share it.
 */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include "core/clock.h"
#include "core/err.h"

struct zone;

/* FATAL error when the bytes are no TZif of version 2 or later. The name is copied. */
struct zone *zone_parse(struct text name, const void *bytes, size_t size, struct err *why);
void zone_free(struct zone *zone);
/* UTC without any file. */
const struct zone *zone_utc(void);
const char *zone_name(const struct zone *zone);

/* Offset in force at an instant, and the range [from, until) in which it stays in force. */
struct zone_offset {
    int64_t offset_ms; /* local = UTC + offset */
    int64_t from_ms;   /* INT64_MIN when there is no earlier change */
    int64_t until_ms;  /* INT64_MAX when there is no later one */
};
struct zone_offset zone_offset_at(const struct zone *zone, int64_t at_ms);

/* The instant of a local wall-clock time given as ms since 1970 of the local clock.  Ambiguous:
 * the first.  In a gap: the first valid instant after it (the moment of the change). */
int64_t zone_instant(const struct zone *zone, int64_t local_ms);

/* "2026-03-02 14:05 CET"-like text for people: local date and time to the minute, and the
 * abbreviation in force. Returns out. */
#define ZONE_TEXT_SIZE 48
const char *zone_format(const struct zone *zone, int64_t at_ms, char out[ZONE_TEXT_SIZE]);

#endif
