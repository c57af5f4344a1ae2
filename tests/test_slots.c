/* Protects: the last hour in slots is what a list of all events says it is, whatever their order. */
#include "core/slots.h"
#include "tests/check.h"

enum { EVENTS = 400, ROUNDS = 60 };

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

/* An event as the naive model keeps it. */
struct spent {
    int64_t at_ms;
    int64_t cost;
    bool judged;
};

static tally
naive(const struct spent *events, size_t count, int64_t newest_ms, int64_t from_ms, bool judged)
{
    const int64_t oldest_ms = newest_ms - (SLOT_COUNT - 1) * SLOT_MS;
    tally sum = 0;

    for (size_t i = 0; i < count; i++)
        if (events[i].at_ms >= oldest_ms && events[i].at_ms >= from_ms &&
            (!judged || events[i].judged))
            sum += events[i].cost;
    return sum;
}

static tally
whole_cost(const struct slots *slots)
{
    tally sum = 0;

    for (size_t i = 0; i < SLOT_COUNT; i++)
        sum += slots->ring[i].cost;
    return sum;
}

static void
one_round(int64_t start_ms)
{
    static struct spent events[EVENTS];
    struct slots slots;
    int64_t now_ms = start_ms;

    slots_init(&slots);
    for (size_t i = 0; i < EVENTS; i++) {
        now_ms += (int64_t)draw(draw(20) == 0 ? 40 * CLOCK_MINUTE_MS : CLOCK_MINUTE_MS);
        slots_advance(&slots, now_ms);
        events[i] = (struct spent){.at_ms = now_ms - (int64_t)draw(90 * CLOCK_MINUTE_MS),
                                   .cost = (int64_t)draw(1000),
                                   .judged = draw(4) != 0};
        struct slot *slot = slots_at(&slots, events[i].at_ms);

        CHECK_INT("held or too old", slot == NULL,
                  events[i].at_ms < slots.newest_ms - (SLOT_COUNT - 1) * SLOT_MS);
        if (slot == NULL) {
            events[i].cost = 0;
            continue;
        }
        CHECK_INT("its slot", slot->start_ms, slots_start(events[i].at_ms));
        slot->cost += events[i].cost;
        if (events[i].judged)
            slot->judged += events[i].cost;
        const int64_t from_ms = slots_start(now_ms - (int64_t)draw(70 * CLOCK_MINUTE_MS));

        CHECK_INT("all cost", whole_cost(&slots),
                  naive(events, i + 1, slots.newest_ms, INT64_MIN, false));
        CHECK_INT("judged", slots_judged(&slots, SLOTS_ALL).cost,
                  naive(events, i + 1, slots.newest_ms, INT64_MIN, true));
        CHECK_INT("since", slots_judged(&slots, from_ms).cost,
                  naive(events, i + 1, slots.newest_ms, from_ms, true));
    }
}

static void
test_model(void)
{
    state = 20261121;
    for (size_t i = 0; i < ROUNDS; i++)
        one_round((int64_t)draw(1000) * CLOCK_DAY_MS - 300 * CLOCK_DAY_MS);
}

static void
test_restore(void)
{
    struct slots slots;
    struct slots again;

    state = 7;
    slots_init(&slots);
    slots_init(&again);
    for (int64_t at_ms = 0; at_ms < 5 * CLOCK_HOUR_MS; at_ms += CLOCK_MINUTE_MS)
        slots_at(&slots, at_ms)->judged += (int64_t)draw(100);
    for (size_t i = SLOT_COUNT; i-- > 0;)
        slots_restore(&again, &slots.ring[(i * 5) % SLOT_COUNT]);
    CHECK_INT("the same", slots_judged(&again, SLOTS_ALL).cost,
              slots_judged(&slots, SLOTS_ALL).cost);
    CHECK_INT("the running one", again.newest_ms, slots.newest_ms);
    slots_advance(&again, 20 * CLOCK_HOUR_MS);
    CHECK_INT("after silence", slots_judged(&again, SLOTS_ALL).cost, 0);
}

static void
test_forgive(void)
{
    struct slots slots;

    slots_init(&slots);
    struct slot *slot = slots_at(&slots, 0);

    slot->cost = slot->judged = 5;
    slot->judged_calls = 2;
    slots_forgive(&slots);
    CHECK_INT("nothing counts", slots_judged(&slots, SLOTS_ALL).cost, 0);
    CHECK_INT("no call", slots_judged(&slots, SLOTS_ALL).calls, 0);
    CHECK_INT("it was spent all the same", slot->cost, 5);
}

static CU_TestInfo tests[] = {
    {"as a list of events says", test_model},
    {"stored and restored", test_restore},
    {"forgiven", test_forgive},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_slots = {.pName = "slots", .pTests = tests};
