#include "rules/shard_state.h"

#include "core/digest.h"
#include "core/identity.h"

#include <assert.h>
#include <stdlib.h>

#define WANTED_LIMIT ((size_t)1 << 20)
#define WANTED_MEMORY ((size_t)1 << 30)
#define UNPRICED_MODELS 10000

void *
shard_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- made, claimed, freed ------------------------------------------------------------------------ */

struct shard *
shard_new(const struct shard_setup *setup)
{
    struct shard *shard = calloc(1, sizeof *shard);

    if (shard == NULL)
        return NULL;
    shard->setup = *setup;
    shard->topics = calloc(setup->topic_count, sizeof *shard->topics);
    shard->wanted_memory = arena_new(WANTED_MEMORY);
    shard->scratch = arena_new(WANTED_MEMORY);
    list_init(&shard->wanted, sizeof(struct scope_state *), WANTED_LIMIT);
    bool good = shard->topics != NULL && shard->wanted_memory != NULL && shard->scratch != NULL &&
                table_init(&shard->index, 1024, TABLE_NONE - 1) &&
                table_init(&shard->unpriced_models, 16, UNPRICED_MODELS) &&
                book_init(&shard->books[0], setup->topic_count, setup->settle_memory) &&
                book_init(&shard->books[1], setup->topic_count, setup->settle_memory);

    for (size_t t = 0; good && setup->dedupe && t < setup->topic_count; t++) {
        shard->topics[t].seen = seen_new(setup->dedupe_window_ms, setup->dedupe_records);
        good = shard->topics[t].seen != NULL;
    }
    if (good)
        return shard;
    shard_free(shard);
    return NULL;
}

static void
forget_tenants(struct shard *shard)
{
    for (size_t i = 0; i < shard->tenant_count; i++)
        tenant_free(shard->tenants[i]);
    shard->tenant_count = 0;
    shard->restricted_count = 0;
    shard->due.count = 0;
    table_clear(&shard->index);
}

void
shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    if (shard->index.slots != NULL)
        forget_tenants(shard);
    for (size_t t = 0; shard->topics != NULL && t < shard->setup.topic_count; t++)
        seen_free(shard->topics[t].seen);
    free(shard->topics);
    free(shard->tenants);
    due_free(&shard->due);
    table_free(&shard->index);
    table_free(&shard->unpriced_models);
    book_free(&shard->books[0]);
    book_free(&shard->books[1]);
    list_free(&shard->wanted);
    arena_free(shard->wanted_memory);
    arena_free(shard->scratch);
    free(shard);
}

void
shard_begin(struct shard *shard, int64_t epoch, int64_t seq, int64_t time_ms,
            const struct progress *progress, const struct policy *policy, bool enforcing)
{
    forget_tenants(shard);
    for (size_t t = 0; t < shard->setup.topic_count; t++) {
        struct topic_state *topic = &shard->topics[t];

        if (topic->seen != NULL)
            seen_clear(topic->seen);
        /* Partition time begins anew with the tail, which reaches back before all that matters. */
        *topic = (struct topic_state){.seen = topic->seen, .time_ms = INT64_MIN};
    }
    shard->policy = policy;
    shard->enforcing = enforcing;
    shard->epoch = epoch;
    shard->seq = seq;
    shard->time_ms = time_ms;
    shard->wanted.count = 0;
    arena_clear(shard->wanted_memory);
    shard->frozen = NULL;
    shard->open = &shard->books[0];
    book_open(shard->open, ++shard->number, progress);
}

int64_t
shard_epoch(const struct shard *shard)
{
    return shard->epoch;
}

int64_t
shard_seq(const struct shard *shard)
{
    return shard->seq;
}

int64_t
shard_time(const struct shard *shard)
{
    return shard->time_ms;
}

int64_t
shard_next_offset(const struct shard *shard, int32_t topic)
{
    return shard->open->settlement->progress[topic].next;
}

bool
shard_halted(const struct shard *shard, int32_t topic)
{
    return shard->topics[topic].halted;
}

