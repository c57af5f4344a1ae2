/* Protects: what a customer, an operator and a gateway see of a shard, told as stories
 * (SEMANTICS 3, 4 and 6; DESIGN 6 and 7). */
#include "tests/findings_check.h"
#include "tests/shard_world.h"

#include <string.h>

static struct quota api = {.name = TEXT_ROW("api"),
                           .full_name = TEXT_ROW("quota/api"),
                           .meter = METER_REQUESTS,
                           .limit = 1000,
                           .soft_pct = 80,
                           .steps = {50, 75, 90},
                           .step_count = 3};
static struct quota closed = {.name = TEXT_ROW("seats"),
                              .full_name = TEXT_ROW("quota/seats"),
                              .meter = METER_ATTEMPTS,
                              .limit = 0};
static struct plan plans[] = {{.name = TEXT_ROW("free"), .quotas = &api, .quota_count = 1},
                              {.name = TEXT_ROW("closed"), .quotas = &closed, .quota_count = 1}};
static const struct policy policy = {.serial = 1,
                                     .plans = plans,
                                     .plan_count = 2,
                                     .grace_ms = 72 * CLOCK_HOUR_MS,
                                     .fallback_plan = &plans[0],
                                     .zone = TEXT_ROW("UTC"),
                                     .currency = TEXT_ROW("USD")};
static const struct tenant_spec plain;

static struct world world;

static void
use(const char *time, const char *tenant, int64_t requests)
{
    const int64_t at_ms = instant_of(time);
    const struct event event = world_use(&world, tenant, at_ms, requests);

    world_record(&world, at_ms, &event, 1);
}

/* An event that says it happened at another time than it arrived. */
static void
use_at(const char *time, const char *happened, const char *tenant, int64_t requests)
{
    const struct event event = world_use(&world, tenant, instant_of(happened), requests);

    world_record(&world, instant_of(time), &event, 1);
}

static void
use_project(const char *time, const char *project, int64_t requests)
{
    struct event event = world_use(&world, "acme", instant_of(time), requests);

    event.names[NAME_PROJECT] = text_of(project);
    world_record(&world, event.at_ms, &event, 1);
}

static void
spend(const char *time, enum event_kind kind, int64_t units)
{
    struct event event = world_use(&world, "acme", instant_of(time), 1);

    event.kind = kind;
    event.cost.nano = units * MONEY_NANO_PER_UNIT;
    world_record(&world, event.at_ms, &event, 1);
}

#define SAID(row, expected) CHECK_TEXT(row, world_said(&world), expected)

static struct tenant_spec
with_limit(struct limit_override *limit, const char *quota, int64_t number)
{
    *limit = (struct limit_override){.quota = text_of(quota), .nano = (tally)number * 1000000000};
    return (struct tenant_spec){.limits = limit, .limit_count = 1};
}

static void
open_world(const struct policy *with)
{
    world_open(&world, with);
    world_contract(&world, "acme", &plain, zone_utc());
    world_time(&world, instant_of("2026-03-10T00:00:00Z"));
    (void)world_said(&world);
}

static void
close_world(void)
{
    world_settle(&world);
    CHECK_INT("memory and Postgres agree", world.differences, 0);
    CHECK_INT("wanted states only on change", world.repeats, 0);
    world_close(&world);
}

/* ---- soft steps and the hard limit ---------------------------------------------------------------- */

static void
test_steps(void)
{
    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 400);
    SAID("40 %", "");
    use("2026-03-10T10:01:00Z", "acme", 550);
    SAID("40 -> 95 % in one event: one alert", "fire quota/api acme 90 (50,75,90)");
    use("2026-03-10T10:02:00Z", "acme", 49);
    SAID("99.9 %", "");
    use("2026-03-10T10:03:00Z", "acme", 1);
    SAID("exactly 100 %", "step quota/api acme 100 (100); "
                          "block tenant/acme plan_allowance_exhausted quota/api");
    use("2026-03-10T10:04:00Z", "acme", 500);
    SAID("calls that were under way", "");
    close_world();
}

static void
test_limit_raised(void)
{
    struct limit_override limit;
    struct tenant_spec spec;

    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 750);
    SAID("75 %", "fire quota/api acme 75 (50,75)");
    spec = with_limit(&limit, "api", 1500);
    world_contract(&world, "acme", &spec, zone_utc());
    SAID("raised: 75 % used is 50 % now, nothing is sent again", "");
    use("2026-03-10T10:01:00Z", "acme", 374);
    SAID("74.9 %", "");
    use("2026-03-10T10:02:00Z", "acme", 1);
    SAID("75 % of the new limit is news", "step quota/api acme 75 (75)");
    spec = with_limit(&limit, "api", 1125);
    world_contract(&world, "acme", &spec, zone_utc());
    SAID("lowering acts at once", "step quota/api acme 100 (90,100); "
                                  "block tenant/acme plan_allowance_exhausted quota/api");
    spec = with_limit(&limit, "api", 100000);
    world_contract(&world, "acme", &spec, zone_utc());
    SAID("raising too", "resolve quota/api acme 100 limit_raised; allow tenant/acme");
    close_world();
}

