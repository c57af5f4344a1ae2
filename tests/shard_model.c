#include "tests/shard_model.h"

#include <stdlib.h>

const char *const model_tenants[MODEL_TENANTS] = {"acme", "beta", "cora", "dora"};
const char *const model_projects[MODEL_PROJECTS] = {"", "web", "batch"};
const char *const model_quotas[MODEL_QUOTAS] = {"calls", "budget", "tokens"};

struct model model;
char model_said[MODEL_SAID][160];
size_t model_said_count;

/* Grows only; a crash goes back to an earlier count. */
static struct {
    size_t tenant;
    size_t project; /* 0: none that is declared */
    int64_t start_ms;
    bool adjusts; /* too late for its own period: in no total */
    struct amounts amounts;
} booked[WORLD_LOG];

static struct {
    struct text tenant;
    struct text id;
    int64_t offset;
    int64_t partition_ms;
    const struct event *event;
} occurred[WORLD_LOG];

void
model_open(const struct policy *policy)
{
    model = (struct model){.policy = policy, .enforcing = true, .partition_ms = INT64_MIN};
    model_quiet();
}

void
model_quiet(void)
{
    model_said_count = 0;
}

size_t
model_tenant(struct text name)
{
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        if (text_eq(name, text_of(model_tenants[t])))
            return t;
    return MODEL_TENANTS;
}

static const struct world_tenant *
contract(const struct world *world, size_t tenant)
{
    static const struct world_tenant none;

    for (size_t i = 0; i < world->db.tenant_count; i++)
        if (text_eq(world->db.tenants[i].name, text_of(model_tenants[tenant])))
            return &world->db.tenants[i];
    return &none;
}

static struct period
period_of(const struct world *world, size_t tenant, int64_t at_ms)
{
    const struct cycle month = {.kind = CYCLE_CALENDAR_MONTH};
    const struct zone *zone = contract(world, tenant)->zone;

    return cycle_period(&month, zone == NULL ? zone_utc() : zone, at_ms);
}

struct amounts
model_total(size_t tenant, size_t project, int64_t start_ms)
{
    struct amounts sum = {0};
    bool good = true;

    for (size_t i = 0; i < model.booked; i++)
        if (!booked[i].adjusts && booked[i].tenant == tenant && booked[i].start_ms == start_ms &&
            (project == 0 || booked[i].project == project))
            good = amounts_add(&sum, &booked[i].amounts) && good;
    CU_ASSERT_TRUE(good);
    return sum;
}

/* ---- what a quota is -------------------------------------------------------------------------------- */

static const struct project_spec *
declared(const struct world *world, size_t tenant, size_t project)
{
    const struct tenant_spec *spec = &contract(world, tenant)->spec;

    for (size_t i = 0; i < spec->project_count; i++)
        if (text_eq(spec->projects[i].name, text_of(model_projects[project])))
            return &spec->projects[i];
    return NULL;
}

static const struct limit_override *
override_of(const struct limit_override *limits, size_t count, const char *quota)
{
    for (size_t i = 0; i < count; i++)
        if (text_eq(limits[i].quota, text_of(quota)))
            return &limits[i];
    return NULL;
}

/* The rule if this scope has it, with its limit; NULL when it has not. */
static const struct quota *
rule_of(const struct world *world, size_t tenant, size_t project, size_t quota, tally *limit)
{
    const struct plan *plan = model.policy->fallback_plan;
    const struct project_spec *spec = declared(world, tenant, project);
    const struct tenant_spec *own = &contract(world, tenant)->spec;
    const struct limit_override *other;

    for (size_t i = 0; i < plan->quota_count; i++) {
        const struct quota *rule = &plan->quotas[i];

        if (!text_eq(rule->name, text_of(model_quotas[quota])))
            continue;
        if (project == 0) {
            other = override_of(own->limits, own->limit_count, model_quotas[quota]);
            if (rule->scope == QUOTA_PROJECT)
                return NULL;
        } else {
            if (spec == NULL)
                return NULL;
            other = override_of(spec->limits, spec->limit_count, model_quotas[quota]);
            if (rule->scope == QUOTA_TENANT && other == NULL)
                return NULL;
        }
        *limit = other == NULL               ? (rule->unlimited ? -1 : rule->limit)
                 : rule->meter == METER_COST ? other->nano
                                             : other->nano / MONEY_NANO_PER_UNIT;
        return rule;
    }
    return NULL;
}

/* A step by either number; the other one is 0. */
struct model_step {
    int32_t percent;
    tally amount;
};

