#include "engine/worker_state.h"

#include "config/failpoint.h"
#include "config/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define TRIES        2    /* a record that ended the process so often is quarantined */
#define OLD_MS       5000 /* of a record: later than that */
#define DEAD_INDEXES 4096 /* events of one record that the list of dead positions tells apart */

static int
by_position(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool
was_dead(const struct held_topic *part, int64_t offset, int32_t index)
{
    const int64_t position = offset * DEAD_INDEXES + index;

    return part->dead_count > 0 &&
           bsearch(&position, part->dead, part->dead_count, sizeof position, by_position) != NULL;
}

/* Before next_offset: what was seen is remembered, nothing else happens. */
static void
apply_tail(struct worker *worker, struct held *held, const struct record *record)
{
    struct held_topic *part = &held->topics[record->topic];
    /* Which events were refused the list of dead positions says; one that only was ahead of its
     * record may have been read again later. */
    struct record timeless = *record;
    struct event event;
    struct dead dead;
    enum decoded found;
    int32_t index = 0;

    timeless.time_ms = DECODE_NO_TIME;
    if (record->offset == part->verify_offset &&
        record_fingerprint(record) != part->verify_fingerprint) {
        claims_halt(worker, held, record->topic,
                    "the last settled record is another one now: was the topic re-created?");
        return;
    }
    shard_record(held->shard, record);
    decoder_open(worker->decoder, &timeless);
    while ((found = decoder_next(worker->decoder, &event, &dead)) != DECODED_END) {
        if (found == DECODED_EVENT && !was_dead(part, record->offset, index) &&
            !shard_tail(held->shard, record, &event))
            abort();
        index++;
    }
}

/* Up to its first event. */
static void
read_record(struct reading *reading, const struct record *record)
{
    reading->record = record;
    decoder_open(reading->decoder, record);
    reading->found = decoder_next(reading->decoder, &reading->event, &reading->dead);
    if (reading->found == DECODED_EVENT)
        lookup_of(&reading->lookup, &reading->event);
}

static void
refuse_event(struct held *held, const struct record *record, int32_t index,
             const struct event *event, enum dead_reason reason)
{
    struct dead dead = {.reason = reason};

    (void)text_copy(dead.detail, sizeof dead.detail, text_of(dead_texts[reason]));
    shard_dead(held->shard, record, index, event, &dead);
}

/* The events of one record, judged one by one; or all refused for one reason (DEAD_COUNT: none). */
static void
apply_events(struct worker *worker, struct held *held, const struct record *record,
             enum dead_reason refused, struct reading *reading)
{
    struct event *event = &reading->event;
    int32_t index = 0;

    if (reading->record != record)
        read_record(reading, record);
    for (; reading->found != DECODED_END;
         reading->found = decoder_next(reading->decoder, event, &reading->dead), index++) {
        if (reading->found == DECODED_IGNORED)
            shard_ignored(held->shard, record);
        else if (reading->found == DECODED_DEAD)
            shard_dead(held->shard, record, index, event, &reading->dead);
        else if (refused != DEAD_COUNT)
            refuse_event(held, record, index, event, refused);
        else if (shard_event(held->shard, record, index, event,
                             index == 0 ? &reading->lookup : NULL) == APPLIED_UNKNOWN) {
            /* Rooms for parking are made before a record is taken: see room_for. */
            if (!loading_park(worker, held, record, index, event->tenant))
                abort();
        }
        worker_want(worker, held);
    }
}

/* A record may need the settlement and the parking place: neither may run out within it. */
static bool
room_for(struct worker *worker, struct held *held)
{
    const size_t limit = worker->setup.config->ingest.park_memory;

    while (shard_full(held->shard) || arena_used(worker->parking) > limit) {
        if (shard_full(held->shard))
            settling_freeze(worker, false);
        if (worker->parked.count > 0)
            (void)loading_turn(worker, 50);
        settling_replies(worker, 50);
        worker_serve(worker);
        if (worker->dropped || held->state != HELD_RUNNING || atomic_load(&worker->draining))
            return false;
    }
    return true;
}

static bool
may_be_judged(struct worker *worker, struct held *held, const struct record *record)
{
    if (record->append_time || worker->setup.config->kafka.time == TIME_TRUST_PRODUCERS)
        return true;
    claims_halt(worker, held, record->topic,
                "records carry the producers' time: set message.timestamp.type=LogAppendTime on "
                "the topic, or kafka.time: trust_producers");
    return false;
}

/* Why nothing of this record may be booked, DEAD_COUNT when it may. False: the shard was lost while
 * that was found out. */
static bool
may_be_booked(struct worker *worker, struct held *held, const struct record *record,
              enum dead_reason *refused)
{
    const struct held_topic *part = &held->topics[record->topic];

    *refused = part->refuse == record->offset ? DEAD_refused_by_database : DEAD_COUNT;
    if (!part->careful || record->offset > part->step_until)
        return true;
    const int32_t tried = settling_try(worker, held, record);

    if (tried > TRIES)
        *refused = DEAD_quarantined;
    return tried > 0;
}

static void
apply_live(struct worker *worker, struct held *held, const struct record *record,
           struct reading *reading)
{
    struct held_topic *part = &held->topics[record->topic];
    enum dead_reason refused;

    if (!may_be_judged(worker, held, record) || !room_for(worker, held) ||
        !may_be_booked(worker, held, record, &refused))
        return;
    while (!shard_advance(held->shard, record->time_ms))
        if (!room_for(worker, held))
            return;
    shard_record(held->shard, record);
    if (refused == DEAD_COUNT)
        (void)failpoint(FAIL_apply_record, record->offset);
    apply_events(worker, held, record, refused, reading);
    shard_record_end(held->shard, record);
    part->last = record;
    claims_halt_unreadable(worker, held, record->topic);
    if (record->offset <= part->step_until) {
        /* One record, one settlement: whatever the database refuses now is in this record. */
        held->refused = false;
        if (!settling_wait(worker, held) && held->refused)
            part->refuse = record->offset;
    }
}

void
apply_fingerprints(struct worker *worker, struct held *held)
{
    for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
        if (held->topics[t].last != NULL) {
            shard_fingerprint(held->shard, (int32_t)t, record_fingerprint(held->topics[t].last));
            held->topics[t].last = NULL;
        }
}

static void
apply_record(struct worker *worker, struct held *held, const struct record *record,
             struct reading *reading)
{
    struct held_topic *part = &held->topics[record->topic];

    if (part->halted)
        return;
    part->position = record->offset + 1;
    if (record->offset < shard_next_offset(held->shard, record->topic))
        apply_tail(worker, held, record);
    else
        apply_live(worker, held, record, reading);
}

static void
apply_arrival(struct worker *worker, const struct arrival *arrival, struct reading *reading)
{
    const int32_t number =
        arrival->taken == TAKEN_RECORD ? arrival->record.partition : arrival->gap.shard;
    struct held *held = worker_held(worker, number);

    if (worker->dropped || held == NULL || held->state != HELD_RUNNING)
        return;
    switch (arrival->taken) {
    case TAKEN_RECORD:
        apply_record(worker, held, &arrival->record, reading);
        break;
    case TAKEN_GAP:
        log_warning("gap", "topic=%s partition=%d from=%" PRId64 " to=%" PRId64,
                    worker->setup.config->kafka.topics[arrival->gap.topic], number,
                    arrival->gap.from, arrival->gap.to);
        if (arrival->gap.to > shard_next_offset(held->shard, arrival->gap.topic)) {
            const int64_t next = shard_next_offset(held->shard, arrival->gap.topic);

            shard_gap(held->shard, arrival->gap.topic, next, arrival->gap.to);
        }
        break;
    case TAKEN_HALT:
        claims_halt(worker, held, arrival->gap.topic, arrival->why);
        break;
    }
}

/* What will probably be applied as it is now; anything else is read when its turn comes. A record
 * that is taken alone may be one that ends the process: it is noted before it is read. */
static void
read_ahead(struct worker *worker, const struct arrival *arrival, struct reading *reading)
{
    const struct record *record = &arrival->record;
    const struct held *held =
        arrival->taken == TAKEN_RECORD ? worker_held(worker, record->partition) : NULL;

    reading->record = NULL;
    reading->unknown = false;
    if (held == NULL || held->state != HELD_RUNNING || held->topics[record->topic].halted ||
        record->offset <= held->topics[record->topic].step_until ||
        record->offset < shard_next_offset(held->shard, record->topic))
        return;
    read_record(reading, record);
    if (reading->found == DECODED_EVENT)
        reading->unknown = !shard_foresee(held->shard, record->topic, &reading->lookup);
}

static void
foresee_more(struct worker *worker, const struct arrival *arrival, const struct reading *reading,
             size_t step)
{
    if (reading->record != NULL && reading->found == DECODED_EVENT)
        shard_foresee_more(worker_held(worker, arrival->record.partition)->shard, &reading->lookup,
                           step);
}

/* At most READ_AHEAD of them. True: a tenant is unknown. Each step asks for what the one before led
 * to, some records later: by then that has come. */
static bool
read_some(struct worker *worker, const struct arrival *arrivals, size_t count)
{
    const size_t apart = 2; /* records */
    bool unknown = false;

    for (size_t i = 0; i < count + apart * FORESEE_STEPS; i++) {
        if (i < count) {
            read_ahead(worker, &arrivals[i], &worker->readings[i]);
            unknown |= worker->readings[i].unknown;
        }
        for (size_t step = 1; step <= FORESEE_STEPS; step++) {
            const size_t before = i - apart * step; /* wraps where there is none */

            if (before < count)
                foresee_more(worker, &arrivals[before], &worker->readings[before], step);
        }
    }
    return unknown;
}

/* No gateway waits for what comes of a record that is so old: its tenant can be waited for. */
static bool
is_old(const struct worker *worker, const struct arrival *arrival)
{
    return arrival->taken == TAKEN_RECORD &&
           arrival->record.time_ms < worker_wall_ms(worker) - OLD_MS;
}

void
apply_batch(struct worker *worker, const struct arrival *arrivals, size_t count)
{
    bool asked = false;

    for (size_t from = 0; from < count; from += READ_AHEAD) {
        const size_t some = count - from < READ_AHEAD ? count - from : READ_AHEAD;

        /* Nobody's decision waits for the load of another tenant: the events of those that come are
         * parked for a moment. But where that is more than a moment of record time, as in an old log,
         * shard time would run away from them, and where events are parked again and again nothing
         * would be settled: then the batch waits. */
        if (read_some(worker, arrivals + from, some) && !asked) {
            asked = true;
            loading_ahead(worker, arrivals + from, count - from,
                          is_old(worker, &arrivals[from]) || settling_overdue(worker) ? LOAD_WAIT_MS
                                                                                      : 0);
        }
        for (size_t i = 0; i < some; i++) {
            const size_t next = from + READ_AHEAD + i;

            if (next < count && arrivals[next].taken == TAKEN_RECORD)
                decoder_ahead(arrivals[next].record.value);
            apply_arrival(worker, &arrivals[from + i], &worker->readings[i]);
        }
    }
}

bool
apply_parked(struct worker *worker, struct held *held, const struct parked *parked)
{
    struct event event;
    struct dead dead;
    int32_t index = 0;
    enum decoded found;

    decoder_open(worker->decoder, &parked->record);
    while ((found = decoder_next(worker->decoder, &event, &dead)) != DECODED_END) {
        if (index++ != parked->index || found != DECODED_EVENT)
            continue;
        if (shard_parked(held->shard, &parked->record, parked->index, &event) == APPLIED_UNKNOWN)
            return false;
        worker_want(worker, held);
    }
    return true;
}
