#include "core/zone.h"

#include "core/tz_rule.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_SIZE = 64,
    HEADER_SIZE = 44,
    CHANGE_LIMIT = 4096, /* of a file; the longest of the IANA database have some 240 */
    LOCAL_LIMIT = 256,
    ABBREVIATION_LIMIT = 512, /* bytes of all abbreviations together */
    RULE_YEARS = 405,         /* a cycle of the calendar and a margin at both ends */
};

/* RFC 8536 3.2: offsets lie between these, in seconds. */
#define OFFSET_LOW_S  (-89999)
#define OFFSET_HIGH_S 93599
/* The farthest a local clock is from UTC: 26 hours. */
#define OFFSET_LIMIT_MS (26 * CLOCK_HOUR_MS)
/* Changes before the year -9999 are one of zic's ways to say "since ever". */
#define FIRST_S INT64_C(-377705116800)
#define LAST_S  INT64_C(253402300799)
/* 400 Gregorian years have a whole number of weeks: all rules repeat after them. */
#define CYCLE_MS (146097 * CLOCK_DAY_MS)
/* A zone that has a rule but no table follows it from here. */
#define FIRST_RULE_YEAR 1800

struct change {
    int64_t at_ms;
    uint16_t local; /* what is in force from then on */
};

struct zone {
    char name[NAME_SIZE];
    struct tz_local *locals;
    struct change *changes; /* ascending */
    size_t local_count;
    size_t change_count;
    uint16_t first_local; /* in force before all changes */
    bool repeats;         /* from repeat_ms on everything is as 400 years before */
    int64_t repeat_ms;
};

static struct tz_local utc_local = {0, "UTC"};
static const struct zone utc = {.name = "UTC", .locals = &utc_local, .local_count = 1};

const struct zone *
zone_utc(void)
{
    return &utc;
}

const char *
zone_name(const struct zone *zone)
{
    return zone->name;
}

void
zone_free(struct zone *zone)
{
    if (zone == NULL)
        return;
    free(zone->changes);
    free(zone->locals);
    free(zone);
}

/* What is still to be read of the file. */
struct reader {
    const unsigned char *at;
    size_t left;
};

/* NULL when there are not so many bytes. */
static const unsigned char *
take(struct reader *reader, uint64_t size)
{
    const unsigned char *at = reader->at;

    if (size > reader->left)
        return NULL;
    reader->at += size;
    reader->left -= (size_t)size;
    return at;
}

static uint32_t
big_endian32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t
big_endian64(const unsigned char *at)
{
    return (int64_t)((uint64_t)big_endian32(at) << 32 | big_endian32(at + 4));
}

struct header {
    unsigned char version;
    uint32_t ut_count;
    uint32_t std_count;
    uint32_t leap_count;
    uint32_t time_count;
    uint32_t type_count;
    uint32_t char_count;
};

static bool
read_header(struct reader *reader, struct header *out)
{
    const unsigned char *at = take(reader, HEADER_SIZE);

    if (at == NULL || memcmp(at, "TZif", 4) != 0 || at[4] < '2')
        return false;
    *out = (struct header){
        .version = at[4],
        .ut_count = big_endian32(at + 20),
        .std_count = big_endian32(at + 24),
        .leap_count = big_endian32(at + 28),
        .time_count = big_endian32(at + 32),
        .type_count = big_endian32(at + 36),
        .char_count = big_endian32(at + 40),
    };
    return true;
}

static uint64_t
block_size(const struct header *header, uint64_t time_size)
{
    return header->time_count * (time_size + 1) + header->type_count * UINT64_C(6) +
           header->char_count + header->leap_count * (time_size + 4) + header->std_count +
           header->ut_count;
}

/* The same local time may stand in the table and in the rule: one index for both. */
static uint16_t
intern(struct zone *zone, const struct tz_local *local)
{
    for (size_t i = 0; i < zone->local_count; i++)
        if (zone->locals[i].offset_ms == local->offset_ms &&
            strcmp(zone->locals[i].name, local->name) == 0)
            return (uint16_t)i;
    zone->locals[zone->local_count] = *local;
    return (uint16_t)zone->local_count++;
}

/* Of two changes at the same instant the later one counts; a change to the same is none. */
static void
append_change(struct zone *zone, int64_t at_ms, uint16_t local)
{
    if (zone->change_count > 0 && zone->changes[zone->change_count - 1].at_ms == at_ms)
        zone->change_count--;

    const uint16_t before =
        zone->change_count > 0 ? zone->changes[zone->change_count - 1].local : zone->first_local;

    if (before != local)
        zone->changes[zone->change_count++] = (struct change){at_ms, local};
}

static bool
read_local(const unsigned char *type, const char *names, uint32_t char_count, struct tz_local *out)
{
    const int32_t offset_s = (int32_t)big_endian32(type);
    const uint32_t start = type[5];

    if (offset_s < OFFSET_LOW_S || offset_s > OFFSET_HIGH_S || start >= char_count)
        return false;
    const void *end = memchr(names + start, '\0', char_count - start);

    if (end == NULL)
        return false;
    *out = (struct tz_local){.offset_ms = offset_s * CLOCK_SECOND_MS};
    return tz_name_copy(
        out->name, (struct text){names + start, (size_t)((const char *)end - (names + start))});
}

