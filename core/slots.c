#include "core/slots.h"

void
slots_init(struct slots *slots)
{
    slots->newest_ms = INT64_MIN;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        slots->ring[i] = (struct slot){.start_ms = INT64_MIN};
}

int64_t
slots_start(int64_t at_ms)
{
    const int64_t past = at_ms % SLOT_MS;

    return at_ms - (past < 0 ? past + SLOT_MS : past);
}

static struct slot *
place_of(struct slots *slots, int64_t start_ms)
{
    const int64_t place = start_ms / SLOT_MS % SLOT_COUNT;

    return &slots->ring[place < 0 ? place + SLOT_COUNT : place];
}

void
slots_advance(struct slots *slots, int64_t now_ms)
{
    const int64_t start_ms = slots_start(now_ms);
    int64_t at_ms = start_ms - (SLOT_COUNT - 1) * SLOT_MS;

    if (start_ms <= slots->newest_ms)
        return;
    if (at_ms <= slots->newest_ms)
        at_ms = slots->newest_ms + SLOT_MS;
    for (; at_ms <= start_ms; at_ms += SLOT_MS)
        *place_of(slots, at_ms) = (struct slot){.start_ms = at_ms};
    slots->newest_ms = start_ms;
}

struct slot *
slots_at(struct slots *slots, int64_t at_ms)
{
    const int64_t start_ms = slots_start(at_ms);

    slots_advance(slots, at_ms);
    if (start_ms <= slots->newest_ms - SLOT_COUNT * SLOT_MS)
        return NULL;
    return place_of(slots, start_ms);
}

const struct slot *
slots_find(const struct slots *slots, int64_t start_ms)
{
    const int64_t place = start_ms / SLOT_MS % SLOT_COUNT;
    const struct slot *slot = &slots->ring[place < 0 ? place + SLOT_COUNT : place];

    return slot->start_ms == start_ms ? slot : NULL;
}

void
slots_restore(struct slots *slots, const struct slot *slot)
{
    struct slot *place = slots_at(slots, slot->start_ms);

    if (place != NULL)
        *place = *slot;
}

struct slots_spend
slots_judged(const struct slots *slots, int64_t from_ms)
{
    struct slots_spend spend = {.cost = 0};

    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (slots->ring[i].start_ms >= from_ms) {
            spend.cost += slots->ring[i].judged;
            spend.calls += slots->ring[i].judged_calls;
        }
    return spend;
}

void
slots_forgive(struct slots *slots)
{
    for (size_t i = 0; i < SLOT_COUNT; i++)
        slots->ring[i].judged = slots->ring[i].judged_calls = 0;
}
