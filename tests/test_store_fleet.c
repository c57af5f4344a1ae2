/* Protects: what the leader of the fleet reads is the sum of what counts; there is one leader, and one
 * whose time is over writes nothing; a silent source is told once, and not when nobody listened; what
 * is wrong with the last day is told once a tenant. */
#include "sinks/store_fleet.h"

#include "tests/check.h"
#include "tests/store_db.h"

#include <stdio.h>
#include <string.h>

static struct db db;
static char answer[1024];

/* Where the next words of an answer go. */
static char *
answer_end(size_t *room)
{
    const size_t size = strlen(answer);

    *room = sizeof answer - size;
    return answer + size;
}

static void
on_sum(void *context, struct text feature, const struct slot *sum)
{
    size_t room;
    char *at = answer_end(&room);

    (void)context;
    (void)snprintf(at, room, "%.*s %d/%d %d calls of %d;", (int)feature.size, feature.at,
                   (int)(sum->judged / MONEY_NANO_PER_UNIT), (int)(sum->cost / MONEY_NANO_PER_UNIT),
                   (int)sum->judged_calls, (int)sum->attempts);
}

static const char *
sums(const char *currency)
{
    struct err why = {.class = ERR_NONE};
    const struct fleet_query query = {.from_ms = DB_HOUR_MS, .currency = text_of(currency)};

    answer[0] = '\0';
    CHECK_INT(why.text, store_fleet_slots(db.store, &query, on_sum, NULL, &why), true);
    return answer;
}

/* Slots of ten minutes from 00:00 on, each with 5 in cost and 10 calls. */
static void
add_slot(const char *tenant, const char *feature, int number)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.feature_slot VALUES ('%s', '%s', %d,"
                   " '2026-03-01 00:00Z'::timestamptz + %d * interval '5 minutes', 5, 5, 10, 10,"
                   " 10, 0, 100, 100)",
                   tenant, feature, number, number);
    db_run(&db, sql);
}

static void
test_sums(void)
{
    struct err why = {.class = ERR_NONE};
    struct fleet_spread spread = {.tenants = 0};
    const struct fleet_query query = {.from_ms = DB_HOUR_MS, .currency = TEXT("USD")};

    db_begin(&db);
    CU_ASSERT_STRING_EQUAL(sums("USD"), "");
    add_slot("acme", "search", 0);
    add_slot("acme", "search", 1);
    add_slot("beta", "search", 0);
    add_slot("beta", "chat", 0);
    add_slot("cut", "search", 0);
    add_slot("euro", "search", 0);
    add_slot("*", "search", 0);
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, currency) VALUES ('acme', 'EUR')");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, currency) VALUES ('acme', 'USD'),"
                " ('euro', 'EUR')");
    db_run(&db, "INSERT INTO tripmeter.feature_breaker VALUES ('cut', 'search', 'half_open',"
                " NULL, now(), 1, 'infinity', NULL, NULL, NULL, 1, 9, 0, 1, true, false, 300,"
                " 'infinity', NULL, 'infinity', 0, 1, 0, NULL, NULL, NULL)");
    CU_ASSERT_STRING_EQUAL(sums("USD"), "chat 5/5 10 calls of 10;search 10/15 20 calls of 30;"
                                        "search 5/5 10 calls of 10;");
    /* Who names no currency has the policy's. */
    CU_ASSERT_STRING_EQUAL(sums("EUR"), "chat 5/5 10 calls of 10;search 10/15 20 calls of 30;");
    CHECK_INT(why.text, store_fleet_spread(db.store, &query, TEXT("search"), &spread, &why), true);
    CHECK_INT("tenants", spread.tenants, 2);
    CHECK_INT("all of it", spread.whole / MONEY_NANO_PER_UNIT, 15);
    CHECK_INT("most", spread.top[0].cost / MONEY_NANO_PER_UNIT, 10);
    CU_ASSERT_TRUE(text_eq(spread.top[0].tenant, TEXT("acme")));
    CHECK_INT("top", spread.count, 2);
    db_end(&db);
}

static void
add_fact(const char *tenant, const char *hour, int cost, int refunded)
{
    char sql[1024];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.tenant_fact SELECT r.* FROM jsonb_populate_record("
                   "NULL::tripmeter.tenant_fact, (SELECT jsonb_object_agg(column_name, 0)"
                   " FROM information_schema.columns WHERE table_name = 'tenant_fact'"
                   " AND data_type IN ('bigint', 'numeric', 'integer'))"
                   " || '{\"tenant\": \"%s\", \"project\": \"\", \"feature\": \"search\","
                   " \"provider\": \"\", \"model\": \"\", \"hour\": \"%s\","
                   " \"period\": \"2026-01-01Z\", \"cost\": %d, \"refunded\": %d}') r",
                   tenant, hour, cost, refunded);
    db_run(&db, sql);
}

