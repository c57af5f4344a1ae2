/* Protects: every settled event is in the record once, as it was booked, and for as long as agreed. */
#include "tests/check.h"
#include "tests/store_db.h"

#include "core/identity.h"

static struct db db;

/* What was booked is in it event by event. */
static void
add_event(struct settlement *settlement, const char *id, int64_t nano)
{
    struct settled_event *const event = list_add(&settlement->events);

    *event = (struct settled_event){
        .fact = settlement->facts.count - 1,
        .offset = settlement->progress[0].next - 1,
        .time_ms = DB_HOUR_MS,
        .at_ms = DB_HOUR_MS - 1,
        .policy = 7,
        .price_version = -1,
        .charge_version = -1,
        .content = 42,
        .kind = EVENT_RECORD,
        .attempt = 1,
        .source = TEXT("gw"),
        .id = text_of(id),
        .key = TEXT("k1"),
        .request_id = TEXT("r-1"),
        .amounts = {.count = {[COUNT_events] = 1, [COUNT_requests] = 1},
                    .cost = nano,
                    .charge = nano},
    };
}

static void
test_once(void)
{
    db_begin(&db);
    const struct claim claim = db_claim(&db, 3);
    struct settlement *const one = settlement_of(&claim, 100);

    settlement_book(one, "acme", 1, 5);
    add_event(one, "e-1", 5);
    CHECK_INT("first", db_settle(&db, one), SETTLED);
    CHECK_INT("again", db_settle(&db, one), SETTLED);
    CHECK_SQL(
        &db,
        "SELECT topic, partition, record_offset, event_index, at, recorded_at, tenant, source,"
        " id, kind, feature, key, request_id, attempt, requests, input_tokens, cost, charge,"
        " refunded, policy, price_version, content, reversal, original"
        " FROM tripmeter.settled_event",
        "usage 3 100 0 2026-02-28 23:59:59.999+00 2026-03-01 00:00:00+00 acme gw e-1 record"
        " search k1 r-1 1 1 - 0.000000005 0.000000005 0.000000000 7 - 42 f -");
    CHECK_SQL(&db, "SELECT id FROM tripmeter.settled_events_of('acme')", "e-1");
    CHECK_SQL(&db, "SELECT id FROM tripmeter.settled_events_of('acme2')", "");
    settlement_free(one);
    db_end(&db);
}

/* Nothing of a settlement that another owner's claim has overtaken, or that is refused. */
static void
test_not_at_all(void)
{
    db_begin(&db);
    const struct claim old = db_claim(&db, 0);
    struct settlement *one = settlement_of(&old, 0);

    settlement_book(one, "acme", 1, 1);
    add_event(one, "e-1", 1);
    const struct claim claim = db_claim(&db, 0);

    CHECK_INT("zombie", db_settle(&db, one), SETTLE_FENCED);
    settlement_free(one);
    one = settlement_of(&claim, 0);
    settlement_book(one, "acme", 1, 1);
    add_event(one, "not \xff utf-8", 1);
    CHECK_INT("refused", db_settle(&db, one), SETTLE_REFUSED);
    CHECK_INT("usable afterwards", store_broken(db.store), false);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.settled_event", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_fact", "0");
    list_clear(&one->events);
    add_event(one, "e-2", 1);
    CHECK_INT("goes on", db_settle(&db, one), SETTLED);
    CHECK_SQL(&db, "SELECT id FROM tripmeter.settled_event", "e-2");
    settlement_free(one);
    db_end(&db);
}

static void
test_lost_on_the_way(void)
{
    db_begin(&db);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    settlement_book(one, "acme", 1, 1);
    for (int i = 0; i < 20000; i++)
        add_event(one, "e", 1);
    db_kill_store(&db);
    CHECK_INT("killed", db_settle(&db, one), SETTLE_UNKNOWN);
    db_reopen(&db);
    CHECK_INT("sent again", db_settle(&db, one), SETTLED);
    CHECK_SQL(&db, "SELECT count(*), sum(cost) FROM tripmeter.settled_event", "20000 0.000020000");
    settlement_free(one);
    db_end(&db);
}

