#include "rules/fleet.h"

#include "rules/trip.h"

/* NULL: the policy has no breakers, or it is not loaded yet. */
static struct tenant *
fleet_of(const struct shard *shard)
{
    struct key128 id;
    struct tenant *fleet = shard_find(shard, FLEET_TENANT, &id);

    return fleet == NULL || fleet->features == NULL || shard->time_ms == SHARD_TIME_UNKNOWN ? NULL
                                                                                            : fleet;
}

/* ---- what comes in ------------------------------------------------------------------------------- */

static tally
lesser(tally a, tally b)
{
    return a < b ? a : b;
}

/* What of a sum counts now: what counted before and what is new of all, but never more than counts
 * of the tenants' own: so that what was forgiven stays forgiven over restarts. */
static tally
counts_now(tally before, tally more, tally theirs)
{
    return lesser(before + (more > 0 ? more : 0), theirs);
}

static bool
same(const struct slot *a, const struct slot *b)
{
    return a->cost == b->cost && a->attempts == b->attempts && a->requests == b->requests &&
           a->input_tokens == b->input_tokens && a->output_tokens == b->output_tokens &&
           a->fallbacks == b->fallbacks && a->judged <= b->judged &&
           a->judged_calls <= b->judged_calls;
}

/* An hour of the fleet is what its slots said: there are no facts of it. */
static void
add_to_hour(struct shard *shard, const struct tenant *fleet, struct feature *feature,
            int64_t start_ms, tally cost)
{
    struct hour_sample *sample = trip_sample(shard, fleet, feature, start_ms);

    if (sample == NULL)
        return;
    sample->cost += cost;
    trip_write_hour(shard, fleet, feature, sample, cost);
}

static struct feature *
feature_fed(struct shard *shard, struct tenant *fleet, struct text name)
{
    struct feature *feature = feature_made(fleet->features, name, shard->policy);

    if (feature == NULL) {
        trip_full(shard, fleet);
        return NULL;
    }
    slots_advance(&feature->slots, shard->time_ms);
    if (feature->hour.end_ms == 0) {
        feature_turn(feature, fleet, shard->time_ms, false);
        trip_write_breaker(shard, fleet, feature);
    }
    return feature;
}

void
shard_fleet_slot(struct shard *shard, struct text name, const struct slot *sum)
{
    struct tenant *fleet = fleet_of(shard);
    struct feature *feature = fleet == NULL ? NULL : feature_fed(shard, fleet, name);
    struct slot *slot = feature == NULL ? NULL : slots_at(&feature->slots, sum->start_ms);

    if (feature == NULL || slot == NULL || same(slot, sum))
        return;
    const int64_t end_ms = sum->start_ms + SLOT_MS;
    const bool late = end_ms + TRIP_LATE_MS <= shard->time_ms;
    /* What happened before the state began is not what it lets through. */
    const bool before = !breaker_rests(&feature->breaker) && end_ms <= feature->breaker.since_ms;
    const struct slot was = *slot;

    *slot = *sum;
    slot->judged = counts_now(was.judged, late ? 0 : sum->cost - was.cost, sum->judged);
    slot->judged_calls =
        counts_now(was.judged_calls, late ? 0 : sum->attempts - was.attempts, sum->judged_calls);
    if (slot->judged > was.judged && !before)
        feature->fleet->spent += slot->judged - was.judged;
    feature->fleet->fed = true;
    feature->fleet->asked = false;
    add_to_hour(shard, fleet, feature, sum->start_ms, sum->cost - was.cost);
    trip_write_slot(shard, fleet, feature, slot);
    fleet->touched = shard->open->number;
}

/* ---- who spends it ------------------------------------------------------------------------------- */

/* Somebody must say whether it is one tenant: it would warn or trip otherwise. */
static bool
asks(struct feature *feature, int64_t now_ms)
{
    struct breaker_view view;

    if (!feature->fleet->fed || feature->fleet->asked || !breaker_rests(&feature->breaker))
        return false;
    feature->alone = false;
    feature_view(feature, now_ms, &view);
    return view.calls >= view.least_calls &&
           (view.hour > view.hour_warn || view.window > view.window_warn ||
            view.hour > view.hour_limit || view.window > view.window_limit);
}

