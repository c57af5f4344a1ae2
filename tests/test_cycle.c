/* Protects: which period and which hour a fact is booked in, in every zone, beside Python's own
 * time zone code (tests/cycle_oracle.py). */
#include "core/cycle.h"
#include "tests/check.h"
#include "tests/zone_file.h"

#include <stdlib.h>
#include <time.h>

enum { ORACLE_CASES = 100000 };

struct row {
    const char *zone;
    struct cycle cycle;
    const char *at;
    const char *start;
    const char *end;
};

static void
check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        const struct period found = cycle_period(&rows[i].cycle, zone, instant_of(rows[i].at));

        CHECK_INT(rows[i].at, found.start_ms, instant_of(rows[i].start));
        CHECK_INT(rows[i].at, found.end_ms, instant_of(rows[i].end));
        zone_free(zone);
    }
}

#define CHECK_ROWS(rows) check_rows((rows), sizeof(rows) / sizeof((rows)[0]))

#define MONTH                        \
    {                                \
        .kind = CYCLE_CALENDAR_MONTH \
    }
#define ANCHOR(n)                        \
    {                                    \
        .kind = CYCLE_ANCHOR, .day = (n) \
    }
#define CONTRACT(months, y, m, d)                                         \
    {                                                                     \
        .kind = CYCLE_CONTRACT, .step = (months), .contract = { y, m, d } \
    }
#define WEEK               \
    {                      \
        .kind = CYCLE_WEEK \
    }
#define DAYS(days, y, m, d)                                         \
    {                                                               \
        .kind = CYCLE_DAYS, .step = (days), .contract = { y, m, d } \
    }

