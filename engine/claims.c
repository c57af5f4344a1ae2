#include "engine/worker_state.h"

#include "config/log.h"
#include "config/now.h"
#include "sinks/dead_topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLAIM_RETRY_MS 500
#define ASK_RETRY_MS   100
#define GATHER_MS      300
#define REFUSALS       7 /* settlements refused in a row: no pause is longer than 64 s */
#define TENANT_LIMIT   200000

/* Owners that ended without a settlement, after which records are taken one by one for a while: one
 * of them may be what ends the process. */
#define CLAIMS_IN_VAIN  2
#define CAREFUL_RECORDS 1000

static struct shard *
new_shard(const struct worker *worker, int32_t number)
{
    const struct config *config = worker->setup.config;

    return shard_new(&(struct shard_setup){.shard = number,
                                           .topic_count = config->kafka.topic_count,
                                           .topics = config->kafka.topics,
                                           .dedupe = config->dedupe.on,
                                           .dedupe_window_ms = config->dedupe.window_ms,
                                           .dedupe_records = config->dedupe.records,
                                           .settle_memory = config->settle.memory,
                                           .tenant_limit = TENANT_LIMIT,
                                           .burst_entries = (size_t)config->burst.entries,
                                           .halt_on_dead = config->ingest.halt_on_dead,
                                           .keep_dead_payload = config->ingest.keep_dead_payload,
                                           .record = config->record.on,
                                           .metrics = worker->setup.metrics});
}

static struct held
held_new(int32_t number)
{
    struct held held = {.number = number};

    for (size_t t = 0; t < TOPIC_LIMIT; t++)
        held.topics[t].refuse = held.topics[t].step_until = held.topics[t].tail_from = -1;
    return held;
}

static void
drop(struct worker *worker, struct held *held)
{
    struct held fresh = held_new(held->number);

    loading_forget(worker, held->number);
    shard_free(held->shard);
    arena_free(held->memory);
    arena_free(held->page);
    /* What the database refused is refused also after the next claim. */
    for (size_t t = 0; t < TOPIC_LIMIT; t++)
        fresh.topics[t].refuse = held->topics[t].refuse;
    fresh.refusals = held->refusals;
    fresh.alone = held->alone;
    fresh.refuse_command = held->refuse_command;
    *held = fresh;
}

/* Memory can go on where it stands: it ran, and every tail had been read. */
static bool
is_whole(const struct worker *worker, const struct held *held)
{
    if (held->state != HELD_RUNNING || held->parked > 0)
        return false;
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        if (!held->topics[t].halted &&
            held->topics[t].position < shard_next_offset(held->shard, (int32_t)t))
            return false;
    return true;
}

static void
serve(struct worker *worker)
{
    int32_t *shards = calloc(worker->held_count + 1, sizeof *shards);
    size_t count = 0;

    if (shards == NULL)
        abort();
    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].state == HELD_RUNNING)
            shards[count++] = worker->held[i].number;
    settler_serve(worker->settler, shards, count);
    metric_set_to(worker->setup.metrics, METRIC_SHARDS, (int64_t)count);
    free(shards);
}

/* A shard is held on to after a revocation: whatever is under way for it goes on, and if nobody else
 * claims it until it comes back, memory is still right. */
void
claims_lost(struct worker *worker, bool retain)
{
    worker->dropped = true;
    worker->joined = false;
    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *held = &worker->held[i];

        if (held->state == HELD_RETAINED)
            continue;
        control_disown(worker->setup.control, held->number);
        held->void_memory = held->void_memory || !retain || !is_whole(worker, held);
        held->state = HELD_RETAINED;
        loading_forget(worker, held->number);
    }
    serve(worker);
}