bool
shard_fleet_asks(struct shard *shard, struct text *feature)
{
    struct tenant *fleet = fleet_of(shard);

    for (size_t i = 0; fleet != NULL && i < fleet->features->count; i++) {
        struct feature *one = fleet->features->at[i];

        feature_turn(one, fleet, shard->time_ms, false);
        if (asks(one, shard->time_ms)) {
            *feature = one->name;
            return true;
        }
        one->fleet->asked = true;
    }
    return false;
}

void
shard_fleet_spread(struct shard *shard, struct text name, const struct fleet_spread *spread)
{
    struct tenant *fleet = fleet_of(shard);
    struct feature *feature = fleet == NULL ? NULL : feature_find(fleet->features, name);

    if (feature == NULL)
        return;
    struct fleet_part *part = feature->fleet;

    part->asked = true;
    part->spread = *spread;
    for (size_t i = 0; i < spread->count; i++) {
        const size_t size = text_copy(part->names[i], sizeof part->names[i], spread->top[i].tenant);

        part->spread.top[i].tenant = (struct text){part->names[i], size};
    }
    feature->alone = spread->count > 0 && spread->top[0].cost * 2 > spread->whole;
}

/* ---- judged -------------------------------------------------------------------------------------- */

void
shard_fleet_judge(struct shard *shard)
{
    struct tenant *fleet = fleet_of(shard);

    for (size_t i = 0; fleet != NULL && i < fleet->features->count; i++) {
        struct feature *feature = fleet->features->at[i];
        struct fleet_part *part = feature->fleet;
        struct breaker_view view;

        if (!part->fed)
            continue;
        feature_turn(feature, fleet, shard->time_ms, false);
        feature_view(feature, shard->time_ms, &view);
        view.event = part->spent > 0;
        view.spent = part->spent;
        part->fed = false;
        part->spent = 0;
        trip_judge(shard, fleet, feature, &view, (struct text){NULL, 0});
        feature->alone = false;
    }
}

/* ---- told ---------------------------------------------------------------------------------------- */

struct words {
    char *at;
    size_t size;
};

static void
put(struct words *words, struct text text)
{
    words->size += text_copy(words->at + words->size, FLEET_SUMMARY_SIZE - words->size, text);
}

static void
put_number(struct words *words, tally number)
{
    char text[TALLY_TEXT_SIZE];

    put(words, text_of(tally_format_count(number, text)));
}

static void
put_spread(struct words *words, const struct fleet_spread *spread)
{
    if (spread->count == 0 || spread->whole <= 0)
        return;
    put(words, TEXT(" over "));
    put_number(words, spread->tenants);
    put(words, TEXT(" tenants ("));
    for (size_t i = 0; i < spread->count; i++) {
        put(words, i == 0 ? TEXT("most: ") : TEXT(", "));
        put(words, spread->top[i].tenant);
        put(words, TEXT(" "));
        put_number(words, spread->top[i].cost * 100 / spread->whole);
        put(words, TEXT(" %"));
    }
    put(words, TEXT(")"));
}

struct text
fleet_summary(const struct feature *feature, const struct breaker *breaker,
              char out[FLEET_SUMMARY_SIZE])
{
    struct words words = {.size = 0};
    const bool warns = breaker != NULL && breaker->alarm == BREAKER_ALARM_WARN;

    words.at = out;
    put(&words, TEXT("all tenants / "));
    put(&words, feature->name);
    put(&words, TEXT(": "));
    if (breaker == NULL) {
        put(&words, TEXT("no longer runs away"));
        return (struct text){out, words.size};
    }
    put(&words, warns ? TEXT("spends far more than is usual") : TEXT("runs away"));
    put_spread(&words, &feature->fleet->spread);
    if (warns)
        put(&words, TEXT("; three times its baseline is a runaway"));
    else if (breaker->alarm == BREAKER_ALARM_LATCH)
        put(&words, TEXT(", the third time within a day: cut for everybody until "
                         "`tripmeter breaker reset '*'` or allow"));
    else if (breaker_rests(breaker))
        put(&words, TEXT(": nothing is cut, for its breaker of the fleet is not enforced"));
    else
        put(&words, TEXT(": gateways answer 429 feature_suspended to everybody, a probe follows by "
                         "itself"));
    return (struct text){out, words.size};
}
