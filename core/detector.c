#include "core/detector.h"

#include "core/log1p.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* Intermediate results in a wider type would give other bits. */
_Static_assert(FLT_EVAL_METHOD == 0, "single precision must stay single");

/* Tuned once, on the Numenta Anomaly Benchmark; the same for every series. */
#define FAST_RATE    0.13F
#define MEDIUM_RATE  0.0073F
#define SLOW_RATE    0.01F
#define USUAL_RATE   0.15F
#define NEAR         0.44F  /* shapes within are the same shape */
#define SHAPE_RATE   0.2F   /* a prototype's step towards a shape that fits it */
#define SCALE_SHARE  0.026F /* of the slow level: the least that counts as a change */
#define TOLERANCE    0.025F /* of the scale: the least range of a record */
#define LOG_RANGE    0.2F   /* the same, of the logarithmic channels */
#define CLIP         7.0F   /* scales an outlier may pull the slow level by */
#define ESCALATION   2.8F   /* times the last alert that ends the wait early */
#define BUDGET_PRICE 1.06F
#define BUDGET_FADE  600.0F /* windows */
#define GROWTH_SCALE 0.3F
#define SEASON_GAIN  1.2F /* the season must explain so much of the spread to be believed */

enum {
    WARM_WINDOWS = 108,
    CLIP_WINDOWS = 50,    /* the scale is not known before */
    SEASON_WINDOWS = 300, /* a day and a bit of 5 min */
    USUAL_LEAST = 3,      /* windows an hour needs before it is compared with */
    USUAL_MOST = 250,
    WAIT_WINDOWS = 24,
    FRESH_USES = 3,
    SHAPE_UNIT = 24, /* int8 steps to a unit */
};

/* How a channel's record is judged: one rule for all. */
static const struct channel_rule {
    float weight;
    bool logarithmic; /* its range has a floor of its own */
    bool only_high;   /* a new low says nothing */
} channel_rules[CHANNEL_COUNT] = {
    [CHANNEL_VALUE] = {78, false, false},   [CHANNEL_FAST] = {137, false, false},
    [CHANNEL_MEDIUM] = {113, false, false}, [CHANNEL_SEASONAL] = {11, false, false},
    [CHANNEL_GROWTH] = {9, true, false},    [CHANNEL_SHAPE] = {70, true, true},
};

/* One window on its way through the steps. */
struct window {
    float value;
    int hour;    /* of day, 0..23 */
    float hours; /* since midnight, less half: where the value stands between two hours' middles */
    float resolution; /* the smallest difference that means anything here */
    float scale;      /* of the series before this window */
    float usual;      /* at this time of day */
    float residual;   /* the value over it */
};

static float
compress(float v)
{
    return copysignf(log1p_single(fabsf(v)), v);
}

static float
clamp(float v, float low, float high)
{
    return fminf(fmaxf(v, low), high);
}

/* What is usual at this time of day: between the middles of two hours where both are known. */
static float
usual_at(const struct detector *series, const struct window *window)
{
    const float below = floorf(window->hours);
    const float weight = window->hours - below;
    const int first = ((int)below + DETECTOR_HOURS) % DETECTOR_HOURS;
    const int second = (first + 1) % DETECTOR_HOURS;

    if (series->usual_count[first] > 0 && series->usual_count[second] > 0)
        return (1.0F - weight) * series->usual[first] + weight * series->usual[second];
    return series->usual_count[window->hour] > 0 ? series->usual[window->hour] : series->slow;
}

static struct window
look_at(const struct detector *series, int64_t start_s, float value)
{
    const int64_t second = (start_s % 86400 + 86400) % 86400;
    struct window window = {
        .value = value, .hour = (int)(second / 3600), .hours = (float)second / 3600.0F - 0.5F};

    window.resolution = SCALE_SHARE * fabsf(series->slow) + 1e-9F;
    window.scale = series->spread + window.resolution;
    return window;
}

/* The young series' levels are plain means; later ones forget. */
static float
rate(float settled, uint32_t windows)
{
    return fmaxf(settled, 1.0F / (float)(windows + 1));
}

static void
halve_uses(struct shapes *shapes)
{
    for (int i = 0; i < shapes->prototype_count; i++)
        shapes->uses[i] /= 2;
}

static int
shape_difference(const int8_t *a, const int8_t *b)
{
    int sum = 0;

    for (int i = 0; i < DETECTOR_SHAPE; i++)
        sum += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
    return sum;
}

