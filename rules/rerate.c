/* Unpriced events that have a price now: what they cost is booked where they were. */
#include "core/identity.h"
#include "rules/counting.h"
#include "rules/rating.h"
#include "rules/shard_state.h"
#include "rules/trip.h"

#include <stdlib.h>

static void
event_of(struct event *event, const struct unpriced_event *waiting)
{
    *event =
        (struct event){.kind = waiting->kind == EVENT_REFUND ? EVENT_REFUND : EVENT_RECORD,
                       .flags = waiting->has_cost ? EVENT_HAS_COST : 0,
                       .at_ms = waiting->at_ms,
                       .id = waiting->id,
                       .source = waiting->source,
                       .tenant = waiting->tenant,
                       .cost = waiting->cost,
                       .refers = {.source = waiting->original_source, .id = waiting->original_id},
                       .attempt = 1};
    event->names[NAME_PROJECT] = waiting->project;
    event->names[NAME_FEATURE] = waiting->feature;
    event->names[NAME_API_KEY_ID] = waiting->key;
    event->names[NAME_PROVIDER] = waiting->provider;
    event->names[NAME_MODEL] = waiting->model;
    event->names[NAME_CURRENCY] = waiting->currency;
    memcpy(event->usage, waiting->usage, sizeof event->usage);
}

/* In the rows that the event was booked in; money of the present period when its own is closed. */
static void
booking_as_kept(struct booking *booking, struct shard *shard, struct tenant *tenant,
                const struct event *event, const struct unpriced_event *waiting)
{
    booking_of(booking, event, tenant, shard->policy, false, shard_closed(shard, waiting->topic));
    booking->project = waiting->project;
    booking->own_project = booking->project_unknown = false;
    booking->project_index =
        tenant->spec.project_count == 0 ? -1 : tenant_project(tenant, waiting->project);
    if (!booking->adjusts)
        booking->hour_ms = waiting->hour_ms;
}

/* The event is booked already: only its price comes now, in place of the estimate. */
static void
only_the_price(struct booking *booking, const struct unpriced_event *waiting)
{
    booking->amounts = (struct amounts){
        .cost = booking->amounts.cost,
        .charge = booking->amounts.charge,
        .refunded = booking->amounts.refunded,
        .estimate = booking->adjusts ? 0 : -waiting->estimate,
        .count = {[COUNT_unpriced] = -1,
                  [COUNT_clamped] =
                      waiting->kind == EVENT_REFUND ? booking->amounts.count[COUNT_clamped] : 0}};
}

static struct key128
original_identity(const struct unpriced_event *waiting)
{
    const struct text who[] = {waiting->original_source, waiting->original_id};

    return identity_texts(identity_one(waiting->tenant), who, 2);
}

/* What a refund gives back is limited by what is left of its original; false while that is not known. */
static bool
booking_of_refund(struct booking *booking, struct shard *shard, struct tenant *tenant,
                  const struct event *event, const struct unpriced_event *waiting)
{
    const struct original *original =
        originals_known(&shard->originals, original_identity(waiting));

    if (original == NULL)
        return false;
    refund_booking(booking, waiting->topic, event, shard, tenant, original);
    return true;
}

static void
record_price(struct shard *shard, const struct tenant *tenant, const struct event *event,
             const struct unpriced_event *waiting, const struct booking *booking)
{
    const struct record record = {.topic = waiting->topic,
                                  .partition = shard->setup.shard,
                                  .offset = waiting->offset,
                                  .time_ms = shard->time_ms};
    const struct place place = {&record, waiting->index};
    struct settled_event *row =
        record_event(shard, &place, shard->open->fact, event, waiting->key, &booking->amounts);

    if (row == NULL)
        return;
    row->reversal = true;
    if (waiting->original_id.at == NULL) {
        row->price = true;
        row->original_source = row->source;
        row->original_id = row->id;
    }
    record_priced(shard, row, tenant, booking);
    record_known(shard, row);
}

static void
waits_no_longer(struct shard *shard, const struct unpriced_event *waiting)
{
    struct priced_event *row = shard_must(list_add(&shard->open->settlement->priced));

    *row = (struct priced_event){.topic = waiting->topic,
                                 .offset = waiting->offset,
                                 .index = waiting->index,
                                 .tenant = shard_keep(shard, waiting->tenant),
                                 .source = shard_keep(shard, waiting->source),
                                 .id = shard_keep(shard, waiting->id),
                                 .at_ms = shard->time_ms};
}

void
shard_rerate_tell(struct shard *shard, const struct unpriced_event *waiting)
{
    if (waiting->original_id.at != NULL)
        originals_tell(&shard->originals, original_identity(waiting), waiting->original);
}

enum rerated
shard_rerate(struct shard *shard, const struct unpriced_event *waiting)
{
    struct key128 id;
    struct tenant *tenant = shard_find(shard, waiting->tenant, &id);
    struct booking booking;
    struct lookup lookup;
    struct event event;

    if (tenant == NULL)
        return RERATED_UNKNOWN;
    if (shard->time_ms >= tenant->periods[0].period.end_ms)
        judge_turn(shard, tenant);
    event_of(&event, waiting);
    if (waiting->original_id.at == NULL)
        booking_as_kept(&booking, shard, tenant, &event, waiting);
    else if (!booking_of_refund(&booking, shard, tenant, &event, waiting))
        return RERATED_WAITS;
    if (booking.unpriced)
        return RERATED_WAITS;
    only_the_price(&booking, waiting);
    lookup_of(&lookup, &event);
    const enum booked booked = book_event(shard->open, tenant, &event, &lookup, &booking);

    if (booked == BOOKED_NO_MEMORY)
        abort();
    if (booked == BOOKED_OVERFLOW)
        return RERATED_WAITS;
    record_price(shard, tenant, &event, waiting, &booking);
    waits_no_longer(shard, waiting);
    if (event.kind != EVENT_REFUND && tenant->features != NULL)
        trip_corrected(shard, tenant, &event, &booking);
    event.kind = EVENT_CORRECT; /* the estimate may have been more: limits may stand lower now */
    judge_event(shard, tenant, &event, &booking);
    if (tenant->counters != NULL)
        counting_event(shard, tenant, &event, &booking);
    metric_add(shard->setup.metrics, METRIC_RERATED, 1);
    return RERATED;
}
