/*
 * Which sources of events a shard has heard, to the minute: rows of its settlements, from which the
 * leader of the fleet says who has fallen silent.
 *
 * A source is noted again when a minute of record time has passed since it was noted last.  Nearly
 * every event is of a source that was noted within its minute: that is one comparison of its name.
 */
#ifndef RULES_SOURCES_H
#define RULES_SOURCES_H

#include "core/event.h"
#include "core/table.h"

#define SOURCE_LIMIT   1024 /* of a shard; with more, all are noted anew */
#define SOURCE_CACHE   16   /* a power of two */
#define SOURCE_NOTE_MS CLOCK_MINUTE_MS

struct source {
    int64_t until_ms; /* noted up to then */
    uint64_t row_of;  /* number of the settlement that holds its row; 0: none */
    uint32_t row;
};

/* Found without a look into the table. */
struct source_cached {
    int64_t until_ms;
    size_t size;
    char name[EVENT_SOURCE_LIMIT];
};

struct sources {
    struct table index;
    struct source at[SOURCE_LIMIT];
    uint32_t count;
    struct source_cached cache[SOURCE_CACHE];
};

/* NULL when memory is short. */
struct sources *sources_new(void);
void sources_free(struct sources *sources);
void sources_clear(struct sources *sources);

struct shard;
void sources_note(struct shard *shard, struct text name, int64_t at_ms);

static inline struct source_cached *
sources_cached(struct sources *sources, struct text source)
{
    const unsigned last = source.size == 0 ? 0 : (unsigned char)source.at[source.size - 1];

    return &sources->cache[(source.size + last) & (SOURCE_CACHE - 1)];
}

#endif
