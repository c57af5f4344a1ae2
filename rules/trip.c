#include "rules/trip.h"

#include "rules/anomaly.h"

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
        trip_write_move(shard, tenant, feature, before, trigger);
    if (now->alarm != before->alarm)
        trip_tell(shard, tenant, feature, before, view);
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
        trip_tell_storm(shard, tenant, MOVE_FIRE);
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
        trip_tell_storm(shard, tenant, MOVE_RESOLVE);
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
        trip_write_move(shard, tenant, feature, &before, (struct text){NULL, 0});
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
