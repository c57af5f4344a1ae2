#include "rules/anomaly.h"

#include <math.h>

#define SPEAKS_FOR 0.6F /* of its tenant's excess */
#define MINUTE_MS  CLOCK_MINUTE_MS
#define INCIDENT   TEXT("incident")

/* When what its last window says is noticed, whenever it is looked at. */
static int64_t
noticed_ms(const struct scope *scope)
{
    return scope->watch->book.fed_ms + ANOMALY_GRACE_MS;
}

/* ---- rows ------------------------------------------------------------------------------------------- */

static struct text
name_of(const struct scope *scope)
{
    return scope->feature == NULL ? TEXT("") : scope->feature->name;
}

static struct watch_memory *
row_of(struct shard *shard, const struct scope *scope)
{
    struct list *rows = &shard->open->settlement->watches;
    struct row_ref *held = scope->feature == NULL ? &scope->tenant->features->anomalies->row
                                                  : &scope->feature->watch_row;

    if (held->of != shard->open->number) {
        struct watch_memory *row = shard_must(list_add(rows));

        row->tenant = shard_keep(shard, scope->tenant->name);
        row->feature = shard_keep(shard, name_of(scope));
        *held = (struct row_ref){.of = shard->open->number, .row = (uint32_t)(rows->count - 1)};
    }
    scope->tenant->touched = shard->open->number;
    return list_at(rows, held->row);
}

void
anomaly_write(struct shard *shard, const struct scope *scope)
{
    struct watch_memory *row = row_of(shard, scope);

    row->watch = *scope->watch;
    row->gone = false;
}

void
anomaly_erase(struct shard *shard, const struct scope *scope)
{
    row_of(shard, scope)->gone = true;
}

/* The incident as it is; what is absent in `more` stays as it was noted before. */
static void
write_note(struct shard *shard, const struct scope *scope, enum watch_metric metric,
           const struct anomaly_note *more)
{
    const struct series *series = &scope->watch->series[metric];
    struct anomaly_note *row = shard_must(list_add(&shard->open->settlement->notes));

    *row = *more;
    row->tenant = shard_keep(shard, scope->tenant->name);
    row->feature = shard_keep(shard, name_of(scope));
    row->metric = metric;
    row->since_ms = series->since_ms;
    row->at_ms = noticed_ms(scope);
    row->width_ms = watch_width(scope->watch);
    row->tier = (enum watch_tier)series->tier;
    row->score = series->score;
    row->value = series->value;
    row->usual = series->usual;
    row->excess = scope->watch->book.excess;
    row->day = watch_day(scope->watch);
    row->words = shard_keep(shard, more->words);
    row->folded = shard_keep(shard, more->folded);
}

/* ---- alerts ------------------------------------------------------------------------------------------ */

/* To the millionth, for single precision knows seven digits. */
static tally
nano(float units)
{
    const double millionths = (double)units * 1e6;

    return (tally)(fabs(millionths) < 1e15 ? round(millionths) : millionths) * 1000;
}

static struct text
rule_of(enum watch_metric metric)
{
    static const struct text rules[WATCH_METRIC_COUNT] = {
        [WATCH_COST] = TEXT_ROW("anomaly/cost"),
        [WATCH_REQUESTS] = TEXT_ROW("anomaly/requests"),
        [WATCH_TOKENS] = TEXT_ROW("anomaly/tokens"),
        [WATCH_COST_EACH] = TEXT_ROW("anomaly/cost_per_request"),
        [WATCH_OUTPUT_EACH] = TEXT_ROW("anomaly/output_per_request"),
        [WATCH_FALLBACKS] = TEXT_ROW("anomaly/fallback_share"),
    };

    return rules[metric];
}

/* The steps of an alert: what the excess is at least, in per cent of a usual day. */
static int32_t
step_of(uint8_t tier)
{
    return tier == WATCH_PAGE ? 25 : 10;
}

static void
set_value(struct transition *transition, const struct scope *scope, enum watch_metric metric)
{
    const struct series *series = &scope->watch->series[metric];

    switch (metric) {
    case WATCH_COST:
    case WATCH_COST_EACH:
        transition->is_money = true;
        transition->unit = scope->tenant->currency;
        transition->value = nano(series->value);
        transition->threshold = nano(series->usual);
        transition->has_value = true;
        break;
    case WATCH_REQUESTS:
    case WATCH_TOKENS:
        transition->unit = text_of(watch_metric_names[metric]);
        transition->value = (tally)series->value;
        transition->threshold = (tally)series->usual;
        transition->has_value = true;
        break;
    case WATCH_OUTPUT_EACH:
    case WATCH_FALLBACKS:
    case WATCH_METRIC_COUNT:
        break;
    }
}