static struct quota money = {.name = TEXT_ROW("budget"),
                             .full_name = TEXT_ROW("quota/budget"),
                             .meter = METER_COST,
                             .limit = (tally)100 * MONEY_NANO_PER_UNIT,
                             .steps = {50, 75, 90},
                             .step_count = 3};
static struct plan money_plan = {.name = TEXT_ROW("money"), .quotas = &money, .quota_count = 1};
static const struct policy money_policy = {.serial = 1,
                                           .plans = &money_plan,
                                           .plan_count = 1,
                                           .grace_ms = 72 * CLOCK_HOUR_MS,
                                           .fallback_plan = &money_plan,
                                           .zone = TEXT_ROW("UTC"),
                                           .currency = TEXT_ROW("USD")};

static void
test_refunds(void)
{
    open_world(&money_policy);
    spend("2026-03-10T10:00:00Z", EVENT_RECORD, 76);
    SAID("76 %", "fire quota/budget acme 75 (50,75)");
    spend("2026-03-10T10:01:00Z", EVENT_REFUND, -5);
    spend("2026-03-10T10:02:00Z", EVENT_RECORD, 5);
    SAID("71 % does not arm 75 again", "");
    spend("2026-03-10T10:03:00Z", EVENT_REFUND, -6);
    SAID("70 % does, silently", "");
    spend("2026-03-10T10:04:00Z", EVENT_RECORD, 5);
    SAID("and up", "step quota/budget acme 75 (75)");
    spend("2026-03-10T10:05:00Z", EVENT_RECORD, 26);
    SAID("over", "step quota/budget acme 100 (90,100); "
                 "block tenant/acme plan_allowance_exhausted quota/budget");
    spend("2026-03-10T10:06:00Z", EVENT_REFUND, -4);
    SAID("97 %: lifted at once, the episode lives on", "allow tenant/acme");
    spend("2026-03-10T10:07:00Z", EVENT_RECORD, 4);
    SAID("blocked again in the same episode: no new message",
         "block tenant/acme plan_allowance_exhausted quota/budget");
    spend("2026-03-10T10:08:00Z", EVENT_REFUND, -6);
    SAID("95 %: step 100 is armed again, the restriction's end is told",
         "resolve quota/budget acme 100 cleared; allow tenant/acme");
    spend("2026-03-10T10:09:00Z", EVENT_RECORD, 5);
    SAID("a new episode", "fire quota/budget acme 100 (100); "
                          "block tenant/acme plan_allowance_exhausted quota/budget");
    world_settle(&world);
    CU_ASSERT_TRUE(world_total(&world, "acme", "", instant_of("2026-03-11T00:00:00Z"))->cost ==
                   (tally)100 * MONEY_NANO_PER_UNIT);
    close_world();
}

static void
test_limit_zero(void)
{
    static const struct tenant_spec spec = {.plan = TEXT_ROW("closed")};

    world_open(&world, &policy);
    world_time(&world, instant_of("2026-03-30T00:00:00Z"));
    world_contract(&world, "acme", &spec, zone_utc());
    SAID("blocked before the first event",
         "fire quota/seats acme 100 (100); "
         "block tenant/acme plan_allowance_exhausted quota/seats");
    world_time(&world, instant_of("2026-04-02T00:00:00Z"));
    SAID("and in the next period",
         "resolve quota/seats acme 100 period_rollover; fire quota/seats acme 100 (100); "
         "block tenant/acme plan_allowance_exhausted quota/seats");
    close_world();
}

/* A refund of last period's may make a tally negative: a limit of nothing stays one. */
static void
test_limit_zero_refunded(void)
{
    struct limit_override limit;
    const struct tenant_spec spec = with_limit(&limit, "budget", 0);

    world_open(&world, &money_policy);
    world_contract(&world, "acme", &spec, zone_utc());
    SAID("before the first record no period is the present one", "");
    world_time(&world, instant_of("2026-03-10T09:00:00Z"));
    SAID("blocked", "fire quota/budget acme 100 (50,75,90,100); "
                    "block tenant/acme plan_allowance_exhausted quota/budget");
    spend("2026-03-10T10:00:00Z", EVENT_RECORD, 0);
    (void)world_said(&world);
    spend("2026-03-10T10:01:00Z", EVENT_REFUND, -1);
    SAID("still", "");
    close_world();
}

