/* Protects: money and decisions under everything at once.  Random events, repeats, refunds,
 * commands, time, settlements and crashes against a naive model (tests/shard_model.h).
 *
 * Some seeds run long, many run short: a short run is a story of its own, and cheaper because the
 * model is slow. `make simulate SEEDS=n` runs so many short ones; SEED=n STEPS=n runs that alone. */
#include "tests/shard_model.h"

#include <stdlib.h>

enum { LONG_SEEDS = 200, LONG_STEPS = 2000, SHORT_SEEDS = 1000, SHORT_STEPS = 400 };

/* What has happened in all runs, so that none of it can be lost unnoticed. */
static struct {
    size_t records;
    size_t late;
    size_t ticks;
    size_t commits;
    size_t policies;
    size_t crashes;
    int64_t duplicates;
    int64_t dead;
} happened;

static struct world world;
static struct model frozen;
static struct model settled;
static uint64_t state;
static int64_t clock_ms;
static char where[96];

static uint64_t
draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state * UINT64_C(0x2545F4914F6CDD1D) >> 32) % below;
}

static bool
chance(uint64_t percent)
{
    return draw(100) < percent;
}

/* ---- what there is ----------------------------------------------------------------------------------- */

#define RULE(n, ...) .name = TEXT_ROW(n), .full_name = TEXT_ROW("quota/" n), __VA_ARGS__
#define UNITS(n)     ((tally)(n)*MONEY_NANO_PER_UNIT)

static struct quota first_quotas[] = {
    {RULE("calls", .meter = METER_REQUESTS, .limit = 90, .steps = {50, 75, 90}, .step_count = 3,
          .amounts = {30, 45, 80}, .amount_count = 3)},
    {RULE("budget", .meter = METER_COST, .limit = UNITS(60), .steps = {80, 100}, .step_count = 2,
          .on_exceed = ON_EXCEED_ALERT, .amounts = {UNITS(10), UNITS(50)}, .amount_count = 2)},
    {RULE("tokens", .meter = METER_TOKENS, .limit = 1500, .steps = {40}, .step_count = 1)},
};
static struct quota second_quotas[] = {
    {RULE("calls", .meter = METER_REQUESTS, .limit = 120, .steps = {60, 80}, .step_count = 2)},
    {RULE("budget", .meter = METER_COST, .unlimited = true, .steps = {50}, .step_count = 1,
          .amounts = {UNITS(20), UNITS(50)}, .amount_count = 2)},
};
static struct quota third_quotas[] = {
    {RULE("tokens", .meter = METER_TOKENS, .limit = 300, .steps = {50, 95}, .step_count = 2,
          .scope = QUOTA_PROJECT)},
    {RULE("calls", .meter = METER_REQUESTS, .limit = 60, .mode = MODE_SHADOW)},
};
static struct plan plans[] = {{.quotas = first_quotas, .quota_count = 3},
                              {.quotas = second_quotas, .quota_count = 2},
                              {.quotas = third_quotas, .quota_count = 2}};
static const struct policy policies[] = {
    {.serial = 1,
     .grace_ms = 72 * CLOCK_HOUR_MS,
     .fallback_plan = &plans[0],
     .zone = TEXT_ROW("UTC"),
     .currency = TEXT_ROW("USD")},
    {.serial = 2,
     .grace_ms = 72 * CLOCK_HOUR_MS,
     .fallback_plan = &plans[1],
     .zone = TEXT_ROW("UTC"),
     .currency = TEXT_ROW("USD")},
    {.serial = 3,
     .grace_ms = 72 * CLOCK_HOUR_MS,
     .fallback_plan = &plans[2],
     .zone = TEXT_ROW("UTC"),
     .currency = TEXT_ROW("USD")},
};

static struct limit_override calls_25 = {.quota = TEXT_ROW("calls"), .nano = UNITS(25)};
static struct limit_override calls_500 = {.quota = TEXT_ROW("calls"), .nano = UNITS(500)};
static struct limit_override budget_0 = {.quota = TEXT_ROW("budget"), .nano = 0};
static struct project_spec two[] = {
    {.name = TEXT_ROW("web"), .limits = &calls_25, .limit_count = 1}, {.name = TEXT_ROW("batch")}};
static const struct tenant_spec specs[] = {
    {.limit_count = 0},
    {.limits = &calls_500, .limit_count = 1},
    {.projects = two, .project_count = 2},
    {.limits = &budget_0, .limit_count = 1, .projects = two, .project_count = 1},
};
static struct zone *zones[3];

/* ---- the same to both -------------------------------------------------------------------------------- */

