/* Protects: alerts are numbered once, dead letters are one row, events kept whole find their table,
 * and a claim sees what its predecessor committed. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>
#include <pthread.h>

static struct db db;

/* Settles what is open, twice, and opens the next. */
static struct settle_result
settle(void)
{
    CHECK_INT(db.why.text, db_settle(&db, db.open), SETTLED);
    const struct settle_result result = db.settled;

    db_settle_open(&db);
    CHECK_INT("settles again", db.settled.resent, true);
    return result;
}

/* ---- alerts -------------------------------------------------------------------------------------- */

static struct transition
quota_alert(enum move move, int32_t step)
{
    return (struct transition){
        .move = move,
        .rule = TEXT("quota/spend"),
        .labels = {[LABEL_TENANT] = TEXT("acme"), [LABEL_PERIOD] = TEXT("2026-03-01T00:00:00Z")},
        .severity = step >= 90 ? SEVERITY_CRITICAL : SEVERITY_INFO,
        .at_ms = DB_HOUR_MS + step,
        .step = step,
        .crossed = {50, step},
        .crossed_count = 2,
        .has_value = true,
        .is_money = true,
        .value = INT64_C(90000000001),
        .threshold = INT64_C(100000000000),
        .unit = TEXT("USD"),
        .reason = move == MOVE_RESOLVE ? RESOLVED_LIMIT_RAISED : RESOLVED_NOT,
        .restricts = step >= 100,
    };
}

static void
add_alert(enum move move, int32_t step)
{
    *(struct transition *)list_add(&db.open->transitions) = quota_alert(move, step);
}

static void
test_transitions(void)
{
    db_begin(&db);
    db_open_shard(&db, 0);
    add_alert(MOVE_RESOLVE, 0); /* nothing is open: nothing */
    add_alert(MOVE_FIRE, 75);
    add_alert(MOVE_FIRE, 75); /* firing again without a higher step: nothing */
    CHECK_INT("written", settle().transitions, 1);
    add_alert(MOVE_FIRE, 90);
    add_alert(MOVE_FIRE, 50); /* nor a lower one */
    add_alert(MOVE_STEP, 100);
    add_alert(MOVE_STEP, 75); /* armed again meanwhile */
    CHECK_INT("written", settle().transitions, 3);
    add_alert(MOVE_RESOLVE, 0);
    add_alert(MOVE_FIRE, 50);
    CHECK_INT("written", settle().transitions, 2);
    CHECK_SQL(
        &db,
        "SELECT episode, seq, move, step, severity, restricts, reason FROM tripmeter.transition"
        " ORDER BY seq",
        "1 1 fire 75 info f - 1 2 step 90 critical f - 1 3 step 100 critical t -"
        " 1 4 step 75 info f - 1 5 resolve 0 info t limit_raised 2 6 fire 50 info f -");
    CHECK_SQL(&db, "SELECT episode, step, resolved_at IS NULL FROM tripmeter.episode ORDER BY 1",
              "1 75 f 2 50 t");
    /* printf 'v1\0quota/spend\0period=2026-03-01T00:00:00Z\0tenant=acme\0' | sha256sum */
    CHECK_SQL(&db,
              "SELECT DISTINCT fingerprint = left(encode(sha256('v1\\000quota/spend\\000"
              "period=2026-03-01T00:00:00Z\\000tenant=acme\\000'::bytea), 'hex'), 16)"
              " FROM tripmeter.transition",
              "t");
    CHECK_SQL(&db,
              "SELECT labels, crossed, value, threshold, unit, tenant, shard"
              " FROM tripmeter.transition WHERE seq = 2",
              "{\"period\": \"2026-03-01T00:00:00Z\", \"tenant\": \"acme\"} {50,90} 90.000000001"
              " 100.000000000 USD acme 0");
    db_end(&db);
}