/* What is known of the tenants makes the fleet's past, once. */
static void
test_seed(void)
{
    struct err why = {.class = ERR_NONE};
    int64_t now_ms = 1;

    db_begin(&db);
    CU_ASSERT_TRUE(store_fleet_time(db.store, &now_ms, &why));
    CHECK_INT("nothing was settled", now_ms, 0);
    db_run(&db, "INSERT INTO tripmeter.shard (shard, shard_time) VALUES (0, '2026-03-01 00:20Z'),"
                " (1, '2026-03-01 00:10Z'), (100000, '2027-01-01Z')");
    CU_ASSERT_TRUE(store_fleet_time(db.store, &now_ms, &why));
    CHECK_INT("the latest of the partitions", now_ms, DB_HOUR_MS + 20 * CLOCK_MINUTE_MS);
    add_slot("acme", "search", 0);
    add_slot("beta", "search", 0);
    add_fact("acme", "2026-02-28 23:00Z", 7, 0);
    add_fact("beta", "2026-02-28 23:00Z", 3, -1);
    add_fact("beta", "2026-03-01 00:00Z", 10, 0);
    add_fact("beta", "2026-01-01 00:00Z", 10, 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(why.text, store_fleet_seed(db.store, TEXT("UTC"), TEXT("USD"), &why), true);
    CHECK_SQL(&db,
              "SELECT feature, hour, learned FROM tripmeter.feature_hour WHERE tenant = '*'"
              " ORDER BY hour",
              "search 2026-02-28 23:00:00+00 11.000000000 search 2026-03-01 00:00:00+00"
              " 10.000000000");
    CHECK_SQL(&db,
              "SELECT place, cost, judged, attempts FROM tripmeter.feature_slot WHERE tenant = '*'",
              "11 10.000000000 0.000000000 20");
    db_end(&db);
}

static bool
leads(struct store *store)
{
    struct err why = {.class = ERR_NONE};
    bool is = false;

    CHECK_INT(why.text, store_fleet_lead(store, &is, &why), true);
    return is;
}

static void
test_leader(void)
{
    struct err why = {.class = ERR_NONE};
    struct store *other;
    struct claim claim;
    struct settlement *late;

    db_begin(&db);
    other = store_open(&db.config, "other", &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    CU_ASSERT_TRUE(leads(db.store));
    CU_ASSERT_FALSE(leads(other));
    claim = db_claim(&db, FLEET_SHARD);
    late = settlement_of(&claim, 0);
    db_kill_store(&db);
    while (!leads(other)) /* the server lets go in a moment */
        continue;
    struct claim next = {.shard = FLEET_SHARD, .epoch = -1, .seq = -1};

    CU_ASSERT_TRUE(store_claim(other, "other", &next, db.arena, &why));
    CHECK_INT("a new epoch", next.epoch > claim.epoch, true);
    db_reopen(&db);
    CU_ASSERT_FALSE(leads(db.store));
    CHECK_INT("who led writes nothing", db_settle(&db, late), SETTLE_FENCED);
    settlement_free(late);
    store_close(other);
    db_end(&db);
}

/* ---- sources ------------------------------------------------------------------------------------- */

static void
on_source(void *context, struct text source, int64_t last_ms, bool silent)
{
    size_t room;
    char *at = answer_end(&room);

    (void)context;
    (void)last_ms;
    (void)snprintf(at, room, "%.*s %s;", (int)source.size, source.at,
                   silent ? "is silent" : "speaks");
}

/* What is said when the shards stand at a time of 2026-03-02. */
static const char *
silent_at(const char *time)
{
    struct err why = {.class = ERR_NONE};
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE tripmeter.shard SET shard_time = '2026-03-02 %sZ' WHERE shard < 100000",
                   time);
    db_run(&db, sql);
    answer[0] = '\0';
    CHECK_INT(why.text, store_fleet_sources(db.store, 7, on_source, NULL, &why), true);
    return answer;
}

/* Every minute from 10:00 on, as a leader looks; what was said at the end. */
static const char *
listen_to(int from, int minutes)
{
    for (int i = from; i <= minutes; i++) {
        char time[16];

        (void)snprintf(time, sizeof time, "%02d:%02d", 10 + i / 60, i % 60);
        (void)silent_at(time);
    }
    return answer;
}

static void
begin_sources(void)
{
    db_begin(&db);
    db_run(&db, "INSERT INTO tripmeter.layout (topic, partitions) VALUES ('usage', 2)");
    db_run(&db, "INSERT INTO tripmeter.shard (shard, epoch) VALUES (0, 1), (1, 1), (100000, 7)");
    /* All hours of a day, one of them missing, and half of the hours in each of two shards. */
    db_run(&db, "INSERT INTO tripmeter.source_seen VALUES"
                " ('steady', 0, '2026-03-02 10:00Z', 16777215),"
                " ('seldom', 0, '2026-03-02 10:00Z', 16777213),"
                " ('shared', 0, '2026-03-02 10:00Z', 5592405),"
                " ('shared', 1, '2026-03-02 09:10Z', 5592405)");
}

static void
add_episode(const char *rule, const char *labels)
{
    char sql[512];

    db_run(&db, "INSERT INTO tripmeter.alert_counter VALUES (repeat('a', 16), 1, 1)");
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO tripmeter.episode (fingerprint, episode, rule, labels, severity,"
        " step, restricts, opened_at, changed_at) VALUES (repeat('a', 16), 1, '%s', '%s',"
        " 'warning', 0, false, now(), now())",
        rule, labels);
    db_run(&db, sql);
}

static void
test_silent(void)
{
    begin_sources();
    CU_ASSERT_STRING_EQUAL(listen_to(0, 14), "");
    CU_ASSERT_STRING_EQUAL(silent_at("10:15"), "shared is silent;steady is silent;");
    add_episode("ingest/source_silent", "{\"source\": \"steady\"}");
    CU_ASSERT_STRING_EQUAL(silent_at("10:16"), "shared is silent;");
    db_run(&db, "UPDATE tripmeter.source_seen SET last_at = '2026-03-02 10:16Z'");
    CU_ASSERT_STRING_EQUAL(silent_at("10:16"), "steady speaks;");
    db_end(&db);
}

static void
test_not_silent(void)
{
    begin_sources();
    (void)listen_to(0, 5);
    CU_ASSERT_STRING_EQUAL(silent_at("10:40"), ""); /* nobody listened: Kafka was away */
    CU_ASSERT_STRING_EQUAL(listen_to(41, 54), "");
    CU_ASSERT_STRING_EQUAL(silent_at("10:55"), "shared is silent;steady is silent;");
    db_run(&db, "UPDATE tripmeter.shard SET shard_time = '2026-03-02 10:14Z' WHERE shard = 1");
    CHECK_INT("one shard lags",
              store_fleet_sources(db.store, 7, on_source, NULL, &(struct err){.class = ERR_NONE}),
              true);
    answer[0] = '\0';
    add_episode("ingest/partition_halted", "{\"topic\": \"usage\", \"partition\": \"0\"}");
    CU_ASSERT_STRING_EQUAL(silent_at("10:56"), "");
    db_run(&db, "UPDATE tripmeter.episode SET resolved_at = now(), reason = 'cleared'");
    db_run(&db, "UPDATE tripmeter.shard SET epoch = 8 WHERE shard = 100000");
    CU_ASSERT_STRING_EQUAL(silent_at("10:57"), ""); /* somebody else leads */
    db_run(&db, "UPDATE tripmeter.shard SET epoch = 7 WHERE shard = 100000");
    db_run(&db, "DELETE FROM tripmeter.shard WHERE shard = 1");
    CU_ASSERT_STRING_EQUAL(silent_at("10:57"), ""); /* a shard that nobody has read */
    db_end(&db);
}

/* A settlement's rows become hours. */
static void
test_heard(void)
{
    static const int64_t minutes[] = {0, 59, 60, 200, 190, 3000};
    static const char *const expected[] = {"1", "1", "3", "13", "13", "1"};

    db_begin(&db);
    struct claim claim = db_claim(&db, 1);
    struct settlement *settlement = settlement_of(&claim, 0);

    for (size_t i = 0; i < sizeof minutes / sizeof minutes[0]; i++) {
        *(struct source_heard *)list_add(&settlement->sources) = (struct source_heard){
            .source = TEXT("//gw"), .at_ms = DB_HOUR_MS + minutes[i] * CLOCK_MINUTE_MS};
        CHECK_INT(db.why.text, db_settle(&db, settlement), SETTLED);
        CHECK_SQL(&db, "SELECT hours FROM tripmeter.source_seen", expected[i]);
        list_clear(&settlement->sources);
        settlement->seq++;
    }
    CHECK_SQL(&db, "SELECT source, shard, last_at FROM tripmeter.source_seen",
              "//gw 1 2026-03-03 02:00:00+00");
    settlement_free(settlement);
    db_end(&db);
}

/* ---- rules of the last day ------------------------------------------------------------------------ */

static void
on_finding(void *context, const struct day_finding *finding)
{
    size_t room;
    char *at = answer_end(&room);
    char spent[TALLY_TEXT_SIZE];
    char against[TALLY_TEXT_SIZE];
    char impact[TALLY_TEXT_SIZE];

    (void)context;
    (void)snprintf(at, room, "%.*s %.*s", (int)finding->tenant.size, finding->tenant.at,
                   (int)finding->zone.size, finding->zone.at);
    at = answer_end(&room);
    if (finding->over)
        (void)snprintf(at, room, " over;");
    else
        (void)snprintf(at, room, " %.*s %s of %s, %s %.*s, %d of %d;", (int)finding->name.size,
                       finding->name.at, tally_format_short(finding->spent, 2, spent),
                       tally_format_short(finding->against, 2, against),
                       tally_format_short(finding->impact, 2, impact), (int)finding->currency.size,
                       finding->currency.at, (int)finding->members, (int)finding->all);
}

/* What is said at an hour of 2026-03-02, with 5.00 as the least that is told of: 4.00 in EUR. */
static const char *
said_at(enum day_rule rule, bool on, int hour)
{
    static const struct day_gate gates[] = {{TEXT_ROW("USD"), 5 * (tally)MONEY_NANO_PER_UNIT},
                                            {TEXT_ROW("EUR"), 4 * (tally)MONEY_NANO_PER_UNIT}};
    struct err why = {.class = ERR_NONE};
    const struct day_query query = {.rule = rule,
                                    .on = on,
                                    .until_ms = DB_HOUR_MS + CLOCK_DAY_MS + hour * CLOCK_HOUR_MS,
                                    .after = TEXT("aaa"),
                                    .upto = TEXT("zero"),
                                    .zone = TEXT("UTC"),
                                    .gates = gates,
                                    .gate_count = 2};

    answer[0] = '\0';
    CHECK_INT(why.text, store_fleet_day(db.store, &query, on_finding, NULL, &why), true);
    return answer;
}

/* Facts have no defaults: what is not named is 0. */
static void
begin_facts(void)
{
    db_begin(&db);
    db_run(&db, "DO $$ DECLARE c text; t text; BEGIN FOR t, c IN SELECT table_name, column_name"
                " FROM information_schema.columns WHERE table_schema = 'tripmeter' AND table_name"
                " IN ('key_fact', 'tenant_fact') AND data_type IN ('bigint', 'numeric') LOOP"
                " EXECUTE format('ALTER TABLE tripmeter.%I ALTER %I SET DEFAULT 0', t, c);"
                " END LOOP; END $$");
    db_run(&db, "INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional) SELECT t, 0, false"
                " FROM unnest(ARRAY['acme', 'two', 'poor', 'euro', 'even', 'zzz']) t");
}

/* "acme a 10 5.00": a tenant's key spent so much in the hour that begins then. */
static void
add_key(const char *tenant, const char *key, int hour, const char *cost)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.key_fact (tenant, key, hour, period, cost, refunded)"
                   " VALUES ('%s', '%s', '2026-03-02 00:00Z'::timestamptz + %d * interval '1 hour',"
                   " '2026-03-01Z', %s, 0)",
                   tenant, key, hour, cost);
    db_run(&db, sql);
}

