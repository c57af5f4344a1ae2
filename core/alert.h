/*
 * Alerts: episodes and their transitions (docs: what is an episode, schemas/alert.v1.json).
 *
 * A rule raises an episode for a scope; the episode fires, may rise in steps, and is resolved with
 * a reason.  The engine's shards write transitions only; episode and sequence numbers are given by
 * the store inside the settlement, delivery is the notifier's.
 */
#ifndef CORE_ALERT_H
#define CORE_ALERT_H

#include "core/arena.h"
#include "core/money.h"

enum severity {
    SEVERITY_INFO,
    SEVERITY_WARNING,
    SEVERITY_ERROR,
    SEVERITY_CRITICAL,
    SEVERITY_COUNT
};
extern const char *const severity_names[SEVERITY_COUNT];

enum resolved {
    RESOLVED_NOT,
    RESOLVED_CLEARED,
    RESOLVED_PERIOD_ROLLOVER,
    RESOLVED_LIMIT_RAISED,
    RESOLVED_TOPPED_UP,
    RESOLVED_RULE_REMOVED,
    RESOLVED_OPERATOR,
    RESOLVED_BREAKER_CLOSED,
    RESOLVED_COUNT
};
extern const char *const resolved_names[RESOLVED_COUNT]; /* "" for RESOLVED_NOT */

enum move { MOVE_FIRE, MOVE_STEP, MOVE_RESOLVE };

/* The labels that make an alert's identity; in this (sorted) order in the fingerprint. */
enum label {
    LABEL_API_KEY_ID,
    LABEL_ENDPOINT,
    LABEL_FEATURE,
    LABEL_IP,
    LABEL_MODEL,
    LABEL_PARTITION,
    LABEL_PERIOD, /* its start, RFC 3339 UTC */
    LABEL_PROJECT,
    LABEL_PROVIDER,
    LABEL_SOURCE,
    LABEL_TENANT,
    LABEL_TOPIC,
    LABEL_COUNT
};
extern const char *const label_names[LABEL_COUNT];

#define ALERT_STEP_LIMIT 16

struct transition {
    enum move move;
    struct text rule;                /* "quota/api_calls": kind and unique name */
    struct text labels[LABEL_COUNT]; /* absent ones are left out */
    enum severity severity;
    int64_t at_ms;     /* shard time */
    int32_t step;      /* percent of the step reached; 0 where the rule has none, or an amount: */
    tally step_amount; /* the step reached, as the value; 0: it is none */
    int32_t crossed[ALERT_STEP_LIMIT]; /* all steps newly crossed that are percentages, rising */
    size_t crossed_count;
    tally crossed_amounts[ALERT_STEP_LIMIT]; /* and those that are amounts, likewise */
    size_t crossed_amount_count;
    bool has_value;
    bool is_money; /* value and threshold are nano-units of currency */
    tally value;
    tally threshold;
    struct text unit;     /* "requests", "tokens", "USD" */
    struct text zone;     /* the tenant's, for times in the message */
    int64_t resets_ms;    /* 0: does not apply */
    bool restricts;       /* a restriction on traffic comes with it */
    enum resolved reason; /* with MOVE_RESOLVE */
    struct text summary;  /* one line for people; absent: made from the members above */
};

#define FINGERPRINT_SIZE 17
/* First 8 bytes of SHA-256("v1\0" rule "\0" sorted "k=v\0"), as 16 hex digits: the text to hash is
 * built here, hashing it is the caller's. Returns its size, or 0 when room does not suffice. */
size_t alert_identity(char *out, size_t room, struct text rule,
                      const struct text labels[LABEL_COUNT]);

/* Deep copy; NULL when the arena is full. */
struct transition *transition_copy(const struct transition *from, struct arena *arena);

#endif
