#include "core/watch.h"

#include <assert.h>
#include <math.h>

#define NANO_PER_UNIT ((float)MONEY_NANO_PER_UNIT)
#define FADE          0.97F /* of the excess, a window */
#define STEP          0.02F /* of the median cost of an event, a window */
#define VOLUME_LEAST  2.0F  /* events a window; twice that to go back */

enum {
    PENDING_WINDOWS = 36,
    NOTE_DAYS = 2,
    PAGE_DAYS = 14,
    PAGE_EVENTS = 20,
    DAY_EVENTS = 20, /* events that a usual day costs at least */
    RATIO_REQUESTS = 20,
    VOLUME_DAYS = 7,
};

/* Of book.day_events: the day is not whole. */
#define DAY_IN_PART (-1.0F)

const char *const watch_metric_names[WATCH_METRIC_COUNT] = {
    [WATCH_COST] = "cost",
    [WATCH_REQUESTS] = "requests",
    [WATCH_TOKENS] = "tokens",
    [WATCH_COST_EACH] = "cost_per_request",
    [WATCH_OUTPUT_EACH] = "output_per_request",
    [WATCH_FALLBACKS] = "fallback_share",
};

const char *const watch_tier_names[WATCH_TIER_COUNT] = {
    [WATCH_QUIET] = "quiet",
    [WATCH_NOTE] = "note",
    [WATCH_TICKET] = "ticket",
    [WATCH_PAGE] = "page",
};

const int64_t watch_widths_ms[WATCH_WIDTHS] = {SLOT_MS, CLOCK_HOUR_MS, CLOCK_DAY_MS};

/* ---- what is used ------------------------------------------------------------------------------- */

/* 128-bit sums of 63-bit numbers are far within single precision's range; DETECTOR_LIMIT, too. */
static float
single(tally count)
{
    return (float)count;
}

void
watch_usage_add(struct watch_usage *usage, const struct slot *slot)
{
    usage->sums[WATCH_SUM_COST] += single(slot->cost) / NANO_PER_UNIT;
    usage->sums[WATCH_SUM_REQUESTS] += single(slot->requests);
    usage->sums[WATCH_SUM_ATTEMPTS] += single(slot->attempts);
    usage->sums[WATCH_SUM_FALLBACKS] += single(slot->fallbacks);
    usage->sums[WATCH_SUM_TOKENS] += single(slot->input_tokens) + single(slot->output_tokens);
    usage->sums[WATCH_SUM_OUTPUT] += single(slot->output_tokens);
}

bool
watch_usage_empty(const struct watch_usage *usage)
{
    bool empty = true;

    for (size_t i = 0; i < WATCH_SUM_COUNT; i++)
        empty = empty && !(usage->sums[i] > 0);
    return empty;
}

/* False: the window says nothing about it. */
static bool
value_of(enum watch_metric metric, const struct watch_usage *usage, float *out)
{
    const float *sums = usage->sums;
    const bool enough = sums[WATCH_SUM_REQUESTS] >= RATIO_REQUESTS;

    *out = 0;
    switch (metric) {
    case WATCH_COST:
        *out = sums[WATCH_SUM_COST];
        break;
    case WATCH_REQUESTS:
        *out = sums[WATCH_SUM_REQUESTS];
        break;
    case WATCH_TOKENS:
        *out = sums[WATCH_SUM_TOKENS];
        break;
    case WATCH_COST_EACH:
        *out = enough ? sums[WATCH_SUM_COST] / sums[WATCH_SUM_REQUESTS] : 0;
        return enough;
    case WATCH_OUTPUT_EACH:
        *out = enough ? sums[WATCH_SUM_OUTPUT] / sums[WATCH_SUM_REQUESTS] : 0;
        return enough;
    case WATCH_FALLBACKS:
        *out = enough && sums[WATCH_SUM_ATTEMPTS] > 0
                   ? sums[WATCH_SUM_FALLBACKS] / sums[WATCH_SUM_ATTEMPTS]
                   : 0;
        return enough;
    case WATCH_METRIC_COUNT:
        break;
    }
    *out = fminf(*out, DETECTOR_LIMIT);
    return true;
}

/* ---- windows -------------------------------------------------------------------------------------- */

int64_t
watch_width(const struct watch *watch)
{
    return watch_widths_ms[watch->book.width];
}

static bool
begins(int64_t at_ms, int64_t width_ms)
{
    return at_ms % width_ms == 0;
}

