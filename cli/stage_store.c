#include "cli/stage_state.h"
#include "config/zones.h"
#include "core/identity.h"

#include <stdlib.h>

void
settled_init(struct settled *db, const struct policy *policy)
{
    *db = (struct settled){.enforcing = true, .policy = policy, .progress = {.last_offset = -1}};
    list_init(&db->totals, sizeof(struct period_total), STAGE_ROW_LIMIT);
    list_init(&db->facts, sizeof(struct period_total), STAGE_ROW_LIMIT);
    list_init(&db->adjustments, sizeof(struct adjustment), STAGE_ROW_LIMIT);
    list_init(&db->quotas, sizeof(struct quota_memory), STAGE_ROW_LIMIT);
    list_init(&db->counters, sizeof(struct counter_memory), STAGE_ROW_LIMIT);
    list_init(&db->carries, sizeof(struct carry_row), STAGE_ROW_LIMIT);
    list_init(&db->throttles, sizeof(struct throttle_memory), STAGE_ROW_LIMIT);
    list_init(&db->days, sizeof(struct day_row), STAGE_ROW_LIMIT);
    list_init(&db->pasts, sizeof(struct past_row), STAGE_ROW_LIMIT);
    list_init(&db->slots, sizeof(struct feature_slot), STAGE_ROW_LIMIT);
    list_init(&db->breakers, sizeof(struct breaker_memory), STAGE_ROW_LIMIT);
    list_init(&db->watches, sizeof(struct watch_memory), STAGE_ROW_LIMIT);
    list_init(&db->notes, sizeof(struct anomaly_note), STAGE_ROW_LIMIT);
    list_init(&db->reservations, sizeof(struct reservation_memory), STAGE_ROW_LIMIT);
    list_init(&db->tenants, sizeof(struct tenant_row *), STAGE_ROW_LIMIT);
    (void)stage_must(table_init(&db->totals_by, 64, STAGE_ROW_LIMIT) &&
                             table_init(&db->facts_by, 64, STAGE_ROW_LIMIT) &&
                             table_init(&db->record_by, 64, STAGE_FEED_LIMIT)
                         ? db
                         : NULL);
    list_init(&db->record, sizeof(struct original), STAGE_FEED_LIMIT);
    list_init(&db->unpriced, sizeof(struct unpriced_event), STAGE_FEED_LIMIT);
}

void
settled_free(struct settled *db)
{
    for (size_t i = 0; i < db->tenants.count; i++)
        json_decref((*(struct tenant_row **)list_at(&db->tenants, i))->contract);
    list_free(&db->totals);
    list_free(&db->facts);
    list_free(&db->adjustments);
    list_free(&db->quotas);
    list_free(&db->counters);
    list_free(&db->carries);
    list_free(&db->throttles);
    list_free(&db->days);
    list_free(&db->pasts);
    list_free(&db->slots);
    list_free(&db->breakers);
    list_free(&db->watches);
    list_free(&db->notes);
    list_free(&db->reservations);
    list_free(&db->tenants);
    list_free(&db->record);
    list_free(&db->unpriced);
    table_free(&db->totals_by);
    table_free(&db->facts_by);
    table_free(&db->record_by);
}

/* ---- tenants ------------------------------------------------------------------------------------ */

struct tenant_row *
settled_tenant(const struct settled *db, struct text name)
{
    for (size_t i = 0; i < db->tenants.count; i++) {
        struct tenant_row *row = *(struct tenant_row **)list_at(&db->tenants, i);

        if (text_eq(row->name, name))
            return row;
    }
    return NULL;
}

struct tenant_row *
settled_tenant_made(struct stage *stage, struct text name)
{
    struct tenant_row *row = settled_tenant(&stage->db, name);

    if (row != NULL)
        return row;
    row = stage_must(arena_take(stage->memory, sizeof *row));
    *row = (struct tenant_row){.name = stage_keep(stage, name), .due_ms = INT64_MAX};
    *(struct tenant_row **)stage_must(list_add(&stage->db.tenants)) = row;
    return row;
}

