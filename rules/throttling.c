#include "rules/throttling.h"

#include "core/identity.h"

/* What is so late on arrival tells of a gateway that was cut off, not of a burst; and whether it was
 * counted before, a restart could not tell from the tail. */
#define LATE_MS (15 * CLOCK_MINUTE_MS)

static const struct {
    enum event_name name;
    enum label label;
    const char *fired;
    const char *shadowed;
} scopes[BURST_SCOPE_COUNT] = {
    [BURST_KEY] =
        {NAME_API_KEY_ID, LABEL_API_KEY_ID,
         "too many requests with this key in a minute: gateways answer it alone 429 "
         "key_rate_limited",
         "too many requests with this key in a minute: it would be throttled if its limit "
         "were enforced"},
    [BURST_TENANT] = {NAME_COUNT, LABEL_TENANT,
                      "too many requests in a minute: gateways answer all of them 429 "
                      "tenant_rate_limited",
                      "too many requests in a minute: the tenant would be throttled if its limit "
                      "were enforced"},
    [BURST_IP] = {NAME_CLIENT_IP, LABEL_IP,
                  "too many requests from this address in a minute: gateways answer it alone 429 "
                  "ip_rate_limited",
                  "too many requests from this address in a minute: it would be throttled if its "
                  "limit were enforced"},
    [BURST_FEATURE] = {NAME_FEATURE, LABEL_FEATURE,
                       "too many requests for this feature in a minute: gateways answer it alone "
                       "429 feature_rate_limited",
                       "too many requests for this feature in a minute: it would be throttled if "
                       "its limit were enforced"},
};

/* ---- what is remembered and told ----------------------------------------------------------------------- */

/* Once a settlement; what changes again is changed in its row. */
static void
remember(struct shard *shard, struct tenant *tenant, struct throttle *throttle)
{
    struct list *rows = &shard->open->settlement->throttles;

    if (throttle->row_of != shard->open->number) {
        struct throttle_memory *row = shard_must(list_add(rows));

        row->tenant = shard_keep(shard, tenant->name);
        row->subject = shard_keep(shard, throttle->memory.subject);
        throttle->row_of = shard->open->number;
        throttle->row = rows->count - 1;
    }
    struct throttle_memory *row = list_at(rows, throttle->row);
    const struct text names[] = {row->tenant, row->subject};

    *row = throttle->memory;
    row->tenant = names[0];
    row->subject = names[1];
    tenant->touched = shard->open->number;
}

static void
tell(struct shard *shard, const struct tenant *tenant, const struct throttle *throttle,
     enum move move, enum resolved reason)
{
    const struct throttle_memory *memory = &throttle->memory;
    const bool fires = move == MOVE_FIRE;
    struct transition transition = {
        .move = move,
        .rule = text_of(burst_rules[memory->scope]),
        .severity =
            memory->scope == BURST_TENANT && !memory->shadow ? SEVERITY_WARNING : SEVERITY_INFO,
        .at_ms = shard->time_ms,
        .has_value = fires,
        .value = memory->used,
        .threshold = memory->limit,
        .unit = memory->attempts ? TEXT("attempts") : TEXT("requests"),
        .zone = text_of(zone_name(tenant->zone)),
        .resets_ms = fires ? memory->until_ms : 0,
        .restricts = !memory->shadow,
        .reason = reason,
        .summary = !fires           ? TEXT("no more requests than its limit for 5 minutes")
                   : memory->shadow ? text_of(scopes[memory->scope].shadowed)
                                    : text_of(scopes[memory->scope].fired)};

    if (memory->subject.size > 0)
        transition.labels[scopes[memory->scope].label] = memory->subject;
    transition.labels[LABEL_TENANT] = tenant->name;
    shard_transition(shard, &transition);
}

/* ---- throttled ------------------------------------------------------------------------------------------- */