/* ---- tenants --------------------------------------------------------------------------------------- */

static struct tenant *
find(const struct shard *shard, struct text name, struct key128 *id)
{
    *id = identity_one(name);
    const uint32_t place = table_find(&shard->index, *id);

    return place == TABLE_NONE ? NULL : shard->tenants[place];
}

bool
shard_knows(const struct shard *shard, struct text tenant)
{
    struct key128 id;

    return find(shard, tenant, &id) != NULL;
}

static bool
add_tenant(struct shard *shard, struct tenant *tenant)
{
    if (shard->tenant_count == shard->tenant_room) {
        const size_t room = shard->tenant_room == 0 ? 256 : shard->tenant_room * 2;
        struct tenant **tenants = realloc(shard->tenants, room * sizeof(struct tenant *));

        if (tenants == NULL)
            return false;
        shard->tenants = tenants;
        shard->tenant_room = room;
    }
    if (!table_put(&shard->index, tenant->id, (uint32_t)shard->tenant_count))
        return false;
    shard->tenants[shard->tenant_count++] = tenant;
    return true;
}

bool
shard_load(struct shard *shard, const struct tenant_load *load)
{
    struct key128 id;

    if (find(shard, load->name, &id) != NULL)
        return true;
    struct tenant *tenant = tenant_new(load, id, shard->setup.shard, shard->policy, shard->time_ms);

    if (tenant == NULL || !add_tenant(shard, tenant)) {
        tenant_free(tenant);
        return false;
    }
    tenant->touched = shard->open->number;
    if (tenant->split) {
        notice_split(shard, tenant);
        return true;
    }
    judge_left_over(shard, tenant, load);
    judge_tenant(shard, tenant, &(struct occasion){.reason = RESOLVED_LIMIT_RAISED});
    return true;
}

/* Totals of projects that were not declared before are known to Postgres only. */
static void
add_projects(struct shard *shard, const struct tenant *old, const struct tenant_load *change,
             struct tenant_load *load)
{
    struct period_total *rows = shard_must(arena_take(
        shard->scratch, (load->period_count + change->period_count) * sizeof *rows));

    memcpy(rows, load->periods, load->period_count * sizeof *rows);
    for (size_t i = 0; i < change->period_count; i++)
        if (change->periods[i].project.size > 0 &&
            tenant_project(old, change->periods[i].project) < 0)
            rows[load->period_count++] = change->periods[i];
    load->periods = rows;
}

/* The tenant is made anew from its own export under another contract or policy. */
static void
rebind(struct shard *shard, uint32_t place, const struct tenant_load *change)
{
    struct tenant *old = shard->tenants[place];
    struct tenant_load load;

    arena_clear(shard->scratch);
    if (!tenant_export(old, shard->setup.shard, shard->scratch, &load))
        abort();
    if (change != NULL) {
        load.known = change->known;
        load.version = change->version;
        load.spec = change->spec;
        load.zone = change->zone;
        load.words = change->words;
        load.word_count = change->word_count;
        add_projects(shard, old, change, &load);
    }
    struct tenant *next =
        shard_must(tenant_new(&load, old->id, shard->setup.shard, shard->policy, shard->time_ms));

    for (const struct published *one = old->published; one != NULL; one = one->next) {
        struct published *copy = shard_must(arena_take(next->memory, sizeof *copy));

        *copy = *one;
        copy->scope = arena_text(next->memory, one->scope);
        copy->next = next->published;
        next->published = copy;
    }
    next->stored_due_ms = old->stored_due_ms;
    next->stored_restricted = old->stored_restricted;
    next->touched = shard->open->number;
    if (!due_set(&shard->due, old, INT64_MAX))
        abort();
    shard->tenants[place] = next;
    judge_left_over(shard, next, &load);
    tenant_free(old);
    judge_tenant(shard, next, &(struct occasion){.reason = RESOLVED_LIMIT_RAISED});
}

