#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "ingest/json_private.h"
#include "ingest/scan.h"

const char *
json_fail(struct json *json, enum json_fault fault)
{
    if (json->fault == JSON_FINE)
        json->fault = fault;
    return json->bytes + json->size;
}

/* Four hexadecimal digits; -1 when there is another byte among them. */
static int32_t
read_hex(const char *at)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *
put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 63));
        }
        *out++ = (char)(0x80 | (code >> 6 & 63));
    }
    *out++ = (char)(0x80 | (code & 63));
    return out;
}

/* at: behind `\u`. Both halves of a surrogate pair, or what is no surrogate. */
static const char *
read_code(struct json *json, const char *at)
{
    int32_t code = read_hex(at);

    if (code < 0)
        return json_fail(json, JSON_ESCAPE);
    at += 4;
    if (code >= 0xd800 && code <= 0xdfff) {
        const int32_t low = code <= 0xdbff && at[0] == '\\' && at[1] == 'u' ? read_hex(at + 2) : -1;

        if (low < 0xdc00 || low > 0xdfff)
            return json_fail(json, JSON_ESCAPE);
        code = 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
        at += 6;
    }
    json->texts = put_utf8(json->texts, (uint32_t)code);
    return at;
}

/* at: behind the backslash. */
static const char *
read_escape(struct json *json, const char *at)
{
    static const char marks[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *mark;

    if (*at == 'u')
        return read_code(json, at + 1);
    mark = *at == '\0' ? NULL : strchr(marks, *at);
    if (mark == NULL)
        return json_fail(json, JSON_ESCAPE);
    *json->texts++ = meant[mark - marks];
    return at + 1;
}

const char *
json_odd_text(struct json *json, const char *start, const char *at, struct text *out)
{
    char *const copy = json->texts;
    const char *copied = NULL; /* up to here; NULL: there is no copy */

    for (;; at = scan(at)) {
        const unsigned char odd = (unsigned char)*at;

        if (odd >= 0x7f) {
            /* DEL is no control character for JSON. */
            const size_t size =
                odd == 0x7f ? 1 : text_sequence(at, (size_t)(json->bytes + json->size - at));

            if (size == 0)
                return json_fail(json, JSON_NOT_UTF8);
            at += size;
            continue;
        }
        if (odd < ' ')
            return json_fail(json, JSON_BROKEN);
        if (copied != NULL || odd == '\\') {
            const char *from = copied == NULL ? start : copied;

            memcpy(json->texts, from, (size_t)(at - from));
            json->texts += at - from;
        }
        if (odd == '"')
            break;
        at = copied = read_escape(json, at + 1);
    }
    *out = copied == NULL ? (struct text){start, (size_t)(at - start)}
                          : (struct text){copy, (size_t)(json->texts - copy)};
    return at + 1;
}

static const char *
skip_digits(const char *at)
{
    while (is_digit(*at))
        at++;
    return at;
}

/*
 * digits x 10^exponent, correctly rounded, where both are so small that doubles hold them exactly
 * and one operation rounds once (Clinger's fast path); otherwise what the C library makes of it.
 * The program never leaves the "C" locale, whose decimal point is JSON's.
 */
static double
nearest_double(const char *start, uint64_t digits, int64_t exponent)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#if FLT_EVAL_METHOD == 0
    if (digits <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
        const double value =
            exponent < 0 ? (double)digits / powers[-exponent] : (double)digits * powers[exponent];

        return *start == '-' ? -value : value;
    }
#endif
    (void)powers;
    (void)digits;
    (void)exponent;
    return strtod(start, NULL);
}

const char *
json_double(struct json *json, const char *start, const char *at, struct json_value *out)
{
    const char *fraction = at;
    uint64_t digits = 0;
    int64_t exponent = 0;

    if (*at == '.') {
        fraction = at + 1;
        at = skip_digits(fraction);
        if (at == fraction)
            return json_fail(json, JSON_NUMBER);
        exponent = fraction - at;
    }
    const char *end_of_digits = at;

    if (*at == 'e' || *at == 'E') {
        const bool down = at[1] == '-';
        int64_t written = 0;

        at += down || at[1] == '+' ? 2 : 1;
        if (!is_digit(*at))
            return json_fail(json, JSON_NUMBER);
        for (; is_digit(*at); at++)
            if (written < 1000000)
                written = written * 10 + (*at - '0');
        exponent += down ? -written : written;
    }
    /* With more than 18 digits the sum may have wrapped: no fast path then. */
    const bool few = end_of_digits - start <= 19;

    for (const char *digit = start; few && digit < end_of_digits; digit++)
        if (is_digit(*digit))
            digits = digits * 10 + (uint64_t)(*digit - '0');
    out->type = JSON_DOUBLE;
    out->is.number = nearest_double(start, few ? digits : UINT64_MAX, exponent);
    return isfinite(out->is.number) ? at : json_fail(json, JSON_NUMBER);
}

const char *
json_long_number(struct json *json, const char *start, struct json_value *out)
{
    const bool negative = *start == '-';
    const char *end = skip_digits(start + negative);
    uint64_t value = 0;

    if (*end == '.' || *end == 'e' || *end == 'E')
        return json_double(json, start, end, out);
    for (const char *at = start + negative; at < end; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return json_fail(json, JSON_NUMBER);
    if (negative ? value > UINT64_C(1) << 63 : value > INT64_MAX) {
        if (negative)
            return json_fail(json, JSON_NUMBER);
        out->type = JSON_NATURAL;
        out->is.natural = value;
        return end;
    }
    out->type = JSON_INTEGER;
    out->is.integer = (int64_t)(negative ? 0 - value : value);
    return end;
}
