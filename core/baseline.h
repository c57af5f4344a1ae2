/*
 * What a feature of a tenant usually spends in an hour, from the hours it has behind it.
 *
 * The samples are local clock hours in which something was spent (an idle hour is no sample), up to
 * four weeks back; the hour asked about, and later ones, never count.  From them come
 *
 *   m, the typical hour: the greatest of
 *       the floor,
 *       the median of the same local hour of the week over 4 weeks    (3 samples or more),
 *       the median of the same local hour of the day over 14 days     (3 samples or more);
 *       while neither has its 3: the median of all hours of 7 days    (24 samples or more);
 *   p, the high hour: the 95th percentile of all hours of 7 days      (24 samples or more), else 0;
 *   the baseline B = max(m, p).
 *
 * A configured budget replaces all of it: m = B = the budget.  Without a budget and without samples
 * enough there is no baseline.
 *
 * Hours that say nothing about what is usual are unclean (enum hour_flag) and left out; when more
 * than half of the samples of one of the four sets are unclean they enter after all, each capped at
 * three times the baseline of its own hour, so that a change for good is learned.
 *
 * Everything is integers: the median of an even number of samples is the mean of the middle two,
 * rounded down; the 95th percentile is the smallest sample that 95 % of them do not exceed.
 */
#ifndef CORE_BASELINE_H
#define CORE_BASELINE_H

#include "core/money.h"
#include "core/zone.h"

#define BASELINE_DAYS    28
#define BASELINE_SAMPLES (BASELINE_DAYS * 24 + 26) /* days of 25 hours and the running one */
#define BASELINE_RATIO   3 /* a sample's cap, and where breakers trip, in baselines */

enum hour_flag {
    HOUR_TRIPPED = 1 << 0,   /* the breaker was, or would have been, open in it */
    HOUR_PARTIAL = 1 << 1,   /* under 90 % of it was seen: the feature's first */
    HOUR_REPLAYED = 1 << 2,  /* some of it came more than 15 minutes late */
    HOUR_CORRECTED = 1 << 3, /* its prices were corrected */
    HOUR_ACCEPTED = 1 << 4,  /* an operator said that it is usual: clean, whatever else */
};

struct hour_sample {
    int64_t hour_ms; /* start of the local clock hour */
    tally cost;      /* nano-units spent in it */
    unsigned flags;  /* of enum hour_flag */
    tally baseline;  /* in force in it, where it is unclean; 0: none was */
};

/* Samples of one feature in the order of their hours. */
struct history {
    struct hour_sample *at;
    size_t count;
    size_t room;
};

void history_free(struct history *history);
/* The sample of an hour, made when it is not there; the oldest beyond BASELINE_SAMPLES leaves. NULL
 * when the hour is older than all of a full history; *failed when memory is short. */
struct hour_sample *history_at(struct history *history, int64_t hour_ms, bool *failed);
/* NULL: nothing is known of that hour. */
struct hour_sample *history_find(const struct history *history, int64_t hour_ms);
/* Spent in that hour and not held against it. */
bool hour_is_clean(const struct hour_sample *sample);

/* The local clock hour that an instant lies in: [start, end). Shorter where the offset changes. */
struct hour {
    int64_t start_ms;
    int64_t end_ms;
};
struct hour baseline_hour(const struct zone *zone, int64_t at_ms);

enum baseline_set {
    BASELINE_WEEKLY,  /* same hour of the week, 4 weeks */
    BASELINE_DAILY,   /* same hour of the day, 14 days */
    BASELINE_RECENT,  /* median of all hours of 7 days */
    BASELINE_HIGHEST, /* 95th percentile of the same */
    BASELINE_SET_COUNT
};
extern const char *const baseline_set_names[BASELINE_SET_COUNT];

struct baseline_rule {
    tally floor;     /* nano-units an hour */
    bool configured; /* `budget` is the baseline */
    tally budget;
};

struct baseline {
    bool known;
    bool configured;
    tally typical; /* m */
    tally high;    /* p; 0: too few samples */
    tally value;   /* B */
    struct {
        size_t samples; /* with money in them */
        size_t unclean;
        bool capped; /* the unclean ones enter, capped */
        bool known;  /* enough of them */
        tally value;
    } sets[BASELINE_SET_COUNT];
};

void baseline_of(const struct history *history, const struct zone *zone, int64_t hour_ms,
                 const struct baseline_rule *rule, struct baseline *out);

/* What one set was made from, for explaining it: the samples in order of time, as they entered. */
struct baseline_sample {
    const struct hour_sample *hour;
    bool enters;
    tally value; /* its cost, or the cap */
};
/* Fills up to `room` and returns how many there are. */
size_t baseline_samples(const struct history *history, const struct zone *zone, int64_t hour_ms,
                        enum baseline_set set, struct baseline_sample *out, size_t room);

#endif