/* ---- records ----------------------------------------------------------------------------------------- */

void
shard_record(struct shard *shard, const struct record *record)
{
    struct topic_state *topic = &shard->topics[record->topic];

    if (record->time_ms > topic->time_ms)
        topic->time_ms = record->time_ms;
}

static struct progress *
progress_of(struct shard *shard, const struct record *record)
{
    struct progress *progress = &shard->open->settlement->progress[record->topic];

    progress->moved = true;
    return progress;
}

/* What a repeat must say again to be a repeat. */
static uint32_t
content_of(const struct event *event)
{
    int64_t numbers[12] = {event->kind, event->flags & EVENT_HAS_COST, event->cost.nano};

    static_assert(3 + USAGE_COUNT <= 12, "room for every count");
    memcpy(numbers + 3, event->usage, sizeof event->usage);
    const struct text texts[] = {event->refers.id, event->body};

    return (uint32_t)identity_texts(identity_numbers((struct key128){0}, numbers, 12), texts, 2)
        .low;
}

static struct key128
identity_of(struct key128 tenant, const struct event *event)
{
    const struct text texts[] = {event->source, event->id};

    return identity_texts(tenant, texts, 2);
}

static struct text
keep(struct shard *shard, struct text text)
{
    if (text.at == NULL)
        return text;
    text = arena_text(shard->open->settlement->arena, text);
    (void)shard_must((void *)(uintptr_t)text.at);
    return text;
}

enum applied
shard_dead(struct shard *shard, const struct record *record, int32_t index,
           const struct event *event, const struct dead *dead)
{
    struct settlement *settlement = shard->open->settlement;

    struct dead_letter *row = shard_must(list_add(&settlement->dead));

    *row = (struct dead_letter){.topic = record->topic,
                                .offset = record->offset,
                                .index = index,
                                .time_ms = record->time_ms,
                                .why = *dead,
                                .tenant = keep(shard, event->tenant),
                                .source = keep(shard, event->source),
                                .id = keep(shard, event->id),
                                .fingerprint = record_fingerprint(record)};
    digest_hex(record->value.at == NULL ? TEXT("") : record->value, row->hash);
    if (shard->setup.keep_dead_payload)
        row->value = keep(shard, record->value);
    progress_of(shard, record)->dead++;
    metric_add(shard->setup.metrics, METRIC_DEAD, 1);
    notice_rate(shard, record->topic, record->time_ms, true);
    return APPLIED;
}

void
shard_ignored(struct shard *shard, const struct record *record)
{
    progress_of(shard, record)->ignored++;
    metric_add(shard->setup.metrics, METRIC_IGNORED, 1);
    notice_rate(shard, record->topic, record->time_ms, false);
}

void
shard_record_end(struct shard *shard, const struct record *record)
{
    struct progress *progress = progress_of(shard, record);

    progress->next = record->offset + 1;
    progress->processed++;
    if (shard->topics[record->topic].time_ms > progress->time_ms)
        progress->time_ms = shard->topics[record->topic].time_ms;
    progress->last_offset = record->offset;
    metric_add(shard->setup.metrics, METRIC_RECORDS, 1);
}

void
shard_gap(struct shard *shard, int32_t topic, int64_t from, int64_t to)
{
    struct progress *progress = &shard->open->settlement->progress[topic];

    assert(from == progress->next && to > from);
    progress->moved = true;
    progress->next = to;
    progress->gaps += to - from;
    metric_add(shard->setup.metrics, METRIC_GAPS, to - from);
}

void
shard_fingerprint(struct shard *shard, int32_t topic, uint64_t fingerprint)
{
    shard->open->settlement->progress[topic].last_fingerprint = fingerprint;
}

bool
shard_tail(struct shard *shard, const struct record *record, const struct event *event)
{
    struct topic_state *topic = &shard->topics[record->topic];

    if (topic->seen == NULL)
        return true;
    return seen_remember(topic->seen, identity_of(identity_one(event->tenant), event),
                         content_of(event), record->offset, topic->time_ms);
}

