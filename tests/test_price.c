/* Protects: what usage costs is exact, rounded once, half to even, and nothing is paid twice. */
#include "core/price.h"
#include "tests/check.h"

/* ---- prices as text ------------------------------------------------------------------------------ */

#define REFUSED (-1)

static const struct {
    const char *text;
    int64_t pico;
    const char *shown;
} texts[] = {
    {"0", 0, "0"},
    {"0E-9", 0, "0"},
    {"0.0", 0, "0"},
    {"2.5e-06", 2500000, "0.0000025"},
    {"7.5e-08", 75000, "0.000000075"},
    {"3.625e-09", 3625, "0.000000003625"},
    {"1e-12", 1, "0.000000000001"},
    {"0.000000000001", 1, "0.000000000001"},
    {"1.0000e-12", 1, "0.000000000001"},
    {"1", PRICE_PICO_PER_UNIT, "1"},
    {"10.5", 10 * PRICE_PICO_PER_UNIT + PRICE_PICO_PER_UNIT / 2, "10.5"},
    {"1000000", PRICE_PICO_LIMIT, "1000000"},
    {"1e6", PRICE_PICO_LIMIT, "1000000"},
    {"1000000.000000000001", REFUSED, NULL},
    {"1e7", REFUSED, NULL},
    {"1e30", REFUSED, NULL},
    {"1e400000000", REFUSED, NULL},
    {"1e-13", REFUSED, NULL},
    {"2.5000000000001e-06", REFUSED, NULL},
    {"-1e-06", REFUSED, NULL},
    {"", REFUSED, NULL},
    {"1e", REFUSED, NULL},
    {"1,5", REFUSED, NULL},
    {"0x1", REFUSED, NULL},
};

static void
test_text(void)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char shown[PRICE_TEXT_SIZE];
        int64_t pico = REFUSED;

        CHECK_INT(texts[i].text, price_parse(text_of(texts[i].text), &pico),
                  texts[i].pico != REFUSED);
        if (texts[i].pico == REFUSED)
            continue;
        CHECK_INT(texts[i].text, pico, texts[i].pico);
        CU_ASSERT_STRING_EQUAL(price_format(pico, shown), texts[i].shown);
    }
}

/* ---- golden numbers ------------------------------------------------------------------------------ */

static const struct price dear = {.pico = {[PRICE_INPUT] = 1000000,
                                           [PRICE_CACHE_READ] = 100000,
                                           [PRICE_CACHE_WRITE] = 1250000,
                                           [PRICE_OUTPUT] = 4000000,
                                           [PRICE_REASONING] = 5000000,
                                           [PRICE_REQUEST] = PRICE_PICO_PER_UNIT / 100}};

static void
test_usage(void)
{
    static const struct {
        const char *row;
        int64_t usage[USAGE_COUNT];
        int64_t micro;
    } rows[] = {
        {"nothing", {0}, 0},
        {"a request", {[USAGE_REQUESTS] = 1}, 10000},
        {"input", {[USAGE_INPUT_TOKENS] = 7}, 7},
        {"all of it cached", {[USAGE_INPUT_TOKENS] = 10, [USAGE_CACHE_READ_TOKENS] = 10}, 1},
        {"some of it cached", {[USAGE_INPUT_TOKENS] = 20, [USAGE_CACHE_READ_TOKENS] = 10}, 11},
        {"written to the cache", {[USAGE_INPUT_TOKENS] = 4, [USAGE_CACHE_WRITE_TOKENS] = 4}, 5},
        {"output", {[USAGE_OUTPUT_TOKENS] = 3}, 12},
        {"half of it reasoning", {[USAGE_OUTPUT_TOKENS] = 4, [USAGE_REASONING_TOKENS] = 2}, 18},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].row, price_usage(&dear, rows[i].usage) / 1000000, rows[i].micro);
}

static void
test_tiers(void)
{
    static const struct price_tier tiers[] = {{.above = 0}, {.above = 128000}, {.above = 200000}};
    static const struct {
        int64_t input;
        int64_t above;
    } rows[] = {{0, 0},           {1, 0},           {128000, 0},        {128001, 128000},
                {200000, 128000}, {200001, 200000}, {INT64_MAX, 200000}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int64_t usage[USAGE_COUNT] = {[USAGE_INPUT_TOKENS] = rows[i].input};

        CHECK_INT("tier", price_tier_of(tiers, 3, usage)->above, rows[i].above);
    }
}