void
watch_begin(struct watch *watch, int64_t start_ms)
{
    *watch = (struct watch){.book.fed_ms = start_ms};
    if (!begins(start_ms, CLOCK_DAY_MS))
        watch->book.day_events = DAY_IN_PART;
}

static bool
has_incident(const struct watch *watch)
{
    bool any = false;

    for (size_t m = 0; m < WATCH_METRIC_COUNT; m++)
        any = any || watch->series[m].tier != WATCH_QUIET;
    return any;
}

static bool
is_idle(const struct watch_book *book)
{
    return book->idle * watch_widths_ms[book->width] > DETECTOR_IDLE_MS;
}

int64_t
watch_due(const struct watch *watch, bool used)
{
    const int64_t width_ms = watch_width(watch);
    int64_t past_ms = watch->book.fed_ms % width_ms;

    if (is_idle(&watch->book) && !has_incident(watch) && !used &&
        watch_usage_empty(&watch->book.usage))
        return INT64_MAX;
    if (past_ms < 0)
        past_ms += width_ms;
    return watch->book.fed_ms - past_ms + width_ms;
}

bool
watch_is_silent(const struct watch *watch)
{
    return watch->book.silent >= WATCH_SILENT_DAYS && watch->book.broken == 0 &&
           watch->book.crowded == 0 && watch_usage_empty(&watch->book.usage) &&
           !has_incident(watch);
}

static int64_t
series_ms(const struct watch *watch, const struct series *series)
{
    return series->detector.windows * watch_width(watch);
}

static void
note(struct series *series, const struct detector *before, const struct watch_window *window,
     const struct watch_finding *found, float score)
{
    const struct evidence evidence = detector_evidence(before, &series->detector);
    const int channel = (int)evidence.channel + 1;

    if (series->tier == WATCH_QUIET) {
        series->since_ms = window->start_ms;
        series->score = 0;
        series->tier = WATCH_NOTE;
    }
    series->pending = PENDING_WINDOWS;
    if (score <= series->score)
        return;
    series->score = score;
    series->value = found->value;
    series->usual = found->usual;
    series->channel = (int8_t)(evidence.is_high ? channel : -channel);
    series->span = evidence.windows;
    series->factor = evidence.factor;
}

/* Within an hour what is usual follows what happens; by its middle an hour is known best. Nothing is
 * usual of what is new. */
static void
expect(struct series *series, const struct watch_window *window)
{
    const int64_t span_ms = window->width_ms < CLOCK_HOUR_MS ? CLOCK_HOUR_MS : window->width_ms;

    if (series->detector.windows > 0 && begins(window->start_ms, CLOCK_HOUR_MS))
        series->expected =
            detector_usual(&series->detector, (window->start_ms + span_ms / 2) / CLOCK_SECOND_MS);
}

static void
feed(struct watch *watch, enum watch_metric metric, struct watch_window *window)
{
    struct series *series = &watch->series[metric];
    struct watch_finding *found = &window->findings[metric];
    const struct detector before = series->detector;

    found->fed = value_of(metric, &watch->book.usage, &found->value);
    expect(series, window);
    if (series->pending > 0)
        series->pending--;
    if (!found->fed || is_idle(&watch->book)) {
        found->fed = false;
        detector_idle(&series->detector, 1);
        return;
    }
    found->usual = series->expected;
    const struct detector_verdict verdict =
        detector_window(&series->detector, window->start_ms / CLOCK_SECOND_MS, found->value);

    found->record =
        verdict.score >= DETECTOR_ALERT && series_ms(watch, series) >= NOTE_DAYS * CLOCK_DAY_MS;
    if (!found->record)
        return;
    memcpy(found->before, before.extremes, sizeof found->before);
    note(series, &before, window, found, verdict.score);
}

static void
follow_money(struct watch_book *book, const struct watch_finding *cost)
{
    const float attempts = book->usage.sums[WATCH_SUM_ATTEMPTS];
    const float each = attempts > 0 ? cost->value / attempts : 0;

    book->excess *= FADE;
    if (cost->fed)
        book->excess += cost->value - cost->usual;
    if (!(each > 0))
        return;
    if (!(book->event_cost > 0))
        book->event_cost = each;
    else
        book->event_cost *= each > book->event_cost ? 1.0F + STEP : 1.0F - STEP;
}