static void
find_top(const struct scope *scope, struct watch_top *top)
{
    const struct features *features = scope->tenant->features;

    for (size_t i = 0; i < features->count; i++)
        if (features->at[i]->watch != NULL)
            watch_top_add(top, features->at[i]->name, features->at[i]->watch->book.excess);
}

static void
say(struct shard *shard, const struct scope *scope, enum watch_metric metric,
    const struct transition *what)
{
    const struct series *series = &scope->watch->series[metric];
    struct transition transition = *what;
    struct watch_top top = {.at = {{.excess = 0}}};
    char unit[16];
    char since[ZONE_TEXT_SIZE];
    char summary[WATCH_STORY_SIZE];
    struct watch_limit limit;
    const bool passes =
        series->tier == WATCH_PAGE &&
        anomaly_passes(scope->tenant, WATCH_METRIC_COUNT, noticed_ms(scope), &limit);

    (void)text_copy(unit, sizeof unit, scope->tenant->currency);
    find_top(scope, &top);
    transition.rule = rule_of(metric);
    transition.severity = series->tier == WATCH_PAGE ? SEVERITY_CRITICAL : SEVERITY_WARNING;
    transition.at_ms = noticed_ms(scope);
    transition.step = step_of(series->tier);
    transition.zone = text_of(zone_name(scope->tenant->zone));
    transition.labels[LABEL_TENANT] = scope->tenant->name;
    if (scope->feature != NULL)
        transition.labels[LABEL_FEATURE] = scope->feature->name;
    transition.summary = TEXT("spending is near the usual again");
    if (transition.move != MOVE_RESOLVE) {
        set_value(&transition, scope, metric);
        transition.summary =
            text_of(watch_tell(&(struct watch_story){.metric = metric,
                                                     .watch = scope->watch,
                                                     .unit = unit,
                                                     .since = zone_format(scope->tenant->zone,
                                                                          series->since_ms, since),
                                                     .top = scope->feature == NULL ? &top : NULL,
                                                     .limit = passes ? &limit : NULL},
                               summary));
    }
    shard_transition(shard, &transition);
}

/* ---- pages ------------------------------------------------------------------------------------------- */

static void
say_crowded(struct shard *shard, const struct scope *whole, enum move move, enum resolved reason)
{
    const struct tenant *tenant = whole->tenant;
    struct transition transition = {
        .move = move,
        .rule = TEXT("anomaly/incident"),
        .severity = SEVERITY_CRITICAL,
        .at_ms = noticed_ms(whole),
        .zone = text_of(zone_name(tenant->zone)),
        .reason = reason,
        .summary = move == MOVE_RESOLVE
                       ? TEXT("spending is near the usual again")
                       : TEXT("more than three pages in six hours: further ones are in table "
                              "anomaly only")};

    transition.labels[LABEL_TENANT] = tenant->name;
    shard_transition(shard, &transition);
}

/* May this be a page of its own? If so it counts as one. */
static bool
may_page(struct shard *shard, struct tenant *tenant)
{
    const struct scope whole = {.tenant = tenant, .watch = tenant->features->anomalies->watch};
    struct watch_book *book = &whole.watch->book;
    const uint32_t now = (uint32_t)(noticed_ms(&whole) / MINUTE_MS);
    const uint32_t oldest = book->pages[WATCH_PAGES - 1];
    const bool many = oldest > 0 && now - oldest < WATCH_PAGES_MS / MINUTE_MS;

    if (!many) {
        memmove(book->pages + 1, book->pages, (WATCH_PAGES - 1) * sizeof book->pages[0]);
        book->pages[0] = now;
    } else if (!book->crowded) {
        book->crowded = true;
        say_crowded(shard, &whole, MOVE_FIRE, RESOLVED_NOT);
    }
    anomaly_write(shard, &whole);
    return !many;
}

static bool
tells(const struct watch *watch)
{
    bool any = false;

    for (size_t m = 0; watch != NULL && m < WATCH_METRIC_COUNT; m++)
        any = any || watch->series[m].tier >= WATCH_TICKET;
    return any;
}