/* What an event did to a window. */
struct hit {
    enum burst_scope scope;
    struct text subject;
    struct key128 key;
    int64_t amount;
    tally cost;
    uint64_t count; /* in the window now */
    struct text trigger;
};

/* Until fewer than its limit will be in the window, and no shorter than gateways can follow. */
static int64_t
end_of(struct shard *shard, const struct throttle *throttle)
{
    const int64_t least_ms = shard->time_ms + THROTTLE_LEAST_MS;
    const int64_t below_ms =
        burst_below(&shard->burst, throttle->key, (uint64_t)throttle->memory.limit, shard->time_ms);

    return below_ms > least_ms ? below_ms : least_ms;
}

static void
throttle_until(struct shard *shard, struct tenant *tenant, struct throttle *throttle,
               int64_t until_ms, struct text trigger)
{
    throttle->memory.until_ms = until_ms;
    throttle->memory.told_ms = shard->time_ms;
    throttle->lapsed = false;
    burst_hold(&shard->burst, throttle->key, until_ms, shard->time_ms);
    remember(shard, tenant, throttle);
    if (!throttle->memory.shadow)
        judge_scope(shard, tenant, throttle->scope, false, trigger);
    judge_due(shard, tenant);
}

static bool
may_alert(const struct bursts *bursts)
{
    size_t open = 0;

    for (size_t i = 0; i < bursts->count; i++)
        open += bursts->throttles[i]->memory.alerted;
    return open < THROTTLE_ALERT_LIMIT;
}

static void
begin(struct shard *shard, struct tenant *tenant, const struct hit *hit)
{
    static const enum metric counted[] = {[BURST_KEY] = METRIC_THROTTLED_KEY,
                                          [BURST_TENANT] = METRIC_THROTTLED_TENANT,
                                          [BURST_IP] = METRIC_THROTTLED_IP,
                                          [BURST_FEATURE] = METRIC_THROTTLED_FEATURE};
    const struct burst_bound *bound = &tenant->bursts->at[hit->scope];
    struct throttle *throttle = throttle_find(tenant->bursts, hit->key);
    const bool first = throttle == NULL;

    if (first)
        throttle = throttle_made(tenant, &(struct throttle_memory){.scope = hit->scope,
                                                                   .subject = hit->subject,
                                                                   .attempts = bound->attempts,
                                                                   .began_ms = shard->time_ms});
    if (throttle == NULL) {
        metric_add(shard->setup.metrics, METRIC_BURST_MISSED, 1);
        return;
    }
    struct throttle_memory *memory = &throttle->memory;

    memory->since_ms = shard->time_ms;
    memory->used = (int64_t)hit->count;
    memory->limit = bound->limit;
    memory->shadow = bound->shadow;
    memory->times++;
    memory->until_ms = end_of(shard, throttle);
    if (first && may_alert(tenant->bursts)) {
        memory->alerted = true;
        tell(shard, tenant, throttle, MOVE_FIRE, RESOLVED_NOT);
    }
    metric_add(shard->setup.metrics, counted[hit->scope], 1);
    throttle_until(shard, tenant, throttle, memory->until_ms, hit->trigger);
}

/* Calls already under way, or a gateway that does not listen: while they come the end moves, told
 * once in 5 seconds. */
static void
go_on(struct shard *shard, struct tenant *tenant, struct throttle *throttle, const struct hit *hit)
{
    struct throttle_memory *memory = &throttle->memory;

    memory->came += hit->amount;
    memory->came_cost += hit->cost;
    if (shard->time_ms >= memory->told_ms + THROTTLE_LEAST_MS) {
        const int64_t below_ms =
            burst_below(&shard->burst, throttle->key, (uint64_t)memory->limit, shard->time_ms);

        if (below_ms > memory->until_ms) {
            memory->used = (int64_t)hit->count;
            throttle_until(shard, tenant, throttle, end_of(shard, throttle), hit->trigger);
            return;
        }
    }
    remember(shard, tenant, throttle);
}

