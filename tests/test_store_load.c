/* Protects: what a shard knows of tenants, and what operators say, reaches its owner: once, in order,
 * whatever the order of transactions. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>
#include <stdlib.h>

static struct db db;

/* What came through the callbacks, as text. */
static char heard[2048];

static tally heard_amount;            /* spent_amount of the tenant's first quota */
static struct pace_memory heard_pace; /* of the tenant's first quota */
static const struct pace_memory paced = {.day_ms = DB_HOUR_MS,
                                         .days = 30,
                                         .before = -INT64_C(15000000001),
                                         .warned = true,
                                         .noticed = true,
                                         .notice = true,
                                         .forecast = (tally)12480 * MONEY_NANO_PER_UNIT};

static void
hear_tenant(void *context, const struct tenant_load *load)
{
    const size_t used = strlen(heard);
    char cost[TALLY_TEXT_SIZE] = "-";

    (void)context;
    if (load->quota_count > 0) {
        heard_amount = load->quotas[0].spent_amount;
        heard_pace = load->quotas[0].pace;
    }
    if (load->period_count > 0)
        (void)tally_format_money(load->periods[0].delta.cost, cost);
    (void)snprintf(heard + used, sizeof heard - used,
                   "%.*s@%d v%d plan=%.*s limits=%zu zone=%s periods=%zu cost=%s quotas=%zu"
                   " words=%zu%s;",
                   (int)load->name.size, load->name.at, (int)load->home, (int)load->version,
                   (int)load->spec.plan.size, load->spec.plan.at == NULL ? "" : load->spec.plan.at,
                   load->spec.limit_count, load->zone == NULL ? "-" : zone_name(load->zone),
                   load->period_count, cost, load->quota_count, load->word_count,
                   load->word_count == 0               ? ""
                   : load->words[0].kind == WORD_BLOCK ? "(block)"
                                                       : "(allow)");
}

static const char *
load(const struct load_query *query)
{

    heard[0] = '\0';
    db_load(&db, query, hear_tenant, NULL);
    return heard;
}

#define CHECK_TEXT(actual, expected) check_text((actual), (expected), __LINE__)

static void
check_text(const char *actual, const char *expected, unsigned line)
{
    char text[4400];

    (void)snprintf(text, sizeof text, "is \"%s\", expected \"%s\"", actual, expected);
    (void)CU_assertImplementation(strcmp(actual, expected) == 0, line, text, __FILE__, "",
                                  CU_FALSE);
}

static void
test_homes(void)
{
    const struct text names[] = {TEXT("foobar"), TEXT("nobody")};
    struct load_query query = {.shard = 5, .names = names, .count = 2, .after_ms = 0};

    db_begin_layout(&db, 7);
    CHECK_TEXT(load(&query),
               "foobar@-1 v0 plan= limits=0 zone=- periods=0 cost=- quotas=0 words=0;"
               "nobody@-1 v0 plan= limits=0 zone=- periods=0 cost=- quotas=0 words=0;");
    /* A contract before any event: the home is murmur2's, until events come elsewhere. */
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, plan, zone, limits) VALUES"
                " ('foobar', 'starter', 'Asia/Kolkata', '{\"api_calls\": 5}')");
    CHECK_SQL(&db, "SELECT shard, provisional FROM tripmeter.tenant_shard WHERE tenant <> '*'",
              "0 t");
    CHECK_SQL(&db, "SELECT (-790332482 & 2147483647) % 7", "0");
    query.claim_home = true;
    CHECK_TEXT(load(&query),
               "foobar@5 v1 plan=starter limits=1 zone=Asia/Kolkata periods=0 cost=- quotas=0"
               " words=0;"
               "nobody@5 v0 plan= limits=0 zone=- periods=0 cost=- quotas=0 words=0;");
    query.shard = 6; /* somebody else's events: the home stays */
    (void)load(&query);
    CHECK_SQL(&db, "SELECT tenant, shard, provisional FROM tripmeter.tenant_shard ORDER BY 1",
              "* 100000 f foobar 5 f nobody 5 f");
    CHECK_SQL(&db, "SELECT tripmeter.home_shard('nobody')", "5");
    db_end(&db);
}

