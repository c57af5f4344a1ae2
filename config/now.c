#include "config/now.h"

#include "core/clock.h"

static int64_t
in_ms(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND_MS + now.tv_nsec / 1000000;
}

int64_t
now_wall_ms(void)
{
    return in_ms(CLOCK_REALTIME);
}

int64_t
now_steady_ms(void)
{
    return in_ms(CLOCK_MONOTONIC);
}

void
now_steady_condition(pthread_cond_t *condition)
{
    pthread_condattr_t steady;

    (void)pthread_condattr_init(&steady);
    (void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &steady);
    (void)pthread_condattr_destroy(&steady);
}

struct timespec
now_steady_after(int64_t ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}
