#include "rules/shard_state.h"

#include "core/digest.h"
#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/carrying.h"
#include "rules/counting.h"
#include "rules/pacer.h"
#include "rules/throttling.h"
#include "rules/trip.h"

#include <assert.h>
#include <stdlib.h>

/* ---- records ----------------------------------------------------------------------------------------- */

void
shard_record(struct shard *shard, const struct record *record)
{
    struct topic_state *topic = &shard->topics[record->topic];

    if (record->time_ms > topic->time_ms)
        topic->time_ms = record->time_ms;
}

static struct progress *
progress_of(struct shard *shard, const struct record *record)
{
    struct progress *progress = &shard->open->settlement->progress[record->topic];

    progress->moved = true;
    return progress;
}

enum applied
shard_dead(struct shard *shard, const struct record *record, int32_t index,
           const struct event *event, const struct dead *dead)
{
    struct settlement *settlement = shard->open->settlement;

    struct dead_letter *row = shard_must(list_add(&settlement->dead));

    *row = (struct dead_letter){.topic = record->topic,
                                .offset = record->offset,
                                .index = index,
                                .time_ms = record->time_ms,
                                .why = *dead,
                                .tenant = shard_keep(shard, event->tenant),
                                .source = shard_keep(shard, event->source),
                                .id = shard_keep(shard, event->id),
                                .fingerprint = record_fingerprint(record)};
    digest_hex(record->value.at == NULL ? TEXT("") : record->value, row->hash);
    if (shard->setup.keep_dead_payload)
        row->value = shard_keep(shard, record->value);
    progress_of(shard, record)->dead++;
    metric_add(shard->setup.metrics, METRIC_DEAD, 1);
    notice_rate(shard, record->topic, record->time_ms, true);
    return APPLIED;
}

void
shard_ignored(struct shard *shard, const struct record *record)
{
    progress_of(shard, record)->ignored++;
    metric_add(shard->setup.metrics, METRIC_IGNORED, 1);
    notice_rate(shard, record->topic, record->time_ms, false);
}

void
shard_record_end(struct shard *shard, const struct record *record)
{
    struct progress *progress = progress_of(shard, record);

    progress->next = record->offset + 1;
    progress->processed++;
    if (shard->topics[record->topic].time_ms > progress->time_ms)
        progress->time_ms = shard->topics[record->topic].time_ms;
    progress->last_offset = record->offset;
    metric_add(shard->setup.metrics, METRIC_RECORDS, 1);
}

void
shard_gap(struct shard *shard, int32_t topic, int64_t from, int64_t to)
{
    struct progress *progress = &shard->open->settlement->progress[topic];

    assert(from == progress->next && to > from);
    progress->moved = true;
    progress->next = to;
    progress->gaps += to - from;
    metric_add(shard->setup.metrics, METRIC_GAPS, to - from);
}

void
shard_fingerprint(struct shard *shard, int32_t topic, uint64_t fingerprint)
{
    shard->open->settlement->progress[topic].last_fingerprint = fingerprint;
}

static struct occurrence
occurrence_of(const struct record *record, const struct lookup *lookup, int64_t time_ms)
{
    return (struct occurrence){.identity = lookup->identity,
                               .content = lookup->content,
                               .offset = record->offset,
                               .time_ms = time_ms};
}

bool
shard_tail(struct shard *shard, const struct record *record, const struct event *event)
{
    struct topic_state *topic = &shard->topics[record->topic];
    struct lookup lookup;

    if (topic->seen == NULL)
        return true;
    lookup_of(&lookup, event);
    const struct occurrence occurrence = occurrence_of(record, &lookup, topic->time_ms);

    if (shard->policy->has_bursts && seen_ask(topic->seen, &occurrence) == SEEN_NEW)
        throttling_tail(shard, record, event, &lookup);
    return seen_remember(topic->seen, &occurrence);
}