static void
test_round(void)
{
    static const struct {
        const char *row;
        int64_t pico, from, to, nano;
    } rows[] = {
        {"half goes to the even one below", 500, RATE_ONE, RATE_ONE, 0},
        {"half goes to the even one above", 1500, RATE_ONE, RATE_ONE, 2},
        {"more than half", 501, RATE_ONE, RATE_ONE, 1},
        {"less than half", 1499, RATE_ONE, RATE_ONE, 1},
        {"below zero alike", -1500, RATE_ONE, RATE_ONE, -2},
        {"into euros", 1080000, RATE_ONE, 1080000000, 1000},
        {"from euros", 1000000, 1080000000, RATE_ONE, 1080},
        {"a third", 1000000, RATE_ONE, 3 * RATE_ONE, 333},
        {"across", 1000000, 1080000000, 1250000000, 864},
        {"most", INT64_MAX, RATE_ONE, RATE_ONE, INT64_C(9223372036854776)},
    };
    int64_t nano;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        nano = REFUSED;
        CHECK_INT(rows[i].row, price_round(rows[i].pico, rows[i].from, rows[i].to, &nano), true);
        CHECK_INT(rows[i].row, nano, rows[i].nano);
    }
    const tally most = (tally)MONEY_EVENT_LIMIT_NANO * 1000;

    CU_ASSERT(price_round(most, RATE_ONE, RATE_ONE, &nano) && nano == MONEY_EVENT_LIMIT_NANO);
    CU_ASSERT(price_round(most + 500, RATE_ONE, RATE_ONE, &nano)); /* the half goes down */
    CU_ASSERT_FALSE(price_round(most + 501, RATE_ONE, RATE_ONE, &nano));
    CU_ASSERT_FALSE(price_round(most, RATE_LIMIT, RATE_ONE, &nano));
    CU_ASSERT_FALSE(price_round((tally)INT64_MAX << 56, RATE_LIMIT, RATE_ONE, &nano));
}

static void
test_mark_up(void)
{
    CHECK_INT("20 % of a nano", price_mark_up(1, 200000), 1);
    CHECK_INT("half goes to the even one", price_mark_up(5, 100000), 6); /* 5.5 */
    CHECK_INT("the same below", price_mark_up(5, -100000), 4);           /* 4.5 */
    CHECK_INT("a refund", price_mark_up(-1000, 25000), -1025);
    CU_ASSERT(price_mark_up(MONEY_EVENT_LIMIT_NANO, MARKUP_LIMIT) ==
              (tally)MONEY_EVENT_LIMIT_NANO * 101);
}

/* ---- the same on paper: decimal digits, no 128 bits ------------------------------------------------ */

enum { PLACES = 64 };
struct paper {
    uint8_t digit[PLACES]; /* the last one first */
};

static struct paper
paper_of(uint64_t value)
{
    struct paper out = {{0}};

    for (int i = 0; value > 0; i++, value /= 10)
        out.digit[i] = (uint8_t)(value % 10);
    return out;
}

static struct paper
paper_add(struct paper a, const struct paper *b)
{
    int carry = 0;

    for (int i = 0; i < PLACES; i++) {
        const int sum = a.digit[i] + b->digit[i] + carry;

        a.digit[i] = (uint8_t)(sum % 10);
        carry = sum / 10;
    }
    return a;
}

static struct paper
paper_multiply(const struct paper *a, uint64_t by)
{
    const struct paper factor = paper_of(by);
    struct paper out = {{0}};

    for (int i = 0; i < 20; i++)
        for (int times = 0; times < factor.digit[i]; times++) {
            struct paper shifted = {{0}};

            for (int d = 0; d + i < PLACES; d++)
                shifted.digit[d + i] = a->digit[d];
            out = paper_add(out, &shifted);
        }
    return out;
}

static int
paper_compare(const struct paper *a, const struct paper *b)
{
    for (int i = PLACES - 1; i >= 0; i--)
        if (a->digit[i] != b->digit[i])
            return a->digit[i] > b->digit[i] ? 1 : -1;
    return 0;
}

static void
paper_subtract(struct paper *a, const struct paper *b)
{
    int borrow = 0;

    for (int i = 0; i < PLACES; i++) {
        const int rest = a->digit[i] - b->digit[i] - borrow;

        borrow = rest < 0;
        a->digit[i] = (uint8_t)(rest + 10 * borrow);
    }
}