/* Of money with nine decimals, of counts with none; a percentage has none of it. */
static void
test_step_amounts(void)
{
    struct transition money = quota_alert(MOVE_FIRE, 0);
    struct transition count = quota_alert(MOVE_FIRE, 0);

    money.crossed_count = 1;
    money.step_amount = money.crossed_amounts[1] = INT64_C(120500000000);
    money.crossed_amounts[0] = INT64_C(1000000001);
    money.crossed_amount_count = 2;
    count.rule = TEXT("quota/calls");
    count.is_money = false;
    count.crossed_count = 0;
    count.step_amount = count.crossed_amounts[0] = 5000;
    count.crossed_amount_count = 1;
    db_begin(&db);
    db_open_shard(&db, 0);
    *(struct transition *)list_add(&db.open->transitions) = money;
    *(struct transition *)list_add(&db.open->transitions) = count;
    CHECK_INT("written", settle().transitions, 2);
    CHECK_SQL(&db,
              "SELECT step, step_amount, crossed, crossed_amounts FROM tripmeter.transition"
              " ORDER BY rule DESC",
              "0 120.500000000 {50} {1.000000001,120.500000000} 0 5000 {} {5000}");
    add_alert(MOVE_STEP, 75);
    CHECK_INT("written", settle().transitions, 1);
    CHECK_SQL(&db,
              "SELECT step, step_amount, crossed_amounts, severity FROM tripmeter.transition"
              " WHERE seq = 2",
              "75 - {} info");
    CHECK_SQL(&db, "SELECT step, step_amount FROM tripmeter.episode ORDER BY rule", "0 5000 75 -");
    db_end(&db);
}

static void
test_raise(void)
{
    struct transition alert = {
        .move = MOVE_FIRE,
        .rule = TEXT("engine/partition_halted"),
        .labels = {[LABEL_TOPIC] = TEXT("usage"), [LABEL_PARTITION] = TEXT("3")},
        .severity = SEVERITY_CRITICAL,
        .at_ms = DB_HOUR_MS,
        .has_value = true,
        .value = 7};
    struct err why;

    db_begin(&db);
    for (int i = 0; i < 2; i++)
        CU_ASSERT(store_raise(db.store, &alert, &why));
    CHECK_SQL(&db, "SELECT episode, seq, value, shard FROM tripmeter.transition", "1 1 7 -");
    alert.move = MOVE_RESOLVE;
    alert.reason = RESOLVED_OPERATOR;
    for (int i = 0; i < 2; i++)
        CU_ASSERT(store_raise(db.store, &alert, &why));
    CHECK_SQL(&db, "SELECT seq, move, reason FROM tripmeter.transition ORDER BY 1",
              "1 fire - 2 resolve operator");
    db_end(&db);
}

/* What is raised about the input of a UTC day ends with it; what else is open stays so. */
static void
test_close_days(void)
{
    struct transition alert = {.move = MOVE_FIRE,
                               .rule = TEXT("ingest/unknown_tenant"),
                               .labels = {[LABEL_PERIOD] = TEXT("2026-03-01T00:00:00Z")},
                               .severity = SEVERITY_INFO,
                               .at_ms = DB_HOUR_MS};
    struct err why;

    db_begin(&db);
    CU_ASSERT(store_raise(db.store, &alert, &why));
    alert.rule = TEXT("quota/api_calls");
    CU_ASSERT(store_raise(db.store, &alert, &why));
    alert.rule = TEXT("ingest/partition_halted");
    alert.labels[LABEL_PERIOD] = (struct text){NULL, 0};
    alert.labels[LABEL_TOPIC] = TEXT("usage");
    CU_ASSERT(store_raise(db.store, &alert, &why));
    CU_ASSERT(store_close_days(db.store, DB_HOUR_MS + CLOCK_DAY_MS - 1, &why));
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.episode WHERE resolved_at IS NOT NULL", "0");
    for (int i = 0; i < 2; i++)
        CU_ASSERT(store_close_days(db.store, DB_HOUR_MS + CLOCK_DAY_MS, &why));
    CHECK_SQL(
        &db,
        "SELECT rule, resolved_at, reason FROM tripmeter.episode WHERE resolved_at IS NOT NULL",
        "ingest/unknown_tenant 2026-03-02 00:00:00+00 period_rollover");
    CHECK_SQL(
        &db,
        "SELECT seq, move, shard FROM tripmeter.transition WHERE rule = 'ingest/unknown_tenant'",
        "1 fire - 2 resolve -");
    db_end(&db);
}

