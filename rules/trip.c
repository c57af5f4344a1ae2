#include "rules/trip.h"

#include "core/identity.h"
#include "rules/anomaly.h"
#include "rules/fleet.h"

#include <stdlib.h>

#define PARTIAL_MS (6 * CLOCK_MINUTE_MS) /* an hour of which more was missed is not whole */

/* ---- rows ------------------------------------------------------------------------------------------ */

void
trip_write_slot(struct shard *shard, const struct tenant *tenant, struct feature *feature,
                const struct slot *slot)
{
    struct list *rows = &shard->open->settlement->slots;
    struct row_ref *held = &feature->slot_rows[slot - feature->slots.ring];

    if (held->of != shard->open->number) {
        struct feature_slot *row = shard_must(list_add(rows));

        *row = (struct feature_slot){.tenant = shard_keep(shard, tenant->name),
                                     .feature = shard_keep(shard, feature->name)};
        *held = (struct row_ref){.of = shard->open->number, .row = (uint32_t)(rows->count - 1)};
    }
    ((struct feature_slot *)list_at(rows, held->row))->slot = *slot;
}

void
trip_write_hour(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
                const struct hour_sample *sample, tally learned)
{
    struct feature_hour *row = shard_must(list_add(&shard->open->settlement->hours));

    *row = (struct feature_hour){.tenant = shard_keep(shard, tenant->name),
                                 .feature = shard_keep(shard, feature->name),
                                 .hour_ms = sample->hour_ms,
                                 .flags = sample->flags,
                                 .baseline = sample->baseline,
                                 .learned = learned};
}

void
trip_write_breaker(struct shard *shard, struct tenant *tenant, struct feature *feature)
{
    struct list *rows = &shard->open->settlement->breakers;
    struct row_ref *held = &feature->breaker_row;

    if (held->of != shard->open->number) {
        (void)shard_must(list_add(rows));
        *held = (struct row_ref){.of = shard->open->number, .row = (uint32_t)(rows->count - 1)};
    }
    *(struct breaker_memory *)list_at(rows, held->row) =
        (struct breaker_memory){.tenant = shard_keep(shard, tenant->name),
                                .feature = shard_keep(shard, feature->name),
                                .breaker = feature->breaker,
                                .usual = feature->baseline.known ? feature->baseline.value : 0,
                                .accepted = feature->accepted,
                                .accepted_until_ms = feature->accepted_until_ms,
                                .actor = shard_keep(shard, feature->actor),
                                .reason = shard_keep(shard, feature->reason)};
    tenant->touched = shard->open->number;
}

static void
write_move(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
           const struct breaker *before, struct text trigger)
{
    const struct breaker *now = &feature->breaker;
    struct breaker_move *row = shard_must(list_add(&shard->open->settlement->moves));

    *row = (struct breaker_move){.tenant = shard_keep(shard, tenant->name),
                                 .feature = shard_keep(shard, feature->name),
                                 .at_ms = shard->time_ms,
                                 .from = before->state,
                                 .to = now->state,
                                 .would = (before->would_ms == INT64_MAX) !=
                                          (now->would_ms == INT64_MAX),
                                 .opens = now->opens,
                                 .baseline = now->baseline,
                                 .observed = now->observed,
                                 .would_block = now->would_block,
                                 .trigger = shard_keep(shard, trigger),
                                 .actor = shard_keep(shard, feature->actor),
                                 .reason = shard_keep(shard, feature->reason)};
}

/* ---- alerts ---------------------------------------------------------------------------------------- */

static struct text
summary_of(const struct breaker *breaker)
{
    if (breaker->alarm == BREAKER_ALARM_WARN)
        return TEXT(
            "spends far more in an hour than is usual; it is cut at three times its baseline");
    if (breaker->alarm == BREAKER_ALARM_LATCH)
        return TEXT(
            "ran away three times within a day: cut until `tripmeter breaker reset` or allow");
    if (breaker_rests(breaker))
        return TEXT("runs away: it would be cut if its breaker were enforced");
    return TEXT("runs away: gateways answer 429 feature_suspended, a probe follows by itself");
}