static void
test_catalogue(void)
{
    static const struct {
        const char *plan;
        int64_t api_calls; /* -1: unlimited */
        int64_t ai_tokens;
    } rows[] = {
        {"free", 1000, 100000},
        {"starter", 50000, 1000000},
        {"professional", 500000, 10000000},
        {"enterprise", -1, -1},
        {"nobody knows this plan", 1000, 100000},
    };
    static struct quota quotas[4][2];
    static struct plan catalogue[4];
    struct policy sold = policy;

    for (size_t i = 0; i < 4; i++) {
        quotas[i][0] = (struct quota){.name = TEXT("api_calls"),
                                      .full_name = TEXT("quota/api_calls"),
                                      .meter = METER_REQUESTS,
                                      .unlimited = rows[i].api_calls < 0,
                                      .limit = rows[i].api_calls};
        quotas[i][1] = (struct quota){.name = TEXT("ai_tokens"),
                                      .full_name = TEXT("quota/ai_tokens"),
                                      .meter = METER_TOKENS,
                                      .unlimited = rows[i].ai_tokens < 0,
                                      .limit = rows[i].ai_tokens};
        catalogue[i] =
            (struct plan){.name = text_of(rows[i].plan), .quotas = quotas[i], .quota_count = 2};
    }
    sold.plans = catalogue;
    sold.plan_count = 4;
    sold.fallback_plan = &catalogue[0];
    for (size_t i = 0; i < 5; i++) {
        const struct tenant_spec spec = {.plan = text_of(rows[i].plan)};
        const int64_t at_ms = instant_of("2026-03-10T10:00:00Z");

        world_open(&world, &sold);
        world_contract(&world, "acme", &spec, zone_utc());
        struct event event =
            world_use(&world, "acme", at_ms, rows[i].api_calls < 0 ? 999 : rows[i].api_calls - 1);

        world_record(&world, at_ms, &event, 1);
        CHECK_TEXT(rows[i].plan, world_said(&world), "");
        event = world_use(&world, "acme", at_ms, 1);
        world_record(&world, at_ms, &event, 1);
        CHECK_TEXT(rows[i].plan, world_said(&world),
                   rows[i].api_calls < 0
                       ? ""
                       : "fire quota/api_calls acme 100 (100); "
                         "block tenant/acme plan_allowance_exhausted quota/api_calls");
        event = world_use(&world, "acme", at_ms, 0);
        event.usage[USAGE_INPUT_TOKENS] = rows[i].ai_tokens < 0 ? 9 : rows[i].ai_tokens;
        world_record(&world, at_ms, &event, 1);
        CHECK_TEXT(rows[i].plan, world_said(&world),
                   rows[i].ai_tokens < 0 ? ""
                                         : "fire quota/ai_tokens acme 100 (100); "
                                           "block tenant/acme plan_allowance_exhausted "
                                           "quota/ai_tokens");
        close_world();
    }
}

/* ---- projects -------------------------------------------------------------------------------------- */

static struct limit_override web_limit = {.quota = TEXT_ROW("api"),
                                          .nano = (tally)500 * 1000000000};
static struct project_spec web[] = {
    {.name = TEXT_ROW("web"), .limits = &web_limit, .limit_count = 1}, {.name = TEXT_ROW("batch")}};
static const struct tenant_spec projects = {.projects = web, .project_count = 2};

static void
test_projects(void)
{
    const int64_t march = instant_of("2026-03-10T10:00:00Z");

    open_world(&policy);
    use_project("2026-03-10T10:00:00Z", "anything", 10);
    SAID("none declared: every name is taken as it comes", "");
    world_contract(&world, "acme", &projects, zone_utc());
    use_project("2026-03-10T10:01:00Z", "web", 50);
    world_settle(&world);
    CHECK_INT("project: 450 left",
              500 - world_total(&world, "acme", "web", march)->count[COUNT_requests], 450);
    CHECK_INT("tenant: 940 left",
              1000 - world_total(&world, "acme", "", march)->count[COUNT_requests], 940);
    SAID("so far", "");
    use_project("2026-03-10T10:02:00Z", "nobody", 1);
    SAID("not declared: booked as unassigned, told once", "fire ingest/unknown_project acme");
    use_project("2026-03-10T10:03:00Z", "web", 450);
    SAID("the project's own budget", "fire quota/api acme/web 100 (50,75,90,100); "
                                     "fire quota/api acme 50 (50); "
                                     "block project/acme/web project_budget_exhausted quota/api");
    use_project("2026-03-10T10:04:00Z", "batch", 10);
    SAID("the other project goes on", "");
    world_contract(&world, "acme", &plain, zone_utc());
    SAID("declared no more: its rule is gone",
         "resolve quota/api acme/web 100 rule_removed; allow project/acme/web");
    close_world();
}

