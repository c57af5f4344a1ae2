/* Protects: what is carried from period to period is stored and loaded to the unit, and final rows stay
 * as they are. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <stdlib.h>

static struct db db;
static char state[6];

static void
see_carries(void *context, const struct tenant_load *load)
{
    char *seen = context;
    size_t used = 0;

    for (size_t i = 0; i < load->carry_count; i++) {
        const struct carry_memory *one = &load->carries[i];

        used += (size_t)snprintf(
            seen + used, 512 - used, "%.*s/%.*s %s base %lld%s carry %lld cap %lld used %lld;",
            (int)one->quota.size, one->quota.at, (int)one->project.size, one->project.at,
            one->closed ? "closed" : "open", (long long)one->base, one->unlimited ? "+" : "",
            (long long)one->carry,
            one->total_cap == ROLLOVER_NO_CAP ? -1 : (long long)one->total_cap,
            (long long)one->used);
    }
    if (load->carry_count > 1)
        (void)snprintf(seen + used, 512 - used, " %d %lld %lld %s %lld of %lld by %lld",
                       (int)load->carries[1].rule.ratio, (long long)load->carries[1].rule.carry_cap,
                       (long long)load->carries[1].room,
                       load->carries[1].rule.deducts ? "deducts" : "forgives",
                       (long long)load->carries[1].end.carried,
                       (long long)load->carries[1].end.unused, (long long)load->carries[1].policy);
}

static void
settle_carries(struct claim *claim, const struct carry_memory *rows, size_t count)
{
    struct settlement *const one = settlement_of(claim, 0);

    for (size_t i = 0; i < count; i++) {
        struct carry_memory *row = list_add(&one->carries);

        if (row == NULL)
            abort();
        *row = rows[i];
        row->tenant = TEXT("acme");
        row->start_ms = row->end_ms - CLOCK_DAY_MS;
    }
    CHECK_INT("settles", db_settle(&db, one), SETTLED);
    settlement_free(one);
    claim->seq++;
}

static void
check_carries(const char *expected)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {
        .shard = 0, .names = names, .count = 1, .after_ms = DB_HOUR_MS};
    char seen[512] = "";

    db_load(&db, &query, see_carries, seen);
    CU_ASSERT_STRING_EQUAL(seen, expected);
}

/* Money in nano-units and counts come back as they went; what is final is neither loaded nor changed. */
static void
test_carries(void)
{
    const struct carry_memory rows[] = {
        {.quota = TEXT_ROW("calls"),
         .project = TEXT_ROW(""),
         .end_ms = DB_HOUR_MS + 1,
         .base = 100,
         .carry = -30,
         .total_cap = ROLLOVER_NO_CAP},
        {.quota = TEXT_ROW("spend"),
         .project = TEXT_ROW("web"),
         .meter = METER_COST,
         .end_ms = DB_HOUR_MS,
         .base = 10000000001,
         .carry = 1,
         .total_cap = 20000000000,
         .closed = true,
         .rule = {.on = true, .deducts = true, .ratio = 333333, .carry_cap = 7},
         .room = 9999999999,
         .used = 10000000000,
         .end = {.allowance = 10000000002, .unused = 2, .carried = 0},
         .policy = 4},
        {.quota = TEXT_ROW("spend"),
         .project = TEXT_ROW("web"),
         .meter = METER_COST,
         .end_ms = DB_HOUR_MS + CLOCK_DAY_MS,
         .unlimited = true,
         .total_cap = ROLLOVER_NO_CAP},
    };
    struct carry_memory later = rows[1];

    db_begin_layout(&db, 1);
    struct claim claim = db_claim(&db, 0);

    settle_carries(&claim, rows, sizeof rows / sizeof rows[0]);
    check_carries("calls/ open base 100 carry -30 cap -1 used 0;"
                  "spend/web closed base 10000000001 carry 1 cap 20000000000 used 10000000000;"
                  "spend/web open base 0+ carry 0 cap -1 used 0;"
                  " 333333 7 9999999999 deducts 0 of 2 by 4");
    CHECK_SQL(&db,
              "SELECT base, carry, total_cap, used, allowance, unused, ratio, carry_cap, carried"
              " FROM tripmeter.quota_period WHERE closed",
              "10.000000001 0.000000001 20.000000000 10.000000000 10.000000002 0.000000002"
              " 0.333333 0.000000007 0.000000000");
    later.used += 2;
    settle_carries(&claim, &later, 1);
    CHECK_SQL(&db, "SELECT used FROM tripmeter.quota_period WHERE closed", "10.000000002");
    db_run(&db, "UPDATE tripmeter.quota_period SET is_final = true WHERE closed");
    CU_ASSERT_STRING_EQUAL(db_state(&db, "UPDATE tripmeter.quota_period SET used = 0", state),
                           "TM005");
    CU_ASSERT_STRING_EQUAL(db_state(&db, "DELETE FROM tripmeter.quota_period", state), "TM005");
    later.used += 2;
    settle_carries(&claim, &later, 1);
    CHECK_SQL(&db, "SELECT used FROM tripmeter.quota_period WHERE closed", "10.000000002");
    check_carries("calls/ open base 100 carry -30 cap -1 used 0;"
                  "spend/web open base 0+ carry 0 cap -1 used 0; 0 0 0 forgives 0 of 0 by 0");
    db_end(&db);
}