/* What is stored one by one beside being counted. */
static void
keep_event(struct shard *shard, const struct record *record, int32_t index,
           const struct event *event)
{
    struct settlement *settlement = shard->open->settlement;
    struct kept_event *row = shard_must(list_add(&settlement->kept));

    *row = (struct kept_event){.kind = event->kind,
                               .topic = record->topic,
                               .offset = record->offset,
                               .index = index,
                               .at_ms = event->at_ms,
                               .tenant = keep(shard, event->tenant),
                               .source = keep(shard, event->source),
                               .id = keep(shard, event->id),
                               .project = keep(shard, event->names[NAME_PROJECT]),
                               .feature = keep(shard, event->names[NAME_FEATURE]),
                               .key = keep(shard, event->names[NAME_API_KEY_ID]),
                               .model = keep(shard, event->names[NAME_MODEL]),
                               .request_id = keep(shard, event->names[NAME_REQUEST_ID]),
                               .body = keep(shard, event->body)};
    switch (event->kind) {
    case EVENT_RESERVE:
        row->has_amount = (event->flags & EVENT_HAS_COST) != 0;
        row->amount = event->cost;
        row->word = keep(shard, event->reservation.id);
        break;
    case EVENT_RELEASE:
        row->word = keep(shard, event->reservation.id);
        row->reason = keep(shard, event->reservation.reason);
        break;
    case EVENT_CORRECT:
        row->word = keep(shard, event->refers.id);
        break;
    case EVENT_DECISION:
        row->has_amount = event->decision.has_estimate;
        row->amount = event->decision.estimated_cost;
        row->word = keep(shard, event->decision.outcome);
        row->reason = keep(shard, event->decision.reason);
        break;
    case EVENT_TOPUP:
        row->has_amount = true;
        row->amount = event->topup.amount;
        row->word = keep(shard, event->topup.ref);
        break;
    case EVENT_VALUE:
        row->word = keep(shard, event->value_name);
        break;
    case EVENT_GAUGE:
        for (size_t i = 0; i < event->gauge_count; i++) {
            struct kept_event *gauge = i == 0 ? row : shard_must(list_add(&settlement->kept));

            if (i > 0)
                *gauge = *(struct kept_event *)list_at(&settlement->kept,
                                                       settlement->kept.count - 2);
            gauge->word = keep(shard, event->gauges[i].name);
            gauge->value = event->gauges[i].value;
        }
        break;
    case EVENT_RECORD:
    case EVENT_SETTLE:
    case EVENT_REFUND:
    case EVENT_KIND_COUNT:
        break;
    }
}

static void
keep_unpriced(struct shard *shard, const struct record *record, int32_t index,
              const struct event *event, const struct tenant *tenant,
              const struct booking *booking)
{
    struct unpriced_event *row = shard_must(list_add(&shard->open->settlement->unpriced));

    *row = (struct unpriced_event){.topic = record->topic,
                                   .offset = record->offset,
                                   .index = index,
                                   .at_ms = event->at_ms,
                                   .tenant = keep(shard, event->tenant),
                                   .source = keep(shard, event->source),
                                   .id = keep(shard, event->id),
                                   .project = keep(shard, booking->project),
                                   .feature = keep(shard, event->names[NAME_FEATURE]),
                                   .key = keep(shard, event->names[NAME_API_KEY_ID]),
                                   .provider = keep(shard, event->names[NAME_PROVIDER]),
                                   .model = keep(shard, event->names[NAME_MODEL]),
                                   .currency = keep(shard, event->names[NAME_CURRENCY]),
                                   .hour_ms = booking->hour_ms,
                                   .period_ms = booking->period.start_ms};
    memcpy(row->usage, event->usage, sizeof row->usage);
    notice_unpriced(shard, tenant, event);
}