/* A free place, else that of the least used. */
static int
place_for_prototype(struct shapes *shapes)
{
    int least = 0;

    if (shapes->prototype_count < DETECTOR_PROTOTYPES)
        return shapes->prototype_count++;
    for (int i = 1; i < DETECTOR_PROTOTYPES; i++)
        if (shapes->uses[i] < shapes->uses[least])
            least = i;
    return least;
}

static void
learn_prototype(struct shapes *shapes, int8_t *prototype, uint8_t *uses)
{
    for (int i = 0; i < DETECTOR_SHAPE; i++) {
        const float from = prototype[i];

        prototype[i] = (int8_t)rintf(from + SHAPE_RATE * ((float)shapes->recent[i] - from));
    }
    if (*uses == UINT8_MAX)
        halve_uses(shapes);
    else
        ++*uses;
}

/* The recent shape against those known: joins the nearest, or becomes one. */
static void
match_shape(struct shapes *shapes)
{
    int nearest = -1;
    int difference = 0;

    for (int i = 0; i < shapes->prototype_count; i++) {
        const int one = shape_difference(shapes->recent, shapes->prototype[i]);

        if (nearest < 0 || one < difference) {
            nearest = i;
            difference = one;
        }
    }
    shapes->distance = (float)difference / (float)(DETECTOR_SHAPE * SHAPE_UNIT);
    if (nearest >= 0 && shapes->distance < NEAR) {
        learn_prototype(shapes, shapes->prototype[nearest], &shapes->uses[nearest]);
        return;
    }
    const int place = place_for_prototype(shapes);

    memcpy(shapes->prototype[place], shapes->recent, DETECTOR_SHAPE);
    shapes->uses[place] = FRESH_USES;
}

static void
add_point(struct shapes *shapes, int8_t point)
{
    if (shapes->recent_count == DETECTOR_SHAPE)
        memmove(shapes->recent, shapes->recent + 1, DETECTOR_SHAPE - 1);
    else
        shapes->recent_count++;
    shapes->recent[shapes->recent_count - 1] = point;
}

/* Returns the distance of the last full shape. */
static float
follow_shape(struct shapes *shapes, float compressed)
{
    shapes->sum += compressed;
    if (++shapes->collected == DETECTOR_STEP) {
        const float mean = (float)SHAPE_UNIT * shapes->sum / (float)DETECTOR_STEP;

        add_point(shapes, (int8_t)clamp(mean, -INT8_MAX, INT8_MAX));
        shapes->sum = 0;
        shapes->collected = 0;
        if (shapes->recent_count == DETECTOR_SHAPE)
            match_shape(shapes);
    }
    return shapes->distance;
}

static void
read_channels(struct detector *series, const struct window *window, float out[CHANNEL_COUNT])
{
    const bool hour_known = series->usual_count[window->hour] > USUAL_LEAST;
    const bool season_tells = hour_known && series->windows > SEASON_WINDOWS &&
                              series->seasonal_miss < SEASON_GAIN * series->spread;
    const float k = GROWTH_SCALE * window->scale + 1e-12F;

    out[CHANNEL_VALUE] = window->value;
    out[CHANNEL_FAST] = series->fast;
    out[CHANNEL_MEDIUM] = series->medium;
    out[CHANNEL_SEASONAL] = season_tells ? window->residual : 0;
    out[CHANNEL_GROWTH] = hour_known ? compress(series->fast / k) - compress(window->usual / k) : 0;
    out[CHANNEL_SHAPE] =
        follow_shape(&series->shapes, compress((window->value - series->slow) / window->scale));
}

/* How far the record is broken, in units of its range. */
static float
excess(const struct extremes *record, const struct channel_rule *rule, const struct window *window,
       float z)
{
    const float least =
        rule->logarithmic ? LOG_RANGE : window->resolution + TOLERANCE * window->scale;
    const float range = record->high - record->low + least;

    if (z > record->high)
        return (z - record->high) / range;
    return z < record->low && !rule->only_high ? (record->low - z) / range : 0;
}

static void
follow_record(struct extremes *record, float z)
{
    const float middle = (record->low + record->high) / 2.0F;

    record->age++;
    if (z > record->high) {
        record->high = z;
        record->age = 0;
    } else
        record->high -= DETECTOR_LEAK * (record->high - middle);
    if (z < record->low) {
        record->low = z;
        record->age = 0;
    } else
        record->low += DETECTOR_LEAK * (middle - record->low);
}

