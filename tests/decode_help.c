#include "tests/decode_help.h"

#include <assert.h>

struct text
decode_quotes(const char *row, char out[DECODE_TEXT_LIMIT])
{
    size_t size = 0;

    for (; row[size] != '\0'; size++) {
        assert(size + 1 < DECODE_TEXT_LIMIT);
        out[size] = row[size];
        if (out[size] == '\'')
            out[size] = '"';
    }
    return (struct text){out, size};
}

struct one
decode_value(struct decoder *decoder, struct text value)
{
    const struct record record = {.time_ms = DECODE_NOON_MS, .value = value};
    struct event rest;
    struct dead dead;
    struct one one = {.decoded = DECODED_END};

    decoder_open(decoder, &record);
    one.decoded = decoder_next(decoder, &one.event, &one.dead);
    one.then = one.decoded == DECODED_END ? DECODED_END : decoder_next(decoder, &rest, &dead);
    return one;
}

struct one
decode_row(struct decoder *decoder, const char *row)
{
    char value[DECODE_TEXT_LIMIT];

    return decode_value(decoder, decode_quotes(row, value));
}
