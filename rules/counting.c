#include "rules/counting.h"

/* ---- what is remembered and told ------------------------------------------------------------------ */

static struct counter_memory *
add_row(struct shard *shard)
{
    return shard_must(list_add(&shard->open->settlement->counters));
}

static void
keep_row(struct shard *shard, struct counter_memory *row)
{
    row->tenant = shard_keep(shard, row->tenant);
    row->quota = shard_keep(shard, row->quota);
    row->subject = row->subject.size == 0 ? TEXT("") : shard_keep(shard, row->subject);
}

/* Once a settlement; what changes again is changed in its row. */
static void
remember(struct shard *shard, struct tenant *tenant, struct counter *counter)
{
    struct list *rows = &shard->open->settlement->counters;

    if (counter->row_of == shard->open->number) {
        counter_memory_update(counter, list_at(rows, counter->row));
        return;
    }
    struct counter_memory *row = add_row(shard);

    counter_memory_of(tenant, counter, row);
    keep_row(shard, row);
    counter->row_of = shard->open->number;
    counter->row = rows->count - 1;
    tenant->touched = shard->open->number;
}

/* The window that follows has a row of its own. */
static void
remember_ahead(struct shard *shard, struct tenant *tenant, const struct counter *counter)
{
    struct counter_memory *row = add_row(shard);

    counter_memory_of(tenant, counter, row);
    keep_row(shard, row);
    row->start_ms = counter->window.end_ms;
    row->end_ms = counter_window(tenant, counter->state.rule, counter->window.end_ms).end_ms;
    row->used = counter_stored(counter->state.rule, counter->ahead);
    row->spent = 0;
    row->spent_amount = 0;
    row->open = row->blocked = false;
    tenant->touched = shard->open->number;
}

static struct text
unit_of(const struct tenant *tenant, const struct quota *rule)
{
    if (rule->gauge.size > 0)
        return rule->gauge;
    return meter_is_money(rule->meter) ? tenant->currency : text_of(meter_names[rule->meter]);
}

static void
tell(struct shard *shard, const struct tenant *tenant, const struct counter *counter,
     const struct quota_verdict *verdict, const struct occasion *occasion)
{
    const struct quota *rule = counter->state.rule;
    const bool turns = rule->gauge.size == 0;
    char start[CLOCK_TEXT_SIZE];
    struct transition transition = {
        .at_ms = shard->time_ms,
        .has_value = true,
        .is_money = turns && meter_is_money(rule->meter),
        .value = counter->used,
        .unit = unit_of(tenant, rule),
        .zone = text_of(zone_name(tenant->zone)),
        .resets_ms = turns ? counter->window.end_ms : 0,
        .restricts = (counter->state.blocked || verdict->step.percent >= 100) &&
                     rule->on_exceed == ON_EXCEED_BLOCK && rule->mode == MODE_ENFORCE,
        .reason = verdict->move == MOVE_RESOLVE ? occasion->reason : RESOLVED_NOT};

    quota_describe(&counter->state, verdict, &transition);
    transition.labels[counter_label(rule)] = counter->subject;
    transition.labels[LABEL_TENANT] = tenant->name;
    if (turns)
        transition.labels[LABEL_PERIOD] = text_of(clock_format(counter->window.start_ms, start));
    shard_transition(shard, &transition);
}

static void
publish(struct shard *shard, struct tenant *tenant, const struct counter *counter,
        struct text trigger)
{
    char scope[SCOPE_SIZE];
    const size_t size = counter_scope(tenant, counter, scope);

    if (size > 0)
        judge_scope(shard, tenant, (struct text){scope, size}, false, trigger);
}

/* ---- judged --------------------------------------------------------------------------------------- */

/* True when anything about its restriction or its episode changed: publish it. */
static bool
judge(struct shard *shard, struct tenant *tenant, struct counter *counter,
      const struct occasion *occasion)
{
    struct quota_verdict verdict;

    quota_judge(&counter->state, counter->used, shard->time_ms, &verdict);
    counter->trip_at = quota_trip_at(&counter->state);
    if (!verdict.changed && !verdict.moved)
        return false;
    remember(shard, tenant, counter);
    if (verdict.moved)
        tell(shard, tenant, counter, &verdict, occasion);
    return true;
}

