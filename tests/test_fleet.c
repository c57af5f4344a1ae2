/* Protects: a feature over all tenants is cut when many of them spend too much, not when one does; by
 * what is settled, once, over restarts; and sources are noted once a minute. */
#include "config/config.h"
#include "config/zones.h"
#include "rules/fleet.h"
#include "rules/shard_state.h"
#include "tests/check.h"

#define MINUTE CLOCK_MINUTE_MS
#define SLOTS  52 /* of four features */

static const char enforced[] = "fallback_plan: free\n"
                               "plans: {free: {quotas: {none: {meter: requests, limit: 0}}}}\n"
                               "breakers:\n"
                               "  fleet:\n"
                               "    features: {search: {budget: 10.00}}\n";
static const char learned[] = "fallback_plan: free\n"
                              "plans: {free: {quotas: {}}}\n"
                              "breakers: {mode: enforce, fleet: {absolute: 30.00}}\n";

/* 2026-03-02 10:00 UTC. */
static const int64_t start_ms = INT64_C(1772445600000);

static struct policy *policy;
static struct shard *shard;
static struct arena *memory;
static struct metric_set metrics;
static int64_t epoch;
static int64_t seq;
static int64_t now_ms;

/* What Postgres would hold of the fleet. */
static struct feature_slot slots[SLOTS];
static size_t slot_count;
static struct feature_past hours[64];
static size_t hour_count;
static struct breaker_memory breaker;
static bool has_breaker;

/* What came out since forget(). */
static struct {
    size_t alerts;
    struct transition alert; /* the last one */
    size_t decisions;
    enum outcome outcome;
    struct restriction restriction;
    char scope[SCOPE_SIZE];
    size_t asked;
} out;

/* ---- a Postgres of arrays ------------------------------------------------------------------------ */

static struct text
kept(struct text text)
{
    const bool good = arena_keep(memory, &text);

    CU_ASSERT_TRUE(good);
    return text;
}

static void
store_slot(const struct feature_slot *row)
{
    size_t i = 0;

    while (i < slot_count && (slots[i].slot.start_ms != row->slot.start_ms ||
                              !text_eq(slots[i].feature, row->feature)))
        i++;
    if (i == SLOTS)
        return;
    slot_count += i == slot_count;
    slots[i] = *row;
    slots[i].feature = kept(row->feature);
}

static void
store_hour(const struct feature_hour *row)
{
    size_t i = 0;

    while (i < hour_count && hours[i].at_ms != row->hour_ms)
        i++;
    if (i == 64)
        return;
    if (i == hour_count)
        hours[hour_count++] = (struct feature_past){.at_ms = row->hour_ms};
    hours[i].feature = kept(row->feature);
    hours[i].cost += row->learned;
    hours[i].flags = row->flags;
}

static void
listen(void)
{
    struct scope_state *const *states;
    const size_t count = shard_wanted(shard, &states);

    for (size_t i = 0; i < count; i++) {
        out.decisions++;
        out.outcome = scope_outcome(states[i]);
        (void)text_copy(out.scope, sizeof out.scope, states[i]->scope);
        if (states[i]->count > 0)
            out.restriction = *scope_copy(states[i], memory)->restrictions;
    }
    shard_wanted_taken(shard, count);
}

static void
settle(void)
{
    const struct settlement *settlement = shard_freeze(shard);

    for (size_t i = 0; settlement != NULL && i < settlement->slots.count; i++)
        store_slot(list_at(&settlement->slots, i));
    for (size_t i = 0; settlement != NULL && i < settlement->hours.count; i++)
        store_hour(list_at(&settlement->hours, i));
    for (size_t i = 0; settlement != NULL && i < settlement->breakers.count; i++) {
        breaker = *(struct breaker_memory *)list_at(&settlement->breakers, i);
        breaker.feature = kept(breaker.feature);
        breaker.actor = breaker.reason = (struct text){NULL, 0};
        has_breaker = true;
    }
    for (size_t i = 0; settlement != NULL && i < settlement->transitions.count; i++) {
        out.alerts++;
        out.alert = *transition_copy(list_at(&settlement->transitions, i), memory);
    }
    listen();
    if (settlement == NULL)
        return;
    seq++;
    shard_settled(shard, NULL, 0);
}

