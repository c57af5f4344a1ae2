/* Protects: a period becomes final when every shard has closed it, and nothing changes it then. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>
#include <openssl/sha.h>

static struct db db;
static char state[6];

/* A settlement of a shard that closes up to a time; one event of March in it, or none. */
static void
close_shard(struct claim *claim, int64_t closed_ms, int64_t events)
{
    struct settlement *const one = settlement_of(claim, claim->seq);

    if (events > 0)
        settlement_book(one, "acme", events, 3);
    one->closed_ms = closed_ms;
    CHECK_INT(db.why.text, db_settle(&db, one), SETTLED);
    settlement_free(one);
    claim->seq++;
}

static void
begin(struct claim claims[2])
{
    db_begin_layout(&db, 2);
    claims[0] = db_claim(&db, 0);
    claims[1] = db_claim(&db, 1);
}

static const char *
final_print(void)
{
    static char hex[FINGERPRINT_SIZE];
    const struct text labels[LABEL_COUNT] = {
        [LABEL_TENANT] = TEXT("acme"), [LABEL_PERIOD] = TEXT("2026-03-01T00:00:00Z")};
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char identity[128];

    (void)SHA256((const unsigned char *)identity,
                 alert_identity(identity, sizeof identity, TEXT("period/final"), labels), hash);
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return hex;
}

static void
test_final(void)
{
    struct claim claims[2];

    begin(claims);
    CHECK_INT("nothing is closed", claims[0].closed_ms, 0);
    close_shard(&claims[0], DB_PERIOD_END_MS, 1);
    close_shard(&claims[1], DB_PERIOD_END_MS - 1, 0);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.period_final", "0");
    close_shard(&claims[1], DB_PERIOD_END_MS, 0);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods('EUR', 'Asia/Tokyo')", "1");
    CHECK_SQL(&db, "SELECT tripmeter.close_periods('EUR', 'Asia/Tokyo')", "0");
    CHECK_SQL(&db,
              "SELECT tenant, period = to_timestamp(1772323200), events, charge, adjusted_charge"
              " FROM tripmeter.period_final",
              "acme t 1 0.000000003 0.000000000");
    /* It is told once, as what is over: the fingerprint is the one that the engine would give. */
    char told[256];

    (void)snprintf(told, sizeof told, "%s period/final acme fire info 0.000000003 t t t",
                   final_print());
    CHECK_SQL(&db,
              "SELECT t.fingerprint, t.rule, t.tenant, t.move, t.severity, t.value, t.is_money,"
              " t.resets_at = to_timestamp(1775001600), e.resolved_at = e.opened_at"
              " FROM tripmeter.transition t JOIN tripmeter.episode e USING (fingerprint, episode)",
              told);
    CHECK_SQL(&db, "SELECT summary FROM tripmeter.transition",
              "its billing period from 2026-03-01 is final: 0.000000003 EUR may be invoiced");
    CHECK_SQL(&db, "SELECT unit, zone FROM tripmeter.transition", "EUR Asia/Tokyo");
    db_end(&db);
}

/* A shard's word holds for whoever takes it over, and never goes back. */
static void
test_claimed(void)
{
    struct claim claims[2];

    begin(claims);
    close_shard(&claims[0], DB_PERIOD_END_MS, 1);
    close_shard(&claims[0], DB_PERIOD_MS, 0);
    CHECK_INT("as it was", db_claim(&db, 0).closed_ms, DB_PERIOD_END_MS);
    db_end(&db);
}