static size_t
steps_of(const struct quota *rule, struct model_step steps[QUOTA_STEP_LIMIT + 1])
{
    size_t count = 0;

    for (; count < rule->step_count; count++)
        steps[count] = (struct model_step){.percent = rule->steps[count]};
    if (rule->on_exceed == ON_EXCEED_BLOCK && (count == 0 || steps[count - 1].percent < 100))
        steps[count++] = (struct model_step){.percent = 100};
    for (size_t i = 0; i < rule->amount_count; i++)
        steps[count++] = (struct model_step){.amount = rule->amounts[i]};
    return count;
}

/* Limit -1: there is none. */
static bool
is_reached(struct model_step step, tally used, tally limit)
{
    if (step.percent == 0)
        return used >= step.amount;
    return limit >= 0 && (limit == 0 || used * 100 >= limit * step.percent);
}

static bool
is_armed_again(struct model_step step, tally used, tally limit)
{
    if (step.percent == 0)
        return used * 100 <= step.amount * 95;
    return limit < 0 || (limit > 0 && used * 100 <= limit * (step.percent - 5));
}

static bool
is_spent(const struct model_quota *state, struct model_step step)
{
    return step.percent > 0 ? step.percent <= state->spent : step.amount <= state->amount;
}

static void
spend(struct model_quota *state, struct model_step step)
{
    if (step.percent > 0)
        state->spent = step.percent;
    else
        state->amount = step.amount;
}

/* The use that reaches it. */
static tally
height(struct model_step step, tally limit)
{
    return step.percent > 0 ? (limit * step.percent + 99) / 100 : step.amount;
}

/* ---- what is said ------------------------------------------------------------------------------------ */

static void
say(const char *move, size_t tenant, size_t project, size_t quota, const char *rest)
{
    char at[CLOCK_TEXT_SIZE];

    CU_ASSERT_TRUE_FATAL(model_said_count < MODEL_SAID);
    (void)snprintf(model_said[model_said_count++], sizeof model_said[0],
                   "%s quota/%s %s%s%s %s at %s", move, model_quotas[quota], model_tenants[tenant],
                   project == 0 ? "" : "/", model_projects[project], rest,
                   clock_format(model.now_ms, at));
}

static void
say_resolved(size_t tenant, size_t project, size_t quota, int32_t step, enum resolved reason)
{
    char rest[64];
    size_t used = 0;

    if (step > 0)
        used = (size_t)snprintf(rest, sizeof rest, "%d ", step);
    (void)snprintf(rest + used, sizeof rest - used, "%s", resolved_names[reason]);
    say("resolve", tenant, project, quota, rest);
}

/* ---- judgement --------------------------------------------------------------------------------------- */

static void
rise(size_t tenant, size_t project, size_t quota, const struct model_step *crossed, size_t count,
     tally limit)
{
    struct model_quota *state = &model.quotas[tenant][project][quota];
    struct model_step top = crossed[0];
    char rest[160];
    size_t percents = 0;

    for (size_t i = 0; i < count; i++) {
        if (crossed[i].percent > 0 || top.percent == 0 ||
            (limit != 0 && height(crossed[i], limit) > height(top, limit)))
            top = crossed[i];
        percents += crossed[i].percent > 0;
        spend(state, crossed[i]);
    }
    size_t used = top.percent > 0
                      ? (size_t)snprintf(rest, sizeof rest, "%d", top.percent)
                      : (size_t)snprintf(rest, sizeof rest, "=%" PRId64, (int64_t)top.amount);

    for (size_t i = 0; i < percents; i++)
        used += (size_t)snprintf(rest + used, sizeof rest - used, "%s%d%s", i == 0 ? " (" : ",",
                                 crossed[i].percent, i + 1 == percents ? ")" : "");
    for (size_t i = percents; i < count; i++)
        used += (size_t)snprintf(rest + used, sizeof rest - used, " +%" PRId64,
                                 (int64_t)crossed[i].amount);
    say(state->open ? "step" : "fire", tenant, project, quota, rest);
    state->open = true;
}

static void
judge_quota(const struct world *world, size_t tenant, size_t project, size_t quota,
            enum resolved reason)
{
    struct model_quota *state = &model.quotas[tenant][project][quota];
    const struct amounts sum = model_total(tenant, project, model.period[tenant].start_ms);
    struct model_step steps[QUOTA_STEP_LIMIT + 1];
    struct model_step crossed[QUOTA_STEP_LIMIT + 1];
    size_t crossed_count = 0;
    tally limit = 0;
    const struct quota *rule = rule_of(world, tenant, project, quota, &limit);
    const struct model_quota before = *state;