static void
take(struct shard *shard, struct tenant *tenant, struct hit *hit, int64_t at_ms)
{
    const struct burst_event event = {
        .key = hit->key, .at_ms = at_ms, .now_ms = shard->time_ms, .amount = hit->amount};
    int64_t until_ms;

    hit->count = burst_add(&shard->burst, &event, &until_ms);
    if (until_ms <= shard->time_ms) {
        if (hit->count > (uint64_t)tenant->bursts->at[hit->scope].limit)
            begin(shard, tenant, hit);
        return;
    }
    struct throttle *throttle = throttle_find(tenant->bursts, hit->key);

    if (throttle != NULL)
        go_on(shard, tenant, throttle, hit);
}

/* ---- counted --------------------------------------------------------------------------------------------- */

static bool
is_counted(const struct record *record, const struct event *event)
{
    return (event->kind == EVENT_RECORD || event->kind == EVENT_SETTLE) &&
           event->at_ms >= record->time_ms - LATE_MS;
}

/* Failed calls, too: they are as many for whoever serves them. */
static int64_t
amount_of(const struct event *event, bool attempts)
{
    if (attempts)
        return 1;
    return event->attempt == 1 ? event->usage[USAGE_REQUESTS] : 0;
}

/* False: the event names none. */
static bool
subject_of(const struct event *event, int scope, struct text *subject)
{
    *subject = scope == BURST_TENANT ? TEXT("") : event->names[scopes[scope].name];
    return scope == BURST_TENANT || subject->size > 0;
}

void
throttling_event(struct shard *shard, struct tenant *tenant, const struct record *record,
                 const struct event *event, const struct booking *booking)
{
    if (tenant->split || !is_counted(record, event))
        return;
    for (int s = 0; s < BURST_SCOPE_COUNT; s++) {
        const struct burst_bound *bound = &tenant->bursts->at[s];
        struct hit hit = {
            .scope = (enum burst_scope)s, .cost = booking->amounts.cost, .trigger = event->id};

        if (!bound->on || !subject_of(event, s, &hit.subject))
            continue;
        hit.amount = amount_of(event, bound->attempts);
        hit.key = burst_key(bound->base, hit.subject);
        if (hit.amount > 0)
            take(shard, tenant, &hit, record->time_ms);
    }
}

/* Keys are many; tenants and features are few enough to be near, addresses are seldom limited. */
static void
foresee(const struct shard *shard, const struct lookup *lookup,
        void (*ask)(const struct burst *burst, struct key128 key))
{
    for (int attempts = 0; attempts < 2; attempts++)
        if (shard->policy->bursts[BURST_KEY][attempts])
            ask(&shard->burst,
                identity_join(burst_base(lookup->tenant, BURST_KEY, attempts != 0), lookup->key));
}

void
throttling_foresee_place(const struct shard *shard, const struct lookup *lookup)
{
    foresee(shard, lookup, burst_foresee_place);
}

void
throttling_foresee(const struct shard *shard, const struct lookup *lookup)
{
    foresee(shard, lookup, burst_foresee);
}

void
throttling_tail(struct shard *shard, const struct record *record, const struct event *event,
                const struct lookup *lookup)
{
    struct burst_event one = {.at_ms = record->time_ms, .now_ms = shard->time_ms};
    struct text subject;
    int64_t until_ms;

    if (one.now_ms < one.at_ms)
        one.now_ms = one.at_ms;
    if (one.at_ms <= one.now_ms - BURST_WINDOW_MS || !is_counted(record, event))
        return;
    /* Its tenant's plan is not known yet: whatever some plan limits. */
    for (int s = 0; s < BURST_SCOPE_COUNT; s++)
        for (int attempts = 0; attempts < 2; attempts++) {
            if (!shard->policy->bursts[s][attempts] || !subject_of(event, s, &subject))
                continue;
            one.key =
                burst_key(burst_base(lookup->tenant, (enum burst_scope)s, attempts != 0), subject);
            one.amount = amount_of(event, attempts != 0);
            (void)burst_add(&shard->burst, &one, &until_ms);
        }
}