void
claims_changed(struct worker *worker)
{
    const int32_t *shards;
    const size_t count = consumer_shards(worker->consumer, &shards);

    atomic_store(&worker->reach, consumer_reach(worker->consumer));
    struct held *next = calloc(count + 1, sizeof *next);

    if (next == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct held *before = worker_held(worker, shards[i]);

        next[i] = before != NULL ? *before : held_new(shards[i]);
        next[i].state = HELD_CLAIMING;
        next[i].claim_at_ms = 0;
        if (before != NULL)
            *before = held_new(-1);
    }
    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *gone = &worker->held[i];

        if (gone->number < 0)
            continue;
        if (gone->frozen == NULL) {
            drop(worker, gone);
            continue;
        }
        struct ghost *ghost = list_add(&worker->ghosts);

        if (ghost == NULL)
            abort();
        *ghost = (struct ghost){gone->frozen, gone->shard, gone->memory};
        loading_forget(worker, gone->number);
    }
    free(worker->held);
    worker->held = next;
    worker->held_count = count;
    worker->joined = true;
    worker->stalled = false;
    log_info("assigned", "worker=%s shards=%zu", worker->setup.name, count);
}

static void
say_why(struct held *held, const char *text)
{
    if (strcmp(held->why, text) != 0)
        log_warning("claim", "shard=%d text=\"%s\"", held->number, text);
    (void)text_copy(held->why, sizeof held->why, text_of(text));
}

void
claims_later(struct worker *worker, const struct reply *reply)
{
    struct held *held = worker_held(worker, reply->shard);

    if (held == NULL)
        return;
    held->asked = false;
    held->claim_at_ms = now_steady_ms() + CLAIM_RETRY_MS;
    say_why(held, reply->why.text);
}

static int64_t
again_after_ms(const struct held *held)
{
    const int32_t doubled = held->refusals < REFUSALS ? held->refusals : REFUSALS;

    return (int64_t)CLAIM_RETRY_MS << doubled;
}

void
claims_again(struct worker *worker, struct held *held)
{
    control_disown(worker->setup.control, held->number);
    held->void_memory = true;
    loading_forget(worker, held->number);
    held->state = HELD_CLAIMING;
    held->claim_at_ms = now_steady_ms() + again_after_ms(held);
    serve(worker);
}

void
claims_halt(struct worker *worker, struct held *held, int32_t topic, const char *why)
{
    struct held_topic *part = &held->topics[topic];

    if (part->halted)
        return;
    part->halted = true;
    (void)text_copy(part->why, sizeof part->why, text_of(why));
    consumer_stop(worker->consumer, held->number, topic);
    metric_add(worker->setup.metrics, METRIC_HALTED, 1);
    log_error("partition_halted", "topic=%s partition=%d text=\"%s\"",
              worker->setup.config->kafka.topics[topic], held->number, why);
}

void
claims_halt_unreadable(struct worker *worker, struct held *held, int32_t topic)
{
    if (shard_halted(held->shard, topic))
        claims_halt(worker, held, topic,
                    "more than half of the events cannot be read: see `tripmeter dead list`; put "
                    "it right, then `tripmeter dead resume TOPIC/PARTITION`");
}

/* ---- from which offset --------------------------------------------------------------------------- */

/* The tail that must be read again for the duplicate window and to recognise the last record. */
static bool
tail_of(struct worker *worker, struct held *held, int32_t topic, const struct progress *progress,
        const struct watermark *mark, struct err *why)
{
    const struct config *config = worker->setup.config;
    struct held_topic *part = &held->topics[topic];
    int64_t from = progress->next;

    part->verify_offset = -1;
    if (progress->last_offset >= mark->low) {
        part->verify_offset = progress->last_offset;
        part->verify_fingerprint = progress->last_fingerprint;
        from = progress->last_offset;
    }
    if (config->dedupe.on && progress->last_offset >= 0) {
        int64_t by_time;

        if (!consumer_offset_for_time(worker->consumer, topic, held->number,
                                      progress->time_ms - config->dedupe.window_ms + 1, &by_time,
                                      why))
            return false;
        int64_t tail = progress->next - config->dedupe.records + 1;

        /* Where producers' times run backwards, the highest time so far, by which occurrences are
         * judged, may stand on a record that is further back than the bound on records. */
        if (by_time >= 0 && (by_time > tail || config->kafka.time == TIME_TRUST_PRODUCERS))
            tail = by_time;
        if (tail < from)
            from = tail;
    }
    part->tail_from = from < mark->low ? mark->low : from;
    return true;
}

