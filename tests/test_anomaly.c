/* Protects: restarts and crashes at any moment change nothing of what the detector says: the same
 * alerts at the same times with the same words, the same incidents. */
#include "cli/stage.h"
#include "config/config.h"
#include "rules/feature.h"
#include "rules/tenant.h"
#include "tests/check.h"

#include <assert.h>
#include <stdlib.h>

#define START_MS (INT64_C(20500) * CLOCK_DAY_MS)

enum { DAYS = 4, ALERT_LIMIT = 1000, FEATURES = 3 };

static const char *const features[FEATURES] = {"search", "chat", NULL};

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

struct said { /* without holes: compared byte by byte */
    int64_t move;
    int64_t at_ms;
    char words[640]; /* rule, feature and summary */
};

struct story {
    struct said said[ALERT_LIMIT];
    size_t count;
};

static struct policy *
read_policy(void)
{
    static const char body[] = "fallback_plan: free\n"
                               "plans: {free: {quotas: {}}}\n"
                               "anomalies: {ticket: 0.50, page: 2.00}\n";
    struct findings findings = {.count = 0};
    struct policy *policy = policy_load("policy", body, sizeof body - 1, &findings);

    assert(policy != NULL);
    findings_free(&findings);
    return policy;
}

/* What a crash made be said again is there once. */
static void
hear(struct stage *stage, struct story *story)
{
    size_t count = 0;
    const struct effect *effects = stage_effects(stage, &count);

    for (size_t i = 0; i < count; i++) {
        const struct transition *alert = effects[i].alert;
        struct said one;
        bool known = false;

        if (alert->rule.size < 8 || memcmp(alert->rule.at, "anomaly/", 8) != 0)
            continue;
        memset(&one, 0, sizeof one);
        one.move = alert->move;
        one.at_ms = alert->at_ms;
        (void)snprintf(one.words, sizeof one.words, "%.*s %.*s %.*s", (int)alert->rule.size,
                       alert->rule.at, (int)alert->labels[LABEL_FEATURE].size,
                       alert->labels[LABEL_FEATURE].size == 0 ? ""
                                                              : alert->labels[LABEL_FEATURE].at,
                       (int)alert->summary.size, alert->summary.at);
        for (size_t k = 0; k < story->count; k++)
            known |= memcmp(&story->said[k], &one, sizeof one) == 0;
        if (!known && story->count < ALERT_LIMIT)
            story->said[story->count++] = one;
    }
    stage_forget(stage);
}

/* What is open, and what was made of it. */
static void
settle_and_hear(struct stage *stage, struct story *story)
{
    stage_settle(stage);
    stage_settle(stage);
    hear(stage, story);
}

/* Calls in a busy and a quiet half of the day, here and there a burst of dear ones, some late, some
 * without a feature. */
static void
send(struct stage *stage, int64_t now_ms, size_t number)
{
    const bool dear =
        now_ms % (16 * CLOCK_HOUR_MS) < CLOCK_HOUR_MS && now_ms > START_MS + 2 * CLOCK_DAY_MS;
    const int64_t late_ms = draw(50) == 0 ? (int64_t)draw(40) * CLOCK_MINUTE_MS : 0;
    const char *feature = features[dear ? 0 : draw(FEATURES)];
    char time[CLOCK_TEXT_SIZE];
    char part[64] = "";
    char id[32];
    char value[640];

    if (feature != NULL)
        (void)snprintf(part, sizeof part, "\"feature\":\"%s\",", feature);
    (void)snprintf(id, sizeof id, "e%zu", number);
    (void)snprintf(value, sizeof value,
                   "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"//gw\","
                   "\"type\":\"com.example.usage.record.v1\",\"time\":\"%s\",\"subject\":\"acme\","
                   "\"data\":{\"request_id\":\"%s\",%s\"usage\":{\"input_tokens\":%d},"
                   "\"cost\":\"0.%02d\"}}",
                   id, clock_format(now_ms - late_ms, time), id, part, (int)draw(500),
                   dear ? 20 + (int)draw(30) : 1 + (int)draw(3));
    stage_record(stage, text_of(id), text_of(value));
}

