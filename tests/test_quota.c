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
        CHECK_INT(rows[i].row, verdict.step, rows[i].step);
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

/* The wire is exact: below it nothing changes, at it something does. */
static void
test_trip(void)
{
    for (tally limit = 1; limit <= 240; limit += 7)
        for (tally used = 0; used <= limit + 3; used++) {
            struct quota_state state = {.rule = &blocking, .limit = limit};
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
    {"the wire", test_trip},
    {"percent", test_percent},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_quota = {.pName = "quota", .pTests = tests};
