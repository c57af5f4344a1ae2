/* Protects: local time is what the IANA database says, and no byte of a zone file is trusted. */
#include "core/zone.h"
#include "tests/check.h"
#include "tests/zone_file.h"

#include <stdlib.h>

static void
test_format(void)
{
    static const struct {
        const char *zone;
        const char *at;
        const char *text;
    } rows[] = {
        {"UTC", "2026-03-02T14:05:59.999Z", "2026-03-02 14:05 UTC"},
        {"Europe/Berlin", "2026-03-02T13:05:00Z", "2026-03-02 14:05 CET"},
        {"Europe/Berlin", "2026-03-29T00:59:59.999Z", "2026-03-29 01:59 CET"},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 03:00 CEST"},
        {"Europe/Berlin", "2026-10-25T00:59:59.999Z", "2026-10-25 02:59 CEST"},
        {"Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25 02:00 CET"},
        {"Europe/Berlin", "2037-10-25T01:00:00Z", "2037-10-25 02:00 CET"},
        {"Europe/Berlin", "2038-03-28T01:00:00Z", "2038-03-28 03:00 CEST"},
        {"Europe/Berlin", "2438-03-28T01:00:00Z", "2438-03-28 03:00 CEST"},
        {"Europe/Berlin", "9000-07-01T00:00:00Z", "9000-07-01 02:00 CEST"},
        {"Europe/Berlin", "9999-12-31T23:30:00Z", "10000-01-01 00:30 CET"},
        {"Africa/Lagos", "2026-03-02T23:30:00Z", "2026-03-03 00:30 WAT"},
        {"Africa/Lagos", "9000-03-02T23:30:00Z", "9000-03-03 00:30 WAT"},
        {"Asia/Kolkata", "2026-03-02T18:30:00Z", "2026-03-03 00:00 IST"},
        {"Asia/Kathmandu", "2026-03-02T18:15:00Z", "2026-03-03 00:00 +0545"},
        {"Asia/Kathmandu", "1985-12-31T18:29:59Z", "1985-12-31 23:59 +0530"},
        {"Asia/Kathmandu", "1985-12-31T18:30:00Z", "1986-01-01 00:15 +0545"},
        {"Australia/Lord_Howe", "2026-07-01T00:00:00Z", "2026-07-01 10:30 +1030"},
        {"Australia/Lord_Howe", "2026-01-01T00:00:00Z", "2026-01-01 11:00 +11"},
        {"Australia/Lord_Howe", "2077-01-01T00:00:00Z", "2077-01-01 11:00 +11"},
        {"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29 23:59 -10"},
        {"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31 00:00 +14"},
        {"America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03 23:59 -03"},
        {"America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04 01:00 -02"},
        {"Europe/Dublin", "2060-07-01T12:00:00Z", "2060-07-01 13:00 IST"},
        {"America/Nuuk", "2060-07-01T12:00:00Z", "2060-07-01 11:00 -01"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        char out[ZONE_TEXT_SIZE];

        CU_ASSERT_STRING_EQUAL(zone_name(zone), rows[i].zone);
        (void)zone_format(zone, instant_of(rows[i].at), out);
        if (strcmp(out, rows[i].text) != 0)
            (void)printf("\n%s: %s\n", rows[i].text, out);
        CU_ASSERT_STRING_EQUAL(out, rows[i].text);
        zone_free(zone);
    }
}

static void
test_ranges(void)
{
    static const struct {
        const char *zone;
        const char *at;
        int64_t offset_minutes;
        const char *from; /* NULL: none */
        const char *until;
    } rows[] = {
        {"Europe/Berlin", "2026-07-01T00:00:00Z", 120, "2026-03-29T01:00:00Z",
         "2026-10-25T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", 120, "2026-03-29T01:00:00Z",
         "2026-10-25T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29T00:59:59.999Z", 60, "2025-10-26T01:00:00Z",
         "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2037-12-01T00:00:00Z", 60, "2037-10-25T01:00:00Z",
         "2038-03-28T01:00:00Z"},
        {"Europe/Berlin", "2439-01-01T00:00:00Z", 60, "2438-10-31T01:00:00Z",
         "2439-03-27T01:00:00Z"},
        {"Europe/Berlin", "8438-12-01T00:00:00Z", 60, "8438-10-31T01:00:00Z",
         "8439-03-27T01:00:00Z"},
        {"Asia/Kathmandu", "2026-01-01T00:00:00Z", 345, "1985-12-31T18:30:00Z", NULL},
        {"UTC", "2026-01-01T00:00:00Z", 0, NULL, NULL},
        {"Pacific/Apia", "2012-01-01T00:00:00Z", 840, "2011-12-30T10:00:00Z",
         "2012-03-31T14:00:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        const struct zone_offset found = zone_offset_at(zone, instant_of(rows[i].at));

        CHECK_INT(rows[i].at, found.offset_ms, rows[i].offset_minutes * CLOCK_MINUTE_MS);
        CHECK_INT(rows[i].at, found.from_ms,
                  rows[i].from == NULL ? INT64_MIN : instant_of(rows[i].from));
        CHECK_INT(rows[i].at, found.until_ms,
                  rows[i].until == NULL ? INT64_MAX : instant_of(rows[i].until));
        zone_free(zone);
    }
}

static void
test_instant(void)
{
    static const struct {
        const char *zone;
        const char *local; /* written as if it were UTC */
        const char *at;
    } rows[] = {
        {"UTC", "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"Europe/Berlin", "2026-03-29T01:59:59.999Z", "2026-03-29T00:59:59.999Z"},
        {"Europe/Berlin", "2026-03-29T02:00:00Z", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29T02:59:59.999Z", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29T03:00:00Z", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29T03:00:00.001Z", "2026-03-29T01:00:00.001Z"},
        {"Europe/Berlin", "2026-10-25T01:59:59.999Z", "2026-10-24T23:59:59.999Z"},
        {"Europe/Berlin", "2026-10-25T02:00:00Z", "2026-10-25T00:00:00Z"},
        {"Europe/Berlin", "2026-10-25T02:59:59.999Z", "2026-10-25T00:59:59.999Z"},
        {"Europe/Berlin", "2026-10-25T03:00:00Z", "2026-10-25T02:00:00Z"},
        {"Europe/Berlin", "8438-10-31T02:30:00Z", "8438-10-31T00:30:00Z"},
        {"America/Sao_Paulo", "2018-11-04T00:00:00Z", "2018-11-04T03:00:00Z"},
        {"Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", "2011-12-30T23:59:59Z", "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", "2011-12-31T00:00:00Z", "2011-12-30T10:00:00Z"},
        {"Australia/Lord_Howe", "2026-04-05T01:45:00Z", "2026-04-04T14:45:00Z"},
        {"Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-03T15:30:00Z"},
        /* Clocks went back from 00:00 to 23:00: this midnight comes once. */
        {"America/Sao_Paulo", "2018-02-18T00:00:00Z", "2018-02-18T03:00:00Z"},
        /* From 00:01 back to 23:01: this one comes twice. */
        {"America/St_Johns", "2006-10-29T00:00:00Z", "2006-10-29T02:30:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);

        CHECK_INT(rows[i].local, zone_instant(zone, instant_of(rows[i].local)),
                  instant_of(rows[i].at));
        zone_free(zone);
    }
}

/* A zone file made here. */
struct made {
    unsigned char version;
    uint32_t time_count;
    uint32_t type_count;
    uint32_t char_count;
    uint32_t std_count;
    uint32_t leap_count;
    int64_t times[2];
    unsigned char types[2];
    int32_t offset_s; /* of the second type; the first is UTC */
    unsigned char name_start;
    const char *names;
    const char *footer;
};

static unsigned char *
put(unsigned char *at, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--)
        *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

static unsigned char *
put_header(unsigned char *at, const struct made *made, bool empty)
{
    static const unsigned char magic[] = {'T', 'Z', 'i', 'f'};

    memcpy(at, magic, sizeof magic);
    at[4] = made->version;
    memset(at + 5, 0, 15);
    at = put(at + 20, 0, 4);
    at = put(at, empty ? 0 : made->std_count, 4);
    at = put(at, empty ? 0 : made->leap_count, 4);
    at = put(at, empty ? 0 : made->time_count, 4);
    at = put(at, empty ? 0 : made->type_count, 4);
    return put(at, empty ? 0 : made->char_count, 4);
}

/* At most two changes and two types are written, whatever the counts say. */
static size_t
make_file(const struct made *made, unsigned char *out)
{
    unsigned char *at = put_header(put_header(out, made, true), made, false);

    for (uint32_t i = 0; i < made->time_count && i < 2; i++)
        at = put(at, (uint64_t)made->times[i], 8);
    for (uint32_t i = 0; i < made->time_count && i < 2; i++)
        *at++ = made->types[i];
    for (uint32_t i = 0; i < made->type_count && i < 2; i++) {
        at = put(at, i == 0 ? 0 : (uint32_t)made->offset_s, 4);
        *at++ = 0;
        *at++ = i == 0 ? 0 : made->name_start;
    }
    for (uint32_t i = 0; i < made->char_count && i < 8; i++)
        *at++ = (unsigned char)made->names[i];
    for (uint32_t i = 0; i < made->std_count && i < 2; i++)
        *at++ = 0;
    for (const char *c = made->footer; *c != '\0'; c++)
        *at++ = (unsigned char)*c;
    return (size_t)(at - out);
}

static struct zone *
parse_made(const char *row, const struct made *made)
{
    unsigned char bytes[512];
    struct err why = {0};
    const size_t size = make_file(made, bytes);
    /* On the heap, exactly, for the sanitizer to see a byte too far. */
    unsigned char *copy = malloc(size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, bytes, size);
    struct zone *zone = zone_parse(TEXT("Test/Made"), copy, size, &why);

    free(copy);
    CHECK_INT(row, why.class, zone != NULL ? ERR_NONE : ERR_FATAL);
    return zone;
}

static const struct made good = {
    .version = '2',
    .time_count = 2,
    .type_count = 2,
    .char_count = 8,
    .times = {0, 3600},
    .types = {1, 0},
    .offset_s = 3600,
    .name_start = 4,
    .names = "UTC\0ABC",
    .footer = "\nUTC0\n",
};

/* One member of the good file is changed. */
#define CHECK_MADE(row, member, value, expected)         \
    do {                                                 \
        struct made changed = good;                      \
                                                         \
        changed.member = (value);                        \
        struct zone *zone = parse_made((row), &changed); \
                                                         \
        CHECK_INT((row), zone != NULL, (expected));      \
        zone_free(zone);                                 \
    } while (0)

static void
test_damaged_header(void)
{
    CHECK_MADE("good", version, '2', true);
    CHECK_MADE("version 4", version, '4', true);
    CHECK_MADE("version 1", version, 0, false);
    CHECK_MADE("too many changes", time_count, UINT32_MAX, false);
    CHECK_MADE("4097 changes", time_count, 4097, false);
    CHECK_MADE("3 changes, 2 there", time_count, 3, false);
    CHECK_MADE("no types", type_count, 0, false);
    CHECK_MADE("too many types", type_count, 257, false);
    CHECK_MADE("one type more", type_count, 3, false);
    CHECK_MADE("no abbreviations", char_count, 0, false);
    CHECK_MADE("one name is not ended", char_count, 7, false);
    CHECK_MADE("too many abbreviations", char_count, UINT32_MAX, false);
    CHECK_MADE("indicators for one of two", std_count, 1, false);
    CHECK_MADE("indicators for both", std_count, 2, true);
    CHECK_MADE("leap seconds", leap_count, 27, false);
}

static void
test_damaged_table(void)
{
    CHECK_MADE("same instant twice", times[1], 0, false);
    CHECK_MADE("not ascending", times[1], -1, false);
    CHECK_MADE("beyond the calendar", times[1], INT64_MAX, false);
    CHECK_MADE("after the year 9999", times[1], INT64_C(253402300800), false);
    CHECK_MADE("in the year 9999", times[1], INT64_C(253402300799), true);
    CHECK_MADE("since ever", times[0], INT64_MIN, true);
    CHECK_MADE("type that is not there", types[0], 2, false);
    CHECK_MADE("25:59:59 ahead", offset_s, 93599, true);
    CHECK_MADE("26:00:00 ahead", offset_s, 93600, false);
    CHECK_MADE("24:59:59 behind", offset_s, -89999, true);
    CHECK_MADE("25:00:00 behind", offset_s, -90000, false);
    CHECK_MADE("least offset", offset_s, INT32_MIN, false);
    CHECK_MADE("name beyond the names", name_start, 8, false);
    CHECK_MADE("empty name", name_start, 7, false);
    CHECK_MADE("control character", names, "UTC\0A\nC", false);
    CHECK_MADE("no footer", footer, "", false);
    CHECK_MADE("footer without end", footer, "\nUTC0", false);
    CHECK_MADE("footer without start", footer, "UTC0\n", false);
    CHECK_MADE("empty footer", footer, "\n\n", true);
    CHECK_MADE("bad footer", footer, "\nUTC\n", false);
    CHECK_MADE("changes overlap", footer, "\nA-1B,J365/167,J1/-167\n", false);
}

/* Changes of the abbreviation alone do not end the range of an offset. */
static void
test_name_changes(void)
{
    struct made made = good;

    made.offset_s = 0;
    struct zone *zone = parse_made("same offset", &made);
    char out[ZONE_TEXT_SIZE];

    CU_ASSERT_PTR_NOT_NULL_FATAL(zone);
    for (int64_t at_ms = -1; at_ms <= 3600000; at_ms += 3600001) {
        CHECK_INT("from", zone_offset_at(zone, at_ms).from_ms, INT64_MIN);
        CHECK_INT("until", zone_offset_at(zone, at_ms).until_ms, INT64_MAX);
    }
    CU_ASSERT_STRING_EQUAL(zone_format(zone, -1, out), "1969-12-31 23:59 UTC");
    CU_ASSERT_STRING_EQUAL(zone_format(zone, 0, out), "1970-01-01 00:00 ABC");
    CU_ASSERT_STRING_EQUAL(zone_format(zone, 3600000, out), "1970-01-01 01:00 UTC");
    zone_free(zone);
}

/* Summer time all year, as RFC 8536 writes it: the winters have no length. */
static void
test_all_year(void)
{
    struct made made = good;

    made.time_count = 0;
    made.footer = "\nEST5EDT,0/0,J365/25\n";
    struct zone *zone = parse_made("all year", &made);

    CU_ASSERT_PTR_NOT_NULL_FATAL(zone);
    const struct zone_offset now = zone_offset_at(zone, instant_of("2026-01-01T05:00:00Z"));

    CHECK_INT("offset", now.offset_ms, -4 * CLOCK_HOUR_MS);
    CHECK_INT("until", now.until_ms, INT64_MAX);
    CHECK_INT("far", zone_offset_at(zone, instant_of("9000-01-01T05:00:00Z")).offset_ms,
              -4 * CLOCK_HOUR_MS);
    zone_free(zone);
}

/* Every file that is cut off is refused; one with a changed byte never does harm. */
static void
test_hostile_bytes(void)
{
    static const int64_t probes[] = {INT64_MIN, -1, 0, INT64_C(1772409600000), INT64_MAX};
    unsigned char bytes[ZONE_FILE_SIZE_LIMIT];
    const size_t size = zone_file_read("Europe/Berlin", bytes);
    struct err why;
    int64_t accepted = 0;

    CU_ASSERT_FATAL(size > 0);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *copy = malloc(cut + 1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        if (copy == NULL) /* the analyzer does not know that the line above leaves */
            return;
        memcpy(copy + 1, bytes, cut);
        struct zone *zone = zone_parse(TEXT("Test/Cut"), copy + 1, cut, &why);

        accepted += zone != NULL;
        zone_free(zone);
        free(copy);
    }
    CHECK_INT("cut files accepted", accepted, 0);
    for (size_t i = 0; i < size * 4; i++) {
        static const unsigned char flips[] = {0x01, 0x80, 0x55, 0xff};
        unsigned char *byte = &bytes[i / 4];

        *byte ^= flips[i % 4];
        struct zone *zone = zone_parse(TEXT("Test/Flip"), bytes, size, &why);

        for (size_t j = 0; zone != NULL && j < sizeof probes / sizeof probes[0]; j++) {
            char out[ZONE_TEXT_SIZE];
            const struct zone_offset range = zone_offset_at(zone, probes[j]);

            CU_ASSERT(range.from_ms <= probes[j] && range.until_ms >= probes[j]);
            (void)zone_instant(zone, probes[j]);
            (void)zone_format(zone, probes[j], out);
        }
        zone_free(zone);
        *byte ^= flips[i % 4];
    }
}

static void
test_names(void)
{
    unsigned char bytes[ZONE_FILE_SIZE_LIMIT];
    const size_t size = zone_file_read("UTC", bytes);
    char name[65];
    struct err why = {0};

    memset(name, 'x', sizeof name);
    struct zone *zone = zone_parse((struct text){name, 63}, bytes, size, &why);

    CU_ASSERT_PTR_NOT_NULL(zone);
    zone_free(zone);
    CU_ASSERT_PTR_NULL(zone_parse((struct text){name, 64}, bytes, size, &why));
    CU_ASSERT_PTR_NULL(zone_parse(TEXT(""), bytes, size, &why));
    CU_ASSERT_PTR_NULL(zone_parse(TEXT("a\0b"), bytes, size, &why));
    CU_ASSERT_PTR_NULL(zone_parse(TEXT("Test/None"), NULL, 0, &why));
    CU_ASSERT_STRING_EQUAL(why.text,
                           "time zone Test/None: no TZif file of version 2 or later (RFC 8536)");
    zone_free(NULL);
    CU_ASSERT_STRING_EQUAL(zone_name(zone_utc()), "UTC");
    CHECK_INT("UTC", zone_offset_at(zone_utc(), 0).offset_ms, 0);
    CHECK_INT("UTC", zone_instant(zone_utc(), 1234), 1234);
}

static CU_TestInfo tests[] = {
    {"local time and abbreviation", test_format},
    {"how long an offset stays", test_ranges},
    {"gaps and times that come twice", test_instant},
    {"damaged headers", test_damaged_header},
    {"damaged tables and footers", test_damaged_table},
    {"changes of the abbreviation alone", test_name_changes},
    {"summer time all year", test_all_year},
    {"cut and changed files", test_hostile_bytes},
    {"names, and UTC without a file", test_names},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_zone = {"zone", NULL, NULL, NULL, NULL, tests};
