#include "rules/sources.h"

#include "core/identity.h"
#include "rules/shard_state.h"

#include <stdlib.h>

struct sources *
sources_new(void)
{
    struct sources *sources = calloc(1, sizeof *sources);

    if (sources != NULL && table_init(&sources->index, SOURCE_LIMIT, SOURCE_LIMIT))
        return sources;
    free(sources);
    return NULL;
}

void
sources_free(struct sources *sources)
{
    if (sources == NULL)
        return;
    table_free(&sources->index);
    free(sources);
}

void
sources_clear(struct sources *sources)
{
    table_clear(&sources->index);
    sources->count = 0;
    for (size_t i = 0; i < SOURCE_CACHE; i++)
        sources->cache[i].until_ms = INT64_MIN;
}

static struct source *
source_made(struct sources *sources, struct text name)
{
    const struct key128 id = identity_one(name);
    const uint32_t place = table_find(&sources->index, id);

    if (place != TABLE_NONE)
        return &sources->at[place];
    if (sources->count == SOURCE_LIMIT)
        sources_clear(sources);
    (void)shard_must(table_put(&sources->index, id, sources->count) ? sources : NULL);
    sources->at[sources->count] = (struct source){.until_ms = INT64_MIN};
    return &sources->at[sources->count++];
}

/* One row a source and settlement: with the latest time. */
static void
write(struct shard *shard, struct source *source, struct text name, int64_t at_ms)
{
    struct list *rows = &shard->open->settlement->sources;

    if (source->row_of != shard->open->number) {
        *(struct source_heard *)shard_must(list_add(rows)) =
            (struct source_heard){.source = shard_keep(shard, name)};
        source->row_of = shard->open->number;
        source->row = (uint32_t)(rows->count - 1);
    }
    ((struct source_heard *)list_at(rows, source->row))->at_ms = at_ms;
}

void
sources_note(struct shard *shard, struct text name, int64_t at_ms)
{
    struct sources *sources = shard->sources;
    struct source *source;
    struct source_cached *cached;

    if (name.size == 0 || name.size > EVENT_SOURCE_LIMIT)
        return;
    source = source_made(sources, name);
    if (at_ms >= source->until_ms) {
        write(shard, source, name, at_ms);
        source->until_ms = at_ms + SOURCE_NOTE_MS;
    }
    cached = sources_cached(sources, name);
    memcpy(cached->name, name.at, name.size);
    cached->size = name.size;
    cached->until_ms = source->until_ms;
}