static void
look(bool held[MODEL_TENANTS])
{
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        held[t] = shard_knows(world.shard, text_of(model_tenants[t]));
}

/* One record, from the log, to both. The index of the next one. */
static size_t
replay(size_t at)
{
    bool held[MODEL_TENANTS];

    look(held);
    const size_t end = world_replay(&world, at);

    model_advance(&world, world.log[at].time_ms, held);
    for (; at < end; at++)
        model_event(&world, &world.log[at], held);
    return end;
}

static void
command(size_t index)
{
    const struct world_command *stored = &world.commands[index];
    bool held[MODEL_TENANTS];

    look(held);
    world_command(&world, index);
    if (stored->kind == COMMAND_POLICY)
        model_policy(&world, stored->policy, held);
    else if (stored->kind == COMMAND_ENFORCE)
        model.enforcing = stored->on;
    else
        model_load(&world, model_tenant(stored->tenant));
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* What was said must be what the model says; order within a step does not matter. */
static void
compare_said(void)
{
    static char said[MODEL_SAID][160];
    char text[WORLD_SAID];
    size_t count = 0;
    char *rest = NULL;

    (void)snprintf(text, sizeof text, "%s", world_said(&world));
    for (char *one = strtok_r(text, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest)) {
        one += one[0] == ' ';
        if (strstr(one, " quota/") != NULL && strstr(one, " tenant/") == NULL &&
            strstr(one, " project/") == NULL && count < MODEL_SAID)
            (void)snprintf(said[count++], sizeof said[0], "%.159s", one);
    }
    qsort(said, count, sizeof said[0], by_text);
    qsort(model_said, model_said_count, sizeof model_said[0], by_text);
    CHECK_INT(where, count, model_said_count);
    for (size_t i = 0; i < count && i < model_said_count; i++)
        if (strcmp(said[i], model_said[i]) != 0) {
            CHECK_INT(where, i, -1);
            (void)printf("\n  said     %s\n  expected %s\n", said[i], model_said[i]);
        }
    for (size_t i = count; i < model_said_count; i++)
        (void)printf("\n  missing  %s\n", model_said[i]);
    for (size_t i = model_said_count; i < count; i++)
        (void)printf("\n  too much %s\n", said[i]);
    model_quiet();
}

static void
compare_scopes(void)
{
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        for (size_t p = 0; p < MODEL_PROJECTS; p++) {
            char scope[SCOPE_SIZE];
            const size_t size =
                scope_build(scope, p == 0 ? "tenant" : "project", text_of(model_tenants[t]),
                            p == 0 ? (struct text){NULL, 0} : text_of(model_projects[p]));
            const struct on_topic *topic = world_on_topic(&world, (struct text){scope, size});
            int64_t since_ms;
            const size_t count = model_restrictions(&world, t, p, &since_ms);

            if ((topic == NULL ? 0 : topic->count) != count)
                CHECK_INT(where, topic == NULL ? 0 : topic->count, count);
            else if (topic != NULL && count == 1 && since_ms != 0 && topic->since_ms != since_ms)
                CHECK_INT(where, topic->since_ms, since_ms);
        }
}

static void
compare(void)
{
    compare_said();
    compare_scopes();
    CHECK_INT("wanted states only on change", world.repeats, 0);
}

static void
say_difference(const struct period_total *row, const struct amounts *sum)
{
    char cost[2][TALLY_TEXT_SIZE];

    (void)printf("\n  %.*s/%.*s: settled %s, model %s\n", (int)row->tenant.size, row->tenant.at,
                 (int)row->project.size, row->project.at,
                 tally_format_money(row->delta.cost, cost[0]),
                 tally_format_money(sum->cost, cost[1]));
    for (size_t i = 0; i < COUNT_COUNT; i++)
        if (row->delta.count[i] != sum->count[i])
            (void)printf("  %s: settled %" PRId64 ", model %" PRId64 "\n", count_names[i],
                         row->delta.count[i], sum->count[i]);
}

static void
compare_settled(void)
{
    int64_t events = 0;

    for (size_t i = 0; i < world.db.total_count; i++) {
        const struct period_total *row = &world.db.totals[i];
        const size_t tenant = model_tenant(row->tenant);
        size_t project = 0;

        for (size_t p = 1; p < MODEL_PROJECTS; p++)
            if (text_eq(row->project, text_of(model_projects[p])))
                project = p;
        const struct amounts sum = model_total(tenant, project, row->start_ms);

        if (!amounts_equal(&sum, &row->delta))
            say_difference(row, &sum);
        CHECK_INT(where, amounts_equal(&sum, &row->delta), true);
        if (project == 0)
            events += row->delta.count[COUNT_events];
    }
    CHECK_INT(where, world.db.adjusted, model.adjusted);
    CHECK_INT(where, events + world.db.adjusted, model.counted);
    CHECK_INT(where, world.db.fact_events, model.counted);
    CHECK_INT(where, world.db.progress.counted, model.counted);
    CHECK_INT(where, world.db.progress.duplicates, model.duplicates);
    CHECK_INT(where, world.db.progress.dead, model.dead);
    CHECK_INT(where, world.differences, 0);
}

/* ---- what happens ------------------------------------------------------------------------------------ */

static struct event
random_event(void)
{
    static const char *const names[] = {"", "web", "batch", "ghost"};
    const int64_t back_ms = chance(3)    ? (int64_t)draw(40) * CLOCK_DAY_MS
                            : chance(20) ? (int64_t)draw(60) * CLOCK_MINUTE_MS
                                         : 0;
    const int64_t at_ms = clock_ms - back_ms + (chance(5) ? (int64_t)draw(300) * 1000 : 0);
    struct event event =
        world_use(&world, model_tenants[draw(MODEL_TENANTS)], at_ms, (int64_t)draw(4));

    event.usage[USAGE_INPUT_TOKENS] = (int64_t)draw(40);
    event.cost.nano = (int64_t)draw(2 * (uint64_t)MONEY_NANO_PER_UNIT);
    event.attempt = chance(5) ? 2 : 1;
    if (chance(5)) {
        event.status = STATUS_FAILED;
        event.cost.nano = chance(50) ? 0 : event.cost.nano;
    }
    event.names[NAME_PROJECT] = text_of(names[draw(4)]);
    if (chance(50))
        event.names[NAME_API_KEY_ID] = chance(50) ? TEXT("k1") : TEXT("k2");
    if (chance(8)) {
        event.kind = EVENT_REFUND;
        event.cost.nano = -(int64_t)draw(4 * (uint64_t)MONEY_NANO_PER_UNIT) - 1;
    } else if (chance(4)) {
        event.kind = EVENT_DECISION;
        event.cost.nano = 0;
        event.body = TEXT("{}");
    }
    return event;
}

/* Mostly new ones; some were sent before, a few of those say something else now. */
static void
some_record(void)
{
    struct event events[3];
    const size_t count = chance(10) ? 3 : 1;
    const int64_t shifted_ms = chance(5) ? (int64_t)draw(1800) * 1000 : 0;

    for (size_t i = 0; i < count; i++) {
        const size_t reach = chance(80) ? 20 : world.logged;

        events[i] = random_event();
        if (world.logged == 0 || !chance(15))
            continue;
        events[i] =
            world.log[world.logged - 1 - draw(reach < world.logged ? reach : world.logged)].event;
        if (chance(10))
            events[i].cost.nano += events[i].kind == EVENT_REFUND ? -1 : 1;
    }
    if (world.logged + count > WORLD_LOG)
        return;
    happened.records++;
    happened.late += events[0].at_ms < clock_ms - CLOCK_HOUR_MS;
    (void)replay(world_append(&world, clock_ms - shifted_ms, events, count));
}

static void
some_time(void)
{
    const uint64_t kind = draw(100);
    bool held[MODEL_TENANTS];

    clock_ms += kind < 30   ? 0
                : kind < 60 ? (int64_t)draw(1000)
                : kind < 90 ? (int64_t)draw(120000)
                : kind < 98 ? (int64_t)draw(20) * CLOCK_MINUTE_MS
                            : (int64_t)draw(72) * CLOCK_HOUR_MS;
    if (!chance(10))
        return;
    happened.ticks++;
    look(held);
    world_time(&world, clock_ms);
    model_advance(&world, clock_ms, held);
}

static void
freeze(void)
{
    if (world.frozen != NULL)
        return;
    world_freeze(&world);
    frozen = model;
}

static void
commit(bool told)
{
    if (world.frozen == NULL)
        return;
    const struct model now = model;

    happened.commits++;
    world_commit(&world, told);
    settled = model = frozen;
    compare_settled();
    model = now;
}

static void
some_command(void)
{
    const char *const tenant = model_tenants[draw(MODEL_TENANTS)];
    const size_t number = (size_t)model_tenant(text_of(tenant));
    const char *const scopes[] = {"tenant/", "project/"};
    char scope[64];

    switch (draw(4)) {
    case 0:
        /* Totals of projects that are declared again come from Postgres: all of them. */
        commit(true);
        freeze();
        commit(true);
        compare();
        world_store_contract(&world, tenant, &specs[draw(4)],
                             number == 0 ? zone_utc() : zones[number - 1]);
        break;
    case 1: {
        const bool project = chance(50);

        (void)snprintf(scope, sizeof scope, "%s%s%s", scopes[project], tenant,
                       project ? "/web" : "");
        world_store_word(
            &world, tenant,
            &(struct operator_word){.scope = text_of(scope),
                                    .kind = chance(50) ? WORD_ALLOW : WORD_BLOCK,
                                    .since_ms = model.now_ms,
                                    .until_ms = model.now_ms + (int64_t)draw(48) * CLOCK_HOUR_MS});
        break;
    }
    case 2:
        happened.policies++;
        world_store_command(
            &world, (struct world_command){.kind = COMMAND_POLICY, .policy = &policies[draw(3)]});
        break;
    default:
        world_store_command(&world,
                            (struct world_command){.kind = COMMAND_ENFORCE, .on = chance(70)});
        break;
    }
    command(world.command_count - 1);
}

static void
crash(void)
{
    happened.crashes++;
    if (chance(50))
        commit(false);
    model = settled;
    model_quiet();
    world_claim(&world);
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        if (shard_knows(world.shard, text_of(model_tenants[t])))
            model_load(&world, t);
    for (size_t i = world.db.commands_done; i < world.command_count; i++)
        command(i);
    compare();
    for (size_t at = world_unsettled(&world); at < world.logged;) {
        at = replay(at);
        compare();
    }
}

static void
step(void)
{
    const uint64_t kind = draw(1000);

    some_time();
    if (kind < 780)
        some_record();
    else if (kind < 870)
        freeze();
    else if (kind < 960)
        commit(true);
    else if (kind < 990)
        some_command();
    else
        crash();
    compare();
}

static bool
run(uint64_t seed, uint64_t steps)
{
    const unsigned before = CU_get_number_of_failures();

    state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    clock_ms = instant_of("2026-01-28T00:00:00Z");
    world_open(&world, &policies[0]);
    world.setup.dedupe_records = 8;
    world.setup.tenant_limit = 2;
    world.db.time_ms = clock_ms;
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        world.db.tenants[world.db.tenant_count++] =
            (struct world_tenant){.name = text_of(model_tenants[t]),
                                  .zone = t == 0 ? zone_utc() : zones[t - 1],
                                  .due_ms = INT64_MAX};
    world.with_times = true;
    world_claim(&world);
    model_open(&policies[0]);
    model.now_ms = clock_ms;
    settled = model;
    for (uint64_t i = 0; i < steps && CU_get_number_of_failures() == before; i++) {
        (void)snprintf(where, sizeof where, "SEED=%" PRIu64 " STEPS=%" PRIu64 " step %" PRIu64,
                       seed, steps, i);
        step();
    }
    commit(true);
    freeze();
    commit(true);
    happened.duplicates += model.duplicates;
    happened.dead += model.dead;
    world_close(&world);
    return CU_get_number_of_failures() == before;
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Up to the first seed that fails. */
static void
run_seeds(uint64_t first, uint64_t count, uint64_t steps)
{
    const uint64_t one = number_of("SEED", 0);

    zones[0] = zone_file_load("Asia/Kathmandu");
    zones[1] = zone_file_load("America/New_York");
    zones[2] = zone_file_load("Africa/Lagos");
    memset(&happened, 0, sizeof happened);
    if (one != 0)
        (void)run(one, number_of("STEPS", steps));
    else
        for (uint64_t seed = first; seed < first + count && run(seed, steps);)
            seed++;
    for (size_t i = 0; i < 3; i++)
        zone_free(zones[i]);
    if (one != 0 || CU_get_number_of_failures() > 0)
        return;
    CU_ASSERT(happened.records > 100 * count && happened.ticks > 10 * count);
    CU_ASSERT(happened.commits > 10 * count && happened.crashes > 2 * count);
    CU_ASSERT(happened.late > count && happened.policies > count);
    CU_ASSERT(happened.duplicates > (int64_t)(10 * count) && happened.dead > (int64_t)count);
}

static void
test_long(void)
{
    run_seeds(1, LONG_SEEDS, LONG_STEPS);
}

/* Other seeds than the long ones: the same would begin in the same way. */
static void
test_short(void)
{
    run_seeds(number_of("FIRST", 1000001), number_of("SEEDS", SHORT_SEEDS), SHORT_STEPS);
}

static CU_TestInfo tests[] = {
    {"a shard and a naive model agree, whatever happens: 200 long runs", test_long},
    {"a shard and a naive model agree, whatever happens: 1,000 short runs", test_short},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_shard_seed = {.pName = "shard_seed", .pTests = tests};
