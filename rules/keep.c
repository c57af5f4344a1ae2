/* Events that are stored one by one beside being counted. */
#include "rules/shard_state.h"

void
keep_event(struct shard *shard, const struct place *place, const struct event *event)
{
    struct settlement *settlement = shard->open->settlement;
    struct kept_event *row = shard_must(list_add(&settlement->kept));

    *row = (struct kept_event){.kind = event->kind,
                               .topic = place->record->topic,
                               .offset = place->record->offset,
                               .index = place->index,
                               .at_ms = event->at_ms,
                               .tenant = shard_keep(shard, event->tenant),
                               .source = shard_keep(shard, event->source),
                               .id = shard_keep(shard, event->id),
                               .project = shard_keep(shard, event->names[NAME_PROJECT]),
                               .feature = shard_keep(shard, event->names[NAME_FEATURE]),
                               .key = shard_keep(shard, event->names[NAME_API_KEY_ID]),
                               .model = shard_keep(shard, event->names[NAME_MODEL]),
                               .request_id = shard_keep(shard, event->names[NAME_REQUEST_ID]),
                               .body = shard_keep(shard, event->body)};
    switch (event->kind) {
    case EVENT_RESERVE:
        row->has_amount = (event->flags & EVENT_HAS_COST) != 0;
        row->amount = event->cost;
        row->word = shard_keep(shard, event->reservation.id);
        break;
    case EVENT_RELEASE:
        row->word = shard_keep(shard, event->reservation.id);
        row->reason = shard_keep(shard, event->reservation.reason);
        break;
    case EVENT_CORRECT:
        row->word = shard_keep(shard, event->refers.id);
        break;
    case EVENT_DECISION:
        row->has_amount = event->decision.has_estimate;
        row->amount = event->decision.estimated_cost;
        row->word = shard_keep(shard, event->decision.outcome);
        row->reason = shard_keep(shard, event->decision.reason);
        break;
    case EVENT_TOPUP:
        row->has_amount = true;
        row->amount = event->topup.amount;
        row->word = shard_keep(shard, event->topup.ref);
        break;
    case EVENT_VALUE:
        row->word = shard_keep(shard, event->value_name);
        break;
    case EVENT_GAUGE:
        for (size_t i = 0; i < event->gauge_count; i++) {
            struct kept_event *gauge = i == 0 ? row : shard_must(list_add(&settlement->kept));

            if (i > 0)
                *gauge =
                    *(struct kept_event *)list_at(&settlement->kept, settlement->kept.count - 2);
            gauge->word = shard_keep(shard, event->gauges[i].name);
            gauge->value = event->gauges[i].value;
        }
        break;
    case EVENT_RECORD:
    case EVENT_SETTLE:
    case EVENT_REFUND:
    case EVENT_KIND_COUNT:
        break;
    }
}

void
keep_unpriced(struct shard *shard, const struct place *place, const struct event *event,
              const struct booking *booking)
{
    struct unpriced_event *row = shard_must(list_add(&shard->open->settlement->unpriced));

    *row = (struct unpriced_event){.topic = place->record->topic,
                                   .offset = place->record->offset,
                                   .index = place->index,
                                   .at_ms = event->at_ms,
                                   .tenant = shard_keep(shard, event->tenant),
                                   .source = shard_keep(shard, event->source),
                                   .id = shard_keep(shard, event->id),
                                   .project = shard_keep(shard, booking->project),
                                   .feature = shard_keep(shard, event->names[NAME_FEATURE]),
                                   .key = shard_keep(shard, event->names[NAME_API_KEY_ID]),
                                   .provider = shard_keep(shard, event->names[NAME_PROVIDER]),
                                   .model = shard_keep(shard, event->names[NAME_MODEL]),
                                   .currency = shard_keep(shard, event->names[NAME_CURRENCY]),
                                   .hour_ms = booking->hour_ms,
                                   .period_ms = booking->period.start_ms,
                                   .kind = event->kind,
                                   .has_cost = (event->flags & EVENT_HAS_COST) != 0 ||
                                               event->kind == EVENT_REFUND,
                                   .cost = event->cost,
                                   .estimate = booking->amounts.estimate};
    memcpy(row->usage, event->usage, sizeof row->usage);
    if (event->kind == EVENT_REFUND && shard->setup.record) {
        row->original_source = shard_keep(shard, record_source_referred_to(event));
        row->original_id = shard_keep(shard, event->refers.id);
    }
    notice_unpriced(shard, event);
}