/* ---- what is asked ------------------------------------------------------------------------------- */

static bool
has_period(const struct settled *db, struct text tenant, int64_t period_ms, int64_t after_ms)
{
    for (size_t i = 0; i < db->totals.count; i++) {
        const struct period_total *row = list_at(&db->totals, i);

        if (row->start_ms == period_ms && row->end_ms > after_ms && row->project.size == 0 &&
            text_eq(row->tenant, tenant))
            return true;
    }
    return false;
}

/* Loads answer in order of period. */
static int
by_start(const void *a, const void *b)
{
    const struct period_total *one = a;
    const struct period_total *other = b;
    const int order = (one->start_ms > other->start_ms) - (one->start_ms < other->start_ms);

    return order != 0 ? order : text_compare(one->project, other->project);
}

static int
by_past_start(const void *a, const void *b)
{
    const struct period *one = a;
    const struct period *other = b;

    return (one->start_ms > other->start_ms) - (one->start_ms < other->start_ms);
}

void
settled_load(struct stage *stage, struct text name, int64_t after_ms, struct tenant_load *load)
{
    const struct settled *db = &stage->db;
    struct err why = {.class = ERR_NONE};
    struct tenant_row *row = settled_tenant_made(stage, name);

    arena_clear(stage->answers);
    *load = (struct tenant_load){
        .name = row->name,
        .home = stage->setup.shard,
        .known = row->contract != NULL,
        .version = row->version,
        .due_ms = row->due_ms,
        .restricted = row->restricted,
        .spec = row->spec,
        .zone = row->zone != NULL ? row->zone : zones_get(shard_default_zone(stage->shard), &why),
        .periods = stage_must(
            arena_take(stage->answers, (db->totals.count + 1) * sizeof(struct period_total))),
        .plans = row->plans,
        .plan_count = row->plan_count,
        .past =
            stage_must(arena_take(stage->answers, (db->totals.count + 1) * sizeof(struct period))),
        .quotas = stage_must(
            arena_take(stage->answers, (db->quotas.count + 1) * sizeof(struct quota_memory))),
        .words = row->words,
        .word_count = row->word_count};
    if (load->zone == NULL) {
        stage_set_fault(stage, why.text);
        load->zone = zone_utc();
    }
    for (size_t i = 0; i < db->totals.count; i++) {
        const struct period_total *total = list_at(&db->totals, i);

        if (!text_eq(total->tenant, name))
            continue;
        if (total->end_ms > after_ms || stage_carries_period(db, name, total->start_ms))
            load->periods[load->period_count++] = *total;
        if (total->end_ms <= after_ms && total->project.size == 0)
            load->past[load->past_count++] = (struct period){total->start_ms, total->end_ms};
    }
    qsort(load->periods, load->period_count, sizeof *load->periods, by_start);
    qsort(load->past, load->past_count, sizeof *load->past, by_past_start);
    load->counters =
        stage_must(arena_take(stage->answers, (db->counters.count + 1) * sizeof *load->counters));
    for (size_t i = 0; i < db->counters.count; i++) {
        const struct counter_memory *memory = list_at(&db->counters, i);

        if (text_eq(memory->tenant, name) &&
            (memory->end_ms > after_ms || memory->open || memory->blocked))
            load->counters[load->counter_count++] = *memory;
    }
    for (size_t i = 0; i < db->quotas.count; i++) {
        const struct quota_memory *memory = list_at(&db->quotas, i);

        if (text_eq(memory->tenant, name) &&
            (memory->open || memory->blocked || memory->pace.warning || memory->pace.notice ||
             has_period(db, name, memory->period_ms, after_ms)))
            load->quotas[load->quota_count++] = *memory;
    }
    stage_load_carries(stage, name, load);
    stage_load_features(stage, name, load);
    stage_load_throttles(stage, name, load);
}

