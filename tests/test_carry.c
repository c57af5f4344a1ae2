/* Protects: what quotas carry from period to period, whatever happens: late and early events, other
 * limits, silence, restarts and crashes, beside a naive account that knows every event. */
#include "cli/stage.h"
#include "config/config.h"
#include "config/findings.h"
#include "tests/check.h"

#include <stdlib.h>

#define START_MS INT64_C(1767225600000) /* 2026-01-01 */
#define GRACE_MS (6 * CLOCK_DAY_MS)

enum { PERIODS = 160, CARRY_CAP = 40, TOTAL_CAP = 170, LIMIT = 100, STORIES = 60, STEPS = 90 };

/* Half of what is unused is carried on; what is too much is deducted. Of short periods several are
 * over and not final. */
static const int64_t days[] = {10, 2};
static const char policy_text[] =
    "fallback_plan: free\n"
    "grace: 144h\n"
    "defaults: {cycle: 'days:%d/2026-01-01'}\n"
    "plans:\n"
    "  free:\n"
    "    quotas:\n"
    "      calls: {meter: requests, limit: 100, steps: [50], rollover: {ratio: 0.5,\n"
    "              carry_cap: 40, total_cap: 170, overage: deduct}}\n";

struct account {
    int64_t used;
    int64_t base; /* as it was at the end of the period; the present one's: now */
    int64_t room; /* of the next one, when this one was closed */
    bool closed;
};

struct story {
    struct stage *stage;
    struct account periods[PERIODS];
    int64_t period_ms;
    int64_t now_ms;
    int64_t limit;
    int64_t events;
    uint64_t random;
};

static int64_t
below(struct story *story, int64_t limit)
{
    story->random = story->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(story->random >> 33) % limit;
}

static int64_t
index_at(const struct story *story, int64_t at_ms)
{
    return (at_ms - START_MS) / story->period_ms;
}

/* ---- what happens --------------------------------------------------------------------------------- */

/* Every turn that time passes closes a period: with the limit of that moment. */
static void
pass_time(struct story *story, int64_t ms)
{
    const int64_t before = index_at(story, story->now_ms);

    story->now_ms += ms;
    for (int64_t p = before; p < index_at(story, story->now_ms); p++) {
        story->periods[p].closed = true;
        story->periods[p].base = p == before ? story->periods[p].base : story->limit;
        story->periods[p].room = TOTAL_CAP > story->limit ? TOTAL_CAP - story->limit : 0;
        story->periods[p + 1].base = story->limit;
    }
    stage_advance(story->stage, story->now_ms);
}

static void
use(struct story *story, int64_t requests, int64_t ago_ms)
{
    const int64_t at_ms = story->now_ms - ago_ms;
    char id[24];
    char when[CLOCK_TEXT_SIZE];
    char value[512];

    if (at_ms < START_MS)
        return;
    (void)snprintf(id, sizeof id, "e%lld", (long long)story->events++);
    const int size = snprintf(
        value, sizeof value,
        "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"//gw\",\"type\":\"t.usage.record.v1\","
        "\"time\":\"%s\",\"subject\":\"acme\",\"data\":{\"request_id\":\"r%s\","
        "\"usage\":{\"requests\":%lld},\"cost\":\"0\"}}",
        id, clock_format(at_ms, when), id, (long long)requests);

    stage_record(story->stage, text_of(id), (struct text){value, (size_t)size});
    const int64_t end_ms = START_MS + (index_at(story, at_ms) + 1) * story->period_ms;

    if (end_ms > story->now_ms - GRACE_MS)
        story->periods[index_at(story, at_ms)].used += requests;
}

static void
set_limit(struct story *story)
{
    story->limit = 10 * below(story, 20);
    story->periods[index_at(story, story->now_ms)].base = story->limit;
    json_t *contract =
        json_pack("{s:s, s:{s:I}}", "plan", "free", "limits", "calls", (json_int_t)story->limit);

    stage_contract(story->stage, TEXT("acme"), contract);
    json_decref(contract);
}

enum { CRASH = 5 };

