/* Protects: slots, unusual hours and breakers come back from Postgres as they were settled, the last
 * of a key wins, and hours are what their facts say. */
#include "core/baseline.h"
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>

static struct db db;

/* What was loaded, as far as it is compared. */
static struct {
    size_t hours, slots, breakers;
    struct feature_past hour[8];
    struct slot slot[8];
    struct breaker_memory breaker;
    char actor[32];
} loaded;

static void
hear(void *context, const struct tenant_load *load)
{
    (void)context;
    loaded.hours = load->hour_count;
    loaded.slots = load->slot_count;
    loaded.breakers = load->breaker_count;
    for (size_t i = 0; i < load->hour_count && i < 8; i++)
        loaded.hour[i] = load->hours[i];
    for (size_t i = 0; i < load->slot_count && i < 8; i++)
        loaded.slot[i] = load->slots[i].slot;
    if (load->breaker_count == 0)
        return;
    loaded.breaker = load->breakers[0];
    (void)text_copy(loaded.actor, sizeof loaded.actor, loaded.breaker.actor);
}

static void
load_features(bool features)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {.shard = 3,
                                     .after_ms = DB_HOUR_MS + CLOCK_DAY_MS,
                                     .features = features,
                                     .names = names,
                                     .count = 1};

    memset(&loaded, 0, sizeof loaded);
    db_load(&db, &query, hear, NULL);
}

static void
add_slot(int64_t start_ms, int64_t cost)
{
    struct feature_slot *row = list_add(&db.open->slots);

    assert(row != NULL);
    *row = (struct feature_slot){.tenant = TEXT("acme"),
                                 .feature = TEXT("search"),
                                 .slot = {.start_ms = start_ms,
                                          .cost = cost,
                                          .judged = cost / 2,
                                          .judged_calls = 3,
                                          .requests = 4,
                                          .attempts = 5,
                                          .fallbacks = 1,
                                          .input_tokens = (tally)1 << 60,
                                          .output_tokens = 7}};
}

static void
test_slots(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    add_slot(DB_HOUR_MS, 10);
    add_slot(DB_HOUR_MS + SLOT_MS, 20);
    add_slot(DB_HOUR_MS, 30);
    /* 65 minutes later it takes the place of the first one. */
    add_slot(DB_HOUR_MS + SLOT_COUNT * SLOT_MS, 40);
    db_settle_open(&db);
    load_features(true);
    CHECK_INT("places", loaded.slots, 2);
    CHECK_INT("the older one", loaded.slot[0].cost, 20);
    CHECK_INT("the last of its place", loaded.slot[1].cost, 40);
    CHECK_INT("start", loaded.slot[1].start_ms, DB_HOUR_MS + SLOT_COUNT * SLOT_MS);
    CHECK_INT("judged", loaded.slot[1].judged, 20);
    CHECK_INT("calls", loaded.slot[1].judged_calls, 3);
    CHECK_INT("requests", loaded.slot[1].requests, 4);
    CHECK_INT("attempts", loaded.slot[1].attempts, 5);
    CHECK_INT("fallbacks", loaded.slot[1].fallbacks, 1);
    CHECK_INT("tokens in", loaded.slot[1].input_tokens, (int64_t)1 << 60);
    CHECK_INT("tokens out", loaded.slot[1].output_tokens, 7);
    load_features(false);
    CHECK_INT("only where it is asked for", loaded.slots, 0);
    db_end(&db);
}

static void
add_hour(int64_t hour_ms, unsigned flags, int64_t learned)
{
    struct feature_hour *row = list_add(&db.open->hours);

    assert(row != NULL);
    *row = (struct feature_hour){.tenant = TEXT("acme"),
                                 .feature = TEXT("search"),
                                 .hour_ms = hour_ms,
                                 .flags = flags,
                                 .baseline = 9,
                                 .learned = learned};
}

