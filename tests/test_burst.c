/* Protects: the requests of the last 60 seconds are what a list of all of them says; the table keeps
 * its size under a spray of addresses, and who hammers stays in it. */
#include "core/burst.h"
#include "core/identity.h"
#include "tests/check.h"

#include <string.h>

enum { KEYS = 5, EVENTS = 3000, ROUNDS = 20 };

static uint64_t state = 1;

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

static struct key128
key_of(int64_t number)
{
    return identity_numbers((struct key128){0}, &number, 1);
}

static uint64_t
add(struct burst *burst, struct key128 key, int64_t at_ms, int64_t now_ms, int64_t amount)
{
    const struct burst_event event = {
        .key = key, .at_ms = at_ms, .now_ms = now_ms, .amount = amount};
    int64_t until_ms;

    return burst_add(burst, &event, &until_ms);
}

/* ---- against a list ------------------------------------------------------------------------------------ */

/* A request as the naive model keeps it. */
struct sent {
    int64_t key;
    int64_t at_ms;
    int64_t amount;
};

static int64_t
second_of(int64_t at_ms)
{
    return at_ms >= 0 ? at_ms / 1000 : -((999 - at_ms) / 1000);
}

static uint64_t
naive_count(const struct sent *sent, size_t count, int64_t key, int64_t now_ms)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        if (sent[i].key == key && second_of(sent[i].at_ms) > second_of(now_ms) - 60)
            sum += (uint64_t)sent[i].amount;
    return sum;
}

/* Looks at every second that follows. */
static int64_t
naive_below(const struct sent *sent, size_t count, int64_t key, uint64_t limit, int64_t now_ms)
{
    if (naive_count(sent, count, key, now_ms) < (limit == 0 ? 1 : limit))
        return now_ms;
    for (int64_t at_ms = (second_of(now_ms) + 1) * 1000;; at_ms += 1000)
        if (naive_count(sent, count, key, at_ms) < (limit == 0 ? 1 : limit))
            return at_ms;
}

static void
one_round(int64_t now_ms)
{
    static struct sent sent[EVENTS];
    struct burst burst;
    size_t count = 0;

    CU_ASSERT_TRUE_FATAL(burst_init(&burst, KEYS));
    for (size_t i = 0; i < EVENTS; i++) {
        const uint64_t limit = draw(20);

        now_ms += (int64_t)draw(draw(30) == 0 ? 90000 : 700);
        const struct sent one = {.key = (int64_t)draw(KEYS),
                                 /* Of another topic, or parked: somewhat late. */
                                 .at_ms = now_ms - (int64_t)(draw(4) == 0 ? draw(70000) : 0),
                                 .amount = 1 + (int64_t)draw(3)};
        const bool late = second_of(one.at_ms) <= second_of(now_ms) - 60;

        sent[count++] = one;
        const uint64_t expected = late ? 0 : naive_count(sent, count, one.key, now_ms);

        CHECK_INT("added", add(&burst, key_of(one.key), one.at_ms, now_ms, one.amount), expected);
        CHECK_INT("count", burst_count(&burst, key_of(one.key), now_ms),
                  naive_count(sent, count, one.key, now_ms));
        CHECK_INT("below", burst_below(&burst, key_of(one.key), limit, now_ms),
                  naive_below(sent, count, one.key, limit, now_ms));
        /* What cannot matter any more keeps the list short. */
        if (count == 400) {
            memmove(sent, sent + 200, 200 * sizeof sent[0]);
            count = 200;
            burst_clear(&burst);
            for (size_t k = 0; k < count; k++)
                (void)add(&burst, key_of(sent[k].key), sent[k].at_ms, now_ms, sent[k].amount);
        }
    }
    CHECK_INT("evicted", burst.evicted, 0);
    burst_free(&burst);
}

static void
test_against_list(void)
{
    for (int round = 0; round < ROUNDS; round++)
        one_round(round % 4 == 0 ? -100000 : INT64_C(1773136800000) + round);
}

/* ---- edges ------------------------------------------------------------------------------------------------ */

static void
test_edges(void)
{
    const struct key128 key = key_of(1);
    struct burst burst;
    int64_t until_ms;

    CU_ASSERT_TRUE_FATAL(burst_init(&burst, 10));
    CHECK_INT("nothing", add(&burst, key, 0, 0, 0), 0);
    CHECK_INT("unknown", burst_count(&burst, key, 0), 0);
    CHECK_INT("unknown is below", burst_below(&burst, key, 1, 7), 7);
    CHECK_INT("first", add(&burst, key, 999, 999, 1), 1);
    CHECK_INT("last ms of the window", burst_count(&burst, key, 59999), 1);
    CHECK_INT("first ms after it", burst_count(&burst, key, 60000), 0);
    CHECK_INT("ahead of now", add(&burst, key, 62000, 61000, 1), 0);

    /* A slot that is full stays full, and empties all the same. */
    CHECK_INT("huge", add(&burst, key, 61000, 61000, INT64_MAX), UINT32_MAX);
    CHECK_INT("more", add(&burst, key, 61500, 61500, 5), UINT32_MAX);
    CHECK_INT("another slot", add(&burst, key, 62000, 62000, 5), (int64_t)UINT32_MAX + 5);
    CHECK_INT("emptied", burst_count(&burst, key, 121000), 5);
    CHECK_INT("ends when the slot leaves", burst_below(&burst, key, 5, 121000), 122000);
    CHECK_INT("a limit of nothing", burst_below(&burst, key, 0, 121000), 122000);

    const struct burst_event event = {.key = key, .at_ms = 121000, .now_ms = 121000, .amount = 1};

    burst_hold(&burst, key, 130000, 121000);
    (void)burst_add(&burst, &event, &until_ms);
    CHECK_INT("held", until_ms, 130000);
    burst_free(&burst);
}

