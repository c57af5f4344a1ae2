#include "rules/anomaly.h"

#include <stdlib.h>

/* ---- kept ------------------------------------------------------------------------------------------ */

static struct watch *
new_watch(void)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        abort();
    return watch;
}

/* The first slot that one of the watches has not taken. */
static int64_t
first_slot(const struct features *features)
{
    int64_t at_ms = features->anomalies->watch->book.fed_ms;

    for (size_t i = 0; i < features->count; i++)
        if (features->at[i]->watch != NULL && features->at[i]->watch->book.fed_ms < at_ms)
            at_ms = features->at[i]->watch->book.fed_ms;
    return at_ms;
}

static void
set_turn(struct features *features)
{
    struct anomalies *anomalies = features->anomalies;

    anomalies->turn_ms =
        anomalies->watch == NULL ? INT64_MAX : first_slot(features) + SLOT_MS + ANOMALY_GRACE_MS;
}

void
anomalies_recall(struct features *features, const struct tenant_load *load,
                 const struct policy *policy)
{
    struct anomalies *anomalies = shard_must(calloc(1, sizeof *anomalies));

    features->anomalies = anomalies;
    anomalies->rest = feature_new(TEXT(""));
    for (size_t i = 0; i < load->watch_count; i++)
        if (load->watches[i].feature.size == 0) {
            anomalies->watch = new_watch();
            *anomalies->watch = load->watches[i].watch;
        }
    for (size_t i = 0; i < load->watch_count && anomalies->watch != NULL; i++) {
        const struct watch_memory *memory = &load->watches[i];
        struct feature *feature =
            memory->feature.size == 0 ? NULL : feature_made(features, memory->feature, policy);

        if (feature == NULL || anomalies->watched == WATCH_LIMIT)
            continue;
        anomalies->watched++;
        feature->watch = new_watch();
        *feature->watch = memory->watch;
    }
    anomalies->reservations = reservations_recall(load);
    set_turn(features);
}

void
anomalies_free(struct features *features)
{
    if (features->anomalies == NULL)
        return;
    for (size_t i = 0; i < features->count; i++) {
        free(features->at[i]->watch);
        features->at[i]->watch = NULL;
    }
    reservations_free(features->anomalies->reservations);
    feature_free(features->anomalies->rest);
    free(features->anomalies->watch);
    free(features->anomalies);
    features->anomalies = NULL;
}

struct feature *
anomalies_rest(const struct features *features)
{
    return features->anomalies == NULL ? NULL : features->anomalies->rest;
}

/* ---- slots ------------------------------------------------------------------------------------------ */

static void
add_slot(struct watch_usage *usage, const struct feature *feature, int64_t at_ms)
{
    const struct slot *slot = slots_find(&feature->slots, at_ms);

    if (slot != NULL)
        watch_usage_add(usage, slot);
}

/* All that the tenant used in a slot. */
static void
add_all(struct watch_usage *usage, const struct features *features, int64_t at_ms)
{
    for (size_t i = 0; i < features->count; i++)
        add_slot(usage, features->at[i], at_ms);
    add_slot(usage, features->anomalies->rest, at_ms);
}

static void
take(struct shard *shard, const struct scope *scope, const struct watch_usage *usage)
{
    const bool used = !watch_usage_empty(usage);
    struct watch_window window;
    bool moved = false;

    if (watch_take(scope->watch, usage, &window)) {
        moved = anomaly_judge(shard, scope, &window);
        moved |= anomaly_rules(shard, scope, &window);
    }
    if (used || moved)
        anomaly_write(shard, scope);
}

/* The slot that begins at that moment, of every watch that has come so far; features first, for one of
 * them may speak for the tenant. */
static void
take_slot(struct shard *shard, struct tenant *tenant, int64_t at_ms)
{
    struct features *features = tenant->features;
    struct scope whole = {.tenant = tenant, .watch = features->anomalies->watch};

    for (size_t i = 0; i < features->count; i++) {
        struct feature *feature = features->at[i];
        struct watch_usage usage = {.sums = {0}};

        if (feature->watch == NULL || feature->watch->book.fed_ms != at_ms)
            continue;
        add_slot(&usage, feature, at_ms);
        take(shard, &(struct scope){tenant, feature, feature->watch}, &usage);
    }
    if (whole.watch->book.fed_ms == at_ms) {
        struct watch_usage usage = {.sums = {0}};

        add_all(&usage, features, at_ms);
        take(shard, &whole, &usage);
    }
}

/* The tenant's own goes last. */
static void
forget_silent(struct shard *shard, struct tenant *tenant)
{
    struct features *features = tenant->features;
    struct anomalies *anomalies = features->anomalies;

    for (size_t i = 0; i < features->count; i++) {
        struct feature *feature = features->at[i];

        if (feature->watch == NULL || !watch_is_silent(feature->watch))
            continue;
        anomaly_erase(shard, &(struct scope){tenant, feature, feature->watch});
        free(feature->watch);
        feature->watch = NULL;
        anomalies->watched--;
    }
    if (anomalies->watched > 0 || !watch_is_silent(anomalies->watch))
        return;
    anomaly_erase(shard, &(struct scope){.tenant = tenant, .watch = anomalies->watch});
    free(anomalies->watch);
    anomalies->watch = NULL;
}