/* The fleet is nobody's. */
static struct text
tenant_label(const struct tenant *tenant)
{
    return tenant->fleet ? (struct text){NULL, 0} : tenant->name;
}

static void
tell(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
     const struct breaker *before, const struct breaker_view *view)
{
    const struct breaker *now = &feature->breaker;
    const bool rises = now->alarm > before->alarm;
    const struct breaker *loud = rises ? now : before;
    const bool word = now->state == BREAKER_FORCED_OPEN || now->state == BREAKER_FORCED_CLOSED ||
                      feature->actor.at != NULL;
    const bool warns = loud->alarm == BREAKER_ALARM_WARN;
    char words[FLEET_SUMMARY_SIZE];
    struct transition transition = {
        .move = !rises               ? MOVE_RESOLVE
                : before->alarm == 0 ? MOVE_FIRE
                                     : MOVE_STEP,
        .rule = tenant->fleet ? TEXT("breaker/fleet") : TEXT("breaker/runaway"),
        .severity =
            warns || (breaker_rests(loud) && !tenant->fleet) ? SEVERITY_WARNING : SEVERITY_CRITICAL,
        .at_ms = shard->time_ms,
        .step = loud->alarm,
        .has_value = rises,
        .is_money = true,
        .value =
            warns ? (view->hour > view->hour_warn ? view->hour : view->window) : loud->observed,
        .threshold = warns ? view->hour_warn : loud->baseline * BASELINE_RATIO,
        .unit = tenant->currency,
        .zone = text_of(zone_name(tenant->zone)),
        .resets_ms = loud->until_ms == INT64_MAX ? 0 : loud->until_ms,
        .restricts = !breaker_rests(loud),
        .reason = rises  ? RESOLVED_NOT
                  : word ? RESOLVED_OPERATOR
                  : loud->alarm > BREAKER_ALARM_WARN && !breaker_rests(loud)
                      ? RESOLVED_BREAKER_CLOSED
                      : RESOLVED_CLEARED,
        .summary = tenant->fleet ? fleet_summary(feature, rises ? loud : NULL, words)
                   : rises       ? summary_of(loud)
                                 : TEXT("no longer runs away")};

    transition.labels[LABEL_TENANT] = tenant_label(tenant);
    transition.labels[LABEL_FEATURE] = feature->name;
    shard_transition(shard, &transition);
}

/* About the tenant's features together, or about one hour of one of them. */
static void
notice(struct shard *shard, const struct tenant *tenant, const struct transition *what)
{
    struct transition transition = *what;

    transition.at_ms = shard->time_ms;
    transition.zone = text_of(zone_name(tenant->zone));
    transition.labels[LABEL_TENANT] = tenant_label(tenant);
    shard_transition(shard, &transition);
}

static void
tell_storm(struct shard *shard, const struct tenant *tenant, enum move move)
{
    notice(shard, tenant,
           &(struct transition){
               .move = move,
               .rule = TEXT("breaker/storm"),
               .severity = SEVERITY_CRITICAL,
               .reason = move == MOVE_RESOLVE ? RESOLVED_CLEARED : RESOLVED_NOT,
               .summary = TEXT("more than half of the features run away at once: wrong prices or "
                               "duplicates? Nothing is cut for an hour")});
}

static void
tell_late(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
          const struct hour_sample *sample)
{
    char start[CLOCK_TEXT_SIZE];
    struct transition transition = {
        .move = MOVE_FIRE,
        .rule = TEXT("breaker/late_spend"),
        .severity = SEVERITY_WARNING,
        .has_value = true,
        .is_money = true,
        .value = sample->cost,
        .threshold = feature->baseline.value * BASELINE_RATIO,
        .unit = tenant->currency,
        .summary =
            TEXT("a past hour turned out dear: its events came more than 15 minutes late, so "
                 "nothing is cut for them")};

    transition.labels[LABEL_FEATURE] = feature->name;
    transition.labels[LABEL_PERIOD] = text_of(clock_format(sample->hour_ms, start));
    notice(shard, tenant, &transition);
}

/* ---- one breaker -------------------------------------------------------------------------------------- */

static void
want_scope(struct shard *shard, struct tenant *tenant, const struct feature *feature,
           struct text trigger)
{
    char scope[SCOPE_SIZE];
    const size_t size = scope_build(scope, "feature", tenant->name, feature->name);

