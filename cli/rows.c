#include "cli/rows.h"

#include "core/clock.h"
#include "core/detector.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)1 << 20)
/* As seconds 10^11 is the year 5138, as milliseconds 1973. */
#define MS_FROM      1e11
#define LAST_SECOND  253402300799.0 /* of the year 9999 */
#define NUMBER_LIMIT 400            /* characters; a double needs no more than 20 */

struct rows {
    int fd;
    void (*before_read)(void *context);
    void *context;
    int64_t line;
    bool begun; /* a line with something in it was seen: a header cannot come any more */
    bool ended; /* nothing more to read */
    size_t at;
    size_t filled;
    char buffer[BUFFER_SIZE];
};

struct rows *
rows_new(int fd, void (*before_read)(void *context), void *context)
{
    struct rows *rows = malloc(sizeof *rows);

    if (rows == NULL)
        return NULL;
    rows->fd = fd;
    rows->before_read = before_read;
    rows->context = context;
    rows->line = 0;
    rows->begun = rows->ended = false;
    rows->at = rows->filled = 0;
    return rows;
}

void
rows_free(struct rows *rows)
{
    free(rows);
}

int64_t
rows_line(const struct rows *rows)
{
    return rows->line;
}

/* Moves what is left to the front and reads behind it. */
static bool
refill(struct rows *rows, struct err *why)
{
    ssize_t got;

    memmove(rows->buffer, rows->buffer + rows->at, rows->filled - rows->at);
    rows->filled -= rows->at;
    rows->at = 0;
    if (rows->before_read != NULL)
        rows->before_read(rows->context);
    do
        got = read(rows->fd, rows->buffer + rows->filled, BUFFER_SIZE - rows->filled);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(why, ERR_INPUT, errno == EISDIR ? "is a directory" : "cannot be read");
    rows->filled += (size_t)got;
    rows->ended = got == 0;
    return true;
}

/* The next line without its end; `*more` is false behind the last. */
static bool
next_line(struct rows *rows, struct text *line, bool *more, struct err *why)
{
    size_t seen = 0;
    const char *end;

    for (;;) {
        const char *start = rows->buffer + rows->at;
        const size_t left = rows->filled - rows->at;

        end = left > seen ? memchr(start + seen, '\n', left - seen) : NULL;
        if (end != NULL || rows->ended)
            break;
        if (left > ROWS_LINE_LIMIT)
            return err_set(why, ERR_INPUT, "line %" PRId64 ": longer than %d bytes: is it CSV?",
                           rows->line + 1, ROWS_LINE_LIMIT);
        seen = left;
        if (!refill(rows, why))
            return false;
    }
    *line = (struct text){rows->buffer + rows->at, rows->filled - rows->at};
    *more = end != NULL || line->size > 0;
    if (end != NULL)
        line->size = (size_t)(end - line->at);
    rows->at += line->size + (end != NULL);
    rows->line += *more;
    return true;
}

static struct text
trim(struct text text)
{
    while (text.size > 0 && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t' ||
                             text.at[text.size - 1] == '\r'))
        text.size--;
    while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++;
        text.size--;
    }
    return text;
}

static struct text
unquote(struct text text)
{
    text = trim(text);
    if (text.size >= 2 && text.at[0] == '"' && text.at[text.size - 1] == '"')
        return (struct text){text.at + 1, text.size - 2};
    return text;
}

/* Digits with a point and an exponent, taken apart. */
struct decimal {
    uint64_t digits;
    int count;    /* of significant digits */
    int exponent; /* of ten */
    bool negative;
};

/* Returns whether there was a digit. More than 19 do not fit: count tells. */
static bool
take_digits(struct text *text, bool fraction, struct decimal *out)
{
    const char *start = text->at;

    while (text->size > 0 && *text->at >= '0' && *text->at <= '9') {
        if (out->count < 19)
            out->digits = out->digits * 10 + (uint64_t)(*text->at - '0');
        out->count += out->count > 0 || *text->at != '0';
        out->exponent -= fraction;
        text->at++;
        text->size--;
    }
    return text->at > start;
}

static bool
take(struct text *text, char a, char b)
{
    if (text->size == 0 || (*text->at != a && *text->at != b))
        return false;
    text->at++;
    text->size--;
    return true;
}

static bool
take_exponent(struct text *text, struct decimal *out)
{
    int64_t exponent;

    if (take(text, 'e', 'E')) {
        if (text->size > 1 && text->at[1] != '-')
            (void)take(text, '+', '+');
        if (!text_to_int(*text, -9999, 9999, &exponent))
            return false;
        out->exponent += (int)exponent;
        text->size = 0;
    }
    return text->size == 0;
}