static void
test_unknown_tenant(void)
{
    world_open(&world, &policy);
    use("2026-03-10T10:00:00Z", "stranger", 999);
    SAID("the fallback plan judges", "fire ingest/unknown_tenant; "
                                     "fire quota/api stranger 90 (50,75,90)");
    use("2026-03-10T10:01:00Z", "other", 1);
    SAID("told once a day", "");
    use("2026-03-10T10:02:00Z", "stranger", 1);
    SAID("spent money counts", "step quota/api stranger 100 (100); "
                               "block tenant/stranger plan_allowance_exhausted quota/api");
    close_world();
}

/* ---- periods --------------------------------------------------------------------------------------- */

static void
test_turn(void)
{
    static const struct {
        const char *row;
        const char *zone;
        const char *used;
        const char *until; /* the turn */
    } rows[] = {
        {"UTC", NULL, "2026-03-31T23:59:00Z", "2026-04-01T00:00:00Z"},
        {"December to January", NULL, "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"},
        {"Lagos", "Africa/Lagos", "2026-03-31T22:00:00Z", "2026-03-31T23:00:00Z"},
        {"Kolkata", "Asia/Kolkata", "2026-03-31T18:00:00Z", "2026-03-31T18:30:00Z"},
        {"Kathmandu", "Asia/Kathmandu", "2026-03-31T18:00:00Z", "2026-03-31T18:15:00Z"},
        {"Berlin, in summer", "Europe/Berlin", "2026-03-31T21:00:00Z", "2026-03-31T22:00:00Z"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = rows[i].zone == NULL ? NULL : zone_file_load(rows[i].zone);
        char expected[400];

        world_open(&world, &policy);
        world_contract(&world, "acme", &plain, zone == NULL ? zone_utc() : zone);
        use(rows[i].used, "acme", 1000);
        CHECK_INT(rows[i].row, strstr(world_said(&world), "block tenant/acme") != NULL, true);
        world_settle(&world);
        world_time(&world, instant_of(rows[i].until) - 1);
        CHECK_TEXT(rows[i].row, world_said(&world), "");
        world.with_times = true;
        /* The tenant sends nothing, and time is seen to have passed a day late. */
        world_time(&world, instant_of(rows[i].until) + CLOCK_DAY_MS);
        (void)snprintf(expected, sizeof expected,
                       "resolve quota/api acme 100 period_rollover at %s; allow tenant/acme at %s",
                       rows[i].until, rows[i].until);
        CHECK_TEXT(rows[i].row, world_said(&world), expected);
        close_world();
        zone_free(zone);
    }
}

static void
test_turn_while_nobody_owned_the_shard(void)
{
    open_world(&policy);
    use("2026-03-31T23:00:00Z", "acme", 1000);
    (void)world_said(&world);
    world_settle(&world);
    world_crash(&world);
    SAID("a new owner says the same", "block tenant/acme plan_allowance_exhausted quota/api; "
                                      "block tenant/acme plan_allowance_exhausted quota/api");
    world_time(&world, instant_of("2026-04-01T00:00:00Z"));
    SAID("the turn", "resolve quota/api acme 100 period_rollover; allow tenant/acme");
    close_world();
}

static void
test_late_and_early(void)
{
    open_world(&policy);
    world_time(&world, instant_of("2026-04-01T00:01:00Z"));
    use_at("2026-04-01T00:02:00Z", "2026-03-31T23:59:00Z", "acme", 5000);
    SAID("late: no block for a past period", "");
    world_settle(&world);
    CHECK_INT(
        "booked where it belongs",
        world_total(&world, "acme", "", instant_of("2026-03-15T00:00:00Z"))->count[COUNT_requests],
        5000);
    CU_ASSERT_PTR_NULL(world_total(&world, "acme", "", instant_of("2026-04-15T00:00:00Z")));
    use_at("2026-04-30T23:56:00Z", "2026-05-01T00:00:30Z", "acme", 1000);
    SAID("ahead: nothing yet", "");
    use("2026-04-30T23:57:00Z", "acme", 500);
    SAID("the present period goes on by itself", "fire quota/api acme 50 (50)");
    world_settle(&world);
    world_crash(&world);
    (void)world_said(&world);
    world.with_times = true;
    world_time(&world, instant_of("2026-05-01T00:00:10Z"));
    SAID("judged at the turn",
         "resolve quota/api acme 50 period_rollover at 2026-05-01T00:00:00Z; "
         "fire quota/api acme 100 (50,75,90,100) at 2026-05-01T00:00:00Z; "
         "block tenant/acme plan_allowance_exhausted quota/api until 2026-06-01T00:00:00Z "
         "at 2026-05-01T00:00:00Z");
    close_world();
}

/* A change of zone starts where the present period ends: nobody's count begins anew before. */
static void
test_zone_change(void)
{
    static const struct {
        const char *row;
        const char *zone;
        const char *turn; /* of the period after the present one */
    } rows[] = {
        {"east", "Asia/Kolkata", "2026-04-30T18:30:00Z"},
        {"west", "America/New_York", "2026-04-01T04:00:00Z"},
    };

    for (size_t i = 0; i < 2; i++) {
        struct zone *zone = zone_file_load(rows[i].zone);
        char expected[400];

        open_world(&policy);
        use("2026-03-10T10:00:00Z", "acme", 1000);
        (void)world_said(&world);
        world_settle(&world);
        world_contract(&world, "acme", &plain, zone);
        CHECK_TEXT(rows[i].row, world_said(&world), "");
        world_settle(&world);
        world_crash(&world);
        (void)world_said(&world);
        world.with_times = true;
        world_time(&world, instant_of("2026-04-01T00:00:00Z") - 1);
        CHECK_TEXT(rows[i].row, world_said(&world), "");
        world_time(&world, instant_of("2026-04-01T00:00:00Z"));
        CHECK_TEXT(rows[i].row, world_said(&world),
                   "resolve quota/api acme 100 period_rollover at 2026-04-01T00:00:00Z; "
                   "allow tenant/acme at 2026-04-01T00:00:00Z");
        use("2026-04-01T00:00:01Z", "acme", 1000);
        (void)snprintf(expected, sizeof expected,
                       "fire quota/api acme 100 (50,75,90,100) at 2026-04-01T00:00:01Z; "
                       "block tenant/acme plan_allowance_exhausted quota/api until %s at "
                       "2026-04-01T00:00:01Z",
                       rows[i].turn);
        CHECK_TEXT(rows[i].row, world_said(&world), expected);
        close_world();
        zone_free(zone);
    }
}

/* ---- operator -------------------------------------------------------------------------------------- */

static void
test_policies(void)
{
    struct quota looser = api;
    struct plan changed = {.name = TEXT("free"), .quotas = &looser, .quota_count = 1};
    struct plan none = {.name = TEXT("free")};
    struct policy second = policy;
    struct policy third = policy;

    second.serial = 2;
    second.plans = &changed;
    second.plan_count = 1;
    second.fallback_plan = &changed;
    looser.limit = 2000;
    third.serial = 3;
    third.plans = &none;
    third.plan_count = 1;
    third.fallback_plan = &none;
    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 1000);
    (void)world_said(&world);
    world_policy(&world, &second);
    SAID("a looser policy lifts", "resolve quota/api acme 100 limit_raised; allow tenant/acme");
    use("2026-03-10T10:01:00Z", "acme", 10);
    SAID("50 % was told before", "");
    world_policy(&world, &policy);
    SAID("back", "fire quota/api acme 100 (75,90,100); "
                 "block tenant/acme plan_allowance_exhausted quota/api");
    world_policy(&world, &third);
    SAID("the rule is gone", "resolve quota/api acme 100 rule_removed; allow tenant/acme");
    world_policy(&world, &policy);
    SAID("it is back: what was told in this period is not told again",
         "block tenant/acme plan_allowance_exhausted quota/api");
    close_world();
}

