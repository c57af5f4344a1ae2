/* Protects: an unpriced event waits in Postgres as it was, is priced once, and the record says so. */
#include "tests/check.h"
#include "tests/store_db.h"

static struct db db;

static void
add_unpriced(struct settlement *settlement, int32_t topic, int64_t offset, const char *id)
{
    *(struct unpriced_event *)list_add(&settlement->unpriced) =
        (struct unpriced_event){.kind = EVENT_RECORD,
                                .topic = topic,
                                .offset = offset,
                                .index = 2,
                                .at_ms = DB_HOUR_MS + 5,
                                .tenant = TEXT("acme"),
                                .source = TEXT("gw"),
                                .id = text_of(id),
                                .project = TEXT("unassigned"),
                                .model = TEXT("new-1"),
                                .currency = TEXT("CHF"),
                                .hour_ms = DB_HOUR_MS,
                                .period_ms = DB_PERIOD_MS,
                                .usage = {[USAGE_REQUESTS] = 1, [USAGE_BYTES] = 9},
                                .has_cost = true,
                                .cost = {-7},
                                .estimate = 12};
}

/* offset -1: a correction took its place. */
static void
add_priced(struct settlement *settlement, int32_t topic, int64_t offset, const char *id)
{
    *(struct priced_event *)list_add(&settlement->priced) =
        (struct priced_event){.topic = offset < 0 ? -1 : topic,
                              .offset = offset,
                              .index = 2,
                              .tenant = TEXT("acme"),
                              .source = TEXT("gw"),
                              .id = text_of(id),
                              .at_ms = DB_HOUR_MS + 9};
}

static size_t
waiting(const struct unpriced_query *query, struct unpriced_event *first)
{
    struct list events;
    struct err why;

    list_init(&events, sizeof(struct unpriced_event), UNPRICED_PAGE);
    CU_ASSERT(store_unpriced(db.store, query, db.arena, &events, &why));
    const size_t count = events.count;

    if (count > 0)
        *first = *(struct unpriced_event *)list_at(&events, 0);
    list_free(&events);
    return count;
}

/* By topic, offset and index; of one shard. */
static void
test_waits(void)
{
    struct unpriced_event first = {.topic = -1};

    db_begin(&db);
    const struct claim claim = db_claim(&db, 3);
    struct settlement *const one = settlement_of(&claim, 100);

    settlement_book(one, "acme", 1, 0);
    add_unpriced(one, 1, 100, "e-3");
    add_unpriced(one, 0, 101, "e-2");
    add_unpriced(one, 0, 100, "e-1");
    CHECK_INT("settled", db_settle(&db, one), SETTLED);
    CHECK_INT("all", waiting(&(struct unpriced_query){.shard = 3, .topic = -1}, &first), 3);
    CU_ASSERT(text_eq(first.id, TEXT("e-1")) && text_eq(first.tenant, TEXT("acme")));
    CU_ASSERT(text_eq(first.currency, TEXT("CHF")) && first.provider.at == NULL);
    CHECK_INT("offset", first.offset, 100);
    CHECK_INT("index", first.index, 2);
    CHECK_INT("time", first.at_ms, DB_HOUR_MS + 5);
    CHECK_INT("hour", first.hour_ms, DB_HOUR_MS);
    CHECK_INT("cost", first.has_cost ? first.cost.nano : 0, -7);
    CHECK_INT("estimate", first.estimate, 12);
    CHECK_INT("bytes", first.usage[USAGE_BYTES], 9);
    CHECK_INT("behind the first",
              waiting(&(struct unpriced_query){.shard = 3, .topic = 0, .offset = 100, .index = 2},
                      &first),
              2);
    CU_ASSERT(text_eq(first.id, TEXT("e-2")));
    CHECK_INT("behind its topic",
              waiting(&(struct unpriced_query){.shard = 3, .topic = 0, .offset = 900}, &first), 1);
    CHECK_INT("another shard", waiting(&(struct unpriced_query){.topic = -1}, &first), 0);
    settlement_free(one);
    db_end(&db);
}

/* A second time is an error of ours: nothing of that settlement is kept. */
static void
test_once(void)
{
    struct unpriced_event first = {.topic = -1};

    db_begin(&db);
    const struct claim claim = db_claim(&db, 3);
    struct settlement *const one = settlement_of(&claim, 100);
    struct settlement *const two = settlement_of(&claim, 101);
    struct settlement *const three = settlement_of(&claim, 102);

    settlement_book(one, "acme", 1, 0);
    add_unpriced(one, 0, 100, "e-1");
    add_unpriced(one, 0, 101, "e-2");
    CHECK_INT("kept", db_settle(&db, one), SETTLED);
    two->seq = one->seq + 1;
    settlement_book(two, "acme", 1, 0);
    add_priced(two, 0, 100, "e-1");
    add_priced(two, 0, -1, "e-2");
    add_priced(two, 0, -1, "never there");
    CHECK_INT("priced", db_settle(&db, two), SETTLED);
    CHECK_INT("the same settlement again", db_settle(&db, two), SETTLED);
    CHECK_SQL(&db, "SELECT id, priced_at FROM tripmeter.unpriced ORDER BY id",
              "e-1 2026-03-01 00:00:00.009+00 e-2 2026-03-01 00:00:00.009+00");
    CHECK_INT("none", waiting(&(struct unpriced_query){.shard = 3, .topic = -1}, &first), 0);
    /* Only what waits is kept for ever. */
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.maintain_record(-1, 3, NULL, '2026-03-04Z')",
              "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.unpriced", "2");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.maintain_record(-1, 3, NULL, '2026-03-05Z')",
              "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.unpriced", "0");
    three->seq = two->seq + 1;
    settlement_book(three, "acme", 1, 5);
    add_priced(three, 0, 100, "e-1");
    CHECK_INT("twice", db_settle(&db, three), SETTLE_IMPOSSIBLE);
    db_reopen(&db);
    CHECK_SQL(&db, "SELECT sum(cost) FROM tripmeter.period_total", "0.000000000");
    settlement_free(one);
    settlement_free(two);
    settlement_free(three);
    db_end(&db);
}

