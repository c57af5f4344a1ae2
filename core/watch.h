/*
 * A watch: what a tenant, or one of its features, uses, as series that the detector follows.
 *
 * Closed slots of five minutes go in, each once and in order; with one that ends a window every
 * series of the watch takes the window's value.  Windows are as wide as the volume allows: five
 * minutes, an hour below two events in five minutes, a day below two an hour.  The volume is the mean
 * of the last days; the width changes at midnight UTC only, and back at twice the volume, for then
 * the series begin anew.  An empty window is 0 for up to 24 hours in a row; beyond, records only age.
 * A ratio has no value in a window of fewer than 20 requests, which then does not count for it.
 *
 * A record is at first a note.  For 36 windows it waits for its impact, in money: the excess is what
 * was spent beyond the usual, fading by 3 % a window, and is compared with what is usual in a day.  All
 * records of a series from the first until nothing more follows are one incident.
 *
 * Values are single precision, as the detector's: nothing here is an amount that is booked or billed.
 * A watch is a plain value; zeroed and begun, it is new.  Feeding empty slots needs no row: whoever
 * stores a watch must do so only after a slot with usage, and after an incident has moved.
 */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "core/detector.h"
#include "core/slots.h"
#include "core/text.h"

enum watch_metric {
    WATCH_COST, /* in units of the currency; the others go by its excess */
    WATCH_REQUESTS,
    WATCH_TOKENS,
    WATCH_COST_EACH,   /* cost a request */
    WATCH_OUTPUT_EACH, /* output tokens a request */
    WATCH_FALLBACKS,   /* attempts after the first of their request, of all attempts */
    WATCH_METRIC_COUNT
};
extern const char *const watch_metric_names[WATCH_METRIC_COUNT];

enum watch_tier { WATCH_QUIET, WATCH_NOTE, WATCH_TICKET, WATCH_PAGE, WATCH_TIER_COUNT };
extern const char *const watch_tier_names[WATCH_TIER_COUNT];

/* What counts toward windows. */
enum watch_sum {
    WATCH_SUM_COST,
    WATCH_SUM_REQUESTS,
    WATCH_SUM_ATTEMPTS,
    WATCH_SUM_FALLBACKS,
    WATCH_SUM_TOKENS,
    WATCH_SUM_OUTPUT,
    WATCH_SUM_COUNT
};
struct watch_usage {
    float sums[WATCH_SUM_COUNT];
};
/* Refunds are not taken off. */
void watch_usage_add(struct watch_usage *usage, const struct slot *slot);
/* Nothing was used. */
bool watch_usage_empty(const struct watch_usage *usage);

struct series {
    int64_t since_ms; /* start of the window that began the incident */
    float value;      /* of its highest-scored record */
    float usual;      /* at that hour */
    float score;
    float
        expected; /* what was usual at this hour when it began: not what it has made of it since */
    uint8_t pending; /* windows that the last record still waits for its impact */
    uint8_t tier;    /* enum watch_tier the incident has reached; WATCH_QUIET: there is none */
    uint8_t told;    /* an alert of it is open */
    int8_t channel;  /* 1 + the channel of that record; negative where it was a low */
    uint32_t span;   /* windows for which it is the record */
    float factor;    /* times the one before; negative: that says nothing */
    struct detector detector;
};

#define WATCH_PAGES    3 /* of a tenant ... */
#define WATCH_PAGES_MS (6 * CLOCK_HOUR_MS)

/* What a watch knows beside its series. */
struct watch_book {
    int64_t fed_ms;           /* the slot that begins here is the next */
    struct watch_usage usage; /* of the window under way */
    float volume;             /* events a day */
    float day_events;         /* of the day under way */
    float excess;             /* spent beyond the usual, fading */
    float event_cost;         /* about the median of what an event costs */
    uint32_t events;          /* since the series began; stays at its most */
    uint16_t days;            /* behind the volume; a first day that was not whole is none */
    uint16_t idle;            /* empty windows in a row; stays at its most */
    uint32_t
        pages[WATCH_PAGES]; /* of a tenant: minutes since 1970 of its last pages, newest first */
    uint8_t width;          /* place in watch_widths_ms */
    uint8_t crowded; /* of a tenant: further incidents are told as one, and that alert is open */
    uint8_t broken;  /* bit r: rule r of enum watch_rule is broken, and told */
    uint8_t silent;  /* whole days (UTC) without any use; stays at its most */
};

struct watch {
    struct watch_book book;
    struct series series[WATCH_METRIC_COUNT];
};

#define WATCH_WIDTHS 3
extern const int64_t watch_widths_ms[WATCH_WIDTHS];

/* New, with the slot that begins at start_ms as its first. */
void watch_begin(struct watch *watch, int64_t start_ms);