static void
test_decisions(void)
{
    struct scope_state *state;

    db_begin(&db);
    db_open_shard(&db, 0);
    db.open->policy = 4;
    state = list_add(&db.open->decisions);
    assert(state != NULL);
    *state = (struct scope_state){.scope = TEXT("tenant/acme"),
                                  .tenant = TEXT("acme"),
                                  .epoch = db.claim.epoch,
                                  .at_ms = DB_HOUR_MS,
                                  .trigger = TEXT("e-1")};
    state->restrictions[state->count++] =
        (struct restriction){.code = CODE_plan_allowance_exhausted,
                             .rank = 3,
                             .rule = TEXT("quota/spend"),
                             .since_ms = DB_HOUR_MS,
                             .ends_ms = INT64_MAX,
                             .has_usage = true,
                             .is_money = true,
                             .used = INT64_C(100000000001),
                             .limit = INT64_C(100000000000),
                             .currency = TEXT("USD"),
                             .resets_ms = DB_PERIOD_END_MS};
    state = list_add(&db.open->decisions);
    assert(state != NULL);
    *state = (struct scope_state){
        .scope = TEXT("tenant/acme"), .tenant = TEXT("acme"), .at_ms = DB_HOUR_MS + 1};
    (void)settle();
    CHECK_SQL(&db, "SELECT outcome, code, trigger, policy FROM tripmeter.decision ORDER BY id",
              "block plan_allowance_exhausted e-1 4 allow - - 4");
    CHECK_SQL(&db,
              "SELECT restrictions->0->>'used', restrictions->0->>'resets_at',"
              " restrictions->0->>'ends' FROM tripmeter.decision WHERE outcome = 'block'",
              "100.000000001 2026-04-01T00:00:00Z -");
    db_end(&db);
}

/* ---- dead letters -------------------------------------------------------------------------------- */

static void
add_dead(int64_t offset, int32_t index, const char *value)
{
    struct dead_letter *const dead = list_add(&db.open->dead);

    assert(dead != NULL);
    *dead = (struct dead_letter){.offset = offset,
                                 .index = index,
                                 .time_ms = DB_HOUR_MS,
                                 .why = {.reason = DEAD_time_ahead, .detail = "time"},
                                 .tenant = TEXT("acme"),
                                 .hash = "ab",
                                 .value = text_of(value),
                                 .fingerprint = UINT64_MAX};
}

static void
move_by(int64_t records, int64_t from)
{
    db.open->progress[0] = (struct progress){.from = from,
                                             .next = from + records,
                                             .processed = records,
                                             .dead = records,
                                             .last_offset = from + records - 1,
                                             .moved = true};
}

static struct dead_letter letters[4];
static int letter_count;

static void
hear_dead(void *context, const struct dead_letter *dead, int32_t shard)
{
    (void)context;
    CHECK_INT("shard", shard, 0);
    if (letter_count < 4)
        letters[letter_count++] = *dead;
}

static void
hear_retry(void *context, int32_t shard, const struct command *command)
{
    (void)shard;
    CHECK_INT("kind", command->kind, COMMAND_RETRY);
    CHECK_INT("offset", command->retry.offset, 2001);
    CHECK_INT("index", command->retry.index, 3);
    CHECK_INT("time", command->retry.time_ms, DB_HOUR_MS);
    CU_ASSERT(text_eq(command->retry.value, TEXT("{}")));
    CU_ASSERT(text_eq(command->retry.key, TEXT("acme")));
    CU_ASSERT(text_eq(command->retry.topic, TEXT("usage")));
    *(int64_t *)context = command->id;
}

#define RETRY \
    "SELECT tripmeter.dead_retry('usage', 0, 2001, 3, '2026-03-01Z', 'acme', '{}', 'op', 'fixed')"

static int64_t
retry(const char *error)
{
    const int32_t shard = 0;
    const struct command_query query = {.shards = &shard, .shard_count = 1};
    int64_t id = 0;
    struct err why;
    char state[6];

    db_run(&db, RETRY);
    CHECK_INT("under way", strcmp(db_state(&db, RETRY, state), "55000"), 0);
    CU_ASSERT(store_commands(db.store, &query, hear_retry, &id, &why));
    *(struct command_done *)list_add(&db.open->commands) =
        (struct command_done){.id = id, .at_ms = DB_HOUR_MS, .error = text_of(error)};
    return id;
}

