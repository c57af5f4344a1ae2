#include "rules/anomaly.h"

static const struct {
    struct text name;
    struct text over;
} rules[WATCH_RULE_COUNT] = {
    [WATCH_RULE_FALLBACKS] = {TEXT_ROW("anomaly/fallbacks"),
                              TEXT_ROW("few attempts are retries or fallbacks again")},
    [WATCH_RULE_OUTPUT] = {TEXT_ROW("anomaly/output"),
                           TEXT_ROW("output tokens a request are near the usual again")},
};

/* A feature of the tenant says it already. */
static bool
is_told(const struct tenant *tenant, enum watch_rule rule)
{
    bool told = false;

    for (size_t i = 0; i < tenant->features->count; i++) {
        const struct watch *watch = tenant->features->at[i]->watch;

        told |= watch != NULL && (watch->book.broken >> rule & 1) != 0;
    }
    return told;
}

/* `window`: that broke it; NULL: it is over. */
static void
tell(struct shard *shard, const struct scope *scope, const struct watch_window *window,
     enum watch_rule rule, enum resolved reason)
{
    const bool broken = window != NULL;
    char summary[WATCH_STORY_SIZE];
    struct transition transition = {
        .move = broken ? MOVE_FIRE : MOVE_RESOLVE,
        .rule = rules[rule].name,
        .severity = SEVERITY_WARNING,
        .at_ms = scope->watch->book.fed_ms + ANOMALY_GRACE_MS,
        .zone = text_of(zone_name(scope->tenant->zone)),
        .reason = reason,
        .summary = broken ? text_of(watch_tell_rule(rule, window, summary)) : rules[rule].over};

    transition.labels[LABEL_TENANT] = scope->tenant->name;
    if (scope->feature != NULL)
        transition.labels[LABEL_FEATURE] = scope->feature->name;
    shard_transition(shard, &transition);
}

bool
anomaly_rules(struct shard *shard, const struct scope *scope, const struct watch_window *window)
{
    bool moved = false;

    for (int r = 0; r < WATCH_RULE_COUNT; r++) {
        const enum watch_rule rule = (enum watch_rule)r;
        const bool broken = (scope->watch->book.broken >> rule & 1) != 0;

        if ((scope->feature == NULL && !broken && is_told(scope->tenant, rule)) ||
            !watch_breaks(scope->watch, window, rule))
            continue;
        tell(shard, scope, broken ? NULL : window, rule, broken ? RESOLVED_CLEARED : RESOLVED_NOT);
        moved = true;
    }
    return moved;
}

void
anomaly_rules_end(struct shard *shard, const struct scope *scope, enum resolved reason)
{
    for (int r = 0; r < WATCH_RULE_COUNT; r++)
        if ((scope->watch->book.broken >> r & 1) != 0)
            tell(shard, scope, NULL, (enum watch_rule)r, reason);
    scope->watch->book.broken = 0;
}
