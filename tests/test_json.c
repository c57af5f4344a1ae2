/* Our JSON parser against simdjson's DOM: thousands of values, good and damaged, every time the
 * same ones; and what it is made of against plain loops. */
#include <stdlib.h>

#include "core/digits.h"
#include "ingest/decode.h"
#include "ingest/member.h"
#include "ingest/scan.h"
#include "tests/check.h"
#include "tests/json_dom.h"

#define SIZE_LIMIT ((size_t)65536)

static const char *const names[] = {"specversion", "id",   "time",   "data",
                                    "usage",       "cost", "labels", "subject"};
static struct vocabulary words;
static struct json *json;
static struct dom *dom;
static struct text room[SIZE_LIMIT];
static const struct reading reading = {room, SIZE_LIMIT};

static int
open_parsers(void)
{
    if (words.count == 0)
        vocabulary_add(&words, names, sizeof names / sizeof names[0]);
    json = json_new(SIZE_LIMIT, DECODE_DEPTH_LIMIT, &words);
    dom = dom_new(SIZE_LIMIT, DECODE_DEPTH_LIMIT);
    return json == NULL || dom == NULL;
}

static int
close_parsers(void)
{
    dom_free(dom);
    json_free(json);
    return 0;
}

static uint64_t
draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % below;
}

