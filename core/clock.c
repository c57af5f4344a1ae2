#include "core/clock.h"

#include <assert.h>
#include <stdio.h>

#include "core/digits.h"

/* Days from 0000-03-01 to 1970-01-01, and in 400 years: the calendar repeats after those. */
enum { EPOCH_DAYS = 719468, ERA_DAYS = 146097 };

#define LAST_MS           (INT64_C(253402300800000) - 1) /* 9999-12-31T23:59:59.999Z */
#define DURATION_LIMIT_MS (3653 * CLOCK_DAY_MS)          /* ten years with three leap days */

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day is the last of its year. */
int64_t
clock_days(struct civil date)
{
    const int64_t year = (int64_t)date.year - (date.month <= 2);
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           EPOCH_DAYS;
}

struct civil
clock_civil(int64_t days)
{
    const int64_t shifted = days + EPOCH_DAYS;
    const int64_t era = floor_div(shifted, ERA_DAYS);
    const int64_t day_of_era = shifted - era * ERA_DAYS;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * day_of_year + 2) / 153;
    const int64_t calendar_month = month < 10 ? month + 3 : month - 9;

    return (struct civil){
        .year = (int32_t)(era * 400 + year_of_era + (calendar_month <= 2)),
        .month = (int32_t)calendar_month,
        .day = (int32_t)(day_of_year - (153 * month + 2) / 5 + 1),
    };
}

int32_t
clock_month_days(int32_t year, int32_t month)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    assert(month >= 1 && month <= 12);
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        return 29;
    return lengths[month - 1];
}

int32_t
clock_weekday(int64_t days)
{
    /* 1970-01-01 was a Thursday. */
    const int64_t weekday = (days % 7 + 3) % 7;

    return (int32_t)(weekday < 0 ? weekday + 7 : weekday);
}

int64_t
clock_day_of(int64_t at_ms)
{
    return floor_div(at_ms, CLOCK_DAY_MS);
}

/* What is still to be read. */
struct reader {
    const char *at;
    const char *end;
};

static bool
read_digits(struct reader *reader, int count, int32_t low, int32_t high, int32_t *out)
{
    int32_t value = 0;

    for (int i = 0; i < count; i++, reader->at++) {
        if (reader->at == reader->end || *reader->at < '0' || *reader->at > '9')
            return false;
        value = value * 10 + (*reader->at - '0');
    }
    *out = value;
    return value >= low && value <= high;
}

static bool
read_one_of(struct reader *reader, const char *allowed, char *which)
{
    if (reader->at == reader->end || *reader->at == '\0' || strchr(allowed, *reader->at) == NULL)
        return false;
    *which = *reader->at++;
    return true;
}

static bool
read_date(struct reader *reader, int64_t *days)
{
    struct civil date;
    char mark;

    if (!read_digits(reader, 4, 1970, 9999, &date.year) || !read_one_of(reader, "-", &mark) ||
        !read_digits(reader, 2, 1, 12, &date.month) || !read_one_of(reader, "-", &mark) ||
        !read_digits(reader, 2, 1, clock_month_days(date.year, date.month), &date.day))
        return false;
    *days = clock_days(date);
    return true;
}

static bool
read_time(struct reader *reader, int64_t *ms)
{
    int32_t hour;
    int32_t minute;
    int32_t second;
    int32_t fraction = 0;
    char mark;

    if (!read_digits(reader, 2, 0, 23, &hour) || !read_one_of(reader, ":", &mark) ||
        !read_digits(reader, 2, 0, 59, &minute) || !read_one_of(reader, ":", &mark) ||
        !read_digits(reader, 2, 0, 60, &second))
        return false;
    if (read_one_of(reader, ".", &mark)) {
        int32_t digit;
        int32_t weight = 100;

        if (!read_digits(reader, 1, 0, 9, &digit))
            return false;
        do {
            fraction += digit * weight;
            weight /= 10;
        } while (read_digits(reader, 1, 0, 9, &digit));
    }
    if (second == 60) {
        second = 59;
        fraction = 999;
    }
    *ms = hour * CLOCK_HOUR_MS + minute * CLOCK_MINUTE_MS + second * CLOCK_SECOND_MS + fraction;
    return true;
}

