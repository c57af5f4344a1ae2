/* Protects: who is throttled, until when, is what a list of all requests says, through settlements,
 * crashes and silence; a full table still cuts who hammers, and lets go of nobody who is throttled. */
#include "rules/shard_state.h"
#include "rules/throttle.h"
#include "tests/check.h"
#include "tests/shard_world.h"

#include <string.h>

enum { KEYS = 3, STEPS = 300, ROUNDS = 40, LIMIT = 6 };

static struct plan plan = {.name = TEXT_ROW("free"),
                           .bursts = {[BURST_KEY] = {.on = true, .limit = LIMIT}}};
static const struct policy policy = {.serial = 1,
                                     .plans = &plan,
                                     .plan_count = 1,
                                     .grace_ms = 72 * CLOCK_HOUR_MS,
                                     .fallback_plan = &plan,
                                     .zone = TEXT_ROW("UTC"),
                                     .currency = TEXT_ROW("USD"),
                                     .has_bursts = true,
                                     .bursts = {[BURST_KEY] = {true, false}}};

static struct world world;
static uint64_t state = 7;

static int64_t
draw(int64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int64_t)((state >> 33) % (uint64_t)below);
}

/* ---- a naive model ------------------------------------------------------------------------------------- */

static struct {
    int64_t at_ms[STEPS];
    int64_t amount[STEPS];
    size_t count;
    int64_t until_ms;
    int64_t told_ms;
} model[KEYS];

static int64_t
sent(int key, int64_t now_ms)
{
    int64_t sum = 0;

    for (size_t i = 0; i < model[key].count; i++)
        if (model[key].at_ms[i] / 1000 > now_ms / 1000 - 60)
            sum += model[key].amount[i];
    return sum;
}

/* When fewer than the limit are left, at least five seconds from now. */
static int64_t
end_of(int key, int64_t now_ms)
{
    int64_t at_ms = now_ms;

    while (sent(key, at_ms) >= LIMIT)
        at_ms = (at_ms / 1000 + 1) * 1000;
    return at_ms > now_ms + 5000 ? at_ms : now_ms + 5000;
}

static bool
has_fallen(int key, int64_t at_ms)
{
    return sent(key, at_ms) < LIMIT;
}

static void
model_use(int key, int64_t now_ms, int64_t amount)
{
    const bool active = model[key].until_ms > now_ms;

    model[key].at_ms[model[key].count] = now_ms;
    model[key].amount[model[key].count++] = amount;
    if (active ? now_ms >= model[key].told_ms + 5000 && !has_fallen(key, model[key].until_ms)
               : sent(key, now_ms) > LIMIT) {
        model[key].until_ms = end_of(key, now_ms);
        model[key].told_ms = now_ms;
    }
}

/* ---- and the shard --------------------------------------------------------------------------------------- */

static char names[KEYS][4] = {"k0", "k1", "k2"};
static char scopes[KEYS][16] = {"key/acme/k0", "key/acme/k1", "key/acme/k2"};

static void
use(int key, int64_t now_ms, int64_t amount)
{
    struct event event = world_use(&world, "acme", now_ms, amount);

    event.names[NAME_API_KEY_ID] = text_of(names[key]);
    world_record(&world, now_ms, &event, 1);
}

static void
compare(int key, int64_t now_ms)
{
    const struct on_topic *told = world_on_topic(&world, text_of(scopes[key]));

    if (model[key].until_ms > now_ms) {
        CHECK_INT("outcome", told == NULL ? OUTCOME_ALLOW : told->outcome, OUTCOME_THROTTLE);
        CHECK_INT("until", told == NULL ? 0 : told->ends_ms, model[key].until_ms);
    } else if (told != NULL && told->count > 0) {
        CU_ASSERT_TRUE(told->ends_ms <= now_ms);
    }
}

static void
one_round(void)
{
    int64_t now_ms = INT64_C(1773136800000) + draw(1000);

    memset(model, 0, sizeof model);
    world_open(&world, &policy);
    for (int i = 0; i < STEPS; i++) {
        const int key = (int)draw(KEYS);

        now_ms += draw(25) == 0 ? draw(400000) : draw(2500);
        if (draw(10) == 0) {
            world_time(&world, now_ms);
        } else {
            const int64_t amount = 1 + draw(2);

            use(key, now_ms, amount);
            model_use(key, now_ms, amount);
        }
        if (draw(8) == 0)
            world_settle(&world);
        if (draw(20) == 0) {
            world_settle(&world);
            world_crash(&world);
        } else if (draw(20) == 0) {
            world_crash(&world);
        }
        (void)world_said(&world);
        for (int k = 0; k < KEYS; k++)
            compare(k, shard_time(world.shard));
    }
    world_settle(&world);
    CHECK_INT("totals agree", world.differences, 0);
    world_close(&world);
}