static void
test_dates(void)
{
    static const struct row rows[] = {
        {"UTC", ANCHOR(31), "2026-02-01T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"},
        {"UTC", ANCHOR(31), "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"},
        {"UTC", ANCHOR(31), "2024-02-28T23:59:59.999Z", "2024-01-31T00:00:00Z",
         "2024-02-29T00:00:00Z"},
        {"UTC", ANCHOR(31), "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z"},
        {"UTC", ANCHOR(31), "2026-04-29T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z"},
        {"UTC", ANCHOR(31), "2026-04-30T00:00:00Z", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z"},
        {"UTC", ANCHOR(15), "2026-01-14T23:59:59.999Z", "2025-12-15T00:00:00Z",
         "2026-01-15T00:00:00Z"},
        {"UTC", ANCHOR(1), "2026-01-31T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
        {"UTC", MONTH, "2025-12-31T23:59:59.999Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"},
        {"UTC", MONTH, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
        {"UTC", MONTH, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"},
        {"UTC", MONTH, "9000-12-31T00:00:00Z", "9000-12-01T00:00:00Z", "9001-01-01T00:00:00Z"},
        {"UTC", CONTRACT(12, 2024, 2, 29), "2025-02-27T23:59:59.999Z", "2024-02-29T00:00:00Z",
         "2025-02-28T00:00:00Z"},
        {"UTC", CONTRACT(12, 2024, 2, 29), "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z",
         "2029-02-28T00:00:00Z"},
        {"UTC", CONTRACT(3, 2025, 11, 30), "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z",
         "2026-05-30T00:00:00Z"},
        {"UTC", CONTRACT(1, 2026, 1, 31), "2026-04-30T00:00:00Z", "2026-04-30T00:00:00Z",
         "2026-05-31T00:00:00Z"},
        {"UTC", CONTRACT(12, 2026, 7, 1), "2020-06-30T23:59:59.999Z", "2019-07-01T00:00:00Z",
         "2020-07-01T00:00:00Z"},
        {"UTC", WEEK, "2026-03-01T23:59:59.999Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"UTC", WEEK, "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},
        {"UTC", DAYS(30, 2026, 1, 1), "2026-01-30T23:59:59.999Z", "2026-01-01T00:00:00Z",
         "2026-01-31T00:00:00Z"},
        {"UTC", DAYS(30, 2026, 1, 1), "2025-12-31T23:59:59.999Z", "2025-12-02T00:00:00Z",
         "2026-01-01T00:00:00Z"},
        {"UTC", DAYS(1, 2026, 1, 1), "2026-05-05T05:05:05Z", "2026-05-05T00:00:00Z",
         "2026-05-06T00:00:00Z"},
    };

    CHECK_ROWS(rows);
}

static void
test_zones(void)
{
    static const struct row rows[] = {
        {"Africa/Lagos", MONTH, "2026-01-31T22:59:59.999Z", "2025-12-31T23:00:00Z",
         "2026-01-31T23:00:00Z"},
        {"Africa/Lagos", MONTH, "2026-01-31T23:00:00Z", "2026-01-31T23:00:00Z",
         "2026-02-28T23:00:00Z"},
        {"Asia/Kolkata", MONTH, "2026-02-28T18:29:59.999Z", "2026-01-31T18:30:00Z",
         "2026-02-28T18:30:00Z"},
        {"Asia/Kathmandu", MONTH, "2026-02-28T18:15:00Z", "2026-02-28T18:15:00Z",
         "2026-03-31T18:15:00Z"},
        {"Europe/Berlin", MONTH, "2026-03-29T01:00:00Z", "2026-02-28T23:00:00Z",
         "2026-03-31T22:00:00Z"},
        {"Europe/Berlin", ANCHOR(29), "2026-03-29T01:00:00Z", "2026-03-28T23:00:00Z",
         "2026-04-28T22:00:00Z"},
        {"Europe/Berlin", ANCHOR(25), "2026-10-25T01:30:00Z", "2026-10-24T22:00:00Z",
         "2026-11-24T23:00:00Z"},
        {"Australia/Lord_Howe", ANCHOR(5), "2026-04-04T13:00:00Z", "2026-04-04T13:00:00Z",
         "2026-05-04T13:30:00Z"},
        {"America/Sao_Paulo", ANCHOR(4), "2018-11-04T02:59:59.999Z", "2018-10-04T03:00:00Z",
         "2018-11-04T03:00:00Z"},
        {"America/Sao_Paulo", DAYS(1, 2018, 1, 1), "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z",
         "2018-11-05T02:00:00Z"},
        {"America/Sao_Paulo", DAYS(1, 2018, 1, 1), "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z",
         "2018-02-18T03:00:00Z"},
        {"America/St_Johns", DAYS(1, 2006, 1, 1), "2006-10-29T02:45:00Z", "2006-10-29T02:30:00Z",
         "2006-10-30T03:30:00Z"},
        {"Pacific/Apia", DAYS(1, 2011, 1, 1), "2011-12-30T09:59:59.999Z", "2011-12-29T10:00:00Z",
         "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", DAYS(1, 2011, 1, 1), "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z",
         "2011-12-31T10:00:00Z"},
        {"Pacific/Apia", ANCHOR(30), "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z",
         "2012-01-29T10:00:00Z"},
    };

    CHECK_ROWS(rows);
}

static void
test_hours(void)
{
    static const struct {
        const char *zone;
        const char *at;
        const char *start;
        const char *end;
    } rows[] = {
        {"UTC", "2026-03-02T10:59:59.999Z", "2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z"},
        {"Africa/Lagos", "2026-03-02T23:00:00Z", "2026-03-02T23:00:00Z", "2026-03-03T00:00:00Z"},
        {"Asia/Kolkata", "2026-03-02T10:10:00Z", "2026-03-02T09:30:00Z", "2026-03-02T10:30:00Z"},
        {"Asia/Kolkata", "2026-03-02T23:59:59.999Z", "2026-03-02T23:30:00Z",
         "2026-03-03T00:00:00Z"},
        {"Asia/Kolkata", "2026-03-03T00:00:00Z", "2026-03-03T00:00:00Z", "2026-03-03T00:30:00Z"},
        {"Asia/Kathmandu", "2026-03-02T23:20:00Z", "2026-03-02T23:15:00Z", "2026-03-03T00:00:00Z"},
        {"Asia/Kathmandu", "2026-03-03T00:14:59.999Z", "2026-03-03T00:00:00Z",
         "2026-03-03T00:15:00Z"},
        {"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
        {"Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
        /* 01:30..02:00 before, 01:30..02:00 again, then 02:00. */
        {"Australia/Lord_Howe", "2026-04-04T14:59:59.999Z", "2026-04-04T14:00:00Z",
         "2026-04-04T15:00:00Z"},
        {"Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-04T15:00:00Z",
         "2026-04-04T15:30:00Z"},
        {"Australia/Lord_Howe", "2026-10-03T15:29:59.999Z", "2026-10-03T14:30:00Z",
         "2026-10-03T15:30:00Z"},
        {"Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z",
         "2026-10-03T16:00:00Z"},
        {"America/St_Johns", "2006-10-29T02:30:30Z", "2006-10-29T02:30:00Z",
         "2006-10-29T02:31:00Z"},
        {"America/St_Johns", "2006-10-29T02:31:00Z", "2006-10-29T02:31:00Z",
         "2006-10-29T03:30:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        const struct period found = cycle_hour(zone, instant_of(rows[i].at));

        CHECK_INT(rows[i].at, found.start_ms, instant_of(rows[i].start));
        CHECK_INT(rows[i].at, found.end_ms, instant_of(rows[i].end));
        zone_free(zone);
    }
}

/* Hours fill periods and UTC days without a hole: facts sum to both. */
static void
test_hours_fill_periods(void)
{
    static const char *const zones[] = {"Africa/Lagos",  "Asia/Kolkata",        "Asia/Kathmandu",
                                        "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia",
                                        "Africa/Cairo",  "America/Sao_Paulo",   "Asia/Gaza"};
    static const struct cycle cycles[] = {MONTH, ANCHOR(31), WEEK, DAYS(1, 2010, 5, 5)};

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        struct zone *zone = zone_file_load(zones[i]);
        const int64_t end_ms = instant_of("2013-01-01T00:00:00Z");
        struct period hour = cycle_hour(zone, instant_of("2010-01-01T00:00:00Z"));
        int64_t wrong = 0;

        while (hour.start_ms < end_ms) {
            const struct period next = cycle_hour(zone, hour.end_ms);
            const int64_t last_ms = hour.end_ms - 1;

            wrong += next.start_ms != hour.end_ms || next.end_ms <= next.start_ms;
            wrong += clock_day_of(hour.start_ms) != clock_day_of(last_ms);
            for (size_t j = 0; j < sizeof cycles / sizeof cycles[0]; j++)
                wrong += cycle_period(&cycles[j], zone, hour.start_ms).start_ms !=
                         cycle_period(&cycles[j], zone, last_ms).start_ms;
            hour = next;
        }
        CHECK_INT(zones[i], wrong, 0);
        zone_free(zone);
    }
}

struct oracle_case {
    const char *zone;
    struct cycle cycle;
    int64_t at_ms;
    struct period period;
    struct period hour; /* end 0: not asked */
};

/* The name of the zone points into the line. */
static bool
read_case(char *line, struct oracle_case *out)
{
    enum { KIND, DAY, STEP, YEAR, MON, MDAY, AT, START, END, HOUR_START, HOUR_END, NUMBERS };
    int64_t number[NUMBERS];
    char *rest = NULL;

    out->zone = strtok_r(line, " \n", &rest);
    for (size_t i = 0; i < NUMBERS; i++) {
        const struct text word = text_of(strtok_r(NULL, " \n", &rest));

        if (!text_to_int(word, i < AT ? 0 : INT64_MIN, i < AT ? 9999 : INT64_MAX, &number[i]))
            return false;
    }
    out->cycle = (struct cycle){
        .kind = (enum cycle_kind)number[KIND],
        .day = (int32_t)number[DAY],
        .step = (int32_t)number[STEP],
        .contract = {(int32_t)number[YEAR], (int32_t)number[MON], (int32_t)number[MDAY]},
    };
    out->at_ms = number[AT];
    out->period = (struct period){number[START], number[END]};
    out->hour = (struct period){number[HOUR_START], number[HOUR_END]};
    return true;
}

static bool
agrees(const struct oracle_case *expected, const struct zone *zone)
{
    const struct period period = cycle_period(&expected->cycle, zone, expected->at_ms);
    const struct period hour = cycle_hour(zone, expected->at_ms);

    return period.start_ms == expected->period.start_ms &&
           period.end_ms == expected->period.end_ms &&
           (expected->hour.end_ms == 0 ||
            (hour.start_ms == expected->hour.start_ms && hour.end_ms == expected->hour.end_ms));
}

/* Prints the first cases that differ; returns how many were read. */
static int64_t
compare_all(FILE *oracle, int64_t *wrong)
{
    struct zone *zone = NULL;
    int64_t count = 0;
    char line[512];

    while (fgets(line, sizeof line, oracle) != NULL) {
        struct oracle_case expected;
        char shown[sizeof line];

        memcpy(shown, line, sizeof shown);
        if (!read_case(line, &expected))
            break;
        count++;
        if (zone == NULL || strcmp(zone_name(zone), expected.zone) != 0) {
            zone_free(zone);
            zone = zone_file_load(expected.zone);
        }
        if (!agrees(&expected, zone) && ++*wrong <= 5)
            (void)printf("\ndiffers: %s", shown);
    }
    zone_free(zone);
    return count;
}

/* TRIPMETER_SEED=n repeats a run. */
static void
test_oracle(void)
{
    int64_t seed = (int64_t)time(NULL);
    int64_t wrong = 0;
    char command[512];

    /* No thread has been started. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    (void)text_to_int(text_of(getenv("TRIPMETER_SEED")), 0, INT64_MAX, &seed);
    (void)snprintf(command, sizeof command, "/usr/bin/python3 tests/cycle_oracle.py %" PRId64 " %d",
                   seed, ORACLE_CASES);
    (void)printf("(seed %" PRId64 ") ", seed);
    (void)fflush(stdout);

    FILE *oracle = popen(command, "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(oracle);
    CHECK_INT("oracle", compare_all(oracle, &wrong), ORACLE_CASES);
    CHECK_INT("oracle", wrong, 0);
    CHECK_INT("oracle", pclose(oracle), 0);
}

static CU_TestInfo tests[] = {
    {"anchors, contracts, weeks, days", test_dates},
    {"local midnights", test_zones},
    {"hours that facts are booked in", test_hours},
    {"hours fill periods and UTC days", test_hours_fill_periods},
    {"100,000 cases beside Python", test_oracle},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_cycle = {"cycle", NULL, NULL, NULL, NULL, tests};
