#include "engine/worker_state.h"

#include "config/log.h"
#include "config/now.h"

#include <inttypes.h>
#include <stdlib.h>

/* Time that passed without any effect is settled now and then, so that it does not fall by much. */
#define TIME_EVERY_MS 10000

/* Transactions end in markers that are no records: those at the end of a partition are settled as
 * well, so that whoever compares with the end of the log sees that nothing is left.  Where a record
 * that came was not applied, the consumer expects more than the shard, and nothing is passed over. */
static void
book_markers(struct worker *worker, struct held *held)
{
    const struct config *config = worker->setup.config;

    for (size_t t = 0; t < config->kafka.topic_count; t++) {
        const int64_t next = shard_next_offset(held->shard, (int32_t)t);
        const int64_t end = consumer_end(worker->consumer, (int32_t)t, held->number);

        if (!held->topics[t].halted && end > next && end - next <= config->kafka.gap_max &&
            consumer_expects(worker->consumer, (int32_t)t, held->number) == next)
            shard_gap(held->shard, (int32_t)t, next, end);
    }
}

static void
freeze(struct worker *worker, struct held *held)
{
    apply_fingerprints(worker, held);
    book_markers(worker, held);
    held->frozen = shard_freeze(held->shard);
    if (held->frozen == NULL)
        return;
    held->freeze_at_ms = now_steady_ms() + worker->setup.config->settle.interval_ms;
    held->time_at_ms = now_steady_ms() + TIME_EVERY_MS;
    settler_settle(worker->settler, held->frozen);
}

void
settling_freeze(struct worker *worker, bool all)
{
    const int64_t now_ms = now_steady_ms();

    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *held = &worker->held[i];
        const bool due =
            now_ms >= held->freeze_at_ms ||
            (held->shard != NULL && held->state == HELD_RUNNING && shard_full(held->shard));

        if (held->state != HELD_RUNNING || held->frozen != NULL || held->parked > 0)
            continue;
        if (shard_clean(held->shard) ? (all || now_ms >= held->time_at_ms) : (all || due))
            freeze(worker, held);
    }
}

bool
settling_overdue(const struct worker *worker)
{
    const int64_t before_ms = now_steady_ms() - worker->setup.config->settle.interval_ms;

    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].state == HELD_RUNNING && worker->held[i].parked > 0 &&
            worker->held[i].frozen == NULL && worker->held[i].freeze_at_ms < before_ms)
            return true;
    return false;
}

static void
drop_ghost(struct worker *worker, const struct settlement *frozen)
{
    struct ghost *ghosts = worker->ghosts.at;

    for (size_t i = 0; i < worker->ghosts.count; i++)
        if (ghosts[i].frozen == frozen) {
            shard_free(ghosts[i].shard);
            arena_free(ghosts[i].memory);
            ghosts[i] = ghosts[--worker->ghosts.count];
            return;
        }
}

static void
hint(struct worker *worker, const struct settlement *settlement)
{
    for (size_t t = 0; t < settlement->topic_count; t++)
        if (settlement->progress[t].moved)
            consumer_hint(worker->consumer, (int32_t)t, settlement->shard,
                          settlement->progress[t].next);
}

void
settling_tell(struct worker *worker)
{
    /* A hint from a member that the group has replaced would be the end of the client. */
    if (!worker->stalled && consumer_up(worker->consumer))
        consumer_tell_hints(worker->consumer);
}

/* Where the next try looks for what was refused: record by record (Postgres remembers that), dead
 * letter by dead letter. If it is neither, trying goes on, ever slower. */
static void
refused(struct held *held, const struct settlement *settlement)
{
    bool moved = false;

    for (size_t t = 0; t < settlement->topic_count; t++)
        moved |= settlement->progress[t].moved;
    held->alone |= settlement->commands.count > 0;
    held->refusals = moved ? 0 : held->refusals + 1;
}