/* A contract being written while the first event moves the home: the load waits and sees it. */
static void
test_contract_meets_event(void)
{
    const struct text names[] = {TEXT("foobar")};
    const struct load_query query = {.shard = 5, .names = names, .count = 1, .claim_home = true};
    struct err why;

    db_begin_layout(&db, 7);
    db_run(&db, "BEGIN");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, plan) VALUES ('foobar', 'pro')");
    heard[0] = '\0';
    CU_ASSERT_FATAL(store_load_send(db.store, &query, &why));
    CHECK_INT("waits", store_load_poll(db.store, 100, hear_tenant, NULL, &why), 0);
    db_run(&db, "COMMIT");
    CHECK_INT("answered", store_load_poll(db.store, 5000, hear_tenant, NULL, &why), 1);
    CHECK_TEXT(heard, "foobar@5 v1 plan=pro limits=0 zone=- periods=0 cost=- quotas=0 words=0;");

    /* Killed while it waits: the answer is an error, and the next load is whole. */
    db_kill_store(&db);
    CU_ASSERT(!store_load_send(db.store, &query, &why) ||
              store_load_poll(db.store, 5000, hear_tenant, NULL, &why) == -1);
    CHECK_INT("lost", why.class, ERR_RETRY);
    CU_ASSERT(store_broken(db.store));
    db_reopen(&db);
    CHECK_TEXT(load(&query),
               "foobar@5 v1 plan=pro limits=0 zone=- periods=0 cost=- quotas=0 words=0;");
    db_end(&db);
}

static void
test_totals_and_words(void)
{
    const struct text names[] = {TEXT("acme"), TEXT("zeta")};
    struct load_query query = {.shard = 0, .names = names, .count = 2, .claim_home = true};

    db_begin_layout(&db, 1);
    (void)load(&query);
    const struct claim claim = db_claim(&db, 0);
    struct settlement *const one = settlement_of(&claim, 0);

    settlement_book(one, "acme", 2, INT64_C(1500000000));
    *(struct quota_memory *)list_add(&one->quotas) = (struct quota_memory){
        .tenant = TEXT("acme"), .quota = TEXT("spend"), .period_ms = DB_PERIOD_MS, .spent = 1};
    *(struct quota_memory *)list_add(&one->quotas) =
        (struct quota_memory){.tenant = TEXT("acme"),
                              .quota = TEXT("spend"),
                              .period_ms = DB_PERIOD_MS,
                              .spent = UINT32_MAX,
                              .spent_amount = INT64_C(120500000001),
                              .since_ms = DB_HOUR_MS,
                              .pace = paced};
    *(struct quota_memory *)list_add(&one->quotas) = (struct quota_memory){
        .tenant = TEXT("zeta"), .quota = TEXT("spend"), .period_ms = DB_PERIOD_MS, .blocked = true};
    CHECK_INT("books", db_settle(&db, one), SETTLED);
    settlement_free(one);
    db_run(&db, "SELECT tripmeter.operator_say('tenant/acme', 'block', NULL, 'op', 'why')");
    db_run(&db,
           "SELECT tripmeter.operator_say('key/acme/k%2F1', 'allow', now() + '1 h', 'op', 'x')");
    db_run(&db, "SELECT tripmeter.operator_say('key/acme/k2', 'block', NULL, 'op', 'x')");
    db_run(&db, "SELECT tripmeter.operator_say('key/acme/k2', 'revoke', NULL, 'op', 'x')");
    db_run(&db, "SELECT tripmeter.operator_say('tenant/zeta', 'allow', NULL, 'op', 'x')");
    query.after_ms = DB_PERIOD_END_MS - 1;
    CHECK_TEXT(load(&query),
               "acme@0 v0 plan= limits=0 zone=- periods=1 cost=3.000000000 quotas=1"
               " words=2(allow);"
               "zeta@0 v0 plan= limits=0 zone=- periods=0 cost=- quotas=1 words=1(allow);");
    CHECK_SQL(&db, "SELECT spent, spent_amount FROM tripmeter.quota_state WHERE tenant = 'acme'",
              "4294967295 120.500000001");
    query.after_ms = DB_PERIOD_END_MS;
    query.count = 1;
    CHECK_TEXT(load(&query), "acme@0 v0 plan= limits=0 zone=- periods=0 cost=- quotas=1"
                             " words=2(allow);");
    CHECK_INT("the highest amount", (int64_t)heard_amount, INT64_C(120500000001));
    CHECK_INT("the day", heard_pace.day_ms, paced.day_ms);
    CHECK_INT("its number", heard_pace.days, paced.days);
    CHECK_INT("before it", (int64_t)heard_pace.before, (int64_t)paced.before);
    CHECK_INT("warned", heard_pace.warned && !heard_pace.warning, true);
    CHECK_INT("noticed", heard_pace.noticed && heard_pace.notice, true);
    CHECK_INT("forecast", (int64_t)heard_pace.forecast, (int64_t)paced.forecast);
    db_end(&db);
}