/* The wires: does a total stand at or above the value at which a rule could speak? */
static bool
tripped(const struct totals *totals)
{
    for (uint32_t left = totals->watched; left != 0; left &= left - 1) {
        const enum meter meter = (enum meter)__builtin_ctz(left);

        if (meter_read(&totals->sum, meter) >= totals->trip_at[meter])
            return true;
    }
    return false;
}

void
judge_event(struct shard *shard, struct tenant *tenant, const struct event *event,
            const struct booking *booking)
{
    const struct occasion occasion = {.trigger = event->id, .reason = RESOLVED_CLEARED};
    const bool back = event->kind == EVENT_REFUND || event->kind == EVENT_CORRECT;

    if (tenant->split)
        return;
    if (booking->period_index < 0) {
        if (!booking->adjusts && tenant->carries != NULL)
            carrying_late(shard, tenant, booking, event->id);
        return;
    }
    if (booking->period_index > 0) {
        judge_due(shard, tenant);
        return;
    }
    const struct totals *totals = tenant->periods[0].totals;

    if (booking->project_index >= 0 && (back || tripped(&totals[booking->project_index + 1])))
        judge_project(shard, tenant, booking->project_index, &occasion);
    if (back || tripped(&totals[0]))
        judge_project(shard, tenant, -1, &occasion);
}

static void
judge_booked(struct shard *shard, const struct place *place, const struct event *event,
             struct tenant *tenant, const struct booking *booking)
{
    if (booking->unpriced)
        keep_unpriced(shard, place, event, booking);
    if (booking->amounts.count[COUNT_zero_cost] > 0)
        notice_zero_cost(shard, event);
    if (!tenant->known)
        notice_unknown_tenant(shard);
    if (booking->project_unknown)
        notice_unknown_project(shard, tenant);
    if (booking->project_unknown)
        judge_unknown_project(shard, tenant, event->names[NAME_PROJECT], event->id);
    judge_event(shard, tenant, event, booking);
    if (tenant->counters != NULL)
        counting_event(shard, tenant, event, booking);
    if (tenant->features != NULL) {
        trip_event(shard, tenant, event, booking);
        reservations_event(shard, tenant, event);
    }
    if (tenant->bursts != NULL)
        throttling_event(shard, tenant, place->record, event, booking);
}

static void
count_duplicate(struct shard *shard, const struct record *record)
{
    progress_of(shard, record)->duplicates++;
    metric_add(shard->setup.metrics, METRIC_DUPLICATES, 1);
}

static bool
refuse(struct dead *why, enum dead_reason reason, const char *detail)
{
    *why = (struct dead){.reason = reason};
    (void)text_copy(why->detail, sizeof why->detail, text_of(detail));
    return false;
}

/* Books an event on another one: a refund, or a correction, whose reversal is judged as well. */
static enum booked
book_on(struct shard *shard, const struct place *place, const struct event *event,
        struct tenant *tenant, const struct original *original, struct rebooking *rebooking)
{
    if (event->kind == EVENT_REFUND)
        return refund_book(shard, place, event, tenant, original, rebooking);
    const enum booked booked = correction_book(shard, place, event, tenant, original, rebooking);

    if (booked == BOOKED)
        judge_event(shard, tenant, event, &rebooking->reversal);
    if (booked == BOOKED && tenant->counters != NULL)
        counting_event(shard, tenant, &rebooking->as, &rebooking->reversal);
    return booked;
}

static void
record_booked(struct shard *shard, const struct place *place, const struct event *event,
              const struct tenant *tenant, const struct booking *booking)
{
    struct settled_event *row = record_event(shard, place, shard->open->fact, event,
                                             event->names[NAME_API_KEY_ID], &booking->amounts);

    record_priced(shard, row, tenant, booking);
    record_known(shard, row);
}

