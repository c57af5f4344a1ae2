/* What is told of breakers: rows for Postgres, alerts for people. */
#include "rules/fleet.h"
#include "rules/trip.h"

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

void
trip_write_move(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
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

void
trip_tell(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
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

void
trip_tell_storm(struct shard *shard, const struct tenant *tenant, enum move move)
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

void
trip_tell_late(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
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