static void
test_hours(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    add_hour(DB_HOUR_MS, HOUR_PARTIAL, 0);
    add_hour(DB_HOUR_MS + CLOCK_HOUR_MS, 0, 70);
    add_hour(DB_HOUR_MS, HOUR_PARTIAL | HOUR_TRIPPED, 5);
    /* Before all that counts. */
    add_hour(DB_HOUR_MS - 40 * CLOCK_DAY_MS, HOUR_TRIPPED, 0);
    db_settle_open(&db);
    load_features(true);
    CHECK_INT("hours", loaded.hours, 2);
    CHECK_INT("the last flags", loaded.hour[0].flags, HOUR_PARTIAL | HOUR_TRIPPED);
    CHECK_INT("baseline", loaded.hour[0].baseline, 9);
    CHECK_INT("learned of all rows", loaded.hour[0].cost, 5);
    CHECK_INT("the other", loaded.hour[1].cost, 70);
    /* What was booked is a piece of its own; refunds are not taken off. */
    db_run(&db,
           "INSERT INTO tripmeter.tenant_fact (tenant, project, feature, provider, model, hour,"
           " period, events, requests, attempts, failed, input_tokens, cache_read_tokens,"
           " cache_write_tokens, output_tokens, reasoning_tokens, images, audio_ms, bytes,"
           " unpriced, unverified, estimated, clamped, cost, charge, refunded)"
           " SELECT 'acme', p, 'search', '', '', '2026-03-01 00:00Z', '2026-03-01 00:00Z',"
           " 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2.5, 2.5, -0.5"
           " FROM unnest(ARRAY['a', 'b']) p");
    load_features(true);
    CHECK_INT("with the facts", loaded.hours, 3);
    CHECK_INT("of all projects", loaded.hour[0].cost + loaded.hour[1].cost + loaded.hour[2].cost,
              6 * MONEY_NANO_PER_UNIT + 75);
    db_end(&db);
}

static void
add_breaker(enum breaker_state state, int32_t opens)
{
    struct breaker_memory *row = list_add(&db.open->breakers);

    assert(row != NULL);
    *row = (struct breaker_memory){.tenant = TEXT("acme"),
                                   .feature = TEXT("search"),
                                   .usual = 4,
                                   .accepted = 5,
                                   .accepted_until_ms = DB_HOUR_MS,
                                   .actor = TEXT("jane")};
    breaker_init(&row->breaker);
    row->breaker.state = state;
    row->breaker.opens = opens;
    row->breaker.since_ms = DB_HOUR_MS;
    row->breaker.until_ms = DB_HOUR_MS + 1;
    row->breaker.opened_ms[0] = DB_HOUR_MS + 2;
    row->breaker.tripped_ms = DB_HOUR_MS + 3;
    row->breaker.baseline = 6;
    row->breaker.observed = 7;
    row->breaker.spent = 8;
    row->breaker.step = 2;
    row->breaker.waits = row->breaker.throttled = true;
    row->breaker.alarm = 301;
    row->breaker.shadow_ms = INT64_MAX;
    row->breaker.would_block = 9;
}

static void
test_breakers(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    add_breaker(BREAKER_OPEN, 1);
    add_breaker(BREAKER_HALF_OPEN, 2);
    db_settle_open(&db);
    load_features(true);
    const struct breaker *breaker = &loaded.breaker.breaker;

    CHECK_INT("one row", loaded.breakers, 1);
    CHECK_INT("the last state", breaker->state, BREAKER_HALF_OPEN);
    CHECK_INT("opens", breaker->opens, 2);
    CHECK_INT("since", breaker->since_ms, DB_HOUR_MS);
    CHECK_INT("until", breaker->until_ms, DB_HOUR_MS + 1);
    CHECK_INT("not calm", breaker->calm_ms, INT64_MAX);
    CHECK_INT("opened", breaker->opened_ms[0], DB_HOUR_MS + 2);
    CHECK_INT("never before", breaker->opened_ms[1], INT64_MIN);
    CHECK_INT("tripped", breaker->tripped_ms, DB_HOUR_MS + 3);
    CHECK_INT("baseline", breaker->baseline, 6);
    CHECK_INT("observed", breaker->observed, 7);
    CHECK_INT("spent", breaker->spent, 8);
    CHECK_INT("step", breaker->step, 2);
    CHECK_INT("waits", breaker->waits && breaker->throttled, true);
    CHECK_INT("alarm", breaker->alarm, 301);
    CHECK_INT("no warning", breaker->warn_ms, INT64_MAX);
    CHECK_INT("shadow for ever", breaker->shadow_ms, INT64_MAX);
    CHECK_INT("would not", breaker->would_ms, INT64_MAX);
    CHECK_INT("would have blocked", breaker->would_block, 9);
    CHECK_INT("usual", loaded.breaker.usual, 4);
    CHECK_INT("accepted", loaded.breaker.accepted, 5);
    CHECK_INT("until then", loaded.breaker.accepted_until_ms, DB_HOUR_MS);
    CHECK_INT("whose word", strcmp(loaded.actor, "jane"), 0);
    CHECK_INT("without a reason", loaded.breaker.reason.at == NULL, true);
    db_end(&db);
}