/* The worst broken record: its weighted excess, and in *why its channel. */
static float
judge_channels(struct detector *series, const struct window *window, int *why)
{
    float z[CHANNEL_COUNT];
    float worst = 0;

    read_channels(series, window, z);
    for (int c = 0; c < CHANNEL_COUNT; c++) {
        const struct channel_rule *rule = &channel_rules[c];
        struct extremes *record = &series->extremes[c];
        const float score = rule->weight * excess(record, rule, window, z[c]);

        if (score > worst) {
            worst = score;
            *why = c;
        }
        follow_record(record, z[c]);
    }
    return series->windows < WARM_WINDOWS ? 0 : worst;
}

/* Outliers are clipped, so that one does not widen the scale by which the next is judged. */
static void
learn_window(struct detector *series, const struct window *window)
{
    const float reach = CLIP * window->scale;
    const float slow_rate = rate(SLOW_RATE, series->windows);
    float *usual = &series->usual[window->hour];
    uint8_t *count = &series->usual_count[window->hour];
    float value = window->value;

    if (series->windows > CLIP_WINDOWS)
        value = clamp(value, series->slow - reach, series->slow + reach);
    series->spread += slow_rate * (fabsf(value - series->slow) - series->spread);
    series->slow += slow_rate * (value - series->slow);
    series->seasonal_miss +=
        slow_rate * (fminf(fabsf(window->residual), reach) - series->seasonal_miss);
    *usual += rate(USUAL_RATE, *count) * (window->value - *usual);
    if (*count < USUAL_MOST)
        ++*count;
}

/* Lets through what is news: not what follows an alert, unless it is far worse; and the more
 * alerts there were, the less. */
static struct detector_verdict
ration(struct detector *series, float worst, int why)
{
    series->budget *= 1.0F - 1.0F / BUDGET_FADE;
    float score = worst / (1.0F + BUDGET_PRICE * series->budget);

    if (series->wait > 0 && worst < series->alert * ESCALATION)
        score = 0;
    if (score >= DETECTOR_ALERT) {
        series->wait = WAIT_WINDOWS;
        series->alert = worst;
        series->budget += 1;
        series->why = (int8_t)why;
    }
    if (series->wait > 0)
        series->wait -= 1;
    return (struct detector_verdict){score, score > 0 ? series->why : -1};
}

static void
begin(struct detector *series, float value)
{
    series->fast = series->medium = series->slow = value;
    for (int c = CHANNEL_VALUE; c <= CHANNEL_MEDIUM; c++)
        series->extremes[c] = (struct extremes){.low = value, .high = value};
    series->windows = 1;
}

struct detector_verdict
detector_window(struct detector *series, int64_t start_s, float value)
{
    int why = 0;

    assert(fabsf(value) <= DETECTOR_LIMIT);
    if (series->windows == 0) {
        begin(series, value);
        return (struct detector_verdict){0, -1};
    }
    struct window window = look_at(series, start_s, value);

    series->fast += rate(FAST_RATE, series->windows) * (value - series->fast);
    series->medium += rate(MEDIUM_RATE, series->windows) * (value - series->medium);
    window.usual = usual_at(series, &window);
    window.residual = value - window.usual;

    const float worst = judge_channels(series, &window, &why);

    learn_window(series, &window);
    series->windows++;
    return ration(series, worst, why);
}

float
detector_usual(const struct detector *series, int64_t at_s)
{
    const struct window window = look_at(series, at_s, 0);

    return usual_at(series, &window);
}

float
detector_threshold(const struct detector *series)
{
    const struct extremes *record = &series->extremes[CHANNEL_VALUE];
    const struct channel_rule *rule = &channel_rules[CHANNEL_VALUE];
    const struct window window = look_at(series, 0, 0);
    const float range = record->high - record->low + window.resolution + TOLERANCE * window.scale;
    const float budget = 1.0F + BUDGET_PRICE * series->budget;
    const float least = series->wait > 0 ? series->alert * ESCALATION : 0;

    return record->high + range * fmaxf(budget, least) / rule->weight;
}

void
detector_idle(struct detector *series, uint32_t windows)
{
    for (int c = 0; c < CHANNEL_COUNT; c++)
        series->extremes[c].age += windows;
}
