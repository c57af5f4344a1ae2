#include "rules/originals.h"

#include "core/identity.h"

#include <stdlib.h>

#define KNOWN_LIMIT   ((size_t)1 << 22)
#define MEMORY_LIMIT  ((size_t)2 << 30)
#define WAITING_LIMIT ((size_t)1 << 22)

enum known {
    SOUGHT,
    FRESH, /* answered by the store just now: what it could not know is added */
    KNOWN,
};

struct original_entry {
    struct original original;
    enum known known;
    bool found;
};

bool
originals_init(struct originals *originals)
{
    *originals = (struct originals){.memory = arena_new(MEMORY_LIMIT)};
    list_init(&originals->known, sizeof(struct original_entry), KNOWN_LIMIT);
    list_init(&originals->sought, sizeof(struct sought), KNOWN_LIMIT);
    list_init(&originals->places, sizeof(size_t), KNOWN_LIMIT);
    return originals->memory != NULL && table_init(&originals->index, 16, KNOWN_LIMIT) &&
           table_init(&originals->waiting, 16, WAITING_LIMIT);
}

void
originals_free(struct originals *originals)
{
    arena_free(originals->memory);
    list_free(&originals->known);
    list_free(&originals->sought);
    list_free(&originals->places);
    table_free(&originals->index);
    table_free(&originals->waiting);
}

static void
forget(struct originals *originals)
{
    list_clear(&originals->known);
    list_clear(&originals->sought);
    list_clear(&originals->places);
    table_clear(&originals->index);
    arena_clear(originals->memory);
}

void
originals_clear(struct originals *originals)
{
    forget(originals);
    table_clear(&originals->waiting);
    originals->settled++;
}

void
originals_trim(struct originals *originals)
{
    if (originals->known.count > 0 && originals->sought.count == 0)
        forget(originals);
}

/* Memory that cannot be had beyond every limit ends the process; a restart goes on from Postgres. */
static void *
must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static struct text
keep(struct originals *originals, struct text text)
{
    (void)must(arena_keep(originals->memory, &text) ? originals : NULL);
    return text;
}

static struct original_entry *
entry_of(const struct originals *originals, struct key128 identity)
{
    const uint32_t place =
        originals->index.count == 0 ? TABLE_NONE : table_find(&originals->index, identity);

    return place == TABLE_NONE ? NULL : list_at(&originals->known, place);
}

const struct original *
originals_get(struct originals *originals, struct key128 identity, const struct sought *sought,
              bool *found)
{
    const struct original_entry *entry = entry_of(originals, identity);

    *found = false;
    if (entry != NULL) {
        *found = entry->found;
        return entry->known == KNOWN ? &entry->original : NULL;
    }
    const size_t place = originals->known.count;

    (void)must(list_add(&originals->known));
    *(size_t *)must(list_add(&originals->places)) = place;
    *(struct sought *)must(list_add(&originals->sought)) =
        (struct sought){.tenant = keep(originals, sought->tenant),
                        .source = keep(originals, sought->source),
                        .id = keep(originals, sought->id),
                        .since_ms = sought->since_ms};
    (void)must(table_put(&originals->index, identity, (uint32_t)place) ? originals : NULL);
    return NULL;
}

/* ---- what was booked ------------------------------------------------------------------------------- */

static struct key128
identity_of(struct text tenant, struct text source, struct text id)
{
    const struct text texts[] = {source, id};

    return identity_texts(identity_one(tenant), texts, 2);
}

static void
set_original(struct originals *originals, struct original_entry *entry,
             const struct original *original)
{
    entry->original = *original;
    struct text *const texts[] = {&entry->original.project, &entry->original.feature,
                                  &entry->original.provider, &entry->original.model,
                                  &entry->original.key};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = keep(originals, *texts[i]);
    entry->found = true;
}

static void
booked_itself(struct originals *originals, struct original_entry *entry,
              const struct settlement *settlement, const struct settled_event *event)
{
    const struct fact *fact = list_at(&settlement->facts, event->fact);
    struct original original = {.kind = event->kind,
                                .content = event->content,
                                .attempt = event->attempt,
                                .hour_ms = fact->hour_ms,
                                .period_ms = fact->period_ms,
                                .project = fact->project,
                                .feature = fact->feature,
                                .provider = fact->provider,
                                .model = fact->model,
                                .key = event->key,
                                .listed = event->price_version >= 0,
                                .amounts = event->amounts,
                                .left_cost = event->amounts.cost,
                                .left_charge = event->amounts.charge};

    for (size_t i = 0; i < settlement->periods.count; i++) {
        const struct period_total *total = list_at(&settlement->periods, i);

        if (total->start_ms == fact->period_ms && text_eq(total->tenant, fact->tenant))
            original.period_end_ms = total->end_ms;
    }
    set_original(originals, entry, &original);
}