static bool
read_offset(struct reader *reader, int64_t *ms)
{
    char sign;
    char mark;
    int32_t hour;
    int32_t minute;

    *ms = 0;
    if (read_one_of(reader, "Zz", &mark))
        return true;
    if (!read_one_of(reader, "+-", &sign) || !read_digits(reader, 2, 0, 23, &hour) ||
        !read_one_of(reader, ":", &mark) || !read_digits(reader, 2, 0, 59, &minute))
        return false;
    *ms = hour * CLOCK_HOUR_MS + minute * CLOCK_MINUTE_MS;
    if (sign == '-')
        *ms = -*ms;
    return true;
}

/* Eight bytes of a time whose marks are turned into zeros like the digits; `*odd` gets a bit set for
 * whatever is neither the mark that belongs there nor a digit. */
static uint64_t
time_word(uint64_t digits, uint64_t marks, uint64_t *odd)
{
    const uint64_t word = digits ^ marks;

    *odd |= word | (word + UINT64_C(0x7676767676767676));
    return word;
}

/* Two digits, the first in the byte of that place. */
static uint32_t
two_digits(uint64_t word, unsigned place)
{
    return (uint32_t)((word * 10 + (word >> 8)) >> (8 * place) & 0xff);
}

/* A mark at a place, as what digits_load makes of it. */
#define MARK(c, place)    ((uint64_t)((c) ^ '0') << (8 * (place)))
#define MARK_PLACE(place) (UINT64_C(0xff) << (8 * (place)))

/* What nearly all times look like: "2026-03-02T12:00:00Z", perhaps with three digits more of the
 * second.  False: it takes a closer look. */
static bool
parse_plain(const char *at, size_t size, int64_t *at_ms)
{
    uint64_t odd = 0;
    uint64_t end;

    if (size == 24)
        end = digits_load(at + 16);
    else if (size == 20) /* ":00Z": put before it is ".000", as far as it is missing */
        end = digits_load(at + 12) >> 32;
    else
        return false;
    if (size == 20)
        end = (end & 0xffffff) | MARK('.', 3) | (end & 0xff000000) << 32;

    const uint64_t date = time_word(digits_load(at), MARK('-', 4) | MARK('-', 7), &odd);
    const uint64_t middle = time_word(digits_load(at + 8), MARK('T', 2) | MARK(':', 5), &odd);

    end = time_word(end, MARK(':', 0) | MARK('.', 3) | MARK('Z', 7), &odd);

    /* A mark's place must be zero, a digit's below ten. */
    odd &= UINT64_C(0x8080808080808080);
    odd |= (date & (MARK_PLACE(4) | MARK_PLACE(7))) | (middle & (MARK_PLACE(2) | MARK_PLACE(5))) |
           (end & (MARK_PLACE(0) | MARK_PLACE(3) | MARK_PLACE(7)));

    const uint32_t year = two_digits(date, 0) * 100 + two_digits(date, 2);
    const uint32_t month = two_digits(date, 5);
    const uint32_t day = two_digits(middle, 0);
    const uint32_t hour = two_digits(middle, 3);
    const uint32_t minute = two_digits(middle, 6);
    const uint32_t second = two_digits(end, 1);
    const uint32_t fraction = two_digits(end, 4) * 10 + (uint32_t)(end >> 48 & 0xff);
    const struct civil civil = {(int32_t)year, (int32_t)month, (int32_t)day};

    if (odd != 0 || year < 2000 || month - 1 > 11 || day - 1 > 30 || hour > 23 || minute > 59 ||
        second > 59 || (day > 28 && civil.day > clock_month_days(civil.year, civil.month)))
        return false;
    *at_ms = clock_days(civil) * CLOCK_DAY_MS +
             (int64_t)(((hour * 60 + minute) * 60 + second) * 1000 + fraction);
    return true;
}

