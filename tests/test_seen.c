/* Protects: what counts as a duplicate, at both edges of the window (DESIGN 6). */
#include "core/seen.h"
#include "tests/check.h"

enum { WINDOW_MS = 1000, RECORDS = 10 };

static struct occurrence
at(uint64_t identity, int64_t offset, int64_t time_ms)
{
    return (struct occurrence){
        .identity = {identity, identity}, .offset = offset, .time_ms = time_ms, .content = 1};
}

static void
test_edges(void)
{
    static const struct {
        const char *row;
        int64_t offset; /* of the second, after one at offset 100, time 5000 */
        int64_t time_ms;
        uint32_t content;
        enum seen_answer answer;
    } rows[] = {
        {"in the same record", 100, 5000, 1, SEEN_DUPLICATE},
        {"with another content", 101, 5000, 2, SEEN_CONFLICT},
        {"the last ms of the window", 101, 5999, 1, SEEN_DUPLICATE},
        {"the first ms behind it", 101, 6000, 1, SEEN_NEW},
        {"the last record", 109, 5000, 1, SEEN_DUPLICATE},
        {"the first record behind", 110, 5000, 1, SEEN_NEW},
        {"another content, too late", 110, 5000, 2, SEEN_NEW},
        {"read again at an older place", 50, 4000, 1, SEEN_DUPLICATE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seen *seen = seen_new(WINDOW_MS, RECORDS);
        const struct occurrence first = at(1, 100, 5000);
        struct occurrence second = at(1, rows[i].offset, rows[i].time_ms);

        CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
        second.content = rows[i].content;
        CHECK_INT(rows[i].row, seen_ask(seen, &first), SEEN_NEW);
        CHECK_INT(rows[i].row, seen_remember(seen, &first), true);
        CHECK_INT(rows[i].row, seen_ask(seen, &second), rows[i].answer);
        seen_free(seen);
    }
}

/* A duplicate is an occurrence too: a repeater is known as long as it goes on. */
static void
test_last_occurrence(void)
{
    struct seen *seen = seen_new(WINDOW_MS, RECORDS);

    for (int64_t i = 0; i < 50; i++) {
        const struct occurrence one = at(1, i * 9, i * 999);

        CHECK_INT("again", seen_ask(seen, &one), i == 0 ? SEEN_NEW : SEEN_DUPLICATE);
        CU_ASSERT_TRUE(seen_remember(seen, &one));
    }
    seen_clear(seen);
    CHECK_INT("cleared", seen_ask(seen, &(struct occurrence){.identity = {1, 1}}), SEEN_NEW);
    seen_free(seen);
}

/* Many at once: the ring grows, wraps around, and forgets what has left the window. */
static void
test_many(void)
{
    const int64_t many = 5000;
    struct seen *seen = seen_new(INT64_MAX, many);
    size_t bytes = 0;

    for (int64_t i = 0; i < 6 * many; i++) {
        const struct occurrence one = at((uint64_t)i, i, 0);

        if (!seen_remember(seen, &one))
            CU_FAIL_FATAL("no memory");
        if (i == 2 * many)
            bytes = seen_bytes(seen);
    }
    for (int64_t i = 4 * many; i < 6 * many; i++) {
        const struct occurrence one = at((uint64_t)i, 6 * many, 0);
        const bool inside = i > 5 * many;

        if (seen_ask(seen, &one) != (inside ? SEEN_DUPLICATE : SEEN_NEW))
            CHECK_INT("remembered exactly so long", i, -1);
    }
    CHECK_INT("memory does not grow on", seen_bytes(seen), bytes);
    CHECK_INT("shortened is counted", seen_shortened(seen), 5 * many);
    seen_free(seen);
}

/* Few places in the index, many identities that come, come again and leave. */
static void
test_against_an_array(void)
{
    enum { IDENTITIES = 300, STEPS = 30000, REMEMBERED = 200 };
    struct seen *seen = seen_new(INT64_MAX, REMEMBERED);
    int64_t last[IDENTITIES];
    uint32_t state = 1;

    for (size_t i = 0; i < IDENTITIES; i++)
        last[i] = INT64_MIN / 2;
    for (int64_t step = 0; step < STEPS; step++) {
        state = state * 1664525 + 1013904223;
        const uint32_t number = (state >> 8) % IDENTITIES;
        struct occurrence one = at(number, step, 0);

        one.identity.low = (number % 7 == 0 ? UINT32_MAX : UINT64_C(0) + number % 5) << 32;
        CHECK_INT("as the array says", seen_ask(seen, &one),
                  step - last[number] < REMEMBERED ? SEEN_DUPLICATE : SEEN_NEW);
        if ((state >> 4) % 3 != 0)
            continue;
        CU_ASSERT_TRUE_FATAL(seen_remember(seen, &one));
        last[number] = step;
    }
    seen_free(seen);
}

static CU_TestInfo tests[] = {
    {"edges of the window", test_edges},
    {"the last occurrence counts", test_last_occurrence},
    {"many", test_many},
    {"against an array", test_against_an_array},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_seen = {.pName = "seen", .pTests = tests};