#define EVENT(at)                                                                                 \
    "INSERT INTO tripmeter.settled_event (recorded_at, at, hour, period, identity, content,"      \
    " record_offset, policy, partition, event_index, attempt, reversal, kind, topic, tenant,"     \
    " source, id, project, feature, provider, model, key, request_id, cost, charge, refunded)"    \
    " SELECT '" at "'::timestamptz, now(), now(), now(), 1, 0, g, 1, 0, 0, 1, false, 'record',"   \
    " 'usage', 'acme', 's', g::text, '', '', '', '', '', '', 1, 1, 0 FROM generate_series(1, 50)" \
    " g"

static void
test_days(void)
{
    struct err why;

    db_begin(&db);
    db_run(&db, EVENT("2026-02-28 23:59Z"));
    db_run(&db, EVENT("2026-03-01 00:00Z"));
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(1, 3, NULL, '2026-03-01 12:00Z')",
              "made settled_event_2026_02_28 made settled_event_2026_03_01"
              " made settled_event_2026_03_02");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.settled_event_default", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.settled_event", "100");
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(-1, 3, NULL, '2026-03-03 23:59Z')", "");
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(-1, 3, NULL, '2026-03-04 00:00Z')",
              "dropped settled_event_2026_02_28");
    /* What comes later for a day that is gone does not stay. */
    db_run(&db, EVENT("2026-02-28 23:59Z"));
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(-1, 3, NULL, '2026-03-04 00:00Z')", "");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.settled_event", "50");
    /* Too large: whole days go, the oldest first, never today. */
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(-1, 90, 1, '2026-03-02 12:00Z')",
              "dropped for size settled_event_2026_03_01");
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain_record(-1, 90, 1, '2026-03-02 12:00Z')", "");

    db.config.record.on = true;
    db.config.record.keep_ms = INT64_C(90) * 86400000;
    CU_ASSERT(store_maintain_record(db.store, &db.config, DB_HOUR_MS, &why));
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.record_days()", "4");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.transition", "0");
    db.config.record.keep_gb = 1;
    db_run(&db, "CREATE OR REPLACE FUNCTION tripmeter.record_days() RETURNS TABLE (day date,"
                " name text, size bigint) LANGUAGE sql AS $$ SELECT '2026-02-27'::date,"
                " 'settled_event_2026_03_01', 2000000000 $$");
    CU_ASSERT(store_maintain_record(db.store, &db.config, DB_HOUR_MS, &why));
    CHECK_SQL(&db, "SELECT rule, summary LIKE '%2026_03_01%' FROM tripmeter.transition",
              "engine/record_size t");
    db_end(&db);
}

/* The index finds what the program looks for. */
static void
test_identity(void)
{
    const int64_t one = identity_settled(TEXT("acme"), TEXT("s"), TEXT("1"));

    CU_ASSERT(one != identity_settled(TEXT("acme"), TEXT("s"), TEXT("2")));
    CU_ASSERT(one != identity_settled(TEXT("acme"), TEXT("s1"), TEXT("")));
    CHECK_INT("a tenant's lie side by side", one >> 32,
              identity_settled(TEXT("acme"), TEXT("t"), TEXT("9")) >> 32);
    CHECK_INT("the same in every process", one, INT64_C(-5504637876959854131));
}

static CU_TestInfo tests[] = {
    {"an event is in it once, with where it was booked", test_once},
    {"what is not settled is not in it", test_not_at_all},
    {"lost on the way, sent again: once", test_lost_on_the_way},
    {"days are made ahead, and go in time or for size", test_days},
    {"an identity is a stable number", test_identity},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_record = {.pName = "store_record", .pTests = tests};