/* The wires: does a total stand at or above the value at which a rule could speak? */
static bool
tripped(const struct totals *totals)
{
    for (size_t m = 0; m < METER_COUNT; m++)
        if (totals->trip_at[m] != TALLY_MAX &&
            meter_read(&totals->sum, (enum meter)m) >= totals->trip_at[m])
            return true;
    return false;
}

static void
judge_event(struct shard *shard, struct tenant *tenant, const struct event *event,
            const struct booking *booking)
{
    const struct occasion occasion = {.trigger = event->id, .reason = RESOLVED_CLEARED};
    const bool back = event->kind == EVENT_REFUND;

    if (tenant->split || booking->period_index < 0)
        return;
    if (booking->period_index > 0) {
        judge_due(shard, tenant);
        return;
    }
    const struct totals *totals = tenant->periods[0].totals;

    if (booking->project_index >= 0 && (back || tripped(&totals[booking->project_index + 1])))
        judge_project(shard, tenant, booking->project_index, &occasion);
    if (back || tripped(&totals[0]))
        judge_project(shard, tenant, -1, &occasion);
}

enum applied
shard_event(struct shard *shard, const struct record *record, int32_t index,
            const struct event *event)
{
    struct topic_state *topic = &shard->topics[record->topic];
    struct key128 id;
    struct tenant *tenant = find(shard, event->tenant, &id);

    if (tenant == NULL)
        return APPLIED_UNKNOWN;
    const struct key128 identity = identity_of(id, event);
    const uint32_t content = content_of(event);
    const enum seen_answer answer =
        topic->seen == NULL
            ? SEEN_NEW
            : seen_ask(topic->seen, identity, content, record->offset, topic->time_ms);

    if (answer == SEEN_CONFLICT)
        return shard_dead(shard, record, index, event,
                          &(struct dead){.reason = DEAD_id_conflict,
                                         .detail = "seen before with other counts or cost"});
    if (answer == SEEN_NEW) {
        struct booking booking;

        if (shard->time_ms >= tenant->periods[0].period.end_ms)
            judge_turn(shard, tenant);
        booking_of(&booking, event, tenant, shard->policy,
                   topic->seen != NULL &&
                       event->at_ms < record->time_ms - shard->setup.dedupe_window_ms);
        switch (book_event(shard->open, tenant, event, &booking)) {
        case BOOKED:
            break;
        case BOOKED_NO_MEMORY:
            abort();
        case BOOKED_OVERFLOW:
            return shard_dead(shard, record, index, event,
                              &(struct dead){.reason = DEAD_overflow,
                                             .detail = "a total would leave its range"});
        }
        if (booking.unpriced)
            keep_unpriced(shard, record, index, event, tenant, &booking);
        if (event->body.at != NULL)
            keep_event(shard, record, index, event);
        if (!tenant->known)
            notice_unknown(shard, tenant, event, false);
        if (booking.project_unknown && !tenant->project_noticed) {
            tenant->project_noticed = true;
            notice_unknown(shard, tenant, event, true);
        }
        judge_event(shard, tenant, event, &booking);
        progress_of(shard, record)->counted++;
        progress_of(shard, record)->keyed += event->names[NAME_API_KEY_ID].size > 0;
        metric_add(shard->setup.metrics, METRIC_COUNTED, 1);
        if (tenant->split)
            metric_add(shard->setup.metrics, METRIC_SPLIT_EVENTS, 1);
    } else {
        progress_of(shard, record)->duplicates++;
        metric_add(shard->setup.metrics, METRIC_DUPLICATES, 1);
    }
    notice_rate(shard, record->topic, record->time_ms, false);
    if (topic->seen != NULL)
        (void)shard_must(
            seen_remember(topic->seen, identity, content, record->offset, topic->time_ms) ? shard
                                                                                          : NULL);
    return APPLIED;
}

/* ---- time and commands --------------------------------------------------------------------------------- */