    if (rule == NULL) {
        if (state->open)
            say_resolved(tenant, project, quota, state->spent, RESOLVED_RULE_REMOVED);
        state->open = state->blocked = false;
        return;
    }
    const tally used = meter_read(&sum, rule->meter);
    const size_t count = steps_of(rule, steps);

    state->spent = 0;
    state->amount = 0;
    for (size_t i = 0; i < count; i++)
        if (is_spent(&before, steps[i]) && !is_armed_again(steps[i], used, limit))
            spend(state, steps[i]);
    const bool none_left = state->spent == 0 && state->amount == 0;
    const bool limit_left = before.spent >= 100 && state->spent < 100;

    for (size_t i = 0; i < count; i++)
        if (!is_spent(state, steps[i]) && is_reached(steps[i], used, limit))
            crossed[crossed_count++] = steps[i];
    state->blocked = rule->on_exceed == ON_EXCEED_BLOCK &&
                     is_reached((struct model_step){.percent = 100}, used, limit);
    if (state->blocked && !before.blocked)
        state->since_ms = model.now_ms;
    if (crossed_count > 0) {
        rise(tenant, project, quota, crossed, crossed_count, limit);
    } else if (state->open && (none_left || limit_left)) {
        say_resolved(tenant, project, quota, before.spent, reason);
        state->open = false;
    }
}

static void
turn(const struct world *world, size_t tenant)
{
    if (model.now_ms < model.period[tenant].end_ms)
        return;
    for (size_t p = 0; p < MODEL_PROJECTS; p++)
        for (size_t q = 0; q < MODEL_QUOTAS; q++) {
            struct model_quota *state = &model.quotas[tenant][p][q];

            if (state->open)
                say_resolved(tenant, p, q, state->spent, RESOLVED_PERIOD_ROLLOVER);
            *state = (struct model_quota){0};
        }
    model.period[tenant] = period_of(world, tenant, model.now_ms);
}

static void
judge(const struct world *world, size_t tenant, enum resolved reason)
{
    turn(world, tenant);
    for (size_t p = 0; p < MODEL_PROJECTS; p++)
        for (size_t q = 0; q < MODEL_QUOTAS; q++)
            judge_quota(world, tenant, p, q, reason);
}

void
model_load(const struct world *world, size_t tenant)
{
    judge(world, tenant, RESOLVED_LIMIT_RAISED);
}

/* ---- time and events --------------------------------------------------------------------------------- */

/* The next moment after now at which anything about a tenant that is held may change by itself. */
static int64_t
next_deadline(const bool held[MODEL_TENANTS])
{
    int64_t next = INT64_MAX;

    for (size_t t = 0; t < MODEL_TENANTS; t++)
        if (held[t] && model.period[t].end_ms > model.now_ms && model.period[t].end_ms < next)
            next = model.period[t].end_ms;
    return next;
}

void
model_advance(const struct world *world, int64_t now_ms, const bool held[MODEL_TENANTS])
{
    for (int64_t next = next_deadline(held); next <= now_ms; next = next_deadline(held)) {
        model.now_ms = next;
        for (size_t t = 0; t < MODEL_TENANTS; t++)
            if (held[t] && model.period[t].end_ms <= next)
                judge(world, t, RESOLVED_PERIOD_ROLLOVER);
    }
    if (now_ms > model.now_ms)
        model.now_ms = now_ms;
}

static bool
same_content(const struct event *a, const struct event *b)
{
    return a->kind == b->kind && a->cost.nano == b->cost.nano &&
           memcmp(a->usage, b->usage, sizeof a->usage) == 0;
}

static enum seen_answer
ask(const struct world *world, const struct logged *logged)
{
    for (size_t i = model.occurred; i-- > 0;)
        if (text_eq(occurred[i].id, logged->event.id) &&
            text_eq(occurred[i].tenant, logged->event.tenant)) {
            if (model.partition_ms - occurred[i].partition_ms >= world->setup.dedupe_window_ms ||
                logged->offset - occurred[i].offset >= world->setup.dedupe_records)
                return SEEN_NEW;
            return same_content(occurred[i].event, &logged->event) ? SEEN_DUPLICATE : SEEN_CONFLICT;
        }
    return SEEN_NEW;
}

