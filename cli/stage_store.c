#include "cli/stage_state.h"
#include "config/zones.h"

void
settled_init(struct settled *db, const struct policy *policy)
{
    *db = (struct settled){.enforcing = true, .policy = policy, .progress = {.last_offset = -1}};
    list_init(&db->totals, sizeof(struct period_total), STAGE_ROW_LIMIT);
    list_init(&db->facts, sizeof(struct period_total), STAGE_ROW_LIMIT);
    list_init(&db->adjustments, sizeof(struct adjustment), STAGE_ROW_LIMIT);
    list_init(&db->quotas, sizeof(struct quota_memory), STAGE_ROW_LIMIT);
    list_init(&db->pasts, sizeof(struct past_row), STAGE_ROW_LIMIT);
    list_init(&db->slots, sizeof(struct feature_slot), STAGE_ROW_LIMIT);
    list_init(&db->breakers, sizeof(struct breaker_memory), STAGE_ROW_LIMIT);
    list_init(&db->tenants, sizeof(struct tenant_row *), STAGE_ROW_LIMIT);
    list_init(&db->record, sizeof(struct recorded), (size_t)2 * STAGE_RECORD_LIMIT);
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
    list_free(&db->pasts);
    list_free(&db->slots);
    list_free(&db->breakers);
    list_free(&db->tenants);
    list_free(&db->record);
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
        if (total->end_ms > after_ms)
            load->periods[load->period_count++] = *total;
        else if (total->project.size == 0)
            load->past[load->past_count++] = (struct period){total->start_ms, total->end_ms};
    }
    for (size_t i = 0; i < db->quotas.count; i++) {
        const struct quota_memory *memory = list_at(&db->quotas, i);

        if (text_eq(memory->tenant, name) &&
            (memory->open || memory->blocked || has_period(db, name, memory->period_ms, after_ms)))
            load->quotas[load->quota_count++] = *memory;
    }
    stage_load_features(stage, name, load);
}

/* ---- the record ----------------------------------------------------------------------------------- */

static bool
refers_to(const struct recorded *recorded, const struct sought *sought)
{
    const struct settled_event *event = &recorded->event;

    return (event->reversal || event->kind == EVENT_REFUND) &&
           text_eq(event->original_id, sought->id) &&
           text_eq(event->original_source, sought->source) &&
           text_eq(recorded->fact.tenant, sought->tenant);
}

/* As record_find answers in Postgres. */
static bool
find_original(const struct settled *db, const struct sought *sought, struct original *original)
{
    const struct recorded *found = NULL;

    for (size_t i = 0; i < db->record.count && found == NULL; i++) {
        const struct recorded *one = list_at(&db->record, i);

        if (!one->event.reversal && text_eq(one->event.id, sought->id) &&
            text_eq(one->event.source, sought->source) && text_eq(one->fact.tenant, sought->tenant))
            found = one;
    }
    if (found == NULL)
        return false;
    *original = (struct original){.kind = found->event.kind,
                                  .content = found->event.content,
                                  .attempt = found->event.attempt,
                                  .hour_ms = found->fact.hour_ms,
                                  .period_ms = found->fact.period_ms,
                                  .project = found->fact.project,
                                  .feature = found->fact.feature,
                                  .provider = found->fact.provider,
                                  .model = found->fact.model,
                                  .key = found->event.key,
                                  .amounts = found->event.amounts,
                                  .left_cost = found->event.amounts.cost,
                                  .left_charge = found->event.amounts.charge};
    for (size_t i = 0; i < db->totals.count; i++) {
        const struct period_total *total = list_at(&db->totals, i);

        if (total->start_ms == original->period_ms && text_eq(total->tenant, sought->tenant))
            original->period_end_ms = total->end_ms;
    }
    for (size_t i = 0; i < db->record.count; i++) {
        const struct recorded *one = list_at(&db->record, i);

        if (!refers_to(one, sought))
            continue;
        original->replaced |= one->event.reversal;
        original->left_cost += one->event.amounts.cost;
        original->left_charge += one->event.amounts.charge;
    }
    return true;
}

void
settled_seek(struct stage *stage)
{
    const struct sought *sought;
    const size_t count = shard_sought(stage->shard, &sought);

    shard_asked(stage->shard);
    for (size_t i = 0; i < count; i++) {
        struct original original;

        if (find_original(&stage->db, &sought[i], &original))
            shard_found(stage->shard, i, &original);
    }
    (void)shard_answered(stage->shard, count);
}

static void
write_event(struct stage *stage, const struct settlement *settlement,
            const struct settled_event *event)
{
    struct recorded *row = stage_must(list_add(&stage->db.record));
    struct text *const texts[] = {&row->event.source,
                                  &row->event.id,
                                  &row->event.key,
                                  &row->event.request_id,
                                  &row->event.original_source,
                                  &row->event.original_id,
                                  &row->fact.tenant,
                                  &row->fact.project,
                                  &row->fact.feature,
                                  &row->fact.provider,
                                  &row->fact.model};

    *row = (struct recorded){*event, *(struct fact *)list_at(&settlement->facts, event->fact)};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = stage_keep(stage, *texts[i]);
}

/* ---- what is written ------------------------------------------------------------------------------ */

/* The row of a key, made when it is not there; rows are in order of period, as loads answer them. */
static struct period_total *
total_row(struct stage *stage, struct list *rows, const struct period_total *key)
{
    size_t at = rows->count;

    for (size_t i = 0; i < rows->count; i++) {
        struct period_total *row = list_at(rows, i);

        if (row->start_ms == key->start_ms && text_eq(row->tenant, key->tenant) &&
            text_eq(row->project, key->project))
            return row;
    }
    (void)stage_must(list_add(rows));
    for (; at > 0; at--) {
        const struct period_total *before = list_at(rows, at - 1);

        if (before->start_ms <= key->start_ms)
            break;
        memcpy(list_at(rows, at), before, sizeof *before);
    }
    struct period_total *row = list_at(rows, at);

    *row = (struct period_total){.tenant = stage_keep(stage, key->tenant),
                                 .project = stage_keep(stage, key->project),
                                 .start_ms = key->start_ms,
                                 .end_ms = key->end_ms};
    return row;
}

static void
write_total(struct stage *stage, const struct period_total *delta)
{
    struct period_total *row = total_row(stage, &stage->db.totals, delta);

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

        if (!amounts_add(&total_row(stage, &stage->db.facts, &key)->delta, &fact->delta))
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
        if (!amounts_equal(&total_row(stage, &stage->db.facts, total)->delta, &all))
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

        if (one->period_ms == memory->period_ms && text_eq(one->tenant, memory->tenant) &&
            text_eq(one->quota, memory->quota) && text_eq(one->project, memory->project))
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

        ((struct logged *)list_at(&stage->log, (size_t)letter->offset))->dead = !letter->remembered;
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
    stage_write_features(stage, settlement);
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