/* A leader begins, with what is settled. */
static void
lead(void)
{
    const struct progress progress = {.from = -1, .next = -1, .last_offset = -1};
    struct err why;
    const struct tenant_load load = {.name = FLEET_TENANT,
                                     .home = FLEET_SHARD,
                                     .zone = zones_get(TEXT("UTC"), &why),
                                     .has_features = true,
                                     .hours = hours,
                                     .hour_count = hour_count,
                                     .slots = slots,
                                     .slot_count = slot_count,
                                     .breakers = &breaker,
                                     .breaker_count = has_breaker};

    epoch++;
    shard_begin(shard, &(struct shard_start){.epoch = epoch,
                                             .seq = seq,
                                             .time_ms = now_ms,
                                             .progress = &progress,
                                             .policy = policy,
                                             .enforcing = true});
    CU_ASSERT_TRUE(shard_load(shard, &load));
    listen();
}

static void
forget(void)
{
    memset(&out, 0, sizeof out);
    out.outcome = OUTCOME_ALLOW;
}

static void
begin(const char *body)
{
    static const char *const topics[] = {"usage"};
    struct findings findings = {0};

    policy = policy_load("test", body, strlen(body), &findings);
    findings_free(&findings);
    memory = arena_new((size_t)1 << 24);
    shard = shard_new(&(struct shard_setup){.shard = FLEET_SHARD,
                                            .topic_count = 1,
                                            .topics = topics,
                                            .settle_memory = (size_t)1 << 22,
                                            .tenant_limit = 1,
                                            .metrics = &metrics});
    if (policy == NULL || memory == NULL || shard == NULL)
        CU_FAIL_FATAL("cannot begin");
    slot_count = hour_count = 0;
    has_breaker = false;
    seq = 0;
    now_ms = start_ms;
    forget();
    lead();
}

static void
end(void)
{
    shard_free(shard);
    policy_free(policy);
    arena_free(memory);
}

/* ---- what the leader does ------------------------------------------------------------------------- */

struct spent {
    int64_t minute; /* since the start; any of the slot */
    int64_t units;
    int64_t calls;
    int64_t first_pct; /* of all of it: of the tenant that spends most */
};

static struct slot
slot_of(const struct spent *spent)
{
    const tally cost = (tally)spent->units * MONEY_NANO_PER_UNIT;

    return (struct slot){.start_ms = slots_start(start_ms + spent->minute * MINUTE),
                         .cost = cost,
                         .judged = cost,
                         .judged_calls = spent->calls,
                         .requests = spent->calls,
                         .attempts = spent->calls};
}

static void
answer(const struct spent *spent)
{
    struct text feature;

    while (shard_fleet_asks(shard, &feature)) {
        const struct fleet_spread spread = {
            .tenants = 214,
            .whole = 100,
            .count = 2,
            .top = {{.tenant = TEXT("acme"), .cost = spent->first_pct},
                    {.tenant = TEXT("beta"), .cost = 1}}};

        out.asked++;
        shard_fleet_spread(shard, feature, &spread);
    }
}

/* One turn at a minute: what is settled of one slot. */
static void
turn(int64_t minute, struct spent spent)
{
    const struct slot slot = slot_of(&spent);

    now_ms = start_ms + minute * MINUTE;
    CU_ASSERT_TRUE(shard_advance(shard, now_ms));
    if (spent.calls > 0)
        shard_fleet_slot(shard, TEXT("search"), &slot);
    answer(&spent);
    shard_fleet_judge(shard);
    settle();
}

/* ---- stories --------------------------------------------------------------------------------------- */