/* ---- the record ----------------------------------------------------------------------------------- */

static struct key128
identity_of(struct text tenant, struct text source, struct text id)
{
    const struct text texts[] = {source, id};

    return identity_texts(identity_one(tenant), texts, 2);
}

struct original *
settled_original(const struct settled *db, struct key128 identity)
{
    const uint32_t place = table_find(&db->record_by, identity);

    return place == TABLE_NONE ? NULL : list_at(&db->record, place);
}

void
settled_seek(struct stage *stage)
{
    const struct sought *sought;
    const size_t count = shard_sought(stage->shard, &sought);

    shard_asked(stage->shard);
    for (size_t i = 0; i < count; i++) {
        const struct original *original = settled_original(
            &stage->db, identity_of(sought[i].tenant, sought[i].source, sought[i].id));

        if (original != NULL)
            shard_found(stage->shard, i, original);
    }
    (void)shard_answered(stage->shard, count);
}

static int64_t
period_end(const struct settlement *settlement, const struct fact *fact)
{
    for (size_t i = 0; i < settlement->periods.count; i++) {
        const struct period_total *total = list_at(&settlement->periods, i);

        if (total->start_ms == fact->period_ms && text_eq(total->tenant, fact->tenant))
            return total->end_ms;
    }
    return INT64_MAX;
}

/* As record_find answers in Postgres: the event itself, and what later ones left of it. */
static void
write_event(struct stage *stage, const struct settlement *settlement,
            const struct settled_event *event)
{
    struct settled *db = &stage->db;
    const struct fact *fact = list_at(&settlement->facts, event->fact);
    const struct key128 identity = identity_of(fact->tenant, event->source, event->id);
    struct original *before =
        event->original_id.at == NULL
            ? NULL
            : settled_original(
                  db, identity_of(fact->tenant, event->original_source, event->original_id));

    if (before != NULL && event->price) {
        (void)amounts_add(&before->amounts, &event->amounts);
        before->listed = event->price_version >= 0;
    }
    if (before != NULL && (event->reversal || event->kind == EVENT_REFUND)) {
        before->replaced |= event->reversal && !event->price && event->kind != EVENT_REFUND;
        before->left_cost += event->amounts.cost;
        before->left_charge += event->amounts.charge;
    }
    if (event->reversal || settled_original(db, identity) != NULL)
        return;
    struct original *row = stage_must(list_add(&db->record));

    *row = (struct original){.kind = event->kind,
                             .content = event->content,
                             .attempt = event->attempt,
                             .hour_ms = fact->hour_ms,
                             .period_ms = fact->period_ms,
                             .period_end_ms = period_end(settlement, fact),
                             .project = stage_keep(stage, fact->project),
                             .feature = stage_keep(stage, fact->feature),
                             .provider = stage_keep(stage, fact->provider),
                             .model = stage_keep(stage, fact->model),
                             .key = stage_keep(stage, event->key),
                             .listed = event->price_version >= 0,
                             .amounts = event->amounts,
                             .left_cost = event->amounts.cost,
                             .left_charge = event->amounts.charge};
    (void)stage_must(table_put(&db->record_by, identity, (uint32_t)(db->record.count - 1)) ? row
                                                                                           : NULL);
}

/* ---- what is written ------------------------------------------------------------------------------ */

/* The row of a key, made when it is not there. */
static struct period_total *
total_row(struct stage *stage, struct list *rows, struct table *index,
          const struct period_total *key)
{
    const struct key128 id = identity_texts(
        identity_numbers(identity_one(key->tenant), &key->start_ms, 1), &key->project, 1);
    const uint32_t found = table_find(index, id);

    if (found != TABLE_NONE)
        return list_at(rows, found);
    struct period_total *row = stage_must(list_add(rows));

    (void)stage_must(table_put(index, id, (uint32_t)(rows->count - 1)) ? row : NULL);
    *row = (struct period_total){.tenant = stage_keep(stage, key->tenant),
                                 .project = stage_keep(stage, key->project),
                                 .start_ms = key->start_ms,
                                 .end_ms = key->end_ms};
    return row;
}