static void
add_event(struct settlement *settlement, bool price, int64_t nano)
{
    struct settled_event *const event = list_add(&settlement->events);

    *event = (struct settled_event){.fact = settlement->facts.count - 1,
                                    .offset = 100,
                                    .time_ms = DB_HOUR_MS,
                                    .at_ms = DB_HOUR_MS,
                                    .policy = 7,
                                    .price_version = price ? DB_HOUR_MS : -1,
                                    .charge_version = -1,
                                    .charge_rule = price ? TEXT("20%") : (struct text){NULL, 0},
                                    .kind = EVENT_RECORD,
                                    .attempt = 1,
                                    .reversal = price,
                                    .price = price,
                                    .source = TEXT("gw"),
                                    .id = TEXT("e-1"),
                                    .original_source = price ? TEXT("gw") : (struct text){NULL, 0},
                                    .original_id = price ? TEXT("e-1") : (struct text){NULL, 0},
                                    .amounts = {.count = {[COUNT_unpriced] = price ? -1 : 1},
                                                .cost = nano,
                                                .charge = nano,
                                                .estimate = price ? -12 : 12}};
}

static struct original found;

static void
on_original(void *context, size_t index, const struct original *original)
{
    (void)context;
    (void)index;
    found = *original;
}

/* What the record has of e-1 is `found`. */
static void
seek(void)
{
    const struct sought sought = {
        .tenant = TEXT("acme"), .source = TEXT("gw"), .id = TEXT("e-1"), .since_ms = 0};
    struct err why;

    CU_ASSERT_FATAL(store_seek_send(db.store, &sought, 1, &why));
    CHECK_INT("answered", store_seek_poll(db.store, 5000, on_original, NULL, &why), 1);
}

/* e-1, and the line of its price. */
static struct settlement *
priced_later(void)
{
    const struct claim claim = db_claim(&db, 3);
    struct settlement *const one = settlement_of(&claim, 100);

    settlement_book(one, "acme", 1, 0);
    add_event(one, false, 0);
    add_event(one, true, 50);
    return one;
}

/* What refers to the event later finds it as if it had had its price from the beginning. */
static void
test_record(void)
{
    db_begin(&db);
    struct settlement *const one = priced_later();

    CHECK_INT("settled", db_settle(&db, one), SETTLED);
    CHECK_SQL(&db,
              "SELECT kind, reversal, cost, unpriced, estimate, price_version, charge_version,"
              " charge_rule FROM tripmeter.settled_event ORDER BY reversal",
              "record f 0.000000000 1 0.000000012 - - - price t 0.000000050 -1 -0.000000012"
              " 2026-03-01 00:00:00+00 - 20%");
    seek();
    CHECK_INT("cost", found.amounts.cost, 50);
    CHECK_INT("left", found.left_charge, 50);
    CHECK_INT("unpriced", found.amounts.count[COUNT_unpriced], 0);
    CHECK_INT("estimate", found.amounts.estimate, 0);
    CHECK_INT("by a list", found.listed, true);
    CHECK_INT("not replaced", found.replaced, false);
    settlement_free(one);
    db_end(&db);
}

/* One that waits: with what the record has of its original; a later line of it is no correction of that. */
static void
test_refund(void)
{
    struct unpriced_event first = {.topic = -1};

    db_begin(&db);
    struct settlement *const one = priced_later();

    add_event(one, false, -20);
    struct settled_event *const refund = list_at(&one->events, 2);

    refund->kind = EVENT_REFUND;
    refund->id = TEXT("r-1");
    refund->reversal = true;
    refund->original_source = TEXT("gw");
    refund->original_id = TEXT("e-1");
    refund->amounts = (struct amounts){.cost = -20, .charge = -20, .refunded = -20};
    for (int i = 0; i < 2; i++) {
        add_unpriced(one, 0, 100 + i, "r-2");
        struct unpriced_event *const waits = list_at(&one->unpriced, (size_t)i);

        waits->kind = EVENT_REFUND;
        waits->original_source = TEXT("gw");
        waits->original_id = i == 0 ? TEXT("e-1") : TEXT("e-9");
    }
    CHECK_INT("settled", db_settle(&db, one), SETTLED);
    CHECK_INT("both", waiting(&(struct unpriced_query){.shard = 3, .topic = -1}, &first), 2);
    CHECK_INT("a refund", first.kind, EVENT_REFUND);
    CU_ASSERT(text_eq(first.original_id, TEXT("e-1")));
    static const struct original nothing;
    const struct original *const original = first.original == NULL ? &nothing : first.original;

    CHECK_INT("cost", original->amounts.cost, 50);
    CHECK_INT("left", original->left_cost, 30);
    CHECK_INT("not replaced", original->replaced, false);
    CHECK_INT("the other",
              waiting(&(struct unpriced_query){.shard = 3, .topic = 0, .offset = 100, .index = 2},
                      &first),
              1);
    CU_ASSERT_PTR_NULL(first.original);
    seek();
    CHECK_INT("left of it", found.left_cost, 30);
    settlement_free(one);
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"it waits as it was, in order of its place", test_waits},
    {"it is priced once, or replaced", test_once},
    {"the record knows its price", test_record},
    {"a refund that waits knows its original", test_refund},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_store_price = {.pName = "store_price", .pTests = tests};