static bool
begin_topic(struct worker *worker, struct held *held, int32_t topic, struct progress *progress,
            struct err *why)
{
    struct watermark mark;
    char text[160];

    if (!consumer_query(worker->consumer, topic, held->number, &mark, why))
        return false;
    if (progress->next < 0)
        progress->from = progress->next = mark.low;
    held->topics[topic].tail_from = -1;
    held->topics[topic].claimed_end = mark.high;
    if (progress->next > mark.high) {
        (void)snprintf(text, sizeof text,
                       "offset %" PRId64 " is settled but the log ends at %" PRId64
                       ": was it truncated or the topic re-created?",
                       progress->next - 1, mark.high);
        claims_halt(worker, held, topic, text);
        return true;
    }
    if (progress->next < mark.low) {
        (void)snprintf(text, sizeof text,
                       "offsets %" PRId64 " to %" PRId64
                       " were deleted before they were read: raise the topic's retention",
                       progress->next, mark.low - 1);
        claims_halt(worker, held, topic, text);
        return true;
    }
    return tail_of(worker, held, topic, progress, &mark, why);
}

static void
start_reading(struct worker *worker, struct held *held)
{
    int64_t offsets[TOPIC_LIMIT];

    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        offsets[t] = held->topics[t].halted ? -1 : held->topics[t].tail_from;
    consumer_start(worker->consumer, held->number, offsets);
    if (!worker->assign)
        worker->assign_by_ms = now_steady_ms() + GATHER_MS;
    worker->assign = true;
}

bool
claims_gathered(const struct worker *worker)
{
    bool coming = false;

    for (size_t i = 0; i < worker->held_count; i++)
        coming |= worker->held[i].asked || worker->held[i].state == HELD_LOADING;
    return !coming || now_steady_ms() >= worker->assign_by_ms;
}

static void
be_careful(struct worker *worker, struct held *held, const struct claim *claim)
{
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++) {
        held->topics[t].careful = true;
        if (held->topics[t].step_until < 0)
            held->topics[t].step_until = claim->progress[t].next + CAREFUL_RECORDS - 1;
    }
    log_warning(
        "careful",
        "shard=%d text=\"%d owners ended without a settlement: records are taken one by one\"",
        held->number, (int)claim->claims - 1);
}

/* The broker is asked before anything is read. False when it does not answer: the claim stands, and it
 * is asked again. */
static bool
ask_broker(struct worker *worker, struct held *held)
{
    struct err why;

    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++) {
        held->topics[t] = (struct held_topic){.step_until = held->claim.attempting[t],
                                              .refuse = held->topics[t].refuse,
                                              .dead = held->claim.dead[t],
                                              .dead_count = held->claim.dead_count[t],
                                              .position = -1};
        if (begin_topic(worker, held, (int32_t)t, &held->claim.progress[t], &why))
            continue;
        held->claim_at_ms = now_steady_ms() + ASK_RETRY_MS;
        say_why(held, why.text);
        return false;
    }
    return true;
}

static void
begin(struct worker *worker, struct held *held)
{
    if (held->claim.claims > CLAIMS_IN_VAIN)
        be_careful(worker, held, &held->claim);
    shard_begin(held->shard, &(struct shard_start){.epoch = held->claim.epoch,
                                                   .seq = held->claim.seq,
                                                   .time_ms = held->claim.time_ms,
                                                   .closed_ms = held->claim.closed_ms,
                                                   .inherits_ms = held->claim.inherits_ms,
                                                   .progress = held->claim.progress,
                                                   .policy = held->policy,
                                                   .enforcing = held->claim.enforcing,
                                                   .halted = held->claim.halted});
    worker_enforcing(worker, held->claim.enforcing);
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        claims_halt_unreadable(worker, held, (int32_t)t);
    held->state = HELD_LOADING;
    held->why[0] = '\0';
}

