#include "core/money.h"

#include <assert.h>
#include <stdio.h>

#include "core/digits.h"

__extension__ typedef unsigned __int128 magnitude;

enum {
    NANO_DECIMALS = 9,
    PARSE_SIZE_LIMIT = 64,
    WHOLE_DIGITS_LIMIT = 19,  /* of 9e18 nano; all such numbers fit uint64 */
    EXPONENT_LIMIT = 1000000, /* beyond it only the sign of the exponent matters */
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

#define EVENT_LIMIT_UNITS (MONEY_EVENT_LIMIT_NANO / MONEY_NANO_PER_UNIT)

/* A decimal number as it is written: digits x 10^exponent. */
struct decimal {
    bool negative;
    char digits[PARSE_SIZE_LIMIT]; /* without leading zeros */
    int count;                     /* 0: the number is zero */
    int exponent;
};

static size_t
read_mantissa(struct text text, size_t at, struct decimal *out)
{
    bool point = false;
    const size_t start = at;

    for (; at < text.size; at++) {
        const char c = text.at[at];

        /* A point stands between two digits. */
        if (c == '.' && !point && at > start && at + 1 < text.size && is_digit(text.at[at + 1])) {
            point = true;
            continue;
        }
        if (!is_digit(c))
            break;
        if (point)
            out->exponent--;
        if (c != '0' || out->count > 0)
            out->digits[out->count++] = c;
    }
    return at;
}

/* text is at most PARSE_SIZE_LIMIT bytes. */
static bool
read_decimal(struct text text, struct decimal *out)
{
    size_t at = 0;

    *out = (struct decimal){0};
    if (text.size > 0 && (text.at[0] == '-' || text.at[0] == '+')) {
        out->negative = text.at[0] == '-';
        at = 1;
    }
    if (at == text.size || !is_digit(text.at[at]))
        return false;
    at = read_mantissa(text, at, out);
    if (at == text.size)
        return true;

    if (text.at[at] != 'e' && text.at[at] != 'E')
        return false;
    at++;
    const bool down = at < text.size && text.at[at] == '-';

    if (down || (at < text.size && text.at[at] == '+'))
        at++;
    if (at == text.size)
        return false;
    int exponent = 0;

    for (; at < text.size; at++) {
        if (!is_digit(text.at[at]))
            return false;
        if (exponent < EXPONENT_LIMIT)
            exponent = exponent * 10 + (text.at[at] - '0');
    }
    out->exponent += down ? -exponent : exponent;
    return true;
}

/* What is cut off behind the last nano, beside one half of it. */
enum rest { REST_NONE, REST_BELOW_HALF, REST_HALF, REST_ABOVE_HALF };

static uint64_t
half_even(uint64_t whole, enum rest rest)
{
    return whole + (rest == REST_ABOVE_HALF || (rest == REST_HALF && whole % 2 == 1));
}

static enum rest
rest_of_digits(const char *digits, int count)
{
    if (count == 0)
        return REST_NONE;
    bool more = false;

    for (int i = 1; i < count; i++)
        more = more || digits[i] != '0';
    if (digits[0] == '5')
        return more ? REST_ABOVE_HALF : REST_HALF;
    if (digits[0] > '5')
        return REST_ABOVE_HALF;
    return more || digits[0] > '0' ? REST_BELOW_HALF : REST_NONE;
}

/* False when the number is beyond the limit of events. */
static bool
round_decimal(const struct decimal *decimal, uint64_t *nano)
{
    /* How many digits stand before the end of the nano place; may be negative. */
    const int kept = decimal->count + decimal->exponent + NANO_DECIMALS;
    uint64_t whole = 0;

    *nano = 0;
    if (decimal->count == 0 || kept < 0)
        return true;
    if (kept > WHOLE_DIGITS_LIMIT)
        return false;
    for (int i = 0; i < kept; i++)
        whole = whole * 10 + (i < decimal->count ? (uint64_t)(decimal->digits[i] - '0') : 0);

    const enum rest rest = kept < decimal->count
                               ? rest_of_digits(decimal->digits + kept, decimal->count - kept)
                               : REST_NONE;
    const uint64_t limit = MONEY_EVENT_LIMIT_NANO;

    /* Judged before rounding: the amount as written is the one that must be within. */
    if (whole > limit || (whole == limit && rest != REST_NONE))
        return false;
    *nano = half_even(whole, rest);
    return true;
}

/* At most `limit` digits; behind the last one. */
static const char *
read_whole(const char *at, const char *end, int limit, uint64_t *value)
{
    if (limit >= 8 && end - at >= 8) {
        const uint64_t digits = digits_load(at);
        const unsigned count = digits_count(digits);

        *value = count == 0 ? 0 : digits_value(digits, count);
        if (count < 8)
            return at + count;
        at += 8;
        limit -= 8;
    }
    for (; at < end && limit > 0 && is_digit(*at); at++, limit--)
        *value = *value * 10 + (uint64_t)(*at - '0');
    return at;
}

/*
 * What nearly all amounts look like: [-]digits[.digits], at most ten and nine of them, so that
 * nothing can overflow and nothing is rounded.  False: it takes a closer look.
 */
static bool
parse_plain(struct text text, int64_t *nano)
{
    static const uint32_t missing[NANO_DECIMALS + 1] = {
        1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    const char *end = text.at + text.size;
    const bool negative = text.at[0] == '-';
    const char *start = text.at + negative;
    uint64_t whole = 0;
    uint64_t fraction = 0;
    const char *at = read_whole(start, end, 10, &whole);

    if (at == start)
        return false;
    if (at < end) {
        const char *point = at++;

        if (*point != '.')
            return false;
        at = read_whole(at, end, NANO_DECIMALS, &fraction);
        if (at == point + 1 || at < end)
            return false;
        fraction *= missing[at - point - 1];
    }
    const uint64_t sum = whole * (uint64_t)MONEY_NANO_PER_UNIT + fraction;

    if (sum > (uint64_t)MONEY_EVENT_LIMIT_NANO)
        return false;
    *nano = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

bool
money_parse(struct text text, struct money *out, struct err *why)
{
    struct decimal decimal;
    uint64_t nano;

    if (text.size > 0 && parse_plain(text, &out->nano))
        return true;
    if (text.size > PARSE_SIZE_LIMIT)
        return err_set(why, ERR_INPUT, "an amount of %zu bytes is longer than %d", text.size,
                       PARSE_SIZE_LIMIT);
    if (!read_decimal(text, &decimal))
        return err_set(why, ERR_INPUT, "\"%.*s\" is no decimal number", (int)text.size,
                       text.size == 0 ? "" : text.at);
    if (!round_decimal(&decimal, &nano))
        return err_set(why, ERR_INPUT, "amount %.*s is beyond +-%lld units", (int)text.size,
                       text.at, (long long)EVENT_LIMIT_UNITS);
    out->nano = decimal.negative ? -(int64_t)nano : (int64_t)nano;
    return true;
}

bool
money_parse_exact(struct text text, int decimals, int64_t *out)
{
    struct decimal decimal;
    int64_t value = 0;

    if (text.size > PARSE_SIZE_LIMIT || !read_decimal(text, &decimal))
        return false;
    /* How many digits stand before the end of the last place; zeros may follow. */
    const int kept = decimal.count + decimal.exponent + decimals;

    for (int i = kept < 0 ? 0 : kept; i < decimal.count; i++)
        if (decimal.digits[i] != '0')
            return false;
    if (decimal.count == 0 || kept < 0) {
        *out = 0;
        return true;
    }
    if (kept > WHOLE_DIGITS_LIMIT)
        return false;
    for (int i = 0; i < kept; i++) {
        const int digit = i < decimal.count ? decimal.digits[i] - '0' : 0;

        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, decimal.negative ? -digit : digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool
money_from_double(double value, int64_t limit_units, struct money *out, struct err *why)
{
    /* IEEE 754 binary64: value = mantissa x 2^-shift for every number the limit lets through. */
    uint64_t bits;

    assert(limit_units >= 1 && limit_units <= EVENT_LIMIT_UNITS);
    memcpy(&bits, &value, sizeof bits);
    const bool negative = bits >> 63 != 0;
    const int biased = (int)(bits >> 52 & 0x7ff);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const uint64_t mantissa = biased == 0 ? fraction : fraction | UINT64_C(1) << 52;
    const int shift = 1075 - (biased == 0 ? 1 : biased);

    if (biased == 0x7ff)
        return err_set(why, ERR_INPUT, "an amount is not a finite number");
    /* Without fraction bits it is at least 2^52, above every limit. */
    if (shift <= 0 || (shift < 64 && mantissa > (magnitude)limit_units << shift))
        return err_set(why, ERR_INPUT, "amount %.17g is beyond +-%lld units as a JSON number",
                       value, (long long)limit_units);

    /* mantissa x 10^9 is below 2^83: what is shifted further is below one quarter. */
    if (shift > 84) {
        out->nano = 0;
        return true;
    }
    const magnitude product = (magnitude)mantissa * (magnitude)MONEY_NANO_PER_UNIT;
    const magnitude half = (magnitude)1 << (shift - 1);
    const magnitude cut = product & (((magnitude)1 << shift) - 1);
    const enum rest rest = cut == 0     ? REST_NONE
                           : cut < half ? REST_BELOW_HALF
                           : cut > half ? REST_ABOVE_HALF
                                        : REST_HALF;
    const uint64_t nano = half_even((uint64_t)(product >> shift), rest);

    out->nano = negative ? -(int64_t)nano : (int64_t)nano;
    return true;
}

bool
money_add(struct money a, struct money b, struct money *sum)
{
    int64_t nano;

    if (__builtin_add_overflow(a.nano, b.nano, &nano))
        return false;
    sum->nano = nano;
    return true;
}

tally
tally_divide(tally amount, tally divisor)
{
    const tally rest = amount % divisor;
    const tally size = rest < 0 ? -rest : rest;
    const tally unit = divisor < 0 ? -divisor : divisor;
    tally quotient = amount / divisor;

    /* Compared without doubling: size > unit - size is 2 * size > unit. */
    if (size > unit - size || (size == unit - size && quotient % 2 != 0))
        quotient += (amount < 0) == (divisor < 0) ? 1 : -1;
    return quotient;
}

/* Writes value / 10^scale with all `scale` decimals. */
static size_t
format_scaled(tally value, int scale, char out[TALLY_TEXT_SIZE])
{
    char reversed[TALLY_TEXT_SIZE];
    int count = 0;
    size_t size = 0;
    magnitude rest = value < 0 ? -(magnitude)value : (magnitude)value;

    do {
        if (count == scale && scale > 0)
            reversed[count++] = '.';
        reversed[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0 || (scale > 0 && count <= scale + 1));
    if (value < 0)
        out[size++] = '-';
    while (count > 0)
        out[size++] = reversed[--count];
    out[size] = '\0';
    return size;
}

const char *
tally_format_money(tally nano, char out[TALLY_TEXT_SIZE])
{
    (void)format_scaled(nano, NANO_DECIMALS, out);
    return out;
}

const char *
tally_format_short(tally nano, int decimals, char out[TALLY_TEXT_SIZE])
{
    size_t size = format_scaled(nano, NANO_DECIMALS, out);
    const size_t point = size - NANO_DECIMALS - 1;

    assert(decimals >= 0 && decimals <= NANO_DECIMALS);
    while (size > point + 1 + (size_t)decimals && out[size - 1] == '0')
        size--;
    if (size == point + 1)
        size = point;
    out[size] = '\0';
    return out;
}

const char *
tally_format_count(tally count, char out[TALLY_TEXT_SIZE])
{
    (void)format_scaled(count, 0, out);
    return out;
}

/* Reads -digits[.digits] with at most `scale` decimals as an integer of 10^-scale. */
static bool
parse_scaled(struct text text, int scale, tally *out)
{
    const bool negative = text.size > 0 && text.at[0] == '-';
    const size_t start = negative ? 1 : 0;
    int decimals = -1; /* no point seen */
    tally value = 0;

    if (text.size == start)
        return false;
    for (size_t i = start; i < text.size; i++) {
        if (text.at[i] == '.' && decimals < 0 && scale > 0 && i > start && i + 1 < text.size) {
            decimals = 0;
            continue;
        }
        const int digit = text.at[i] - '0';

        if (digit < 0 || digit > 9 || decimals == scale ||
            __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
        if (decimals >= 0)
            decimals++;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < scale; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    *out = value;
    return true;
}

bool
tally_parse_money(struct text text, tally *nano)
{
    return parse_scaled(text, NANO_DECIMALS, nano);
}

bool
tally_parse_count(struct text text, tally *count)
{
    return parse_scaled(text, 0, count);
}
