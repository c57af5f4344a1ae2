/* Protects: the rule that every zone follows after 2037 is read as POSIX and RFC 8536 write it. */
#include "core/tz_rule.h"
#include "tests/check.h"
#include "tests/zone_file.h"

static void
test_changes(void)
{
    static const struct {
        const char *rule;
        int32_t year;
        const char *start;
        const char *end;
    } rows[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 2026, "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
        {"EST5EDT,M3.2.0,M11.1.0", 2026, "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 2026, "2026-10-25T01:00:00Z", "2026-03-29T01:00:00Z"},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2026, "2026-10-03T15:30:00Z",
         "2026-04-04T15:00:00Z"},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2026, "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", 2026, "2026-03-28T00:00:00Z", "2026-10-23T23:00:00Z"},
        {"A0B,J59/0,J60/0", 2023, "2023-02-28T00:00:00Z", "2023-02-28T23:00:00Z"},
        {"A0B,J59/0,J60/0", 2024, "2024-02-28T00:00:00Z", "2024-02-29T23:00:00Z"},
        {"A0B,58/0,59/0", 2023, "2023-02-28T00:00:00Z", "2023-02-28T23:00:00Z"},
        {"A0B,58/0,59/0", 2024, "2024-02-28T00:00:00Z", "2024-02-28T23:00:00Z"},
        {"A0B,0/0,365/0", 2024, "2024-01-01T00:00:00Z", "2024-12-30T23:00:00Z"},
        {"A0B,J1/167,J365/-167:59:59", 2023, "2023-01-07T23:00:00Z", "2023-12-23T23:00:01Z"},
        {"A0B,M2.5.4,M2.1.4", 2024, "2024-02-29T02:00:00Z", "2024-02-01T01:00:00Z"},
        {"A0B,M2.5.4,M2.4.4", 2023, "2023-02-23T02:00:00Z", "2023-02-23T01:00:00Z"},
        {"A+1:02:03B-4,J2,J3", 2023, "2023-01-02T03:02:03Z", "2023-01-02T22:00:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tz_rule rule;

        CHECK_INT(rows[i].rule, tz_rule_parse(text_of(rows[i].rule), &rule), true);
        CHECK_INT(rows[i].rule, rule.has_summer, true);
        CHECK_INT(rows[i].rule, tz_rule_start(&rule, rows[i].year), instant_of(rows[i].start));
        CHECK_INT(rows[i].rule, tz_rule_end(&rule, rows[i].year), instant_of(rows[i].end));
    }
}

static void
test_standard_only(void)
{
    static const struct {
        const char *rule;
        const char *name;
        int64_t offset_minutes;
    } rows[] = {
        {"UTC0", "UTC", 0},       {"<+03>-3", "+03", 180},
        {"<-03>3", "-03", -180},  {"<+0545>-5:45", "+0545", 345},
        {"IST-5:30", "IST", 330}, {"X24", "X", -1440},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tz_rule rule;

        CHECK_INT(rows[i].rule, tz_rule_parse(text_of(rows[i].rule), &rule), true);
        CHECK_INT(rows[i].rule, rule.has_summer, false);
        CHECK_INT(rows[i].rule, rule.standard.offset_ms, rows[i].offset_minutes * CLOCK_MINUTE_MS);
        CU_ASSERT_STRING_EQUAL(rule.standard.name, rows[i].name);
    }
}

static void
test_refused(void)
{
    static const char *const rows[] = {
        "",
        "UTC",
        "0",
        "<>0",
        "<+03-3",
        "<a b>0",
        "ABCDEFGHIJKLMNOP0",
        "UTC25",
        "UTC0:60",
        "UTC0:00:60",
        "UTC0:",
        "UTC--1",
        "UTC99999999999999999999",
        "EST5EDT",
        "EST5EDT4",
        "EST5EDT,M3.2.0",
        "EST5EDT,M3.2.0,",
        "EST5EDT,M3.2.0,M11.1.0,",
        "EST5EDT,M3.2.0,M11.1.0 ",
        "EST5EDT,M0.2.0,M11.1.0",
        "EST5EDT,M13.2.0,M11.1.0",
        "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0",
        "EST5EDT,M3.2.7,M11.1.0",
        "EST5EDT,M3.2,M11.1.0",
        "EST5EDT,J0,J2",
        "EST5EDT,J366,J2",
        "EST5EDT,366,2",
        "EST5EDT,-1,2",
        "EST5EDT,J1/168,J2",
        "EST5EDT,J1/-168,J2",
        "EST5EDT,J1/,J2",
        "EST5,M3.2.0,M11.1.0",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tz_rule rule;

        CHECK_INT(rows[i], tz_rule_parse(text_of(rows[i]), &rule), false);
    }
}

static CU_TestInfo tests[] = {
    {"start and end of summer", test_changes},
    {"standard time only", test_standard_only},
    {"what is no rule", test_refused},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_tz_rule = {"tz_rule", NULL, NULL, NULL, NULL, tests};