static void
test_words(void)
{
    struct operator_word word = {.scope = TEXT("tenant/acme"),
                                 .kind = WORD_ALLOW,
                                 .since_ms = instant_of("2026-03-10T11:00:00Z"),
                                 .until_ms = instant_of("2026-03-10T12:00:00Z"),
                                 .actor = TEXT("ann"),
                                 .reason = TEXT("demo")};

    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 1000);
    (void)world_said(&world);
    world_word(&world, "acme", &word);
    SAID("allowed", "allow tenant/acme");
    world.with_times = true;
    world_time(&world, instant_of("2026-03-10T13:00:00Z"));
    SAID("for an hour", "block tenant/acme plan_allowance_exhausted quota/api until "
                        "2026-04-01T00:00:00Z at 2026-03-10T12:00:00Z");
    word = (struct operator_word){.scope = TEXT("key/acme/k1"),
                                  .kind = WORD_BLOCK,
                                  .since_ms = instant_of("2026-03-10T13:00:00Z"),
                                  .until_ms = instant_of("2026-03-10T14:00:00Z"),
                                  .actor = TEXT("ann"),
                                  .reason = TEXT("leaked")};
    world_word(&world, "acme", &word);
    SAID("a key", "block key/acme/k1 key_revoked operator until 2026-03-10T14:00:00Z at "
                  "2026-03-10T13:00:00Z");
    world_settle(&world);
    world_crash(&world);
    (void)world_said(&world);
    world_time(&world, instant_of("2026-03-10T14:00:00Z"));
    SAID("also for the next owner", "allow key/acme/k1 at 2026-03-10T14:00:00Z");
    close_world();
}

