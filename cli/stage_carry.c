/* What Postgres would hold of quotas that roll over: table quota_period. */
#include "cli/stage_state.h"

/* The row of this key, made in its place when it is not there. */
static struct carry_row *
row_of(struct stage *stage, const struct carry_memory *memory)
{
    struct list *rows = &stage->db.carries;
    size_t at = rows->count;

    for (size_t i = 0; i < rows->count; i++)
        if (carry_memory_compare(&((struct carry_row *)list_at(rows, i))->memory, memory) == 0)
            return list_at(rows, i);
    (void)stage_must(list_add(rows));
    for (; at > 0; at--) {
        const struct carry_row *before = list_at(rows, at - 1);

        if (carry_memory_compare(&before->memory, memory) < 0)
            break;
        memcpy(list_at(rows, at), before, sizeof *before);
    }
    struct carry_row *row = list_at(rows, at);

    *row = (struct carry_row){.final = false};
    return row;
}

static void
write_row(struct stage *stage, struct carry_row *row, const struct carry_memory *memory)
{
    row->memory = *memory;
    row->memory.tenant = stage_keep(stage, memory->tenant);
    row->memory.quota = stage_keep(stage, memory->quota);
    row->memory.project = stage_keep(stage, memory->project);
}

void
stage_carried(struct stage *stage, const struct carry_memory *memory)
{
    write_row(stage, row_of(stage, memory), memory);
}

void
stage_write_carries(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->carries.count; i++) {
        const struct carry_memory *memory = list_at(&settlement->carries, i);
        struct carry_row *row = row_of(stage, memory);

        if (row->final)
            stage_set_fault(stage, "a final carry is to be changed");
        else
            write_row(stage, row, memory);
    }
    for (size_t i = 0; i < stage->db.carries.count; i++) {
        struct carry_row *row = list_at(&stage->db.carries, i);

        row->final |= row->memory.closed && row->memory.end_ms <= settlement->closed_ms;
    }
}

void
stage_load_carries(struct stage *stage, struct text tenant, struct tenant_load *load)
{
    const struct list *rows = &stage->db.carries;

    load->carries =
        stage_must(arena_take(stage->answers, (rows->count + 1) * sizeof *load->carries));
    for (size_t i = 0; i < rows->count; i++) {
        const struct carry_row *row = list_at(rows, i);

        if (!row->final && text_eq(row->memory.tenant, tenant))
            load->carries[load->carry_count++] = row->memory;
    }
}

bool
stage_carries_period(const struct settled *db, struct text tenant, int64_t period_ms)
{
    for (size_t i = 0; i < db->carries.count; i++) {
        const struct carry_row *row = list_at(&db->carries, i);

        if (!row->final && row->memory.start_ms == period_ms && text_eq(row->memory.tenant, tenant))
            return true;
    }
    return false;
}

const struct carry_memory *
stage_carry(const struct stage *stage, struct text tenant, struct text quota, struct text project,
            int64_t at_ms, bool *final)
{
    for (size_t i = 0; i < stage->db.carries.count; i++) {
        const struct carry_row *row = list_at(&stage->db.carries, i);
        const struct carry_memory *memory = &row->memory;

        if (text_eq(memory->tenant, tenant) && text_eq(memory->quota, quota) &&
            memory->project.size == project.size &&
            (project.size == 0 || text_eq(memory->project, project)) && memory->start_ms <= at_ms &&
            at_ms < memory->end_ms) {
            *final = row->final;
            return memory;
        }
    }
    return NULL;
}
