/* What `tripmeter decode` says: every kind in words, every refusal with a remedy. */
#include <stdlib.h>

#include "ingest/explain.h"
#include "tests/decode_help.h"

/* decode_file over rows (one a line) into a text; the caller frees it. */
static char *
explain(const char *rows, size_t *refused)
{
    char value[DECODE_TEXT_LIMIT];
    const struct text text = decode_quotes(rows, value);
    char *said = NULL;
    size_t said_size = 0;
    FILE *in = fmemopen(value, text.size, "r");
    FILE *out = open_memstream(&said, &said_size);
    struct err why = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CHECK_INT("decode_file", decode_file(in, out, refused, &why), true);
    (void)fclose(in);
    (void)fclose(out);
    return said;
}

static void
check_said(const char *rows, size_t refused, const char *const *expected)
{
    size_t count = 0;
    char *said = explain(rows, &count);

    CHECK_INT("refused", count, refused);
    for (; *expected != NULL; expected++)
        CHECK_INT(*expected, strstr(said, *expected) != NULL, true);
    free(said);
}

static void
events(void)
{
    check_said(RECORD_WITH(
                   "'cost':'7.5e-08','currency':'EUR','feature':'search'") "\n\n"
                                                                           "[" EVENT_OF(
                                                                               "value",
                                                                               "'value':{'name':'v'"
                                                                               "}") "," EVENT_OF("g"
                                                                                                 "a"
                                                                                                 "u"
                                                                                                 "g"
                                                                                                 "e",
                                                                                                 "'"
                                                                                                 "g"
                                                                                                 "a"
                                                                                                 "u"
                                                                                                 "g"
                                                                                                 "e"
                                                                                                 "s"
                                                                                                 "'"
                                                                                                 ":"
                                                                                                 "{"
                                                                                                 "'"
                                                                                                 "s"
                                                                                                 "e"
                                                                                                 "a"
                                                                                                 "t"
                                                                                                 "s"
                                                                                                 "'"
                                                                                                 ":"
                                                                                                 "3"
                                                                                                 "}") "]\r\n",
               0,
               (const char *const[]){"value 1: record\n", "tenant           acme\n",
                                     "cost             0.000000075 EUR\n", "value 2: value\n",
                                     "value 2, event 2: gauge\n", "gauge seats = 3\n",
                                     "2 values: 3 events, 0 ignored, 0 refused\n", NULL});
    check_said(
        EVENT_OF(
            "settle",
            "'request_id':'r','usage':{'output_tokens':1,"
            "'reasoning_tokens':2},'reservation':{'id':'h'}") "\n" EVENT_OF("refund",
                                                                            "'refund_of':{'id':'e0'"
                                                                            "},'cost':'-1'"),
        0,
        (const char *const[]){"none: kept as unpriced\n", "final            yes\n", "clamped\n",
                              "original         e0\n", "cost             -1.000000000\n", NULL});
    check_said(
        EVENT_OF("reserve", "'request_id':'r','reservation':{'id':'h','cost':'2',"
                            "'expires':'2026-03-02T12:15:00Z'}") "\n" EVENT_OF("decision",
                                                                               "'request_id':'r','"
                                                                               "decision':{'"
                                                                               "outcome':'block',"
                                                                               "'estimated_cost':'"
                                                                               "3'}") "\n" EVENT_OF("topup",
                                                                                                    "'topup':{'amount':'5','ref':'inv'}"),
        0,
        (const char *const[]){"held             2.000000000\n",
                              "expires          2026-03-02T12:15:00Z\n", "outcome          block\n",
                              "estimated cost   3.000000000\n", "amount           5.000000000\n",
                              NULL});
}

static void
refusals(void)
{
    check_said("{'specversion':'1.0','type':'x'}\n" RECORD_USAGE("'images':-1") "\nnonsense", 2,
               (const char *const[]){"value 1: ignored", "value 2: refused, count_range\n",
                                     "id               e1\n", "data.usage.images",
                                     "what to do       send counts", "value 3: refused, not_json\n",
                                     "3 values: 0 events, 1 ignored, 2 refused\n", NULL});
}

static void
every_reason(void)
{
    for (int i = 0; i < DEAD_COUNT; i++) {
        const struct dead dead = {.reason = (enum dead_reason)i, .detail = "detail"};
        const struct event event = {.attempt = 1};
        char *said = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&said, &size);

        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        explain_dead(out, "value 1", &event, &dead);
        (void)fclose(out);
        CHECK_INT(dead_names[i], strstr(said, "(null)") == NULL, true);
        CHECK_INT(dead_names[i], strstr(said, "what to do") != NULL, true);
        free(said);
    }
}

static void
long_lines(void)
{
    const size_t size = DECODE_VALUE_LIMIT + 100;
    char *value = malloc(size);
    size_t refused = 0;
    struct err why = {0};
    char *said = NULL;
    size_t said_size = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    if (value == NULL)
        return;
    memset(value, '[', size);
    value[size - 3] = '\n';
    value[size - 1] = ']';
    FILE *in = fmemopen(value, size, "r");
    FILE *out = open_memstream(&said, &said_size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CHECK_INT("long line", decode_file(in, out, &refused, &why), true);
    (void)fclose(in);
    (void)fclose(out);
    CHECK_INT("long line", refused, 1);
    CHECK_INT("long line", strstr(said, "value 1: refused, too_large") != NULL, true);
    CHECK_INT("the next", strstr(said, "value 2: ignored") != NULL, true);
    free(said);
    free(value);
}

static CU_TestInfo tests[] = {
    {"events in words", events},
    {"refusals say what was found and what to do", refusals},
    {"every reason has a remedy", every_reason},
    {"a line longer than any value is refused, the next is read", long_lines},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_explain = {"explain", NULL, NULL, NULL, NULL, tests};