/* What a window that has closed made of one series. */
struct watch_finding {
    bool fed;    /* it had a value */
    bool record; /* that is worth a note */
    float value;
    float usual;                           /* at that hour, before it began */
    struct extremes before[CHANNEL_COUNT]; /* of a record: the records it broke */
};
struct watch_window {
    int64_t start_ms;
    int64_t width_ms;
    struct watch_finding findings[WATCH_METRIC_COUNT];
};
/* The next slot is over. True: with it a window, whose findings are in *out. */
bool watch_take(struct watch *watch, const struct watch_usage *usage, struct watch_window *out);

/* End of the window under way; INT64_MAX while an empty one changes nothing but ages. `used`: slots that
 * were not taken yet hold something. */
int64_t watch_due(const struct watch *watch, bool used);
/* Nothing was used for so many days, and nothing is told of it: it may be forgotten. */
#define WATCH_SILENT_DAYS 90
bool watch_is_silent(const struct watch *watch);
/* Width of its windows. */
int64_t watch_width(const struct watch *watch);
/* What is usual in a day, in units of the currency; at least 20 events. */
float watch_day(const struct watch *watch);

/* Amounts in units of the currency. */
struct watch_gates {
    float ticket;
    float page;
};
/* There is evidence enough for a page. */
bool watch_may_page(const struct watch *watch);
/* The tier that the present excess makes of a record of this watch: at least a note. */
enum watch_tier watch_impact(const struct watch *watch, const struct watch_gates *gates);
/* The excess is below half of what makes a ticket. */
bool watch_is_calm(const struct watch *watch, const struct watch_gates *gates);

/* What an operator says of an incident. */
enum watch_answer {
    WATCH_REAL, /* what happened is no measure of what is usual: the records of before come back */
    WATCH_PLANNED, /* it was to be expected, once: nothing more is told of it */
    WATCH_NORMAL,  /* so it is from now on: the present level is the usual one */
    WATCH_ANSWER_COUNT
};
extern const char *const watch_answer_names[WATCH_ANSWER_COUNT];
/* False for what is no such word. */
bool watch_answer_by_name(struct text name, enum watch_answer *out);
/* `before`: the records of before the incident. The incident itself is left as it is. */
void watch_hear(struct watch *watch, enum watch_metric metric, enum watch_answer answer,
                const struct extremes before[CHANNEL_COUNT]);

/* ---- rules that need no evidence ---------------------------------------------------------------- */

enum watch_rule {
    WATCH_RULE_FALLBACKS, /* more than 20 % of the attempts are not the first of their request */
    WATCH_RULE_OUTPUT,    /* more than twice the usual output tokens a request */
    WATCH_RULE_COUNT
};
/* Brings book.broken in line with a window in which there were requests enough; broken until 5 points
 * (half of the usual) below, or until nothing was used for a day. True: it changed. */
bool watch_breaks(struct watch *watch, const struct watch_window *window, enum watch_rule rule);

/* ---- stored ------------------------------------------------------------------------------------ */
/* One row a series; that of the cost has the book as well. Of version 1: the version and the metric, a
 * byte each, six of 0, then the structs as they are, little-endian. */
#define WATCH_STATE_SIZE 512
size_t watch_store(const struct watch *watch, enum watch_metric metric, char out[WATCH_STATE_SIZE]);
/* False, and nothing changed, when this is no state of the metric that this version knows. */
bool watch_restore(struct watch *watch, enum watch_metric metric, const void *state, size_t size);

/* ---- for people ----------------------------------------------------------------------------------- */
/* The record of an incident: "highest 5 min in 48 days, 3.4x the old record". Returns out. */
const char *watch_words(const struct watch *watch, enum watch_metric metric,
                        char out[DETECTOR_TEXT_SIZE]);

/* Who makes an excess: the three that make the most of it, each a tenth at least. */
#define WATCH_TOP 3
struct watch_top {
    struct {
        struct text name;
        float excess;
    } at[WATCH_TOP];
};
void watch_top_add(struct watch_top *top, struct text name, float excess);

/* A limit that the present period will pass as it goes. */
struct watch_limit {
    struct text name;
    struct text unit;
    bool is_money; /* nano-units, else counts */
    tally limit;
    tally forecast; /* of the period's end */
};

/* What an alert says of an incident, in one line. */
struct watch_story {
    enum watch_metric metric;
    const struct watch *watch;
    const char *unit;                /* of money */
    const char *since;               /* local time */
    const struct watch_top *top;     /* NULL: not known */
    const struct watch_limit *limit; /* NULL: none is in danger */
};
#define WATCH_STORY_SIZE 1536
const char *watch_tell(const struct watch_story *story, char out[WATCH_STORY_SIZE]);
/* A value with its unit: "12.40 USD", "1200 requests", "31 %". Returns out. */
#define WATCH_VALUE_SIZE 64
const char *watch_value_text(enum watch_metric metric, float value, const char *unit,
                             char out[WATCH_VALUE_SIZE]);

/* What a broken rule says. Returns out. */
const char *watch_tell_rule(enum watch_rule rule, const struct watch_window *window,
                            char out[WATCH_STORY_SIZE]);

#endif
