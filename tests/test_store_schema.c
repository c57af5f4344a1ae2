/* Protects: the schema says what everything means, upgrades once, and gives the engine no DDL. */
#include "tests/check.h"
#include "tests/store_db.h"

#include "sinks/migrate.h"

#include <pthread.h>

static struct db db;

static void
count_line(void *context, const char *line)
{
    *(int *)context += strncmp(line, "applied", 7) == 0;
}

struct migrating {
    const char *url;
    int applied;
    bool done;
};

static void *
migrate(void *context)
{
    struct migrating *const one = context;
    struct err why;

    one->done = migrate_run(one->url, count_line, &one->applied, &why);
    if (!one->done)
        printf("\n    %s\n", why.text);
    return NULL;
}

static void
check_not_opened(const char *word)
{
    struct err why = {.class = ERR_NONE};
    struct store *const store = store_open(&db.config, "other", &why);

    CU_ASSERT_PTR_NULL(store);
    CHECK_INT(word, why.class, ERR_FATAL);
    if (strstr(why.text, word) == NULL)
        printf("\n    %s\n", why.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, word));
    CU_ASSERT_PTR_NULL(strstr(why.text, "hunter2"));
    store_close(store);
}

static void
test_migrate(void)
{
    struct migrating both[2];
    pthread_t threads[2];
    struct err why;

    db_begin_empty(&db);
    check_not_opened("tripmeter migrate");
    for (int i = 0; i < 2; i++) {
        both[i] = (struct migrating){.url = db.url};
        CHECK_INT("thread", pthread_create(&threads[i], NULL, migrate, &both[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK_INT("thread", pthread_join(threads[i], NULL), 0);
    CU_ASSERT(both[0].done && both[1].done);
    CU_ASSERT(both[0].applied == 0 || both[1].applied == 0);
    CU_ASSERT(both[0].applied + both[1].applied >= 5);
    CHECK_SQL(&db, "SELECT count(*) > 0 FROM tripmeter.migration WHERE length(checksum) = 64", "t");
    db_reopen(&db);

    db_run(&db, "INSERT INTO tripmeter.migration (number, name, checksum) VALUES (9999, 'x', 'x')");
    check_not_opened("newer");
    CU_ASSERT(!migrate_run(db.url, count_line, &both[0].applied, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "newer"));
    db_run(&db, "DELETE FROM tripmeter.migration WHERE number = 9999 OR name = 'views'");
    check_not_opened("tripmeter migrate");
    db_run(&db, "UPDATE tripmeter.migration SET checksum = 'x' WHERE number = 1");
    CU_ASSERT(!migrate_run(db.url, count_line, &both[0].applied, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "another text"));
    db_end(&db);
}

static void
test_cannot_open(void)
{
    static const struct {
        const char *url;
        enum err_class class;
        const char *word;
    } rows[] = {
        {"postgresql://nobody:hunter2@127.0.0.1:1/x", ERR_RETRY, "127.0.0.1:1"},
        {"postgresql://nobody:hunter2@[::1", ERR_FATAL, "postgres.url"},
        {"host=127.0.0.1 password=hunter2 nonsense=1", ERR_FATAL, "postgres.url"},
    };
    struct config config = {.kafka.topic_count = 0};
    struct err why;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        config.postgres.url = rows[i].url;
        struct store *const store = store_open(&config, "test", &why);

        CU_ASSERT_PTR_NULL(store);
        CHECK_INT(rows[i].url, why.class, rows[i].class);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].word));
        CU_ASSERT_PTR_NULL(strstr(why.text, "hunter2"));
        store_close(store);
    }
    db_begin_empty(&db);
    char *const name = strstr(db.url, "dbname='");

    (void)snprintf(name, sizeof db.url - (size_t)(name - db.url), "dbname='no_such_db'");
    check_not_opened("create the database");
    (void)snprintf(name, sizeof db.url - (size_t)(name - db.url), "dbname='%s' password='hunter2'",
                   db.name);
    check_not_opened("password");
    db_end(&db);
}

static void
test_comments(void)
{
    db_begin(&db);
    db_run(&db, "SELECT tripmeter.maintain()");
    CHECK_SQL(&db,
              "SELECT c.relname FROM pg_class c"
              " WHERE c.relnamespace = 'tripmeter'::regnamespace AND c.relkind IN ('r', 'p', 'v')"
              " AND obj_description(c.oid, 'pg_class') IS NULL",
              "");
    CHECK_SQL(&db,
              "SELECT c.relname || '.' || a.attname FROM pg_class c"
              " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
              " WHERE c.relnamespace = 'tripmeter'::regnamespace AND c.relkind IN ('r', 'p', 'v')"
              " AND col_description(c.oid, a.attnum) IS NULL",
              "");
    db_end(&db);
}