    if (size > 0)
        judge_scope(shard, tenant, (struct text){scope, size}, false, trigger);
}

/* The running hour says nothing about what is usual. */
static void
taint(struct shard *shard, struct tenant *tenant, struct feature *feature)
{
    struct hour_sample *sample = history_find(&feature->history, feature->hour.start_ms);

    if (sample == NULL || (sample->flags & HOUR_TRIPPED) != 0)
        return;
    sample->flags |= HOUR_TRIPPED;
    sample->baseline = feature->breaker.baseline;
    trip_write_hour(shard, tenant, feature, sample, 0);
}

static bool
same(const struct breaker *a, const struct breaker *b)
{
    return a->state == b->state && a->since_ms == b->since_ms && a->until_ms == b->until_ms &&
           a->opens == b->opens && a->calm_ms == b->calm_ms && a->tripped_ms == b->tripped_ms &&
           a->spent == b->spent && a->step == b->step && a->waits == b->waits &&
           a->throttled == b->throttled && a->alarm == b->alarm && a->warn_ms == b->warn_ms &&
           a->shadow_ms == b->shadow_ms && a->would_ms == b->would_ms &&
           a->would_block == b->would_block;
}

/* What follows from a judgement: `before` is the breaker as it was. */
static void
follow(struct shard *shard, struct tenant *tenant, struct feature *feature,
       const struct breaker *before, const struct breaker_view *view, struct text trigger)
{
    const struct breaker *now = &feature->breaker;
    bool throttled_before;
    bool throttled_now;
    const bool restricted_before = breaker_restricts(before, &throttled_before);
    const bool restricts = breaker_restricts(now, &throttled_now);
    const bool moved = before->state != now->state;

    if (breaker_taints(now) || (moved && breaker_taints(before)))
        taint(shard, tenant, feature);
    if (!same(before, now))
        trip_write_breaker(shard, tenant, feature);
    if (moved || (before->would_ms == INT64_MAX) != (now->would_ms == INT64_MAX))
        write_move(shard, tenant, feature, before, trigger);
    if (now->alarm != before->alarm)
        tell(shard, tenant, feature, before, view);
    if (restricts != restricted_before || throttled_now != throttled_before ||
        (restricts && (moved || now->until_ms != before->until_ms)))
        want_scope(shard, tenant, feature, trigger);
    feature_wire(feature);
    if (breaker_due(now) != breaker_due(before) || moved || now->alarm != before->alarm)
        judge_due(shard, tenant);
}

static void
forgive(struct shard *shard, const struct tenant *tenant, struct feature *feature)
{
    slots_forgive(&feature->slots);
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (feature->slots.ring[i].start_ms != INT64_MIN)
            trip_write_slot(shard, tenant, feature, &feature->slots.ring[i]);
}

/* ---- storms -------------------------------------------------------------------------------------------- */

static bool
tripped_lately(const struct feature *feature, int64_t now_ms)
{
    return feature->breaker.tripped_ms != INT64_MIN &&
           feature->breaker.tripped_ms > now_ms - BREAKER_STORM_SEEN_MS;
}

/* With this one, more than half of the tenant's active features trip within minutes. */
static bool
is_storm(const struct tenant *tenant, const struct feature *tripping, int64_t now_ms)
{
    size_t active = 0;
    size_t trips = 0;

    for (size_t i = 0; i < tenant->features->count; i++) {
        struct feature *feature = tenant->features->at[i];

        slots_advance(&feature->slots, now_ms);
        const bool trip = feature == tripping || tripped_lately(feature, now_ms);

        trips += trip;
        active += trip || slots_judged(&feature->slots, SLOTS_ALL).calls > 0;
    }
    return trips >= 2 && trips * 2 > active;
}

static void
release(struct shard *shard, struct tenant *tenant, struct feature *feature, int64_t until_ms)
{
    const struct breaker before = feature->breaker;
    struct breaker_view view;

    feature_view(feature, shard->time_ms, &view);
    if (breaker_say(&feature->breaker, BREAKER_WORD_STORM, until_ms, &view))
        forgive(shard, tenant, feature);
    follow(shard, tenant, feature, &before, &view, (struct text){NULL, 0});
}