/* Long division, the remainder against half of the divisor; the quotient has at most 18 digits. */
static uint64_t
paper_divide(const struct paper *amount, const struct paper *by)
{
    struct paper rest = {{0}};
    uint64_t quotient = 0;

    for (int i = PLACES - 1; i >= 0; i--) {
        memmove(rest.digit + 1, rest.digit, PLACES - 1);
        rest.digit[0] = amount->digit[i];
        quotient *= 10;
        for (; paper_compare(&rest, by) >= 0; quotient++)
            paper_subtract(&rest, by);
    }
    const struct paper twice = paper_add(rest, &rest);
    const int half = paper_compare(&twice, by);

    return quotient + (half > 0 || (half == 0 && quotient % 2 == 1));
}

static uint64_t state = 20260321;

static uint64_t
random_below(uint64_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 11) % limit;
}

static uint64_t
on_paper(const struct price *price, const int64_t *usage, int64_t from, int64_t to)
{
    const uint64_t used[PRICE_PART_COUNT] = {
        (uint64_t)(usage[USAGE_INPUT_TOKENS] - usage[USAGE_CACHE_READ_TOKENS] -
                   usage[USAGE_CACHE_WRITE_TOKENS]),
        (uint64_t)usage[USAGE_CACHE_READ_TOKENS],
        (uint64_t)usage[USAGE_CACHE_WRITE_TOKENS],
        (uint64_t)(usage[USAGE_OUTPUT_TOKENS] - usage[USAGE_REASONING_TOKENS]),
        (uint64_t)usage[USAGE_REASONING_TOKENS],
        (uint64_t)usage[USAGE_REQUESTS]};
    struct paper sum = {{0}};

    for (int part = 0; part < PRICE_PART_COUNT; part++) {
        const struct paper one = paper_of(used[part]);
        const struct paper product = paper_multiply(&one, (uint64_t)price->pico[part]);

        sum = paper_add(sum, &product);
    }
    const struct paper amount = paper_multiply(&sum, (uint64_t)from);
    const struct paper unit = paper_of((uint64_t)to);
    const struct paper divisor = paper_multiply(&unit, 1000);

    return paper_divide(&amount, &divisor);
}

/* Small and large counts, prices and rates, and often what ends in halves. */
static void
test_property(void)
{
    int64_t wrong = 0;

    for (int i = 0; i < 20000; i++) {
        const uint64_t tokens = i % 3 == 0 ? 1000 : UINT64_C(1) << (10 + i % 30);
        const uint64_t most = i % 2 == 0 ? 4000 : UINT64_C(1) << (8 + i % 25);
        const int64_t from =
            i % 4 < 2 ? RATE_ONE : (int64_t)random_below(5 * RATE_ONE) + RATE_LEAST;
        const int64_t to = i % 4 != 3 ? RATE_ONE : (int64_t)random_below(5 * RATE_ONE) + RATE_LEAST;
        int64_t usage[USAGE_COUNT] = {
            [USAGE_REQUESTS] = 1,
            [USAGE_INPUT_TOKENS] = (int64_t)random_below(tokens) + 1,
            [USAGE_OUTPUT_TOKENS] = (int64_t)random_below(tokens) + 1,
        };
        struct price price;
        int64_t nano = REFUSED;

        usage[USAGE_CACHE_READ_TOKENS] = (int64_t)random_below((uint64_t)usage[USAGE_INPUT_TOKENS]);
        usage[USAGE_CACHE_WRITE_TOKENS] = (int64_t)random_below(
            (uint64_t)(usage[USAGE_INPUT_TOKENS] - usage[USAGE_CACHE_READ_TOKENS]));
        usage[USAGE_REASONING_TOKENS] = (int64_t)random_below((uint64_t)usage[USAGE_OUTPUT_TOKENS]);
        for (int part = 0; part < PRICE_PART_COUNT; part++)
            price.pico[part] = (int64_t)random_below(most) * (i % 5 == 0 ? 500 : 1);
        if (price_round(price_usage(&price, usage), from, to, &nano))
            wrong += (uint64_t)nano != on_paper(&price, usage, from, to);
    }
    CHECK_INT("amounts that differ from paper", wrong, 0);
}

static CU_TestInfo tests[] = {
    {"a price is read exactly from its text", test_text},
    {"cached and reasoning tokens are paid once", test_usage},
    {"a tier begins above its bound", test_tiers},
    {"one rounding, half to even, overflow told", test_round},
    {"mark-ups", test_mark_up},
    {"the same as on paper", test_property},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_price = {.pName = "price", .pTests = tests};