static void
test_limits(void)
{
    static const struct {
        const char *name;
        struct spent spent;
        int32_t alarm; /* step of the alert, 0: none */
        bool cut;
    } rows[] = {
        {"as usual", {0, 10, 100, 10}, 0, false},
        {"at twice the budget", {0, 20, 100, 10}, 0, false},
        {"above it", {0, 21, 100, 10}, BREAKER_ALARM_WARN, false},
        {"at three times", {0, 30, 100, 10}, BREAKER_ALARM_WARN, false},
        {"above that", {0, 31, 100, 10}, BREAKER_ALARM_TRIP, true},
        {"half of it one tenant's", {0, 31, 100, 50}, BREAKER_ALARM_TRIP, true},
        {"more than half", {0, 31, 100, 51}, 0, false},
        {"few calls", {0, 31, 19, 10}, 0, false},
        {"enough calls", {0, 31, 20, 10}, BREAKER_ALARM_TRIP, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(enforced);
        CHECK_INT("a limit of nothing is not the fleet's", out.decisions, 0);
        turn(1, rows[i].spent);
        CHECK_INT(rows[i].name, out.alert.step, rows[i].alarm);
        CHECK_INT(rows[i].name, out.outcome == OUTCOME_BLOCK, rows[i].cut);
        CHECK_INT(rows[i].name, out.decisions, rows[i].cut);
        CHECK_INT(rows[i].name, out.asked > 0,
                  rows[i].spent.units > 20 && rows[i].spent.calls > 19);
        end();
    }
}

static void
test_told(void)
{
    begin(enforced);
    turn(1, (struct spent){0, 31, 100, 10});
    CU_ASSERT_STRING_EQUAL(out.scope, "feature/*/search");
    CU_ASSERT_TRUE(text_eq(out.restriction.rule, TEXT("breaker/fleet")));
    CHECK_INT("observed", out.restriction.used / MONEY_NANO_PER_UNIT, 31);
    CHECK_INT("baseline", out.restriction.limit / MONEY_NANO_PER_UNIT, 10);
    CU_ASSERT_TRUE(text_eq(out.alert.rule, TEXT("breaker/fleet")));
    CHECK_INT("a page", out.alert.severity, SEVERITY_CRITICAL);
    CU_ASSERT_PTR_NULL(out.alert.labels[LABEL_TENANT].at);
    CU_ASSERT_TRUE(text_eq(out.alert.labels[LABEL_FEATURE], TEXT("search")));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out.alert.summary.at,
               "all tenants / search: runs away over 214 tenants (most: acme 10 %, beta 1 %)"));
    end();
}

/* The same sums are read again and again, and more comes: only what is new is spent. */
static void
test_open_to_closed(void)
{
    begin(enforced);
    turn(1, (struct spent){0, 31, 100, 10});
    forget();
    for (int64_t minute = 2; minute < 16; minute++)
        turn(minute, (struct spent){0, 31, 100, 10});
    CHECK_INT("quiet while it is open", out.decisions + out.alerts, 0);
    turn(16, (struct spent){0, 31, 100, 10});
    CHECK_INT("probed after 15 minutes", breaker.breaker.state, BREAKER_HALF_OPEN);
    CHECK_INT("let through", out.outcome, OUTCOME_ALLOW);
    turn(17, (struct spent){17, 1, 10, 10});
    CHECK_INT("the probe has begun", breaker.breaker.waits, false);
    CHECK_INT("with what is new", breaker.breaker.spent / MONEY_NANO_PER_UNIT, 1);
    turn(18, (struct spent){17, 3, 20, 10});
    CHECK_INT("spent at once: cut again", breaker.breaker.state, BREAKER_OPEN);
    CHECK_INT("twice as long", breaker.breaker.until_ms - now_ms, 30 * MINUTE);
    turn(48, (struct spent){17, 3, 20, 10});
    forget();
    turn(78, (struct spent){17, 3, 20, 10});
    CHECK_INT("nobody calls: closed", breaker.breaker.state, BREAKER_CLOSED);
    CHECK_INT("it is said", out.alert.move, MOVE_RESOLVE);
    end();
}

/* What was dealt with does not count again, whoever reads it; what comes after does. */
static void
test_restarts(void)
{
    begin(enforced);
    turn(1, (struct spent){0, 31, 100, 10});
    forget();
    lead();
    CHECK_INT("the next leader says it again", out.outcome, OUTCOME_BLOCK);
    turn(2, (struct spent){0, 31, 100, 10});
    CHECK_INT("and counts nothing twice", breaker.breaker.state, BREAKER_OPEN);
    CHECK_INT("one hour's money", hours[0].cost / MONEY_NANO_PER_UNIT, 31);
    turn(46, (struct spent){0, 0, 0, 0});
    CHECK_INT("closed by deadlines", breaker.breaker.state, BREAKER_CLOSED);
    forget();
    lead();
    turn(47, (struct spent){0, 31, 100, 10});
    CHECK_INT("forgiven over a restart", breaker.breaker.state, BREAKER_CLOSED);
    CHECK_INT("nothing is told", out.decisions + out.alerts, 0);
    turn(48, (struct spent){48, 32, 100, 10});
    CHECK_INT("what is new counts", breaker.breaker.state, BREAKER_OPEN);
    end();
}

