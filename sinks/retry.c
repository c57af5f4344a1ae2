#include "sinks/retry.h"

#include "core/clock.h"

#include <string.h>
#include <xxhash.h>

#define S CLOCK_SECOND_MS
#define M CLOCK_MINUTE_MS
#define H CLOCK_HOUR_MS

static const int64_t critical_delays[] = {5 * S,  15 * S, 30 * S, 1 * M, 2 * M, 5 * M,
                                          10 * M, 30 * M, 1 * H,  2 * H, 4 * H};
static const int64_t other_delays[] = {5 * S,  5 * M,  30 * M, 2 * H, 5 * H,
                                       10 * H, 14 * H, 20 * H, 24 * H};
static const int64_t refused_delays[] = {5 * M, 30 * M, 2 * H, 6 * H};

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof(array)[0]))

static const int64_t longest_wish_ms = 1 * H;

/* How long a message of that severity is worth delivering. */
static int64_t
age_limit_ms(bool critical)
{
    return (critical ? 24 : 72) * H;
}

int64_t
retry_jitter(const char *id, int attempts, int64_t ms)
{
    const uint64_t hash = XXH3_64bits_withSeed(id, strlen(id), (uint64_t)attempts);

    return ms * (800 + (int64_t)(hash % 401)) / 1000;
}

static int64_t
delay_after(const struct retry *retry)
{
    const int64_t *delays = retry->critical ? critical_delays : other_delays;
    const int count = retry->critical ? COUNT_OF(critical_delays) : COUNT_OF(other_delays);

    return delays[retry->attempts < count ? retry->attempts - 1 : count - 1];
}

bool
retry_next(const struct retry *retry, const struct attempt *attempt, int64_t now_ms,
           int64_t *next_ms)
{
    const int64_t end_ms = retry->created_ms + age_limit_ms(retry->critical);
    int64_t delay_ms;

    if (attempt->verdict == VERDICT_REFUSED) {
        if (retry->refusals > COUNT_OF(refused_delays))
            return false;
        delay_ms = refused_delays[retry->refusals - 1];
    } else {
        delay_ms = delay_after(retry);
    }
    delay_ms = retry_jitter(retry->id, retry->attempts, delay_ms);
    /* A wish may lengthen the wait up to an hour, it never shortens it. */
    const int64_t wish_ms =
        attempt->retry_after_ms < longest_wish_ms ? attempt->retry_after_ms : longest_wish_ms;
    if (delay_ms < wish_ms)
        delay_ms = wish_ms;
    if (now_ms >= end_ms)
        return false;
    *next_ms = now_ms + delay_ms < end_ms ? now_ms + delay_ms : end_ms;
    return true;
}
