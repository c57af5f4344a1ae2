/* Protects: steps and the hard limit of one quota, at their edges from both sides (SEMANTICS 4). */
#include "rules/quota.h"
#include "tests/check.h"

static const struct quota blocking = {.steps = {50, 75, 90}, .step_count = 3};
static const struct quota alerting = {
    .steps = {50, 100}, .step_count = 2, .on_exceed = ON_EXCEED_ALERT};

static void
test_judge(void)
{
    static const struct {
        const char *row;
        const struct quota *rule;
        int64_t limit;
        int32_t spent; /* before */
        bool open;
        int64_t used;
        int32_t after; /* spent */
        bool blocked;
        int moved; /* -1: nothing is said */
        int32_t step;
        size_t crossed;
    } rows[] = {
        {"49.9 %", &blocking, 1000, 0, false, 499, 0, false, -1, 0, 0},
        {"exactly 50 %", &blocking, 1000, 0, false, 500, 50, false, MOVE_FIRE, 50, 1},
        {"40 -> 95 %", &blocking, 1000, 0, false, 950, 90, false, MOVE_FIRE, 90, 3},
        {"a step more", &blocking, 1000, 50, true, 750, 75, false, MOVE_STEP, 75, 1},
        {"one below 100 %", &blocking, 1000, 90, true, 999, 90, false, -1, 0, 0},
        {"exactly 100 %", &blocking, 1000, 90, true, 1000, 100, true, MOVE_STEP, 100, 1},
        {"below 100, not 5 points", &blocking, 1000, 100, true, 951, 100, false, -1, 0, 0},
        {"5 points below 100", &blocking, 1000, 100, true, 950, 90, false, MOVE_RESOLVE, 100, 0},
        {"5 points below 75", &blocking, 1000, 75, true, 700, 50, false, -1, 0, 0},
        {"not quite", &blocking, 1000, 75, true, 701, 75, false, -1, 0, 0},
        {"5 points below all", &blocking, 1000, 75, true, 450, 0, false, MOVE_RESOLVE, 75, 0},
        {"armed below, told before", &blocking, 1000, 75, false, 450, 0, false, -1, 0, 0},
        {"limit 0", &blocking, 0, 0, false, 0, 100, true, MOVE_FIRE, 100, 4},
        {"limit 0, refunded below nothing", &blocking, 0, 100, true, -5, 100, true, -1, 0, 0},
        {"an odd limit, below half", &blocking, 3, 0, false, 1, 0, false, -1, 0, 0},
        {"an odd limit, above half", &blocking, 3, 0, false, 2, 50, false, MOVE_FIRE, 50, 1},
        {"alert only: never blocks", &alerting, 1000, 50, true, 5000, 100, false, MOVE_STEP, 100,
         1},
        {"spent at a step that is gone", &alerting, 1000, 90, true, 930, 50, false, -1, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct quota_state state = {.rule = rows[i].rule,
                                    .limit = rows[i].limit,
                                    .spent = rows[i].spent,
                                    .open = rows[i].open,
                                    .blocked = rows[i].spent >= 100};
        struct quota_verdict verdict;

        quota_judge(&state, rows[i].used, 77, &verdict);
        CHECK_INT(rows[i].row, state.spent, rows[i].after);
        CHECK_INT(rows[i].row, state.blocked, rows[i].blocked);
        CHECK_INT(rows[i].row, verdict.moved ? (int)verdict.move : -1, rows[i].moved);
        CHECK_INT(rows[i].row, verdict.step.percent, rows[i].step);
        CHECK_INT(rows[i].row, verdict.crossed_count, rows[i].crossed);
        quota_judge(&state, rows[i].used, 78, &verdict);
        CHECK_INT(rows[i].row, verdict.changed || verdict.moved, false);
    }
}

static void
test_unlimited(void)
{
    struct quota_state state = {
        .rule = &blocking, .unlimited = true, .spent = 100, .open = true, .blocked = true};
    struct quota_verdict verdict;

    quota_judge(&state, 1000000, 1, &verdict);
    CHECK_INT("what was open ends", verdict.moved && verdict.move == MOVE_RESOLVE, true);
    CHECK_INT("lifted", state.blocked, false);
    CU_ASSERT_TRUE(quota_trip_at(&state) == TALLY_MAX);
}

static const struct quota mixed = {
    .steps = {50, 75}, .step_count = 2, .amounts = {120, 200}, .amount_count = 2};
static const struct quota gauge = {
    .gauge = {"seats", 5}, .on_exceed = ON_EXCEED_ALERT, .amounts = {3}, .amount_count = 1};

struct amount_row {
    const char *row;
    const struct quota *rule;
    int64_t limit; /* -1: unlimited */
    int64_t spent; /* before */
    int64_t spent_amount;
    int64_t open;
    int64_t used;
    int64_t after;
    int64_t after_amount;
    int64_t moved; /* -1: nothing is said */
    int64_t step;
    int64_t step_amount;
    int64_t crossed;
    int64_t crossed_amounts;
    int64_t severity;
};

/* Amounts among percentages: 120 and 200 of a limit, or of none. */
static const struct amount_row amount_rows[] = {
    {"one below", &mixed, 400, 0, 0, false, 119, 0, 0, -1, 0, 0, 0, 0, 0},
    {"exactly", &mixed, 400, 0, 0, false, 120, 0, 120, MOVE_FIRE, 0, 120, 0, 1, SEVERITY_INFO},
    {"the same as a percentage", &mixed, 400, 0, 120, true, 200, 50, 200, MOVE_STEP, 50, 0, 1, 1,
     SEVERITY_INFO},
    {"all at once, an amount highest", &mixed, 210, 0, 0, false, 205, 75, 200, MOVE_FIRE, 0, 200, 2,
     2, SEVERITY_CRITICAL},
    {"all at once, the limit highest", &mixed, 210, 0, 0, false, 210, 100, 200, MOVE_FIRE, 100, 0,
     3, 2, SEVERITY_CRITICAL},
    {"warning from 75 %", &mixed, 266, 75, 120, true, 200, 75, 200, MOVE_STEP, 0, 200, 0, 1,
     SEVERITY_WARNING},
    {"a limit that was raised", &mixed, 4000, 75, 200, true, 250, 0, 200, -1, 0, 0, 0, 0, 0},
    {"and lowered", &mixed, 220, 0, 200, true, 165, 75, 120, MOVE_STEP, 75, 0, 2, 0,
     SEVERITY_WARNING},
    {"not 5 % below it", &mixed, 4000, 0, 200, true, 191, 0, 200, -1, 0, 0, 0, 0, 0},
    {"5 % below it", &mixed, 4000, 0, 200, true, 190, 0, 120, -1, 0, 0, 0, 0, 0},
    {"5 % below all", &mixed, 4000, 0, 200, true, 114, 0, 0, MOVE_RESOLVE, 0, 200, 0, 0,
     SEVERITY_INFO},
    {"above a limit that is smaller", &mixed, 100, 100, 0, true, 130, 100, 120, MOVE_STEP, 0, 120,
     0, 1, SEVERITY_CRITICAL},
    {"100 % of nothing is the highest", &mixed, 0, 0, 0, false, 130, 100, 120, MOVE_FIRE, 100, 0, 3,
     1, SEVERITY_CRITICAL},
    {"100 % left, amounts spent", &mixed, 300, 100, 200, true, 285, 75, 200, MOVE_RESOLVE, 100, 0,
     0, 0, SEVERITY_CRITICAL},
    {"unlimited, one below", &mixed, -1, 0, 0, false, 119, 0, 0, -1, 0, 0, 0, 0, 0},
    {"unlimited", &mixed, -1, 0, 0, false, 1000, 0, 200, MOVE_FIRE, 0, 200, 0, 2, SEVERITY_WARNING},
    {"unlimited from now on", &mixed, -1, 100, 0, true, 110, 0, 0, MOVE_RESOLVE, 100, 0, 0, 0,
     SEVERITY_CRITICAL},
    {"unlimited, and refunded", &mixed, -1, 0, 200, true, 100, 0, 0, MOVE_RESOLVE, 0, 200, 0, 0,
     SEVERITY_WARNING},
    {"a step that is gone", &mixed, -1, 0, 500, true, 480, 0, 200, -1, 0, 0, 0, 0, 0},
    {"a gauge", &gauge, 10, 0, 0, false, 3, 0, 3, MOVE_FIRE, 0, 3, 0, 1, SEVERITY_INFO},
};

static void
test_amounts(void)
{
    for (size_t i = 0; i < sizeof amount_rows / sizeof amount_rows[0]; i++) {
        const struct amount_row *row = &amount_rows[i];
        struct quota_state state = {.rule = row->rule,
                                    .unlimited = row->limit < 0,
                                    .limit = row->limit < 0 ? 0 : row->limit,
                                    .spent = (int32_t)row->spent,
                                    .spent_amount = row->spent_amount,
                                    .open = row->open != 0,
                                    .blocked = row->spent >= 100};
        struct quota_verdict verdict;
        struct transition said = {.at_ms = 0};

        quota_judge(&state, row->used, 77, &verdict);
        quota_describe(&state, &verdict, &said);
        CHECK_INT(row->row, state.spent, row->after);
        CHECK_INT(row->row, state.spent_amount, row->after_amount);
        CHECK_INT(row->row, verdict.moved ? (int)verdict.move : -1, row->moved);
        CHECK_INT(row->row, said.step, row->step);
        CHECK_INT(row->row, said.step_amount, row->step_amount);
        CHECK_INT(row->row, said.crossed_count, row->crossed);
        CHECK_INT(row->row, said.crossed_amount_count, row->crossed_amounts);
        CHECK_INT(row->row, said.severity, row->severity);
        CHECK_INT(row->row, said.threshold, row->limit >= 0 ? row->limit : row->step_amount);
        quota_judge(&state, row->used, 78, &verdict);
        CHECK_INT(row->row, verdict.changed || verdict.moved, false);
    }
}

/* Amounts are the policy's: 120 USD are 96 of a currency at 1.25. */
static void
test_rates(void)
{
    static const struct quota rule = {
        .meter = METER_COST, .amounts = {120}, .amount_count = 1, .on_exceed = ON_EXCEED_ALERT};
    struct quota_state state = {.rule = &rule, .unlimited = true, .rates = {100, 125}};
    struct quota_verdict verdict;

    CHECK_INT("the wire", quota_trip_at(&state), 96);
    quota_judge(&state, 95, 1, &verdict);
    CHECK_INT("one below", verdict.moved, false);
    quota_judge(&state, 96, 1, &verdict);
    CHECK_INT("told in the tenant's", verdict.crossed_amounts[0], 96);
}

/* The wire is exact: below it nothing changes, at it something does. */
static void
test_trip(void)
{
    static const struct quota wired = {
        .steps = {50, 75}, .step_count = 2, .amounts = {20, 101, 300}, .amount_count = 3};

    for (tally limit = 1; limit <= 240; limit += 7)
        for (tally used = 0; used <= limit + 3; used++) {
            struct quota_state state = {.rule = used % 2 == 0 ? &blocking : &wired,
                                        .unlimited = limit % 10 == 8,
                                        .limit = limit};
            struct quota_verdict verdict;

            quota_judge(&state, used, 1, &verdict);
            const tally trip = quota_trip_at(&state);

            for (tally next = used + 1; next <= limit + 4; next++) {
                struct quota_state then = state;

                quota_judge(&then, next, 2, &verdict);
                if (verdict.changed != (next >= trip)) {
                    CHECK_INT("trips exactly", next, trip);
                    break;
                }
            }
        }
}

static void
test_percent(void)
{
    CHECK_INT("nothing", quota_percent(0, 10), 0);
    CHECK_INT("refunded below nothing", quota_percent(-3, 10), 0);
    CHECK_INT("rounded down", quota_percent(999, 1000), 99);
    CHECK_INT("over", quota_percent(25, 10), 250);
    CHECK_INT("no limit to speak of", quota_percent(0, 0), 100);
    CHECK_INT("kept printable", quota_percent((tally)1 << 100, 1), 999999);
}

static CU_TestInfo tests[] = {
    {"steps and the limit", test_judge},
    {"unlimited", test_unlimited},
    {"steps that are amounts", test_amounts},
    {"in another currency", test_rates},
    {"the wire", test_trip},
    {"percent", test_percent},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_quota = {.pName = "quota", .pTests = tests};
