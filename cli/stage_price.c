#include "cli/stage_state.h"

#include <stdlib.h>

static void
keep(struct stage *stage, const struct unpriced_event *event)
{
    struct unpriced_event *row = stage_must(list_add(&stage->db.unpriced));
    struct text *const texts[] = {&row->tenant,   &row->source,  &row->id,
                                  &row->project,  &row->feature, &row->key,
                                  &row->provider, &row->model,   &row->currency};

    *row = *event;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = stage_keep(stage, *texts[i]);
}

static bool
is_it(const struct unpriced_event *event, const struct priced_event *priced)
{
    if (priced->topic >= 0)
        return event->offset == priced->offset && event->index == priced->index;
    return text_eq(event->tenant, priced->tenant) && text_eq(event->source, priced->source) &&
           text_eq(event->id, priced->id);
}

static size_t
remove_priced(struct list *rows, const struct priced_event *priced)
{
    size_t kept = 0;
    const size_t count = rows->count;

    for (size_t i = 0; i < count; i++) {
        const struct unpriced_event row = *(struct unpriced_event *)list_at(rows, i);

        if (!is_it(&row, priced))
            *(struct unpriced_event *)list_at(rows, kept++) = row;
    }
    rows->count = kept;
    return count - kept;
}

/* As function settle_priced does it in Postgres. */
void
stage_write_unpriced(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->unpriced.count; i++)
        keep(stage, list_at(&settlement->unpriced, i));
    for (size_t i = 0; i < settlement->priced.count; i++) {
        const struct priced_event *priced = list_at(&settlement->priced, i);

        if (remove_priced(&stage->db.unpriced, priced) != 1 && priced->topic >= 0)
            stage_set_fault(stage, "an event was priced that did not wait for a price");
    }
}

void
stage_rerate(struct stage *stage)
{
    const size_t count = stage->db.unpriced.count;
    struct unpriced_event *waiting = stage_must(calloc(count + 1, sizeof *waiting));

    if (count > 0)
        memcpy(waiting, stage->db.unpriced.at, count * sizeof *waiting);
    for (size_t i = 0; i < count; i++) {
        struct tenant_load load;

        if (!shard_knows(stage->shard, waiting[i].tenant)) {
            settled_load(stage, waiting[i].tenant, stage_time(stage), &load);
            (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
        }
        if (shard_full(stage->shard)) {
            stage_pause(stage);
            stage_settle(stage);
        }
        (void)shard_rerate(stage->shard, &waiting[i]);
    }
    free(waiting);
}