static void
booked_on_another(struct original *original, const struct settled_event *event)
{
    if (event->price) {
        (void)amounts_add(&original->amounts, &event->amounts);
        original->listed = event->price_version >= 0;
    } else if (event->reversal && event->kind != EVENT_REFUND)
        original->replaced = true;
    if (event->reversal || event->kind == EVENT_REFUND) {
        original->left_cost += event->amounts.cost;
        original->left_charge += event->amounts.charge;
    }
}

/* Adds what was booked to the entries that are in this state. */
static void
add_booked(struct originals *originals, enum known known, const struct settlement *settlement,
           const struct settled_event *event)
{
    const struct text tenant =
        ((const struct fact *)list_at(&settlement->facts, event->fact))->tenant;
    struct original_entry *entry =
        entry_of(originals, identity_of(tenant, event->source, event->id));

    if (entry != NULL && entry->known == known && !entry->found && !event->reversal)
        booked_itself(originals, entry, settlement, event);
    if (event->original_id.at == NULL)
        return;
    entry = entry_of(originals, identity_of(tenant, event->original_source, event->original_id));
    if (entry != NULL && entry->known == known && entry->found)
        booked_on_another(&entry->original, event);
}

void
originals_booked(struct originals *originals, const struct settlement *settlement,
                 const struct settled_event *event)
{
    if (originals->index.count > 0)
        add_booked(originals, KNOWN, settlement, event);
}

void
originals_tell(struct originals *originals, struct key128 identity, const struct original *original)
{
    struct original_entry *entry = entry_of(originals, identity);

    if (entry != NULL)
        return;
    entry = must(list_add(&originals->known));
    entry->known = KNOWN;
    if (original != NULL)
        set_original(originals, entry, original);
    (void)must(table_put(&originals->index, identity, (uint32_t)(originals->known.count - 1))
                   ? originals
                   : NULL);
}

const struct original *
originals_known(const struct originals *originals, struct key128 identity)
{
    const struct original_entry *entry = entry_of(originals, identity);

    return entry != NULL && entry->known == KNOWN && entry->found ? &entry->original : NULL;
}

/* ---- asked and answered ---------------------------------------------------------------------------- */

void
originals_ask(struct originals *originals)
{
    originals->asked_at = originals->settled;
}

static struct original_entry *
sought_entry(const struct originals *originals, size_t index)
{
    return list_at(&originals->known, *(size_t *)list_at(&originals->places, index));
}

void
originals_found(struct originals *originals, size_t index, const struct original *original)
{
    set_original(originals, sought_entry(originals, index), original);
}

static void
add_unsettled(struct originals *originals, const struct settlement *settlement)
{
    for (size_t i = 0; settlement != NULL && i < settlement->events.count; i++)
        add_booked(originals, FRESH, settlement, list_at(&settlement->events, i));
}

static void
drop_first(struct list *list, size_t count)
{
    list->count -= count;
    if (count == 0)
        return;
    memmove(list->at, (char *)list->at + count * list->size, list->count * list->size);
}

bool
originals_answered(struct originals *originals, size_t count, const struct settlement *open,
                   const struct settlement *frozen)
{
    if (originals->asked_at != originals->settled) {
        for (size_t i = 0; i < count; i++)
            *sought_entry(originals, i) = (struct original_entry){.found = false};
        return false;
    }
    for (size_t i = 0; i < count; i++)
        sought_entry(originals, i)->known = FRESH;
    add_unsettled(originals, frozen);
    add_unsettled(originals, open);
    for (size_t i = 0; i < count; i++)
        sought_entry(originals, i)->known = KNOWN;
    drop_first(&originals->sought, count);
    drop_first(&originals->places, count);
    return true;
}

/* ---- who waits ------------------------------------------------------------------------------------- */

void
originals_wait(struct originals *originals, struct key128 tenant)
{
    const uint32_t count = table_find(&originals->waiting, tenant);

    (void)must(table_put(&originals->waiting, tenant, count == TABLE_NONE ? 1 : count + 1)
                   ? originals
                   : NULL);
}

void
originals_wait_over(struct originals *originals, struct key128 tenant)
{
    const uint32_t count = table_find(&originals->waiting, tenant);

    if (count == TABLE_NONE)
        return;
    if (count > 1)
        (void)table_put(&originals->waiting, tenant, count - 1);
    else
        table_remove(&originals->waiting, tenant);
}