/* The window is over: its episode ends with it, the next one begins with what came ahead of time. */
static bool
turn(struct shard *shard, struct tenant *tenant, struct counter *counter)
{
    static const struct occasion occasion = {.reason = RESOLVED_PERIOD_ROLLOVER};
    const int64_t end_ms = counter->window.end_ms;

    if (shard->time_ms < end_ms)
        return false;
    const struct quota_state before = counter->state;

    counter->state.open = counter->state.blocked = false;
    if (before.open || before.blocked)
        remember(shard, tenant, counter);
    if (before.open)
        tell(shard, tenant, counter,
             &(struct quota_verdict){.move = MOVE_RESOLVE, .step = quota_spent(&before)},
             &occasion);
    counter->window = counter_window(tenant, counter->state.rule, shard->time_ms);
    counter->used = counter->window.start_ms == end_ms ? counter->ahead : 0;
    counter->ahead = 0;
    counter->row_of = 0;
    quota_forget(&counter->state);
    tenant_bind_limit(tenant, &counter->state);
    return judge(shard, tenant, counter, &occasion) || before.open || before.blocked;
}

void
counting_all(struct shard *shard, struct tenant *tenant, const struct occasion *occasion)
{
    if (tenant->counters == NULL || tenant->split)
        return;
    for (size_t i = 0; i < tenant->counters->count; i++) {
        struct counter *counter = &tenant->counters->at[i];

        (void)turn(shard, tenant, counter);
        /* A smaller plan acts from the billing period on that begins now, also on what has another
         * window, or none. */
        tenant_bind_limit(tenant, &counter->state);
        (void)judge(shard, tenant, counter, occasion);
    }
}

void
counting_publish(struct shard *shard, struct tenant *tenant, struct text trigger)
{
    for (size_t i = 0; tenant->counters != NULL && i < tenant->counters->count; i++)
        if (tenant->counters->at[i].state.blocked)
            publish(shard, tenant, &tenant->counters->at[i], trigger);
}

int64_t
counting_next(const struct tenant *tenant, bool *restricted)
{
    const struct counters *counters = tenant->counters;
    int64_t next_ms = INT64_MAX;

    for (size_t i = 0; counters != NULL && i < counters->count; i++) {
        const struct counter *counter = &counters->at[i];
        const bool speaks = counter->state.open || counter->state.blocked;

        *restricted |= speaks;
        if ((speaks || counter->ahead != 0) && counter->window.end_ms < next_ms)
            next_ms = counter->window.end_ms;
    }
    return next_ms;
}

/* ---- counted -------------------------------------------------------------------------------------- */

static bool
subject_of(const struct quota *rule, const struct event *event, const struct booking *booking,
           struct text *subject)
{
    *subject = TEXT("");
    switch (rule->scope) {
    case QUOTA_TENANT:
        return true;
    case QUOTA_PROJECT:
        *subject = booking->project;
        return booking->project_index >= 0;
    case QUOTA_FEATURE:
        *subject = event->names[NAME_FEATURE];
        break;
    case QUOTA_MODEL:
        *subject = event->names[NAME_MODEL];
        break;
    case QUOTA_KEY:
        *subject = event->names[NAME_API_KEY_ID];
        break;
    }
    return subject->size > 0;
}

/* The hour it was booked in says which window it is of; what is late is of one that is over. False:
 * nothing is to be judged. */
static bool
add(struct shard *shard, struct tenant *tenant, struct counter *counter, int64_t at_ms,
    tally amount)
{
    if (at_ms < counter->window.start_ms)
        return false;
    if (at_ms >= counter->window.end_ms) {
        counter->ahead += amount;
        remember_ahead(shard, tenant, counter);
        judge_due(shard, tenant);
        return false;
    }
    counter->used += amount;
    remember(shard, tenant, counter);
    return amount < 0 || counter->used >= counter->trip_at;
}

