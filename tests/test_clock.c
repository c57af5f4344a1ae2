/* Protects: the calendar, RFC 3339 times and durations, from both sides of every edge. */
#include "core/clock.h"
#include "tests/check.h"

static void
test_calendar(void)
{
    static const struct {
        const char *row;
        int64_t days;
        struct civil date;
        int32_t weekday;
    } rows[] = {
        {"epoch, a Thursday", 0, {1970, 1, 1}, 3},
        {"day before", -1, {1969, 12, 31}, 2},
        {"Monday before", -3, {1969, 12, 29}, 0},
        {"leap day 2000", 11016, {2000, 2, 29}, 1},
        {"after it", 11017, {2000, 3, 1}, 2},
        {"1900 has no leap day", -25508, {1900, 3, 1}, 3},
        {"its Feb 28", -25509, {1900, 2, 28}, 2},
        {"leap day 2024", 19782, {2024, 2, 29}, 3},
        {"last day", 2932896, {9999, 12, 31}, 4},
        {"first day", -4371587, {-9999, 1, 1}, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct civil back = clock_civil(rows[i].days);

        CHECK_INT(rows[i].row, clock_days(rows[i].date), rows[i].days);
        CHECK_INT(rows[i].row, back.year, rows[i].date.year);
        CHECK_INT(rows[i].row, back.month, rows[i].date.month);
        CHECK_INT(rows[i].row, back.day, rows[i].date.day);
        CHECK_INT(rows[i].row, clock_weekday(rows[i].days), rows[i].weekday);
    }
}

/* Every day of the range follows the one before it. */
static void
test_every_day(void)
{
    struct civil date = {-9999, 1, 1};
    int64_t wrong = 0;

    for (int64_t days = clock_days(date); date.year < 10000; days++) {
        const struct civil found = clock_civil(days);

        wrong += clock_days(date) != days || found.year != date.year || found.month != date.month ||
                 found.day != date.day;
        if (++date.day > clock_month_days(date.year, date.month)) {
            date.day = 1;
            date.month = date.month % 12 + 1;
            date.year += date.month == 1;
        }
    }
    CHECK_INT("days out of order", wrong, 0);
}

static void
test_day_of(void)
{
    CHECK_INT("0", clock_day_of(0), 0);
    CHECK_INT("last ms", clock_day_of(CLOCK_DAY_MS - 1), 0);
    CHECK_INT("next", clock_day_of(CLOCK_DAY_MS), 1);
    CHECK_INT("-1 ms", clock_day_of(-1), -1);
    CHECK_INT("a day before", clock_day_of(-CLOCK_DAY_MS), -1);
    CHECK_INT("and 1 ms", clock_day_of(-CLOCK_DAY_MS - 1), -2);
}

static void
test_parse(void)
{
    static const struct {
        const char *text;
        const char *read; /* NULL: refused */
    } rows[] = {
        {"2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"2026-03-02t00:00:00z", "2026-03-02T00:00:00Z"},
        {"2026-03-02 01:02:03.004+00:00", "2026-03-02T01:02:03.004Z"},
        {"2026-03-02T01:00:00+05:30", "2026-03-01T19:30:00Z"},
        {"2026-03-02T23:00:00-05:45", "2026-03-03T04:45:00Z"},
        {"2026-03-02T00:00:00-00:00", "2026-03-02T00:00:00Z"},
        {"2026-03-02T00:00:00.1Z", "2026-03-02T00:00:00.100Z"},
        {"2026-03-02T00:00:00.9999999999999999999999Z", "2026-03-02T00:00:00.999Z"},
        {"2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"},
        {"2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z"},
        {"2016-12-31T23:59:61Z", NULL},
        {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
        {"2023-02-29T00:00:00Z", NULL},
        {"2100-02-29T00:00:00Z", NULL},
        {"2026-04-31T00:00:00Z", NULL},
        {"2026-00-01T00:00:00Z", NULL},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-01-00T00:00:00Z", NULL},
        {"2026-01-01T24:00:00Z", NULL},
        {"2026-01-01T23:60:00Z", NULL},
        {"2026-01-01T00:00:00+24:00", NULL},
        {"2026-01-01T00:00:00+23:60", NULL},
        {"2026-01-01T00:00:00+0100", NULL},
        {"2026-01-01T00:00:00", NULL},
        {"2026-01-01T00:00Z", NULL},
        {"2026-01-01T00:00:00.Z", NULL},
        {"2026-01-01T00:00:00,5Z", NULL},
        {"2026-01-01T00:00:00ZZ", NULL},
        {" 2026-01-01T00:00:00Z", NULL},
        {"2026-1-01T00:00:00Z", NULL},
        {"2026-01-01", NULL},
        {"", NULL},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"1969-12-31T23:59:59Z", NULL},
        {"1970-01-01T00:00:00+00:01", NULL},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
        {"9999-12-31T23:59:59-00:01", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t at_ms = -1;
        const bool good = clock_parse(text_of(rows[i].text), &at_ms);

        CHECK_INT(rows[i].text, good, rows[i].read != NULL);
        if (good && rows[i].read != NULL) {
            char out[CLOCK_TEXT_SIZE];

            CU_ASSERT_STRING_EQUAL(clock_format(at_ms, out), rows[i].read);
        }
    }
    int64_t at_ms;

    CU_ASSERT_FALSE(clock_parse(text_of(NULL), &at_ms));
    CU_ASSERT_FALSE(clock_parse(TEXT("2026-01-01\0"
                                     "00:00:00Z"),
                                &at_ms));
    CU_ASSERT_TRUE(clock_parse(TEXT("2026-03-02T00:00:00Z"), &at_ms));
    CHECK_INT("value", at_ms, INT64_C(1772409600000));
}

/* Every byte at every place of the usual forms is judged as in a longer form of the same instant,
 * which is read in another way. */
static void
test_parse_alike(void)
{
    static const struct {
        const char *usual;
        const char *longer; /* the same but for its end */
    } rows[] = {
        {"2026-03-02T12:34:56Z", "2026-03-02T12:34:56+00:00"},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00+00:00"},
        {"2099-12-31T23:59:59Z", "2099-12-31T23:59:59+00:00"},
        {"2026-03-02T12:34:56.789Z", "2026-03-02T12:34:56.7890Z"},
        {"2100-01-30T00:00:00.000Z", "2100-01-30T00:00:00.0000Z"},
    };
    int64_t different = 0;

    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        const size_t size = strlen(rows[row].usual);
        char usual[32];
        char longer[32];

        for (size_t at = 0; at < size - 1; at++)
            for (int byte = 0; byte < 256; byte++) {
                int64_t a_ms = -1;
                int64_t b_ms = -1;

                memcpy(usual, rows[row].usual, size);
                (void)text_copy(longer, sizeof longer, text_of(rows[row].longer));
                usual[at] = longer[at] = (char)byte;
                const bool a = clock_parse((struct text){usual, size}, &a_ms);
                const bool b = clock_parse((struct text){longer, strlen(rows[row].longer)}, &b_ms);

                different += a != b || a_ms != b_ms;
            }
    }
    CHECK_INT("times read in two ways", different, 0);
}

static void
test_format_extremes(void)
{
    char out[CLOCK_TEXT_SIZE];

    CU_ASSERT_STRING_EQUAL(clock_format(-1, out), "1969-12-31T23:59:59.999Z");
    CU_ASSERT_STRING_EQUAL(clock_format(INT64_MAX, out), "292278994-08-17T07:12:55.807Z");
    CU_ASSERT_STRING_EQUAL(clock_format(INT64_MIN, out), "-292275055-05-16T16:47:04.192Z");
}

static void
test_durations(void)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
        const char *formatted;
    } rows[] = {
        {"0", 0, "0s"},
        {"0s", 0, "0s"},
        {"500ms", 500, "500ms"},
        {"15m", 900000, "15m"},
        {"1h30m", 5400000, "1h30m"},
        {"90m", 5400000, "1h30m"},
        {"1m1ms", 60001, "1m1ms"},
        {"30m1h", 5400000, "1h30m"},
        {"24h", 86400000, "1d"},
        {"7d", 604800000, "1w"},
        {"8d", 691200000, "8d"},
        {"1w1d", 691200000, "8d"},
        {"1d2h3m4s5ms", 93784005, "1d2h3m4s5ms"},
        {"3653d", INT64_C(315619200000), "3653d"},
        {"3653d1ms", -1, ""},
        {"3654d", -1, ""},
        {"99999999999999999999999999w", -1, ""},
        {"315619200001ms", -1, ""},
        {"1", -1, ""},
        {"00", -1, ""},
        {"", -1, ""},
        {"m", -1, ""},
        {"-1m", -1, ""},
        {"+1m", -1, ""},
        {"1 m", -1, ""},
        {"1.5h", -1, ""},
        {"1h30", -1, ""},
        {"1y", -1, ""},
        {"1M", -1, ""},
    };

    char out[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;

        CHECK_INT(rows[i].text, clock_parse_duration(text_of(rows[i].text), &ms), rows[i].ms >= 0);
        CHECK_INT(rows[i].text, ms, rows[i].ms);
        if (rows[i].ms >= 0)
            CU_ASSERT_STRING_EQUAL(clock_format_duration(rows[i].ms, out), rows[i].formatted);
    }
    CU_ASSERT_STRING_EQUAL(clock_format_duration(INT64_MAX, out), "106751991167d7h12m55s807ms");
}

static CU_TestInfo tests[] = {
    {"dates, days and weekdays", test_calendar},
    {"every day of 20,000 years", test_every_day},
    {"the day of an instant", test_day_of},
    {"RFC 3339 times", test_parse},
    {"the usual form of a time is read like any other", test_parse_alike},
    {"any instant can be printed", test_format_extremes},
    {"durations", test_durations},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_clock = {"clock", NULL, NULL, NULL, NULL, tests};
