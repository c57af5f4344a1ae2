/* Protects: added partitions wait until nothing of before can be missed, then everything moves at
 * once, and nobody of before settles any more. */
#include "tests/check.h"
#include "tests/store_db.h"

static struct db db;
static struct growth growth;

/* As an engine that sees so many partitions. */
static enum err_class
look(int32_t usage, int32_t usage2, int64_t wait_ms)
{
    const int32_t counts[] = {usage, usage2};
    struct err why = {.class = ERR_NONE};

    return store_growth(db.store, counts, wait_ms, &growth, &why) ? ERR_NONE : why.class;
}

static void
check_waits(const char *text, int32_t partitions)
{
    CHECK_INT(text, growth.partitions, partitions);
    const bool as_said =
        text[0] == '\0' ? growth.waits[0] == '\0' : strstr(growth.waits, text) != NULL;

    if (!as_said)
        printf("\n    waits \"%s\", not \"%s\"\n", growth.waits, text);
    CU_ASSERT(as_said);
}

static void
tell_ends(int64_t end)
{
    const int64_t ends[4] = {end, 0, 0, 0}; /* usage/0, usage/1, usage2/0, usage2/1 */
    struct err why;

    CU_ASSERT(store_growth_ends(db.store, 2, ends, &why));
}

static enum err_class
claim_class(int32_t shard, char text[256])
{
    struct claim claim = {.shard = shard, .epoch = -1, .seq = -1};
    struct err why = {.class = ERR_NONE};
    const bool claimed = store_claim(db.store, "me", &claim, db.arena, &why);

    (void)text_copy(text, 256, text_of(claimed ? "" : why.text));
    return claimed ? ERR_NONE : why.class;
}

/* Settles `records` records of topic 0 for the tenant, from where the claim stands. */
static enum settled
settle(struct claim *claim, const char *tenant, int64_t from, int64_t records)
{
    struct settlement *const settlement = settlement_of(claim, from);

    settlement_book(settlement, tenant, records, 10);
    const enum settled outcome = db_settle(&db, settlement);

    settlement_free(settlement);
    claim->seq += outcome == SETTLED;
    return outcome;
}

static void
test_waits(void)
{
    char text[256];

    db_begin_layout(&db, 2);
    CHECK_INT("alike", look(2, 2, 0), ERR_NONE);
    check_waits("", 2);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.growth", "0");

    /* One topic is behind: nothing begins. */
    CHECK_INT("one grew", look(4, 2, 0), ERR_NONE);
    check_waits("topic usage2 has 4 partitions like the others, not 2", 2);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.growth", "0");
    CHECK_INT("beyond", claim_class(2, text), ERR_RETRY);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "until all of them have grown alike"));
    CHECK_INT("old", claim_class(1, text), ERR_NONE);
    CHECK_INT("of no partition", claim_class(100000, text), ERR_NONE);

    CHECK_INT("both grew", look(4, 4, 900000), ERR_NONE);
    check_waits("by when every producer knows", 2);
    CU_ASSERT(!growth.ask_ends);
    tell_ends(7); /* too early: not taken */
    CHECK_SQL(&db,
              "SELECT old_partitions, new_partitions, ends, waits_to - discovered_at"
              " FROM tripmeter.growth",
              "2 4 - 00:15:00");
    CHECK_INT("beyond", claim_class(3, text), ERR_RETRY);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "every producer knows"));

    /* Once more while it waits: the wait begins anew. An engine that has not heard of it agrees. */
    CHECK_INT("again", look(8, 8, 60000), ERR_NONE);
    CHECK_INT("behind", look(4, 4, 60000), ERR_NONE);
    CHECK_SQL(&db, "SELECT number, new_partitions, waits_to - discovered_at FROM tripmeter.growth",
              "1 8 00:01:00");
    CHECK_SQL(&db, "SELECT tripmeter.close_periods()", "0");
    db_end(&db);
}

static void
test_refused(void)
{
    static const struct {
        int32_t usage, usage2;
        enum err_class class;
    } rows[] = {
        {3, 2, ERR_FATAL}, {2, 5, ERR_FATAL}, {3, 3, ERR_FATAL}, {6, 6, ERR_NONE}, {1, 1, ERR_NONE},
    };

    db_begin_layout(&db, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT("partitions", look(rows[i].usage, rows[i].usage2, 900000), rows[i].class);
    db_end(&db);
}

/* Tenants whose names are theirs by murmur2, in 2 and in 4 partitions. */
static void
homes(int32_t count)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional, restricted)"
                   " SELECT 't' || n, tripmeter.murmur2_shard('t' || n, 2), false, n = 7"
                   " FROM generate_series(1, %d) n",
                   (int)count);
    db_run(&db, sql);
}

