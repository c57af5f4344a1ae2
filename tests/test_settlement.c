/* Protects: a settlement goes on where the one before it ended, and says when it is full. */
#include "core/settlement.h"
#include "tests/check.h"

static void
test_new_is_empty(void)
{
    struct settlement *settlement = settlement_new(2, 1 << 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(settlement);
    if (settlement == NULL)
        return;
    CU_ASSERT_TRUE(settlement_empty(settlement));
    CU_ASSERT_FALSE(settlement_full(settlement));
    CHECK_INT("no record yet", settlement->progress[1].last_offset, -1);
    CHECK_INT("topics", settlement->topic_count, 2);
    settlement_free(settlement);
    settlement_free(NULL);
}

static void
test_empty(void)
{
    struct settlement *settlement = settlement_new(2, 1 << 20);
    struct list *const lists[] = {
        &settlement->facts,     &settlement->key_facts, &settlement->periods,
        &settlement->quotas,    &settlement->due,       &settlement->transitions,
        &settlement->decisions, &settlement->dead,      &settlement->kept,
        &settlement->unpriced,  &settlement->commands,  &settlement->attempting,
    };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        CU_ASSERT_PTR_NOT_NULL(list_add(lists[i]));
        CHECK_INT("a row", settlement_empty(settlement), false);
        settlement_clear(settlement, settlement);
        CHECK_INT("cleared", settlement_empty(settlement), true);
    }
    settlement->progress[1].moved = true;
    CHECK_INT("an offset", settlement_empty(settlement), false);
    settlement_free(settlement);
}

static void
test_goes_on(void)
{
    struct settlement *frozen = settlement_new(2, 1 << 20);
    struct settlement *open = settlement_new(2, 1 << 20);
    const struct progress moved = {.from = 10,
                                   .next = 15,
                                   .processed = 4,
                                   .gaps = 1,
                                   .counted = 2,
                                   .duplicates = 1,
                                   .dead = 1,
                                   .ignored = 1,
                                   .time_ms = 1000,
                                   .last_offset = 14,
                                   .last_fingerprint = 77,
                                   .moved = true};
    const struct progress expected = {
        .from = 15, .next = 15, .time_ms = 1000, .last_offset = 14, .last_fingerprint = 77};

    frozen->shard = 3;
    frozen->epoch = 17;
    frozen->seq = 5;
    frozen->time_ms = 900;
    frozen->policy = 2;
    frozen->progress[1] = moved;
    settlement_clear(open, frozen);
    CHECK_INT("shard", open->shard, 3);
    CHECK_INT("epoch", open->epoch, 17);
    CHECK_INT("seq", open->seq, 6);
    CHECK_INT("time", open->time_ms, 900);
    CHECK_INT("policy", open->policy, 2);
    CHECK_INT("from", open->progress[1].from, expected.from);
    CHECK_INT("next", open->progress[1].next, expected.next);
    CHECK_INT("processed", open->progress[1].processed, expected.processed);
    CHECK_INT("counted", open->progress[1].counted, expected.counted);
    CHECK_INT("time of the partition", open->progress[1].time_ms, expected.time_ms);
    CHECK_INT("last offset", open->progress[1].last_offset, expected.last_offset);
    CHECK_INT("last fingerprint", open->progress[1].last_fingerprint, expected.last_fingerprint);
    CU_ASSERT_EQUAL(open->progress[1].moved, expected.moved);
    CHECK_INT("other topic", open->progress[0].next, 0);
    CHECK_INT("frozen stays", frozen->progress[1].processed, 4);
    settlement_free(frozen);
    settlement_free(open);
}

static void
test_full(void)
{
    enum { LIMIT = 256 * 1024 };
    struct settlement *settlement = settlement_new(1, LIMIT);
    size_t facts = 0;

    while (!settlement_full(settlement) && list_add(&settlement->facts) != NULL)
        facts++;
    CHECK_INT("rows count", facts, (LIMIT + sizeof(struct fact) - 1) / sizeof(struct fact));
    CU_ASSERT_PTR_NOT_NULL(list_add(&settlement->facts)); /* the record under way may end */
    settlement_clear(settlement, NULL);
    CU_ASSERT_FALSE(settlement_full(settlement));
    while (!settlement_full(settlement) && arena_take(settlement->arena, 1024) != NULL)
        facts--;
    CHECK_INT("texts count", settlement_full(settlement), true);
    CU_ASSERT_PTR_NOT_NULL(arena_take(settlement->arena, 1024));
    settlement_free(settlement);
}

static CU_TestInfo tests[] = {
    {"new", test_new_is_empty},
    {"empty looks at everything", test_empty},
    {"goes on where the last ended", test_goes_on},
    {"full", test_full},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_settlement = {.pName = "settlement", .pTests = tests};
