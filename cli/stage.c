#include "cli/stage_state.h"

#include "core/identity.h"

#include <stdlib.h>

#define STAGE_MEMORY   ((size_t)1 << 30)
#define COMMAND_LIMIT  100000
#define EFFECT_LIMIT   100000
#define SETTLE_MEMORY  ((size_t)8 << 20)
#define DEDUPE_RECORDS STAGE_FEED_LIMIT
#define TENANTS_HELD   10000
#define BURST_ENTRIES  100000

static const char *const topics[] = {"usage"};

void
stage_set_fault(struct stage *stage, const char *text)
{
    if (stage->fault.class == ERR_NONE)
        (void)err_set(&stage->fault, ERR_FATAL, "%s", text);
}

const char *
stage_fault(const struct stage *stage)
{
    return stage->fault.class == ERR_NONE ? NULL : stage->fault.text;
}

void *
stage_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

struct text
stage_keep(struct stage *stage, struct text text)
{
    (void)stage_must(arena_keep(stage->memory, &text) ? stage : NULL);
    return text;
}

/* ---- made and freed ------------------------------------------------------------------------------- */

static void
begin(struct stage *stage)
{
    stage->under_way = NULL;
    shard_begin(stage->shard, &(struct shard_start){.epoch = ++stage->db.epoch,
                                                    .seq = stage->db.seq,
                                                    .time_ms = stage->db.time_ms,
                                                    .closed_ms = stage->db.closed_ms,
                                                    .progress = &stage->db.progress,
                                                    .policy = stage->db.policy,
                                                    .enforcing = stage->db.enforcing});
}

struct stage *
stage_new(const struct policy *policy)
{
    struct stage *stage = calloc(1, sizeof *stage);

    if (stage == NULL)
        return NULL;
    settled_init(&stage->db, policy);
    list_init(&stage->log, sizeof(struct logged), STAGE_RECORD_LIMIT);
    list_init(&stage->commands, sizeof(struct stored_command), COMMAND_LIMIT);
    list_init(&stage->topic, sizeof(struct topic_row), STAGE_ROW_LIMIT);
    list_init(&stage->effects, sizeof(struct effect), EFFECT_LIMIT);
    stage->memory = arena_new(STAGE_MEMORY);
    stage->answers = arena_new(STAGE_MEMORY);
    stage->spoken = arena_new(STAGE_MEMORY);
    stage->decoder = decoder_new();
    stage->setup = (struct shard_setup){.topic_count = 1,
                                        .topics = topics,
                                        .dedupe = true,
                                        .dedupe_window_ms = STAGE_DEDUPE_MS,
                                        .dedupe_records = DEDUPE_RECORDS,
                                        .settle_memory = SETTLE_MEMORY,
                                        .tenant_limit = TENANTS_HELD,
                                        .burst_entries = BURST_ENTRIES,
                                        .record = true,
                                        .metrics = &stage->metrics};
    stage->shard = shard_new(&stage->setup);
    if (stage->memory == NULL || stage->answers == NULL || stage->spoken == NULL ||
        stage->decoder == NULL || stage->shard == NULL) {
        stage_free(stage);
        return NULL;
    }
    begin(stage);
    stage->may_allow = true;
    return stage;
}

void
stage_free(struct stage *stage)
{
    if (stage == NULL)
        return;
    shard_free(stage->shard);
    shard_free(stage->fleet);
    decoder_free(stage->decoder);
    settled_free(&stage->db);
    list_free(&stage->log);
    list_free(&stage->commands);
    list_free(&stage->topic);
    list_free(&stage->effects);
    arena_free(stage->memory);
    arena_free(stage->answers);
    arena_free(stage->spoken);
    free(stage);
}

/* ---- settled --------------------------------------------------------------------------------------- */

void
stage_pause(struct stage *stage)
{
    if (stage->under_way == NULL)
        stage->under_way = shard_freeze(stage->shard);
    stage_listen(stage);
}

void
stage_settle(struct stage *stage)
{
    if (stage->under_way == NULL)
        stage_pause(stage);
    if (stage->under_way == NULL)
        return;
    settled_apply(stage, stage->under_way);
    stage->under_way = NULL;
    shard_settled(stage->shard, NULL, 0);
}

static void
make_room(struct stage *stage)
{
    stage_pause(stage);
    stage_settle(stage);
}