static void
close_window(struct watch *watch, struct watch_window *window)
{
    struct watch_book *book = &watch->book;
    const int64_t width_ms = watch_width(watch);

    *window = (struct watch_window){.start_ms = book->fed_ms - width_ms, .width_ms = width_ms};
    if (!watch_usage_empty(&book->usage))
        book->idle = 0;
    else if (book->idle < UINT16_MAX)
        book->idle++;
    for (size_t m = 0; m < WATCH_METRIC_COUNT; m++)
        feed(watch, (enum watch_metric)m, window);
    follow_money(book, &window->findings[WATCH_COST]);
    book->usage = (struct watch_usage){.sums = {0}};
}

/* ---- days ------------------------------------------------------------------------------------------ */

static float
a_day(uint8_t width)
{
    const int64_t windows = CLOCK_DAY_MS / watch_widths_ms[width];

    return (float)windows;
}

static uint8_t
width_for(uint8_t width, float volume)
{
    while (width + 1 < WATCH_WIDTHS && volume < VOLUME_LEAST * a_day(width))
        width++;
    while (width > 0 && volume >= 2.0F * VOLUME_LEAST * a_day((uint8_t)(width - 1)))
        width--;
    return width;
}

/* While something is told of a series it stays as it is. */
static void
end_day(struct watch *watch)
{
    struct watch_book *book = &watch->book;
    const float events = book->day_events;

    book->day_events = 0;
    if (events < 0)
        return;
    if (events > 0)
        book->silent = 0;
    else if (book->silent < UINT8_MAX)
        book->silent++;
    if (book->days < VOLUME_DAYS)
        book->days++;
    book->volume += (events - book->volume) / (float)book->days;

    const uint8_t width = width_for(book->width, book->volume);

    if (width == book->width || has_incident(watch))
        return;
    book->width = width;
    book->idle = 0;
    book->events = 0;
    book->excess = 0;
    memset(watch->series, 0, sizeof watch->series);
}

bool
watch_take(struct watch *watch, const struct watch_usage *usage, struct watch_window *out)
{
    struct watch_book *book = &watch->book;
    const float events = usage->sums[WATCH_SUM_ATTEMPTS];
    bool closed = false;

    for (size_t i = 0; i < WATCH_SUM_COUNT; i++)
        book->usage.sums[i] += usage->sums[i];
    if (book->day_events >= 0)
        book->day_events += events;
    if (events < (float)(UINT32_MAX - book->events))
        book->events += (uint32_t)events;
    book->fed_ms += SLOT_MS;
    if (begins(book->fed_ms, watch_width(watch))) {
        close_window(watch, out);
        closed = true;
    }
    if (begins(book->fed_ms, CLOCK_DAY_MS))
        end_day(watch);
    return closed;
}

/* ---- impact ---------------------------------------------------------------------------------------- */

static size_t
hour_of(int64_t at_ms)
{
    const int64_t past_ms = at_ms % CLOCK_DAY_MS;

    return (size_t)((past_ms < 0 ? past_ms + CLOCK_DAY_MS : past_ms) / CLOCK_HOUR_MS);
}

float
watch_day(const struct watch *watch)
{
    const struct series *series = &watch->series[WATCH_COST];
    const struct detector *cost = &series->detector;
    const int64_t width_ms = watch_width(watch);
    const float least = (float)DAY_EVENTS * watch->book.event_cost;
    const size_t now = hour_of(watch->book.fed_ms - 1);
    float day = 0;

    if (width_ms == CLOCK_DAY_MS)
        return fmaxf(cost->slow, least);
    for (size_t h = 0; h < DETECTOR_HOURS; h++)
        day += h == now ? series->expected : cost->usual_count[h] > 0 ? cost->usual[h] : cost->slow;
    return fmaxf(day * a_day(watch->book.width) / DETECTOR_HOURS, least);
}

bool
watch_may_page(const struct watch *watch)
{
    return series_ms(watch, &watch->series[WATCH_COST]) >= PAGE_DAYS * CLOCK_DAY_MS &&
           watch->book.events >= PAGE_EVENTS;
}

enum watch_tier
watch_impact(const struct watch *watch, const struct watch_gates *gates)
{
    const float excess = fabsf(watch->book.excess);
    const float day = watch_day(watch);

    if (watch_may_page(watch) && excess >= 0.25F * day && excess >= gates->page)
        return WATCH_PAGE;
    return excess >= 0.10F * day && excess >= gates->ticket ? WATCH_TICKET : WATCH_NOTE;
}

bool
watch_is_calm(const struct watch *watch, const struct watch_gates *gates)
{
    const float excess = fabsf(watch->book.excess);

    return excess < 0.05F * watch_day(watch) || excess < gates->ticket / 2.0F;
}