/* A user with nothing but the engine's role can settle and maintain, and change no table. */
static void
test_roles(void)
{
    char state[6];

    db_begin(&db);
    db_run(&db, "SET SESSION AUTHORIZATION DEFAULT; SET ROLE tripmeter_engine");
    db_run(&db, "SELECT * FROM tripmeter.claim(0, 'me', -1, -1)");
    db_run(&db, "SELECT tripmeter.settle_begin(0, 1, 0, now(), 0, now())");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant) VALUES ('acme')");
    db_run(&db, "SELECT * FROM tripmeter.maintain(3)");
    db_run(&db, "DELETE FROM tripmeter.reservation");
    db_run(&db, "DELETE FROM tripmeter.anomaly_series");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.migration WHERE number = 1", "1");
    static const char *const refused[] = {
        "CREATE TABLE tripmeter.mine (x int)",
        "DROP TABLE tripmeter.gauge",
        "ALTER TABLE tripmeter.gauge ADD x int",
        "DELETE FROM tripmeter.tenant_fact",
        "DELETE FROM tripmeter.anomaly",
        "UPDATE tripmeter.policy SET body = ''",
        "UPDATE tripmeter.tenant_version SET plan = ''",
        "UPDATE tripmeter.ledger SET amount = 0",
        "INSERT INTO tripmeter.migration VALUES (1, 'x', 'x')",
        "TRUNCATE tripmeter.tenant_fact",
    };

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        CHECK_INT(refused[i], strcmp(db_state(&db, refused[i], state), "42501"), 0);
    db_run(&db, "SET ROLE tripmeter_reader");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.v_blocked", "0");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.shard", "1");
    CHECK_INT("reader",
              strcmp(db_state(&db, "SELECT tripmeter.enforce(false, 'a', 'b')", state), "42501"),
              0);
    CHECK_INT("reader",
              strcmp(db_state(&db, "UPDATE tripmeter.shard SET epoch = 0", state), "42501"), 0);
    db_end(&db);
}

static void
test_murmur2(void)
{
    db_begin(&db);
    CHECK_SQL(&db,
              "SELECT tripmeter.murmur2(convert_to(t, 'UTF8')) FROM unnest(ARRAY['21', 'foobar',"
              " 'a-little-bit-long-string', 'a-little-bit-longer-string',"
              " 'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', 'abc']) t",
              "-973932308 -790332482 -985981536 -1486304829 -58897971 479470107");
    CHECK_SQL(&db, "SELECT tripmeter.percent_decode('a%2Fb%C3%A9%25')", "a/b\u00e9%");
    db_end(&db);
}

#define FACT(hour, cost)                                                                           \
    "INSERT INTO tripmeter.tenant_fact SELECT 'acme', '', 'f', 'p', 'm', '" hour "'::timestamptz," \
    " '2026-01-01', 1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0, " cost ", " cost ", 0"

static void
test_partitions(void)
{
    struct err why;

    db_begin(&db);
    db_run(&db, FACT("2026-01-31 23:00Z", "1.5"));
    db_run(&db, FACT("2026-02-01 00:00Z", "0.25"));
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_fact_default", "2");
    CHECK_SQL(&db, "SELECT action, name FROM tripmeter.maintain(1, NULL, false, '2026-02-10Z')",
              "made tenant_fact_2026_01 made tenant_fact_2026_02 made tenant_fact_2026_03"
              " made key_fact_2026_02 made key_fact_2026_03");
    CHECK_SQL(&db,
              "SELECT count(*), count(*) FILTER (WHERE c.reloptions @> '{fillfactor=90}')"
              " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
              " WHERE c.relkind = 'r' AND c.relname ~ '^(tenant|key)_fact_'",
              "7 7");
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.tenant_fact_default", "0");
    CHECK_SQL(&db, "SELECT sum(cost) FROM tripmeter.tenant_fact", "1.750000000");
    CHECK_SQL(&db, "SELECT * FROM tripmeter.maintain(1, NULL, false, '2026-02-10Z')", "");
    CHECK_SQL(&db, "SELECT action, name FROM tripmeter.maintain(0, 2, false, '2026-04-10Z')",
              "made tenant_fact_2026_04 detached tenant_fact_2026_01 made key_fact_2026_04");
    CHECK_SQL(&db, "SELECT sum(cost) FROM tripmeter.tenant_fact", "0.250000000");
    CHECK_SQL(&db, "SELECT sum(cost) FROM tripmeter.tenant_fact_2026_01", "1.500000000");
    /* Late for a month that is retired: the default keeps it. */
    db_run(&db, FACT("2026-01-31 23:00Z", "3"));
    CHECK_SQL(&db, "SELECT action, name FROM tripmeter.maintain(0, 2, true, '2026-05-10Z')",
              "made tenant_fact_2026_05 dropped tenant_fact_2026_02 made key_fact_2026_05"
              " dropped key_fact_2026_02");
    CHECK_SQL(&db, "SELECT sum(cost) FROM tripmeter.tenant_fact", "3.000000000");
    CU_ASSERT(store_maintain(db.store, DB_HOUR_MS, 0, &why));
    CHECK_SQL(&db, "SELECT to_regclass('tripmeter.key_fact_2026_03') IS NOT NULL", "t");
    CU_ASSERT(!store_maintain(db.store, DB_HOUR_MS, 1, &why));
    db_end(&db);
}

