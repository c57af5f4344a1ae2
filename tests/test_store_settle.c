/* Protects: what moved is in Postgres once, whole or not at all, whoever sends it how often. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <pthread.h>

static struct db db;

static void
check_one_booking(int64_t times)
{
    char expected[128];

    (void)snprintf(expected, sizeof expected, "%d %d", (int)(5 * times), (int)(5 * times));
    CHECK_SQL(&db, "SELECT sum(events), sum(requests) FROM tripmeter.tenant_fact", expected);
    CHECK_SQL(&db, "SELECT sum(events), sum(requests) FROM tripmeter.key_fact", expected);
    CHECK_SQL(&db, "SELECT sum(events), sum(requests) FROM tripmeter.period_total", expected);
}

static void
test_once(void)
{
    db_begin(&db);
    const struct claim claim = db_claim(&db, 3);
    struct settlement *const one = settlement_of(&claim, 100);

    CHECK_INT("first claim", claim.epoch, 1);
    CHECK_INT("first claim", claim.seq, 0);
    CHECK_INT("first claim", claim.progress[0].next, -1);
    settlement_book(one, "acme", 5, 1);
    CHECK_INT("first", db_settle(&db, one), SETTLED);
    CHECK_INT("first", db.settled.resent, false);
    check_one_booking(1);
    CHECK_SQL(&db, "SELECT base, next_offset, processed, counted, keyed FROM tripmeter.progress",
              "100 105 5 5 5");
    CHECK_SQL(&db, "SELECT settle_seq, shard_time FROM tripmeter.shard",
              "1 2026-03-01 00:00:00+00");

    /* The answer was lost: the same again. */
    CHECK_INT("again", db_settle(&db, one), SETTLED);
    CHECK_INT("again", db.settled.resent, true);
    check_one_booking(1);

    const struct claim next = db_claim(&db, 3);

    CHECK_INT("second claim", next.kept, false);
    CHECK_INT("second claim", next.seq, 1);
    CHECK_INT("second claim", next.time_ms, DB_HOUR_MS);
    CHECK_INT("second claim", next.progress[0].next, 105);
    CHECK_INT("second claim", next.progress[0].last_offset, 104);
    CU_ASSERT(next.progress[0].last_fingerprint == UINT64_MAX);
    CHECK_INT("untouched topic", next.progress[1].next, -1);
    settlement_free(one);
    db_end(&db);
}

static void
test_fenced(void)
{
    db_begin(&db);
    const struct claim old = db_claim(&db, 0);
    struct settlement *const late = settlement_of(&old, 0);

    settlement_book(late, "acme", 5, 1);
    (void)db_claim(&db, 0);
    CHECK_INT("zombie", db_settle(&db, late), SETTLE_FENCED);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_fact", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.progress", "0");
    CHECK_SQL(&db, "SELECT settle_seq FROM tripmeter.shard", "0");
    CHECK_INT("usable afterwards", store_broken(db.store), false);
    settlement_free(late);
    db_end(&db);
}

/* All lock rows in the same order, whatever order they came up in: settlements cannot deadlock. It
 * is the order of the names' hashes, in every process and version. */
static void
test_order_of_rows(void)
{
    static const char *const came[][4] = {{"acme", "mid", "zoe", "beta"},
                                          {"beta", "zoe", "mid", "acme"},
                                          {"mid", "acme", "beta", "zoe"}};
    static const char order[] = "zoe beta acme mid";

    for (size_t i = 0; i < sizeof came / sizeof came[0]; i++) {
        db_begin(&db);
        const struct claim claim = db_claim(&db, 0);
        struct settlement *const one = settlement_of(&claim, 0);

        for (size_t t = 0; t < 4; t++)
            settlement_book(one, came[i][t], 1, 1);
        CHECK_INT(came[i][0], db_settle(&db, one), SETTLED);
        CHECK_SQL(&db, "SELECT tenant FROM tripmeter.tenant_fact ORDER BY ctid", order);
        CHECK_SQL(&db, "SELECT tenant FROM tripmeter.key_fact ORDER BY ctid", order);
        CHECK_SQL(&db, "SELECT tenant FROM tripmeter.period_total ORDER BY ctid", order);
        settlement_free(one);
        db_end(&db);
    }
}