static void
came_back(struct worker *worker, struct reply *reply)
{
    struct held *held = worker_held(worker, reply->shard);

    if (held == NULL || held->frozen != reply->settlement) {
        drop_ghost(worker, reply->settlement);
        return;
    }
    held->frozen = NULL;
    held->refused = reply->kind == REPLY_REFUSED;
    if (reply->kind == REPLY_SETTLED) {
        held->refusals = 0;
        hint(worker, reply->settlement);
        if (!held->void_memory) {
            shard_settled(held->shard, reply->differing, reply->differing_count);
            if (held->state == HELD_RUNNING)
                worker_want(worker, held);
        }
        return;
    }
    log_warning(reply->kind == REPLY_FENCED ? "fenced" : "single_steps", "shard=%d text=\"%s\"",
                held->number, reply->why.text);
    if (held->refused)
        refused(held, reply->settlement);
    if (held->state == HELD_RETAINED)
        held->void_memory = true;
    else
        claims_again(worker, held);
}

static void
take(struct worker *worker, struct reply *reply)
{
    struct held *held;

    switch (reply->kind) {
    case REPLY_CLAIMED:
        claims_taken(worker, reply);
        break;
    case REPLY_CLAIM_LATER:
        claims_later(worker, reply);
        break;
    case REPLY_SETTLED:
    case REPLY_FENCED:
    case REPLY_REFUSED:
        came_back(worker, reply);
        free(reply->differing);
        break;
    case REPLY_TRIED:
        held = worker_held(worker, reply->shard);
        if (held != NULL)
            held->tried = reply->times;
        break;
    case REPLY_WAITING:
        held = worker_held(worker, reply->shard);
        /* An answer that came too late is older than what was booked since. */
        if (held == NULL || held->page != NULL || reply->asked != worker->pages) {
            arena_free(reply->memory);
            break;
        }
        held->page = reply->memory;
        held->waiting = reply->waiting;
        held->waiting_count = reply->waiting_count;
        break;
    case REPLY_COMMAND:
        orders_take(worker, reply->order);
        break;
    case REPLY_OVERDUE:
        orders_overdue(worker, reply->shard, reply->due, reply->due_count);
        arena_free(reply->memory);
        break;
    case REPLY_FATAL:
        worker_fatal(worker, &reply->why);
        break;
    }
}

void
settling_replies(struct worker *worker, int timeout_ms)
{
    struct reply reply;

    while (settler_reply(worker->settler, timeout_ms, &reply)) {
        take(worker, &reply);
        timeout_ms = 0;
    }
}

bool
settling_wait(struct worker *worker, struct held *held)
{
    const int32_t number = held->number;

    do {
        const bool parked = held->parked > 0;

        /* What is parked may wait for one answer each: not for a settlement beside it. */
        if (parked)
            (void)loading_turn(worker, 50);
        else if (held->frozen == NULL)
            freeze(worker, held);
        settling_replies(worker, parked ? 0 : 50);
        worker_serve(worker);
        held = worker_held(worker, number);
    } while (!worker->dropped && held != NULL && held->state == HELD_RUNNING &&
             !atomic_load(&worker->draining) &&
             (held->frozen != NULL || held->parked > 0 || !shard_clean(held->shard)));
    return held != NULL && held->state == HELD_RUNNING;
}

bool
settling_page(struct worker *worker, struct held *held, const struct unpriced_query *query)
{
    const int32_t number = held->number;

    arena_free(held->page);
    held->page = NULL;
    settler_waiting(worker->settler, query, ++worker->pages);
    do {
        settling_replies(worker, 50);
        worker_serve(worker);
        held = worker_held(worker, number);
    } while (!worker->dropped && held != NULL && held->state == HELD_RUNNING &&
             held->page == NULL && !atomic_load(&worker->draining));
    return held != NULL && held->state == HELD_RUNNING && held->page != NULL;
}

int32_t
settling_try(struct worker *worker, struct held *held, const struct record *record)
{
    const int32_t number = held->number;

    held->tried = 0;
    settler_try(worker->settler,
                &(struct trial){.shard = number,
                                .epoch = shard_epoch(held->shard),
                                .topic = worker->setup.config->kafka.topics[record->topic],
                                .offset = record->offset});
    do {
        settling_replies(worker, 50);
        worker_serve(worker);
        held = worker_held(worker, number);
    } while (!worker->dropped && held != NULL && held->state == HELD_RUNNING && held->tried == 0 &&
             !atomic_load(&worker->draining));
    return held != NULL && held->state == HELD_RUNNING ? held->tried : 0;
}