static void
test_views(void)
{
    db_begin(&db);
    db_run(&db,
           "INSERT INTO tripmeter.tenant_version (tenant, zone) VALUES ('acme', 'Asia/Kolkata')");
    /* Sunday 18:30Z is Monday in Kolkata. */
    db_run(&db, FACT("2026-03-01 17:30Z", "1.000000001"));
    db_run(&db, FACT("2026-03-01 18:30Z", "2.000000002"));
    db_run(&db, FACT("2026-03-02 00:00Z", "4"));
    CHECK_SQL(&db, "SELECT week, cost FROM tripmeter.v_spend_week ORDER BY week",
              "2026-02-23 1.000000001 2026-03-02 6.000000002");
    CHECK_SQL(&db, "SELECT day, cost FROM tripmeter.v_provider_day ORDER BY day",
              "2026-03-01 3.000000003 2026-03-02 4.000000000");
    CHECK_SQL(&db,
              "SELECT (SELECT sum(cost) FROM tripmeter.v_spend_week)"
              " = (SELECT sum(cost) FROM tripmeter.tenant_fact),"
              " (SELECT sum(cost) FROM tripmeter.v_provider_day)"
              " = (SELECT sum(cost) FROM tripmeter.tenant_fact),"
              " (SELECT sum(allowed_cost) FROM tripmeter.v_blocked)"
              " = (SELECT sum(cost) FROM tripmeter.tenant_fact)",
              "t t t");
    db_run(&db, "INSERT INTO tripmeter.decision (scope, tenant, at, outcome, restrictions, shard,"
                " epoch, policy) VALUES"
                " ('tenant/acme', 'acme', '2026-03-02 00:00Z', 'allow', '[]', 0, 1, 1),"
                " ('tenant/acme', 'acme', '2026-03-02 01:30Z', 'block', '[]', 0, 1, 1),"
                " ('tenant/acme', 'acme', '2026-03-02 02:00Z', 'block', '[]', 0, 1, 1),"
                " ('tenant/acme', 'acme', '2026-03-02 04:00Z', 'allow', '[]', 0, 1, 1),"
                " ('tenant/acme', 'acme', '2026-03-02 05:00Z', 'block', '[]', 0, 1, 1)");
    db_run(&db,
           "INSERT INTO tripmeter.shard (shard, shard_time) VALUES (0, '2026-03-02 05:00:30Z')");
    CHECK_SQL(&db, "SELECT seconds, rate, estimate FROM tripmeter.v_block ORDER BY since_at",
              "9000 4.000000000 10.000000000 30 0.000000000 0.000000000");
    CHECK_SQL(&db,
              "SELECT week, allowed_cost, blocked_cost, blocked_calls, blocked_estimate"
              " FROM tripmeter.v_blocked ORDER BY week",
              "2026-02-23 1.000000001 - - 0.000000000"
              " 2026-03-02 6.000000002 - - 10.000000000");
    db_run(&db, "INSERT INTO tripmeter.gateway_decision (topic, partition, record_offset,"
                " event_index, at, tenant, source, id, outcome, estimated_cost) VALUES"
                " ('u', 0, 1, 0, '2026-03-03Z', 'acme', 's', '1', 'block', 0.5),"
                " ('u', 0, 2, 0, '2026-03-03Z', 'acme', 's', '2', 'allow', 7)");
    CHECK_SQL(&db,
              "SELECT blocked_cost, blocked_calls FROM tripmeter.v_blocked"
              " WHERE week = '2026-03-02'",
              "0.500000000 1");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"migrate runs once, and refuses what it does not know", test_migrate},
    {"what cannot be opened says why, and no password", test_cannot_open},
    {"every table and column is explained", test_comments},
    {"the engine has no DDL, the reader reads", test_roles},
    {"murmur2 is Kafka's", test_murmur2},
    {"partitions are made ahead and retired", test_partitions},
    {"views add up to the facts", test_views},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_schema = {"store_schema", NULL, NULL, NULL, NULL, tests};
