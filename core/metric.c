#include "core/metric.h"

#include "core/event.h"

_Static_assert(DEAD_COUNT <= sizeof(((struct metric_set *)0)->dead) / sizeof(_Atomic int64_t),
               "every reason has its counter");

const int64_t delay_bounds_ms[DELAY_BUCKETS - 1] = {1,   2,   5,    10,   20,   50,   100,
                                                    200, 500, 1000, 2000, 5000, 10000};

static void
add(_Atomic int64_t *to, int64_t amount)
{
    const int64_t now = atomic_load_explicit(to, memory_order_relaxed);

    atomic_store_explicit(to, now + amount, memory_order_relaxed);
}

void
metric_delay(struct metric_set *set, int64_t delay_ms)
{
    /* The broker's clock may be ahead of ours. */
    const int64_t delay = delay_ms > 0 ? delay_ms : 0;
    size_t bucket = 0;

    while (bucket < DELAY_BUCKETS - 1 && delay > delay_bounds_ms[bucket])
        bucket++;
    add(&set->delay[bucket], 1);
    add(&set->delay_sum_ms, delay);
}
