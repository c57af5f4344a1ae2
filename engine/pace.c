/* How far the shards of a worker are: their lag, when the wall clock may move them, and when they have
 * caught up with what was known before. */
#include "engine/worker_state.h"

#include "config/log.h"

#include <inttypes.h>

/* Up to where everything of a partition is processed, markers of transactions included. */
static int64_t
reached(struct worker *worker, const struct held *held, size_t topic)
{
    const int64_t next = shard_next_offset(held->shard, (int32_t)topic);
    const int64_t end = consumer_end(worker->consumer, (int32_t)topic, held->number);

    return end > next ? end : next;
}

/* The wall clock counts only up to the moment at which the broker was asked and had nothing more. */
static int64_t
known_end(struct worker *worker, const struct held *held)
{
    const struct config *config = worker->setup.config;
    int64_t asked_ms = INT64_MAX;

    if (config->kafka.time == TIME_TRUST_PRODUCERS && config->clock_offset_ms == 0)
        return INT64_MIN;
    for (size_t t = 0; t < config->kafka.topic_count; t++) {
        struct watermark mark;

        if (held->topics[t].halted)
            continue;
        if (!consumer_watermark(worker->consumer, (int32_t)t, held->number, &mark) ||
            mark.high != reached(worker, held, t))
            return INT64_MIN;
        if (mark.asked_ms < asked_ms)
            asked_ms = mark.asked_ms;
    }
    return asked_ms == INT64_MAX ? INT64_MIN : asked_ms + config->clock_offset_ms;
}

static int64_t
lag_of(struct worker *worker, const struct held *held)
{
    int64_t lag = 0;

    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++) {
        struct watermark mark;

        if (consumer_watermark(worker->consumer, (int32_t)t, held->number, &mark) &&
            mark.high > reached(worker, held, t))
            lag += mark.high - reached(worker, held, t);
    }
    return lag;
}

/* Whoever had the shard before can have told the gateways what follows from records up to the end
 * that the log had at the claim, and from commands stored by then: until all of that is judged here
 * too, what is known is older than what the gateways were told.  What a halted partition still holds
 * is not waited for: nobody may judge it before an operator has spoken. */
static bool
has_caught_up(struct worker *worker, const struct held *held)
{
    if (held->parked > 0 || held->command_taken < held->command_waiting)
        return false;
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        if (!held->topics[t].halted && reached(worker, held, t) < held->topics[t].claimed_end)
            return false;
    return true;
}

/* Said at every tick: the publisher forgets it with every claim. */
static void
allow_when_caught_up(struct worker *worker, struct held *held)
{
    if (!held->caught_up && has_caught_up(worker, held)) {
        held->caught_up = true;
        log_info("caught_up", "shard=%d next=%" PRId64, held->number,
                 shard_next_offset(held->shard, 0));
    }
    if (held->caught_up)
        control_may_allow(worker->setup.control, held->number);
}

/* A halted partition was not read to its end: nothing may be closed before it is. */
static void
pass_time(struct held *held, int64_t end_ms, size_t topic_count)
{
    bool halted = false;

    for (size_t t = 0; t < topic_count; t++)
        halted |= held->topics[t].halted;
    if (shard_advance(held->shard, end_ms) && !halted)
        shard_read_to(held->shard, end_ms);
}

void
pace_tick(struct worker *worker)
{
    int64_t lag = 0;
    int64_t lag_ms = 0;
    int64_t restricted = 0;

    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *held = &worker->held[i];

        if (held->state != HELD_RUNNING)
            continue;
        const int64_t end_ms = known_end(worker, held);
        const int64_t behind = lag_of(worker, held);

        if (held->parked == 0 && end_ms != INT64_MIN)
            pass_time(held, end_ms, worker->setup.config->kafka.topic_count);
        worker_want(worker, held);
        allow_when_caught_up(worker, held);
        lag += behind;
        if (behind > 0 && shard_time(held->shard) > 0 &&
            worker_wall_ms(worker) - shard_time(held->shard) > lag_ms)
            lag_ms = worker_wall_ms(worker) - shard_time(held->shard);
        restricted += (int64_t)shard_restricted_count(held->shard);
        control_heartbeat(worker->setup.control, held->number, shard_time(held->shard), behind);
        /* Its numbers are used up, or the topic shows a later claim: only a new epoch is heard. */
        if (control_is_silent(worker->setup.control, held->number) && held->frozen == NULL)
            claims_again(worker, held);
    }
    metric_set_to(worker->setup.metrics, METRIC_LAG_RECORDS, lag);
    metric_set_to(worker->setup.metrics, METRIC_LAG_MS, lag_ms);
    metric_set_to(worker->setup.metrics, METRIC_RESTRICTED, restricted);
    metric_set_to(worker->setup.metrics, METRIC_DROPPED, consumer_repeated(worker->consumer));
}