static void
test_enforce(void)
{
    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 1000);
    (void)world_said(&world);
    world_enforce(&world, false);
    SAID("the brake", "allow tenant/acme");
    use("2026-03-10T10:01:00Z", "acme", 1);
    SAID("metering goes on", "");
    world_enforce(&world, true);
    SAID("released", "block tenant/acme plan_allowance_exhausted quota/api");
    close_world();
}

/* ---- repeats --------------------------------------------------------------------------------------- */

static struct event
sent_again(const char *id, int64_t requests)
{
    struct event event = world_use(&world, "acme", instant_of("2026-03-10T10:00:00Z"), requests);

    event.id = text_of(id);
    return event;
}

static void
arrive(const char *time, const char *id, int64_t requests)
{
    const struct event event = sent_again(id, requests);

    world_record(&world, instant_of(time), &event, 1);
}

static void
check_counted(const char *row, int64_t counted, int64_t duplicates, int64_t dead)
{
    world_settle(&world);
    CHECK_INT(row, world.db.progress.counted, counted);
    CHECK_INT(row, world.db.progress.duplicates, duplicates);
    CHECK_INT(row, world.db.progress.dead, dead);
}

static void
test_repeats(void)
{
    struct event twice[2];

    open_world(&policy);
    arrive("2026-03-10T10:00:00Z", "a", 1);
    arrive("2026-03-10T10:14:59.999Z", "a", 1);
    check_counted("the last ms", 1, 1, 0);
    arrive("2026-03-10T10:29:59.999Z", "a", 1);
    check_counted("the window counts from the last occurrence", 2, 1, 0);
    arrive("2026-03-10T10:30:00Z", "a", 2);
    check_counted("the same id says something else", 2, 1, 1);
    arrive("2026-03-10T10:30:01Z", "a", 1);
    check_counted("the one that was refused is not remembered", 2, 2, 1);
    world_crash(&world);
    arrive("2026-03-10T10:30:02Z", "a", 1);
    check_counted("nor after a restart", 2, 3, 1);
    twice[0] = twice[1] = sent_again("in one record", 1);
    world_record(&world, instant_of("2026-03-10T10:30:03Z"), twice, 2);
    check_counted("in one record", 3, 4, 1);
    close_world();
}

static void
test_dead_letter_read_again(void)
{
    for (int restarts = 0; restarts < 2; restarts++) {
        open_world(&policy);
        const struct event event = sent_again("late", 5);
        const struct record record = {.time_ms = instant_of("2026-03-10T10:00:00Z")};
        const struct dead dead = {.reason = DEAD_time_ahead};

        world_time(&world, record.time_ms);
        world.next_offset = 1;
        world.log[world.logged++] =
            (struct logged){.event = event, .time_ms = record.time_ms, .last = true};
        shard_record(world.shard, &record);
        CHECK_INT("refused", shard_dead(world.shard, &record, 0, &event, &dead), APPLIED);
        shard_record_end(world.shard, &record);
        arrive("2026-03-10T10:10:00Z", "other", 1);
        CHECK_INT("read again", shard_revive(world.shard, &record, 0, &event), REVIVED);
        world_settle(&world);
        world.log[0].dead = false; /* its dead letter is resolved */
        if (restarts > 0)
            world_crash(&world);
        arrive("2026-03-10T10:14:59.999Z", "late", 5);
        check_counted("known by its own place in the log", 2, 1, 1);
        world_load(&world, event.tenant);
        CHECK_INT("once more", shard_revive(world.shard, &record, 0, &event), REVIVED);
        check_counted("is a duplicate", 2, 2, 1);
        close_world();
    }
}

/* A tenant that cannot be loaded for a while: the place in the log decides, not when it is booked. */
static void
test_parked(void)
{
    struct record record = {.offset = 0, .time_ms = instant_of("2026-03-10T10:00:00Z")};

    world_open(&world, &policy);
    const struct event event = sent_again("parked", 3);

    world_time(&world, record.time_ms);
    for (int i = 0; i < 2; i++) {
        shard_record(world.shard, &record);
        CHECK_INT("parked once, then a repeat", shard_event(world.shard, &record, 0, &event, NULL),
                  i == 0 ? APPLIED_UNKNOWN : APPLIED);
        shard_record_end(world.shard, &record);
        record.offset++;
        record.time_ms += 14 * CLOCK_MINUTE_MS;
    }
    world_load(&world, TEXT("acme"));
    record = (struct record){.offset = 0, .time_ms = instant_of("2026-03-10T10:00:00Z")};
    shard_parked(world.shard, &record, 0, &event);
    check_counted("parked", 1, 1, 0);
    CHECK_INT("booked once", world_total(&world, "acme", "", record.time_ms)->count[COUNT_requests],
              3);
    close_world();
}

/* ---- what others may do ------------------------------------------------------------------------------ */