static void
disperse(struct shard *shard, struct tenant *tenant, enum resolved reason)
{
    const struct features *features = tenant->features;
    const struct scope whole = {.tenant = tenant, .watch = features->anomalies->watch};
    bool any = tells(whole.watch);

    for (size_t i = 0; i < features->count; i++)
        any = any || tells(features->at[i]->watch);
    if (any || !whole.watch->book.crowded)
        return;
    whole.watch->book.crowded = false;
    say_crowded(shard, &whole, MOVE_RESOLVE, reason);
    anomaly_write(shard, &whole);
}

/* ---- tiers ------------------------------------------------------------------------------------------- */

/* The series of the watch that is told already; -1: none. */
static int
told_one(const struct watch *watch)
{
    for (int m = 0; m < WATCH_METRIC_COUNT; m++)
        if (watch->series[m].told)
            return m;
    return -1;
}

/* Its row says who speaks instead. */
static void
fold(struct shard *shard, const struct scope *scope, enum watch_metric metric, struct text into)
{
    write_note(shard, scope, metric, &(struct anomaly_note){.folded = into});
}

static void
raise(struct shard *shard, const struct scope *scope, enum watch_metric metric,
      enum watch_tier tier)
{
    struct series *series = &scope->watch->series[metric];
    const bool first = !series->told;

    series->tier = (uint8_t)tier;
    if (tier == WATCH_PAGE && !may_page(shard, scope->tenant)) {
        fold(shard, scope, metric, INCIDENT);
        return;
    }
    series->told = true;
    write_note(shard, scope, metric, &(struct anomaly_note){.over = false});
    say(shard, scope, metric, &(struct transition){.move = first ? MOVE_FIRE : MOVE_STEP});
}

/* The feature that makes most of the tenant's excess and has an incident of its own, and which of its
 * series has; the one that is told, else the first. */
static struct feature *
speaker_of(const struct tenant *tenant, const struct watch *whole, enum watch_metric *metric)
{
    for (size_t i = 0; i < tenant->features->count; i++) {
        struct feature *feature = tenant->features->at[i];

        if (feature->watch == NULL ||
            !(feature->watch->book.excess / whole->book.excess >= SPEAKS_FOR))
            continue;
        const int told = told_one(feature->watch);

        for (int m = told < 0 ? 0 : told; m < WATCH_METRIC_COUNT; m++)
            if (feature->watch->series[m].tier != WATCH_QUIET) {
                *metric = (enum watch_metric)m;
                return feature;
            }
    }
    return NULL;
}

/* A record of the tenant has its impact: a feature that makes most of it speaks for it. */
static bool
delegate(struct shard *shard, const struct scope *scope, enum watch_metric metric,
         enum watch_tier tier)
{
    enum watch_metric own = WATCH_COST;
    struct feature *speaker =
        scope->feature == NULL ? speaker_of(scope->tenant, scope->watch, &own) : NULL;

    if (speaker == NULL)
        return false;
    const struct scope child = {scope->tenant, speaker, speaker->watch};

    scope->watch->series[metric].tier = (uint8_t)tier;
    fold(shard, scope, metric, speaker->name);
    if (speaker->watch->series[own].tier < tier) {
        raise(shard, &child, own, tier);
        anomaly_write(shard, &child);
    }
    return true;
}

static void
rise(struct shard *shard, const struct scope *scope, enum watch_metric metric, enum watch_tier tier)
{
    struct series *series = &scope->watch->series[metric];
    const int told = told_one(scope->watch);

    if (told >= 0 && told != (int)metric) {
        series->tier = (uint8_t)tier;
        fold(shard, scope, metric, text_of(watch_metric_names[told]));
    } else if (told >= 0 || !delegate(shard, scope, metric, tier))
        raise(shard, scope, metric, tier);
}

static void
end(struct shard *shard, const struct scope *scope, enum watch_metric metric, enum resolved reason)
{
    struct series *series = &scope->watch->series[metric];

    write_note(shard, scope, metric, &(struct anomaly_note){.over = true});
    if (series->told)
        say(shard, scope, metric, &(struct transition){.move = MOVE_RESOLVE, .reason = reason});
    series->tier = WATCH_QUIET;
    series->told = false;
}

/* In the tenant's currency, at the rate of when its last window ended. */
static float
gate_of(const struct scope *scope, tally amount)
{
    amount = tenant_amount(scope->tenant, amount, scope->watch->book.fed_ms);
    return (float)((double)amount / (double)MONEY_NANO_PER_UNIT);
}

static struct watch_gates
gates_of(const struct scope *scope)
{
    const struct anomaly_rule *rule = &scope->tenant->policy->anomaly;

    return (struct watch_gates){.ticket = gate_of(scope, rule->ticket),
                                .page = gate_of(scope, rule->page)};
}