static void
test_refused(void)
{
    static const char another_total[] =
        "INSERT INTO tripmeter.period_total SELECT 'new', project, period, period_end, 0, 0, 0, 0,"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM tripmeter.period_total";
    const char *const changes[] = {
        "UPDATE tripmeter.period_total SET cost = 0",
        "UPDATE tripmeter.period_total SET period_end = now() + interval '1 day'",
        "DELETE FROM tripmeter.period_total",
        another_total,
        "UPDATE tripmeter.tenant_fact SET cost = 0",
        "UPDATE tripmeter.tenant_fact SET period = period + interval '1 month'",
        "DELETE FROM tripmeter.tenant_fact",
        "UPDATE tripmeter.key_fact SET cost = 0",
        "DELETE FROM tripmeter.key_fact",
        "UPDATE tripmeter.period_final SET charge = 0",
        "DELETE FROM tripmeter.period_final",
        /* Nor past the table that is its partition's, nor as a whole, nor by opening what is closed. */
        "UPDATE tripmeter.tenant_fact_default SET cost = 0",
        "DELETE FROM tripmeter.key_fact_default",
        "TRUNCATE tripmeter.tenant_fact",
        "TRUNCATE tripmeter.tenant_fact_default",
        "TRUNCATE tripmeter.key_fact",
        "TRUNCATE tripmeter.period_total",
        "TRUNCATE tripmeter.period_final",
        "TRUNCATE tripmeter.period_adjustment",
        "TRUNCATE tripmeter.quota_period",
        "TRUNCATE tripmeter.period_closing",
        "UPDATE tripmeter.period_closing SET closed_to = 'epoch'",
        "DELETE FROM tripmeter.period_closing",
    };
    struct claim claims[2];

    begin(claims);
    close_shard(&claims[0], DB_PERIOD_END_MS - 1, 1);
    close_shard(&claims[1], DB_PERIOD_END_MS, 0);
    db_run(&db, "UPDATE tripmeter.period_total SET clamped = 1"); /* not final yet */
    db_run(&db, "UPDATE tripmeter.tenant_fact SET clamped = 1");
    close_shard(&claims[0], DB_PERIOD_END_MS, 1);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "1");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (strcmp(db_state(&db, changes[i], state), "TM005") != 0)
            CHECK_SQL(&db, changes[i], "TM005");
    /* As the engine: it is refused, or has not even the right to ask. */
    db_run(&db, "SET ROLE tripmeter_engine");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        (void)db_state(&db, changes[i], state);
        if (strcmp(state, "TM005") != 0 && strcmp(state, "42501") != 0)
            CHECK_SQL(&db, changes[i], "TM005 or 42501");
    }
    db_run(&db, "RESET ROLE");
    /* Nor does a settlement change them, were it wrong. */
    struct settlement *const wrong = settlement_of(&claims[0], claims[0].seq);

    settlement_book(wrong, "acme", 1, 3);
    CHECK_INT("into a final period", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(db.why.text, "is final"));
    CHECK_SQL(&db, "SELECT sum(events) FROM tripmeter.tenant_fact", "2");
    settlement_free(wrong);
    /* Partitions are another matter: rows move, none changes. */
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, to_timestamp(1772323200))");
    CHECK_SQL(&db, "SELECT cost FROM tripmeter.tenant_fact_2026_03", "0.000000006");
    CU_ASSERT_STRING_EQUAL(
        db_state(&db, "UPDATE tripmeter.tenant_fact_2026_03 SET cost = 0", state), "TM005");
    CU_ASSERT_STRING_EQUAL(db_state(&db, "TRUNCATE tripmeter.tenant_fact_2026_03", state), "TM005");
    db_end(&db);
}