/* Books what the event is worth to the tenant and judges what that changed. */
static enum booked
book_and_judge(struct shard *shard, const struct place *place, const struct event *event,
               const struct lookup *lookup, struct tenant *tenant, const struct original *original)
{
    struct progress *progress = progress_of(shard, place->record);
    struct rebooking rebooking; /* large, and most events need only its booking */
    const struct event *as = event;
    struct booking *booking = &rebooking.booking;
    enum booked booked;

    if (original == NULL) {
        booking_of(booking, event, tenant, shard->policy,
                   record_cannot_tell(shard, place->record, event),
                   shard_closed(shard, place->record->topic));
        booked = book_event(shard->open, tenant, event, lookup, booking);
        if (booked == BOOKED)
            record_booked(shard, place, event, tenant, booking);
    } else {
        booked = book_on(shard, place, event, tenant, original, &rebooking);
        as = &rebooking.as;
    }
    if (booked != BOOKED)
        return booked;
    progress->counted++;
    progress->keyed += as->names[NAME_API_KEY_ID].size > 0;
    judge_booked(shard, place, as, tenant, booking);
    return BOOKED;
}

/* Books an event that the duplicate window does not know and judges what it changed; it may turn
 * out to be in the record. False: it is refused, and nothing is booked. */
static bool
count_event(struct shard *shard, const struct place *place, const struct event *event,
            const struct lookup *lookup, const struct recalled *recalled, struct dead *why)
{
    struct tenant *tenant = shard_at(shard, lookup->tenant);

    if (recalled->itself != NULL && !record_same_content(recalled->itself, event))
        return refuse(why, DEAD_id_conflict, "settled before with other counts or cost");
    if (recalled->itself != NULL) {
        count_duplicate(shard, place->record);
        return true;
    }
    if (recalled->unknown)
        return refuse(why, DEAD_original_unknown, dead_texts[DEAD_original_unknown]);
    if (recalled->original != NULL && !refund_allowed(recalled->original, why))
        return false;
    if (shard->time_ms >= tenant->periods[0].period.end_ms)
        judge_turn(shard, tenant);
    if (shard->time_ms >= tenant->pace_ms)
        pacer_turn(shard, tenant);
    const enum booked booked =
        book_and_judge(shard, place, event, lookup, tenant, recalled->original);

    if (booked == BOOKED_NO_MEMORY)
        abort();
    if (booked == BOOKED_OVERFLOW)
        return refuse(why, DEAD_overflow, "a total would leave its range");
    if (event->body.at != NULL)
        keep_event(shard, place, event);
    metric_add(shard->setup.metrics, METRIC_COUNTED, 1);
    if (tenant->split) {
        metric_add(shard->setup.metrics, METRIC_SPLIT_EVENTS, 1);
        notice_split(shard, tenant);
    }
    return true;
}

bool
shard_foresee(const struct shard *shard, int32_t topic, const struct lookup *lookup)
{
    const struct tenant *tenant = shard_at(shard, lookup->tenant);

    if (shard->topics[topic].seen != NULL)
        seen_foresee(shard->topics[topic].seen, lookup->identity);
    if (tenant != NULL)
        book_foresee_tenant(tenant);
    return tenant != NULL;
}

void
shard_foresee_more(const struct shard *shard, const struct lookup *lookup, size_t step)
{
    const struct tenant *tenant = shard_at(shard, lookup->tenant);

    if (tenant == NULL)
        return;
    if (step == 1) {
        book_foresee_places(shard->open, tenant, lookup);
        throttling_foresee_place(shard, lookup);
        counter_foresee_index(tenant);
    } else if (step == 2) {
        book_foresee_rows(shard->open, tenant, lookup);
        throttling_foresee(shard, lookup);
        counter_foresee_place(tenant, lookup);
    } else
        counter_foresee(tenant, lookup);
}

/* Refused although nobody has seen it before. Where the record is kept it was asked, some time after
 * the duplicate window: so that the answer does not depend on when, the event stays remembered in
 * both cases, and a repeat is a duplicate of what is refused. */
static void
refuse_counted(struct shard *shard, const struct place *place, const struct event *event,
               const struct dead *why)
{
    const struct list *dead = &shard->open->settlement->dead;

    (void)shard_dead(shard, place->record, place->index, event, why);
    ((struct dead_letter *)list_at(dead, dead->count - 1))->remembered = shard->setup.record;
}

