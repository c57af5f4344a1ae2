/* Protects: names from outside are compared, checked, encoded and copied without a byte too many. */
#include "core/text.h"
#include "tests/check.h"

static void
test_order(void)
{
    static const struct {
        const char *row;
        struct text a;
        struct text b;
        int order;
    } rows[] = {
        {"equal", TEXT_ROW("abc"), TEXT_ROW("abc"), 0},
        {"prefix first", TEXT_ROW("ab"), TEXT_ROW("abc"), -1},
        {"bytes are unsigned", TEXT_ROW("\xc3\xa9"), TEXT_ROW("z"), 1},
        {"absent is empty", {NULL, 0}, TEXT_ROW(""), 0},
        {"absent first", {NULL, 0}, TEXT_ROW("a"), -1},
        {"NUL inside", TEXT_ROW("a\0b"), TEXT_ROW("a\0c"), -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int order = text_compare(rows[i].a, rows[i].b);
        const int reverse = text_compare(rows[i].b, rows[i].a);

        CHECK_INT(rows[i].row, (order > 0) - (order < 0), rows[i].order);
        CHECK_INT(rows[i].row, (reverse > 0) - (reverse < 0), -rows[i].order);
        CHECK_INT(rows[i].row, text_eq(rows[i].a, rows[i].b), rows[i].order == 0);
    }
}

static void
test_clean(void)
{
    static const struct {
        const char *row;
        struct text text;
        bool clean;
    } rows[] = {
        {"absent", {NULL, 0}, true},
        {"ASCII edges", TEXT_ROW(" ~"), true},
        {"U+0000", TEXT_ROW("a\0"), false},
        {"newline", TEXT_ROW("a\nb"), false},
        {"U+001F", TEXT_ROW("\x1f"), false},
        {"DEL", TEXT_ROW("\x7f"), false},
        {"last C1, U+009F", TEXT_ROW("\xc2\x9f"), false},
        {"U+00A0", TEXT_ROW("\xc2\xa0"), true},
        {"U+07FF", TEXT_ROW("\xdf\xbf"), true},
        {"overlong slash", TEXT_ROW("\xc0\xaf"), false},
        {"overlong c1", TEXT_ROW("\xc1\xbf"), false},
        {"lone continuation", TEXT_ROW("\x80"), false},
        {"overlong 3", TEXT_ROW("\xe0\x9f\xbf"), false},
        {"U+0800", TEXT_ROW("\xe0\xa0\x80"), true},
        {"U+D7FF", TEXT_ROW("\xed\x9f\xbf"), true},
        {"surrogate U+D800", TEXT_ROW("\xed\xa0\x80"), false},
        {"U+FFFF", TEXT_ROW("\xef\xbf\xbf"), true},
        {"overlong 4", TEXT_ROW("\xf0\x8f\xbf\xbf"), false},
        {"U+10000", TEXT_ROW("\xf0\x90\x80\x80"), true},
        {"U+10FFFF", TEXT_ROW("\xf4\x8f\xbf\xbf"), true},
        {"U+110000", TEXT_ROW("\xf4\x90\x80\x80"), false},
        {"f5", TEXT_ROW("\xf5\x80\x80\x80"), false},
        {"cut after 1", TEXT_ROW("a\xe2"), false},
        {"cut after 2", TEXT_ROW("a\xe2\x82"), false},
        {"cut after 3", TEXT_ROW("\xf0\x9f\x98"), false},
        {"bad third byte", TEXT_ROW("\xe2\x82\x28"), false},
        {"mixed", TEXT_ROW("z\xc3\xbcrich \xf0\x9f\x98\x80 \xe4\xb8\xad"), true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].row, text_is_clean(rows[i].text), rows[i].clean);
}

static void
test_copy(void)
{
    char to[4] = "xxx";

    CHECK_INT("fits", text_copy(to, sizeof to, TEXT("abc")), 3);
    CU_ASSERT_STRING_EQUAL(to, "abc");
    CHECK_INT("cut", text_copy(to, sizeof to, TEXT("wxyz")), 3);
    CU_ASSERT_STRING_EQUAL(to, "wxy");
    CHECK_INT("no room at all", text_copy(to, 0, TEXT("q")), 0);
    CU_ASSERT_STRING_EQUAL(to, "wxy");
    CHECK_INT("absent", text_copy(to, sizeof to, text_of(NULL)), 0);
    CU_ASSERT_STRING_EQUAL(to, "");
}

static void
test_percent(void)
{
    char to[16];
    char back[16];
    size_t size = 0;

    CHECK_INT("two too few", text_percent_encode(to, sizeof to, TEXT("a-B.9_~/\xc3%")), 0);
    CHECK_INT("room", text_percent_encode(to, sizeof to, TEXT("a-B_~/\xc3%")), 14);
    CU_ASSERT_STRING_EQUAL(to, "a-B_~%2F%C3%25");
    CU_ASSERT_TRUE(text_percent_decode(back, sizeof back, text_of(to), &size));
    CHECK_INT("back", size, 8);
    CU_ASSERT_STRING_EQUAL(back, "a-B_~/\xc3%");

    CHECK_INT("exact room", text_percent_encode(to, 4, TEXT("/")), 3);
    CHECK_INT("one too few", text_percent_encode(to, 3, TEXT("/")), 0);
    CU_ASSERT_STRING_EQUAL(to, "");
    CU_ASSERT_TRUE(text_percent_decode(back, 3, TEXT("%2f%2F"), &size));
    CU_ASSERT_STRING_EQUAL(back, "//");
    CU_ASSERT_FALSE(text_percent_decode(back, 2, TEXT("%2f%2F"), &size));
    CU_ASSERT_FALSE(text_percent_decode(back, 0, TEXT(""), &size));
    CU_ASSERT_FALSE(text_percent_decode(back, sizeof back, TEXT("%"), &size));
    CU_ASSERT_FALSE(text_percent_decode(back, sizeof back, TEXT("a%2"), &size));
    CU_ASSERT_FALSE(text_percent_decode(back, sizeof back, TEXT("%g0"), &size));
    CU_ASSERT_FALSE(text_percent_decode(back, sizeof back, TEXT("%0x"), &size));
}

static void
test_distance(void)
{
    char longest[65];
    static const struct {
        struct text a;
        struct text b;
        unsigned limit;
        unsigned distance;
    } rows[] = {
        {TEXT_ROW(""), TEXT_ROW(""), 3, 0},
        {TEXT_ROW("limit"), TEXT_ROW("limit"), 3, 0},
        {TEXT_ROW("limit"), TEXT_ROW("limits"), 3, 1},
        {TEXT_ROW("limit"), TEXT_ROW("imit"), 3, 1},
        {TEXT_ROW("limit"), TEXT_ROW("lamit"), 3, 1},
        {TEXT_ROW("limit"), TEXT_ROW("liimt"), 3, 1},
        {TEXT_ROW("ca"), TEXT_ROW("abc"), 9, 3}, /* restricted: no piece is edited twice */
        {TEXT_ROW("kitten"), TEXT_ROW("sitting"), 9, 3},
        {TEXT_ROW("kitten"), TEXT_ROW("sitting"), 2, 3},
        {TEXT_ROW("kitten"), TEXT_ROW("sitting"), 1, 2},
        {TEXT_ROW(""), TEXT_ROW("abc"), 9, 3},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].b.at, text_distance(rows[i].a, rows[i].b, rows[i].limit),
                  rows[i].distance);
        CHECK_INT(rows[i].b.at, text_distance(rows[i].b, rows[i].a, rows[i].limit),
                  rows[i].distance);
    }
    memset(longest, 'x', sizeof longest);
    CHECK_INT("64", text_distance((struct text){longest, 64}, TEXT(""), 99), 64);
    CHECK_INT("65", text_distance((struct text){longest, 65}, TEXT(""), 99), 100);
}

