#include "engine/worker_state.h"

#include "config/failpoint.h"
#include "config/log.h"
#include "core/identity.h"

#include <inttypes.h>
#include <stdlib.h>

#define TRIES         2 /* a record that ended the process so often is quarantined */
#define ERRAND_MEMORY ((size_t)64 << 10) /* of one: a name */
#define DEAD_INDEXES  4096 /* events of one record that the list of dead positions tells apart */

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
             bool rows)
{
    if (reading->record != NULL && reading->found == DECODED_EVENT)
        shard_foresee_more(worker_held(worker, arrival->record.partition)->shard, &reading->lookup,
                           rows);
}

/* At most READ_AHEAD of them. True: a tenant is unknown. Each step asks for what the one before led
 * to, some records later: by then that has come. */
static bool
read_some(struct worker *worker, const struct arrival *arrivals, size_t count)
{
    enum { PLACES = 2, ROWS = 4 };
    bool unknown = false;

    for (size_t i = 0; i < count + ROWS; i++) {
        if (i < count) {
            read_ahead(worker, &arrivals[i], &worker->readings[i]);
            unknown |= worker->readings[i].unknown;
        }
        if (i >= PLACES && i - PLACES < count)
            foresee_more(worker, &arrivals[i - PLACES], &worker->readings[i - PLACES], false);
        if (i >= ROWS)
            foresee_more(worker, &arrivals[i - ROWS], &worker->readings[i - ROWS], true);
    }
    return unknown;
}

