#include "core/text.h"

enum { DISTANCE_SIZE_LIMIT = 64 };

int
text_compare(struct text a, struct text b)
{
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common == 0 ? 0 : memcmp(a.at, b.at, common);

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

size_t
text_sequence(const char *at, size_t room)
{
    const unsigned char *bytes = (const unsigned char *)at;
    const unsigned lead = bytes[0];
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    unsigned low = 0x80;
    unsigned high = 0xbf;

    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4 || size > room)
        return 0;
    if (lead == 0xe0)
        low = 0xa0; /* overlong below */
    else if (lead == 0xed)
        high = 0x9f; /* surrogates above */
    else if (lead == 0xf0)
        low = 0x90; /* overlong below */
    else if (lead == 0xf4)
        high = 0x8f; /* beyond U+10FFFF above */
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool
text_is_utf8(struct text text)
{
    for (size_t i = 0; i < text.size;) {
        const size_t size = text_sequence(text.at + i, text.size - i);

        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

bool
text_is_clean(struct text text)
{
    const unsigned char *at = (const unsigned char *)text.at;

    for (size_t i = 0; i < text.size;) {
        const size_t size = text_sequence(text.at + i, text.size - i);

        /* U+0080..U+009F are control characters, too. */
        if (size == 0 || at[i] < 0x20 || at[i] == 0x7f || (at[i] == 0xc2 && at[i + 1] < 0xa0))
            return false;
        i += size;
    }
    return true;
}

size_t
text_copy(char *to, size_t room, struct text from)
{
    if (room == 0)
        return 0;
    const size_t size = from.size < room ? from.size : room - 1;

    if (size > 0)
        memcpy(to, from.at, size);
    to[size] = '\0';
    return size;
}

static bool
is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t
text_percent_encode(char *to, size_t room, struct text from)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t size = 0;

    if (room == 0)
        return 0;
    for (size_t i = 0; i < from.size; i++) {
        const bool plain = is_unreserved(from.at[i]);
        const size_t need = plain ? 1 : 3;

        if (need >= room - size) {
            to[0] = '\0';
            return 0;
        }
        if (plain) {
            to[size] = from.at[i];
        } else {
            const unsigned char byte = (unsigned char)from.at[i];

            to[size] = '%';
            to[size + 1] = hex[byte >> 4];
            to[size + 2] = hex[byte & 15];
        }
        size += need;
    }
    to[size] = '\0';
    return size;
}

/* -1 when it is no hexadecimal digit. */
static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool
text_percent_decode(char *to, size_t room, struct text from, size_t *size)
{
    size_t used = 0;

    for (size_t i = 0; i < from.size; i++) {
        char c = from.at[i];

        if (c == '%') {
            if (from.size - i < 3)
                return false;
            const int high = hex_value(from.at[i + 1]);
            const int low = hex_value(from.at[i + 2]);

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (used + 1 >= room)
            return false;
        to[used++] = c;
    }
    if (used >= room)
        return false;
    to[used] = '\0';
    *size = used;
    return true;
}

static unsigned
smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned
text_distance(struct text a, struct text b, unsigned limit)
{
    /* The last three rows of the table: a transposition looks two rows back. */
    unsigned rows[3][DISTANCE_SIZE_LIMIT + 1];

    if (a.size > DISTANCE_SIZE_LIMIT || b.size > DISTANCE_SIZE_LIMIT)
        return limit + 1;
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            const unsigned change = a.at[i - 1] == b.at[j - 1] ? 0 : 1;

            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                row[j] = smaller(row[j], above2[j - 2] + 1);
        }
    }
    return smaller(rows[a.size % 3][b.size], limit + 1);
}

bool
text_to_int(struct text text, int64_t low, int64_t high, int64_t *out)
{
    const bool negative = text.size > 0 && text.at[0] == '-';
    int64_t value = 0;

    if (text.size == (negative ? 1 : 0))
        return false;
    for (size_t i = negative ? 1 : 0; i < text.size; i++) {
        const int digit = text.at[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (value < low || value > high)
        return false;
    *out = value;
    return true;
}