static void
test_dead(void)
{
    struct err why;
    char state[6];

    db_begin(&db);
    db_open_shard(&db, 0);
    move_by(2002, 0);
    add_dead(5, 0, NULL); /* further back than dedupe.records: the tail does not reach it */
    add_dead(2000, 0, "\x01\xff");
    add_dead(2001, 3, NULL);
    CHECK_INT("dead", settle().dead_count, 3);
    CHECK_SQL(&db,
              "SELECT reason, retryable, payload, hash FROM tripmeter.dead_letter"
              " WHERE record_offset = 2000",
              "time_ahead t \\x01ff ab");

    CU_ASSERT(store_dead_unpublished(db.store, 0, hear_dead, NULL, &why));
    CHECK_INT("unpublished", letter_count, 3);
    CHECK_INT("in order", letters[1].offset, 2000);
    CHECK_INT("reason", letters[1].why.reason, DEAD_time_ahead);
    CU_ASSERT(store_dead_published(db.store, 0, letters, 2, &why));
    letter_count = 0;
    CU_ASSERT(store_dead_unpublished(db.store, 0, hear_dead, NULL, &why));
    CHECK_INT("unpublished", letter_count, 1);

    db_open_shard(&db, 0);
    CHECK_INT("skipped by the tail", db.claim.dead_count[0], 2);
    CHECK_INT("skipped by the tail", db.claim.dead[0][0], 2000 * 4096);
    CHECK_INT("skipped by the tail", db.claim.dead[0][1], 2001 * 4096 + 3);

    /* Refused again: still one letter; then accepted. */
    (void)retry("time_ahead");
    add_dead(2001, 3, NULL);
    (void)settle();
    CHECK_SQL(&db, "SELECT count(*), max(retries), count(resolved_at) FROM tripmeter.dead_letter",
              "3 1 0");
    (void)retry(NULL);
    (void)settle();
    CHECK_SQL(&db, "SELECT record_offset FROM tripmeter.dead_letter WHERE resolved_at IS NOT NULL",
              "2001");
    CHECK_INT("done", strcmp(db_state(&db, RETRY, state), "55000"), 0);
    CHECK_INT("tail", db_claim(&db, 0).dead_count[0], 1);
    db_end(&db);
}

/* ---- events kept whole --------------------------------------------------------------------------- */

static struct kept_event *
add_kept(enum event_kind kind, int64_t offset, const char *word, int64_t value)
{
    struct kept_event *const event = list_add(&db.open->kept);

    assert(event != NULL);
    *event = (struct kept_event){
        .kind = kind,
        .offset = offset,
        .at_ms = DB_HOUR_MS + value,
        .tenant = TEXT("acme"),
        .source = TEXT("gw"),
        .id = TEXT("1"),
        .has_amount = kind == EVENT_TOPUP,
        .amount = {.nano = value},
        .word = text_of(word),
        .value = value,
        .body = TEXT("{\"a\":1}"),
    };
    return event;
}

static void
test_kept(void)
{
    struct unpriced_event *unpriced;

    db_begin(&db);
    db_open_shard(&db, 0);
    (void)add_kept(EVENT_RESERVE, 1, "r1", 0);
    (void)add_kept(EVENT_RELEASE, 2, "r1", 0);
    (void)add_kept(EVENT_CORRECT, 3, "x", 0);
    (void)add_kept(EVENT_DECISION, 4, "block", 0);
    (void)add_kept(EVENT_VALUE, 5, "won", 0);
    (void)add_kept(EVENT_TOPUP, 6, "ref-1", 5);
    (void)add_kept(EVENT_TOPUP, 7, "ref-1", 6); /* once per reference, also in one settlement */
    (void)add_kept(EVENT_GAUGE, 8, "seats", 20);
    (void)add_kept(EVENT_GAUGE, 9, "seats", 10); /* older by event time */
    unpriced = list_add(&db.open->unpriced);
    assert(unpriced != NULL);
    *unpriced = (struct unpriced_event){.offset = 10,
                                        .at_ms = DB_HOUR_MS,
                                        .tenant = TEXT("acme"),
                                        .source = TEXT("gw"),
                                        .id = TEXT("2"),
                                        .model = TEXT("m"),
                                        .hour_ms = DB_HOUR_MS,
                                        .period_ms = DB_PERIOD_MS,
                                        .usage = {1, 2, 3, 4, 5, 6, 7, 8, 9}};
    (void)settle();
    (void)add_kept(EVENT_TOPUP, 11, "ref-1", 7);
    (void)add_kept(EVENT_TOPUP, 12, "ref-2", 8);
    (void)add_kept(EVENT_GAUGE, 13, "seats", 19);
    (void)settle();
    CHECK_SQL(&db,
              "SELECT kind, record_offset, reference, body->'a' FROM tripmeter.kept_event"
              " ORDER BY 2",
              "reserve 1 r1 1 release 2 r1 1 correct 3 x 1");
    CHECK_SQL(&db, "SELECT outcome, estimated_cost FROM tripmeter.gateway_decision", "block -");
    CHECK_SQL(&db, "SELECT name FROM tripmeter.customer_value", "won");
    CHECK_SQL(&db, "SELECT reference, amount FROM tripmeter.ledger ORDER BY 1",
              "ref-1 0.000000005 ref-2 0.000000008");
    CHECK_SQL(&db, "SELECT name, value, record_offset FROM tripmeter.gauge", "seats 20 8");
    CHECK_SQL(&db, "SELECT requests, input_tokens, bytes, provider, model FROM tripmeter.unpriced",
              "1 2 9 - m");
    db_end(&db);
}