/* One unreadable contract must not keep a shard from starting. */
static void
test_bad_contract(void)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {.shard = 0, .names = names, .count = 1};
    char state[6];

    db_begin_layout(&db, 1);
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, plan, limits)"
                " VALUES ('acme', 'starter', '{\"api_calls\": [1]}')");
    CHECK_TEXT(load(&query), "acme@0 v1 plan=starter limits=0 zone=- periods=0 cost=- quotas=0"
                             " words=0;");
    CHECK_TEXT(db_state(&db,
                        "INSERT INTO tripmeter.tenant_version (tenant, zone)"
                        " VALUES ('acme', 'Mars/Olympus')",
                        state),
               "22023");
    CHECK_TEXT(db_state(&db,
                        "INSERT INTO tripmeter.tenant_version (tenant, valid_from)"
                        " VALUES ('acme', now() + '1 h')",
                        state),
               "23514");
    CHECK_TEXT(db_state(&db, "UPDATE tripmeter.tenant_version SET plan = 'x'", state), "55000");
    CHECK_TEXT(db_state(&db, "DELETE FROM tripmeter.tenant_version", state), "55000");
    CHECK_TEXT(db_state(&db, "TRUNCATE tripmeter.tenant_version", state), "55000");
    CHECK_TEXT(
        db_state(&db, "SELECT tripmeter.operator_say('planet/x', 'block', NULL, 'a', 'b')", state),
        "22023");
    CHECK_TEXT(
        db_state(&db, "SELECT tripmeter.operator_say('tenant/x', 'block', NULL, 'a', '')", state),
        "22023");
    db_end(&db);
}

static void
hear_name(void *context, struct text name)
{
    const size_t used = strlen(heard);

    ++*(int *)context;
    (void)snprintf(heard + used, sizeof heard - used, "%.*s ", (int)name.size, name.at);
}

static void
test_due(void)
{
    struct due_query query = {.shard = 2, .until_ms = DB_HOUR_MS};
    struct err why;
    int count = 0;

    db_begin_layout(&db, 4);
    db_run(&db,
           "INSERT INTO tripmeter.tenant_shard VALUES"
           " ('a', 2, false, '2026-03-01', false), ('b', 2, false, '2026-03-02', true),"
           " ('c', 2, false, 'infinity', true), ('d', 3, false, '2020-01-01', true),"
           " ('e', 2, false, 'infinity', false), ('f', 2, false, '2026-03-01 0:00:01', false)");
    heard[0] = '\0';
    CU_ASSERT(store_due(db.store, &query, hear_name, &count, &why));
    CHECK_TEXT(heard, "a ");
    query.restricted = true;
    heard[0] = '\0';
    CU_ASSERT(store_due(db.store, &query, hear_name, &count, &why));
    CHECK_TEXT(heard, "a b c ");
    db_run(&db, "INSERT INTO tripmeter.tenant_shard SELECT 'n' || n, 2, false, '2026-01-01', false"
                " FROM generate_series(1, 25000) n");
    query.restricted = false;
    count = 0;
    CU_ASSERT(store_due(db.store, &query, hear_name, &count, &why));
    CHECK_INT("more than one page", count, 25001);
    db_end(&db);
}

/* ---- commands ---------------------------------------------------------------------------------- */

static int64_t last_command;

static void
hear_command(void *context, int32_t shard, const struct command *command)
{
    static const char *const kinds[COMMAND_KIND_COUNT] = {
        [COMMAND_TENANT] = "tenant",   [COMMAND_WORD] = "word",   [COMMAND_POLICY] = "policy",
        [COMMAND_ENFORCE] = "enforce", [COMMAND_RETRY] = "retry", [COMMAND_RERATE] = "rerate"};
    const size_t used = strlen(heard);

    (void)context;
    last_command = command->id;
    (void)snprintf(heard + used, sizeof heard - used, "%d:%s(%.*s v%d words=%zu serial=%d on=%d) ",
                   (int)shard, kinds[command->kind], (int)command->tenant.size,
                   command->tenant.at == NULL ? "" : command->tenant.at, (int)command->load.version,
                   command->load.word_count, (int)command->serial, command->on);
}