static void
heard(struct shard *shard, struct text source, int64_t at_ms)
{
    const struct source_cached *cached = sources_cached(shard->sources, source);

    if (at_ms >= cached->until_ms || cached->size != source.size ||
        memcmp(cached->name, source.at, source.size) != 0)
        sources_note(shard, source, at_ms);
}

enum applied
shard_event(struct shard *shard, const struct record *record, int32_t index,
            const struct event *event, const struct lookup *lookup)
{
    struct topic_state *topic = &shard->topics[record->topic];
    const struct place place = {record, index};
    struct recalled recalled = {.itself = NULL};
    struct lookup own;
    struct dead why;

    heard(shard, event->source, record->time_ms);
    if (lookup == NULL) {
        lookup_of(&own, event);
        lookup = &own;
    }
    const struct occurrence occurrence = occurrence_of(record, lookup, topic->time_ms);
    const enum seen_answer answer =
        topic->seen == NULL ? SEEN_NEW : seen_ask(topic->seen, &occurrence);

    if (answer == SEEN_CONFLICT)
        return shard_dead(shard, record, index, event,
                          &(struct dead){.reason = DEAD_id_conflict,
                                         .detail = "seen before with other counts or cost"});
    /* What the record must be asked waits for the answer, and what comes behind it of its tenant. */
    const bool waits =
        answer == SEEN_NEW && (!record_recall(shard, record, event, lookup, &recalled) ||
                               shard_at(shard, lookup->tenant) == NULL ||
                               originals_waits(&shard->originals, lookup->tenant));

    if (answer == SEEN_DUPLICATE)
        count_duplicate(shard, record);
    else if (waits)
        originals_wait(&shard->originals, lookup->tenant);
    else if (!count_event(shard, &place, event, lookup, &recalled, &why)) {
        refuse_counted(shard, &place, event, &why);
        if (!shard->setup.record)
            return APPLIED;
    } else
        notice_rate(shard, record->topic, record->time_ms, false);
    /* What will be parked has its place in the log all the same: it is remembered now. */
    if (topic->seen != NULL && !seen_remember(topic->seen, &occurrence))
        abort();
    return waits ? APPLIED_UNKNOWN : APPLIED;
}

enum applied
shard_parked(struct shard *shard, const struct record *record, int32_t index,
             const struct event *event)
{
    const struct place place = {record, index};
    struct recalled recalled;
    struct lookup lookup;
    struct dead why;

    lookup_of(&lookup, event);
    if (!record_recall(shard, record, event, &lookup, &recalled) ||
        shard_at(shard, lookup.tenant) == NULL)
        return APPLIED_UNKNOWN;
    originals_wait_over(&shard->originals, lookup.tenant);
    if (!count_event(shard, &place, event, &lookup, &recalled, &why))
        refuse_counted(shard, &place, event, &why);
    return APPLIED;
}

enum revived
shard_revive(struct shard *shard, const struct record *record, int32_t index,
             const struct event *event)
{
    struct seen *seen = shard->topics[record->topic].seen;
    const struct place place = {record, index};
    struct recalled recalled;
    struct lookup lookup;
    struct dead why;

    lookup_of(&lookup, event);
    /* At its own place in the log, where a restart finds it: not at the end. */
    const struct occurrence occurrence = occurrence_of(record, &lookup, record->time_ms);
    /* The record knows what was counted; the window also what was refused. */
    const enum seen_answer answer =
        seen == NULL || shard->setup.record ? SEEN_NEW : seen_ask(seen, &occurrence);

    if (!record_recall_all(shard, record, event, &lookup, &recalled) ||
        shard_at(shard, lookup.tenant) == NULL)
        return REVIVED_UNKNOWN;
    if (answer == SEEN_CONFLICT)
        return REVIVED_REFUSED;
    if (answer == SEEN_DUPLICATE)
        count_duplicate(shard, record);
    else if (!count_event(shard, &place, event, &lookup, &recalled, &why))
        return REVIVED_REFUSED;
    else if (seen != NULL && !seen_remember(seen, &occurrence))
        abort();
    return REVIVED;
}