bool
shard_advance(struct shard *shard, int64_t now_ms)
{
    for (struct tenant *tenant = due_first(&shard->due, now_ms); tenant != NULL;
         tenant = due_first(&shard->due, now_ms)) {
        if (settlement_full(shard->open->settlement))
            return false;
        if (tenant->due_ms > shard->time_ms)
            shard->time_ms = tenant->due_ms;
        const int64_t due_ms = tenant->due_ms;

        if (shard->time_ms >= tenant->periods[0].period.end_ms)
            judge_turn(shard, tenant);
        else
            judge_tenant(shard, tenant, &(struct occasion){.reason = RESOLVED_CLEARED});
        /* Its deadline has passed: the next one is later. */
        assert(tenant->due_ms > due_ms);
    }
    if (now_ms > shard->time_ms) {
        shard->time_ms = now_ms;
        shard->time_moved = true;
    }
    return true;
}

void
shard_policy(struct shard *shard, const struct policy *policy)
{
    shard->policy = policy;
    for (size_t i = 0; i < shard->tenant_count; i++)
        rebind(shard, (uint32_t)i, NULL);
}

void
shard_enforce(struct shard *shard, bool on)
{
    shard->enforcing = on;
    for (size_t i = 0; i < shard->tenant_count; i++)
        if (shard->tenants[i]->restricted)
            judge_tenant(shard, shard->tenants[i],
                         &(struct occasion){.reason = RESOLVED_OPERATOR});
}

void
shard_contract(struct shard *shard, const struct tenant_load *load)
{
    const uint32_t place = table_find(&shard->index, identity_one(load->name));

    if (place != TABLE_NONE)
        rebind(shard, place, load);
}

void
shard_command_done(struct shard *shard, int64_t id, const char *error)
{
    struct command_done *row = shard_must(list_add(&shard->open->settlement->commands));

    *row = (struct command_done){
        .id = id, .at_ms = shard->time_ms, .error = keep(shard, text_of(error))};
    metric_add(shard->setup.metrics, METRIC_COMMANDS, 1);
}

enum revived
shard_revive(struct shard *shard, const struct record *record, int32_t index,
             const struct event *event)
{
    struct topic_state *topic = &shard->topics[record->topic];
    struct key128 id;

    if (find(shard, event->tenant, &id) == NULL)
        return REVIVED_UNKNOWN;
    if (topic->seen != NULL &&
        seen_ask(topic->seen, identity_of(id, event), content_of(event), record->offset,
                 topic->time_ms) == SEEN_CONFLICT)
        return REVIVED_REFUSED;
    (void)shard_event(shard, record, index, event);
    progress_of(shard, record)->dead--;
    return REVIVED;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

size_t
shard_wanted(const struct shard *shard, struct scope_state *const **states)
{
    *states = shard->wanted.at;
    return shard->wanted.count;
}

void
shard_wanted_taken(struct shard *shard, size_t count)
{
    struct scope_state **states = shard->wanted.at;

    assert(count <= shard->wanted.count);
    memmove(states, states + count, (shard->wanted.count - count) * sizeof(struct scope_state *));
    shard->wanted.count -= count;
    if (shard->wanted.count == 0)
        arena_clear(shard->wanted_memory);
}

void
shard_republish(struct shard *shard)
{
    for (size_t i = 0; i < shard->tenant_count; i++)
        for (const struct published *one = shard->tenants[i]->published; one != NULL;
             one = one->next)
            judge_scope(shard, shard->tenants[i], one->scope, true, (struct text){NULL, 0});
}

void
shard_declare(struct shard *shard, struct text scope, struct text tenant)
{
    struct key128 id;
    struct tenant *held = find(shard, tenant, &id);

    if (held != NULL && !held->split)
        judge_scope(shard, held, scope, true, (struct text){NULL, 0});
}

void
shard_transition(struct shard *shard, const struct transition *transition)
{
    struct settlement *settlement = shard->open->settlement;
    struct transition *row = shard_must(list_add(&settlement->transitions));

    *row = *(struct transition *)shard_must(transition_copy(transition, settlement->arena));
    metric_add(shard->setup.metrics, METRIC_TRANSITIONS, 1);
}

/* ---- settlements ------------------------------------------------------------------------------------------ */

bool
shard_clean(const struct shard *shard)
{
    return settlement_empty(shard->open->settlement);
}

bool
shard_full(const struct shard *shard)
{
    return settlement_full(shard->open->settlement);
}

/* What memory believes the totals of this settlement's periods to be once it is committed. */
static void
expect_totals(struct shard *shard, struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->periods.count; i++) {
        struct period_total *row = list_at(&settlement->periods, i);
        struct key128 id;
        const struct tenant *tenant = find(shard, row->tenant, &id);

        if (tenant == NULL || tenant->split)
            continue;
        const int32_t project = row->project.size == 0 ? -1 : tenant_project(tenant, row->project);

        for (size_t p = 0; p < tenant->period_count; p++)
            if (tenant->periods[p].period.start_ms == row->start_ms &&
                (project >= 0 || row->project.size == 0)) {
                row->expected_known = true;
                row->expected = tenant->periods[p].totals[project + 1].sum;
            }
    }
}