static const char *
commands(const struct command_query *query)
{
    struct err why = {.class = ERR_NONE};

    heard[0] = '\0';
    if (!store_commands(db.store, query, hear_command, NULL, &why))
        printf("\n    %s\n", why.text);
    CHECK_INT("commands", why.class, ERR_NONE);
    return heard;
}

static void
apply(struct claim *claim, int64_t id, const char *error)
{
    struct settlement *const one = settlement_of(claim, 0);

    *(struct command_done *)list_add(&one->commands) =
        (struct command_done){.id = id, .at_ms = DB_HOUR_MS, .error = text_of(error)};
    CHECK_INT("applies", db_settle(&db, one), SETTLED);
    CHECK_INT("applies again", db_settle(&db, one), SETTLED);
    claim->seq++;
    one->seq++;
    CHECK_INT("applies twice", db_settle(&db, one), SETTLE_IMPOSSIBLE);
    settlement_free(one);
}

static void
test_commands(void)
{
    const int32_t shards[] = {0, 1};
    struct command_query query = {.shards = shards, .shard_count = 2};
    struct err why;

    /* Before any engine ran: they wait, and are given out with the layout. */
    db_begin(&db);
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, plan) VALUES ('foobar', 'free')");
    db_run(&db, "SELECT tripmeter.enforce(false, 'op', 'drill')");
    CHECK_TEXT(commands(&query), "");
    CU_ASSERT(store_layout(db.store, &db.config, 2, &why));
    CU_ASSERT(store_layout(db.store, &db.config, 2, &why));
    CHECK_TEXT(commands(&query), "0:tenant(foobar v1 words=0 serial=0 on=0) "
                                 "0:enforce( v0 words=0 serial=0 on=0) "
                                 "1:enforce( v0 words=0 serial=0 on=0) ");
    query.taken = &last_command;
    query.taken_count = 1;
    query.shard_count = 1;
    struct claim claim = db_claim(&db, 1);

    CHECK_INT("enforcing", claim.enforcing, true);
    CHECK_INT("waiting", claim.command_waiting, last_command);
    apply(&claim, last_command, NULL);
    CHECK_SQL(&db,
              "SELECT applied_time, epoch, settle_seq, error FROM tripmeter.command"
              " WHERE shard = 1",
              "2026-03-01 00:00:00+00 1 1 -");
    claim = db_claim(&db, 1);
    CHECK_INT("enforcing", claim.enforcing, false);
    CHECK_INT("waiting", claim.command_waiting, 0);

    /* A transaction that commits late with a lower id is not passed over. */
    PGconn *const slow = PQconnectdb(db.url);

    PQclear(PQexec(slow, "BEGIN; INSERT INTO tripmeter.tenant_version (tenant, plan)"
                         " VALUES ('a-little-bit-long-string', 'pro')"));
    db_run(&db, "SELECT tripmeter.operator_say('tenant/foobar', 'block', NULL, 'op', 'x')");
    CHECK_TEXT(commands(&query), "0:tenant(foobar v1 words=1 serial=0 on=0) "
                                 "0:enforce( v0 words=0 serial=0 on=0) "
                                 "0:word(foobar v1 words=1 serial=0 on=0) ");
    query.taken = &last_command;
    PQclear(PQexec(slow, "COMMIT"));
    PQfinish(slow);
    CHECK_TEXT(commands(&query), "0:tenant(foobar v1 words=1 serial=0 on=0) "
                                 "0:enforce( v0 words=0 serial=0 on=0) "
                                 "0:tenant(a-little-bit-long-string v1 words=0 serial=0 on=0) ");
    db_end(&db);
}

static void
test_layout(void)
{
    struct err why;

    db_begin_layout(&db, 4);
    CU_ASSERT(store_layout(db.store, &db.config, 4, &why));
    CU_ASSERT(store_layout(db.store, &db.config, 5, &why)); /* see store_growth */
    CU_ASSERT(!store_layout(db.store, &db.config, 3, &why));
    CHECK_INT("partitions", why.class, ERR_FATAL);
    db.config.kafka.topic_count = 1;
    db_reopen(&db);
    CU_ASSERT(!store_layout(db.store, &db.config, 4, &why));
    CHECK_INT("topics", why.class, ERR_FATAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "usage usage2"));
    db_end(&db);
}