static void
test_to_int(void)
{
    static const struct {
        struct text text;
        int64_t low;
        int64_t high;
        bool good;
        int64_t value;
    } rows[] = {
        {TEXT_ROW("0"), 0, 9, true, 0},
        {TEXT_ROW("-7"), -7, 9, true, -7},
        {TEXT_ROW("-8"), -7, 9, false, 0},
        {TEXT_ROW("9"), -7, 9, true, 9},
        {TEXT_ROW("10"), -7, 9, false, 0},
        {TEXT_ROW("9223372036854775807"), INT64_MIN, INT64_MAX, true, INT64_MAX},
        {TEXT_ROW("9223372036854775808"), INT64_MIN, INT64_MAX, false, 0},
        {TEXT_ROW("-9223372036854775808"), INT64_MIN, INT64_MAX, true, INT64_MIN},
        {TEXT_ROW("-9223372036854775809"), INT64_MIN, INT64_MAX, false, 0},
        {TEXT_ROW(""), -9, 9, false, 0},
        {TEXT_ROW("-"), -9, 9, false, 0},
        {TEXT_ROW("+1"), -9, 9, false, 0},
        {TEXT_ROW(" 1"), -9, 9, false, 0},
        {TEXT_ROW("1 "), -9, 9, false, 0},
        {TEXT_ROW("1\0"), -9, 9, false, 0},
        {TEXT_ROW("1.0"), -9, 9, false, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t value = 0;

        CHECK_INT(rows[i].text.at, text_to_int(rows[i].text, rows[i].low, rows[i].high, &value),
                  rows[i].good);
        CHECK_INT(rows[i].text.at, value, rows[i].value);
    }
}

static CU_TestInfo tests[] = {
    {"byte order, prefix first", test_order},
    {"only clean UTF-8 passes", test_clean},
    {"a copy is cut and ended", test_copy},
    {"percent encoding and back", test_percent},
    {"distance for suggestions", test_distance},
    {"integers within their range", test_to_int},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_text = {"text", NULL, NULL, NULL, NULL, tests};