static void
test_moves(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    for (int i = 0; i < 2; i++) {
        struct breaker_move *row = list_add(&db.open->moves);

        assert(row != NULL);
        *row = (struct breaker_move){.tenant = TEXT("acme"),
                                     .feature = TEXT("search"),
                                     .at_ms = DB_HOUR_MS,
                                     .from = i == 0 ? BREAKER_CLOSED : BREAKER_OPEN,
                                     .to = i == 0 ? BREAKER_OPEN : BREAKER_HALF_OPEN,
                                     .opens = 1,
                                     .observed = (tally)13 * MONEY_NANO_PER_UNIT,
                                     .trigger = i == 0 ? TEXT("event-1") : (struct text){NULL, 0}};
    }
    db_settle_open(&db);
    CHECK_SQL(&db,
              "SELECT from_state || '>' || to_state || ' ' || observed || ' '"
              " || coalesce(trigger, '-') || ' ' || shard FROM tripmeter.breaker_move ORDER BY id",
              "closed>open 13.000000000 event-1 3 open>half_open 13.000000000 - 3");
    /* A breaker that restricts waits for something, or the database refuses it. */
    char state[6];

    CHECK_INT(
        "no deadline",
        strcmp(db_state(&db,
                        "INSERT INTO tripmeter.feature_breaker VALUES ('a', 'b', 'open', NULL,"
                        " 'infinity', 1, 'infinity', NULL, NULL, NULL, 0, 0, 0, 0, false,"
                        " false, 0, 'infinity', NULL, 'infinity', 0, 0, 0, NULL, NULL, NULL)",
                        state),
               "23514"),
        0);
    db_end(&db);
}