/* Few seconds fit into an entry; more of them, or many requests in one, need a ring, which is another
 * key's when the window is empty. */
static void
test_rings(void)
{
    struct burst burst;
    int64_t now_ms = 0;

    CU_ASSERT_TRUE_FATAL(burst_init(&burst, 10));
    for (int64_t s = 0; s < BURST_FEW; s++, now_ms += 1000)
        CHECK_INT("a few seconds", add(&burst, key_of(1), now_ms, now_ms, 20), 20 * (s + 1));
    CHECK_INT("no ring", burst.rings.count, 0);
    CHECK_INT("one second more", add(&burst, key_of(1), now_ms, now_ms, 1), 20 * BURST_FEW + 1);
    CHECK_INT("a ring", burst.rings.count, 1);
    CHECK_INT("many at once", add(&burst, key_of(2), now_ms, now_ms, 300), 300);
    CHECK_INT("another", burst.rings.count, 2);

    CHECK_INT("the first is over", burst_count(&burst, key_of(1), now_ms + BURST_WINDOW_MS), 0);
    CHECK_INT("many for a third",
              add(&burst, key_of(3), now_ms + BURST_WINDOW_MS, now_ms + BURST_WINDOW_MS, 300), 300);
    CHECK_INT("in the ring of the first", burst.rings.count, 2);
    CHECK_INT("which has none now",
              add(&burst, key_of(1), now_ms + BURST_WINDOW_MS, now_ms + BURST_WINDOW_MS, 2), 2);
    burst_free(&burst);
}

/* ---- a table that is full ----------------------------------------------------------------------------------- */

static void
test_full(void)
{
    struct burst burst;

    CU_ASSERT_TRUE_FATAL(burst_init(&burst, 4));
    for (int64_t k = 0; k < 4; k++)
        CHECK_INT("room", add(&burst, key_of(k), 1000 * k, 1000 * k, k == 2 ? 1 : 5),
                  k == 2 ? 1 : 5);
    CHECK_INT("exact while there is room", burst.evicted, 0);

    /* The least leaves first. */
    CHECK_INT("newcomer", add(&burst, key_of(10), 4000, 4000, 3), 3);
    CHECK_INT("the least has left", burst_count(&burst, key_of(2), 4000), 0);
    CHECK_INT("evicted", burst.evicted, 1);
    CHECK_INT("the others stay", burst_count(&burst, key_of(1), 4000), 5);

    /* Whose window is empty goes before all others, and is not missed. */
    CHECK_INT("another", add(&burst, key_of(11), 60000, 60000, 1), 1);
    CHECK_INT("key 0 had left its window", burst.evicted, 1);
    CHECK_INT("the newcomer is there still", burst_count(&burst, key_of(10), 60000), 3);

    /* Who is throttled never leaves; when all are, newcomers are not counted. */
    static const int64_t there[] = {1, 3, 10, 11};

    for (size_t i = 0; i < 4; i++)
        burst_hold(&burst, key_of(there[i]), 100000, 60000);
    const int64_t missed = burst.missed;

    CHECK_INT("no room", add(&burst, key_of(50), 60001, 60001, 9), 0);
    CHECK_INT("missed", burst.missed, missed + 1);
    CHECK_INT("its count stays", burst_count(&burst, key_of(10), 60001), 3);
    CHECK_INT("room again", add(&burst, key_of(50), 100000, 100000, 9), 9);
    burst_free(&burst);
}

/* A million addresses in a minute, a request each, and one that sends two a second among them. */
static void
test_spray(void)
{
    enum { SPRAYED = 1000000, LIMIT = 32768 };
    const struct key128 offender = key_of(-1);
    struct burst burst;
    uint64_t most = 0;
    size_t bytes;

    CU_ASSERT_TRUE_FATAL(burst_init(&burst, LIMIT));
    for (int64_t i = 0; i < SPRAYED; i++) {
        const int64_t now_ms = i * 60000 / SPRAYED;

        (void)add(&burst, key_of(i), now_ms, now_ms, 1);
        if (i % (SPRAYED / 120) == 0) {
            const uint64_t count = add(&burst, offender, now_ms, now_ms, 1);

            most = count > most ? count : most;
        }
    }
    bytes = burst_bytes(&burst);
    CHECK_INT("entries", burst.entries.count, LIMIT);
    CHECK_INT("every other one was forgotten", burst.evicted >= SPRAYED - LIMIT, 1);
    CHECK_INT("nobody was turned away", burst.missed, 0);
    CU_ASSERT_TRUE(most > 60);
    CU_ASSERT_TRUE(bytes <= (size_t)LIMIT * 100);
    printf("(%zu KiB; %" PRIu64 " requests of the offender) ", bytes / 1024, most);
    burst_free(&burst);
}

static CU_TestInfo tests[] = {
    {"the window is what a list says", test_against_list},
    {"edges of the window, huge amounts", test_edges},
    {"rings are for who needs them", test_rings},
    {"a full table", test_full},
    {"a million addresses", test_spray},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_burst = {.pName = "burst", .pTests = tests};
