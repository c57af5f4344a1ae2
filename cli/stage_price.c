#include "cli/stage_state.h"

#include "core/identity.h"

#include <stdlib.h>

#define DONE (-1) /* topic of one that waits no longer */

static void
keep(struct stage *stage, const struct unpriced_event *event)
{
    struct unpriced_event *row = stage_must(list_add(&stage->db.unpriced));
    struct text *const texts[] = {&row->tenant,          &row->source,     &row->id,
                                  &row->project,         &row->feature,    &row->key,
                                  &row->provider,        &row->model,      &row->currency,
                                  &row->original_source, &row->original_id};

    *row = *event;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = stage_keep(stage, *texts[i]);
}

/* The row at that place in the log, in whose order they are; NULL: none waits there. */
static struct unpriced_event *
row_at(struct list *rows, const struct priced_event *priced)
{
    size_t low = 0;
    size_t high = rows->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct unpriced_event *row = list_at(rows, middle);

        if (row->offset < priced->offset ||
            (row->offset == priced->offset && row->index < priced->index))
            low = middle + 1;
        else
            high = middle;
    }
    struct unpriced_event *row = low < rows->count ? list_at(rows, low) : NULL;
    const bool there = row != NULL && row->topic != DONE && row->offset == priced->offset &&
                       row->index == priced->index;

    return there ? row : NULL;
}

static void
mark_corrected(struct list *rows, const struct priced_event *priced)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct unpriced_event *row = list_at(rows, i);

        if (text_eq(row->tenant, priced->tenant) && text_eq(row->source, priced->source) &&
            text_eq(row->id, priced->id))
            row->topic = DONE;
    }
}

static void
remove_done(struct list *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        const struct unpriced_event row = *(struct unpriced_event *)list_at(rows, i);

        if (row.topic != DONE)
            *(struct unpriced_event *)list_at(rows, kept++) = row;
    }
    rows->count = kept;
}

/* As function settle_priced does it in Postgres. */
void
stage_write_unpriced(struct stage *stage, const struct settlement *settlement)
{
    for (size_t i = 0; i < settlement->unpriced.count; i++)
        keep(stage, list_at(&settlement->unpriced, i));
    for (size_t i = 0; i < settlement->priced.count; i++) {
        const struct priced_event *priced = list_at(&settlement->priced, i);

        if (priced->topic < 0) {
            mark_corrected(&stage->db.unpriced, priced);
            continue;
        }
        struct unpriced_event *row = row_at(&stage->db.unpriced, priced);

        if (row == NULL)
            stage_set_fault(stage, "an event was priced that did not wait for a price");
        else
            row->topic = DONE;
    }
    if (settlement->priced.count > 0)
        remove_done(&stage->db.unpriced);
}

/* What refunds are of, as it is settled: to be said while nothing is open. */
static void
tell_originals(struct stage *stage, struct unpriced_event *waiting, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct text who[] = {waiting[i].original_source, waiting[i].original_id};

        if (waiting[i].original_id.at == NULL)
            continue;
        waiting[i].original =
            settled_original(&stage->db, identity_texts(identity_one(waiting[i].tenant), who, 2));
        shard_rerate_tell(stage->shard, &waiting[i]);
    }
}

void
stage_rerate(struct stage *stage)
{
    const size_t count = stage->db.unpriced.count;
    struct unpriced_event *waiting = stage_must(calloc(count + 1, sizeof *waiting));

    if (count > 0)
        memcpy(waiting, stage->db.unpriced.at, count * sizeof *waiting);
    tell_originals(stage, waiting, count);
    for (size_t i = 0; i < count; i++) {
        struct tenant_load load;

        if (!shard_knows(stage->shard, waiting[i].tenant)) {
            settled_load(stage, waiting[i].tenant, stage_time(stage), &load);
            (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
        }
        if (shard_full(stage->shard)) {
            stage_pause(stage);
            stage_settle(stage);
            tell_originals(stage, waiting + i, count - i);
        }
        (void)shard_rerate(stage->shard, &waiting[i]);
    }
    free(waiting);
}