static void
grow(void)
{
    CHECK_INT("begins", look(4, 4, 0), ERR_NONE);
    CU_ASSERT(growth.ask_ends);
    tell_ends(0);
    CHECK_INT("ends", look(4, 4, 0), ERR_NONE);
    check_waits("", 4);
}

static void
check_moved(void)
{
    /* Each home is where murmur2 puts it; what was restricted still is. */
    CHECK_SQL(&db,
              "SELECT count(*) FROM tripmeter.tenant_shard WHERE shard < 100000 AND"
              " (provisional OR shard <> tripmeter.murmur2_shard(tenant, 4))",
              "0");
    CHECK_SQL(&db,
              "SELECT count(DISTINCT shard), count(*) FILTER (WHERE restricted)"
              " FROM tripmeter.tenant_shard WHERE shard < 100000",
              "4 1");
    /* Commands went with their tenants; those of all have come to the added shards. */
    CHECK_SQL(&db,
              "SELECT count(*) FROM tripmeter.command WHERE tenant IS NOT NULL AND shard <>"
              " tripmeter.murmur2_shard(tenant, 4)",
              "0");
    CHECK_SQL(&db,
              "SELECT string_agg(shard::text, ',' ORDER BY shard) FROM tripmeter.command"
              " WHERE kind = 'enforce' AND shard < 100000",
              "0,1,2,3");
    CHECK_SQL(&db,
              "SELECT string_agg(concat_ws('/', shard, policy, enforcing, shard_time = '2026-03-01 "
              "12:00Z',"
              " inherits_to = '2026-03-01 12:05Z', closed_to = '2026-02-01Z'), ' ' ORDER BY shard)"
              " FROM tripmeter.shard WHERE shard >= 2",
              "2/0/t/t/t/t 3/4/f/t/t/t");
    CHECK_SQL(&db,
              "SELECT count(*) FROM tripmeter.progress WHERE partition >= 2 AND next_offset = 0",
              "4");
}

static void
test_switch(void)
{
    struct claim old;
    char text[256];

    db_begin_layout(&db, 2);
    homes(40);
    old = db_claim(&db, 0);
    (void)db_claim(&db, 1);
    CHECK_INT("settled", settle(&old, "t1", 0, 5), SETTLED);
    db_run(&db, "UPDATE tripmeter.shard SET policy = 3 + shard, enforcing = shard = 0,"
                " shard_time = '2026-03-01 12:00Z', closed_to = '2026-02-01Z'");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, plan) SELECT 't' || n, 'free'"
                " FROM generate_series(1, 40) n");
    db_run(&db, "SELECT tripmeter.enforce(false, 'op', 'drill')");

    CHECK_INT("begins", look(4, 4, 0), ERR_NONE);
    CU_ASSERT(growth.ask_ends);
    check_waits("for the broker", 2);
    tell_ends(6);
    tell_ends(1); /* another engine's answer: the first stands */
    CHECK_INT("not settled", look(4, 4, 0), ERR_NONE);
    check_waits("until usage/0 is settled to offset 6", 2);
    CHECK_INT("old settles on", settle(&old, "t1", 5, 1), SETTLED);
    CHECK_INT("settled to the end", look(4, 4, 0), ERR_NONE);
    check_waits("", 4);
    CHECK_SQL(&db, "SELECT DISTINCT partitions FROM tripmeter.layout", "4");

    check_moved();

    /* Whoever had a shard before settles nothing more, and does not keep what he knows. */
    CHECK_INT("fenced", settle(&old, "t1", 6, 1), SETTLE_FENCED);
    struct claim again = {.shard = 0, .epoch = old.epoch, .seq = old.seq};
    struct err why;

    CU_ASSERT(store_claim(db.store, "me", &again, db.arena, &why));
    CU_ASSERT(!again.kept && again.epoch > old.epoch && again.inherits_ms == 0);
    CHECK_INT("claimable", claim_class(3, text), ERR_NONE);
    const struct claim added = db_claim(&db, 2);

    CHECK_INT("layout", added.partitions, 4);
    CHECK_INT("next", added.progress[1].next, 0);
    CU_ASSERT(added.epoch > added.layout_epoch && added.layout_epoch > old.epoch);
    CU_ASSERT(added.inherits_ms == added.time_ms + 300000);
    CHECK_INT("done", look(4, 4, 0), ERR_NONE);
    check_waits("", 4);
    /* And it can grow again. */
    CHECK_INT("again", look(8, 8, 900000), ERR_NONE);
    CHECK_SQL(&db, "SELECT max(number), max(old_partitions) FROM tripmeter.growth", "2 4");
    db_end(&db);
}