/* ---- operators -------------------------------------------------------------------------------------- */

const char *const watch_answer_names[WATCH_ANSWER_COUNT] = {
    [WATCH_REAL] = "real",
    [WATCH_PLANNED] = "planned",
    [WATCH_NORMAL] = "normal",
};

bool
watch_answer_by_name(struct text name, enum watch_answer *out)
{
    for (int i = 0; i < WATCH_ANSWER_COUNT; i++)
        if (text_eq(name, text_of(watch_answer_names[i]))) {
            *out = (enum watch_answer)i;
            return true;
        }
    return false;
}

/* All hours move with the present one. */
static void
take_level(struct series *series)
{
    struct detector *detector = &series->detector;
    const float moved = detector->fast - series->expected;

    for (size_t h = 0; h < DETECTOR_HOURS; h++)
        if (detector->usual_count[h] > 0)
            detector->usual[h] = fmaxf(detector->usual[h] + moved, 0);
    detector->slow = fmaxf(detector->slow + moved, 0);
    series->expected = detector->fast;
}

void
watch_hear(struct watch *watch, enum watch_metric metric, enum watch_answer answer,
           const struct extremes before[CHANNEL_COUNT])
{
    struct series *series = &watch->series[metric];

    if (answer == WATCH_REAL) {
        memcpy(series->detector.extremes, before, sizeof series->detector.extremes);
        return;
    }
    watch->book.excess = 0;
    series->pending = 0;
    if (answer == WATCH_NORMAL)
        take_level(series);
}

/* ---- rules --------------------------------------------------------------------------------------------- */

#define FALLBACKS_MOST  0.20F
#define FALLBACKS_AGAIN 0.15F
#define OUTPUT_MOST     2.0F
#define OUTPUT_AGAIN    1.5F

bool
watch_breaks(struct watch *watch, const struct watch_window *window, enum watch_rule rule)
{
    const enum watch_metric metric =
        rule == WATCH_RULE_FALLBACKS ? WATCH_FALLBACKS : WATCH_OUTPUT_EACH;
    const struct watch_finding *found = &window->findings[metric];
    const struct series *series = &watch->series[metric];
    const bool was = (watch->book.broken >> rule & 1) != 0;
    bool is = was;

    if (!found->fed && !is_idle(&watch->book))
        return false;
    if (!found->fed)
        is = false;
    else if (rule == WATCH_RULE_FALLBACKS)
        is = found->value > (was ? FALLBACKS_AGAIN : FALLBACKS_MOST);
    else if (series_ms(watch, series) >= NOTE_DAYS * CLOCK_DAY_MS || was)
        is = found->value > found->usual * (was ? OUTPUT_AGAIN : OUTPUT_MOST);
    watch->book.broken = (uint8_t)((watch->book.broken & ~(1U << rule)) | (unsigned)is << rule);
    return is != was;
}

/* ---- stored ------------------------------------------------------------------------------------------ */

enum { VERSION = 1, HEAD_SIZE = 8 };

_Static_assert(HEAD_SIZE + sizeof(struct series) + sizeof(struct watch_book) <= WATCH_STATE_SIZE,
               "what a series may take");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored as it is, little-endian");

static size_t
state_size(enum watch_metric metric)
{
    return HEAD_SIZE + sizeof(struct series) +
           (metric == WATCH_COST ? sizeof(struct watch_book) : 0);
}

size_t
watch_store(const struct watch *watch, enum watch_metric metric, char out[WATCH_STATE_SIZE])
{
    memset(out, 0, HEAD_SIZE);
    out[0] = VERSION;
    out[1] = (char)metric;
    memcpy(out + HEAD_SIZE, &watch->series[metric], sizeof(struct series));
    if (metric == WATCH_COST)
        memcpy(out + HEAD_SIZE + sizeof(struct series), &watch->book, sizeof watch->book);
    return state_size(metric);
}

bool
watch_restore(struct watch *watch, enum watch_metric metric, const void *state, size_t size)
{
    const char *bytes = state;

    if (size != state_size(metric) || bytes[0] != VERSION || bytes[1] != (char)metric)
        return false;
    if (metric == WATCH_COST) {
        struct watch_book book;

        memcpy(&book, bytes + HEAD_SIZE + sizeof(struct series), sizeof book);
        if (book.width >= WATCH_WIDTHS || !begins(book.fed_ms, SLOT_MS))
            return false;
        watch->book = book;
    }
    memcpy(&watch->series[metric], bytes + HEAD_SIZE, sizeof(struct series));
    return true;
}
