#include "core/clock.h"
#include "core/detector.h"
#include "core/log1p.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Beyond, the old record was nothing to compare with. */
#define FACTOR_MOST 1e6F

enum { SHAPE_WINDOWS = DETECTOR_SHAPE * DETECTOR_STEP };

static const struct channel_words {
    const char *high;
    const char *low;
    const char *of;  /* what leads to the span that the channel looks at; NULL: none is named */
    int64_t windows; /* of that span */
    bool compares;   /* with the old record, as a factor */
} channel_words[CHANNEL_COUNT] = {
    [CHANNEL_VALUE] = {"highest", "lowest", " ", 1, true},
    [CHANNEL_FAST] = {"highest", "lowest", " average of some ", 8, true},
    [CHANNEL_MEDIUM] = {"highest", "lowest", " average of some ", 137, true},
    [CHANNEL_SEASONAL] = {"most over the usual for the hour", "most under the usual for the hour",
                          NULL, 0, true},
    [CHANNEL_GROWTH] = {"highest against the usual for the hour",
                        "lowest against the usual for the hour", NULL, 0, false},
    [CHANNEL_SHAPE] = {"most unusual shape", "", " of ", SHAPE_WINDOWS, false},
};

#define SPAN_SIZE 32

static void
span_text(int64_t ms, char out[SPAN_SIZE])
{
    if (ms >= 2 * CLOCK_DAY_MS)
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 " days", ms / CLOCK_DAY_MS);
    else if (ms >= 2 * CLOCK_HOUR_MS || (ms >= CLOCK_HOUR_MS && ms % CLOCK_HOUR_MS == 0))
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 " h", ms / CLOCK_HOUR_MS);
    else if (ms >= 2 * CLOCK_MINUTE_MS || (ms >= CLOCK_MINUTE_MS && ms % CLOCK_MINUTE_MS == 0))
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 " min", ms / CLOCK_MINUTE_MS);
    else
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 " s", ms / CLOCK_SECOND_MS);
}

/* For how many windows the new extreme, `beyond` the old one, is certainly the record.
 *
 * In a window the range of a record shrinks by the leak or grows, so m windows ago it was at most
 * range * e^(leak * m), and each end has since moved inwards by at most half of the difference.
 * Solved for m; and halved, because a leak of half a last digit is rounded to a whole one. */
static uint32_t
span_of(const struct detector *before, const struct extremes *record, float beyond)
{
    const float half = (record->high - record->low) / 2.0F;
    const float certain = log1p_single(fminf(beyond / half, FLT_MAX)) / (2.0F * DETECTOR_LEAK);

    return half > 0 && certain < (float)before->windows ? (uint32_t)certain : before->windows;
}

struct evidence
detector_evidence(const struct detector *before, const struct detector *after)
{
    const struct extremes *old = &before->extremes[after->why];
    const struct extremes *now = &after->extremes[after->why];
    /* Without a record an extreme only moves inwards. */
    const bool is_high = now->high > old->high;
    const float from = is_high ? old->high : old->low;
    const float to = is_high ? now->high : now->low;
    const bool has_factor = channel_words[after->why].compares && fabsf(from) > FLT_MIN;
    const float factor = has_factor ? to / from : -1.0F;

    return (struct evidence){
        .channel = (enum channel)after->why,
        .is_high = is_high,
        .windows = span_of(before, old, is_high ? to - from : from - to),
        .factor = factor > FACTOR_MOST ? -1.0F : factor,
    };
}

/* " 5 min", " average of some 40 min", or nothing. */
static void
looked_text(const struct channel_words *words, int64_t window_ms, char *out, size_t room)
{
    char span[SPAN_SIZE];

    out[0] = '\0';
    if (words->of == NULL)
        return;
    span_text(words->windows * window_ms, span);
    (void)snprintf(out, room, "%s%s", words->of, span);
}

static void
factor_text(float factor, char *out, size_t room)
{
    out[0] = '\0';
    if (factor < 0)
        return;
    if (factor < 0.01F)
        (void)snprintf(out, room, ", next to nothing");
    else
        (void)snprintf(out, room, ", %.*fx the old record", factor < 2.0F ? 2 : 1, (double)factor);
}

const char *
detector_words(const struct evidence *evidence, int64_t window_ms, char out[DETECTOR_TEXT_SIZE])
{
    const struct channel_words *words = &channel_words[evidence->channel];
    char looked[2 * SPAN_SIZE];
    char since[SPAN_SIZE];
    char factor[2 * SPAN_SIZE];

    assert(window_ms > 0);
    looked_text(words, window_ms, looked, sizeof looked);
    span_text(evidence->windows * window_ms, since);
    factor_text(evidence->factor, factor, sizeof factor);
    (void)snprintf(out, DETECTOR_TEXT_SIZE, "%s%s in %s%s",
                   evidence->is_high ? words->high : words->low, looked, since, factor);
    return out;
}

const char *
detector_explain(const struct detector *before, const struct detector *after, int64_t window_ms,
                 char out[DETECTOR_TEXT_SIZE])
{
    const struct evidence evidence = detector_evidence(before, after);

    return detector_words(&evidence, window_ms, out);
}