/* Columns that were never needed are 0, and come into use when one is. */
static void
test_columns_in_use(void)
{
    db_begin(&db);
    struct claim claim = db_claim(&db, 0);

    for (int i = 0; i < 3; i++) {
        struct settlement *const one = settlement_of(&claim, INT64_C(5) * i);
        const tally cost[] = {1, -2, (tally)INT64_MAX * 1000};

        settlement_book(one, "acme", 5, 1);
        struct fact *const fact = list_at(&one->facts, 0);
        struct key_fact *const key = list_at(&one->key_facts, 0);
        struct period_total *const period = list_at(&one->periods, 0);

        const struct amounts in_fact = {
            .count = {[COUNT_events] = 5, [COUNT_requests] = 5, [COUNT_images] = i == 1 ? 7 : 0},
            .cost = cost[i],
            .charge = 5};
        const struct amounts in_key = {.count = {[COUNT_events] = 5, [COUNT_requests] = 5},
                                       .cost = 5,
                                       .charge = 5,
                                       .refunded = i == 2 ? -3 : 0};

        settlement_delta(one, &fact->delta, &in_fact);
        settlement_delta(one, &key->delta, &in_key);
        period->delta.count[COUNT_clamped] = i == 2 ? 9 : 0;
        CHECK_INT("settled", db_settle(&db, one), SETTLED);
        claim.seq++;
        settlement_free(one);
    }
    CHECK_SQL(&db,
              "SELECT events || ' ' || images || ' ' || clamped || ' ' || cost"
              " FROM tripmeter.tenant_fact",
              "15 7 0 9223372036854.775806999");
    CHECK_SQL(&db, "SELECT images || ' ' || refunded || ' ' || cost FROM tripmeter.key_fact",
              "0 -0.000000003 0.000000015");
    CHECK_SQL(&db, "SELECT events || ' ' || clamped FROM tripmeter.period_total", "15 9");
    db_end(&db);
}

