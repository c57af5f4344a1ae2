/* Protects: the scores are those of the reference, bit for bit, and the words about them hold. */
#include "core/detector.h"
#include "core/log1p.h"
#include "tests/check.h"
#include "tests/detector_vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S  INT64_C(300)
#define WINDOW_MS (WINDOW_S * 1000)
#define START_S   INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

static void
test_vectors(void)
{
    static struct detector_vector vectors[DETECTOR_VECTORS_COUNT];
    size_t which = 0;

    CHECK_INT("read", detector_vectors_read(vectors, DETECTOR_VECTORS_COUNT),
              DETECTOR_VECTORS_COUNT);
    CHECK_INT("wrong", detector_vectors_wrong(vectors, DETECTOR_VECTORS_COUNT, &which), 0);
    CHECK_INT("first wrong", which, 0);
}

/* Made values around 10 that are the same everywhere: a linear congruence, no libm. */
static float
noise(uint32_t *state)
{
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return 8.0F + (float)(*state >> 16) / 16384.0F;
}

static void
feed_noise(struct detector *series, int windows, uint32_t *state)
{
    for (int i = 0; i < windows; i++)
        (void)detector_window(series, START_S + WINDOW_S * (int64_t)series->windows, noise(state));
}

static struct detector_verdict
feed(struct detector *series, float value)
{
    return detector_window(series, START_S + WINDOW_S * (int64_t)series->windows, value);
}

static bool
same_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct detector)) == 0;
}

/* Stored in the middle and loaded elsewhere, a series goes on as if nothing had happened. */
static void
test_copy(void)
{
    struct detector series = {.windows = 0};
    struct detector stored;
    uint32_t state = 7;

    feed_noise(&series, 5000, &state);
    memcpy(&stored, &series, sizeof stored);
    for (int i = 0; i < 500; i++) {
        const float value = noise(&state) * (i % 100 == 99 ? 3.0F : 1.0F);
        const struct detector_verdict a = feed(&series, value);
        const struct detector_verdict b = feed(&stored, value);

        CHECK_INT("score", detector_bits(a.score), detector_bits(b.score));
        CHECK_INT("channel", a.channel, b.channel);
    }
    CHECK_INT("state", same_bytes(&series, &stored), true);
}