static void
step(struct story *story)
{
    const int64_t what = below(story, 12);

    if (what != CRASH)
        stage_settle(story->stage);
    switch (what) {
    case 0:
        pass_time(story, CLOCK_HOUR_MS * below(story, 400));
        break;
    case 1:
    case 2:
    case 3:
        pass_time(story, CLOCK_HOUR_MS * below(story, 60));
        break;
    case 4:
        set_limit(story);
        break;
    case CRASH: /* before the last was settled; the clock on the wall goes on */
        stage_restart(story->stage);
        stage_advance(story->stage, story->now_ms);
        break;
    case 6: /* nobody is there for a while */
        stage_restart(story->stage);
        pass_time(story, CLOCK_HOUR_MS * below(story, 500));
        break;
    case 7:
    case 8:
        use(story, below(story, 40), CLOCK_HOUR_MS * below(story, 400));
        break;
    default:
        use(story, below(story, 60), 0);
        break;
    }
    stage_pause(story->stage);
}

/* ---- what is to come of it -------------------------------------------------------------------------- */

/* Carries of all periods anew, from the first one on. */
static int64_t
check_period(const struct story *story, int64_t p, int64_t carry)
{
    const struct account *account = &story->periods[p];
    const int64_t cap = account->base > TOTAL_CAP ? account->base : TOTAL_CAP;
    const int64_t sum = account->base + carry;
    const int64_t given = sum > cap ? cap : sum;
    const int64_t left = (given > 0 ? given : 0) - account->used;
    int64_t carried = left > 0 ? left / 2 : 0;
    bool final;
    const struct carry_memory *row =
        stage_carry(story->stage, TEXT("acme"), TEXT("calls"), (struct text){NULL, 0},
                    START_MS + p * story->period_ms, &final);
    char name[48];

    carried = carried > CARRY_CAP ? CARRY_CAP : carried;
    carried = carried > account->room ? account->room : carried;
    if (account->used > given)
        carried = given - account->used;
    (void)snprintf(name, sizeof name, "story %lld, period %lld", (long long)story->random,
                   (long long)p);
    CU_ASSERT_PTR_NOT_NULL_FATAL(row);
    if (row == NULL)
        return 0;
    CHECK_INT(name, row->closed, account->closed);
    CHECK_INT(name, row->base, account->base);
    CHECK_INT(name, row->carry, carry);
    if (account->closed) {
        CHECK_INT(name, row->used, account->used);
        CHECK_INT(name, row->end.carried, carried);
    }
    return carried;
}

static void
check(struct story *story)
{
    const int64_t present = index_at(story, story->now_ms);
    int64_t carry = 0;

    stage_settle(story->stage);
    stage_pause(story->stage);
    stage_settle(story->stage);
    for (int64_t p = 0; p < present; p++)
        carry = check_period(story, p, carry);
    (void)check_period(story, present, carry);
    struct tenant *tenant = stage_tenant(story->stage, TEXT("acme"));
    const int64_t base = story->periods[present].base;
    const int64_t cap = base > TOTAL_CAP ? base : TOTAL_CAP;
    const int64_t given = base + carry > cap ? cap : base + carry;

    CHECK_INT("what may be used", tenant->quotas[0].limit, given > 0 ? given : 0);
    CHECK_INT("blocked", tenant->quotas[0].blocked,
              given <= 0 || story->periods[present].used >= given);
    tenant_free(tenant);
    CU_ASSERT_PTR_NULL(stage_fault(story->stage));
}

static void
tell(const struct policy *policy, int64_t period_days, uint64_t number)
{
    struct story story = {.stage = stage_new(policy),
                          .period_ms = period_days * CLOCK_DAY_MS,
                          .now_ms = START_MS + CLOCK_HOUR_MS,
                          .limit = LIMIT,
                          .random = number};

    CU_ASSERT_PTR_NOT_NULL_FATAL(story.stage);
    story.periods[0].base = LIMIT;
    stage_advance(story.stage, story.now_ms);
    use(&story, 1, 0);
    for (int i = 0; i < STEPS && index_at(&story, story.now_ms) < PERIODS - 16; i++) {
        step(&story);
        if (i % 7 == 0)
            check(&story);
    }
    check(&story);
    stage_free(story.stage);
}

static void
test_stories(void)
{
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct findings findings = {0};
        char text[1024];
        const int size = snprintf(text, sizeof text, policy_text, (int)days[i]);
        struct policy *policy = policy_load("policy.yaml", text, (size_t)size, &findings);

        CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
        for (uint64_t number = 1; number <= STORIES; number++)
            tell(policy, days[i], number);
        policy_free(policy);
        findings_free(&findings);
    }
}

static CU_TestInfo tests[] = {
    {"beside a naive account: 60 stories of long periods, 60 of short ones", test_stories},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_carry = {.pName = "carry", .pTests = tests};