/* *last_ms is the last change of the table, also one that changes nothing; INT64_MIN: none. */
static bool
read_changes(struct zone *zone, const unsigned char *times, const unsigned char *types,
             const struct header *header, const uint16_t *index_of, int64_t *last_ms)
{
    int64_t before_s = INT64_MIN;

    *last_ms = INT64_MIN;
    zone->first_local = index_of[0];
    for (uint32_t i = 0; i < header->time_count; i++) {
        const int64_t at_s = big_endian64(times + (size_t)i * 8);

        if ((i > 0 && at_s <= before_s) || at_s > LAST_S || types[i] >= header->type_count)
            return false;
        before_s = at_s;
        if (at_s < FIRST_S) {
            zone->first_local = index_of[types[i]];
            continue;
        }
        *last_ms = at_s * CLOCK_SECOND_MS;
        append_change(zone, *last_ms, index_of[types[i]]);
    }
    return true;
}

static bool
read_table(struct zone *zone, struct reader *reader, const struct header *header, int64_t *last_ms)
{
    uint16_t index_of[LOCAL_LIMIT] = {0};
    const unsigned char *times = take(reader, header->time_count * UINT64_C(8));
    const unsigned char *types = take(reader, header->time_count);
    const unsigned char *locals = take(reader, header->type_count * UINT64_C(6));
    const char *names = (const char *)take(reader, header->char_count);

    if (times == NULL || types == NULL || locals == NULL || names == NULL ||
        take(reader, (uint64_t)header->std_count + header->ut_count) == NULL)
        return false;
    for (uint32_t i = 0; i < header->type_count; i++) {
        struct tz_local local;

        if (!read_local(locals + (size_t)i * 6, names, header->char_count, &local))
            return false;
        index_of[i] = intern(zone, &local);
    }
    return read_changes(zone, times, types, header, index_of, last_ms);
}

/* Writes the changes of the rule behind the table, a cycle of them; false when they overlap. */
static bool
append_rule(struct zone *zone, const struct tz_rule *rule, int64_t last_ms)
{
    const uint16_t standard = intern(zone, &rule->standard);
    const int32_t first_year =
        last_ms == INT64_MIN ? FIRST_RULE_YEAR : clock_civil(clock_day_of(last_ms)).year;
    const int32_t last_year = first_year + RULE_YEARS - 2;
    /* Not to the end of the last year: where summer lasts all year, that is where the next one
     * takes over at once. */
    const int64_t end_ms = clock_days((struct civil){last_year, 1, 1}) * CLOCK_DAY_MS;
    int64_t before_ms = INT64_MIN;

    if (last_ms == INT64_MIN)
        zone->first_local = standard;
    if (!rule->has_summer)
        return true;

    const uint16_t summer = intern(zone, &rule->summer);

    for (int32_t year = first_year - 1; year <= last_year; year++) {
        const struct change start = {tz_rule_start(rule, year), summer};
        const struct change end = {tz_rule_end(rule, year), standard};
        const bool north = start.at_ms <= end.at_ms;
        const struct change pair[] = {north ? start : end, north ? end : start};

        for (size_t i = 0; i < 2; i++) {
            if (pair[i].at_ms < before_ms)
                return false;
            before_ms = pair[i].at_ms;
            if (before_ms > last_ms && before_ms < end_ms)
                append_change(zone, before_ms, pair[i].local);
        }
    }
    /* Two years behind the table also the change before an instant is one of the rule. */
    zone->repeat_ms = clock_days((struct civil){first_year + 402, 1, 1}) * CLOCK_DAY_MS;
    zone->repeats =
        zone->change_count > 0 && zone->changes[zone->change_count - 1].at_ms >= zone->repeat_ms;
    return true;
}

static bool
read_footer(struct zone *zone, struct reader *reader, int64_t last_ms)
{
    const unsigned char *start = take(reader, 1);
    const unsigned char *end =
        start == NULL || *start != '\n' ? NULL : memchr(reader->at, '\n', reader->left);
    struct tz_rule rule;

    if (end == NULL)
        return false;
    const struct text text = {(const char *)reader->at, (size_t)(end - reader->at)};

    /* Without a rule the last change stays in force. */
    if (text.size == 0)
        return true;
    return tz_rule_parse(text, &rule) && append_rule(zone, &rule, last_ms);
}

static struct zone *
zone_new(struct text name, const struct header *header)
{
    struct zone *zone = calloc(1, sizeof *zone);

    if (zone == NULL)
        return NULL;
    zone->locals = calloc(header->type_count + 2, sizeof *zone->locals);
    zone->changes = calloc(header->time_count + 2 * RULE_YEARS, sizeof *zone->changes);
    if (zone->locals == NULL || zone->changes == NULL) {
        zone_free(zone);
        return NULL;
    }
    (void)text_copy(zone->name, sizeof zone->name, name);
    return zone;
}