static void
hear(void *context, struct text name)
{
    char *heard = context;
    const size_t used = strlen(heard);

    (void)snprintf(heard + used, 128 - used, "%.*s ", (int)name.size, name.at);
}

static const char *
overdue(char heard[128])
{
    struct err why;

    heard[0] = '\0';
    CU_ASSERT_TRUE(store_overdue(db.store, 0, hear, heard, &why));
    return heard;
}

/* Who was due a minute ago by the settled time of the shard, the longest overdue first; a new policy
 * wants everybody looked at, and nobody waits for that at a claim. */
static void
test_overdue(void)
{
    const struct due_query claimed = {.shard = 0, .until_ms = DB_HOUR_MS};
    char heard[128] = "";
    int64_t serial = 0;
    struct err why;

    db_begin_layout(&db, 2);
    db_run(&db, "INSERT INTO tripmeter.shard (shard, shard_time) VALUES (0, '2026-03-10 12:00Z'),"
                " (1, '2026-03-10 12:00Z')");
    db_run(&db, "INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional, due_at) VALUES"
                " ('just', 0, false, '2026-03-10 11:59:01Z'), ('a', 0, false, '2026-03-10 11:59Z'),"
                " ('b', 0, false, '2026-03-01Z'), ('never', 0, false, 'infinity'),"
                " ('other', 1, false, '2026-03-01Z')");
    CU_ASSERT_STRING_EQUAL(overdue(heard), "b a ");
    db.config.policy_path = "policy.yaml";
    db.config.policy_body = "plans: {}";
    db.config.policy_size = strlen(db.config.policy_body);
    CU_ASSERT(store_policy(db.store, &db.config, false, true, &serial, &why));
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_shard WHERE due_at > '1970-01-02Z'", "0");
    CU_ASSERT_PTR_NOT_NULL(strstr(overdue(heard), "never "));
    CHECK_INT("of this shard only", strstr(heard, "other ") == NULL, true);
    heard[0] = '\0';
    CU_ASSERT_TRUE(store_due(db.store, &claimed, hear, heard, &why));
    CU_ASSERT_STRING_EQUAL(heard, "");
    db_run(&db, "UPDATE tripmeter.tenant_shard SET due_at = '2026-03-10Z' WHERE tenant = 'a'");
    CU_ASSERT(store_policy(db.store, &db.config, false, true, &serial, &why));
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_shard WHERE due_at > '1970-01-02Z'", "1");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"as they went", test_carries},
    {"who is overdue", test_overdue},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_carry = {.pName = "store_carry", .pTests = tests};