static void
test_strangers_on_the_topic(void)
{
    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 1);
    (void)world_said(&world);
    shard_declare(world.shard, TEXT("key/acme/k1"), TEXT("acme"));
    SAID("a scope that nobody cut", "allow key/acme/k1");
    shard_republish(world.shard);
    SAID("is nothing to remember", "");
    close_world();
}

static void
test_idle_ones_leave(void)
{
    char name[] = "idle-0";

    open_world(&policy);
    world.setup.tenant_limit = 1;
    world_claim(&world);
    use("2026-03-10T10:00:00Z", "acme", 1000);
    for (; name[5] < '5'; name[5]++)
        use("2026-03-10T10:00:00Z", name, 1);
    world_settle(&world);
    CHECK_INT("nothing pending leaves", shard_knows(world.shard, TEXT("acme")), true);
    use("2026-03-10T10:00:01Z", "idle-0", 1);
    world_settle(&world);
    CHECK_INT("only the restricted one stays", shard_tenant_count(world.shard), 1);
    CHECK_INT("the restricted one", shard_knows(world.shard, TEXT("acme")), true);
    use("2026-03-10T10:00:02Z", "idle-0", 1);
    world_settle(&world);
    CHECK_INT("who comes back goes on",
              world_total(&world, "idle-0", "", instant_of("2026-03-10T10:00:00Z"))
                  ->count[COUNT_requests],
              3);
    (void)world_said(&world);
    close_world();
}

/* They are due for the end of their period, which a later load closes as well. */
static void
test_those_that_roll_leave(void)
{
    struct quota rolling = api;
    struct plan plan = {.name = TEXT("free"), .quotas = &rolling, .quota_count = 1, .rolls = true};
    struct policy with = policy;

    rolling.rollover = (struct rollover){.on = true,
                                         .ratio = ROLLOVER_WHOLE,
                                         .carry_cap = ROLLOVER_NO_CAP,
                                         .total_cap = ROLLOVER_NO_CAP};
    with.plans = &plan;
    with.fallback_plan = &plan;
    with.plan_count = 1;
    open_world(&with);
    world.setup.tenant_limit = 1;
    world_claim(&world);
    use("2026-03-10T10:00:00Z", "acme", 1);
    use("2026-03-10T10:00:00Z", "zeta", 1);
    world_freeze(&world);
    const struct list *due = &world.frozen->due;

    CHECK_INT("both are due", due->count, 2);
    CHECK_INT("as March ends", ((struct tenant_due *)list_at(due, 0))->due_ms,
              instant_of("2026-04-01T00:00:00Z"));
    CHECK_INT("both have begun", world.frozen->carries.count, 2);
    world_commit(&world, true);
    world_settle(&world);
    use("2026-03-10T10:00:01Z", "zeta", 1);
    world_settle(&world);
    CHECK_INT("one of them stays", shard_tenant_count(world.shard), 1);
    CU_ASSERT_TRUE(shard_advance(world.shard, instant_of("2026-04-02T00:00:00Z")));
    (void)world_said(&world);
    close_world();
}

static void
test_difference(void)
{
    struct period_total theirs = {.tenant = TEXT("acme"),
                                  .project = TEXT(""),
                                  .start_ms = instant_of("2026-03-01T00:00:00Z"),
                                  .end_ms = instant_of("2026-04-01T00:00:00Z")};

    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 400);
    world_freeze(&world);
    theirs.expected = ((struct period_total *)list_at(&world.frozen->periods, 0))->expected;
    CHECK_INT("what memory believes", theirs.expected.count[COUNT_requests], 400);
    theirs.delta = theirs.expected;
    theirs.delta.count[COUNT_requests] = 950;
    use("2026-03-10T10:00:01Z", "acme", 50);
    SAID("45 %", "");
    world_commit(&world, false);
    shard_settled(world.shard, &theirs, 1);
    SAID("Postgres' word counts, on top of what came since",
         "fire quota/api acme 100 (50,75,90,100); "
         "block tenant/acme plan_allowance_exhausted quota/api");
    world_freeze(&world);
    const struct period_total *next = list_at(&world.frozen->periods, 0);

    CHECK_INT("only what came since is added to it", next->delta.count[COUNT_requests], 50);
    CHECK_INT("and makes this", next->expected.count[COUNT_requests], 1000);
    world_commit(&world, false);
    shard_settled(world.shard, NULL, 0);
    world_close(&world);
}

/* A rule went and came back within a month, so that it was not told again: the next month begins with
 * it all the same, not with the first event. */