/* Both parsers; also whether a member is named twice. NULL: they agree. */
static const char *
differs(struct text value)
{
    const struct json_value *root;
    struct dead dead;
    /* A block of its own size, so that the sanitizer sees who reads beyond. */
    char *bytes = malloc(value.size + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    if (bytes == NULL)
        return "memory";
    char *own = bytes + 1;

    if (value.size > 0)
        memcpy(own, value.at, value.size);
    const char *what = dom_differs(dom, json, (struct text){own, value.size});

    if (what == NULL && dom_accepted(dom) &&
        (json_parse(json, value, &root) != JSON_FINE ||
         value_is_unique(root, &reading, &dead) == dom_repeats(dom)))
        what = "members named twice";
    free(bytes);
    return what;
}

static bool
check_alike(struct text value)
{
    const char *what = differs(value);

    if (what != NULL) {
        char row[200];

        (void)snprintf(row, sizeof row, "%.120s: %.60s", what, value.size == 0 ? "" : value.at);
        CHECK_INT(row, 0, 1);
    }
    return dom_accepted(dom);
}

#define ROW(literal)                   \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

static const struct text edge_rows[] = {
    ROW(""),
    ROW(" \t\r\n"),
    ROW("0"),
    ROW(" 0 "),
    ROW("\"\""),
    ROW("\"a"),
    ROW("\"a\\"),
    ROW("\"a\\\""),
    ROW("\"\\u12\""),
    ROW("\"\\u12G4\""),
    ROW("\"\\u0000\""),
    ROW("\"\\u0041\\n\\/\\\\\\b\\f\\r\\t\\\"\""),
    ROW("\"\\x\""),
    ROW("\"\\U0041\""),
    ROW("\"\\ud83d\\ude00\""),
    ROW("\"\\ud83d\""),
    ROW("\"\\ud83dx\""),
    ROW("\"\\ud83d\\n\""),
    ROW("\"\\ud83d\\u0041\""),
    ROW("\"\\ud83d\\ud83d\""),
    ROW("\"\\ude00\""),
    ROW("\"\\ude00\\ud83d\""),
    ROW("\"\\udbff\\udfff\\ud800\\udc00\""),
    ROW("\"\x7f\""),
    ROW("\"\x1f\""),
    ROW("\"a\nb\""),
    ROW("\"a\0b\""),
    ROW("\0"),
    ROW("1\0"),
    ROW("[1\0]"),
    ROW("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
    ROW("\"\xc1\xbf\""),
    ROW("\"\xe0\x9f\xbf\""),
    ROW("\"\xed\xa0\x80\""),
    ROW("\"\xf0\x8f\xbf\xbf\""),
    ROW("\"\xf4\x90\x80\x80\""),
    ROW("\"\x80\""),
    ROW("\"\xe2\x82\""),
    ROW("\"\xe2\x82"),
    ROW("\xc3\xa9"),
    ROW("[\xc3]"),
    ROW("{\"\xc3\xa9\":\"\xc3\xa9\\n\xc3\xa9\"}"),
    ROW("true"),
    ROW("tru"),
    ROW("truex"),
    ROW("true false"),
    ROW("nul"),
    ROW("null"),
    ROW("falsE"),
    ROW("NaN"),
    ROW("Infinity"),
    ROW("-Infinity"),
    ROW("[]"),
    ROW("[ ]"),
    ROW("[,]"),
    ROW("[1,]"),
    ROW("[1 2]"),
    ROW("[1}"),
    ROW("{]"),
    ROW("[[],{},[[]]]"),
    ROW("{}"),
    ROW("{ }"),
    ROW("{,}"),
    ROW("{\"a\"}"),
    ROW("{\"a\":}"),
    ROW("{\"a\":1,}"),
    ROW("{\"a\" : 1 , \"b\" : [ 1 , 2 ] }"),
    ROW("{\"a\":1 \"b\":2}"),
    ROW("{a:1}"),
    ROW("{1:1}"),
    ROW("{\"a\":1}}"),
    ROW("{\"a\":1}]"),
    ROW("{\"a\":1},"),
    ROW("// \n1"),
    ROW("'a'"),
    ROW("{\"id\" :1}"),
    ROW("{\"id\":1,\"id\":2}"),
    ROW("{\"\\u0069d\":1,\"id\":2}"),
    ROW("{\"\":1,\"\":2}"),
    ROW("[{\"x\":{\"y\":[{\"a\":1,\"b\":2,\"a\":3}]}}]"),
    ROW("{\"a\0b\":1}"),
    ROW("{\"a\\u0000b\":1,\"a\\u0000b\":1}"),
    ROW("\xef\xbb\xbf{}"),
};

static void
edges(void)
{
    for (size_t i = 0; i < sizeof edge_rows / sizeof edge_rows[0]; i++)
        (void)check_alike(edge_rows[i]);
}

/* All that a number may look like, and what it may not. */
static void
numbers(void)
{
    static const char *const rows[] = {
        "-",        "+1",
        "-0",       "-0.0",
        "00",       "01",
        "-01",      "1.",
        ".5",       "1e",
        "1e+",      "1e-",
        "1E5",      "1e05",
        "1.e5",     "0e0",
        "0.0e-0",   "0x10",
        "1_0",      "9223372036854775807",
        "1e400",    "9223372036854775808",
        "-1e400",   "-9223372036854775808",
        "1e-400",   "-9223372036854775809",
        "5e-324",   "18446744073709551615",
        "2.2e-308", "18446744073709551616",
        "1e308",    "99999999999999999999",
        "1.8e308",  "123456789012345678901234567890",
        "12345678", "1797693134862315708145274237317043567980705675258449965989174768e245",
        "1234567",  "0.1234567890123456789012345678901234567890",
        "-1234567", "9007199254740993.0",
        "1e22",     "9007199254740991e22",
        "1e23",     "1e-22",
        "0e999999", "1e99999999999999999999999999",
        "1e-9999",  "1e-99999999999999999999999999",
        "1.0e-22",  "0.000000000000000000000000000000000000000000000000000000000000000000001e69",
    };
    static const char bytes[] = "0123456789012345678900..eE-+x";
    uint64_t state = 3;
    int64_t accepted = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)check_alike(text_of(rows[i]));
    for (int i = 0; i < 100000; i++) {
        char text[64];
        int size = 0;

        if (i % 2 == 0) {
            for (const int wanted = 1 + (int)draw(&state, 26); size < wanted; size++)
                text[size] = bytes[draw(&state, sizeof bytes - 1)];
        } else {
            size = snprintf(text, sizeof text, "%s%" PRIu64 ".%" PRIu64 "e%d",
                            draw(&state, 2) == 0 ? "-" : "", draw(&state, 1U << (i % 31)),
                            draw(&state, 1U << (i % 30)), (int)draw(&state, 660) - 330);
        }
        accepted += check_alike((struct text){text, (size_t)size});
    }
    CHECK_INT("numbers that are some", accepted > 40000, true);
}

static void
depths(void)
{
    static const char *const inner[] = {"", "1", "\"x\"", "[]", "{}", "[1]", "{\"a\":1}"};
    char value[512];

    for (size_t around = 0; around < 40; around++)
        for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
            size_t size = 0;

            for (size_t depth = 0; depth < around; depth++)
                size += text_copy(value + size, sizeof value - size,
                                  text_of(depth % 3 == 1 ? "{\"a\":" : "["));
            size += text_copy(value + size, sizeof value - size, text_of(inner[i]));
            for (size_t depth = around; depth > 0; depth--)
                value[size++] = (depth - 1) % 3 == 1 ? '}' : ']';
            (void)check_alike((struct text){value, size});
            /* Nothing closes. */
            (void)check_alike((struct text){value, size - around});
        }
}

