#include "rules/lookup.h"

#include <assert.h>
#include <string.h>

static uint32_t
content_of(const struct event *event)
{
    int64_t numbers[3 + USAGE_COUNT] = {event->kind, event->flags & EVENT_HAS_COST,
                                        event->cost.nano};

    memcpy(numbers + 3, event->usage, sizeof event->usage);
    const struct text texts[] = {event->refers.id, event->body};
    const struct key128 plain =
        identity_numbers((struct key128){0}, numbers, sizeof numbers / sizeof numbers[0]);

    return (uint32_t)identity_texts(plain, texts, 2).low;
}

void
lookup_of(struct lookup *lookup, const struct event *event)
{
    const struct text *const names = event->names;
    const struct text who[] = {event->source, event->id};

    lookup->tenant = identity_one(event->tenant);
    lookup->identity = identity_texts(lookup->tenant, who, 2);
    lookup->content = content_of(event);
    lookup->project = identity_one(names[NAME_PROJECT]);
    lookup->feature = identity_one(names[NAME_FEATURE]);
    lookup->model = identity_one(names[NAME_MODEL]);
    lookup->served = identity_join(
        identity_join(lookup->feature, identity_one(names[NAME_PROVIDER])), lookup->model);
    lookup->key = identity_one(names[NAME_API_KEY_ID]);
}