static void
test_model(void)
{
    for (int round = 0; round < ROUNDS; round++)
        one_round();
}

/* ---- too many ---------------------------------------------------------------------------------------------- */

static void
use_from(const char *ip, const char *key, int64_t at_ms)
{
    struct event event = world_use(&world, "acme", at_ms, 1);

    event.names[NAME_CLIENT_IP] = text_of(ip);
    event.names[NAME_API_KEY_ID] = text_of(key);
    world_record(&world, at_ms, &event, 1);
}

/* A table for 64: a key is throttled in a spray of addresses, and stays so. */
static void
test_spray(void)
{
    static struct plan both = {
        .name = TEXT_ROW("free"),
        .bursts = {
            [BURST_KEY] = {.on = true, .limit = 60}, [BURST_IP] = {.on = true, .limit = 60}}};
    struct policy spraying = policy;
    const int64_t begin_ms = INT64_C(1773136800000);
    char ip[24];

    spraying.plans = &both;
    spraying.fallback_plan = &both;
    world_open(&world, &spraying);
    world.setup.burst_entries = 64;
    world_claim(&world);
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(ip, sizeof ip, "10.0.%d.%d", i / 250, i % 250);
        use_from(ip, i % 20 == 0 ? "k1" : "", begin_ms + INT64_C(20) * i);
        (void)world_said(&world);
    }
    const struct on_topic *told = world_on_topic(&world, TEXT("key/acme/k1"));

    CU_ASSERT_PTR_NOT_NULL_FATAL(told);
    CHECK_INT("throttled", told->outcome, OUTCOME_THROTTLE);
    CHECK_INT("nobody else is", world.topic_count, 1);
    CHECK_INT("the table keeps its size", world.shard->burst.entries.count, 64);
    CHECK_INT("who is throttled is in it",
              world.shard->burst.evicted > 0 && world.shard->burst.missed == 0, true);
    world_settle(&world);
    CHECK_INT("metric", metric_get(&world.metrics, METRIC_BURST_EVICTED),
              world.shard->burst.evicted);
    world_close(&world);
}

/* A thousand of a tenant are throttled at once, twenty have an alert; all of that is over some time. */
static void
test_crowd(void)
{
    static struct plan strict = {.name = TEXT_ROW("free"),
                                 .bursts = {[BURST_IP] = {.on = true, .limit = 0}}};
    struct policy crowded = policy;
    const int64_t begin_ms = INT64_C(1773136800000);
    const struct shard *shard;
    char ip[24];

    crowded.plans = &strict;
    crowded.fallback_plan = &strict;
    world_open(&world, &crowded);
    world.setup.burst_entries = 4096;
    world.setup.settle_memory = (size_t)64 << 20; /* nothing is settled meanwhile */
    world_claim(&world);
    shard = world.shard;
    for (int i = 0; i < THROTTLE_LIMIT + 5; i++) {
        (void)snprintf(ip, sizeof ip, "10.0.%d.%d", i / 250, i % 250);
        use_from(ip, "", begin_ms);
    }
    const struct tenant *tenant = shard->tenants[0];
    const struct list *transitions = &shard->open->settlement->transitions;

    CHECK_INT("throttled", tenant->bursts->count, THROTTLE_LIMIT);
    CHECK_INT("restricted scopes", shard_restricted_count(shard), THROTTLE_LIMIT);
    CHECK_INT("unknown tenant and alerts", transitions->count, 1 + THROTTLE_ALERT_LIMIT);
    CHECK_INT("metric", metric_get(&world.metrics, METRIC_BURST_MISSED), 5);
    shard_wanted_taken(world.shard, shard->wanted.count);
    world.told = transitions->count;
    world_time(&world, begin_ms + 60000);
    CHECK_INT("all have ended", shard_restricted_count(shard), 0);
    CHECK_INT("without a word", shard->wanted.count, 0);
    world_time(&world, begin_ms + 60000 + THROTTLE_QUIET_MS);
    CHECK_INT("all are over", tenant->bursts->count, 0);
    CHECK_INT("and cleared away", shard->wanted.count, THROTTLE_LIMIT);
    CHECK_INT("nothing is remembered", tenant->published == NULL, true);
    CHECK_INT("nothing is due", tenant->due_place, 0);
    shard_wanted_taken(world.shard, shard->wanted.count);
    world_close(&world);
}

static CU_TestInfo tests[] = {
    {"who is throttled until when is what a list says", test_model},
    {"a spray of addresses", test_spray},
    {"a thousand at once", test_crowd},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_throttle = {.pName = "throttle", .pTests = tests};
