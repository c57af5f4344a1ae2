/*
 * What the engine counts of itself: metrics.def is the one list, from which /metrics comes.
 *
 * A set belongs to one thread, the only one that writes it; readers sum the sets.  Relaxed
 * atomics: a reader sees every value whole, perhaps a moment late.
 */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

enum metric {
#define METRIC(id, name, labels, type, help) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* Decision delay: when the broker acknowledged it minus the record's time; upper bounds in ms, the
 * last one open. */
#define DELAY_BUCKETS 14
extern const int64_t delay_bounds_ms[DELAY_BUCKETS - 1];

struct metric_set {
    _Atomic int64_t value[METRIC_COUNT];
    _Atomic int64_t delay[DELAY_BUCKETS]; /* not cumulated */
    _Atomic int64_t delay_sum_ms;
    _Atomic int64_t dead[32]; /* by enum dead_reason */
};

static inline void
metric_add(struct metric_set *set, enum metric metric, int64_t amount)
{
    const int64_t now = atomic_load_explicit(&set->value[metric], memory_order_relaxed);

    atomic_store_explicit(&set->value[metric], now + amount, memory_order_relaxed);
}

static inline void
metric_set_to(struct metric_set *set, enum metric metric, int64_t value)
{
    atomic_store_explicit(&set->value[metric], value, memory_order_relaxed);
}

static inline int64_t
metric_get(const struct metric_set *set, enum metric metric)
{
    return atomic_load_explicit(&set->value[metric], memory_order_relaxed);
}

void metric_delay(struct metric_set *set, int64_t delay_ms);

#endif
