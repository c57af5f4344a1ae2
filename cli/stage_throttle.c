#include "cli/stage_state.h"

static void
write_one(struct stage *stage, const struct throttle_memory *memory)
{
    struct list *rows = &stage->db.throttles;
    struct throttle_memory *row = NULL;

    for (size_t i = rows->count; i-- > 0 && row == NULL;) {
        struct throttle_memory *one = list_at(rows, i);

        if (one->scope == memory->scope && one->began_ms == memory->began_ms &&
            text_eq(one->tenant, memory->tenant) && text_eq(one->subject, memory->subject))
            row = one;
    }
    if (row == NULL)
        row = stage_must(list_add(rows));
    *row = *memory;
    row->tenant = stage_keep(stage, memory->tenant);
    row->subject = stage_keep(stage, memory->subject);
}

void
stage_write_throttles(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->throttles.count; i++)
        write_one(stage, list_at(&settlement->throttles, i));
}

void
stage_load_throttles(struct stage *stage, struct text tenant, struct tenant_load *load)
{
    const struct list *rows = &stage->db.throttles;

    load->throttles =
        stage_must(arena_take(stage->answers, (rows->count + 1) * sizeof *load->throttles));
    for (size_t i = 0; i < rows->count; i++) {
        const struct throttle_memory *row = list_at(rows, i);

        if (!row->over && text_eq(row->tenant, tenant))
            load->throttles[load->throttle_count++] = *row;
    }
}