/* Features in trouble, and what shadow would have done, in the week they were so. */
static void
test_views(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    db_run(
        &db,
        "INSERT INTO tripmeter.breaker_move (tenant, feature, at, from_state, to_state, would,"
        " opens, baseline, observed, would_block, shard) VALUES"
        " ('acme', 'search', '2026-03-03 10:00Z', 'closed', 'open', false, 1, 4, 13, 0, 3),"
        " ('acme', 'search', '2026-03-03 11:00Z', 'half_open', 'open', false, 2, 4, 13, 0, 3),"
        " ('acme', 'search', '2026-03-03 12:00Z', 'half_open', 'latched', false, 3, 4, 13, 0, 3),"
        " ('acme', 'tried', '2026-03-04 10:00Z', 'shadow', 'shadow', true, 0, 4, 13, 0, 3),"
        " ('acme', 'tried', '2026-03-04 10:15Z', 'shadow', 'shadow', true, 0, 4, 13, 7.25, 3),"
        " ('acme', 'tried', '2026-03-11 10:00Z', 'shadow', 'shadow', true, 0, 4, 13, 0, 3)");
    db_run(&db,
           "INSERT INTO tripmeter.tenant_fact SELECT 'acme', '', f, 'p', 'm',"
           " '2026-03-03 10:00Z', '2026-03-01 00:00Z', 10, r, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
           " 0, 0, 0, 5, 5, 0 FROM (VALUES ('search', 10), ('tried', 10), ('quiet', 8),"
           " ('again', 7)) AS v(f, r)");
    db_run(&db,
           "INSERT INTO tripmeter.throttle SELECT 'acme', 'key', k, a, a, a + interval '1 min',"
           " a, 2, u, 60, 30, 1.5, false, s, false, true FROM (VALUES"
           " ('k1', '2026-03-03 10:00Z'::timestamptz, 61, true),"
           " ('k1', '2026-03-04 10:00Z', 75, true), ('k2', '2026-03-04 10:00Z', 99, false))"
           " AS v(k, a, u, s)");
    /* Of 5.00 an hour for four features, the hour that began after the limit was reached. */
    db_run(&db, "INSERT INTO tripmeter.quota_state SELECT 'acme', q, '', '2026-03-01 00:00Z', s, 0,"
                " false, false, at, '1970-01-01Z', 0, 0, false, false, false, false, 0 FROM (VALUES"
                " ('tried', 100, '2026-03-03 09:30Z'::timestamptz),"
                " ('enforced', 100, '2026-03-03 09:31Z'), ('alert', 100, '1970-01-01Z'),"
                " ('below', 90, '2026-03-03 09:30Z')) AS v(q, s, at)");
    db_run(&db, "INSERT INTO tripmeter.decision (scope, tenant, at, outcome, restrictions, shard,"
                " epoch, policy) VALUES ('tenant/acme', 'acme', '2026-03-03 09:31Z', 'block',"
                " '[{\"code\": \"plan_allowance_exhausted\", \"rule\": \"quota/enforced\"}]', 3,"
                " 1, 1)");
    CHECK_SQL(&db,
              "SELECT feature || ' ' || trips || '/' || latched || ' ' || would_trips || ' '"
              " || trim_scale(would_block) || ' ' || again_percent FROM tripmeter.v_feature_trouble"
              " ORDER BY feature",
              "again 0/0 0 0 30.0 search 3/1 0 0 0.0 tried 0/0 1 7.25 0.0");
    CHECK_SQL(&db,
              "SELECT week || ' ' || rule || ' ' || subject || ' ' || times || ' '"
              " || coalesce(would_refuse::text, '-') || ' ' || trim_scale(would_block)"
              " FROM tripmeter.v_shadow ORDER BY week, rule",
              "2026-03-02 breaker/runaway tried 1 - 7.25 2026-03-02 burst/key k1 4 60 3 "
              "2026-03-02 quota/tried  1 - 20 2026-03-09 breaker/runaway tried 1 - 0");
    CHECK_SQL(&db, "SELECT used_most FROM tripmeter.v_throttle WHERE NOT shadow", "99");
    db_end(&db);
}

/* Keys that are throttled much, and how little of what they send succeeds. */
static void
test_throttled_keys(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    db_run(&db, "INSERT INTO tripmeter.throttle SELECT 'acme', sc, k, a, a, a + interval '1 min',"
                " a, 2, 61, 60, 0, 0, false, s, false, true FROM (VALUES"
                " ('key', 'k1', '2026-03-03 10:00Z'::timestamptz, false),"
                " ('key', 'k1', '2026-03-05 10:00Z', false), ('key', 'k2', '2026-03-05Z', true),"
                " ('ip', '::1', '2026-03-05Z', false)) AS v(sc, k, a, s)");
    db_run(&db, "INSERT INTO tripmeter.gateway_decision (topic, partition, record_offset,"
                " event_index, at, tenant, source, id, key, outcome) SELECT 'usage', 0, n, 0,"
                " '2026-03-04Z', 'acme', 's', n::text, k, o FROM (VALUES (1, 'k1', 'throttle'),"
                " (2, 'k3', 'throttle'), (3, 'k3', 'block'), (4, '', 'throttle')) AS v(n, k, o)");
    db_run(&db, "INSERT INTO tripmeter.key_fact SELECT 'acme', 'k1', '2026-03-03 10:00Z',"
                " '2026-03-01 00:00Z', 8, 8, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 0");
    CHECK_SQL(&db,
              "SELECT key || ' ' || times || ' ' || coalesce(refused_calls::text, '-') || ' '"
              " || succeeded || '/' || attempts || ' ' || coalesce(success_percent::text, '-')"
              " FROM tripmeter.v_key_throttled ORDER BY times DESC, success_percent",
              "k1 4 1 2/8 25.0 k3 0 1 0/0 -");
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"views of trouble and of shadow", test_views},
    {"the view of throttled keys", test_throttled_keys},
    {"slots", test_slots},
    {"hours", test_hours},
    {"breakers", test_breakers},
    {"moves", test_moves},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_store_features = {.pName = "store_features", .pTests = tests};