static const char *
event_text(const struct stage *stage, const char *kind, const char *id, const char *members,
           char out[512])
{
    char time[CLOCK_TEXT_SIZE];

    (void)snprintf(out, 512,
                   "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"//gw\","
                   "\"type\":\"com.example.usage.%s.v1\",\"time\":\"%s\",\"subject\":\"acme\","
                   "\"data\":{\"request_id\":\"%s\",%s}}",
                   id, kind, clock_format(stage_time(stage), time), id, members);
    return out;
}

/* Some are settled, some before they are made; some are released, some only when they are late. */
static void
hold(struct stage *stage, size_t number)
{
    const size_t at = number % 4;
    const size_t late = number / 4 - 9;
    size_t reservation = number / 4;
    const char *kind = reservation % 3 == 0 ? "release" : "settle";
    char members[160];
    char id[32];
    char text[512];

    if (at == 3 && number > 36 && late % 14 == 1)
        reservation = late;
    else if (at % 2 == 1 || (at == 2 && reservation % 14 == 1))
        return;
    else if (at == (reservation % 5 == 0 ? 2 : 0))
        kind = "reserve";
    (void)snprintf(id, sizeof id, "h%zu", number);
    (void)snprintf(members, sizeof members,
                   "\"usage\":{},\"cost\":\"0.01\",\"reservation\":{\"id\":\"r%zu\","
                   "\"cost\":\"0.%02zu\"}",
                   reservation, reservation % 100);
    stage_record(stage, text_of(id), text_of(event_text(stage, kind, id, members, text)));
}

/* `stops`: one in so many events is followed by a restart or a crash; 0: none. */
static void
play(const struct policy *policy, uint64_t stops, struct story *story)
{
    struct stage *stage = stage_new(policy);
    int64_t now_ms = START_MS;
    uint64_t chance = 77;

    assert(stage != NULL);
    state = 5;
    story->count = 0;
    for (size_t i = 0; now_ms < START_MS + DAYS * CLOCK_DAY_MS; i++) {
        const bool quiet = now_ms % CLOCK_DAY_MS < 6 * CLOCK_HOUR_MS;

        now_ms += (int64_t)draw((quiet ? 4 : 2) * CLOCK_MINUTE_MS);
        stage_advance(stage, now_ms);
        send(stage, now_ms, i);
        hold(stage, i);
        if (stops == 0)
            continue;
        chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
        if ((chance >> 33) % 7 == 0)
            stage_settle(stage);
        if ((chance >> 40) % stops > 0)
            continue;
        stage_pause(stage);
        hear(stage, story);
        stage_restart(stage);
    }
    stage_advance(stage, now_ms + CLOCK_DAY_MS);
    stage_settle(stage);
    stage_settle(stage);
    hear(stage, story);
    CU_ASSERT_PTR_NULL(stage_fault(stage));
    if (stage_fault(stage) != NULL)
        printf("\n    %s\n", stage_fault(stage));
    stage_free(stage);
}

static int
said_so_often(const struct story *story, enum move move, const char *part)
{
    int count = 0;

    for (size_t i = 0; i < story->count; i++)
        count += story->said[i].move == move && strstr(story->said[i].words, part) != NULL;
    return count;
}

static void
test_restarts(void)
{
    static struct story whole;
    static struct story stopped;
    struct policy *policy = read_policy();

    play(policy, 0, &whole);
    play(policy, 40, &stopped);
    CHECK_INT("something was said", whole.count >= 4, true);
    CHECK_INT("of reservations as well",
              said_so_often(&whole, MOVE_FIRE, "anomaly/reservations") > 3, true);
    CHECK_INT("as often", stopped.count, whole.count);
    for (size_t i = 0; i < whole.count && i < stopped.count; i++) {
        CHECK_INT(whole.said[i].words, stopped.said[i].at_ms, whole.said[i].at_ms);
        CHECK_INT(whole.said[i].words, stopped.said[i].move, whole.said[i].move);
        CU_ASSERT_STRING_EQUAL(stopped.said[i].words, whole.said[i].words);
    }
    policy_free(policy);
}

/* ---- pages ----------------------------------------------------------------------------------------- */

enum { TEAMS = 6, TEAM_DAYS = 15 };

