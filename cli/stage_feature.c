#include "cli/stage_state.h"

/* ---- written ---------------------------------------------------------------------------------------- */

static struct feature_past *
past_row(struct stage *stage, struct text tenant, struct text feature, int64_t at_ms)
{
    struct list *rows = &stage->db.pasts;

    for (size_t i = rows->count; i-- > 0;) {
        struct past_row *row = list_at(rows, i);

        if (row->past.at_ms == at_ms && text_eq(row->tenant, tenant) &&
            text_eq(row->past.feature, feature))
            return &row->past;
    }
    struct past_row *row = stage_must(list_add(rows));

    *row = (struct past_row){.tenant = stage_keep(stage, tenant),
                             .past = {.feature = stage_keep(stage, feature), .at_ms = at_ms}};
    return &row->past;
}

static void
write_slot(struct stage *stage, const struct feature_slot *slot)
{
    struct list *rows = &stage->db.slots;
    const int64_t place = slot->slot.start_ms / SLOT_MS % SLOT_COUNT;

    for (size_t i = 0; i < rows->count; i++) {
        struct feature_slot *row = list_at(rows, i);

        if (row->slot.start_ms / SLOT_MS % SLOT_COUNT == place &&
            text_eq(row->tenant, slot->tenant) && text_eq(row->feature, slot->feature)) {
            row->slot = slot->slot;
            return;
        }
    }
    struct feature_slot *row = stage_must(list_add(rows));

    *row = *slot;
    row->tenant = stage_keep(stage, slot->tenant);
    row->feature = stage_keep(stage, slot->feature);
}

static void
write_breaker(struct stage *stage, const struct breaker_memory *memory)
{
    struct list *rows = &stage->db.breakers;
    struct breaker_memory *row = NULL;

    for (size_t i = 0; i < rows->count && row == NULL; i++) {
        struct breaker_memory *one = list_at(rows, i);

        if (text_eq(one->tenant, memory->tenant) && text_eq(one->feature, memory->feature))
            row = one;
    }
    if (row == NULL)
        row = stage_must(list_add(rows));
    *row = *memory;
    row->tenant = stage_keep(stage, memory->tenant);
    row->feature = stage_keep(stage, memory->feature);
    row->actor = stage_keep(stage, memory->actor);
    row->reason = stage_keep(stage, memory->reason);
}

void
stage_write_features(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->facts.count; i++) {
        const struct fact *fact = list_at(&settlement->facts, i);

        struct amounts delta;

        delta_read(&fact->delta, &settlement->wide, &delta);
        if (fact->feature.size > 0)
            past_row(stage, fact->tenant, fact->feature, fact->hour_ms)->cost +=
                delta.cost - delta.refunded;
    }
    for (size_t i = 0; i < settlement->hours.count; i++) {
        const struct feature_hour *hour = list_at(&settlement->hours, i);
        struct feature_past *past = past_row(stage, hour->tenant, hour->feature, hour->hour_ms);

        past->flags = hour->flags;
        past->baseline = hour->baseline;
        past->cost += hour->learned;
    }
    for (size_t i = 0; i < settlement->slots.count; i++)
        write_slot(stage, list_at(&settlement->slots, i));
    for (size_t i = 0; i < settlement->breakers.count; i++)
        write_breaker(stage, list_at(&settlement->breakers, i));
    stage_write_anomalies(stage, settlement);
}

/* ---- loaded ----------------------------------------------------------------------------------------- */

void
stage_load_features(struct stage *stage, struct text tenant, struct tenant_load *load)
{
    const struct settled *db = &stage->db;

    load->has_features = true;
    load->hours =
        stage_must(arena_take(stage->answers, (db->pasts.count + 1) * sizeof *load->hours));
    load->slots =
        stage_must(arena_take(stage->answers, (db->slots.count + 1) * sizeof *load->slots));
    load->breakers =
        stage_must(arena_take(stage->answers, (db->breakers.count + 1) * sizeof *load->breakers));
    for (size_t i = 0; i < db->pasts.count; i++) {
        const struct past_row *row = list_at(&db->pasts, i);

        if (text_eq(row->tenant, tenant))
            load->hours[load->hour_count++] = row->past;
    }
    for (size_t i = 0; i < db->slots.count; i++) {
        const struct feature_slot *row = list_at(&db->slots, i);

        if (text_eq(row->tenant, tenant))
            load->slots[load->slot_count++] = *row;
    }
    for (size_t i = 0; i < db->breakers.count; i++) {
        const struct breaker_memory *row = list_at(&db->breakers, i);

        if (text_eq(row->tenant, tenant))
            load->breakers[load->breaker_count++] = *row;
    }
    stage_load_anomalies(stage, tenant, load);
}
