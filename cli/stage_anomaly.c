#include "cli/stage_state.h"

static void
write_watch(struct stage *stage, const struct watch_memory *memory)
{
    struct list *rows = &stage->db.watches;
    struct watch_memory *row = NULL;

    for (size_t i = 0; i < rows->count && row == NULL; i++) {
        struct watch_memory *one = list_at(rows, i);

        if (text_eq(one->tenant, memory->tenant) && text_eq(one->feature, memory->feature))
            row = one;
    }
    if (memory->gone) {
        if (row != NULL)
            *row = *(struct watch_memory *)list_at(rows, --rows->count);
        return;
    }
    if (row == NULL) {
        row = stage_must(list_add(rows));
        row->tenant = stage_keep(stage, memory->tenant);
        row->feature = stage_keep(stage, memory->feature);
    }
    /* As it is stored. */
    for (int m = 0; m < WATCH_METRIC_COUNT; m++) {
        char state[WATCH_STATE_SIZE];
        const size_t size = watch_store(&memory->watch, (enum watch_metric)m, state);

        if (!watch_restore(&row->watch, (enum watch_metric)m, state, size))
            stage_set_fault(stage, "a series cannot be stored");
    }
}

static bool
same_incident(const struct anomaly_note *a, const struct anomaly_note *b)
{
    return a->since_ms == b->since_ms && a->metric == b->metric && text_eq(a->tenant, b->tenant) &&
           text_eq(a->feature, b->feature);
}

static void
write_note(struct stage *stage, const struct anomaly_note *note)
{
    struct list *rows = &stage->db.notes;
    struct anomaly_note *row = NULL;

    for (size_t i = 0; i < rows->count && row == NULL; i++)
        if (same_incident(list_at(rows, i), note))
            row = list_at(rows, i);
    if (row == NULL)
        row = stage_must(list_add(rows));
    const struct anomaly_note before = *row; /* zeroed, when it is new */

    *row = *note;
    row->tenant = stage_keep(stage, note->tenant);
    row->feature = stage_keep(stage, note->feature);
    row->records += before.records;
    row->words = note->words.at == NULL ? before.words : stage_keep(stage, note->words);
    row->folded = note->folded.at == NULL ? before.folded : stage_keep(stage, note->folded);
    if (before.records > 0)
        memcpy(row->before, before.before, sizeof row->before);
}

static bool
same_reservation(const struct reservation_memory *a, const struct reservation_memory *b)
{
    return text_eq(a->tenant, b->tenant) && text_eq(a->id, b->id);
}

/* In the order they were made, as a load answers; what is over is not loaded any more. */
static void
write_reservation(struct stage *stage, const struct reservation_memory *memory)
{
    struct list *rows = &stage->db.reservations;
    size_t at = rows->count;

    while (at > 0 && !same_reservation(list_at(rows, at - 1), memory))
        at--;
    if (at > 0 && memory->state > RESERVATION_EARLY) {
        memmove(list_at(rows, at - 1), list_at(rows, at), (rows->count - at) * rows->size);
        rows->count--;
    }
    if (memory->state > RESERVATION_EARLY)
        return;
    struct reservation_memory *row = at > 0 ? list_at(rows, at - 1) : stage_must(list_add(rows));

    *row = *memory;
    row->tenant = stage_keep(stage, memory->tenant);
    row->id = stage_keep(stage, memory->id);
    row->feature = stage_keep(stage, memory->feature);
    row->currency = stage_keep(stage, memory->currency);
}

void
stage_write_anomalies(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->watches.count; i++)
        write_watch(stage, list_at(&settlement->watches, i));
    for (size_t i = 0; i < settlement->notes.count; i++)
        write_note(stage, list_at(&settlement->notes, i));
    for (size_t i = 0; i < settlement->reservations.count; i++)
        write_reservation(stage, list_at(&settlement->reservations, i));
}

void
stage_load_anomalies(struct stage *stage, struct text tenant, struct tenant_load *load)
{
    const struct settled *db = &stage->db;

    load->watches =
        stage_must(arena_take(stage->answers, (db->watches.count + 1) * sizeof *load->watches));
    for (size_t i = 0; i < db->watches.count; i++) {
        const struct watch_memory *row = list_at(&db->watches, i);

        if (text_eq(row->tenant, tenant))
            load->watches[load->watch_count++] = *row;
    }
    load->reservations = stage_must(
        arena_take(stage->answers, (db->reservations.count + 1) * sizeof *load->reservations));
    for (size_t i = 0; i < db->reservations.count; i++) {
        const struct reservation_memory *row = list_at(&db->reservations, i);

        if (text_eq(row->tenant, tenant))
            load->reservations[load->reservation_count++] = *row;
    }
}

const struct anomaly_note *
stage_note(const struct stage *stage, struct text tenant, struct text feature,
           enum watch_metric metric)
{
    const struct list *rows = &stage->db.notes;

    for (size_t i = rows->count; i-- > 0;) {
        const struct anomaly_note *row = list_at(rows, i);

        if (row->metric == metric && text_eq(row->tenant, tenant) && text_eq(row->feature, feature))
            return row;
    }
    return NULL;
}