/* ---- what happens ---------------------------------------------------------------------------------- */

static void
load_tenant(struct stage *stage, struct text name)
{
    struct tenant_load load;

    if (shard_knows(stage->shard, name))
        return;
    settled_load(stage, name, shard_time(stage->shard), &load);
    (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
}

/* Whose period ended while nobody had it in memory; looked for as often as engines do. */
static void
load_overdue(struct stage *stage)
{
    const int64_t now_ms = shard_time(stage->shard);

    if (now_ms < stage->overdue_at_ms)
        return;
    stage->overdue_at_ms = now_ms + CLOCK_MINUTE_MS;
    for (size_t i = 0; i < stage->db.tenants.count; i++) {
        const struct tenant_row *row = *(struct tenant_row **)list_at(&stage->db.tenants, i);

        if (row->due_ms <= now_ms)
            load_tenant(stage, row->name);
    }
}

void
stage_advance(struct stage *stage, int64_t now_ms)
{
    while (!shard_advance(stage->shard, now_ms))
        make_room(stage);
    load_overdue(stage);
    shard_read_to(stage->shard, now_ms);
}

static struct record
record_of(const struct logged *logged)
{
    return (struct record){.offset = logged->offset,
                           .time_ms = logged->time_ms,
                           .append_time = true,
                           .value = logged->value};
}

/* The worker's way with one record, a tenant's load included. */
static void
read_record(struct stage *stage, const struct logged *logged)
{
    const struct record record = record_of(logged);
    struct event event;
    struct dead dead;
    int32_t index = 0;

    stage_advance(stage, record.time_ms);
    if (shard_full(stage->shard))
        make_room(stage);
    shard_record(stage->shard, &record);
    decoder_open(stage->decoder, &record);
    for (enum decoded decoded = decoder_next(stage->decoder, &event, &dead); decoded != DECODED_END;
         decoded = decoder_next(stage->decoder, &event, &dead), index++) {
        if (decoded == DECODED_IGNORED)
            shard_ignored(stage->shard, &record);
        else if (decoded == DECODED_DEAD)
            (void)shard_dead(stage->shard, &record, index, &event, &dead);
        else if (shard_event(stage->shard, &record, index, &event, NULL) == APPLIED_UNKNOWN) {
            do {
                load_tenant(stage, event.tenant);
                settled_seek(stage);
            } while (shard_parked(stage->shard, &record, index, &event) == APPLIED_UNKNOWN);
        }
    }
    shard_fingerprint(stage->shard, 0, record_fingerprint(&record));
    shard_record_end(stage->shard, &record);
}

void
stage_record(struct stage *stage, struct text id, struct text value)
{
    struct logged *logged = list_add(&stage->log);

    if (logged == NULL) {
        stage_set_fault(stage, "a scenario may have 200,000 events");
        return;
    }
    *logged = (struct logged){.id = stage_keep(stage, id),
                              .value = stage_keep(stage, value),
                              .offset = (int64_t)stage->log.count - 1,
                              .time_ms = stage_time(stage)};
    read_record(stage, logged);
}

void
stage_feed(struct stage *stage, int64_t time_ms, struct text value)
{
    if (stage->fed == STAGE_FEED_LIMIT) {
        stage_set_fault(stage, "2,000,000 events can be replayed at once: choose a shorter range");
        return;
    }
    read_record(stage,
                &(struct logged){.offset = stage->fed++, .time_ms = time_ms, .value = value});
}

/* As the worker does it with the order (engine/orders.c), at the end of the log so far. */
void
stage_revive(struct stage *stage, int64_t time_ms, struct text value, int32_t index)
{
    struct event event;
    struct dead dead;
    int32_t at = 0;

    stage_advance(stage, time_ms);
    if (shard_full(stage->shard))
        make_room(stage);
    const struct record record = {.offset = stage->fed == 0 ? 0 : stage->fed - 1,
                                  .time_ms = shard_time(stage->shard),
                                  .append_time = true,
                                  .value = value};

    decoder_open(stage->decoder, &record);
    for (enum decoded decoded = decoder_next(stage->decoder, &event, &dead); decoded != DECODED_END;
         decoded = decoder_next(stage->decoder, &event, &dead)) {
        if (at++ != index || decoded != DECODED_EVENT)
            continue;
        while (shard_revive(stage->shard, &record, index, &event) == REVIVED_UNKNOWN) {
            load_tenant(stage, event.tenant);
            settled_seek(stage);
        }
    }
}

size_t
stage_record_count(const struct stage *stage)
{
    return stage->log.count;
}

bool
stage_repeat(struct stage *stage, struct text id, size_t from)
{
    const size_t until = stage->log.count;
    bool found = false;

    for (size_t i = id.at == NULL ? from : 0; i < until; i++) {
        const struct logged original = *(struct logged *)list_at(&stage->log, i);

        if (id.at != NULL && !text_eq(original.id, id))
            continue;
        found = true;
        stage_record(stage, original.id, original.value);
    }
    return found;
}

/* ---- a restart -------------------------------------------------------------------------------------- */

/* What is in the tail, as far as duplicates are looked for. */
static void
read_tail(struct stage *stage)
{
    const int64_t since_ms = stage->db.progress.time_ms - STAGE_DEDUPE_MS;

    for (size_t i = 0; i < (size_t)stage->db.progress.next; i++) {
        const struct logged *logged = list_at(&stage->log, i);
        const struct record record = record_of(logged);
        struct event event;
        struct dead dead;

        if (logged->time_ms < since_ms)
            continue;
        shard_record(stage->shard, &record);
        decoder_open(stage->decoder, &record);
        for (enum decoded decoded = decoder_next(stage->decoder, &event, &dead);
             decoded != DECODED_END; decoded = decoder_next(stage->decoder, &event, &dead))
            if (decoded == DECODED_EVENT && !logged->dead &&
                !shard_tail(stage->shard, &record, &event))
                abort();
    }
}

void
stage_restart(struct stage *stage)
{
    begin(stage);
    stage->may_allow = false;
    stage->overdue_at_ms = 0;
    for (size_t i = 0; i < stage->db.tenants.count; i++) {
        const struct tenant_row *row = *(struct tenant_row **)list_at(&stage->db.tenants, i);

        if (row->restricted || row->due_ms <= stage->db.time_ms)
            load_tenant(stage, row->name);
    }
    if (stage->fleet != NULL)
        stage_fleet_lead(stage);
    /* What stands on the topic is a stranger's to the new owner: it says what is true. */
    for (size_t i = 0; i < stage->topic.count; i++) {
        const struct topic_row *row = list_at(&stage->topic, i);

        if (text_eq(row->tenant, FLEET_TENANT) && stage->fleet != NULL) {
            shard_declare(stage->fleet, row->scope, row->tenant);
            continue;
        }
        load_tenant(stage, row->tenant);
        shard_declare(stage->shard, row->scope, row->tenant);
    }
    read_tail(stage);
    for (size_t i = (size_t)stage->db.commands; i < stage->commands.count; i++)
        stage_apply(stage, i);
    for (size_t i = (size_t)stage->db.progress.next; i < stage->log.count; i++)
        read_record(stage, list_at(&stage->log, i));
    stage_may_allow(stage);
}

void
stage_keep_record(struct stage *stage, bool on)
{
    stage_settle(stage);
    shard_free(stage->shard);
    stage->setup.record = on;
    stage->shard = stage_must(shard_new(&stage->setup));
    stage_restart(stage);
}

/* ---- what came of it -------------------------------------------------------------------------------- */

int64_t
stage_time(const struct stage *stage)
{
    return shard_time(stage->shard);
}

struct tenant *
stage_tenant(struct stage *stage, struct text name)
{
    struct tenant_load load;

    settled_load(stage, name, stage_time(stage), &load);
    return stage_must(tenant_new(&load, identity_one(name), stage->setup.shard, stage->db.policy,
                                 stage_time(stage)));
}

const struct period_total *
stage_totals(const struct stage *stage, size_t *count)
{
    *count = stage->db.totals.count;
    return stage->db.totals.at;
}

const struct period_total *
stage_total(const struct stage *stage, struct text tenant, struct text project, int64_t at_ms)
{
    for (size_t i = 0; i < stage->db.totals.count; i++) {
        const struct period_total *row = list_at(&stage->db.totals, i);

        if (text_eq(row->tenant, tenant) && text_eq(row->project, project) &&
            at_ms >= row->start_ms && at_ms < row->end_ms)
            return row;
    }
    return NULL;
}