/* As many values as bytes allow, as large as they may be, in the smallest room. */
static void
sizes(void)
{
    static const char escape[6] = {'\\', 'u', '0', '0', 'e', '9'};
    char *value = malloc(SIZE_LIMIT + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    if (value == NULL)
        return;
    for (size_t i = 0; i < SIZE_LIMIT + 1; i++)
        value[i] = i % 2 == 0 ? ',' : '1';
    value[0] = '[';
    value[SIZE_LIMIT - 2] = ' ';
    value[SIZE_LIMIT - 1] = ']';
    CHECK_INT("64 KiB", check_alike((struct text){value, SIZE_LIMIT}), true);
    value[SIZE_LIMIT] = ' ';
    CHECK_INT("and one", check_alike((struct text){value, SIZE_LIMIT + 1}), false);
    memset(value, '[', SIZE_LIMIT);
    CHECK_INT("brackets", check_alike((struct text){value, SIZE_LIMIT}), false);
    memset(value, '"', SIZE_LIMIT);
    CHECK_INT("quotes", check_alike((struct text){value, SIZE_LIMIT}), false);
    memset(value + 1, 'x', SIZE_LIMIT - 2);
    for (size_t i = 1; i + 6 < SIZE_LIMIT; i += 6)
        memcpy(value + i, escape, sizeof escape);
    CHECK_INT("escapes", check_alike((struct text){value, SIZE_LIMIT}), true);
    for (size_t limit = 1; limit < 80; limit++) {
        struct json *small = json_new(limit, DECODE_DEPTH_LIMIT, &words);
        const struct json_value *root;

        CU_ASSERT_PTR_NOT_NULL_FATAL(small);
        memset(value, '[', limit);
        CHECK_INT("brackets", json_parse(small, (struct text){value, limit}, &root) != JSON_FINE,
                  true);
        for (size_t i = 0; i < limit; i++)
            value[i] = i % 2 == 0 ? '[' : '0';
        for (size_t i = 2; i < limit; i += 2)
            value[i] = ',';
        CHECK_INT("commas", json_parse(small, (struct text){value, limit}, &root) == JSON_FINE,
                  false);
        json_free(small);
    }
    free(value);
}

#define EVENT(kind, data)                                                                    \
    "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"//gw/1\",\"type\":\"x.usage." kind \
    ".v1\",\"time\":\"2026-03-02T12:00:00.250Z\",\"subject\":\"acme\",\"data\":{" data "}}"

/* What events look like, and what else JSON has. */
static const char *const corpus[] = {
    EVENT("record", "\"request_id\":\"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d\",\"latency_ms\":1124,"
                    "\"stream\":true,\"usage\":{\"input_tokens\":812,\"output_tokens\":45},"
                    "\"cost\":\"0.000078150\",\"labels\":{\"team\":\"a\",\"tier\":null}"),
    EVENT("refund", "\"refund_of\":{\"id\":\"e-0\"},\"cost\":-1.25e-3"),
    EVENT("gauge", "\"gauges\":{\"seats\":7,\"bytes\":734003200}"),
    "[ {\"id\" : \"a\", \"data\" : {\"usage\" : {}} },\n\t{\"id\" : \"b\"} , [], {} ]",
    "{\"id\":\"Z\xc3\xbcrich \xe2\x82\xac "
    "\xf0\x9f\x98\x80\",\"data\":\"\\u00fc\\ud83d\\ude00\\n\"}",
    "[0,-1,12,123,1234,12345,123456,1234567,12345678,123456789,1.5,-0.0,1e9,true,false,null,\"\"]",
    "{\"a\":{\"b\":{\"c\":[{\"d\":[[1],[2,[3]]]}]}},\"id\":{\"id\":{\"id\":1}}}",
    "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":1,\"k\":2,"
    "\"l\":3,\"m\":4,\"n\":5,\"o\":6,\"p\":7,\"q\":8,\"r\":9,\"s\":1,\"t\":2,\"u\":3,\"v\":4,"
    "\"w\":5,\"x\":6,\"y\":7,\"z\":8}",
};
enum { CORPUS = sizeof corpus / sizeof corpus[0] };

static const struct text odd_tokens[] = {
    ROW("\\ud800"),
    ROW("\\udc00"),
    ROW("\\u0000"),
    ROW("\\u00e9"),
    ROW("\\n"),
    ROW("\\"),
    ROW("\""),
    ROW("1e400"),
    ROW("-0"),
    ROW("0123"),
    ROW("[[[[[[[["),
    ROW("]]]]"),
    ROW("{\"a\":"),
    ROW("}"),
    ROW(","),
    ROW(":"),
    ROW("\xc3\xa9"),
    ROW("\xff"),
    ROW("\x80"),
    ROW("\xed\xa0\x80"),
    ROW("\xf4\x90"),
    ROW("\0"),
    ROW("\x1f"),
    ROW("\x7f"),
    ROW(" "),
    ROW("\n\t"),
    ROW("null"),
    ROW("true"),
    ROW("1.5"),
    ROW("\"id\":1,"),
    ROW("\"a\":[{}],"),
    ROW("\"\":\"\","),
    ROW("{}"),
    ROW("[]"),
    ROW("18446744073709551616"),
};

/* value has room for 4,096 bytes more. */
static size_t
damage(char *value, size_t size, uint64_t *state)
{
    const struct text token = odd_tokens[draw(state, sizeof odd_tokens / sizeof odd_tokens[0])];
    const size_t at = draw(state, size + 1);
    size_t part = draw(state, size - at + 1);

    switch (draw(state, 5)) {
    case 0: /* another byte */
        if (at < size)
            value[at] = (char)draw(state, 256);
        return size;
    case 1: /* a token more */
        memmove(value + at + token.size, value + at, size - at);
        memcpy(value + at, token.at, token.size);
        return size + token.size;
    case 2: /* some bytes less */
        part = part > 9 ? part % 9 : part;
        memmove(value + at, value + at + part, size - at - part);
        return size - part;
    case 3: /* some bytes again */
        part = part > 40 ? part % 40 : part;
        memmove(value + at + part, value + at, size - at);
        return size + part;
    default: /* a byte in place of one of the same kind */
        if (at < size)
            value[at] = token.at[0];
        return size;
    }
}

static void
damaged(void)
{
    static char value[16384];
    uint64_t state = 20260302;
    int64_t accepted = 0;

    for (int i = 0; i < 40000; i++) {
        size_t size = text_copy(value, sizeof value, text_of(corpus[draw(&state, CORPUS)]));

        for (uint64_t left = draw(&state, 4); left > 0; left--)
            size = damage(value, size, &state);
        accepted += check_alike((struct text){value, size});
    }
    CHECK_INT("some are whole, some are not", accepted > 10000 && accepted < 30000, true);
}

/* ---- values that are made, not damaged -------------------------------------------------------- */

struct maker {
    uint64_t state;
    char *at;
    char *end; /* nothing new begins behind it */
};

static void
make_token(struct maker *maker, const char *token)
{
    maker->at += text_copy(maker->at, 64, text_of(token));
}

static void
make_blanks(struct maker *maker)
{
    static const char *const blanks[] = {"", "", "", "", " ", "\n", "\t ", "\r\n  "};

    make_token(maker, blanks[draw(&maker->state, 8)]);
}

static void
make_text(struct maker *maker)
{
    static const char *const parts[] = {"a",
                                        "plain text",
                                        "\\n",
                                        "\\\"",
                                        "\\\\",
                                        "\\u0041",
                                        "\\ud83d\\ude00",
                                        "\xc3\xa9",
                                        "\x7f",
                                        "\xf0\x9f\x98\x80",
                                        "{",
                                        "[",
                                        ",",
                                        ":",
                                        " "};

    *maker->at++ = '"';
    for (uint64_t left = draw(&maker->state, 7); left > 0; left--)
        make_token(maker, parts[draw(&maker->state, sizeof parts / sizeof parts[0])]);
    *maker->at++ = '"';
}

static void
make_name(struct maker *maker)
{
    if (draw(&maker->state, 3) == 0) {
        make_text(maker);
        return;
    }
    *maker->at++ = '"';
    make_token(maker, names[draw(&maker->state, sizeof names / sizeof names[0])]);
    if (draw(&maker->state, 2) == 0)
        *maker->at++ = (char)('0' + draw(&maker->state, 10));
    *maker->at++ = '"';
}

static void
make_value(struct maker *maker, unsigned depth)
{
    static const char *const scalars[] = {"0",    "-17",   "3.25", "1e-7",
                                          "true", "false", "null", "12345678901234567890"};
    const uint64_t kind = draw(&maker->state, 8);

    make_blanks(maker);
    if (kind < 3 || depth > 34 || maker->at > maker->end) {
        if (kind == 0)
            make_text(maker);
        else
            make_token(maker, scalars[draw(&maker->state, 8)]);
        make_blanks(maker);
        return;
    }
    const bool object = kind % 2 == 0;
    const uint64_t count = draw(&maker->state, 5);

    *maker->at++ = object ? '{' : '[';
    make_blanks(maker);
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            *maker->at++ = ',';
        if (object) {
            make_blanks(maker);
            make_name(maker);
            make_blanks(maker);
            *maker->at++ = ':';
        }
        make_value(maker, depth + 1);
    }
    *maker->at++ = object ? '}' : ']';
    make_blanks(maker);
}

