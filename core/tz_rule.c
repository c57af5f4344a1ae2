#include "core/tz_rule.h"

enum { OFFSET_HOUR_LIMIT = 24, TIME_HOUR_LIMIT = 167 };

/* What is still to be read. */
struct reader {
    const char *at;
    const char *end;
};

static bool
is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool
tz_name_copy(char to[TZ_NAME_SIZE], struct text name)
{
    if (name.size == 0 || name.size >= TZ_NAME_SIZE)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.at[i];

        if (!is_letter(c) && !is_digit(c) && c != '+' && c != '-')
            return false;
    }
    (void)text_copy(to, TZ_NAME_SIZE, name);
    return true;
}

static bool
next_is(const struct reader *reader, char c)
{
    return reader->at != reader->end && *reader->at == c;
}

static bool
skip(struct reader *reader, char c)
{
    if (!next_is(reader, c))
        return false;
    reader->at++;
    return true;
}

static bool
read_number(struct reader *reader, int32_t low, int32_t high, int32_t *out)
{
    int32_t value = 0;

    if (reader->at == reader->end || !is_digit(*reader->at))
        return false;
    for (; reader->at != reader->end && is_digit(*reader->at); reader->at++) {
        value = value * 10 + (*reader->at - '0');
        if (value > high)
            return false;
    }
    *out = value;
    return value >= low;
}

/* "CET" or "<+03>" */
static bool
read_name(struct reader *reader, char to[TZ_NAME_SIZE])
{
    const bool quoted = skip(reader, '<');
    const char *start = reader->at;

    while (reader->at != reader->end && (quoted ? *reader->at != '>' : is_letter(*reader->at)))
        reader->at++;

    const struct text name = {start, (size_t)(reader->at - start)};

    return (!quoted || skip(reader, '>')) && tz_name_copy(to, name);
}

/* [+-]h[:m[:s]] */
static bool
read_time(struct reader *reader, int32_t hour_limit, int64_t *ms)
{
    const bool negative = skip(reader, '-');
    int32_t hour;
    int32_t minute = 0;
    int32_t second = 0;

    if (!negative)
        (void)skip(reader, '+');
    if (!read_number(reader, 0, hour_limit, &hour))
        return false;
    if (skip(reader, ':')) {
        if (!read_number(reader, 0, 59, &minute))
            return false;
        if (skip(reader, ':') && !read_number(reader, 0, 59, &second))
            return false;
    }
    *ms = hour * CLOCK_HOUR_MS + minute * CLOCK_MINUTE_MS + second * CLOCK_SECOND_MS;
    if (negative)
        *ms = -*ms;
    return true;
}

static bool
read_offset(struct reader *reader, int64_t *offset_ms)
{
    if (!read_time(reader, OFFSET_HOUR_LIMIT, offset_ms))
        return false;
    *offset_ms = -*offset_ms;
    return true;
}

/* ,Mm.w.d[/time] */
static bool
read_change(struct reader *reader, struct tz_change *out)
{
    *out = (struct tz_change){.time_ms = 2 * CLOCK_HOUR_MS};
    if (!skip(reader, ','))
        return false;
    if (skip(reader, 'M')) {
        out->kind = TZ_DAY_OF_MONTH;
        if (!read_number(reader, 1, 12, &out->month) || !skip(reader, '.') ||
            !read_number(reader, 1, 5, &out->week) || !skip(reader, '.') ||
            !read_number(reader, 0, 6, &out->day))
            return false;
    } else if (skip(reader, 'J')) {
        out->kind = TZ_DAY_JULIAN;
        if (!read_number(reader, 1, 365, &out->day))
            return false;
    } else {
        out->kind = TZ_DAY_ZERO_BASED;
        if (!read_number(reader, 0, 365, &out->day))
            return false;
    }
    return !skip(reader, '/') || read_time(reader, TIME_HOUR_LIMIT, &out->time_ms);
}

bool
tz_rule_parse(struct text text, struct tz_rule *out)
{
    if (text.size == 0)
        return false;
    struct reader reader = {text.at, text.at + text.size};

    *out = (struct tz_rule){0};
    if (!read_name(&reader, out->standard.name) || !read_offset(&reader, &out->standard.offset_ms))
        return false;
    if (reader.at == reader.end)
        return true;

    out->has_summer = true;
    out->summer.offset_ms = out->standard.offset_ms + CLOCK_HOUR_MS;
    if (!read_name(&reader, out->summer.name) ||
        (!next_is(&reader, ',') && !read_offset(&reader, &out->summer.offset_ms)))
        return false;
    return read_change(&reader, &out->start) && read_change(&reader, &out->end) &&
           reader.at == reader.end;
}

static int64_t
day_of_change(const struct tz_change *change, int32_t year)
{
    const int64_t first = clock_days((struct civil){year, 1, 1});

    switch (change->kind) {
    case TZ_DAY_JULIAN:
        /* March 1 is day 60 of every year. */
        return first + change->day - 1 + (change->day >= 60 && clock_month_days(year, 2) == 29);
    case TZ_DAY_ZERO_BASED:
        return first + change->day;
    case TZ_DAY_OF_MONTH:
        break;
    }
    const int64_t month = clock_days((struct civil){year, change->month, 1});
    const int32_t sunday_based = (clock_weekday(month) + 1) % 7;
    int32_t day = (change->day - sunday_based + 7) % 7 + 7 * (change->week - 1);

    if (day >= clock_month_days(year, change->month))
        day -= 7;
    return month + day;
}

static int64_t
instant_of_change(const struct tz_change *change, int32_t year, int64_t offset_before_ms)
{
    return day_of_change(change, year) * CLOCK_DAY_MS + change->time_ms - offset_before_ms;
}

int64_t
tz_rule_start(const struct tz_rule *rule, int32_t year)
{
    return instant_of_change(&rule->start, year, rule->standard.offset_ms);
}

int64_t
tz_rule_end(const struct tz_rule *rule, int32_t year)
{
    return instant_of_change(&rule->end, year, rule->summer.offset_ms);
}
