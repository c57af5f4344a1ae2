/* Events spend: into their slots and hours, and the breaker of their feature is judged. */
#include "rules/anomaly.h"
#include "rules/trip.h"

#define PARTIAL_MS (6 * CLOCK_MINUTE_MS) /* an hour of which more was missed is not whole */

/* What has no price yet is judged by its estimate, so that it can be cut; what is usual is learned
 * from money only. */
static tally
spent_of(const struct booking *booking)
{
    return booking->amounts.cost + booking->amounts.estimate;
}

static void
add(struct slot *slot, const struct event *event, const struct booking *booking, bool judged)
{
    const struct amounts *amounts = &booking->amounts;

    slot->cost += spent_of(booking);
    slot->requests += amounts->count[COUNT_requests];
    slot->attempts += amounts->count[COUNT_attempts];
    slot->fallbacks += event->attempt > 1;
    slot->input_tokens += amounts->count[COUNT_input_tokens];
    slot->output_tokens += amounts->count[COUNT_output_tokens];
    if (judged) {
        slot->judged += spent_of(booking);
        slot->judged_calls += amounts->count[COUNT_attempts];
    }
}

/* The sample of the hour the event lies in; a first hour that was missed in part says so. */
struct hour_sample *
trip_sample(struct shard *shard, const struct tenant *tenant, struct feature *feature,
            int64_t at_ms)
{
    const struct hour hour = baseline_hour(tenant->zone, at_ms);
    struct hour_sample *sample = history_find(&feature->history, hour.start_ms);
    const bool first = feature->history.count == 0;
    bool failed = false;

    if (sample != NULL)
        return sample;
    sample = history_at(&feature->history, hour.start_ms, &failed);
    (void)shard_must(failed ? NULL : feature);
    if (sample != NULL && first && at_ms > hour.start_ms + PARTIAL_MS) {
        sample->flags = HOUR_PARTIAL;
        trip_write_hour(shard, tenant, feature, sample, 0);
    }
    return sample;
}

/* It came too late to be acted upon: it counts where it belongs, and against nobody. */
static void
take_late(struct shard *shard, const struct tenant *tenant, struct feature *feature,
          struct hour_sample *sample)
{
    if (sample == NULL)
        return;
    if ((sample->flags & HOUR_REPLAYED) == 0) {
        sample->flags |= HOUR_REPLAYED;
        if (feature->baseline.known && sample->baseline == 0)
            sample->baseline = feature->baseline.value;
        trip_write_hour(shard, tenant, feature, sample, 0);
    }
    if (feature->baseline.known && sample->cost > feature->baseline.value * BASELINE_RATIO &&
        feature->late_hour_ms != sample->hour_ms) {
        feature->late_hour_ms = sample->hour_ms;
        trip_tell_late(shard, tenant, feature, sample);
    }
}

static void
take_slowly(struct shard *shard, struct tenant *tenant, struct feature *feature,
            const struct event *event, const struct booking *booking)
{
    const int64_t now_ms = shard->time_ms;
    const int64_t at_ms = event->at_ms > now_ms ? now_ms : event->at_ms;
    const bool late = now_ms - at_ms > TRIP_LATE_MS;
    const bool new_one = feature->hour.end_ms == 0;
    struct hour_sample *sample = trip_sample(shard, tenant, feature, at_ms);
    struct breaker_view view;

    slots_advance(&feature->slots, now_ms);
    struct slot *slot = slots_at(&feature->slots, at_ms);

    if (sample != NULL)
        sample->cost += booking->amounts.cost;
    if (slot != NULL) {
        add(slot, event, booking, !late);
        trip_write_slot(shard, tenant, feature, slot);
        anomaly_used(shard, tenant, feature, slot);
    }
    feature_turn(feature, tenant, now_ms, false);
    if (new_one)
        trip_write_breaker(shard, tenant, feature);
    if (late) {
        take_late(shard, tenant, feature, sample);
        return;
    }
    feature_view(feature, now_ms, &view);
    /* What happened before the state began is not what it lets through. */
    view.event = breaker_rests(&feature->breaker) || event->at_ms >= feature->breaker.since_ms;
    view.spent = spent_of(booking);
    trip_judge(shard, tenant, feature, &view, event->id);
}

/* The running slot of a feature at rest: nothing is looked up but the sample at the end. */
static bool
take_quickly(struct shard *shard, const struct tenant *tenant, struct feature *feature,
             const struct event *event, const struct booking *booking)
{
    const int64_t at_ms = event->at_ms;
    struct history *history = &feature->history;
    const int64_t from_ms = feature->slots.newest_ms;

    if (!feature->quick || at_ms < from_ms || at_ms >= from_ms + SLOT_MS ||
        shard->time_ms >= from_ms + SLOT_MS || shard->time_ms >= feature->hour.end_ms ||
        history->count == 0 || history->at[history->count - 1].hour_ms != feature->hour.start_ms)
        return false;
    struct slot *slot = slots_at(&feature->slots, at_ms);

    if (slot->attempts == 0 || slot->judged + spent_of(booking) > feature->wire)
        return false;
    history->at[history->count - 1].cost += booking->amounts.cost;
    add(slot, event, booking, true);
    trip_write_slot(shard, tenant, feature, slot);
    return true;
}

/* What has no feature is in no breaker, but in the tenant's series. */
static void
take_rest(struct shard *shard, struct tenant *tenant, const struct event *event,
          const struct booking *booking)
{
    struct feature *rest = anomalies_rest(tenant->features);

    if (rest == NULL)
        return;
    slots_advance(&rest->slots, shard->time_ms);
    struct slot *slot =
        slots_at(&rest->slots, event->at_ms > shard->time_ms ? shard->time_ms : event->at_ms);

    if (slot == NULL)
        return;
    add(slot, event, booking, false);
    trip_write_slot(shard, tenant, rest, slot);
    anomaly_used(shard, tenant, rest, slot);
}

void
trip_corrected(struct shard *shard, struct tenant *tenant, const struct event *event,
               const struct booking *booking)
{
    const struct hour hour = baseline_hour(tenant->zone, event->at_ms);
    struct feature *feature =
        tenant->split ? NULL : feature_find(tenant->features, event->names[NAME_FEATURE]);
    struct hour_sample *sample =
        feature == NULL ? NULL : history_find(&feature->history, hour.start_ms);

    if (sample == NULL)
        return;
    sample->cost += booking->amounts.cost;
    if ((sample->flags & HOUR_CORRECTED) != 0)
        return;
    sample->flags |= HOUR_CORRECTED;
    trip_write_hour(shard, tenant, feature, sample, 0);
}

void
trip_event(struct shard *shard, struct tenant *tenant, const struct event *event,
           const struct booking *booking)
{
    const struct text name = event->names[NAME_FEATURE];

    if (tenant->split || (event->kind != EVENT_RECORD && event->kind != EVENT_SETTLE))
        return;
    anomaly_look(shard, tenant);
    struct feature *feature =
        name.size == 0 ? NULL : feature_made(tenant->features, name, shard->policy);

    if (feature == NULL && name.size > 0)
        trip_full(shard, tenant);
    if (feature == NULL) {
        take_rest(shard, tenant, event, booking);
        return;
    }
    tenant->features->last = feature;
    if (!take_quickly(shard, tenant, feature, event, booking))
        take_slowly(shard, tenant, feature, event, booking);
}
