/*
 * The runaway breaker of one feature of one tenant.
 *
 *                 ┌──────────────────── at rest ───────────────────┐
 *                 │  LEARNING        SHADOW            CLOSED      │◄──────────────────────┐
 *                 │  no baseline     not enforced,     enforced    │                       │
 *                 │                  or a storm                    │                       │
 *                 └──────────────────────────────────────┬─────────┘                       │
 *                                                        │ over                            │
 *      third move here in 24 h                           ▼                                 │
 *   LATCHED ◄──────────────────────────────────────── OPEN                                 │
 *   operator only                                     15 min × 2^(n-1), at most 6 h        │
 *                                                     ▲  │ its time is over               │
 *         probe spent in under 5 min, ramp above 3 B  │  ▼        no call in 30 min        │
 *                                                     ├─ HALF_OPEN ────────────────────────┤
 *                                                     │  0.25 B in 10 min from the first   │
 *                                                     │  call; spent late: a second probe  │
 *                                                     │  ▼ not spent, or late twice        │
 *                                                     └─ RAMP ─────────────────────────────┘
 *                                                        50, 75, 100 % of 3 B pro rata,
 *                                                        10 min each
 *
 *   FORCED_OPEN, FORCED_CLOSED: from anywhere by an operator's word, until it ends; then at rest.
 *
 * "Over" is: calls enough, and the spending of this clock hour or of the last 60 minutes above
 * its limit.  B is the baseline at the moment of the trip.  n counts the moves into OPEN and falls by
 * one for every 6 hours at rest.  Not enforced, a breaker never leaves its rest: it says what it
 * would have cut.
 *
 * A state that restricts has a deadline or an operator's word to wait for: breaker_due says when it
 * must be judged without any event.  All amounts are nano-units, all times shard time.
 */
#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H

#include "core/clock.h"
#include "core/money.h"

/* The times up to BREAKER_RAMP_MS are those of a first cut of 15 minutes; where the policy has it last
 * longer or shorter, they and what may be spent in them keep their proportion to it. */
#define BREAKER_OPEN_MS       (15 * CLOCK_MINUTE_MS)
#define BREAKER_OPEN_LIMIT_MS (6 * CLOCK_HOUR_MS)
#define BREAKER_PROBE_MS      (10 * CLOCK_MINUTE_MS)
#define BREAKER_PROBE_FAST_MS (5 * CLOCK_MINUTE_MS)
#define BREAKER_IDLE_MS       (30 * CLOCK_MINUTE_MS)
#define BREAKER_RAMP_MS       (10 * CLOCK_MINUTE_MS)
#define BREAKER_CALM_MS       (6 * CLOCK_HOUR_MS)
#define BREAKER_LATCH_MS      (24 * CLOCK_HOUR_MS)
#define BREAKER_WARN_MS       (5 * CLOCK_MINUTE_MS)
#define BREAKER_STORM_MS      CLOCK_HOUR_MS
#define BREAKER_STORM_SEEN_MS (10 * CLOCK_MINUTE_MS)

enum breaker_state {
    BREAKER_LEARNING,
    BREAKER_SHADOW,
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
    BREAKER_RAMP,
    BREAKER_LATCHED,
    BREAKER_FORCED_OPEN,
    BREAKER_FORCED_CLOSED,
    BREAKER_STATE_COUNT
};
extern const char *const breaker_state_names[BREAKER_STATE_COUNT];

/* What an alert's step says; each further cut of one episode is one more than the one before. */
#define BREAKER_ALARM_WARN  200 /* per cent of the baseline */
#define BREAKER_ALARM_TRIP  300
#define BREAKER_ALARM_LATCH 400

struct breaker {
    enum breaker_state state;
    int64_t since_ms;
    int64_t until_ms;     /* end of the state; INT64_MAX: it has none */
    int32_t opens;        /* n */
    int64_t calm_ms;      /* when n falls by one; INT64_MAX: not now */
    int64_t opened_ms[2]; /* the last moves into OPEN by itself, newest first; INT64_MIN: none */
    int64_t tripped_ms;   /* when it was last found over, enforced or not; INT64_MIN: never */
    tally baseline;       /* B of that trip */
    tally observed;       /* what was above its limit then */
    tally spent;          /* in this probe or step */
    int32_t step;         /* HALF_OPEN: probe 1 or 2; RAMP: 50, 75, 100 */
    bool waits;           /* HALF_OPEN: for the first call */
    bool throttled;       /* the probe or step is spent: until its end */
    int32_t alarm;        /* 0: all is well; else BREAKER_ALARM_ */
    int64_t warn_ms;      /* when a warning is looked at again; INT64_MAX: there is none */
    int64_t shadow_ms;    /* not enforced until then: storm or operator; INT64_MIN: enforced */
    int64_t would_ms;     /* it would be open until then; INT64_MAX: it would not */
    tally would_block;    /* spent while it would have been open, since that began */
};

/* What the breaker is judged by: the feature as it is now. */
struct breaker_view {
    int64_t now_ms;
    int64_t open_ms;  /* how long a first cut lasts */
    bool enforce;     /* as the policy says */
    bool known;       /* there is a baseline */
    tally baseline;   /* B of this hour, for what comes after a trip */
    tally hour;       /* spent in this clock hour */
    tally hour_limit; /* over is above it */
    tally hour_warn;  /* a warning is above it */
    tally window;     /* the same of the last 60 minutes */
    tally window_limit;
    tally window_warn;
    tally calls; /* of the last 60 minutes */
    tally least_calls;
    bool event; /* something was spent just now: */
    tally spent;
    bool storm; /* too many features of the tenant trip at once: do not open */
};

void breaker_init(struct breaker *breaker);
/* The breaker is brought in line with what is now. True: it has left a state that restricts for one
 * at rest: what was spent so far does not count against it any more. */
bool breaker_judge(struct breaker *breaker, const struct breaker_view *view);
/* It would move into OPEN now if there is no storm. */
bool breaker_trips(const struct breaker *breaker, const struct breaker_view *view);

enum breaker_word {
    BREAKER_WORD_TRIP,   /* FORCED_OPEN until the given time */
    BREAKER_WORD_ALLOW,  /* FORCED_CLOSED until then */
    BREAKER_WORD_RESET,  /* at rest, n = 0, nothing of the past counts */
    BREAKER_WORD_ACCEPT, /* the same; the caller sees to it that the present level is usual */
    BREAKER_WORD_SHADOW, /* at rest and not enforced until then */
    BREAKER_WORD_STORM,  /* the same, and as if it had not opened; not an operator's */
    BREAKER_WORD_COUNT
};
/* "trip", "allow", ...: false for what is no operator's word. */
bool breaker_word_by_name(struct text name, enum breaker_word *out);
/* Like breaker_judge. until_ms INT64_MAX: until another word. */
bool breaker_say(struct breaker *breaker, enum breaker_word word, int64_t until_ms,
                 const struct breaker_view *view);

/* When it must be judged again without any event; INT64_MAX: it waits for spending or a word. */
int64_t breaker_due(const struct breaker *breaker);
/* The traffic of the feature is to be stopped now; *throttles: a probe's or a step's budget is spent,
 * the next one is at until_ms. */
bool breaker_restricts(const struct breaker *breaker, bool *throttles);
/* One of the three states at rest. */
bool breaker_rests(const struct breaker *breaker);
/* Its hours say nothing about what is usual. */
bool breaker_taints(const struct breaker *breaker);

#endif