/* ---- time, and other rules --------------------------------------------------------------------------------- */

static void
lapse(struct shard *shard, struct tenant *tenant, struct throttle *throttle)
{
    throttle->lapsed = true;
    if (!throttle->memory.shadow)
        judge_lapsed(shard, tenant, throttle->scope);
}

static void
end(struct shard *shard, struct tenant *tenant, size_t place, enum resolved reason)
{
    struct throttle *throttle = tenant->bursts->throttles[place];
    struct throttle_memory *memory = &throttle->memory;

    if (memory->until_ms > shard->time_ms)
        memory->until_ms = shard->time_ms;
    memory->over = true;
    if (memory->alerted)
        tell(shard, tenant, throttle, MOVE_RESOLVE, reason);
    memory->alerted = false;
    remember(shard, tenant, throttle);
    burst_hold(&shard->burst, throttle->key, INT64_MIN, shard->time_ms);
    if (!memory->shadow)
        judge_forgotten(shard, tenant, throttle->scope);
    throttle_drop(tenant->bursts, place);
}

void
throttling_due(struct shard *shard, struct tenant *tenant)
{
    struct bursts *bursts = tenant->bursts;

    for (size_t i = bursts == NULL ? 0 : bursts->count; i-- > 0;) {
        struct throttle *throttle = bursts->throttles[i];

        if (throttle->memory.until_ms + THROTTLE_QUIET_MS <= shard->time_ms)
            end(shard, tenant, i, RESOLVED_CLEARED);
        else if (!throttle->lapsed && throttle->memory.until_ms <= shard->time_ms)
            lapse(shard, tenant, throttle);
    }
}

/* The limit may be another one, but it holds as before. */
static bool
is_same(const struct burst_bound *bound, const struct throttle *throttle)
{
    return bound->on && bound->attempts == throttle->memory.attempts &&
           bound->shadow == throttle->memory.shadow;
}

/* False: it is throttled no more. */
static bool
follow(struct shard *shard, const struct burst_bound *bound, const struct throttle *throttle)
{
    const struct throttle_memory *memory = &throttle->memory;

    if (!is_same(bound, throttle))
        return false;
    if (memory->until_ms <= shard->time_ms)
        return true;
    if (memory->limit < bound->limit &&
        burst_count(&shard->burst, throttle->key, shard->time_ms) < (uint64_t)bound->limit)
        return false;
    burst_hold(&shard->burst, throttle->key, memory->until_ms, shard->time_ms);
    return true;
}

void
throttling_all(struct shard *shard, struct tenant *tenant)
{
    struct bursts *bursts = tenant->bursts;

    throttling_due(shard, tenant);
    for (size_t i = bursts == NULL ? 0 : bursts->count; i-- > 0;) {
        struct throttle *throttle = bursts->throttles[i];
        const struct burst_bound *bound = &bursts->at[throttle->memory.scope];

        if (!follow(shard, bound, throttle))
            end(shard, tenant, i,
                is_same(bound, throttle) ? RESOLVED_LIMIT_RAISED : RESOLVED_RULE_REMOVED);
        else if (!throttle->lapsed && !throttle->memory.shadow)
            judge_scope(shard, tenant, throttle->scope, false, (struct text){NULL, 0});
    }
}

int64_t
throttling_next(const struct tenant *tenant, bool *restricted)
{
    const struct bursts *bursts = tenant->bursts;
    int64_t next_ms = INT64_MAX;

    for (size_t i = 0; bursts != NULL && i < bursts->count; i++) {
        const struct throttle *throttle = bursts->throttles[i];
        const int64_t due_ms =
            throttle->memory.until_ms + (throttle->lapsed ? THROTTLE_QUIET_MS : 0);

        *restricted = true;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    return next_ms;
}