static void
test_limit_of_nothing(void)
{
    static struct quota watched = {.name = TEXT_ROW("seats"),
                                   .full_name = TEXT_ROW("quota/seats"),
                                   .meter = METER_ATTEMPTS,
                                   .limit = 0,
                                   .steps = {100},
                                   .step_count = 1,
                                   .on_exceed = ON_EXCEED_ALERT};
    static const struct plan plan = {.quotas = &watched, .quota_count = 1};
    static const struct policy watching = {
        .serial = 2, .fallback_plan = &plan, .zone = TEXT_ROW("UTC"), .currency = TEXT_ROW("USD")};

    open_world(&watching);
    world_policy(&world, &policy);
    SAID("the rule goes", "resolve quota/seats acme 100 rule_removed");
    world_policy(&world, &watching);
    SAID("and comes back", "");
    world_time(&world, instant_of("2026-04-01T00:00:00Z"));
    SAID("the month begins", "fire quota/seats acme 100 (100)");
    close_world();
}

/* Claimed again after somebody else had it: nothing of before is believed. */
static void
test_begun_anew(void)
{
    open_world(&policy);
    use("2026-03-10T10:00:00Z", "acme", 400);
    world_settle(&world);
    shard_begin(world.shard, &(struct shard_start){.epoch = world.db.epoch + 1,
                                                   .seq = world.db.seq,
                                                   .time_ms = world.db.time_ms,
                                                   .progress = &world.db.progress,
                                                   .policy = world.db.policy,
                                                   .enforcing = true});
    CU_ASSERT_FALSE(shard_knows(world.shard, TEXT("acme")));
    CHECK_INT("tenants", shard_tenant_count(world.shard), 0);
    close_world();
}

/* A shard that was added when the topics grew asks the record about what its tenants' old home may
 * have counted, however young that is. */
static void
test_inherits(void)
{
    static const struct {
        const char *name, *time;
        size_t sought;
    } rows[] = {
        {"a minute before the end of what is inherited", "2026-03-10T10:03:00Z", 1},
        {"its last millisecond", "2026-03-10T10:03:59.999Z", 1},
        {"the first that is the shard's own", "2026-03-10T10:04:00Z", 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record record = {.partition = 3, .time_ms = instant_of("2026-03-10T10:05:00Z")};
        const struct sought *sought;
        struct event event;

        open_world(&policy);
        world.setup.record = true;
        shard_free(world.shard);
        world.shard = shard_new(&world.setup);
        CU_ASSERT_PTR_NOT_NULL_FATAL(world.shard);
        shard_begin(world.shard,
                    &(struct shard_start){.epoch = world.db.epoch + 1,
                                          .seq = world.db.seq,
                                          .time_ms = world.db.time_ms,
                                          .inherits_ms = instant_of("2026-03-10T10:04:00Z"),
                                          .progress = &world.db.progress,
                                          .policy = world.db.policy,
                                          .enforcing = true});
        world_load(&world, TEXT("acme"));
        event = world_use(&world, "acme", instant_of(rows[i].time), 1);
        record.offset = shard_next_offset(world.shard, 0);
        shard_record(world.shard, &record);
        CHECK_INT(rows[i].name, shard_event(world.shard, &record, 0, &event, NULL),
                  rows[i].sought > 0 ? APPLIED_UNKNOWN : APPLIED);
        CHECK_INT(rows[i].name, shard_sought(world.shard, &sought), rows[i].sought);
        world_close(&world);
    }
}

static CU_TestInfo tests[] = {
    {"what another shard may have counted is looked up", test_inherits},
    {"steps fire once, the limit blocks at exactly 100 %", test_steps},
    {"a limit is raised and lowered", test_limit_raised},
    {"refunds arm steps again and lift the block", test_refunds},
    {"limit 0 blocks from the start", test_limit_zero},
    {"limit 0 blocks whatever was refunded", test_limit_zero_refunded},
    {"the catalogue", test_catalogue},
    {"projects, declared and not", test_projects},
    {"tenants nobody knows", test_unknown_tenant},
    {"the period turns without any event", test_turn},
    {"the period turns after a restart", test_turn_while_nobody_owned_the_shard},
    {"late and early events", test_late_and_early},
    {"a zone changes at the end of the period", test_zone_change},
    {"policies come and go", test_policies},
    {"operator's words", test_words},
    {"enforce off and on", test_enforce},
    {"repeats, inside and outside of the window", test_repeats},
    {"a dead letter is read again", test_dead_letter_read_again},
    {"a tenant is loaded late", test_parked},
    {"strangers on the control topic", test_strangers_on_the_topic},
    {"idle tenants leave, restricted ones stay", test_idle_ones_leave},
    {"who is due for the end of a period only may leave", test_those_that_roll_leave},
    {"Postgres' totals win", test_difference},
    {"a limit of nothing is reached as the month begins", test_limit_of_nothing},
    {"a shard that is claimed anew knows nobody", test_begun_anew},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_shard = {"shard", NULL, NULL, NULL, NULL, tests};
