#include "rules/feature.h"

#include "core/identity.h"
#include "rules/anomaly.h"

#include <stdlib.h>

/* ---- made and freed ------------------------------------------------------------------------------ */

static bool
keep(struct text *to, struct text from)
{
    char *copy = NULL;

    if (from.at != NULL) {
        copy = malloc(from.size + 1);
        if (copy == NULL)
            return false;
        (void)text_copy(copy, from.size + 1, from);
    }
    *to = (struct text){copy, from.size};
    return true;
}

static void
drop(struct text *text)
{
    /* Ours by keep(); a text never changes what it points to. */
    union {
        const char *kept;
        char *ours;
    } at = {.kept = text->at};

    free(at.ours);
    *text = (struct text){NULL, 0};
}

void
feature_free(struct feature *feature)
{
    if (feature == NULL)
        return;
    history_free(&feature->history);
    drop(&feature->name);
    drop(&feature->actor);
    drop(&feature->reason);
    free(feature->fleet);
    free(feature);
}

void
features_free(struct features *features)
{
    if (features == NULL)
        return;
    anomalies_free(features);
    for (size_t i = 0; i < features->count; i++)
        feature_free(features->at[i]);
    free(features->at);
    table_free(&features->index);
    free(features);
}

static void *
must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

struct feature *
feature_find(const struct features *features, struct text name)
{
    if (features->last != NULL && text_eq(features->last->name, name))
        return features->last;
    const uint32_t place = table_find(&features->index, identity_one(name));

    return place == TABLE_NONE ? NULL : features->at[place];
}

static void
add(struct features *features, struct feature *feature)
{
    if (features->count == features->room) {
        features->room = features->room == 0 ? 8 : features->room * 2;
        features->at = must(realloc(features->at, features->room * sizeof(struct feature *)));
    }
    if (!table_put(&features->index, identity_one(feature->name), (uint32_t)features->count))
        abort();
    features->at[features->count++] = feature;
}

static const struct breaker_rule *
rule_of(const struct features *features, const struct policy *policy, struct text name)
{
    return features->fleet ? policy_fleet(policy, name) : policy_breaker(policy, name);
}

struct feature *
feature_new(struct text name)
{
    struct feature *feature = must(calloc(1, sizeof *feature));

    (void)must(keep(&feature->name, name) ? feature : NULL);
    feature->accepted_until_ms = INT64_MIN;
    feature->late_hour_ms = INT64_MIN;
    feature->absolute = TALLY_MAX;
    slots_init(&feature->slots);
    breaker_init(&feature->breaker);
    return feature;
}

struct feature *
feature_made(struct features *features, struct text name, const struct policy *policy)
{
    struct feature *feature = feature_find(features, name);

    if (feature != NULL || features->count == FEATURE_LIMIT)
        return feature;
    feature = feature_new(name);
    feature->rule = rule_of(features, policy, name);
    if (features->fleet)
        feature->fleet = must(calloc(1, sizeof *feature->fleet));
    add(features, feature);
    return feature;
}

void
feature_signed(struct feature *feature, struct text actor, struct text reason)
{
    drop(&feature->actor);
    drop(&feature->reason);
    (void)must(keep(&feature->actor, actor) && keep(&feature->reason, reason) ? feature : NULL);
}

void
features_bind(struct features *features, const struct policy *policy)
{
    for (size_t i = 0; i < features->count; i++)
        features->at[i]->rule = rule_of(features, policy, features->at[i]->name);
}

/* ---- as loaded ------------------------------------------------------------------------------------ */

static void
recall_past(struct feature *feature, const struct feature_past *past, const struct zone *zone)
{
    bool failed;
    struct hour_sample *sample =
        history_at(&feature->history, baseline_hour(zone, past->at_ms).start_ms, &failed);

    (void)must(failed ? NULL : feature);
    if (sample == NULL)
        return;
    sample->cost += past->cost;
    sample->flags |= past->flags;
    if (past->baseline > 0)
        sample->baseline = past->baseline;
}

static void
recall_breaker(struct feature *feature, const struct breaker_memory *memory)
{
    feature->breaker = memory->breaker;
    feature->accepted = memory->accepted;
    feature->accepted_until_ms = memory->accepted_until_ms;
    feature_signed(feature, memory->actor, memory->reason);
}

struct features *
features_new(const struct tenant_load *load, const struct zone *zone, const struct policy *policy)
{
    struct features *features = calloc(1, sizeof *features);

    if (features == NULL || !table_init(&features->index, 8, FEATURE_LIMIT)) {
        free(features);
        return NULL;
    }
    features->storm_ms = INT64_MIN;
    features->fleet = text_eq(load->name, FLEET_TENANT);
    /* Breakers first: what they remember must find room. */
    for (size_t i = 0; i < load->breaker_count; i++) {
        struct feature *feature = feature_made(features, load->breakers[i].feature, policy);

        if (feature != NULL)
            recall_breaker(feature, &load->breakers[i]);
    }
    if (policy->anomaly.on && !features->fleet)
        anomalies_recall(features, load, policy);
    for (size_t i = 0; i < load->slot_count; i++) {
        struct feature *feature = load->slots[i].feature.size == 0
                                      ? anomalies_rest(features)
                                      : feature_made(features, load->slots[i].feature, policy);

        if (feature != NULL)
            slots_restore(&feature->slots, &load->slots[i].slot);
    }
    for (size_t i = 0; i < load->hour_count; i++) {
        struct feature *feature = feature_made(features, load->hours[i].feature, policy);

        if (feature != NULL)
            recall_past(feature, &load->hours[i], zone);
    }
    return features;
}