static struct amounts
amounts_of(const struct world *world, const struct logged *logged)
{
    const struct event *event = &logged->event;
    struct amounts amounts = {0};

    amounts.count[COUNT_events] = 1;
    if (event->kind == EVENT_RECORD || event->kind == EVENT_REFUND)
        amounts.cost = amounts.charge = event->cost.nano;
    amounts.count[COUNT_unverified] =
        event->kind == EVENT_REFUND ||
        event->at_ms < logged->time_ms - world->setup.dedupe_window_ms;
    if (event->kind == EVENT_REFUND)
        amounts.refunded = event->cost.nano;
    if (event->kind != EVENT_RECORD)
        return amounts;
    amounts.count[COUNT_attempts] = 1;
    amounts.count[COUNT_failed] = event->status == STATUS_FAILED;
    amounts.count[COUNT_input_tokens] = event->usage[USAGE_INPUT_TOKENS];
    if (event->attempt == 1 && (event->status != STATUS_FAILED || event->cost.nano > 0))
        amounts.count[COUNT_requests] = event->usage[USAGE_REQUESTS];
    return amounts;
}

void
model_event(const struct world *world, const struct logged *logged, bool held[MODEL_TENANTS])
{
    const size_t tenant = model_tenant(logged->event.tenant);
    size_t project = 0;

    if (logged->time_ms > model.partition_ms)
        model.partition_ms = logged->time_ms;
    const enum seen_answer answer = ask(world, logged);

    if (answer == SEEN_CONFLICT) {
        model.dead++;
        return;
    }
    occurred[model.occurred].tenant = logged->event.tenant;
    occurred[model.occurred].id = logged->event.id;
    occurred[model.occurred].offset = logged->offset;
    occurred[model.occurred].partition_ms = model.partition_ms;
    occurred[model.occurred++].event = &logged->event;
    if (answer == SEEN_DUPLICATE) {
        model.duplicates++;
        return;
    }
    if (!held[tenant])
        model_load(world, tenant);
    held[tenant] = true;
    turn(world, tenant);
    for (size_t p = 1; p < MODEL_PROJECTS; p++)
        if (declared(world, tenant, p) != NULL &&
            text_eq(logged->event.names[NAME_PROJECT], text_of(model_projects[p])))
            project = p;
    booked[model.booked].tenant = tenant;
    booked[model.booked].project = project;
    const struct period own = period_of(world, tenant, logged->event.at_ms);

    booked[model.booked].adjusts =
        own.end_ms <= model.now_ms && own.end_ms <= model.partition_ms - model.policy->grace_ms;
    model.adjusted += booked[model.booked].adjusts;
    booked[model.booked].start_ms = own.start_ms;
    booked[model.booked++].amounts = amounts_of(world, logged);
    model.counted++;
    judge(world, tenant, RESOLVED_CLEARED);
}

void
model_policy(const struct world *world, const struct policy *policy, const bool held[MODEL_TENANTS])
{
    model.policy = policy;
    for (size_t t = 0; t < MODEL_TENANTS; t++)
        if (held[t])
            judge(world, t, RESOLVED_LIMIT_RAISED);
}

/* ---- scopes ------------------------------------------------------------------------------------------ */

static const struct operator_word *
word_of(const struct world *world, size_t tenant, size_t project)
{
    const struct world_tenant *row = contract(world, tenant);
    char scope[SCOPE_SIZE];
    const struct text name = {
        scope,
        scope_build(scope, project == 0 ? "tenant" : "project", text_of(model_tenants[tenant]),
                    project == 0 ? (struct text){NULL, 0} : text_of(model_projects[project]))};

    for (size_t i = 0; i < row->word_count; i++)
        if (text_eq(row->words[i].scope, name) && row->words[i].until_ms > model.now_ms)
            return &row->words[i];
    return NULL;
}

size_t
model_restrictions(const struct world *world, size_t tenant, size_t project, int64_t *since_ms)
{
    const struct operator_word *word = word_of(world, tenant, project);
    size_t count = word != NULL && word->kind == WORD_BLOCK;
    tally limit;

    *since_ms = 0;
    if (!model.enforcing || (word != NULL && word->kind == WORD_ALLOW))
        return 0;
    for (size_t q = 0; q < MODEL_QUOTAS; q++) {
        const struct quota *rule = rule_of(world, tenant, project, q, &limit);

        if (!model.quotas[tenant][project][q].blocked || rule == NULL || rule->mode == MODE_SHADOW)
            continue;
        *since_ms = count == 0 ? model.quotas[tenant][project][q].since_ms : 0;
        count++;
    }
    return count;
}