/* Both headers; the reader stands before the 64-bit table then. */
static bool
find_table(struct reader *reader, struct header *header)
{
    return read_header(reader, header) && take(reader, block_size(header, 4)) != NULL &&
           read_header(reader, header) && header->type_count > 0 &&
           header->type_count <= LOCAL_LIMIT && header->time_count <= CHANGE_LIMIT &&
           header->char_count > 0 && header->char_count <= ABBREVIATION_LIMIT &&
           (header->std_count == 0 || header->std_count == header->type_count) &&
           (header->ut_count == 0 || header->ut_count == header->type_count);
}

struct zone *
zone_parse(struct text name, const void *bytes, size_t size, struct err *why)
{
    struct reader reader = {bytes, size};
    struct header header;
    int64_t last_ms;
    const int shown = name.size < NAME_SIZE ? (int)name.size : NAME_SIZE;

    if (name.size == 0 || name.size >= NAME_SIZE || memchr(name.at, '\0', name.size) != NULL) {
        (void)err_set(why, ERR_FATAL, "time zone \"%.*s\": a name has 1 to %d bytes", shown,
                      name.size == 0 ? "" : name.at, NAME_SIZE - 1);
        return NULL;
    }
    if (!find_table(&reader, &header)) {
        (void)err_set(why, ERR_FATAL,
                      "time zone %.*s: no TZif file of version 2 or later (RFC 8536)", shown,
                      name.at);
        return NULL;
    }
    if (header.leap_count != 0) {
        (void)err_set(
            why, ERR_FATAL,
            "time zone %.*s: its file counts leap seconds; use the one without \"right/\"", shown,
            name.at);
        return NULL;
    }
    struct zone *zone = zone_new(name, &header);

    if (zone == NULL) {
        (void)err_set(why, ERR_FATAL, "time zone %.*s: out of memory", shown, name.at);
        return NULL;
    }
    if (!read_table(zone, &reader, &header, &last_ms) || !read_footer(zone, &reader, last_ms)) {
        (void)err_set(why, ERR_FATAL, "time zone %.*s: its TZif file is damaged", shown, name.at);
        zone_free(zone);
        return NULL;
    }
    return zone;
}

/* How many changes have happened at an instant. */
static size_t
changes_until(const struct zone *zone, int64_t at_ms)
{
    size_t low = 0;
    size_t high = zone->change_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].at_ms <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* In force after the first `count` changes. */
static const struct tz_local *
local_after(const struct zone *zone, size_t count)
{
    return &zone->locals[count == 0 ? zone->first_local : zone->changes[count - 1].local];
}

/* How far an instant lies behind its like in the table. */
static int64_t
cycles_behind_ms(const struct zone *zone, int64_t at_ms)
{
    if (!zone->repeats || at_ms < zone->repeat_ms)
        return 0;
    return ((at_ms - zone->repeat_ms) / CYCLE_MS + 1) * CYCLE_MS;
}

static int64_t
add_within(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

struct zone_offset
zone_offset_at(const struct zone *zone, int64_t at_ms)
{
    const int64_t behind_ms = cycles_behind_ms(zone, at_ms);
    size_t first = changes_until(zone, at_ms - behind_ms);
    size_t last = first;
    const int64_t offset_ms = local_after(zone, first)->offset_ms;

    /* Some changes are only of the abbreviation. */
    while (first > 0 && local_after(zone, first - 1)->offset_ms == offset_ms)
        first--;
    while (last < zone->change_count && local_after(zone, last + 1)->offset_ms == offset_ms)
        last++;
    return (struct zone_offset){
        .offset_ms = offset_ms,
        .from_ms = first == 0 ? INT64_MIN : zone->changes[first - 1].at_ms + behind_ms,
        .until_ms = last == zone->change_count ? INT64_MAX
                                               : add_within(zone->changes[last].at_ms, behind_ms),
    };
}

int64_t
zone_instant(const struct zone *zone, int64_t local_ms)
{
    /* No clock is ahead of UTC by more than the limit: an earlier range cannot hold it. */
    struct zone_offset range = zone_offset_at(zone, add_within(local_ms, -OFFSET_LIMIT_MS));

    for (;;) {
        const int64_t at_ms = add_within(local_ms, -range.offset_ms);

        if (at_ms < range.from_ms)
            return range.from_ms;
        if (at_ms < range.until_ms || range.until_ms == INT64_MAX)
            return at_ms;
        range = zone_offset_at(zone, range.until_ms);
    }
}

const char *
zone_format(const struct zone *zone, int64_t at_ms, char out[ZONE_TEXT_SIZE])
{
    const size_t count = changes_until(zone, at_ms - cycles_behind_ms(zone, at_ms));
    const struct tz_local *local = local_after(zone, count);
    const int64_t local_ms = add_within(at_ms, local->offset_ms);
    const int64_t days = clock_day_of(local_ms);
    const struct civil date = clock_civil(days);
    const int minute =
        (int)((local_ms % CLOCK_DAY_MS + CLOCK_DAY_MS) % CLOCK_DAY_MS / CLOCK_MINUTE_MS);

    (void)snprintf(out, ZONE_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d %s", date.year, date.month,
                   date.day, minute / 60, minute % 60, local->name);
    return out;
}
