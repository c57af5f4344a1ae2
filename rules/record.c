#include "core/identity.h"
#include "rules/rating.h"
#include "rules/shard_state.h"

/* Times of events may lie this far ahead of their records, and a dead letter read again farther. */
#define AHEAD_MS CLOCK_DAY_MS
/* ... and no farther when they are read for the first time. */
#define EARLY_MS (5 * CLOCK_MINUTE_MS)

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

bool
record_same_content(const struct original *original, const struct event *event)
{
    return original->kind == event->kind && original->content == content_of(event);
}

static bool
refers(const struct event *event)
{
    return event->kind == EVENT_REFUND || event->kind == EVENT_CORRECT;
}

struct text
record_source_referred_to(const struct event *event)
{
    return event->refers.source.size == 0 ? event->source : event->refers.source;
}

struct settled_event *
record_event(struct shard *shard, const struct place *place, size_t fact, const struct event *event,
             struct text key, const struct amounts *amounts)
{
    struct settlement *settlement = shard->open->settlement;

    if (!shard->setup.record)
        return NULL;
    struct settled_event *row = shard_must(list_add(&settlement->events));

    *row = (struct settled_event){.fact = fact,
                                  .topic = place->record->topic,
                                  .index = place->index,
                                  .offset = place->record->offset,
                                  .time_ms = place->record->time_ms,
                                  .at_ms = event->at_ms,
                                  .policy = shard->policy->serial,
                                  .content = content_of(event),
                                  .kind = event->kind,
                                  .attempt = event->attempt,
                                  .source = shard_keep(shard, event->source),
                                  .id = shard_keep(shard, event->id),
                                  .key = shard_keep(shard, key),
                                  .request_id = shard_keep(shard, event->names[NAME_REQUEST_ID]),
                                  .price_version = PRICE_NONE,
                                  .charge_version = PRICE_NONE,
                                  .amounts = *amounts};
    if (refers(event)) {
        row->original_source = shard_keep(shard, record_source_referred_to(event));
        row->original_id = shard_keep(shard, event->refers.id);
    }
    return row;
}

void
record_priced(struct shard *shard, struct settled_event *row, const struct tenant *tenant,
              const struct booking *booking)
{
    if (row == NULL)
        return;
    row->price_version = booking->price_version;
    row->charge_version = booking->charge_version;
    if (row->amounts.cost != 0 || row->amounts.charge != 0)
        row->charge_rule = shard_keep(shard, tenant->charge.words);
}

void
record_known(struct shard *shard, const struct settled_event *row)
{
    if (row != NULL)
        originals_booked(&shard->originals, shard->open->settlement, row);
}

/* ---- asking it ------------------------------------------------------------------------------------- */

/* Older than what the duplicate window remembers, or than the shard: it may have come before that.
 * Events may be ahead of their record by minutes, so that some of the window's own are asked for as
 * well. */
static bool
is_late(const struct shard *shard, const struct record *record, const struct event *event)
{
    const struct topic_state *topic = &shard->topics[record->topic];
    const int64_t window_ms = shard->setup.dedupe_window_ms;
    const int64_t ahead_ms = window_ms / 2 < EARLY_MS ? window_ms / 2 : EARLY_MS;

    return topic->seen != NULL && (event->at_ms < topic->time_ms - window_ms + ahead_ms ||
                                   event->at_ms < shard->inherits_ms);
}

bool
record_cannot_tell(const struct shard *shard, const struct record *record,
                   const struct event *event)
{
    const bool old = shard->topics[record->topic].seen != NULL &&
                     (event->at_ms < record->time_ms - shard->setup.dedupe_window_ms ||
                      event->at_ms < shard->inherits_ms);

    return !shard->setup.record && (old || event->kind == EVENT_REFUND);
}

static bool
recall(struct shard *shard, const struct sought *sought, struct key128 identity,
       const struct original **answer)
{
    bool found;
    const struct original *original = originals_get(&shard->originals, identity, sought, &found);

    *answer = found ? original : NULL;
    return original != NULL;
}

static bool
recall_itself(struct shard *shard, const struct event *event, const struct lookup *lookup,
              struct recalled *recalled)
{
    const struct sought sought = {.tenant = event->tenant,
                                  .source = event->source,
                                  .id = event->id,
                                  .since_ms = event->at_ms - AHEAD_MS};

    return recall(shard, &sought, lookup->identity, &recalled->itself);
}

static bool
recall_original(struct shard *shard, const struct event *event, const struct lookup *lookup,
                struct recalled *recalled)
{
    const struct text who[] = {record_source_referred_to(event), event->refers.id};
    const struct sought sought = {
        .tenant = event->tenant,
        .source = who[0],
        .id = who[1],
        .since_ms = event->refers.at_ms < 0 ? INT64_MIN : event->refers.at_ms - AHEAD_MS};
    const bool known =
        recall(shard, &sought, identity_texts(lookup->tenant, who, 2), &recalled->original);

    recalled->unknown = recalled->original == NULL;
    return known;
}

bool
record_recall(struct shard *shard, const struct record *record, const struct event *event,
              const struct lookup *lookup, struct recalled *recalled)
{
    bool known = true;

    *recalled = (struct recalled){.unknown = false};
    if (!shard->setup.record)
        return true;
    if (is_late(shard, record, event))
        known = recall_itself(shard, event, lookup, recalled);
    if (refers(event))
        known = recall_original(shard, event, lookup, recalled) && known;
    return known;
}

bool
record_recall_all(struct shard *shard, const struct record *record, const struct event *event,
                  const struct lookup *lookup, struct recalled *recalled)
{
    const bool known = record_recall(shard, record, event, lookup, recalled);

    if (!shard->setup.record || shard->topics[record->topic].seen == NULL)
        return known;
    return recall_itself(shard, event, lookup, recalled) && known;
}