static void
episode(const char *rule, const char *tenant)
{
    char sql[256];

    add_episode(rule, "{}");
    (void)snprintf(sql, sizeof sql, "UPDATE tripmeter.episode SET tenant = '%s'", tenant);
    db_run(&db, sql);
}

static void
test_keys(void)
{
    begin_facts();
    add_key("acme", "a", 9, "4.00");
    add_key("acme", "b", 9, "5.00");
    add_key("acme", "c", 9, "6.00");
    add_key("acme", "a", 10, "0.50");
    add_key("acme", "b", 10, "1.00");
    add_key("acme", "hot", 10, "11.00");
    add_key("acme", "hot", -15, "99.00"); /* more than a day ago */
    add_key("acme", "hot", 12, "99.00");  /* and an hour that is not over */
    add_key("two", "a", 10, "1.00");      /* two keys have no median to speak of */
    add_key("two", "b", 10, "90.00");
    add_key("poor", "a", 10, "0.01"); /* 400 times the median, and nothing to speak of */
    add_key("poor", "b", 10, "0.01");
    add_key("poor", "c", 10, "4.00");
    add_key("euro", "a", 10, "1.00"); /* 4.00 are enough in its currency */
    add_key("euro", "b", 10, "1.00");
    add_key("euro", "c", 10, "5.00");
    add_key("even", "a", 10, "10.00"); /* twice the median is not more than that */
    add_key("even", "b", 10, "10.00");
    add_key("even", "c", 10, "20.00");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, currency, zone)"
                " VALUES ('euro', 'EUR', 'Europe/Berlin')");
    add_key("zzz", "a", 10, "1.00"); /* not one of those that are asked for */
    add_key("zzz", "b", 10, "1.00");
    add_key("zzz", "c", 10, "90.00");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, false, 11), "");
    /* 11.00 of 4.50, 6.00, 6.00, 11.00: less than twice the median. */
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11),
                           "euro Europe/Berlin c 5.00 of 1.00, 4.00 EUR, 1 of 3;");
    add_key("acme", "hot", 8, "1.01");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11),
                           "acme UTC hot 12.01 of 6.00, 6.01 USD, 1 of 4;"
                           "euro Europe/Berlin c 5.00 of 1.00, 4.00 EUR, 1 of 3;");
    /* Told, it says nothing again, until it is over: below one and a half times, or half of 5.00. */
    episode("anomaly/keys", "acme");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11),
                           "euro Europe/Berlin c 5.00 of 1.00, 4.00 EUR, 1 of 3;");
    add_key("acme", "hot", 7, "-2.90");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11),
                           "euro Europe/Berlin c 5.00 of 1.00, 4.00 EUR, 1 of 3;");
    add_key("acme", "hot", 6, "-0.11");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11),
                           "acme UTC over;euro Europe/Berlin c 5.00 of 1.00, 4.00 EUR, 1 of 3;");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, false, 11), "acme UTC over;");
    /* A day later nothing is known of it. */
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 60), "acme UTC over;");
    db_end(&db);
}