static void
write_total(struct stage *stage, const struct period_total *delta)
{
    struct period_total *row = total_row(stage, &stage->db.totals, &stage->db.totals_by, delta);

    if (!amounts_add(&row->delta, &delta->delta))
        stage_set_fault(stage, "a settled total left its range");
    if (delta->expected_known && !amounts_equal(&row->delta, &delta->expected))
        stage_set_fault(stage, "a total is not what the memory of the engine has");
}

static void
write_adjustment(struct stage *stage, const struct adjustment *delta)
{
    struct list *rows = &stage->db.adjustments;
    struct adjustment *row = NULL;

    for (size_t i = 0; i < rows->count && row == NULL; i++) {
        struct adjustment *one = list_at(rows, i);

        if (one->period_ms == delta->period_ms &&
            one->service.start_ms == delta->service.start_ms &&
            text_eq(one->tenant, delta->tenant) && text_eq(one->project, delta->project))
            row = one;
    }
    if (row == NULL) {
        row = stage_must(list_add(rows));
        *row = *delta;
        row->tenant = stage_keep(stage, delta->tenant);
        row->project = stage_keep(stage, delta->project);
    } else if (!amounts_add(&row->delta, &delta->delta)) {
        stage_set_fault(stage, "a settled adjustment left its range");
    }
}

static void
write_facts(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->facts.count; i++) {
        const struct fact *fact = list_at(&settlement->facts, i);
        const struct period_total key = {
            .tenant = fact->tenant, .project = TEXT(""), .start_ms = fact->period_ms};
        struct amounts delta;

        delta_read(&fact->delta, &settlement->wide, &delta);
        if (!amounts_add(&total_row(stage, &stage->db.facts, &stage->db.facts_by, &key)->delta,
                         &delta))
            stage_set_fault(stage, "the facts of a period left their range");
    }
}

void
stage_adjustments(const struct stage *stage, const struct period_total *total, struct amounts *sum)
{
    for (size_t i = 0; i < stage->db.adjustments.count; i++) {
        const struct adjustment *row = list_at(&stage->db.adjustments, i);

        if (row->period_ms == total->start_ms && text_eq(row->tenant, total->tenant) &&
            text_eq(row->project, total->project))
            (void)amounts_add(sum, &row->delta);
    }
}

bool
stage_is_final(const struct stage *stage, const struct period_total *total)
{
    return total->end_ms <= stage->db.closed_ms;
}

/* Facts and totals are written by different hands of the engine. */
static void
check_facts(struct stage *stage)
{
    const struct settled *db = &stage->db;
    size_t own = 0;
    struct amounts all;

    for (size_t i = 0; i < db->totals.count; i++) {
        const struct period_total *total = list_at(&db->totals, i);

        if (total->project.size > 0)
            continue;
        own++;
        all = total->delta;
        stage_adjustments(stage, total, &all);
        if (!amounts_equal(&total_row(stage, &stage->db.facts, &stage->db.facts_by, total)->delta,
                           &all))
            stage_set_fault(stage, "the facts of a period do not sum to its total");
    }
    if (own != db->facts.count)
        stage_set_fault(stage, "there are facts of a period without a total");
}

static void
write_quota(struct stage *stage, const struct quota_memory *memory)
{
    struct list *rows = &stage->db.quotas;
    struct quota_memory *row = NULL;

    for (size_t i = 0; i < rows->count && row == NULL; i++) {
        struct quota_memory *one = list_at(rows, i);

        if (quota_memory_compare(one, memory) == 0)
            row = one;
    }
    if (row == NULL)
        row = stage_must(list_add(rows));
    *row = *memory;
    row->tenant = stage_keep(stage, memory->tenant);
    row->quota = stage_keep(stage, memory->quota);
    row->project = stage_keep(stage, memory->project);
}