static void
test_policy(void)
{
    const int32_t shards[] = {0, 1, 2};
    const struct command_query query = {.shards = shards, .shard_count = 3};
    struct text body;
    int64_t serial = 0;
    struct err why;

    db_begin_layout(&db, 3);
    db.config.policy_path = "policy.yaml";
    db.config.policy_body = "plans: {}";
    db.config.policy_size = strlen(db.config.policy_body);
    db.config.policy_hash[0] = 1;
    CU_ASSERT(store_policy(db.store, &db.config, false, false, &serial, &why));
    CHECK_INT("first", serial, 1);
    CU_ASSERT(store_policy(db.store, &db.config, false, false, &serial, &why));
    CHECK_INT("same", serial, 1);
    CHECK_TEXT(commands(&query), "0:policy( v0 words=0 serial=1 on=0) "
                                 "1:policy( v0 words=0 serial=1 on=0) "
                                 "2:policy( v0 words=0 serial=1 on=0) "
                                 "0:rerate( v0 words=0 serial=0 on=0) "
                                 "1:rerate( v0 words=0 serial=0 on=0) "
                                 "2:rerate( v0 words=0 serial=0 on=0) ");
    db.config.policy_hash[0] = 2;
    CU_ASSERT(store_policy(db.store, &db.config, false, false, &serial, &why));
    CHECK_INT("second", serial, 2);
    db.config.policy_hash[0] = 1;
    CU_ASSERT(!store_policy(db.store, &db.config, false, false, &serial, &why));
    CHECK_INT("older", why.class, ERR_FATAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "--activate"));
    CU_ASSERT(store_policy(db.store, &db.config, true, true, &serial, &why));
    CHECK_INT("activated", serial, 3);
    CU_ASSERT(store_policy_body(db.store, 3, db.arena, &body, &why));
    CU_ASSERT(text_eq(body, TEXT("plans: {}")));
    CU_ASSERT(!store_policy_body(db.store, 9, db.arena, &body, &why));
    db_end(&db);
}

struct plans_seen {
    size_t count;
    char names[64];
    bool rising;
};

static void
see_plans(void *context, const struct tenant_load *load)
{
    struct plans_seen *seen = context;
    size_t used = 0;

    seen->count = load->plan_count;
    seen->rising = true;
    for (size_t i = 0; i < load->plan_count; i++) {
        used += (size_t)snprintf(seen->names + used, sizeof seen->names - used, "%s%.*s",
                                 i == 0 ? "" : " ", (int)load->plans[i].plan.size,
                                 load->plans[i].plan.at == NULL ? "" : load->plans[i].plan.at);
        seen->rising &= i == 0 || load->plans[i].since_ms >= load->plans[i - 1].since_ms;
    }
}

/* A version that changes something else is no new plan. */
static void
test_plans(void)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {.shard = 0, .names = names, .count = 1, .contract_only = true};
    struct plans_seen seen = {.count = 0};

    db_begin_layout(&db, 1);
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, actor, plan) VALUES"
                " ('acme', 'a', NULL), ('acme', 'a', 'starter')");
    db_run(&db, "INSERT INTO tripmeter.tenant_version (tenant, actor, plan, zone) VALUES"
                " ('acme', 'a', 'starter', 'UTC'), ('acme', 'a', 'free', 'UTC')");
    db_load(&db, &query, see_plans, &seen);
    CHECK_INT("plans", seen.count, 3);
    CU_ASSERT_STRING_EQUAL(seen.names, " starter free");
    CU_ASSERT_TRUE(seen.rising);
    db_end(&db);
}

/* What is open, once it is settled, is loaded like this. */
static void
check_settled(store_on_tenant *see, const char *expected)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {
        .shard = 0, .names = names, .count = 1, .after_ms = DB_HOUR_MS};
    char seen[256] = "";

    db_settle_open(&db);
    db_load(&db, &query, see, seen);
    CU_ASSERT_STRING_EQUAL(seen, expected);
}

static void
see_counters(void *context, const struct tenant_load *load)
{
    char *seen = context;
    size_t used = 0;

    for (size_t i = 0; i < load->counter_count; i++) {
        const struct counter_memory *one = &load->counters[i];

        used += (size_t)snprintf(
            seen + used, 256 - used, "%.*s/%.*s %lld%s%s%s;", (int)one->quota.size, one->quota.at,
            (int)one->subject.size, one->subject.at, (long long)(one->used / MONEY_NANO_PER_UNIT),
            one->spent_amount == UINT32_MAX ? " told" : "", one->blocked ? " blocked" : "",
            one->end_ms == INT64_MAX ? " always" : "");
    }
}

