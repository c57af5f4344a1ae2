/* Protects: an amount is read to the nano exactly as it is written, and never wraps. */
#include "core/money.h"
#include "tests/check.h"

#include <math.h>

#define REFUSED INT64_MIN

static const struct {
    const char *text;
    int64_t nano;
} texts[] = {
    {"0", 0},
    {"-0", 0},
    {"-0.0", 0},
    {"0E-9", 0},
    {"7.5e-08", 75},
    {"7.5E-08", 75},
    {"1", 1000000000},
    {"+1.5", 1500000000},
    {"-0.145190800", -145190800},
    {"31.649071125", INT64_C(31649071125)},
    {"007", INT64_C(7000000000)},
    {"1e0", 1000000000},
    {"1e+3", INT64_C(1000000000000)},
    {"1000e-3", 1000000000},
    {"0.000000001", 1},
    {"0.0000000005", 0}, /* ties go to even */
    {"0.0000000015", 2},
    {"0.0000000025", 2},
    {"0.0000000035", 4},
    {"-0.0000000015", -2},
    {"-0.0000000025", -2},
    {"0.00000000050", 0},
    {"0.00000000050000000000000000000000000000000000000000000000000001", 1},
    {"0.00000000049999999999999999999999999999999999999999999999999999", 0},
    {"0.0000000025000000001", 3},
    {"0.0000000024999999999", 2},
    {"5e-10", 0},
    {"5.1e-10", 1},
    {"9e-11", 0},
    {"15e-10", 2},
    {"0.9999999995", 1000000000},
    {"0.9999999994", 999999999},
    {"1e-400", 0},
    {"-1e-400", 0},
    {"0e400", 0},
    {"0e99999999999999999999999999", 0},
    {"0.0e-99999999999999999999999999", 0},
    {"1e-99999999999999999999999999", 0},
    {"1e400", REFUSED},
    {"1e99999999999999999999999999", REFUSED},
    {"0.0000000000000000000000000000000000000000000000000000000001e58", 1000000000},
    {"100000000000000000000000000000000000000000000000000000000e-56", 1000000000},
    {"9000000000", MONEY_EVENT_LIMIT_NANO},
    {"-9000000000", -MONEY_EVENT_LIMIT_NANO},
    {"9e9", MONEY_EVENT_LIMIT_NANO},
    {"9000000000.000000000", MONEY_EVENT_LIMIT_NANO},
    {"8999999999.9999999999", MONEY_EVENT_LIMIT_NANO},
    {"8999999999.999999999", MONEY_EVENT_LIMIT_NANO - 1},
    {"9000000000.000000001", REFUSED},
    {"9000000000.0000000000001", REFUSED},
    {"-9000000000.000000001", REFUSED},
    {"9.1e9", REFUSED},
    {"9300000000", REFUSED},
    {"18446744073709551616", REFUSED},
    {"1e10", REFUSED},
    {"", REFUSED},
    {"-", REFUSED},
    {"+", REFUSED},
    {"--1", REFUSED},
    {".5", REFUSED},
    {"5.", REFUSED},
    {"5.e1", REFUSED},
    {"1.2.3", REFUSED},
    {"1e", REFUSED},
    {"1e+", REFUSED},
    {"1e-", REFUSED},
    {"1e1.5", REFUSED},
    {"e1", REFUSED},
    {" 1", REFUSED},
    {"1 ", REFUSED},
    {"1,5", REFUSED},
    {"0x10", REFUSED},
    {"NaN", REFUSED},
    {"Infinity", REFUSED},
    {"100000000000000000000000000000000000000000000000000000000000e-59", 1000000000}, /* 64 bytes */
    {"1000000000000000000000000000000000000000000000000000000000000e-60", REFUSED},
};

static void
test_parse(void)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct money money = {REFUSED};
        struct err why = {0};

        CHECK_INT(texts[i].text, money_parse(text_of(texts[i].text), &money, &why),
                  texts[i].nano != REFUSED);
        CHECK_INT(texts[i].text, money.nano, texts[i].nano);
        CHECK_INT(texts[i].text, why.class, texts[i].nano == REFUSED ? ERR_INPUT : ERR_NONE);
    }
    struct money money;
    struct err why;

    CU_ASSERT_FALSE(money_parse(text_of(NULL), &money, &why));
    CU_ASSERT_FALSE(money_parse(TEXT("1\0"), &money, &why));
    CU_ASSERT_FALSE(money_parse(TEXT("1e10"), &money, &why));
    CU_ASSERT_STRING_EQUAL(why.text, "amount 1e10 is beyond +-9000000000 units");
}