static void
test_adjustment(void)
{
    struct claim claims[2];

    begin(claims);
    struct settlement *const one = settlement_of(&claims[0], 0);

    settlement_book(one, "acme", 2, 5);
    struct adjustment *const late = list_add(&one->adjustments);

    CU_ASSERT_PTR_NOT_NULL_FATAL(late);
    assert(late != NULL);
    *late = (struct adjustment){.tenant = TEXT("acme"),
                                .period_ms = DB_PERIOD_MS,
                                .service = {DB_PERIOD_MS - 28 * CLOCK_DAY_MS, DB_PERIOD_MS},
                                .delta = {.count = {[COUNT_events] = 1}, .cost = 7, .charge = 8}};
    one->closed_ms = DB_PERIOD_END_MS;
    CHECK_INT(db.why.text, db_settle(&db, one), SETTLED);
    settlement_free(one);
    close_shard(&claims[1], DB_PERIOD_END_MS, 0);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "1");
    CHECK_SQL(&db, "SELECT charge, adjusted_cost, adjusted_charge FROM tripmeter.period_final",
              "0.000000010 0.000000007 0.000000008");
    CHECK_SQL(&db,
              "SELECT service = to_timestamp(1769904000), events FROM tripmeter.period_adjustment",
              "t 1");
    CU_ASSERT_STRING_EQUAL(db_state(&db, "UPDATE tripmeter.period_adjustment SET cost = 0", state),
                           "TM005");
    db_end(&db);
}

/* Provisional until the period is final, also when it was closed long after its end. */
static void
test_carries(void)
{
    static const char insert[] =
        "INSERT INTO tripmeter.quota_period SELECT 'acme', q, '', e - interval '1 month', e,"
        " 'tokens', 5, 0, NULL, q <> 'open', 0, 5, 5, 0, true, 1, NULL, NULL, false, 5, 1"
        " FROM (VALUES ('ended', '2026-04-01Z'::timestamptz), ('open', '2026-04-01Z'),"
        " ('later', '2026-05-01Z')) AS r(q, e)";
    struct claim claims[2];

    begin(claims);
    db_run(&db, insert);
    close_shard(&claims[0], DB_PERIOD_END_MS, 1);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.quota_period WHERE is_final", "0");
    close_shard(&claims[1], DB_PERIOD_END_MS, 0);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "1");
    CHECK_SQL(&db, "SELECT quota FROM tripmeter.quota_period WHERE is_final", "ended");
    db_run(&db, "UPDATE tripmeter.quota_period SET closed = true WHERE quota = 'open'");
    close_shard(&claims[0], DB_PERIOD_END_MS + CLOCK_DAY_MS, 0);
    close_shard(&claims[1], DB_PERIOD_END_MS + CLOCK_DAY_MS, 0);
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "0");
    CHECK_SQL(&db, "SELECT quota FROM tripmeter.quota_period WHERE is_final ORDER BY quota",
              "ended open");
    db_end(&db);
}

/* 100, 110, 120 and then 150 a month: 120 on average, 150 / 110 is a growth of 36.36 %. */
static void
test_increase(void)
{
    db_begin(&db);
    db_run(&db, "INSERT INTO tripmeter.shard (shard, shard_time) VALUES (0, '2026-06-10Z')");
    db_run(&db,
           "INSERT INTO tripmeter.period_total SELECT 'acme', '', m, m + interval '1 month', 0, n,"
           " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n / 100.0, 0, 0"
           " FROM (VALUES ('2026-01-01Z'::timestamptz, 7000), ('2026-02-01Z', 100),"
           " ('2026-03-01Z', 110), ('2026-04-01Z', 120), ('2026-05-01Z', 150),"
           " ('2026-06-01Z', 9)) AS used(m, n)");
    CHECK_SQL(&db,
              "SELECT meter, periods, average, growth, need FROM tripmeter.v_quota_increase"
              " WHERE meter IN ('cost', 'requests', 'tokens') ORDER BY meter",
              "cost 4 1.200000000 0.3636 2.454545455 requests 4 120.000000000 0.3636 245.454545455"
              " tokens 4 0.000000000 0.0000 0.000000000");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"when every shard has closed it", test_final},
    {"what is closed stays closed", test_claimed},
    {"final rows do not change", test_refused},
    {"what came too late is beside it", test_adjustment},
    {"what was carried is final with it", test_carries},
    {"what a larger quota would have to be", test_increase},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_store_periods = {.pName = "store_periods", .pTests = tests};