static void
note_record(struct shard *shard, const struct scope *scope, enum watch_metric metric,
            const struct watch_finding *found)
{
    char words[DETECTOR_TEXT_SIZE];
    struct anomaly_note note = {.records = 1,
                                .words = text_of(watch_words(scope->watch, metric, words))};

    memcpy(note.before, found->before, sizeof note.before);
    write_note(shard, scope, metric, &note);
}

/* A page is also a tenant's record above the usual when the period will end above its hard limit: that
 * stops it, whatever the money is. */
static enum watch_tier
impact_of(const struct scope *scope, enum watch_metric metric, const struct watch_gates *gates)
{
    const struct watch *watch = scope->watch;
    struct watch_limit limit;

    if (scope->feature == NULL && watch->series[metric].channel > 0 && watch->book.excess > 0 &&
        watch_may_page(watch) && anomaly_passes(scope->tenant, metric, noticed_ms(scope), &limit))
        return WATCH_PAGE;
    return watch_impact(watch, gates);
}

/* True: the series has moved. */
static bool
judge_series(struct shard *shard, const struct scope *scope, enum watch_metric metric,
             const struct watch_finding *found)
{
    const struct series *series = &scope->watch->series[metric];
    const uint8_t before = series->tier;

    if (before == WATCH_QUIET)
        return false;
    const struct watch_gates gates = gates_of(scope);
    const enum watch_tier impact = impact_of(scope, metric, &gates);

    if (found->record)
        note_record(shard, scope, metric, found);
    if (series->pending > 0 && impact > (enum watch_tier)series->tier)
        rise(shard, scope, metric, impact);
    else if (series->pending == 0 &&
             (series->tier < WATCH_TICKET || watch_is_calm(scope->watch, &gates)))
        end(shard, scope, metric, RESOLVED_CLEARED);
    return found->record || series->tier != before;
}

bool
anomaly_judge(struct shard *shard, const struct scope *scope, const struct watch_window *window)
{
    bool moved = false;

    for (int m = 0; m < WATCH_METRIC_COUNT; m++)
        moved |= judge_series(shard, scope, (enum watch_metric)m, &window->findings[m]);
    if (moved)
        disperse(shard, scope->tenant, RESOLVED_CLEARED);
    return moved;
}

void
anomaly_end(struct shard *shard, const struct scope *scope, enum resolved reason)
{
    for (int m = 0; m < WATCH_METRIC_COUNT; m++)
        if (scope->watch->series[m].tier != WATCH_QUIET)
            end(shard, scope, (enum watch_metric)m, reason);
    anomaly_rules_end(shard, scope, reason);
    anomaly_write(shard, scope);
    disperse(shard, scope->tenant, reason);
}

/* ---- operators --------------------------------------------------------------------------------------- */

const char *
shard_anomaly(struct shard *shard, const struct command *command)
{
    struct extremes before[CHANNEL_COUNT];
    const enum watch_metric metric = command->anomaly.metric;
    struct key128 id;
    struct tenant *tenant = shard_find(shard, command->tenant, &id);
    struct scope scope = {.tenant = tenant};

    if (tenant == NULL || tenant->features == NULL || tenant->features->anomalies == NULL)
        return "the policy has no anomalies";
    if (metric >= WATCH_METRIC_COUNT || command->anomaly.answer >= WATCH_ANSWER_COUNT ||
        command->anomaly.before.size != sizeof before)
        return "no answer that the detector knows";
    anomaly_look(shard, tenant);
    scope.watch = tenant->features->anomalies->watch;
    if (command->anomaly.feature.size > 0) {
        scope.feature = feature_find(tenant->features, command->anomaly.feature);
        scope.watch = scope.feature == NULL ? NULL : scope.feature->watch;
    }
    if (scope.watch == NULL)
        return "nothing is known of this series";
    const struct series *series = &scope.watch->series[metric];
    const bool open = series->tier != WATCH_QUIET && series->since_ms == command->anomaly.since_ms;

    memcpy(before, command->anomaly.before.at, sizeof before);
    watch_hear(scope.watch, metric, command->anomaly.answer, before);
    if (open && command->anomaly.answer != WATCH_REAL) {
        end(shard, &scope, metric, RESOLVED_OPERATOR);
        disperse(shard, tenant, RESOLVED_OPERATOR);
    }
    anomaly_write(shard, &scope);
    judge_due(shard, tenant);
    return NULL;
}