static void
test_from_double(void)
{
    static const struct {
        const char *row;
        double value;
        int64_t limit;
        int64_t nano;
    } rows[] = {
        {"0", 0.0, 1000000, 0},
        {"-0", -0.0, 1000000, 0},
        {"1", 1.0, 1000000, 1000000000},
        {"0.1", 0.1, 1000000, 100000000},
        {"-0.1", -0.1, 1000000, -100000000},
        {"7.5e-08", 7.5e-08, 1000000, 75},
        {"2^-10 ends in .5: even below", 0x1p-10, 1000000, 976562},
        {"3 x 2^-10 ends in .5: even above", 0x3p-10, 1000000, 2929688},
        {"-2^-10", -0x1p-10, 1000000, -976562},
        {"2^-10 and one bit", 0x1.0000000000001p-10, 1000000, 976563},
        {"2^-10 less one bit", 0x1.fffffffffffffp-11, 1000000, 976562},
        {"5e-10 denotes more than half", 5e-10, 1000000, 1},
        {"4.9e-10", 4.9e-10, 1000000, 0},
        {"1.5e-9 denotes less than the tie", 1.5e-9, 1000000, 1},
        {"least", 0x1p-1074, 1000000, 0},
        {"least normal", 0x1p-1022, 1000000, 0},
        {"at the limit", 1e6, 1000000, INT64_C(1000000000000000)},
        {"one bit above", 0x1.e848000000001p+19, 1000000, REFUSED},
        {"one bit below", 0x1.e847fffffffffp+19, 1000000, INT64_C(1000000000000000)},
        {"below zero", -1e6, 1000000, INT64_C(-1000000000000000)},
        {"below the limit", -1000001.0, 1000000, REFUSED},
        {"limit 1", 1.0, 1, 1000000000},
        {"above 1", 0x1.0000000000001p+0, 1, REFUSED},
        {"9e9", 9e9, INT64_C(9000000000), MONEY_EVENT_LIMIT_NANO},
        {"above 9e9", 0x1.0c388d0000001p+33, INT64_C(9000000000), REFUSED},
        {"2^52", 0x1p52, INT64_C(9000000000), REFUSED},
        {"2^63", 0x1p63, INT64_C(9000000000), REFUSED},
        {"1e308", 1e308, 1000000, REFUSED},
        {"infinite", (double)INFINITY, 1000000, REFUSED},
        {"-infinite", (double)-INFINITY, 1000000, REFUSED},
        {"nan", (double)NAN, 1000000, REFUSED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct money money = {REFUSED};
        struct err why = {0};

        CHECK_INT(rows[i].row, money_from_double(rows[i].value, rows[i].limit, &money, &why),
                  rows[i].nano != REFUSED);
        CHECK_INT(rows[i].row, money.nano, rows[i].nano);
        CHECK_INT(rows[i].row, why.class, rows[i].nano == REFUSED ? ERR_INPUT : ERR_NONE);
    }
}

/* A double printed with all its digits and read as text must give the same nano. */
static void
test_double_is_its_text(void)
{
    uint64_t state = 20260302;
    int64_t wrong = 0;

    for (int i = 0; i < 100000; i++) {
        struct money direct = {0};
        struct money read = {0};
        struct err why;
        char text[1100];

        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        /* At most 40 fraction bits keep the exact text within 64 bytes. */
        const double value =
            ldexp((double)(int64_t)(state >> 20) - 0x1p43, -40 + (int)(state >> 13 & 31));

        if (fabs(value) > 9e9)
            continue;
        (void)snprintf(text, sizeof text, "%.40f", value);
        if (!money_from_double(value, INT64_C(9000000000), &direct, &why) ||
            !money_parse(text_of(text), &read, &why) || direct.nano != read.nano)
            wrong++;
    }
    CHECK_INT("doubles that differ from their text", wrong, 0);
}

/* What looks like nearly all amounts is judged as the same with an exponent of 0, which is read in
 * another way. */
static void
test_plain_is_careful(void)
{
    static const char bytes[] = "0123456789012345678900000999..-+ e";
    uint64_t state = 7;
    int64_t different = 0;
    int64_t read = 0;

    for (int i = 0; i < 300000; i++) {
        struct money plain = {REFUSED};
        struct money careful = {REFUSED};
        struct err why;
        char text[32];
        size_t size = 0;

        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const size_t wanted = 1 + (state >> 40) % 22;
        /* Half of them are digits with one point. */
        const size_t kinds = state >> 63 != 0 ? 27 : sizeof bytes - 1;

        for (; size < wanted; size++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            text[size] = bytes[(state >> 33) % kinds];
        }
        if (kinds == 27 && wanted > 2)
            text[1 + (state >> 50) % (wanted - 2)] = '.';
        if (memchr(text, 'e', size) != NULL)
            continue;
        const bool good = money_parse((struct text){text, size}, &plain, &why);

        text[size] = 'e';
        text[size + 1] = '0';
        different += money_parse((struct text){text, size + 2}, &careful, &why) != good ||
                     plain.nano != careful.nano;
        read += good;
    }
    CHECK_INT("amounts read in two ways", different, 0);
    CHECK_INT("amounts read at all", read > 100000, true);
}

static void
test_overflow(void)
{
    struct money sum = {7};
    const tally half = (tally)1 << 126;
    const tally highest = half - 1 + half;
    tally total = highest;

    CU_ASSERT_TRUE(money_add((struct money){INT64_MAX - 1}, (struct money){1}, &sum));
    CHECK_INT("max", sum.nano, INT64_MAX);
    CU_ASSERT_FALSE(money_add((struct money){INT64_MAX}, (struct money){1}, &sum));
    CU_ASSERT_FALSE(money_add((struct money){INT64_MIN}, (struct money){-1}, &sum));
    CHECK_INT("untouched", sum.nano, INT64_MAX);
    CU_ASSERT_FALSE(tally_add(&total, 1));
    CU_ASSERT_TRUE(total == highest);
    CU_ASSERT_TRUE(tally_add(&total, -1));
    CU_ASSERT_TRUE(total == highest - 1);
}

static void
test_format(void)
{
    static const struct {
        int64_t nano;
        const char *full;
        const char *none;
        const char *two;
        const char *count;
    } rows[] = {
        {0, "0.000000000", "0", "0.00", "0"},
        {INT64_C(31649071125), "31.649071125", "31.649071125", "31.649071125", "31649071125"},
        {-145190800, "-0.145190800", "-0.1451908", "-0.1451908", "-145190800"},
        {INT64_C(15000000000), "15.000000000", "15", "15.00", "15000000000"},
        {INT64_C(15500000000), "15.500000000", "15.5", "15.50", "15500000000"},
        {INT64_C(100000000000), "100.000000000", "100", "100.00", "100000000000"},
        {1, "0.000000001", "0.000000001", "0.000000001", "1"},
        {-1, "-0.000000001", "-0.000000001", "-0.000000001", "-1"},
        {INT64_MIN, "-9223372036.854775808", "-9223372036.854775808", "-9223372036.854775808",
         "-9223372036854775808"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[TALLY_TEXT_SIZE];
        tally back = 0;

        CU_ASSERT_STRING_EQUAL(tally_format_money(rows[i].nano, out), rows[i].full);
        CU_ASSERT_TRUE(tally_parse_money(text_of(out), &back) && back == rows[i].nano);
        CU_ASSERT_STRING_EQUAL(tally_format_short(rows[i].nano, 0, out), rows[i].none);
        CU_ASSERT_TRUE(tally_parse_money(text_of(out), &back) && back == rows[i].nano);
        CU_ASSERT_STRING_EQUAL(tally_format_short(rows[i].nano, 2, out), rows[i].two);
        CU_ASSERT_STRING_EQUAL(tally_format_count(rows[i].nano, out), rows[i].count);
        CU_ASSERT_TRUE(tally_parse_count(text_of(out), &back) && back == rows[i].nano);
    }
}

static void
test_tally_edges(void)
{
    static const char *const good[] = {
        "170141183460469231731687303715.884105727",
        "-170141183460469231731687303715.884105728",
    };
    static const char *const bad[] = {
        "170141183460469231731687303715.884105728",
        "-170141183460469231731687303715.884105729",
        "170141183460469231731687303716",
        "1.0000000000",
        "1e3",
        "+1",
        ".5",
        "5.",
        "-.5",
        "1.2.3",
        "1..2",
        "-",
        "",
        "NaN",
        "Infinity",
        " 1",
    };
    char out[TALLY_TEXT_SIZE];
    tally value = 0;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_TRUE(tally_parse_money(text_of(good[i]), &value));
        CU_ASSERT_STRING_EQUAL(tally_format_money(value, out), good[i]);
        CU_ASSERT_STRING_EQUAL(tally_format_short(value, 2, out), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(bad[i], tally_parse_money(text_of(bad[i]), &value), false);
    CU_ASSERT_TRUE(tally_parse_count(TEXT("-170141183460469231731687303715884105728"), &value));
    CU_ASSERT_STRING_EQUAL(tally_format_count(value, out),
                           "-170141183460469231731687303715884105728");
    CU_ASSERT_FALSE(tally_parse_count(TEXT("170141183460469231731687303715884105728"), &value));
    CU_ASSERT_FALSE(tally_parse_count(TEXT("1.0"), &value));
}

static CU_TestInfo tests[] = {
    {"decimal text, half-even to the nano", test_parse},
    {"a double's exact value", test_from_double},
    {"a double equals its exact text", test_double_is_its_text},
    {"the usual form of an amount is read like any other", test_plain_is_careful},
    {"overflow is an error", test_overflow},
    {"amounts and counts as text", test_format},
    {"the ends of 128 bits", test_tally_edges},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_money = {"money", NULL, NULL, NULL, NULL, tests};