static void
keep_claim(struct worker *worker, struct held *held, struct reply *reply)
{
    if (held->shard == NULL)
        held->shard = new_shard(worker, held->number);
    if (held->shard == NULL)
        abort();
    arena_free(held->memory);
    held->memory = reply->memory;
    held->claim = reply->claim;
    held->policy = reply->policy;
    held->due = reply->due;
    held->due_count = reply->due_count;
    held->due_loaded = 0;
    held->caught_up = false;
    held->command_waiting = reply->claim.command_waiting;
    held->command_taken = 0;
    held->claim_at_ms = 0;
    held->state = HELD_ASKING;
}

void
claims_run(struct worker *worker, struct held *held)
{
    held->state = HELD_RUNNING;
    held->freeze_at_ms = now_steady_ms() + worker->setup.config->settle.interval_ms;
    start_reading(worker, held);
    worker_want(worker, held);
    serve(worker);
    if (worker->setup.dead_topic != NULL)
        dead_topic_wake(worker->setup.dead_topic, held->number);
    log_info("claimed", "shard=%d epoch=%" PRId64 " next=%" PRId64 " tail=%" PRId64, held->number,
             shard_epoch(held->shard), shard_next_offset(held->shard, 0),
             held->topics[0].tail_from);
}

void
claims_taken(struct worker *worker, struct reply *reply)
{
    struct held *held = worker_held(worker, reply->shard);

    if (held != NULL)
        held->asked = false;
    if (held == NULL || held->state != HELD_CLAIMING) {
        arena_free(reply->memory);
        return;
    }
    worker_layout(worker, reply->claim.partitions, NULL);
    control_layout(worker->setup.control, reply->claim.layout_epoch);
    control_own(worker->setup.control, held->number, reply->claim.epoch);
    if (!reply->claim.kept || held->shard == NULL) {
        keep_claim(worker, held, reply);
        return;
    }
    /* Nobody else had it: go on where memory stands. */
    arena_free(reply->memory);
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        if (held->topics[t].tail_from < 0 ||
            held->topics[t].tail_from < shard_next_offset(held->shard, (int32_t)t))
            held->topics[t].tail_from = shard_next_offset(held->shard, (int32_t)t);
    shard_republish(held->shard);
    claims_run(worker, held);
}

/* Postgres would refuse it, until the layout has it. */
static bool
is_beyond(struct worker *worker, struct held *held)
{
    char text[sizeof worker->beyond];
    const int32_t partitions = atomic_load(&worker->partitions);

    if (partitions == 0 || held->number < partitions)
        return false;
    (void)pthread_mutex_lock(&worker->view_lock);
    (void)text_copy(text, sizeof text, text_of(worker->beyond));
    (void)pthread_mutex_unlock(&worker->view_lock);
    held->claim_at_ms = now_steady_ms() + CLAIM_RETRY_MS;
    say_why(held, text);
    return true;
}

static void
ask_postgres(struct worker *worker, struct held *held)
{
    if (is_beyond(worker, held))
        return;
    if (held->void_memory)
        drop(worker, held);
    held->asked = true;
    settler_claim(worker->settler, held->number,
                  held->shard == NULL ? -1 : shard_epoch(held->shard),
                  held->shard == NULL ? -1 : shard_seq(held->shard));
}

void
claims_ask(struct worker *worker)
{
    const int64_t now_ms = now_steady_ms();
    bool answers = true;

    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *held = &worker->held[i];

        if (held->claim_at_ms > now_ms || held->asked || held->frozen != NULL)
            continue;
        if (held->state == HELD_CLAIMING)
            ask_postgres(worker, held);
        if (held->state != HELD_ASKING || !answers)
            continue;
        answers = ask_broker(worker, held);
        if (answers)
            begin(worker, held);
    }
}