static void
call(struct stage *stage, const char *feature, int cents)
{
    static size_t number;
    char time[CLOCK_TEXT_SIZE];
    char id[32];
    char value[512];

    (void)snprintf(id, sizeof id, "p%zu", number++);
    (void)snprintf(value, sizeof value,
                   "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"//gw\","
                   "\"type\":\"com.example.usage.record.v1\",\"time\":\"%s\",\"subject\":\"acme\","
                   "\"data\":{\"request_id\":\"%s\",\"feature\":\"%s\",\"usage\":{},"
                   "\"cost\":\"%d.%02d\"}}",
                   id, clock_format(stage_time(stage), time), id, feature, cents / 100,
                   cents % 100);
    stage_record(stage, text_of(id), text_of(value));
}

/* Every feature calls every 2.5 minutes; one of them is dear (-1: none). */
static int64_t
work(struct stage *stage, int64_t now_ms, int64_t until_ms, int dear)
{
    static const char *const teams[TEAMS] = {"a", "b", "c", "d", "e", "f"};

    for (; now_ms < until_ms; now_ms += 150 * CLOCK_SECOND_MS) {
        stage_advance(stage, now_ms);
        for (int i = 0; i < TEAMS; i++)
            call(stage, teams[i], i == dear ? 2000 : 5);
        if (now_ms % CLOCK_HOUR_MS == 0)
            stage_settle(stage);
    }
    return now_ms;
}

/* Five features run wild half an hour after one another: three pages, and one for all the others. Six
 * hours after the first there may be another. */
static void
test_pages(void)
{
    static struct story story;
    struct policy *policy = read_policy();
    struct stage *stage = stage_new(policy);
    int64_t now_ms = START_MS;

    assert(stage != NULL);
    story.count = 0;
    now_ms = work(stage, now_ms, START_MS + TEAM_DAYS * CLOCK_DAY_MS, -1);
    for (int dear = 0; dear < TEAMS - 1; dear++) {
        now_ms = work(stage, now_ms, now_ms + 5 * CLOCK_MINUTE_MS, dear);
        now_ms = work(stage, now_ms, now_ms + 25 * CLOCK_MINUTE_MS, -1);
    }
    settle_and_hear(stage, &story);
    CHECK_INT("pages", said_so_often(&story, MOVE_FIRE, "anomaly/cost"), 3);
    CHECK_INT("one for the others", said_so_often(&story, MOVE_FIRE, "anomaly/incident"), 1);
    CHECK_INT("goes on", said_so_often(&story, MOVE_RESOLVE, "anomaly/incident"), 0);
    now_ms = work(stage, now_ms, now_ms + 12 * CLOCK_HOUR_MS, -1);
    settle_and_hear(stage, &story);
    CHECK_INT("all end", said_so_often(&story, MOVE_RESOLVE, "anomaly/cost"), 3);
    CHECK_INT("and so does it", said_so_often(&story, MOVE_RESOLVE, "anomaly/incident"), 1);
    now_ms = work(stage, now_ms, now_ms + 5 * CLOCK_MINUTE_MS, TEAMS - 1);
    (void)work(stage, now_ms, now_ms + 10 * CLOCK_MINUTE_MS, -1);
    settle_and_hear(stage, &story);
    CHECK_INT("another page", said_so_often(&story, MOVE_FIRE, "anomaly/cost"), 4);
    CU_ASSERT_PTR_NULL(stage_fault(stage));
    stage_free(stage);
    policy_free(policy);
}

/* ---- reservations ------------------------------------------------------------------------------------ */

static void
hold_many(struct stage *stage, const char *kind, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char members[160];
        char id[48];
        char text[512];

        (void)snprintf(id, sizeof id, "%s-%s%d", kind, prefix, i);
        (void)snprintf(members, sizeof members, "\"reservation\":{\"id\":\"%s%d\",\"cost\":\"1\"}",
                       prefix, i);
        stage_record(stage, text_of(id), text_of(event_text(stage, kind, id, members, text)));
    }
    stage_settle(stage);
    stage_settle(stage);
}

