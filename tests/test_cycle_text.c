/* Protects: a billing cycle means what is written, has one spelling, and nothing else is taken. */
#include "config/cycle_text.h"
#include "tests/findings_check.h"

static void
test_read(void)
{
    static const struct {
        const char *text;
        struct cycle cycle;
    } rows[] = {
        {"month", {.kind = CYCLE_CALENDAR_MONTH}},
        {"week", {.kind = CYCLE_WEEK}},
        {"anchor:1", {.kind = CYCLE_ANCHOR, .day = 1}},
        {"anchor:31", {.kind = CYCLE_ANCHOR, .day = 31}},
        {"contract:2024-02-29/12", {.kind = CYCLE_CONTRACT, .step = 12, .contract = {2024, 2, 29}}},
        {"contract:1970-01-01/9999",
         {.kind = CYCLE_CONTRACT, .step = 9999, .contract = {1970, 1, 1}}},
        {"days:1/2999-12-31", {.kind = CYCLE_DAYS, .step = 1, .contract = {2999, 12, 31}}},
        {"days:99999/2026-01-15", {.kind = CYCLE_DAYS, .step = 99999, .contract = {2026, 1, 15}}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct cycle *expected = &rows[i].cycle;
        char again[CYCLE_TEXT_SIZE];
        struct cycle cycle;
        struct err why;

        CHECK_INT(rows[i].text, cycle_read(text_of(rows[i].text), &cycle, &why), true);
        CHECK_INT(rows[i].text, cycle.kind, expected->kind);
        CHECK_INT(rows[i].text, cycle.day, expected->day);
        CHECK_INT(rows[i].text, cycle.step, expected->step);
        CHECK_INT(rows[i].text, cycle.contract.year, expected->contract.year);
        CHECK_INT(rows[i].text, cycle.contract.month, expected->contract.month);
        CHECK_INT(rows[i].text, cycle.contract.day, expected->contract.day);
        CHECK_TEXT(rows[i].text, cycle_text(&cycle, again), rows[i].text);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"", "is no billing cycle"},
        {"monthly", "did you mean \"month\"?"},
        {"anchr:31", "did you mean \"anchor:31\"?"},
        {"fortnight", "write month, anchor:31"},
        {"month:1", "nothing comes behind month"},
        {"month:", "nothing comes behind month"},
        {"week:2", "nothing comes behind week"},
        {"anchor", "1 to 31"},
        {"anchor:", "1 to 31"},
        {"anchor:0", "1 to 31"},
        {"anchor:32", "1 to 31"},
        {"anchor:+3", "1 to 31"},
        {"anchor:03", "1 to 31"},
        {"anchor:3 ", "1 to 31"},
        {"contract:2023-02-29/12", "a date of the calendar"},
        {"contract:2024-02-29", "a number of months"},
        {"contract:2024-02-29/0", "1 to 9999"},
        {"contract:2024-02-29/10000", "1 to 9999"},
        {"contract:3000-01-01/12", "1970 to 2999"},
        {"contract:1969-12-31/12", "1970 to 2999"},
        {"contract:24-02-29/12", "a date of the calendar"},
        {"days:0/2026-01-15", "1 to 99999"},
        {"days:100000/2026-01-15", "1 to 99999"},
        {"days:30", "the date that they are counted"},
        {"days:30/2026-13-15", "one of the calendar"},
        {"contract:2024-02-29/12 and so on and on and on and on and on and on and on",
         "no billing"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cycle cycle;
        struct err why = {.text = ""};

        CHECK_INT(rows[i].text, cycle_read(text_of(rows[i].text), &cycle, &why), false);
        CHECK_INT(rows[i].text, why.class, ERR_INPUT);
        if (strstr(why.text, rows[i].says) == NULL)
            CHECK_TEXT(rows[i].text, why.text, rows[i].says);
    }
}

static CU_TestInfo tests[] = {
    {"one spelling", test_read},
    {"what is no cycle", test_refused},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_cycle_text = {"cycle_text", NULL, NULL, NULL, NULL, tests};