void
apply_batch(struct worker *worker, const struct arrival *arrivals, size_t count, bool full)
{
    bool asked = false;

    for (size_t from = 0; from < count; from += READ_AHEAD) {
        const size_t some = count - from < READ_AHEAD ? count - from : READ_AHEAD;

        /* Nobody's decision waits for the load of another tenant: the events of those that come are
         * parked for a moment. But who is behind would park too much, and where events are parked
         * again and again nothing would be settled: then the batch waits. */
        if (read_some(worker, arrivals + from, some) && !asked) {
            asked = true;
            loading_ahead(worker, arrivals + from, count - from,
                          full || settling_overdue(worker) ? LOAD_WAIT_MS : 0);
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

/* ---- commands ------------------------------------------------------------------------------------- */

static int32_t
topic_index(const struct config *config, struct text name)
{
    for (size_t t = 0; t < config->kafka.topic_count; t++)
        if (text_eq(text_of(config->kafka.topics[t]), name))
            return (int32_t)t;
    return -1;
}

static void
wait_alone(struct worker *worker, struct order *order)
{
    struct order **place = list_add(&worker->alone);

    if (place == NULL)
        abort();
    *place = order;
}

/* A dead letter read again: exactly once, because the command is marked in the same settlement. */
static void
retry(struct worker *worker, struct held *held, struct order *order)
{
    const struct command *command = &order->command;
    const struct record record = {.topic = topic_index(worker->setup.config, command->retry.topic),
                                  .partition = command->retry.partition,
                                  .offset = command->retry.offset,
                                  .time_ms = command->retry.time_ms,
                                  .key = command->retry.key,
                                  .value = command->retry.value};
    /* What was ahead of its record's time need not be ahead of now. */
    struct record again = record;
    struct event event;
    struct dead dead;
    int32_t index = 0;
    enum decoded found;
    const char *error = "the record holds no event at this index";

    if (shard_time(held->shard) > again.time_ms)
        again.time_ms = shard_time(held->shard);
    decoder_open(worker->decoder, &again);
    while ((found = decoder_next(worker->decoder, &event, &dead)) != DECODED_END) {
        if (index++ != command->retry.index)
            continue;
        if (found == DECODED_DEAD)
            error = dead_names[dead.reason];
        if (found != DECODED_EVENT)
            continue;
        switch (record.topic < 0
                    ? REVIVED_REFUSED
                    : shard_revive(held->shard, &record, command->retry.index, &event)) {
        case REVIVED:
            error = NULL;
            break;
        case REVIVED_REFUSED:
            error = "counted meanwhile with other counts or cost, what it refers to is not in the "
                    "record, or a total would leave its range";
            break;
        case REVIVED_UNKNOWN:
            order->command.tenant = arena_text(order->memory, event.tenant);
            if (order->command.tenant.at == NULL ||
                !loading_errand(worker, &(struct errand){.shard = held->number,
                                                         .tenant = order->command.tenant,
                                                         .order = order}))
                abort();
            return;
        }
    }
    shard_command_done(held->shard, command->id, error);
    order_free(order);
}

void
apply_errand(struct worker *worker, struct held *held, struct errand *errand)
{
    if (errand->order == NULL) {
        if (errand->scope.at != NULL)
            shard_declare(held->shard, errand->scope, errand->tenant);
        arena_free(errand->memory);
    } else if (errand->order->command.kind == COMMAND_RETRY && held->alone) {
        wait_alone(worker, errand->order);
    } else if (errand->order->command.kind == COMMAND_RETRY) {
        retry(worker, held, errand->order);
    } else {
        const struct command *command = &errand->order->command;

        shard_command_done(held->shard, command->id,
                           command->kind == COMMAND_BREAKER ? shard_breaker(held->shard, command)
                                                            : NULL);
        order_free(errand->order);
    }
}

struct again {
    struct worker *worker;
    int32_t shard;
};

/* Breakers are new in the policy: the tenant's features come with another load. */
static void
load_again(void *opaque, struct text name)
{
    const struct again *again = opaque;
    struct errand errand = {.shard = again->shard, .memory = arena_new(ERRAND_MEMORY)};

    if (errand.memory == NULL)
        abort();
    errand.tenant = arena_text(errand.memory, name);
    if (errand.tenant.at != NULL && loading_errand(again->worker, &errand))
        return;
    /* Too many at once: its breakers begin when it is loaded the next time. */
    errand_free(&errand);
}

void
apply_order(struct worker *worker, struct order *order)
{
    struct held *held = worker_held(worker, order->shard);
    const struct command *command = &order->command;

    if (held == NULL || held->state != HELD_RUNNING) {
        order_free(order);
        return;
    }
    held->command_taken = command->id;
    log_info("command", "id=%" PRId64 " kind=%d shard=%d", command->id, (int)command->kind,
             order->shard);
    switch (command->kind) {
    case COMMAND_TENANT:
    case COMMAND_WORD:
    case COMMAND_BREAKER:
        if (!loading_errand(
                worker,
                &(struct errand){.shard = held->number, .tenant = command->tenant, .order = order}))
            abort();
        return;
    case COMMAND_RETRY:
        if (held->alone) {
            wait_alone(worker, order);
            return;
        }
        retry(worker, held, order);
        worker_want(worker, held);
        return;
    case COMMAND_RESUME:
        wait_alone(worker, order);
        return;
    case COMMAND_POLICY:
        shard_policy(held->shard, order->policy);
        shard_unprotected(held->shard, load_again, &(struct again){worker, held->number});
        shard_command_done(held->shard, command->id, NULL);
        break;
    case COMMAND_ENFORCE:
        shard_enforce(held->shard, command->on);
        worker_enforcing(worker, command->on);
        shard_command_done(held->shard, command->id, NULL);
        break;
    case COMMAND_KIND_COUNT:
        break;
    }
    worker_want(worker, held);
    order_free(order);
}

static struct order *
next_alone(struct worker *worker)
{
    struct order **first = worker->alone.at;
    struct order *order = *first;

    worker->alone.count--;
    memmove(first, first + 1, worker->alone.count * worker->alone.size);
    return order;
}

/* A halted partition is read on from where it stopped, by a new claim: its tail was not read. */
static void
resume(struct worker *worker, struct held *held, struct order *order)
{
    const int32_t number = held->number;
    const int32_t topic = topic_index(worker->setup.config, order->command.topic);
    const bool resumed = topic >= 0 && shard_resume(held->shard, topic);

    shard_command_done(held->shard, order->command.id, resumed ? NULL : "it is not halted");
    order_free(order);
    if (settling_wait(worker, held) && resumed)
        claims_again(worker, worker_held(worker, number));
}

static void
retry_alone(struct worker *worker, struct held *held, struct order *order)
{
    const int64_t id = order->command.id;
    const int32_t number = held->number;

    held->refused = false;
    if (id == held->refuse_command) {
        shard_command_done(held->shard, id, dead_names[DEAD_refused_by_database]);
        order_free(order);
    } else {
        retry(worker, held, order);
        worker_want(worker, held);
    }
    if (settling_wait(worker, held))
        return;
    held = worker_held(worker, number);
    if (held != NULL && held->refused)
        held->refuse_command = id;
}

void
apply_alone(struct worker *worker)
{
    while (worker->alone.count > 0 && !atomic_load(&worker->draining)) {
        struct order *order = next_alone(worker);
        const int32_t number = order->shard;
        struct held *held = worker_held(worker, number);

        /* Who loses the shard meanwhile leaves the command to the next owner. */
        if (held == NULL || held->state != HELD_RUNNING || !settling_wait(worker, held)) {
            order_free(order);
            continue;
        }
        held = worker_held(worker, number);
        if (order->command.kind == COMMAND_RESUME)
            resume(worker, held, order);
        else
            retry_alone(worker, held, order);
    }
}