static void
write_counter(struct stage *stage, const struct counter_memory *memory)
{
    struct list *rows = &stage->db.counters;
    struct counter_memory *row = NULL;
    size_t at = rows->count;

    for (size_t i = 0; i < rows->count && row == NULL; i++) {
        struct counter_memory *one = list_at(rows, i);

        if (counter_memory_compare(one, memory) == 0)
            row = one;
    }
    if (row == NULL) {
        (void)stage_must(list_add(rows));
        for (; at > 0 && counter_memory_compare(list_at(rows, at - 1), memory) > 0; at--)
            memcpy(list_at(rows, at), list_at(rows, at - 1), sizeof *memory);
        row = list_at(rows, at);
    }
    *row = *memory;
    row->tenant = stage_keep(stage, memory->tenant);
    row->quota = stage_keep(stage, memory->quota);
    row->subject = stage_keep(stage, memory->subject);
}

static void
write_progress(struct stage *stage, const struct settlement *settlement)
{
    const struct progress *moved = &settlement->progress[0];
    struct progress *progress = &stage->db.progress;

    if (settlement->seq != stage->db.seq || moved->from != progress->next ||
        moved->next - moved->from != moved->processed)
        stage_set_fault(stage, "a settlement does not go on where the last one ended");
    stage->db.seq++;
    stage->db.time_ms = settlement->time_ms;
    stage->db.closed_ms = settlement->closed_ms;
    *progress = *moved;
    for (size_t i = 0; i < settlement->dead.count; i++) {
        const struct dead_letter *letter = list_at(&settlement->dead, i);

        if ((size_t)letter->offset < stage->log.count)
            ((struct logged *)list_at(&stage->log, (size_t)letter->offset))->dead =
                !letter->remembered;
    }
}

static void
write_command(struct stage *stage, const struct command_done *done)
{
    const struct stored_command *command = list_at(&stage->commands, (size_t)done->id - 1);

    stage->db.commands = done->id;
    if (command->kind == COMMAND_ENFORCE)
        stage->db.enforcing = command->on;
    if (command->kind == COMMAND_POLICY)
        stage->db.policy = command->policy;
}

void
settled_apply(struct stage *stage, const struct settlement *settlement)
{
    write_progress(stage, settlement);
    write_facts(stage, settlement);
    for (size_t i = 0; i < settlement->events.count; i++)
        write_event(stage, settlement, list_at(&settlement->events, i));
    for (size_t i = 0; i < settlement->periods.count; i++)
        write_total(stage, list_at(&settlement->periods, i));
    for (size_t i = 0; i < settlement->adjustments.count; i++)
        write_adjustment(stage, list_at(&settlement->adjustments, i));
    for (size_t i = 0; i < settlement->quotas.count; i++)
        write_quota(stage, list_at(&settlement->quotas, i));
    for (size_t i = 0; i < settlement->counters.count; i++)
        write_counter(stage, list_at(&settlement->counters, i));
    stage_write_carries(stage, settlement);
    stage_write_features(stage, settlement);
    stage_write_days(stage, settlement);
    stage_write_throttles(stage, settlement);
    stage_write_unpriced(stage, settlement);
    for (size_t i = 0; i < settlement->due.count; i++) {
        const struct tenant_due *due = list_at(&settlement->due, i);
        struct tenant_row *row = settled_tenant_made(stage, due->tenant);

        row->due_ms = due->due_ms;
        row->restricted = due->restricted;
    }
    for (size_t i = 0; i < settlement->commands.count; i++)
        write_command(stage, list_at(&settlement->commands, i));
    check_facts(stage);
}