static void
add_model(const char *tenant, const char *provider, const char *model, const char *amounts)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.tenant_fact (tenant, project, feature, provider, model,"
                   " hour, period, cost, charge) VALUES ('%s', '', '', '%s', '%s',"
                   " '2026-03-02 10:00Z', '2026-03-01Z', %s)",
                   tenant, provider, model, amounts);
    db_run(&db, sql);
}

/* All tenants, some at a time, in the order of their names. */
static void
test_next(void)
{
    static const char *const expected[] = {"acme", "even", "two", "zzz", NULL};
    char after[64] = "*";
    struct err why = {.class = ERR_NONE};
    struct text upto;

    begin_facts();
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        CHECK_INT(why.text, store_fleet_next(db.store, text_of(after), i == 0 ? 1 : 2, &upto, &why),
                  true);
        CHECK_INT("there is another", upto.at != NULL, expected[i] != NULL);
        if (upto.at == NULL || expected[i] == NULL)
            break;
        CHECK_INT(expected[i], text_eq(upto, text_of(expected[i])), true);
        (void)text_copy(after, sizeof after, upto);
    }
    db_end(&db);
}

static void
test_margin(void)
{
    begin_facts();
    add_model("acme", "openai", "gpt-4o", "30, 27");
    add_model("acme", "openai", "gpt-5", "20, 18.50");
    add_model("acme", "", "own", "20, 90"); /* what is gained elsewhere covers nothing */
    add_model("even", "openai", "gpt-4o", "30, 30");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 11), ""); /* 4.50 in all */
    add_model("acme", "openai", "gpt-6", "1, 0.50");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 11),
                           "acme UTC openai/gpt-4o 30.00 of 27.00, 5.00 USD, 3 of 0;");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 10), ""); /* the hour is not over */
    episode("anomaly/margin", "acme");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 11), "");
    db_run(&db, "UPDATE tripmeter.tenant_fact SET charge = 29 WHERE model = 'gpt-4o'");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 11), "");
    db_run(&db, "UPDATE tripmeter.tenant_fact SET charge = 30 WHERE model = 'gpt-4o'");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_MARGIN, true, 11), "acme UTC over;");
    CU_ASSERT_STRING_EQUAL(said_at(DAY_KEYS, true, 11), ""); /* another rule's alert */
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"sums of what counts", test_sums},
    {"the past of the fleet", test_seed},
    {"one leader", test_leader},
    {"a source falls silent", test_silent},
    {"and is not silent", test_not_silent},
    {"hours of a source", test_heard},
    {"keys beside their tenant's", test_keys},
    {"negative margins", test_margin},
    {"tenants, some at a time", test_next},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_store_fleet = {.pName = "store_fleet", .pTests = tests};