bool
clock_parse(struct text text, int64_t *at_ms)
{
    if (text.size == 0)
        return false;
    if (parse_plain(text.at, text.size, at_ms))
        return true;
    struct reader reader = {text.at, text.at + text.size};
    char mark;
    int64_t days;
    int64_t ms;
    int64_t offset_ms;

    if (!read_date(&reader, &days) || !read_one_of(&reader, "Tt ", &mark) ||
        !read_time(&reader, &ms) || !read_offset(&reader, &offset_ms) || reader.at != reader.end)
        return false;

    const int64_t instant_ms = days * CLOCK_DAY_MS + ms - offset_ms;

    /* The offset may carry the first and the last hours out of the years 1970..9999. */
    if (instant_ms < 0 || instant_ms > LAST_MS)
        return false;
    *at_ms = instant_ms;
    return true;
}

const char *
clock_format(int64_t at_ms, char out[CLOCK_TEXT_SIZE])
{
    const int64_t days = clock_day_of(at_ms);
    const struct civil date = clock_civil(days);
    const int ms_of_day = (int)((at_ms % CLOCK_DAY_MS + CLOCK_DAY_MS) % CLOCK_DAY_MS);
    const int second = ms_of_day / 1000;
    const int fraction = ms_of_day % 1000;
    const int used = snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", date.year,
                              date.month, date.day, second / 3600, second / 60 % 60, second % 60);

    if (used > 0 && used < CLOCK_TEXT_SIZE) {
        const size_t room = CLOCK_TEXT_SIZE - (size_t)used;

        if (fraction == 0)
            (void)snprintf(out + used, room, "Z");
        else
            (void)snprintf(out + used, room, ".%03dZ", fraction);
    }
    return out;
}

/* Longest first; "ms" stands before "m" because the reader takes the first name that fits. */
static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    {"w", 7 * CLOCK_DAY_MS}, {"d", CLOCK_DAY_MS},    {"h", CLOCK_HOUR_MS}, {"ms", 1},
    {"m", CLOCK_MINUTE_MS},  {"s", CLOCK_SECOND_MS},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

static const struct unit *
read_unit(struct reader *reader)
{
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        const size_t size = strlen(units[i].name);

        if ((size_t)(reader->end - reader->at) >= size &&
            memcmp(reader->at, units[i].name, size) == 0) {
            reader->at += size;
            return &units[i];
        }
    }
    return NULL;
}

bool
clock_parse_duration(struct text text, int64_t *ms)
{
    int64_t total = 0;

    if (text.size == 0)
        return false;
    if (text_eq(text, TEXT("0"))) {
        *ms = 0;
        return true;
    }
    struct reader reader = {text.at, text.at + text.size};

    while (reader.at != reader.end) {
        int32_t digit;
        int64_t count = 0;

        if (!read_digits(&reader, 1, 0, 9, &digit))
            return false;
        do {
            count = count * 10 + digit;
            if (count > DURATION_LIMIT_MS)
                return false;
        } while (reader.at != reader.end && *reader.at >= '0' && *reader.at <= '9' &&
                 read_digits(&reader, 1, 0, 9, &digit));

        const struct unit *unit = read_unit(&reader);

        if (unit == NULL || count > (DURATION_LIMIT_MS - total) / unit->ms)
            return false;
        total += count * unit->ms;
    }
    *ms = total;
    return true;
}

const char *
clock_format_duration(int64_t ms, char out[CLOCK_TEXT_SIZE])
{
    static const struct unit down[] = {
        {"d", CLOCK_DAY_MS}, {"h", CLOCK_HOUR_MS}, {"m", CLOCK_MINUTE_MS}, {"s", CLOCK_SECOND_MS},
        {"ms", 1},
    };
    const int64_t week_ms = 7 * CLOCK_DAY_MS;
    size_t used = 0;

    assert(ms >= 0);
    if (ms == 0 || ms % week_ms == 0) {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lld%s", (long long)(ms / week_ms), ms ? "w" : "s");
        return out;
    }
    for (size_t i = 0; i < sizeof down / sizeof down[0]; i++) {
        const long long count = ms / down[i].ms;

        ms %= down[i].ms;
        if (count == 0)
            continue;
        const int size =
            snprintf(out + used, CLOCK_TEXT_SIZE - used, "%lld%s", count, down[i].name);

        assert(size > 0 && (size_t)size < CLOCK_TEXT_SIZE - used);
        used += (size_t)size;
    }
    return out;
}
