/*
 * When an undelivered message is tried again, and when it is given up.
 *
 * Delays between attempts, the last one repeated until the message is too old, then dead:
 *
 *   critical  5s 15s 30s 1m 2m 5m 10m 30m 1h 2h 4h      24 hours
 *   others    5s 5m 30m 2h 5h 10h 14h 20h 24h           72 hours
 *   refused   5m 30m 2h 6h, then dead (HTTP 3xx and 4xx that waiting seldom cures)
 *
 * Every delay is spread by up to 20 % either way; the spread comes from a hash of the message's id,
 * so that the same message has the same schedule wherever it is computed.  The last attempt falls
 * on the moment the message becomes too old.
 */
#ifndef SINKS_RETRY_H
#define SINKS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* What an attempt came to. */
enum verdict {
    VERDICT_DELIVERED,
    VERDICT_RETRY, /* the endpoint is in trouble: connect, TLS, time-out, 408, 429, 5xx, SMTP 4xx */
    VERDICT_REFUSED, /* the endpoint answers and does not want it: other 3xx and 4xx */
    VERDICT_DEAD,    /* no attempt can succeed: SMTP 5xx */
    VERDICT_GONE,    /* HTTP 410: the endpoint is never used again */
};

#define ATTEMPT_TEXT_SIZE 512

struct attempt {
    enum verdict verdict;
    int64_t retry_after_ms;       /* what the endpoint asked for; 0: nothing */
    char text[ATTEMPT_TEXT_SIZE]; /* one line for people; "" when delivered */
};

struct retry {
    const char *id;     /* of the message */
    bool critical;      /* its severity */
    int attempts;       /* made so far, this one included */
    int refusals;       /* VERDICT_REFUSED so far, this one included */
    int64_t created_ms; /* when it was frozen */
};

/* When the next attempt after a failed one is due. False: there is none, the message is dead. */
bool retry_next(const struct retry *retry, const struct attempt *attempt, int64_t now_ms,
                int64_t *next_ms);

/* `ms` spread by up to 20 % either way. */
int64_t retry_jitter(const char *id, int attempts, int64_t ms);

#endif
