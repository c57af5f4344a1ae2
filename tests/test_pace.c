/* Protects: the pace of quotas in the engine, with its wires, deadlines, restarts and crashes, is what
 * judging every event by the words of SEMANTICS 4 says. */
#include "cli/stage.h"
#include "config/config.h"
#include "core/pacing.h"
#include "tests/check.h"

#include <stdlib.h>

enum { TELLS = 256, EVENTS = 400, STORIES = 60 };

static const char body[] =
    "fallback_plan: free\nplans:\n  free:\n    quotas:\n"
    "      calls: {meter: requests, limit: 3000, on_exceed: alert, steps: [100], pacing: on,"
    " forecast: on}\n";

#define APRIL INT64_C(1775001600000) /* 2026-04-01T00:00:00Z */
#define LIMIT 3000

static char expected[TELLS][64];
static size_t expected_count;
static char told[TELLS][64];
static size_t told_count;

static void
put(char tells[TELLS][64], size_t *count, const char *rule, int64_t at_ms, tally value)
{
    char number[TALLY_TEXT_SIZE];

    CU_ASSERT_FATAL(*count < TELLS);
    (void)snprintf(tells[(*count)++], 64, "%s %" PRId64 " %s", rule, at_ms,
                   tally_format_count(value, number));
}

/* ---- thought a second time ---------------------------------------------------------------------- */

struct naive {
    tally used;
    tally before;
    int64_t day;
    int64_t last_ms;
    int month; /* 0: April */
    bool warned;
    bool noticed;
};

static const int64_t starts[] = {APRIL, APRIL + 30 * CLOCK_DAY_MS, APRIL + 61 * CLOCK_DAY_MS};

static void
naive_notice(struct naive *naive, int64_t at_ms)
{
    const int64_t start_ms = starts[naive->month];
    const int64_t length_ms = starts[naive->month + 1] - start_ms;

    if (naive->noticed || naive->used >= LIMIT || (at_ms - start_ms) * 10 < length_ms ||
        naive->used * length_ms <= (tally)LIMIT * (at_ms - start_ms))
        return;
    naive->noticed = true;
    put(expected, &expected_count, "forecast/calls", at_ms,
        naive->used * length_ms / (at_ms - start_ms));
}

static void
naive_event(struct naive *naive, int64_t at_ms, int64_t amount)
{
    const int64_t tenth_ms =
        starts[naive->month] + (starts[naive->month + 1] - starts[naive->month]) / 10;

    if (naive->last_ms < tenth_ms && at_ms >= tenth_ms)
        naive_notice(naive, tenth_ms);
    if (at_ms >= starts[naive->month + 1])
        *naive = (struct naive){.month = 1, .day = -1};
    const int64_t next_tenth_ms =
        starts[naive->month] + (starts[naive->month + 1] - starts[naive->month]) / 10;

    if (naive->month == 1 && naive->last_ms < next_tenth_ms && at_ms >= next_tenth_ms)
        naive_notice(naive, next_tenth_ms);
    if (clock_day_of(at_ms) != naive->day) {
        naive->day = clock_day_of(at_ms);
        naive->before = naive->used;
        naive->warned = false;
    }
    const int64_t days = clock_day_of(starts[naive->month + 1]) - naive->day;

    naive->used += amount;
    naive->last_ms = at_ms;
    if (!naive->warned && naive->before < LIMIT &&
        2 * (naive->used - naive->before) * days > 3 * (LIMIT - naive->before)) {
        naive->warned = true;
        put(expected, &expected_count, "pacing/calls", at_ms, naive->used - naive->before);
    }
    naive_notice(naive, at_ms);
}

/* ---- the engine --------------------------------------------------------------------------------- */

/* A crash tells again what was on its way: the store would not write it twice. */
static void
hear(struct stage *stage)
{
    size_t count;
    const struct effect *effects = stage_effects(stage, &count);

    for (size_t i = 0; i < count; i++) {
        const struct transition *alert = effects[i].alert;
        char rule[32];

        if (effects[i].kind != EFFECT_ALERT || alert->move != MOVE_FIRE ||
            (alert->rule.at[0] != 'p' && alert->rule.at[0] != 'f'))
            continue;
        (void)text_copy(rule, sizeof rule, alert->rule);
        put(told, &told_count, rule, alert->at_ms, alert->value);
        for (size_t t = 0; t + 1 < told_count; t++)
            if (strcmp(told[told_count - 1], told[t]) == 0) {
                told_count--;
                break;
            }
    }
    stage_forget(stage);
}

static void
send(struct stage *stage, int number, int64_t at_ms, int64_t requests)
{
    char id[32];
    char time[CLOCK_TEXT_SIZE];
    char event[512];

    (void)snprintf(id, sizeof id, "e%d", number);
    (void)snprintf(event, sizeof event,
                   "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"s\",\"type\":"
                   "\"x.usage.record.v1\",\"time\":\"%s\",\"subject\":\"acme\",\"data\":"
                   "{\"request_id\":\"%s\",\"cost\":\"0\",\"usage\":{\"requests\":%" PRId64 "}}}",
                   id, clock_format(at_ms, time), id, requests);
    stage_advance(stage, at_ms);
    stage_record(stage, text_of(id), text_of(event));
}

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static bool
play(const struct policy *policy, uint64_t seed)
{
    struct stage *stage = stage_new(policy);
    struct naive naive = {.day = -1, .last_ms = APRIL};
    uint64_t state = seed;
    const uint64_t pace = 1 + next_random(&state) % 100;
    int64_t at_ms = APRIL;
    bool same = true;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stage);
    expected_count = told_count = 0;
    for (int i = 0; i < EVENTS; i++) {
        const int64_t requests = (int64_t)(next_random(&state) % pace);

        at_ms += (int64_t)(next_random(&state) % (10 * CLOCK_HOUR_MS));
        if (at_ms >= starts[2])
            break;
        send(stage, i, at_ms, requests);
        naive_event(&naive, at_ms, requests);
        stage_pause(stage);
        if (next_random(&state) % 4 == 0) { /* a crash, what is under way is lost */
            hear(stage);
            stage_restart(stage);
            stage_pause(stage);
        }
        stage_settle(stage);
        hear(stage);
        if (next_random(&state) % 4 == 0)
            stage_restart(stage);
    }
    same = stage_fault(stage) == NULL && told_count == expected_count;
    for (size_t i = 0; same && i < told_count; i++)
        same = strcmp(told[i], expected[i]) == 0;
    for (size_t i = 0; !same && (i < told_count || i < expected_count); i++)
        printf("\n    told %-44s expected %s", i < told_count ? told[i] : "-",
               i < expected_count ? expected[i] : "-");
    stage_free(stage);
    return same;
}

static void
test_stories(void)
{
    struct findings findings = {.arena = NULL};
    struct policy *policy = policy_load("test", body, strlen(body), &findings);
    size_t all = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
    for (uint64_t seed = 1; seed <= STORIES; seed++) {
        if (!play(policy, seed)) {
            CHECK_INT("as at every event, seed", (int64_t)seed, -1);
            break;
        }
        all += told_count;
    }
    CHECK_INT("there is something to tell", all > 500, true);
    findings_free(&findings);
    policy_free(policy);
}

static CU_TestInfo tests[] = {
    {"60 stories with restarts, thought a second time", test_stories},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_pace = {.pName = "pace", .pTests = tests};
