/*
 * The anomaly detector: one series of windowed values in, a score a window out.
 *
 * The idea: for exchangeable data the n-th value is a new maximum with probability 1/n, whatever
 * the distribution (Rényi, "On the extreme elements of observations", 1962).  So the detector keeps
 * the record, [lo, hi], of six cheap transforms of the value (its channels), and scores by how far
 * a record is broken, in units of the record's own range.  No variance, no threshold to tune for
 * a series.
 *
 * A score of 1 or more is worth a note.  After one, the next must be clearly bigger for some
 * windows, and with every note the next need more; so a series that changed for good goes quiet.
 *
 * The caller feeds closed windows once and in order, all of one width: the value in any unit, and
 * the start of the window in seconds since 1970 UTC (its hour of day is used).  An empty window is
 * a value of 0 for up to DETECTOR_IDLE_MS in a row; what is empty beyond is only counted, by
 * detector_idle.
 *
 * All arithmetic is IEEE single precision in the order written, without contraction to fused
 * multiply-add: whoever replays the same windows gets the same bits, on any machine (the
 * logarithm is ours for that).  tests/vectors/detector.csv holds 8,064 windows with what must come
 * out.
 *
 * A series is a plain value without pointers: it may be copied and stored as it is.  Zeroed, it is
 * new.
 */
#ifndef CORE_DETECTOR_H
#define CORE_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETECTOR_HOURS      24
#define DETECTOR_PROTOTYPES 16
#define DETECTOR_SHAPE      8  /* points of a shape */
#define DETECTOR_STEP       12 /* windows a point */

#define DETECTOR_IDLE_MS (24 * INT64_C(3600000))
/* The biggest value either way; with it nothing above can overflow single precision. */
#define DETECTOR_LIMIT 1e20F
#define DETECTOR_ALERT 1.0F
/* Of half its range a window: so fast fades a record that nobody breaks. */
#define DETECTOR_LEAK 1.7e-5F

enum channel {
    CHANNEL_VALUE,    /* X: the value */
    CHANNEL_FAST,     /* F: its average over some 8 windows */
    CHANNEL_MEDIUM,   /* M: over some 140 windows */
    CHANNEL_SEASONAL, /* E: its distance from what is usual at this hour of day */
    CHANNEL_GROWTH,   /* G: logarithm of the fast average over what is usual at this hour */
    CHANNEL_SHAPE,    /* H: distance of the last 96 windows from all shapes seen before */
    CHANNEL_COUNT,
};

struct extremes {
    float low;
    float high;
    uint32_t age; /* windows since either was last broken */
};

/* The stored shapes, as points of int8 (24 steps to a unit of the compressed value). */
struct shapes {
    int8_t prototype[DETECTOR_PROTOTYPES][DETECTOR_SHAPE];
    uint8_t uses[DETECTOR_PROTOTYPES];
    int8_t recent[DETECTOR_SHAPE]; /* oldest first */
    float sum;                     /* of the point being collected */
    float distance;                /* of the last full shape from the nearest prototype */
    uint8_t collected;             /* windows in `sum` */
    uint8_t recent_count;
    uint8_t prototype_count;
    uint8_t unused;
};

struct detector {
    uint32_t windows; /* fed so far */
    float fast;
    float medium;
    float slow;
    float spread;        /* mean absolute distance from the slow level */
    float seasonal_miss; /* mean absolute distance from what is usual at the hour */
    float usual[DETECTOR_HOURS];
    uint8_t usual_count[DETECTOR_HOURS]; /* windows behind each, at most 250 */
    struct extremes extremes[CHANNEL_COUNT];
    struct shapes shapes;
    /* Of the last alert. */
    float wait;   /* windows until a score needs not surpass it */
    float alert;  /* its score before the budget */
    float budget; /* recent alerts, fading */
    int8_t why;   /* its channel */
    uint8_t unused[3];
};

_Static_assert(sizeof(struct detector) <= 512, "what a series may take");

struct detector_verdict {
    float score; /* 0, or how far a record is broken */
    int channel; /* enum channel of the last alert; -1 when the score is 0 */
};

/* One closed window. |value| <= DETECTOR_LIMIT. */
struct detector_verdict detector_window(struct detector *series, int64_t start_s, float value);

/* What is usual at a second of the day, by what is known of its hour; the level while nothing is. */
float detector_usual(const struct detector *series, int64_t at_s);
/* Above this the next value alone is an alert (lower ones may be, by another channel). */
float detector_threshold(const struct detector *series);

/* Windows without any event beyond DETECTOR_IDLE_MS: only the records age. */
void detector_idle(struct detector *series, uint32_t windows);

/* What an alert rests on, from the series before and after its window. */
struct evidence {
    enum channel channel;
    bool is_high;     /* a new high; else a new low */
    uint32_t windows; /* for which it is certainly the record: all of the series, or fewer where the
                         record may have faded from something higher */
    float factor;     /* times the old record; negative: that says nothing */
};
struct evidence detector_evidence(const struct detector *before, const struct detector *after);

#define DETECTOR_TEXT_SIZE 192
/* That in words: "highest 5 min in 48 days, 3.4x the old record". Returns out. */
const char *detector_words(const struct evidence *evidence, int64_t window_ms,
                           char out[DETECTOR_TEXT_SIZE]);
/* Both. */
const char *detector_explain(const struct detector *before, const struct detector *after,
                             int64_t window_ms, char out[DETECTOR_TEXT_SIZE]);

#endif