/* The last of a key counts; what is over is loaded only while it is open. */
static void
test_counters(void)
{
    const struct counter_memory rows[] = {
        {.quota = TEXT_ROW("day"),
         .subject = TEXT_ROW("k1"),
         .end_ms = DB_HOUR_MS,
         .blocked = true},
        {.quota = TEXT_ROW("day"), .subject = TEXT_ROW("k2"), .end_ms = DB_HOUR_MS},
        {.quota = TEXT_ROW("day"), .subject = TEXT_ROW("k3"), .end_ms = DB_HOUR_MS + 1, .used = 5},
        {.quota = TEXT_ROW("day"),
         .subject = TEXT_ROW("k3"),
         .end_ms = DB_HOUR_MS + 1,
         .used = 7 * (tally)MONEY_NANO_PER_UNIT,
         .spent_amount = UINT32_MAX},
        {.quota = TEXT_ROW("seats"), .subject = TEXT_ROW(""), .end_ms = INT64_MAX},
    };

    db_begin_layout(&db, 1);
    db_open_shard(&db, 0);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct counter_memory *row = list_add(&db.open->counters);

        if (row == NULL)
            abort();
        *row = rows[i];
        row->tenant = TEXT("acme");
        row->start_ms = DB_HOUR_MS - CLOCK_DAY_MS;
    }
    check_settled(see_counters, "day/k1 0 blocked;day/k3 7 told;seats/ 0 always;");
    db_end(&db);
}

static void
see_throttles(void *context, const struct tenant_load *load)
{
    char *seen = context;
    size_t used = 0;

    for (size_t i = 0; i < load->throttle_count; i++) {
        const struct throttle_memory *one = &load->throttles[i];

        used += (size_t)snprintf(
            seen + used, 256 - used, "%s/%.*s %lld of %lld until %lld, %lld came for %lld%s%s%s;",
            burst_names[one->scope], (int)one->subject.size, one->subject.at, (long long)one->used,
            (long long)one->limit, (long long)(one->until_ms - one->began_ms), (long long)one->came,
            (long long)one->came_cost, one->attempts ? " attempts" : "",
            one->shadow ? " shadow" : "", one->alerted ? " alerted" : "");
    }
}

/* The last of a key counts; what is over is not loaded. */
static void
test_throttles(void)
{
    const struct throttle_memory rows[] = {
        {.scope = BURST_KEY, .subject = TEXT_ROW("k1"), .used = 61, .limit = 60, .over = true},
        {.scope = BURST_KEY, .subject = TEXT_ROW("k2"), .used = 61, .limit = 60},
        {.scope = BURST_KEY,
         .subject = TEXT_ROW("k2"),
         .used = 90,
         .limit = 60,
         .came = 7,
         .came_cost = 12,
         .attempts = true,
         .alerted = true},
        {.scope = BURST_TENANT, .subject = TEXT_ROW(""), .used = 3, .shadow = true},
    };

    db_begin_layout(&db, 1);
    db_open_shard(&db, 0);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct throttle_memory *row = list_add(&db.open->throttles);

        if (row == NULL)
            abort();
        *row = rows[i];
        row->tenant = TEXT("acme");
        row->began_ms = row->since_ms = row->told_ms = DB_HOUR_MS;
        row->until_ms = DB_HOUR_MS + 5000;
        row->times = 1;
    }
    check_settled(see_throttles, "key/k2 90 of 60 until 5000, 7 came for 12 attempts alerted;"
                                 "tenant/ 3 of 0 until 5000, 0 came for 0 shadow;");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"who is throttled", test_throttles},
    {"homes are murmur2's until events come", test_homes},
    {"a contract that meets the first event", test_contract_meets_event},
    {"quotas that count for themselves", test_counters},
    {"which plans a tenant had, since when", test_plans},
    {"totals, quotas and words of the periods asked for", test_totals_and_words},
    {"contracts that cannot be read, and versions that never change", test_bad_contract},
    {"what is due or restricted", test_due},
    {"commands reach their shard, once each", test_commands},
    {"another layout is refused", test_layout},
    {"policies have serials", test_policy},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_load = {.pName = "store_load", .pTests = tests};
