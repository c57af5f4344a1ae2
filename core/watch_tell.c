#include "core/watch.h"

#include "core/event.h"

#include <math.h>
#include <stdio.h>

static const char *
width_text(int64_t width_ms)
{
    return width_ms == CLOCK_DAY_MS ? "a day" : width_ms == CLOCK_HOUR_MS ? "an hour" : "5 min";
}

const char *
watch_value_text(enum watch_metric metric, float value, const char *unit,
                 char out[WATCH_VALUE_SIZE])
{
    const double number = (double)value;

    switch (metric) {
    case WATCH_COST:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.2f %s", number, unit);
        break;
    case WATCH_REQUESTS:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.0f requests", number);
        break;
    case WATCH_TOKENS:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.0f tokens", number);
        break;
    case WATCH_COST_EACH:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.4g %s a request", number, unit);
        break;
    case WATCH_OUTPUT_EACH:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.1f output tokens a request", number);
        break;
    case WATCH_FALLBACKS:
        (void)snprintf(out, WATCH_VALUE_SIZE, "%.0f %% fallbacks", 100 * number);
        break;
    case WATCH_METRIC_COUNT:
        break;
    }
    return out;
}

/* " (10x)" where that says something. */
static void
ratio_text(const struct series *series, char *out, size_t room)
{
    const float ratio = series->usual > 0 ? series->value / series->usual : 0;

    out[0] = '\0';
    if (ratio >= 1.1F && ratio < 1e6F)
        (void)snprintf(out, room, " (%.1fx)", (double)ratio);
}

const char *
watch_words(const struct watch *watch, enum watch_metric metric, char out[DETECTOR_TEXT_SIZE])
{
    const struct series *series = &watch->series[metric];
    const int channel = series->channel < 0 ? -series->channel : series->channel;
    const struct evidence evidence = {.channel =
                                          channel > 0 ? (enum channel)(channel - 1) : CHANNEL_VALUE,
                                      .is_high = series->channel >= 0,
                                      .windows = series->span,
                                      .factor = series->factor};

    return detector_words(&evidence, watch_width(watch), out);
}

void
watch_top_add(struct watch_top *top, struct text name, float excess)
{
    size_t at = WATCH_TOP;

    while (at > 0 && fabsf(top->at[at - 1].excess) < fabsf(excess))
        at--;
    if (at == WATCH_TOP)
        return;
    for (size_t i = WATCH_TOP - 1; i > at; i--)
        top->at[i] = top->at[i - 1];
    top->at[at].name = name;
    top->at[at].excess = excess;
}

/* With names as long as they may be. */
#define TOP_SIZE (WATCH_TOP * (EVENT_ID_LIMIT + 24))

/* "; mostly search 82 %, chat 11 %" */
static void
top_text(const struct watch_top *top, float all, char *out, size_t room)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; top != NULL && i < WATCH_TOP; i++) {
        const float share = all < 0 || all > 0 ? top->at[i].excess / all : 0;

        if (share < 0.1F || used >= room)
            continue;
        used += (size_t)snprintf(out + used, room - used, "%s%.*s %.0f %%",
                                 used == 0 ? "; mostly " : ", ", (int)top->at[i].name.size,
                                 top->at[i].name.at, (double)(100 * fminf(share, 1.0F)));
    }
}

static const char *
limit_amount(const struct watch_limit *limit, tally amount, char out[TALLY_TEXT_SIZE])
{
    return limit->is_money ? tally_format_short(amount, 2, out) : tally_format_count(amount, out);
}

/* "; as it goes the period ends at 1200 of 1000 requests (calls)" */
#define LIMIT_SIZE (2 * TALLY_TEXT_SIZE + EVENT_ID_LIMIT + 80)
static void
limit_text(const struct watch_limit *limit, char out[LIMIT_SIZE])
{
    char forecast[TALLY_TEXT_SIZE];
    char most[TALLY_TEXT_SIZE];

    out[0] = '\0';
    if (limit != NULL)
        (void)snprintf(out, LIMIT_SIZE, "; as it goes the period ends at %s of %s %.*s (%.*s)",
                       limit_amount(limit, limit->forecast, forecast),
                       limit_amount(limit, limit->limit, most), (int)limit->unit.size,
                       limit->unit.at, (int)limit->name.size, limit->name.at);
}

const char *
watch_tell(const struct watch_story *story, char out[WATCH_STORY_SIZE])
{
    const struct series *series = &story->watch->series[story->metric];
    const float excess = story->watch->book.excess;
    const float day = watch_day(story->watch);
    char words[DETECTOR_TEXT_SIZE];
    char value[WATCH_VALUE_SIZE];
    char usual[WATCH_VALUE_SIZE];
    char ratio[32];
    char top[TOP_SIZE];
    char limit[LIMIT_SIZE];

    (void)watch_words(story->watch, story->metric, words);
    (void)watch_value_text(story->metric, series->value, story->unit, value);
    (void)watch_value_text(story->metric, series->usual, story->unit, usual);
    ratio_text(series, ratio, sizeof ratio);
    top_text(story->top, excess, top, sizeof top);
    limit_text(story->limit, limit);
    (void)snprintf(out, WATCH_STORY_SIZE,
                   "%s: %s; %s in %s, usual are %s%s; since %s spending is %.2f %s %s the usual"
                   " (%.0f %% of a day)%s%s",
                   watch_metric_names[story->metric], words, value,
                   width_text(watch_width(story->watch)), usual, ratio, story->since,
                   (double)fabsf(excess), story->unit, excess < 0 ? "below" : "above",
                   day > 0 ? (double)(100 * fabsf(excess) / day) : 0.0, limit, top);
    return out;
}

const char *
watch_tell_rule(enum watch_rule rule, const struct watch_window *window, char out[WATCH_STORY_SIZE])
{
    const bool fallbacks = rule == WATCH_RULE_FALLBACKS;
    const enum watch_metric metric = fallbacks ? WATCH_FALLBACKS : WATCH_OUTPUT_EACH;
    const struct watch_finding *found = &window->findings[metric];
    char value[WATCH_VALUE_SIZE];
    char usual[WATCH_VALUE_SIZE];

    (void)watch_value_text(metric, found->value, "", value);
    (void)watch_value_text(metric, found->usual, "", usual);
    (void)snprintf(out, WATCH_STORY_SIZE, "%s in %s%s%s", value, width_text(window->width_ms),
                   fallbacks ? ": more than 20 % of the attempts are not the first of their request"
                             : ": more than twice the usual ",
                   fallbacks ? "" : usual);
    return out;
}