static void
begin_storm(struct shard *shard, struct tenant *tenant, const struct feature *tripping)
{
    struct features *features = tenant->features;
    const int64_t until_ms = shard->time_ms + BREAKER_STORM_MS;

    for (size_t i = 0; i < features->count; i++) {
        const struct breaker *breaker = &features->at[i]->breaker;
        const bool opened = breaker->state == BREAKER_OPEN || breaker->state == BREAKER_LATCHED;

        if (features->at[i] != tripping && opened &&
            tripped_lately(features->at[i], shard->time_ms))
            release(shard, tenant, features->at[i], until_ms);
    }
    if (features->storm_ms == INT64_MIN)
        tell_storm(shard, tenant, MOVE_FIRE);
    features->storm_ms = until_ms;
}

/* ---- judged --------------------------------------------------------------------------------------------- */

void
trip_judge(struct shard *shard, struct tenant *tenant, struct feature *feature,
           struct breaker_view *view, struct text trigger)
{
    const struct breaker before = feature->breaker;

    if (breaker_trips(&feature->breaker, view) && is_storm(tenant, feature, shard->time_ms)) {
        view->storm = true;
        begin_storm(shard, tenant, feature);
    }
    if (breaker_judge(&feature->breaker, view))
        forgive(shard, tenant, feature);
    if (feature->actor.at != NULL && breaker_rests(&feature->breaker) &&
        feature->breaker.shadow_ms == INT64_MIN)
        feature_signed(feature, (struct text){NULL, 0}, (struct text){NULL, 0});
    follow(shard, tenant, feature, &before, view, trigger);
}

static void
judge_time(struct shard *shard, struct tenant *tenant, struct feature *feature)
{
    struct breaker_view view;

    slots_advance(&feature->slots, shard->time_ms);
    feature_turn(feature, tenant, shard->time_ms, false);
    feature_view(feature, shard->time_ms, &view);
    trip_judge(shard, tenant, feature, &view, (struct text){NULL, 0});
}

int64_t
trip_next(const struct tenant *tenant, bool *restricted)
{
    const struct features *features = tenant->features;
    int64_t due_ms = INT64_MAX;

    if (features == NULL)
        return INT64_MAX;
    if (features->storm_ms != INT64_MIN)
        due_ms = features->storm_ms;
    for (size_t i = 0; i < features->count; i++) {
        const struct breaker *breaker = &features->at[i]->breaker;

        if (breaker_due(breaker) < due_ms)
            due_ms = breaker_due(breaker);
        *restricted |= !breaker_rests(breaker) || breaker->alarm != 0;
    }
    return due_ms;
}

void
trip_due(struct shard *shard, struct tenant *tenant)
{
    struct features *features = tenant->features;

    if (features == NULL || tenant->split || shard->time_ms == SHARD_TIME_UNKNOWN)
        return;
    anomaly_look(shard, tenant);
    for (size_t i = 0; i < features->count; i++)
        if (breaker_due(&features->at[i]->breaker) <= shard->time_ms)
            judge_time(shard, tenant, features->at[i]);
    if (features->storm_ms != INT64_MIN && features->storm_ms <= shard->time_ms) {
        features->storm_ms = INT64_MIN;
        tell_storm(shard, tenant, MOVE_RESOLVE);
    }
}

/* A storm is known by the shadow it casts: one that no operator's word does. */
static void
recall_storm(struct features *features, int64_t now_ms)
{
    for (size_t i = 0; i < features->count; i++) {
        const struct feature *feature = features->at[i];

        if (feature->actor.at == NULL && feature->breaker.shadow_ms > now_ms &&
            feature->breaker.shadow_ms > features->storm_ms)
            features->storm_ms = feature->breaker.shadow_ms;
    }
}

void
trip_all(struct shard *shard, struct tenant *tenant)
{
    struct features *features = tenant->features;
    bool throttles;

    if (features == NULL || tenant->split || shard->time_ms == SHARD_TIME_UNKNOWN)
        return;
    anomaly_look(shard, tenant);
    recall_storm(features, shard->time_ms);
    for (size_t i = 0; i < features->count; i++) {
        struct feature *feature = features->at[i];

        feature_turn(feature, tenant, shard->time_ms, true);
        judge_time(shard, tenant, feature);
        if (breaker_restricts(&feature->breaker, &throttles))
            want_scope(shard, tenant, feature, (struct text){NULL, 0});
    }
}