/* A tenant's own breaker deals with it now: its part leaves the sums. */
static void
test_dealt_with(void)
{
    const struct slot whole = slot_of(&(struct spent){0, 25, 100, 10});
    struct slot less = whole;

    begin(enforced);
    turn(1, (struct spent){0, 25, 100, 10});
    CHECK_INT("a warning", out.alert.step, BREAKER_ALARM_WARN);
    less.cost = whole.cost + 8 * (tally)MONEY_NANO_PER_UNIT;
    less.judged = 5 * (tally)MONEY_NANO_PER_UNIT;
    less.judged_calls = 40;
    shard_fleet_slot(shard, TEXT("search"), &less);
    answer(&(struct spent){.first_pct = 10});
    shard_fleet_judge(shard);
    settle();
    CHECK_INT("what counts", slots[0].slot.judged / MONEY_NANO_PER_UNIT, 5);
    CHECK_INT("of all that was spent", slots[0].slot.cost / MONEY_NANO_PER_UNIT, 33);
    CHECK_INT("no trip", breaker.breaker.state, BREAKER_CLOSED);
    end();
}

static void
test_late(void)
{
    begin(enforced);
    turn(40, (struct spent){40, 1, 10, 10});
    turn(41, (struct spent){20, 31, 100, 10});
    CHECK_INT("late: nothing is cut", out.decisions, 0);
    CHECK_INT("its hour knows", hours[0].cost / MONEY_NANO_PER_UNIT, 32);
    turn(41, (struct spent){25, 31, 100, 10});
    CHECK_INT("in time", out.outcome, OUTCOME_BLOCK);
    end();
}

/* Learned baselines begin in shadow, whatever the tenants' mode: a page, and nothing is cut. */
static void
test_shadow(void)
{
    begin(learned);
    turn(1, (struct spent){0, 31, 100, 10});
    CHECK_INT("it would be open", breaker.breaker.would_ms < INT64_MAX, true);
    CHECK_INT("a page", out.alert.severity, SEVERITY_CRITICAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.alert.summary.at, "nothing is cut"));
    CHECK_INT("nothing is cut", out.decisions, 0);
    end();
}

/* ---- sources ------------------------------------------------------------------------------------------ */

static void
test_sources(void)
{
    const struct list *rows;

    begin(enforced);
    settle();
    sources_note(shard, TEXT("//gw.eu"), start_ms);
    sources_note(shard, TEXT("//gw.eu"), start_ms + MINUTE - 1);
    sources_note(shard, TEXT("//gw.us"), start_ms);
    rows = &shard->open->settlement->sources;
    CHECK_INT("a row a source", rows->count, 2);
    CHECK_INT("once a minute", ((struct source_heard *)list_at(rows, 0))->at_ms, start_ms);
    sources_note(shard, TEXT("//gw.eu"), start_ms + MINUTE);
    CHECK_INT("still one row", rows->count, 2);
    CHECK_INT("the later", ((struct source_heard *)list_at(rows, 0))->at_ms, start_ms + MINUTE);
    CU_ASSERT_PTR_NOT_NULL(shard_freeze(shard));
    shard_settled(shard, NULL, 0);
    sources_note(shard, TEXT("//gw.eu"), start_ms + 2 * MINUTE);
    CHECK_INT("of the next settlement", shard->open->settlement->sources.count, 1);
    for (int i = 0; i < 2 * SOURCE_LIMIT; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "//gw-%d", i);
        sources_note(shard, text_of(name), start_ms + 2 * MINUTE);
    }
    CHECK_INT("bounded", shard->sources->count <= SOURCE_LIMIT, true);
    end();
}

static CU_TestInfo tests[] = {
    {"when it speaks", test_limits},
    {"what it says", test_told},
    {"cut, probed, closed", test_open_to_closed},
    {"over restarts", test_restarts},
    {"without those whose own breaker deals with them", test_dealt_with},
    {"late spending", test_late},
    {"shadow", test_shadow},
    {"sources are noted once a minute", test_sources},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_fleet = {.pName = "fleet", .pTests = tests};
