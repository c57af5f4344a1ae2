#include "config/cycle_text.h"

#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>

enum { SHOWN_ROOM = 64, DATE_SIZE = 10 };

/* In the order of enum cycle_kind. */
static const char kinds[] = "month|anchor|contract|week|days";

/* What is written, cut to what fits into a message. */
struct reading {
    char shown[SHOWN_ROOM];
    struct err *why;
};

static bool
refuse(struct reading *reading, const char *must)
{
    return err_set(reading->why, ERR_INPUT, "\"%s\": %s", reading->shown, must);
}

static bool
refuse_kind(struct reading *reading, struct text kind)
{
    const struct text nearest = value_nearest_choice(kind, kinds);

    if (nearest.at != NULL)
        return err_set(reading->why, ERR_INPUT,
                       "\"%s\" is no billing cycle; did you mean \"%.*s%s\"?", reading->shown,
                       (int)nearest.size, nearest.at, reading->shown + kind.size);
    return err_set(reading->why, ERR_INPUT,
                   "\"%s\" is no billing cycle: write month, anchor:31, contract:2024-02-29/12, "
                   "week or days:30/2026-01-15",
                   reading->shown);
}

/* Without sign and leading zeros: a cycle has one spelling. */
static bool
read_number(struct text text, int32_t high, int32_t *out)
{
    int64_t number = 0;

    if (text.size == 0 || text.at[0] < '1' || text.at[0] > '9' ||
        !text_to_int(text, 1, high, &number))
        return false;
    *out = (int32_t)number;
    return true;
}

static bool
read_date(struct text text, struct civil *out)
{
    char instant[CLOCK_TEXT_SIZE];
    int64_t at_ms;

    if (text.size != DATE_SIZE)
        return false;
    (void)snprintf(instant, sizeof instant, "%.*sT00:00:00Z", DATE_SIZE, text.at);
    if (!clock_parse(text_of(instant), &at_ms))
        return false;
    *out = clock_civil(clock_day_of(at_ms));
    return out->year <= CYCLE_YEAR_LIMIT;
}

/* "2024-02-29/12" */
static bool
read_contract(struct reading *reading, struct text rest, struct cycle *out)
{
    const char *slash = rest.size == 0 ? NULL : memchr(rest.at, '/', rest.size);
    const size_t size = slash == NULL ? rest.size : (size_t)(slash - rest.at);

    if (!read_date((struct text){rest.at, size}, &out->contract))
        return refuse(reading, "behind contract: comes a date of the calendar, 1970 to 2999, and "
                               "a number of months, like contract:2024-02-29/12");
    if (slash == NULL || !read_number((struct text){slash + 1, rest.size - size - 1},
                                      CYCLE_MONTHS_LIMIT, &out->step))
        return refuse(reading, "behind the date comes a number of months, 1 to 9999, like "
                               "contract:2024-02-29/12");
    return true;
}

/* "30/2026-01-15" */
static bool
read_days(struct reading *reading, struct text rest, struct cycle *out)
{
    const char *slash = rest.size == 0 ? NULL : memchr(rest.at, '/', rest.size);
    const size_t size = slash == NULL ? rest.size : (size_t)(slash - rest.at);

    if (!read_number((struct text){rest.at, size}, CYCLE_DAYS_LIMIT, &out->step))
        return refuse(reading, "behind days: comes their number, 1 to 99999, and the date that "
                               "they are counted from, like days:30/2026-01-15");
    if (slash == NULL || !read_date((struct text){slash + 1, rest.size - size - 1}, &out->contract))
        return refuse(reading, "behind the number of days comes the date that they are counted "
                               "from, one of the calendar, 1970 to 2999, like days:30/2026-01-15");
    return true;
}

bool
cycle_read(struct text text, struct cycle *out, struct err *why)
{
    const char *colon = text.size == 0 ? NULL : memchr(text.at, ':', text.size);
    const struct text kind = {text.at, colon == NULL ? text.size : (size_t)(colon - text.at)};
    const struct text rest = {colon == NULL ? NULL : colon + 1,
                              colon == NULL ? 0 : text.size - kind.size - 1};
    struct reading reading = {.why = why};
    int64_t index = 0;

    (void)text_copy(reading.shown, sizeof reading.shown, text);
    if (text.size >= sizeof reading.shown || !value_choice(kind, kinds, &index))
        return refuse_kind(&reading, kind);
    *out = (struct cycle){.kind = (enum cycle_kind)index};
    switch (out->kind) {
    case CYCLE_CALENDAR_MONTH:
        return colon == NULL || refuse(&reading, "nothing comes behind month; from another day "
                                                 "of the month on: anchor:31");
    case CYCLE_ANCHOR:
        return read_number(rest, 31, &out->day) ||
               refuse(&reading, "behind anchor: comes a day of the month, 1 to 31, like anchor:31");
    case CYCLE_CONTRACT:
        return read_contract(&reading, rest, out);
    case CYCLE_WEEK:
        return colon == NULL || refuse(&reading, "nothing comes behind week; of another length or "
                                                 "from another day on: days:14/2026-01-15");
    case CYCLE_DAYS:
        return read_days(&reading, rest, out);
    }
    return false;
}

const char *
cycle_text(const struct cycle *cycle, char out[CYCLE_TEXT_SIZE])
{
    char date[48];

    (void)snprintf(date, sizeof date, "%04" PRId32 "-%02" PRId32 "-%02" PRId32,
                   cycle->contract.year, cycle->contract.month, cycle->contract.day);
    switch (cycle->kind) {
    case CYCLE_CALENDAR_MONTH:
        (void)snprintf(out, CYCLE_TEXT_SIZE, "month");
        break;
    case CYCLE_ANCHOR:
        (void)snprintf(out, CYCLE_TEXT_SIZE, "anchor:%" PRId32, cycle->day);
        break;
    case CYCLE_CONTRACT:
        (void)snprintf(out, CYCLE_TEXT_SIZE, "contract:%s/%" PRId32, date, cycle->step);
        break;
    case CYCLE_WEEK:
        (void)snprintf(out, CYCLE_TEXT_SIZE, "week");
        break;
    case CYCLE_DAYS:
        (void)snprintf(out, CYCLE_TEXT_SIZE, "days:%" PRId32 "/%s", cycle->step, date);
        break;
    }
    return out;
}