/* Where gateways have another partitioner, or too few tenants say which, homes are where the next
 * event comes. */
static void
test_homes(void)
{
    static const struct {
        const char *name, *sql, *provisional;
        int32_t tenants;
    } rows[] = {
        {"all by murmur2", "SELECT 1", "0", 20},
        {"too few to tell", "SELECT 1", "19", 19},
        {"too few that had events",
         "UPDATE tripmeter.tenant_shard SET provisional = tenant <> 't5' WHERE shard < 100000",
         "40", 40},
        {"one is elsewhere",
         "UPDATE tripmeter.tenant_shard SET shard = 1 - shard WHERE tenant = 't5'", "40", 40},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        db_begin_layout(&db, 2);
        homes(rows[i].tenants);
        db_run(&db, rows[i].sql);
        grow();
        db_check(&db, "SELECT count(*) FROM tripmeter.tenant_shard WHERE provisional",
                 rows[i].provisional, rows[i].name, 0);
        CHECK_SQL(&db,
                  "SELECT tenant, provisional FROM tripmeter.tenant_shard"
                  " WHERE shard >= 4",
                  "* f"); /* the fleet is of no partition */
        db_end(&db);
    }
}

/* A contract that is being stored looked its home up in the old layout. */
static void
test_command_under_way(void)
{
    db_begin_layout(&db, 2);
    homes(40);
    PGconn *const other = db_connect(&db);

    PQclear(PQexec(other, "BEGIN"));
    PQclear(
        PQexec(other, "INSERT INTO tripmeter.tenant_version (tenant, plan) VALUES ('t7', 'free')"));
    CHECK_INT("begins", look(4, 4, 0), ERR_NONE);
    tell_ends(0);
    CHECK_INT("waits", look(4, 4, 0), ERR_NONE);
    check_waits("contracts that is being stored", 2);
    PQclear(PQexec(other, "COMMIT"));
    PQfinish(other);
    CHECK_INT("ends", look(4, 4, 0), ERR_NONE);
    check_waits("", 4);
    CHECK_SQL(&db,
              "SELECT count(*) FROM tripmeter.command WHERE tenant = 't7' AND shard ="
              " tripmeter.murmur2_shard('t7', 4)",
              "1");
    db_end(&db);
}

/* What waits unread may belong in a period that the old partitions have closed. */
static void
test_final(void)
{
    db_begin_layout(&db, 1);
    (void)db_claim(&db, 0);
    db_run(&db, "UPDATE tripmeter.shard SET closed_to = '2026-04-01Z'");
    db_run(&db, "INSERT INTO tripmeter.growth (number, old_partitions, new_partitions,"
                " discovered_at, waits_to) VALUES (1, 1, 2, now(), now())");
    db_run(&db, "SELECT tripmeter.close_periods()");
    CHECK_SQL(&db, "SELECT closed_to = 'epoch' FROM tripmeter.period_closing", "t");
    db_run(&db, "UPDATE tripmeter.growth SET ends = '{}'");
    CHECK_INT("ends", look(2, 2, 0), ERR_NONE);
    check_waits("", 2);
    /* The added one goes on from what the other has closed. */
    db_run(&db, "SELECT tripmeter.close_periods()");
    CHECK_SQL(&db, "SELECT closed_to = '2026-04-01Z' FROM tripmeter.period_closing", "t");
    db_run(&db, "UPDATE tripmeter.shard SET closed_to = '2026-05-01Z' WHERE shard = 0");
    db_run(&db, "SELECT tripmeter.close_periods()");
    CHECK_SQL(&db, "SELECT closed_to = '2026-04-01Z' FROM tripmeter.period_closing", "t");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"added partitions wait, and say for what", test_waits},
    {"numbers that topics cannot grow to", test_refused},
    {"the switch moves everything at once", test_switch},
    {"homes by the partitioner that the old ones show", test_homes},
    {"not while a command is being stored", test_command_under_way},
    {"periods wait for the added partitions", test_final},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_growth = {"store_growth", NULL, NULL, NULL, NULL, tests};