/* The last value by its own time. False: there is a later one. */
static bool
measure(struct shard *shard, struct tenant *tenant, struct counter *counter,
        const struct event *event)
{
    bool found = false;

    for (size_t i = 0; i < event->gauge_count; i++)
        if (text_eq(event->gauges[i].name, counter->state.rule->gauge) &&
            event->at_ms >= counter->at_ms) {
            counter->used = event->gauges[i].value;
            counter->at_ms = event->at_ms;
            found = true;
        }
    if (found)
        remember(shard, tenant, counter);
    return found;
}

static bool
names_gauge(const struct event *event, struct text gauge)
{
    bool named = false;

    for (size_t i = 0; i < event->gauge_count; i++)
        named |= text_eq(event->gauges[i].name, gauge);
    return named;
}

static void
count_one(struct shard *shard, struct tenant *tenant, const struct quota *rule,
          const struct event *event, const struct booking *booking)
{
    const struct occasion occasion = {.trigger = event->id, .reason = RESOLVED_CLEARED};
    const bool is_gauge = rule->gauge.size > 0;
    const tally amount = is_gauge ? 0 : meter_read(&booking->amounts, rule->meter);
    struct text subject;

    if (is_gauge ? !names_gauge(event, rule->gauge)
                 : amount == 0 || !subject_of(rule, event, booking, &subject))
        return;
    if (is_gauge)
        subject = TEXT("");
    struct counter *counter =
        counter_of(tenant, rule, subject,
                   rule->scope == QUOTA_PROJECT ? booking->project_index : -1, shard->time_ms);

    if (counter == NULL)
        return;
    bool changed = turn(shard, tenant, counter);

    if (is_gauge ? measure(shard, tenant, counter, event)
                 : add(shard, tenant, counter, booking->hour_ms, amount))
        changed = judge(shard, tenant, counter, &occasion) || changed;
    if (!changed)
        return;
    publish(shard, tenant, counter, event->id);
    judge_due(shard, tenant);
}

void
counting_event(struct shard *shard, struct tenant *tenant, const struct event *event,
               const struct booking *booking)
{
    if (tenant->split)
        return;
    for (size_t q = 0; q < tenant->plan->quota_count; q++)
        if (counter_is_for(&tenant->plan->quotas[q]))
            count_one(shard, tenant, &tenant->plan->quotas[q], event, booking);
}

/* ---- left over ------------------------------------------------------------------------------------ */

static bool
is_held(const struct tenant *tenant, const struct counter_memory *memory)
{
    const struct counters *counters = tenant->counters;

    for (size_t i = 0; counters != NULL && i < counters->count; i++)
        if (text_eq(counters->at[i].state.rule->name, memory->quota) &&
            text_eq(counters->at[i].subject, memory->subject))
            return true;
    return false;
}

void
counting_left_over(struct shard *shard, const struct tenant *tenant, const struct tenant_load *load)
{
    for (size_t i = 0; i < load->counter_count && !tenant->split; i++) {
        const struct counter_memory *memory = &load->counters[i];
        char start[CLOCK_TEXT_SIZE];

        if ((!memory->open && !memory->blocked) || is_held(tenant, memory))
            continue;
        struct counter_memory *row = add_row(shard);

        *row = *memory;
        row->tenant = tenant->name;
        keep_row(shard, row);
        row->open = row->blocked = false;
        if (!memory->open)
            continue;
        struct transition end = {.restricts = memory->blocked, .reason = RESOLVED_RULE_REMOVED};

        if (memory->subject.size > 0)
            end.labels[memory->label] = memory->subject;
        if (memory->end_ms < INT64_MAX)
            end.labels[LABEL_PERIOD] = text_of(clock_format(memory->start_ms, start));
        judge_end_remembered(shard, tenant, memory->quota, memory->spent, &end);
    }
}