/* ---- claims -------------------------------------------------------------------------------------- */

static void
test_kept_claim(void)
{
    struct err why;

    db_begin(&db);
    db_open_shard(&db, 0);
    (void)settle();
    struct claim mine = {.shard = 0, .epoch = db.claim.epoch, .seq = db.claim.seq};

    CU_ASSERT(store_claim(db.store, "me", &mine, db.arena, &why));
    CHECK_INT("as left", mine.kept, true);
    CHECK_INT("as left", mine.epoch, db.claim.epoch);
    mine.seq--;
    CU_ASSERT(store_claim(db.store, "me", &mine, db.arena, &why));
    CHECK_INT("a settlement behind", mine.kept, false);
    CHECK_INT("a settlement behind", mine.epoch, db.claim.epoch + 1);
    CU_ASSERT(store_claim(db.store, "other", &mine, db.arena, &why));
    CHECK_INT("another owner", mine.kept, false);
    db_end(&db);
}

static void *
claim_late(void *context)
{
    struct claim *const late = context;
    struct err why;

    CU_ASSERT(store_claim(db.store, "successor", late, db.arena, &why));
    return NULL;
}

/* The successor's claim stands still until the predecessor's settlement is committed, and sees it. */
static void
test_claim_waits(void)
{
    struct claim late = {.shard = 0, .epoch = -1, .seq = -1};
    pthread_t thread;

    db_begin(&db);
    db_open_shard(&db, 0);
    db_run(&db, "BEGIN");
    db_run(&db, "SELECT tripmeter.settle_begin(0, 1, 0, '2026-03-05Z', 0, 'epoch')");
    CHECK_INT("thread", pthread_create(&thread, NULL, claim_late, &late), 0);
    PGconn *const watcher = db_connect(&db);
    bool waiting = false;

    for (int i = 0; i < 5000 && !waiting; i++) {
        PGresult *const seen =
            PQexec(watcher, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                            " AND application_name = 'test' AND datname = current_database()");

        waiting = PQntuples(seen) == 1;
        PQclear(seen);
    }
    CHECK_INT("waits", waiting, true);
    PQfinish(watcher);
    db_run(&db, "COMMIT");
    CHECK_INT("thread", pthread_join(thread, NULL), 0);
    CHECK_INT("sees it", late.seq, 1);
    CHECK_INT("sees it", late.time_ms, DB_HOUR_MS + INT64_C(4) * 86400000);
    db_end(&db);
}

static CU_TestInfo tests[] = {
    {"alerts are numbered over settlements", test_transitions},
    {"steps that are amounts", test_step_amounts},
    {"alerts outside settlements", test_raise},
    {"an alert about the input of a day is closed with it", test_close_days},
    {"decisions", test_decisions},
    {"dead letters, and reading them again", test_dead},
    {"events kept whole", test_kept},
    {"a claim of what is held keeps it", test_kept_claim},
    {"a claim waits for the predecessor's commit", test_claim_waits},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_store_rows = {.pName = "store_rows", .pTests = tests};