static void
test_positions_and_sums(void)
{
    db_begin(&db);
    struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    settlement_book(one, "acme", 5, 1);
    CHECK_INT("first", db_settle(&db, one), SETTLED);
    settlement_free(one);
    claim.seq = 1;

    struct settlement *wrong = settlement_of(&claim, 7);

    settlement_book(wrong, "acme", 1, 1);
    CHECK_INT("elsewhere", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    settlement_free(wrong);

    wrong = settlement_of(&claim, 5);
    settlement_book(wrong, "acme", 1, 1);
    wrong->progress[0].gaps = 1;
    CHECK_INT("records and gaps", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    wrong->progress[0].gaps = 0;
    wrong->progress[0].counted = 2;
    CHECK_INT("an event lost", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    wrong->progress[0].counted = 1;
    wrong->progress[0].keyed = 0;
    CHECK_INT("a key fact too many", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    list_clear(&wrong->facts);
    wrong->progress[0].keyed = 1;
    CHECK_INT("no facts at all", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    wrong->seq = 5;
    CHECK_INT("ahead of the shard", db_settle(&db, wrong), SETTLE_IMPOSSIBLE);
    settlement_free(wrong);
    check_one_booking(1);
    CHECK_SQL(&db, "SELECT next_offset FROM tripmeter.progress", "5");
    db_end(&db);
}

static void
test_refused(void)
{
    struct err why;

    db_begin(&db);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const bad = settlement_of(&claim, 0);

    settlement_book(bad, "acme", 5, 1);
    ((struct fact *)bad->facts.at)->hour_ms = INT64_MIN; /* no timestamp */
    CHECK_INT("time", db_settle(&db, bad), SETTLE_REFUSED);
    ((struct fact *)bad->facts.at)->hour_ms = DB_HOUR_MS;
    ((struct fact *)bad->facts.at)->feature = (struct text){"\xff", 1};
    CHECK_INT("bytes", db_settle(&db, bad), SETTLE_REFUSED);
    ((struct fact *)bad->facts.at)->feature = (struct text){"a\0b", 3};
    CHECK_INT("NUL", db_settle(&db, bad), SETTLE_REFUSED);
    ((struct fact *)bad->facts.at)->feature = TEXT("search");
    /* NUMERIC(38,9) has 29 digits before the point. */
    settlement_delta(bad, &((struct fact *)bad->facts.at)->delta,
                     &(struct amounts){.count = {[COUNT_events] = 5, [COUNT_requests] = 5},
                                       .cost = (tally)INT64_MAX * INT64_MAX / 10 * 15});
    CHECK_INT("NUMERIC(38,9)", db_settle(&db, bad), SETTLE_REFUSED);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.progress", "0");

    /* Single steps are remembered, also where nothing was ever settled. */
    CU_ASSERT(store_attempting(db.store, bad, &why));
    struct claim again = db_claim(&db, 0);

    CHECK_INT("attempting", again.attempting[0], 4);
    CHECK_INT("attempting, other topic", again.attempting[1], -1);
    CU_ASSERT(!store_attempting(db.store, bad, &why));
    CHECK_INT("fenced", why.class, ERR_ABORT);

    struct settlement *const good = settlement_of(&again, 0);

    settlement_book(good, "acme", 5, 1);
    CHECK_INT("behind it", db_settle(&db, good), SETTLED);
    again = db_claim(&db, 0);
    CHECK_INT("attempting", again.attempting[0], -1);
    settlement_free(good);
    settlement_free(bad);
    db_end(&db);
}

/* ---- connections ------------------------------------------------------------------------------- */

static void
test_connection_lost(void)
{
    db_begin(&db);
    struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    settlement_book(one, "acme", 5, 1);
    db_kill_store(&db);
    CHECK_INT("before it is sent", db_settle(&db, one), SETTLE_UNKNOWN);
    CU_ASSERT(store_broken(db.store));
    CHECK_INT("on the broken connection", db_settle(&db, one), SETTLE_UNKNOWN);
    db_reopen(&db);
    CHECK_INT("resent", db_settle(&db, one), SETTLED);
    CHECK_INT("resent", db.settled.resent, false);
    check_one_booking(1);

    /* Committed, and the answer lost with the connection. */
    db_kill_store(&db);
    db_reopen(&db);
    CHECK_INT("resent after the commit", db_settle(&db, one), SETTLED);
    CHECK_INT("resent after the commit", db.settled.resent, true);
    check_one_booking(1);
    settlement_free(one);
    db_end(&db);
}

struct settling {
    const struct settlement *settlement;
    enum settled outcome;
};

static void *
settle_aside(void *context)
{
    struct settling *const one = context;
    struct settle_result result;
    struct err why;

    one->outcome = store_settle(db.store, &db.config, one->settlement, &result, &why);
    return NULL;
}

/* Everything is sent, COMMIT too, and waits in the server when the connection dies. */
static void
test_killed_in_flight(void)
{
    pthread_t thread;

    db_begin(&db);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);
    struct settling aside = {one, SETTLED};
    char state[2] = "";

    settlement_book(one, "acme", 5, 1);
    db_run(&db, "BEGIN");
    db_run(&db, "SELECT FROM tripmeter.shard FOR UPDATE");
    CHECK_INT("thread", pthread_create(&thread, NULL, settle_aside, &aside), 0);
    PGconn *const watcher = db_connect(&db);

    for (int i = 0; i < 5000 && state[0] != 't'; i++) {
        PGresult *const killed =
            PQexec(watcher, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                            " WHERE wait_event_type = 'Lock' AND application_name = 'test'"
                            " AND datname = current_database()");

        if (PQntuples(killed) == 1)
            state[0] = *PQgetvalue(killed, 0, 0);
        PQclear(killed);
    }
    PQfinish(watcher);
    CHECK_INT("killed", state[0], 't');
    CHECK_INT("thread", pthread_join(thread, NULL), 0);
    CHECK_INT("in flight", aside.outcome, SETTLE_UNKNOWN);
    db_run(&db, "COMMIT");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_fact", "0");
    db_reopen(&db);
    CHECK_INT("resent", db_settle(&db, one), SETTLED);
    CHECK_INT("resent", db.settled.resent, false);
    check_one_booking(1);
    settlement_free(one);
    db_end(&db);
}

static void
test_lock_timeout(void)
{
    db_begin(&db);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    settlement_book(one, "acme", 5, 1);
    db_run(&db, "BEGIN");
    db_run(&db, "SELECT FROM tripmeter.shard FOR UPDATE");
    CHECK_INT("row locked for long", db_settle(&db, one), SETTLE_UNKNOWN);
    CHECK_INT("row locked for long", store_broken(db.store), false);
    db_run(&db, "COMMIT");
    CHECK_INT("free again", db_settle(&db, one), SETTLED);
    check_one_booking(1);
    settlement_free(one);
    db_end(&db);
}

/* Its client is stopped, or its machine gone, between two statements of a settlement: active to the
 * server, so that idle_in_transaction_session_timeout does not end it. */
static void
test_silent_in_pipeline(void)
{
    struct err why;

    db_begin(&db);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);
    PGconn *const silent = db_connect(&db);
    struct claim next = {.shard = 0, .epoch = -1, .seq = -1};

    settlement_book(one, "acme", 5, 1);
    db_as_owner(&db);
    CU_ASSERT(PQenterPipelineMode(silent) == 1);
    CU_ASSERT(PQsendQueryParams(silent, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) == 1);
    CU_ASSERT(PQsendQueryParams(silent, "SELECT FROM tripmeter.shard FOR UPDATE", 0, NULL, NULL,
                                NULL, NULL, 0) == 1);
    CU_ASSERT(PQsendFlushRequest(silent) == 1 && PQflush(silent) == 0);
    PQclear(PQgetResult(silent));
    CHECK_INT("row locked for long", db_settle(&db, one), SETTLE_UNKNOWN);
    CHECK_INT("the silent one is gone", db_settle(&db, one), SETTLED);
    CU_ASSERT(store_claim(db.store, "other", &next, db.arena, &why));
    check_one_booking(1);
    PQfinish(silent);
    settlement_free(one);
    db_end(&db);
}

/* ---- amounts ----------------------------------------------------------------------------------- */

static void
test_to_the_nano(void)
{
    db_begin(&db);
    struct claim claim = db_claim(&db, 0);

    for (int i = 0; i < 2; i++) {
        struct settlement *const one = settlement_of(&claim, i);

        settlement_book(one, "acme", 1, INT64_C(9000000000999999999));
        struct period_total *const period = one->periods.at;

        period->expected_known = true;
        period->expected.count[COUNT_events] = period->expected.count[COUNT_requests] = i + 1;
        period->expected.cost = period->expected.charge =
            (tally)(i + 1) * INT64_C(9000000000999999999) - i; /* the second is wrong by one */
        CHECK_INT("sums", db_settle(&db, one), SETTLED);
        CHECK_INT("differences", db.settled.period_differs, i);
        if (i == 1)
            CU_ASSERT(
                db.settled.differing[0].delta.cost == (tally)2 * INT64_C(9000000000999999999) &&
                db.settled.differing[0].expected.cost == db.settled.differing[0].delta.cost - 1);
        settlement_free(one);
        claim.seq++;
    }
    CHECK_SQL(&db, "SELECT cost FROM tripmeter.tenant_fact", "18000000001.999999998");

    static const struct {
        tally nano;
        const char *text;
    } rows[] = {
        {0, "0.000000000"},
        {1, "0.000000001"},
        {-1, "-0.000000001"},
        {10000, "0.000010000"},
        {INT64_C(31649071125), "31.649071125"},
        {INT64_C(-145190800), "-0.145190800"},
        {(tally)INT64_MAX * 10000000000, "92233720368547758070.000000000"},
        {-((tally)INT64_MAX * 10000000000 + 7), "-92233720368547758070.000000007"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settlement *const one = settlement_of(&claim, 2 + (int64_t)i);

        settlement_book(one, "acme", 1, 0);
        ((struct fact *)one->facts.at)->model = TEXT("exact");
        ((struct fact *)one->facts.at)->hour_ms += (int64_t)i * 3600000;
        settlement_delta(one, &((struct fact *)one->facts.at)->delta,
                         &(struct amounts){.count = {[COUNT_events] = 1, [COUNT_requests] = 1},
                                           .cost = rows[i].nano});
        CHECK_INT(rows[i].text, db_settle(&db, one), SETTLED);
        CHECK_SQL(&db,
                  "SELECT cost FROM tripmeter.tenant_fact WHERE model = 'exact'"
                  " ORDER BY hour DESC LIMIT 1",
                  rows[i].text);
        settlement_free(one);
        claim.seq++;
    }
    db_end(&db);
}

/* A settlement of timers only moves no offset and is fenced all the same. */
static void
test_no_offset(void)
{
    db_begin(&db);
    struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    *(struct tenant_due *)list_add(&one->due) =
        (struct tenant_due){.tenant = TEXT("acme"), .due_ms = INT64_MAX, .restricted = true};
    *(struct tenant_due *)list_add(&one->due) =
        (struct tenant_due){.tenant = TEXT("acme"), .due_ms = DB_PERIOD_END_MS};
    CHECK_INT("due", db_settle(&db, one), SETTLED);
    CHECK_SQL(&db,
              "SELECT shard, due_at, restricted FROM tripmeter.tenant_shard WHERE tenant = 'acme'",
              "0 2026-04-01 00:00:00+00 f");
    CHECK_INT("again", db_settle(&db, one), SETTLED);
    CHECK_INT("again", db.settled.resent, true);
    (void)db_claim(&db, 0);
    CHECK_INT("zombie", db_settle(&db, one), SETTLE_FENCED);
    settlement_free(one);
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"everything moves once", test_once},
    {"a zombie writes nothing", test_fenced},
    {"rows are written in one order", test_order_of_rows},
    {"columns in use", test_columns_in_use},
    {"positions and sums are checked in the server", test_positions_and_sums},
    {"refused rows are named as such", test_refused},
    {"a lost connection loses nothing and books nothing twice", test_connection_lost},
    {"killed with COMMIT under way", test_killed_in_flight},
    {"a lock that is held long is no error", test_lock_timeout},
    {"a client that fell silent in a settlement is not waited for", test_silent_in_pipeline},
    {"amounts are exact to the nano", test_to_the_nano},
    {"a settlement without offsets is fenced too", test_no_offset},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_settle = {.pName = "store_settle", .pTests = tests};