/* ---- events ----------------------------------------------------------------------------------------------- */

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
        tell_late(shard, tenant, feature, sample);
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
trip_full(struct shard *shard, const struct tenant *tenant)
{
    if (tenant->features->full_noticed)
        return;
    tenant->features->full_noticed = true;
    notice(shard, tenant,
           &(struct transition){.move = MOVE_FIRE,
                                .rule = TEXT("breaker/too_many_features"),
                                .severity = SEVERITY_WARNING,
                                .summary = TEXT("more than 512 features: further ones are counted, "
                                                "but have no breaker")});
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

/* ---- operators ---------------------------------------------------------------------------------------------- */

/* The present level is usual: for a week, until enough hours say so, it is the least baseline. */
static void
accept(struct shard *shard, const struct tenant *tenant, struct feature *feature)
{
    const tally window = slots_judged(&feature->slots, SLOTS_ALL).cost;

    feature->accepted = window > feature->breaker.observed ? window : feature->breaker.observed;
    feature->accepted_until_ms = shard->time_ms + 7 * CLOCK_DAY_MS;
    for (size_t i = 0; i < feature->history.count; i++) {
        struct hour_sample *sample = &feature->history.at[i];

        if (sample->hour_ms < shard->time_ms - 7 * CLOCK_DAY_MS || hour_is_clean(sample))
            continue;
        sample->flags |= HOUR_ACCEPTED;
        trip_write_hour(shard, tenant, feature, sample, 0);
    }
    feature_turn(feature, tenant, shard->time_ms, true);
}

const char *
shard_breaker(struct shard *shard, const struct command *command)
{
    struct key128 id;
    struct tenant *tenant = shard_find(shard, command->tenant, &id);
    struct breaker_view view;

    if (tenant == NULL || tenant->features == NULL)
        return "the policy has no breakers";
    if (command->breaker.word >= BREAKER_WORD_STORM)
        return "no word that breakers know";
    if (shard->time_ms == SHARD_TIME_UNKNOWN)
        return "nothing has happened yet in this shard";
    struct feature *feature =
        feature_made(tenant->features, command->breaker.feature, shard->policy);

    if (feature == NULL)
        return "the tenant has too many features";
    const struct breaker before = feature->breaker;

    anomaly_look(shard, tenant);
    slots_advance(&feature->slots, shard->time_ms);
    feature_turn(feature, tenant, shard->time_ms, true);
    if (command->breaker.word == BREAKER_WORD_ACCEPT)
        accept(shard, tenant, feature);
    feature_view(feature, shard->time_ms, &view);
    feature_signed(feature, command->actor, command->reason);
    if (breaker_say(&feature->breaker, command->breaker.word, command->breaker.until_ms, &view))
        forgive(shard, tenant, feature);
    follow(shard, tenant, feature, &before, &view, (struct text){NULL, 0});
    if (before.state == feature->breaker.state)
        write_move(shard, tenant, feature, &before, (struct text){NULL, 0});
    /* A word that is done has nobody to answer for it any more. */
    if (breaker_rests(&feature->breaker) && feature->breaker.shadow_ms == INT64_MIN)
        feature_signed(feature, (struct text){NULL, 0}, (struct text){NULL, 0});
    trip_write_breaker(shard, tenant, feature);
    want_scope(shard, tenant, feature, (struct text){NULL, 0});
    return NULL;
}

void
trip_removed(struct shard *shard, struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->features->count; i++) {
        struct feature *feature = tenant->features->at[i];
        const struct breaker before = feature->breaker;
        struct breaker_view view = {.now_ms = shard->time_ms, .open_ms = feature->rule->open_ms};

        if (breaker_rests(&before) && before.alarm == 0)
            continue;
        (void)breaker_say(&feature->breaker, BREAKER_WORD_RESET, INT64_MAX, &view);
        follow(shard, tenant, feature, &before, &view, (struct text){NULL, 0});
    }
}