/* The 4097th is not followed; of those that were released early the last 64 are known. */
static void
test_limits(void)
{
    static struct story story;
    struct policy *policy = read_policy();
    struct stage *stage = stage_new(policy);

    assert(stage != NULL);
    story.count = 0;
    stage_advance(stage, START_MS);
    hold_many(stage, "reserve", "r", 4097);
    stage_restart(stage);
    stage_advance(stage, START_MS + 30 * CLOCK_MINUTE_MS);
    hold_many(stage, "release", "r", 4096);
    hear(stage, &story);
    CHECK_INT("one alert", said_so_often(&story, MOVE_FIRE, "anomaly/reservations"), 1);
    CHECK_INT("over without the last", said_so_often(&story, MOVE_RESOLVE, "anomaly/reservations"),
              1);
    hold_many(stage, "release", "e", 65);
    stage_restart(stage);
    hold_many(stage, "reserve", "e", 65);
    stage_advance(stage, START_MS + 90 * CLOCK_MINUTE_MS);
    settle_and_hear(stage, &story);
    CHECK_INT("one was forgotten",
              said_so_often(&story, MOVE_FIRE, "anomaly/reservations  reservation e0 of 1.00 USD"),
              1);
    CHECK_INT("and no other", said_so_often(&story, MOVE_FIRE, "anomaly/reservations"), 2);
    hold_many(stage, "release", "e", 1);
    hear(stage, &story);
    CHECK_INT("all are over", said_so_often(&story, MOVE_RESOLVE, "anomaly/reservations"), 2);
    CU_ASSERT_PTR_NULL(stage_fault(stage));
    stage_free(stage);
    policy_free(policy);
}

/* ---- silence --------------------------------------------------------------------------------------------- */

static bool
is_followed(struct stage *stage, const char *name)
{
    struct tenant *tenant = stage_tenant(stage, TEXT("acme"));
    const struct feature *feature = feature_find(tenant->features, text_of(name));
    const bool followed = feature != NULL && feature->watch != NULL;

    tenant_free(tenant);
    return followed;
}

/* A call of each of 65 features a day; not all: without the eighth. */
static void
work_days(struct stage *stage, int from, int until, bool all, bool restarts)
{
    for (int day = from; day < until; day++) {
        stage_advance(stage, START_MS + day * CLOCK_DAY_MS + CLOCK_HOUR_MS);
        for (int i = 0; i < 65; i++) {
            char name[16];

            (void)snprintf(name, sizeof name, "%c%d", i == 7 ? 'k' : 'f', i);
            if (all || i != 7)
                call(stage, name, 1);
        }
        stage_settle(stage);
        if (restarts && day % 20 == 0)
            stage_restart(stage);
    }
    stage_settle(stage);
}

/* 64 features are followed; one that is silent for 90 days makes room, in memory and in Postgres. */
static void
test_silence(void)
{
    struct policy *policy = read_policy();

    for (int restarts = 0; restarts < 2; restarts++) {
        struct stage *stage = stage_new(policy);

        assert(stage != NULL);
        work_days(stage, 0, 2, true, restarts == 1);
        CHECK_INT("the 64th", is_followed(stage, "f63"), true);
        CHECK_INT("one too many", is_followed(stage, "f64"), false);
        work_days(stage, 2, 92, false, restarts == 1);
        CHECK_INT("silent, not for long enough", is_followed(stage, "k7"), true);
        work_days(stage, 92, 94, false, restarts == 1);
        CHECK_INT("forgotten", is_followed(stage, "k7"), false);
        CHECK_INT("there is room", is_followed(stage, "f64"), true);
        CHECK_INT("others stay", is_followed(stage, "f63"), true);
        stage_advance(stage, START_MS + 300 * CLOCK_DAY_MS);
        call(stage, "k7", 1);
        stage_settle(stage);
        stage_settle(stage);
        CHECK_INT("all were forgotten", is_followed(stage, "f63"), false);
        CHECK_INT("and it begins anew", is_followed(stage, "k7"), true);
        CU_ASSERT_PTR_NULL(stage_fault(stage));
        stage_free(stage);
    }
    policy_free(policy);
}

static CU_TestInfo tests[] = {{"silence", test_silence},
                              {"restarts", test_restarts},
                              {"pages", test_pages},
                              {"limits of reservations", test_limits},
                              CU_TEST_INFO_NULL};

const CU_SuiteInfo suite_anomaly = {.pName = "anomaly", .pTests = tests};