static void
test_evidence(void)
{
    static const struct {
        const char *name;
        int windows; /* before the spike */
        bool alert;
    } rows[] = {
        {"the first window", 0, false},
        {"107 windows", 107, false},
        {"108 windows", 108, true},
        {"2000 windows", 2000, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct detector series = {.windows = 0};
        uint32_t state = 7;

        feed_noise(&series, rows[i].windows, &state);
        const struct detector_verdict verdict = feed(&series, 100);

        CHECK_INT(rows[i].name, verdict.score >= DETECTOR_ALERT, rows[i].alert);
        CHECK_INT(rows[i].name, verdict.channel, rows[i].alert ? CHANNEL_VALUE : -1);
    }
}

/* After an alert: 24 windows of silence, unless it gets 2.8 times as bad. */
static void
test_wait(void)
{
    struct detector series = {.windows = 0};
    uint32_t state = 7;

    feed_noise(&series, 2000, &state);
    CU_ASSERT_TRUE(feed(&series, 30).score >= DETECTOR_ALERT);
    struct detector same = series;

    CU_ASSERT_TRUE(feed(&same, 60).score < DETECTOR_ALERT);
    CU_ASSERT_TRUE(feed(&series, 400).score >= DETECTOR_ALERT);
}

/* No value within the limit may bring a number that is none. */
static void
test_limits(void)
{
    static const float values[] = {0, DETECTOR_LIMIT, -DETECTOR_LIMIT, 1e-38F, 0, 1, -1};
    struct detector series = {.windows = 0};
    uint32_t state = 7;

    for (int i = 0; i < 4000; i++) {
        const size_t which = (size_t)(noise(&state) * 1000) % (sizeof values / sizeof values[0]);
        const struct detector_verdict verdict = feed(&series, values[which]);

        CU_ASSERT_TRUE(isfinite(verdict.score) && verdict.score >= 0);
    }
    for (int c = 0; c < CHANNEL_COUNT; c++)
        CU_ASSERT_TRUE(isfinite(series.extremes[c].high - series.extremes[c].low));

    struct detector silent = {.windows = 0};

    for (int i = 0; i < 4000; i++)
        CU_ASSERT_TRUE(feed(&silent, 0).channel == -1);
    CU_ASSERT_TRUE(isfinite(feed(&silent, DETECTOR_LIMIT).score));
}

static void
test_idle(void)
{
    struct detector series = {.windows = 0};
    uint32_t state = 7;

    feed_noise(&series, 500, &state);
    const struct detector before = series;

    detector_idle(&series, 1000);
    for (int c = 0; c < CHANNEL_COUNT; c++) {
        CHECK_INT("age", series.extremes[c].age, before.extremes[c].age + 1000);
        series.extremes[c].age = before.extremes[c].age;
    }
    CHECK_INT("nothing else", same_bytes(&series, &before), true);
}

static void
test_explain(void)
{
    static const struct {
        const char *words;
        int why;
        float low;
        float high;
        float now; /* the new extreme */
        uint32_t windows;
        int64_t window_ms;
    } rows[] = {
        {"highest 5 min in 48 days, 3.4x the old record", CHANNEL_VALUE, 0, 10, 34, 13824, 300000},
        {"highest 1 h in 20 days, 1.20x the old record", CHANNEL_VALUE, 5, 10, 12, 500, 3600000},
        {"highest 24 h in 300 days, 2.0x the old record", CHANNEL_VALUE, 5, 10, 20, 300, 86400000},
        {"highest 30 s in 90 min, 2.0x the old record", CHANNEL_VALUE, 5, 10, 20, 180, 30000},
        /* The record may have faded from more than the new one. */
        {"highest 5 min in 2 days, 1.01x the old record", CHANNEL_VALUE, 0, 10, 10.1F, 99999,
         300000},
        {"lowest 5 min in 10 h, 0.20x the old record", CHANNEL_VALUE, 5, 10, 1, 120, 300000},
        {"lowest 5 min in 10 h, next to nothing", CHANNEL_VALUE, 5, 10, 0, 120, 300000},
        /* Nothing to compare with. */
        {"highest 5 min in 10 h", CHANNEL_VALUE, 0, 0, 7, 120, 300000},
        {"highest 5 min in 10 h", CHANNEL_VALUE, -2, -1, 7, 120, 300000},
        {"highest average of some 40 min in 10 h, 2.0x the old record", CHANNEL_FAST, 5, 10, 20,
         120, 300000},
        {"lowest average of some 11 h in 20 h, 0.50x the old record", CHANNEL_MEDIUM, 4, 10, 2, 240,
         300000},
        {"most over the usual for the hour in 2 days, 3.0x the old record", CHANNEL_SEASONAL, -4, 5,
         15, 576, 300000},
        {"most under the usual for the hour in 2 days, 2.0x the old record", CHANNEL_SEASONAL, -4,
         5, -8, 576, 300000},
        {"highest against the usual for the hour in 2 days", CHANNEL_GROWTH, -1, 1, 3, 576, 300000},
        {"most unusual shape of 8 h in 2 days", CHANNEL_SHAPE, 0, 1, 2, 576, 300000},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct detector before = {.windows = rows[i].windows};
        char words[DETECTOR_TEXT_SIZE];

        before.extremes[rows[i].why] = (struct extremes){rows[i].low, rows[i].high, 5};
        struct detector after = before;
        struct extremes *record = &after.extremes[rows[i].why];

        after.why = (int8_t)rows[i].why;
        if (rows[i].now > rows[i].high)
            record->high = rows[i].now;
        else
            record->low = rows[i].now;
        (void)detector_explain(&before, &after, rows[i].window_ms, words);
        CHECK_INT(words, strcmp(words, rows[i].words), 0);
    }
}

/* "Highest in 10 days" is true of the values themselves, whatever faded in between. */
static void
test_explained_span_holds(void)
{
    enum { COUNT = 60000 };
    static float values[COUNT];
    struct detector series = {.windows = 0};
    uint32_t state = 11;
    int checked = 0;

    for (int i = 0; i < COUNT; i++) {
        const struct detector before = series;
        char words[DETECTOR_TEXT_SIZE];
        int days = 0;

        /* Now and then a peak, mostly a little higher or lower than those before. */
        values[i] = noise(&state) * (i % 701 == 700 ? 1.0F + noise(&state) / 10.0F : 1.0F);
        if (feed(&series, values[i]).score < DETECTOR_ALERT || series.why != CHANNEL_VALUE)
            continue;
        (void)detector_explain(&before, &series, WINDOW_MS, words);
        const char *in = strstr(words, " in ");

        if (strncmp(words, "highest", 7) != 0 || in == NULL || strstr(words, " days") == NULL)
            continue;
        days = (int)strtol(in + 4, NULL, 10);
        for (int past = i - days * 288; past < i; past++)
            if (past >= 0 && values[past] >= values[i])
                CHECK_INT(words, past, i);
        checked++;
    }
    CU_ASSERT_TRUE(checked > 2);
}

/* Against the library's double precision: within 1 ulp everywhere it is used. */
static void
test_log1p(void)
{
    float x = 1e-40F;

    while (x < 1e38F) {
        const double exact = log1p((double)x);
        const float got = log1p_single(x);
        const double ulp = (double)nextafterf(got, INFINITY) - (double)got;

        if (fabs((double)got - exact) > ulp) {
            char name[32];

            (void)snprintf(name, sizeof name, "%a", (double)x);
            CHECK_INT(name, 0, 1);
        }
        x *= 1.0009F;
    }
    CU_ASSERT_TRUE(signbit(log1p_single(0)) == 0 && log1p_single(0) <= 0);
}

static CU_TestInfo tests[] = {
    {"8,064 windows of the reference, bit for bit", test_vectors},
    {"a stored series goes on", test_copy},
    {"evidence before speaking", test_evidence},
    {"silence after an alert", test_wait},
    {"any value gives a number", test_limits},
    {"idle windows only age", test_idle},
    {"alerts in words", test_explain},
    {"the span in the words holds", test_explained_span_holds},
    {"the logarithm", test_log1p},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_detector = {"detector", NULL, NULL, NULL, NULL, tests};