static bool
take_decimal(struct text text, struct decimal *out)
{
    bool any;

    *out = (struct decimal){.digits = 0};
    out->negative = take(&text, '-', '-');
    if (!out->negative)
        (void)take(&text, '+', '+');
    any = take_digits(&text, false, out);
    if (take(&text, '.', '.'))
        any = take_digits(&text, true, out) || any;
    return any && take_exponent(&text, out);
}

/* Up to 2^53 and 10^22 both parts are exact, and one operation rounds once (Clinger, "How to read
 * floating point numbers accurately", 1990); the rest is left to the C library. */
bool
rows_number(struct text text, double *out)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal decimal;
    char copy[NUMBER_LIMIT];

    if (text.size >= sizeof copy || !take_decimal(text, &decimal))
        return false;
    if (decimal.digits > UINT64_C(1) << 53 || decimal.count > 19 || decimal.exponent < -22 ||
        decimal.exponent > 22) {
        (void)text_copy(copy, sizeof copy, text);
        *out = strtod(copy, NULL);
        return true;
    }
    const double digits = (double)decimal.digits;
    const double magnitude =
        decimal.exponent < 0 ? digits / tens[-decimal.exponent] : digits * tens[decimal.exponent];

    *out = decimal.negative ? -magnitude : magnitude;
    return true;
}

/* "2026-03-02 14:00:00": without an offset. */
static bool
utc_time(struct text text, int64_t *at_ms)
{
    char zoned[64];

    if (text.size >= sizeof zoned - 1)
        return false;
    memcpy(zoned, text.at, text.size);
    zoned[text.size] = 'Z';
    return clock_parse((struct text){zoned, text.size + 1}, at_ms);
}

static bool
read_timestamp(struct text text, struct row *out)
{
    double number;

    out->is_number = rows_number(text, &number);
    if (!out->is_number)
        return clock_parse(text, &out->at_ms) || utc_time(text, &out->at_ms);
    if (number < MS_FROM)
        number *= 1000;
    if (!(number >= 0 && number <= LAST_SECOND * 1000))
        return false;
    out->at_ms = (int64_t)number;
    return true;
}

static bool
read_value(struct text text, struct row *out)
{
    return rows_number(text, &out->value) && fabs(out->value) <= (double)DETECTOR_LIMIT;
}

/* A piece of the line for the operator. */
#define SHOWN(text) (int)((text).size < 40 ? (text).size : 40), (text).at

/* False with class NONE: it is a header. */
static bool
read_row(struct rows *rows, struct text line, struct row *out, struct err *why)
{
    const char *comma = memchr(line.at, ',', line.size);
    const bool first = !rows->begun;

    rows->begun = true;
    if (comma == NULL)
        return err_set(why, ERR_INPUT, "line %" PRId64 ": \"%.*s\" is not timestamp,value",
                       rows->line, SHOWN(line));
    const struct text rest = {comma + 1, line.size - (size_t)(comma + 1 - line.at)};

    out->at_text = unquote((struct text){line.at, (size_t)(comma - line.at)});
    out->value_text = unquote(rest);
    if (memchr(rest.at, ',', rest.size) != NULL)
        return err_set(why, ERR_INPUT,
                       "line %" PRId64 ": more than two columns; what is wanted is timestamp,value",
                       rows->line);
    const bool has_time = read_timestamp(out->at_text, out);
    const bool has_value = read_value(out->value_text, out);

    if (has_time && has_value)
        return true;
    if (first && !has_time && !has_value)
        return false;
    if (!has_time)
        return err_set(why, ERR_INPUT,
                       "line %" PRId64 ": \"%.*s\" is no time: Unix seconds or milliseconds, or "
                       "2026-03-02T14:00:00Z",
                       rows->line, SHOWN(out->at_text));
    return err_set(why, ERR_INPUT, "line %" PRId64 ": \"%.*s\" is no number up to 1e20", rows->line,
                   SHOWN(out->value_text));
}

static struct text
without_mark(struct text line)
{
    if (line.size >= 3 && memcmp(line.at, "\xef\xbb\xbf", 3) == 0)
        return (struct text){line.at + 3, line.size - 3};
    return line;
}

enum rows_answer
rows_next(struct rows *rows, struct row *out, struct err *why)
{
    struct text line;
    bool more = false;

    why->class = ERR_NONE;
    while (next_line(rows, &line, &more, why)) {
        if (!more)
            return ROWS_END;
        if (rows->line == 1)
            line = without_mark(line);
        line = trim(line);
        if (line.size == 0)
            continue;
        if (read_row(rows, line, out, why))
            return ROWS_ROW;
        if (why->class != ERR_NONE)
            return ROWS_FAILED;
    }
    return ROWS_FAILED;
}