void
features_learn(struct features *features, const struct tenant_load *load, const struct zone *zone,
               const struct policy *policy)
{
    for (size_t i = 0; i < load->hour_count; i++) {
        const struct feature_past *past = &load->hours[i];
        struct feature *feature = feature_made(features, past->feature, policy);

        if (feature != NULL &&
            history_find(&feature->history, baseline_hour(zone, past->at_ms).start_ms) == NULL)
            recall_past(feature, past, zone);
    }
}

/* ---- hours and wires -------------------------------------------------------------------------------- */

/* The rule is in the policy's currency; within an hour its amounts do not move. */
static struct baseline_rule
usual_in(const struct feature *feature, const struct tenant *tenant, int64_t hour_ms)
{
    const struct breaker_rule *rule = feature->rule;

    return (struct baseline_rule){.floor = tenant_amount(tenant, rule->floor, hour_ms),
                                  .configured = rule->configured,
                                  .budget = tenant_amount(tenant, rule->budget, hour_ms)};
}

static tally
baseline_before(const struct feature *feature, const struct tenant *tenant)
{
    const int64_t hour_ms = baseline_hour(tenant->zone, feature->hour.start_ms - 1).start_ms;
    const struct baseline_rule usual = usual_in(feature, tenant, hour_ms);
    struct baseline before;

    baseline_of(&feature->history, tenant->zone, hour_ms, &usual, &before);
    return before.known ? before.value : 0;
}

static void
accept(struct feature *feature, int64_t now_ms)
{
    struct baseline *baseline = &feature->baseline;

    if (now_ms >= feature->accepted_until_ms || baseline->configured)
        return;
    baseline->known = true;
    if (baseline->typical < feature->accepted)
        baseline->typical = feature->accepted;
    if (baseline->value < feature->accepted)
        baseline->value = feature->accepted;
}

void
feature_turn(struct feature *feature, const struct tenant *tenant, int64_t now_ms, bool anew)
{
    const tally absolute = feature->rule->absolute;

    if (!anew && now_ms >= feature->hour.start_ms && now_ms < feature->hour.end_ms)
        return;
    feature->hour = baseline_hour(tenant->zone, now_ms);
    feature->usual = usual_in(feature, tenant, feature->hour.start_ms);
    feature->absolute =
        absolute == TALLY_MAX ? TALLY_MAX : tenant_amount(tenant, absolute, feature->hour.start_ms);
    baseline_of(&feature->history, tenant->zone, feature->hour.start_ms, &feature->usual,
                &feature->baseline);
    feature->before = baseline_before(feature, tenant);
    accept(feature, now_ms);
}

static tally
lesser(tally a, tally b)
{
    return a < b ? a : b;
}

/* A warning is due at twice the baseline. */
#define WARN_RATIO 2

void
feature_view(const struct feature *feature, int64_t now_ms, struct breaker_view *out)
{
    const struct breaker_rule *rule = feature->rule;
    const struct baseline *baseline = &feature->baseline;
    const struct slots_spend hour = slots_judged(&feature->slots, feature->hour.start_ms);
    const struct slots_spend window = slots_judged(&feature->slots, SLOTS_ALL);
    const tally both = feature->before > baseline->value ? feature->before : baseline->value;
    const bool silent = rule->off || feature->alone;
    const tally absolute = silent ? TALLY_MAX : feature->absolute;

    *out = (struct breaker_view){.now_ms = now_ms,
                                 .open_ms = rule->open_ms,
                                 .enforce = rule->enforce && !rule->off,
                                 .known = baseline->known,
                                 .hour = hour.cost,
                                 .window = window.cost,
                                 .calls = window.calls,
                                 .least_calls = rule->least_calls,
                                 .hour_limit = absolute,
                                 .window_limit = absolute,
                                 .hour_warn = absolute,
                                 .window_warn = absolute};
    if (absolute != TALLY_MAX) {
        out->baseline = absolute / BASELINE_RATIO;
        out->hour_warn = out->window_warn = out->baseline * WARN_RATIO;
    } else {
        /* Multiplied by a hundred for the points of a warning. */
        out->hour_warn = out->window_warn = TALLY_MAX / 200;
    }
    if (silent || !baseline->known)
        return;
    out->hour_limit = lesser(absolute, baseline->value * BASELINE_RATIO);
    out->window_limit = lesser(absolute, both * BASELINE_RATIO);
    out->hour_warn = lesser(out->hour_warn, baseline->value * WARN_RATIO);
    out->window_warn = lesser(out->window_warn, both * WARN_RATIO);
    out->baseline = out->baseline == 0 ? baseline->value : lesser(out->baseline, baseline->value);
}

void
feature_wire(struct feature *feature)
{
    const struct breaker *breaker = &feature->breaker;
    struct breaker_view view;

    feature->quick = false;
    if (!breaker_rests(breaker) || breaker->would_ms != INT64_MAX ||
        feature->slots.newest_ms == INT64_MIN)
        return;
    feature_view(feature, feature->slots.newest_ms, &view);
    const int64_t place = feature->slots.newest_ms / SLOT_MS % SLOT_COUNT;
    const tally slot = feature->slots.ring[place < 0 ? place + SLOT_COUNT : place].judged;
    const bool warned = breaker->alarm != 0;
    const tally hour = (warned ? view.hour_limit : lesser(view.hour_warn, view.hour_limit));
    const tally window = (warned ? view.window_limit : lesser(view.window_warn, view.window_limit));

    feature->wire = lesser(hour - (view.hour - slot), window - (view.window - slot));
    feature->quick = true;
}
