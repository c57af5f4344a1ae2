#include "core/identity.h"
#include "rules/shard_state.h"

/* What a repeat must say again to be a repeat, in every process: kind, cost, counts, and what it
 * refers to. */
static uint64_t
content_of(const struct event *event)
{
    int64_t numbers[3 + USAGE_COUNT] = {event->kind, event->flags & EVENT_HAS_COST,
                                        event->cost.nano};

    memcpy(numbers + 3, event->usage, sizeof event->usage);
    return identity_stable_text(
        identity_stable_text(identity_stable(numbers, sizeof numbers), event->refers.id),
        event->body);
}

void
record_event(struct shard *shard, const struct record *record, int32_t index,
             const struct event *event, const struct amounts *amounts)
{
    struct settled_event *row = shard_must(list_add(&shard->open->settlement->events));

    *row = (struct settled_event){.fact = shard->open->fact,
                                  .topic = record->topic,
                                  .index = index,
                                  .offset = record->offset,
                                  .time_ms = record->time_ms,
                                  .at_ms = event->at_ms,
                                  .policy = shard->policy->serial,
                                  .content = content_of(event),
                                  .kind = event->kind,
                                  .attempt = event->attempt,
                                  .source = shard_keep(shard, event->source),
                                  .id = shard_keep(shard, event->id),
                                  .key = shard_keep(shard, event->names[NAME_API_KEY_ID]),
                                  .request_id = shard_keep(shard, event->names[NAME_REQUEST_ID]),
                                  .amounts = *amounts};
    if (event->refers.id.size == 0)
        return;
    row->original_source =
        shard_keep(shard, event->refers.source.size == 0 ? event->source : event->refers.source);
    row->original_id = shard_keep(shard, event->refers.id);
}