static void
made(void)
{
    static char value[65536];
    struct maker maker = {.state = 42};
    int64_t accepted = 0;

    for (int i = 0; i < 10000; i++) {
        maker.at = value;
        maker.end = value + 1000;
        make_value(&maker, 0);
        accepted += check_alike((struct text){value, (size_t)(maker.at - value)});
    }
    CHECK_INT("nearly all are JSON", accepted > 9000, true);
}

static void
parts(void)
{
    char bytes[64 + 2 * SCAN_ROOM];
    uint64_t state = 5;
    int64_t wrong = 0;

    for (int i = 0; i < 100000; i++) {
        size_t first = 0;
        unsigned digits = 0;
        uint32_t value = 0;

        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (char)(draw(&state, 24) == 0 ? draw(&state, 256) : '0' + draw(&state, 10));
        bytes[50] = '"';
        while (bytes[first] >= ' ' && bytes[first] < 0x7f && bytes[first] != '"' &&
               bytes[first] != '\\')
            first++;
        wrong += scan(bytes) != bytes + first || scan_portable(bytes) != bytes + first;
        for (; digits < 8 && bytes[digits] >= '0' && bytes[digits] <= '9'; digits++)
            value = value * 10 + (uint32_t)(bytes[digits] - '0');
        wrong += digits_count(digits_load(bytes)) != digits;
        if (digits > 0)
            wrong += digits_value(digits_load(bytes), digits) != value;
    }
    CHECK_INT("scans and digits", wrong, 0);
}

static CU_TestInfo tests[] = {
    {"what is just JSON, and what is just not", edges}, {"100,000 numbers, to the bit", numbers},
    {"as deep as allowed, and one deeper", depths},     {"as large as allowed", sizes},
    {"40,000 values, whole and damaged", damaged},      {"10,000 values of any shape", made},
    {"scans and digits like plain loops", parts},       CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_json = {"json", open_parsers, close_parsers, NULL, NULL, tests};