void
anomaly_turn(struct shard *shard, struct tenant *tenant)
{
    struct features *features = tenant->features;
    const int64_t until_ms = slots_start(shard->time_ms - ANOMALY_GRACE_MS);

    for (int64_t at_ms = first_slot(features); at_ms < until_ms; at_ms += SLOT_MS)
        take_slot(shard, tenant, at_ms);
    forget_silent(shard, tenant);
    set_turn(features);
}

/* ---- used ------------------------------------------------------------------------------------------- */

static struct watch *
begun(const struct shard *shard)
{
    struct watch *watch = new_watch();

    watch_begin(watch, slots_start(shard->time_ms - ANOMALY_GRACE_MS));
    return watch;
}

/* What is stored must not be found empty any more: the slot has been taken. */
static void
write_late(struct shard *shard, const struct scope *scope, const struct slot *slot)
{
    if (slot->start_ms < scope->watch->book.fed_ms)
        anomaly_write(shard, scope);
}

void
anomaly_used(struct shard *shard, struct tenant *tenant, struct feature *feature,
             const struct slot *slot)
{
    struct features *features = tenant->features;
    struct anomalies *anomalies = features->anomalies;
    bool new_one = slot->attempts <= 1; /* the first event in it */

    if (anomalies == NULL)
        return;
    if (anomalies->watch == NULL) {
        anomalies->watch = begun(shard);
        anomaly_write(shard, &(struct scope){.tenant = tenant, .watch = anomalies->watch});
        set_turn(features);
        new_one = true;
    }
    if (feature->watch == NULL && feature != anomalies->rest && anomalies->watched < WATCH_LIMIT) {
        anomalies->watched++;
        feature->watch = begun(shard);
        anomaly_write(shard, &(struct scope){tenant, feature, feature->watch});
        new_one = true;
    }
    write_late(shard, &(struct scope){.tenant = tenant, .watch = anomalies->watch}, slot);
    if (feature->watch != NULL)
        write_late(shard, &(struct scope){tenant, feature, feature->watch}, slot);
    if (new_one && anomaly_next(tenant) < tenant->due_ms)
        judge_due(shard, tenant);
}

static bool
has_unseen(const struct feature *feature, int64_t fed_ms)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        const struct slot *slot = &feature->slots.ring[i];

        if (slot->start_ms >= fed_ms && (slot->attempts > 0 || slot->requests > 0))
            return true;
    }
    return false;
}

static bool
all_unseen(const struct features *features)
{
    const int64_t fed_ms = features->anomalies->watch->book.fed_ms;
    bool unseen = has_unseen(features->anomalies->rest, fed_ms);

    for (size_t i = 0; i < features->count && !unseen; i++)
        unseen = has_unseen(features->at[i], fed_ms);
    return unseen;
}

/* What a feature uses its tenant uses too, in windows that are as wide or less: beside its own
 * incidents a feature needs no deadline. */
static int64_t
next_window(const struct features *features)
{
    int64_t due_ms;

    if (features->anomalies->watch == NULL)
        return INT64_MAX;
    due_ms = watch_due(features->anomalies->watch, false);
    if (due_ms == INT64_MAX)
        due_ms = watch_due(features->anomalies->watch, all_unseen(features));
    for (size_t i = 0; i < features->count; i++) {
        const struct watch *watch = features->at[i]->watch;

        if (watch != NULL && watch_due(watch, false) < due_ms)
            due_ms = watch_due(watch, false);
    }
    return due_ms == INT64_MAX ? INT64_MAX : due_ms + ANOMALY_GRACE_MS;
}

int64_t
anomaly_next(const struct tenant *tenant)
{
    const struct features *features = tenant->features;

    if (features == NULL || features->anomalies == NULL)
        return INT64_MAX;
    const struct reservations *reservations = features->anomalies->reservations;
    const int64_t window_ms = next_window(features);

    return reservations != NULL && reservations->next_ms < window_ms ? reservations->next_ms
                                                                     : window_ms;
}

static bool
tells(const struct watch *watch)
{
    bool told = watch->book.broken != 0 || watch->book.crowded != 0;

    for (size_t m = 0; m < WATCH_METRIC_COUNT; m++)
        told = told || watch->series[m].told != 0;
    return told;
}

bool
anomaly_tells(const struct tenant *tenant)
{
    const struct features *features = tenant->features;

    if (features == NULL || features->anomalies == NULL)
        return false;
    const struct anomalies *anomalies = features->anomalies;
    bool told = (anomalies->reservations != NULL && anomalies->reservations->late > 0) ||
                (anomalies->watch != NULL && tells(anomalies->watch));

    for (size_t i = 0; i < features->count && !told; i++)
        told = features->at[i]->watch != NULL && tells(features->at[i]->watch);
    return told;
}

/* ---- the policy -------------------------------------------------------------------------------------- */

void
anomaly_bind(struct shard *shard, struct tenant *tenant, bool on)
{
    struct features *features = tenant->features;
    const struct tenant_load nothing = {.watch_count = 0};

    if (features == NULL || on == (features->anomalies != NULL))
        return;
    if (on) {
        anomalies_recall(features, &nothing, shard->policy);
        return;
    }
    for (size_t i = 0; i < features->count; i++)
        if (features->at[i]->watch != NULL)
            anomaly_end(shard, &(struct scope){tenant, features->at[i], features->at[i]->watch},
                        RESOLVED_RULE_REMOVED);
    if (features->anomalies->watch != NULL)
        anomaly_end(shard, &(struct scope){.tenant = tenant, .watch = features->anomalies->watch},
                    RESOLVED_RULE_REMOVED);
    reservations_end(shard, tenant);
    anomalies_free(features);
}