struct settlement *
shard_freeze(struct shard *shard)
{
    if (shard->frozen != NULL || (shard_clean(shard) && !shard->time_moved))
        return NULL;
    struct settlement *settlement = shard->open->settlement;

    settlement->shard = shard->setup.shard;
    settlement->epoch = shard->epoch;
    settlement->seq = shard->seq++;
    settlement->time_ms = shard->time_ms;
    settlement->policy = shard->policy->serial;
    expect_totals(shard, settlement);
    shard->time_moved = false;
    shard->frozen = shard->open;
    shard->open = shard->open == &shard->books[0] ? &shard->books[1] : &shard->books[0];
    book_open(shard->open, ++shard->number, settlement->progress);
    return settlement;
}

/* Idle tenants beyond the limit leave, a few each time. */
static void
evict(struct shard *shard)
{
    enum { LOOK_AT = 4096 };

    for (size_t i = 0; i < LOOK_AT && shard->tenant_count > shard->setup.tenant_limit; i++) {
        if (shard->sweep >= shard->tenant_count)
            shard->sweep = 0;
        struct tenant *tenant = shard->tenants[shard->sweep];

        if (tenant->restricted || tenant->due_place != 0 || tenant->touched >= shard->open->number) {
            shard->sweep++;
            continue;
        }
        table_remove(&shard->index, tenant->id);
        shard->tenants[shard->sweep] = shard->tenants[--shard->tenant_count];
        if (shard->sweep < shard->tenant_count)
            (void)table_put(&shard->index, shard->tenants[shard->sweep]->id,
                            (uint32_t)shard->sweep);
        tenant_free(tenant);
    }
}

void
shard_settled(struct shard *shard, const struct period_total *differing, size_t count)
{
    assert(shard->frozen != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct period_total *row = &differing[i];
        struct key128 id;
        struct tenant *tenant = find(shard, row->tenant, &id);
        struct amounts correction;

        if (tenant == NULL)
            continue;
        const int32_t project = row->project.size == 0 ? -1 : tenant_project(tenant, row->project);

        amounts_difference(&correction, &row->delta, &row->expected);
        for (size_t p = 0; p < tenant->period_count; p++)
            if (tenant->periods[p].period.start_ms == row->start_ms &&
                (project >= 0 || row->project.size == 0))
                (void)amounts_add(&tenant->periods[p].totals[project + 1].sum, &correction);
        judge_tenant(shard, tenant, &(struct occasion){.reason = RESOLVED_CLEARED});
    }
    shard->frozen = NULL;
    evict(shard);
    metric_set_to(shard->setup.metrics, METRIC_TENANTS, (int64_t)shard->tenant_count);
}

size_t
shard_tenant_count(const struct shard *shard)
{
    return shard->tenant_count;
}

size_t
shard_restricted_count(const struct shard *shard)
{
    return shard->restricted_count;
}

struct text
shard_default_zone(const struct shard *shard)
{
    return shard->policy->zone;
}
