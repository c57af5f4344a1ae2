/* Protects: whatever the week is looked at by, it comes to what is settled; and whom a plan stopped
 * before it had been of use to him. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>

static struct db db;

/* A fact of another hour, without a key. */
static void
add_fact(struct settlement *settlement, const struct fact *fact)
{
    struct fact *row = list_add(&settlement->facts);

    CU_ASSERT_PTR_NOT_NULL_FATAL(row);
    assert(row != NULL);
    *row = *fact;
}

static const struct amounts late = {
    .cost = 7, .charge = 9, .count = {[COUNT_events] = 1, [COUNT_requests] = 1}};
static const struct delta late_row = {
    .cost = 7, .charge = 9, .count = {[COUNT_events] = 1, [COUNT_requests] = 1}};

/* Two events with a key, one without, of which one is an adjustment; in two weeks. */
static void
test_spend(void)
{
    db_begin_layout(&db, 1);
    db_open_shard(&db, 0);
    struct settlement *const one = db.open;

    settlement_book(one, "acme", 3, 1000000001);
    struct progress *const progress = &one->progress[0];

    progress->counted = 4;
    progress->processed = 4;
    progress->next = 4;
    add_fact(one, &(struct fact){.tenant = TEXT("acme"),
                                 .project = TEXT("web"),
                                 .feature = TEXT("chat"),
                                 .provider = TEXT("openai"),
                                 .model = TEXT("gpt-4o"),
                                 .hour_ms = DB_HOUR_MS + 3 * CLOCK_DAY_MS,
                                 .period_ms = DB_PERIOD_MS,
                                 .delta = late_row});
    struct adjustment *const adjustment = list_add(&one->adjustments);

    CU_ASSERT_PTR_NOT_NULL_FATAL(adjustment);
    assert(adjustment != NULL);
    *adjustment = (struct adjustment){.tenant = TEXT("acme"),
                                      .period_ms = DB_PERIOD_MS,
                                      .service = {DB_PERIOD_MS - 28 * CLOCK_DAY_MS, DB_PERIOD_MS},
                                      .delta = late};
    db_settle_open(&db);
    static const char *const by[] = {"", "_project", "_feature", "_model", "_key"};

    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        char sql[512];

        (void)snprintf(sql, sizeof sql,
                       "SELECT (SELECT (sum(cost), sum(charge), sum(requests)) FROM"
                       " tripmeter.v_spend_week%s) = (SELECT (sum(cost), sum(charge),"
                       " sum(requests)) FROM (SELECT cost, charge, requests FROM"
                       " tripmeter.period_total WHERE project = '' UNION ALL"
                       " SELECT cost, charge, requests FROM tripmeter.period_adjustment) s)",
                       by[i]);
        CHECK_SQL(&db, sql, "t");
    }
    CHECK_SQL(&db, "SELECT week, feature, cost FROM tripmeter.v_spend_week_feature ORDER BY 1, 2",
              "2026-02-23 search 3.000000003 2026-03-02 chat 0.000000007");
    CHECK_SQL(&db,
              "SELECT week, provider, model, requests FROM tripmeter.v_spend_week_model"
              " WHERE model <> ''",
              "2026-03-02 openai gpt-4o 1");
    /* What came without a key has a row, what came with one is not in it. */
    CHECK_SQL(&db, "SELECT week, key <> '', cost FROM tripmeter.v_spend_week_key ORDER BY 1",
              "2026-02-23 t 3.000000003 2026-03-02 f 0.000000007");
    db_end(&db);
}

static void
tell_cap(struct settlement *settlement, const char *tenant, const char *rule, int64_t at_ms,
         int32_t step)
{
    struct transition *const row = list_add(&settlement->transitions);

    CU_ASSERT_PTR_NOT_NULL_FATAL(row);
    assert(row != NULL);
    *row = (struct transition){
        .move = MOVE_FIRE,
        .rule = text_of(rule),
        .labels = {[LABEL_TENANT] = text_of(tenant), [LABEL_PERIOD] = TEXT("2026-03-01T00:00:00Z")},
        .severity = SEVERITY_CRITICAL,
        .at_ms = at_ms,
        .step = step,
        .crossed = {step},
        .crossed_count = 1,
        .has_value = true,
        .unit = TEXT("requests"),
        .zone = TEXT("Asia/Kolkata"),
        .resets_ms = DB_PERIOD_END_MS,
        .restricts = true};
}

static void
test_caps(void)
{
    static const char *const tenants[] = {"early", "never", "useful", "warned", "daily"};

    db_begin_layout(&db, 1);
    db_open_shard(&db, 0);
    struct settlement *const one = db.open;
    const int64_t late_ms = DB_PERIOD_MS + 20 * CLOCK_DAY_MS;

    for (size_t i = 0; i < sizeof tenants / sizeof tenants[0]; i++)
        settlement_book(one, tenants[i], 1, 1);
    tell_cap(one, "early", "quota/calls", DB_PERIOD_MS + 15 * CLOCK_DAY_MS, 100);
    tell_cap(one, "never", "quota/calls", late_ms, 100);
    tell_cap(one, "useful", "quota/calls", late_ms, 100); /* late, and after its value */
    tell_cap(one, "warned", "quota/calls", late_ms, 90);
    tell_cap(one, "daily", "quota/calls", late_ms, 100);
    ((struct transition *)list_at(&one->transitions, 4))->resets_ms = DB_PERIOD_MS + CLOCK_DAY_MS;
    db_settle_open(&db);
    db_run(&db, "INSERT INTO tripmeter.customer_value (topic, partition, record_offset,"
                " event_index, at, tenant, source, id) VALUES"
                " ('usage', 0, 1, 0, '2026-03-02Z', 'early', 's', '1'),"
                " ('usage', 0, 2, 0, '2026-03-02Z', 'useful', 's', '2'),"
                " ('usage', 0, 3, 0, '2026-03-25Z', 'never', 's', '3')");
    CHECK_SQL(&db,
              "SELECT week, tenant, quota, project, period_percent, before_value, blocked"
              " FROM tripmeter.v_cap_before_value ORDER BY tenant",
              "2026-03-16 early calls  48 f t 2026-03-16 never calls  64 t t");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"spend by week comes to what is settled", test_spend},
    {"plans that stop somebody too early", test_caps},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_store_weekly = {.pName = "store_weekly", .pTests = tests};
