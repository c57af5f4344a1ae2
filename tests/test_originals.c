/* Protects: what is known of the record is as new as what was booked, whenever the store answers. */
#include "rules/originals.h"

#include "core/identity.h"
#include "tests/check.h"

static struct originals originals;
static struct settlement *open;
static struct settlement *frozen;

static void
begin(void)
{
    CU_ASSERT_TRUE_FATAL(originals_init(&originals));
    open = settlement_new(1, (size_t)1 << 20);
    frozen = settlement_new(1, (size_t)1 << 20);
    CU_ASSERT_TRUE_FATAL(open != NULL && frozen != NULL);
}

static void
end(void)
{
    originals_free(&originals);
    settlement_free(open);
    settlement_free(frozen);
}

/* An event of acme with this id, booked at `cost`, perhaps a refund of another. */
static struct settled_event *
book(struct settlement *settlement, const char *id, const char *of, int64_t cost)
{
    struct fact *fact = list_add(&settlement->facts);
    struct settled_event *event = list_add(&settlement->events);

    *fact = (struct fact){.tenant = TEXT("acme"), .feature = TEXT("chat"), .hour_ms = 7};
    *event = (struct settled_event){.fact = settlement->facts.count - 1,
                                    .kind = of == NULL ? EVENT_RECORD : EVENT_REFUND,
                                    .source = TEXT("gw"),
                                    .id = text_of(id),
                                    .amounts = {.cost = cost, .charge = cost}};
    if (of != NULL) {
        event->original_source = TEXT("gw");
        event->original_id = text_of(of);
    }
    return event;
}

static const struct original *
ask(const char *id, bool *found)
{
    const struct sought sought = {TEXT("acme"), TEXT("gw"), text_of(id), 0};
    const struct text who[] = {sought.source, sought.id};

    return originals_get(&originals, identity_texts(identity_one(sought.tenant), who, 2), &sought,
                         found);
}

static void
check_left(const char *id, int64_t left)
{
    bool found;
    const struct original *original = ask(id, &found);

    CU_ASSERT_PTR_NOT_NULL_FATAL(original);
    CHECK_INT(id, found, left >= 0);
    if (original != NULL && left >= 0)
        CHECK_INT(id, original->left_cost, left);
}

static void
test_as_new_as_memory(void)
{
    const struct original stored = {.kind = EVENT_RECORD, .left_cost = 100, .left_charge = 100};
    bool found;

    begin();
    CU_ASSERT_PTR_NULL(ask("a", &found));
    CU_ASSERT_PTR_NULL(ask("b", &found));
    CU_ASSERT_PTR_NULL(ask("c", &found));
    CHECK_INT("each once", originals.sought.count, 3);
    (void)book(frozen, "r1", "a", -10);
    (void)book(frozen, "b", NULL, 50);
    (void)book(open, "r2", "a", -20);
    (void)book(open, "r3", "b", -5);
    originals_ask(&originals);
    originals_found(&originals, 0, &stored);
    CU_ASSERT_TRUE(originals_answered(&originals, 3, open, frozen));
    CHECK_INT("answered", originals.sought.count, 0);
    check_left("a", 70);
    check_left("b", 45);
    check_left("c", -1);

    /* A later question does not count again what is known. */
    CU_ASSERT_PTR_NULL(ask("d", &found));
    originals_ask(&originals);
    CU_ASSERT_TRUE(originals_answered(&originals, 1, open, frozen));
    check_left("a", 70);
    /* What is booked from now on is known at once. */
    originals_booked(&originals, open, book(open, "c", NULL, 3));
    originals_booked(&originals, open, book(open, "r4", "c", -1));
    check_left("c", 2);
    originals_trim(&originals);
    CU_ASSERT_PTR_NULL(ask("a", &found));
    end();
}

/* Between question and answer a settlement was committed: the store may or may not have known. */
static void
test_overtaken(void)
{
    const struct original stored = {.kind = EVENT_RECORD, .left_cost = 100};
    bool found;

    begin();
    CU_ASSERT_PTR_NULL(ask("a", &found));
    (void)book(frozen, "r1", "a", -10);
    originals_ask(&originals);
    originals.settled++;
    originals_found(&originals, 0, &stored);
    CU_ASSERT_FALSE(originals_answered(&originals, 1, open, NULL));
    CU_ASSERT_PTR_NULL(ask("a", &found));
    originals_trim(&originals);
    CHECK_INT("still sought", originals.sought.count, 1);
    originals_ask(&originals);
    CU_ASSERT_TRUE(originals_answered(&originals, 1, open, NULL));
    check_left("a", -1);
    end();
}

static void
test_waiting(void)
{
    const struct key128 acme = identity_one(TEXT("acme"));

    begin();
    CU_ASSERT_FALSE(originals_waits(&originals, acme));
    originals_wait(&originals, acme);
    originals_wait(&originals, acme);
    originals_wait_over(&originals, acme);
    CU_ASSERT_TRUE(originals_waits(&originals, acme));
    originals_wait_over(&originals, acme);
    CU_ASSERT_FALSE(originals_waits(&originals, acme));
    originals_wait(&originals, acme);
    originals_clear(&originals);
    CU_ASSERT_FALSE(originals_waits(&originals, acme));
    end();
}

static CU_TestInfo tests[] = {
    {"the answer and what it could not know", test_as_new_as_memory},
    {"an answer that was overtaken is asked for again", test_overtaken},
    {"a tenant waits until its last event does not", test_waiting},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_originals = {"originals", NULL, NULL, NULL, NULL, tests};
