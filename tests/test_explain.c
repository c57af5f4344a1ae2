/* What `tripmeter decode` says: every kind in words, every refusal with a remedy. */
#include <stdlib.h>

#include "ingest/explain.h"
#include "tests/decode_help.h"

/* One file: what stands in it, line by line, and what must be said about it somewhere. */
struct file {
    const char *lines[5];
    size_t refused;
    const char *said[6];
};

static size_t
join_lines(const char *const *lines, char *out, size_t room)
{
    size_t size = 0;

    for (; *lines != NULL; lines++) {
        char value[DECODE_TEXT_LIMIT];
        const struct text text = decode_quotes(*lines, value);

        size += text_copy(out + size, room - size, text);
        size += text_copy(out + size, room - size, TEXT("\r\n"));
    }
    return size;
}

static void
check_file(const struct file *file)
{
    char joined[DECODE_TEXT_LIMIT];
    const size_t size = join_lines(file->lines, joined, sizeof joined);
    char *said = NULL;
    size_t said_size = 0;
    size_t refused = 0;
    FILE *in = fmemopen(joined, size, "r");
    FILE *out = open_memstream(&said, &said_size);
    struct err why = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CHECK_INT("decode_file", decode_file(in, out, &refused, &why), true);
    (void)fclose(in);
    (void)fclose(out);
    CHECK_INT("refused", refused, file->refused);
    for (size_t i = 0; i < 6 && file->said[i] != NULL; i++)
        CHECK_INT(file->said[i], strstr(said, file->said[i]) != NULL, true);
    free(said);
}

static void
files(void)
{
    static const struct file rows[] = {
        {{RECORD_WITH("'cost':'7.5e-08','currency':'EUR','feature':'search'"), "", "[]"},
         0,
         {"value 1: record\n", "tenant           acme\n", "cost             0.000000075 EUR\n",
          "2 values: 1 events, 1 ignored, 0 refused\n"}},
        {{"[" EVENT_OF("value", "'value':{'name':'v'}"), ""},
         1,
         {"value 1: refused, not_json\n", "what to do       send one JSON"}},
        {{"[{'specversion':'1.0','type':'x'},7]"},
         1,
         {"value 1: ignored", "value 1, event 2: refused, not_an_event\n"}},
        {{EVENT_OF("settle", "'request_id':'r','usage':{'output_tokens':1,'reasoning_tokens':2},"
                             "'reservation':{'id':'h'}"),
          EVENT_OF("refund", "'refund_of':{'id':'e0'},'cost':'-1'")},
         0,
         {"none: by the price list, else unpriced\n", "final            yes\n", "clamped\n",
          "original         e0\n", "cost             -1.000000000\n"}},
        {{EVENT_OF("reserve", "'request_id':'r','reservation':{'id':'h','cost':'2',"
                              "'expires':'2026-03-02T12:15:00Z'}"),
          EVENT_OF("decision", "'request_id':'r','decision':{'outcome':'block',"
                               "'estimated_cost':'3'}"),
          EVENT_OF("topup", "'topup':{'amount':'5','ref':'inv'}"),
          EVENT_OF("gauge", "'gauges':{'seats':3}")},
         0,
         {"held             2.000000000\n", "expires          2026-03-02T12:15:00Z\n",
          "outcome          block\n", "estimated cost   3.000000000\n",
          "amount           5.000000000\n", "gauge seats = 3\n"}},
        {{RECORD_USAGE("'images':-1")},
         1,
         {"value 1: refused, count_range\n", "id               e1\n", "data.usage.images",
          "what to do       send counts"}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_file(&rows[i]);
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
    {"events in words, refusals with what was found and what to do", files},
    {"every reason has a remedy", every_reason},
    {"a line longer than any value is refused, the next is read", long_lines},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_explain = {"explain", NULL, NULL, NULL, NULL, tests};
