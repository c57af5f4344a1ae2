#include "tests/shard_world.h"

#include "core/identity.h"
#include "rules/shard_state.h"

#include <stdarg.h>
#include <stdlib.h>

static const char *const topics[] = {"usage"};

static struct text
keep(struct world *world, struct text text)
{
    return text.at == NULL ? text : arena_text(world->memory, text);
}

/* ---- opened and closed --------------------------------------------------------------------------- */

static void
begin(struct world *world)
{
    shard_free(world->shard);
    world->shard = shard_new(&world->setup);
    world->frozen = NULL;
    world->told = 0;
    shard_begin(world->shard, &(struct shard_start){.epoch = ++world->db.epoch,
                                                    .seq = world->db.seq,
                                                    .time_ms = world->db.time_ms,
                                                    .closed_ms = world->db.closed_ms,
                                                    .progress = &world->db.progress,
                                                    .policy = world->db.policy,
                                                    .enforcing = world->db.enforcing});
}

void
world_open(struct world *world, const struct policy *policy)
{
    *world =
        (struct world){.memory = arena_new((size_t)64 << 20),
                       .scratch = arena_new((size_t)16 << 20),
                       .setup = {.shard = 3,
                                 .topic_count = 1,
                                 .topics = topics,
                                 .dedupe = true,
                                 .dedupe_window_ms = 15 * CLOCK_MINUTE_MS,
                                 .dedupe_records = 1000,
                                 .settle_memory = (size_t)8 << 20,
                                 .tenant_limit = 1000,
                                 .burst_entries = 1000},
                       .db = {.enforcing = true, .policy = policy, .progress = {.last_offset = -1}},
                       .log = calloc(WORLD_LOG, sizeof *world->log)};
    world->setup.metrics = &world->metrics;
    begin(world);
}

void
world_close(struct world *world)
{
    shard_free(world->shard);
    arena_free(world->memory);
    arena_free(world->scratch);
    free(world->log);
}

/* ---- Postgres: what is asked ----------------------------------------------------------------------- */

static struct world_tenant *
row_of(struct world *world, struct text name)
{
    for (size_t i = 0; i < world->db.tenant_count; i++)
        if (text_eq(world->db.tenants[i].name, name))
            return &world->db.tenants[i];
    struct world_tenant *row = &world->db.tenants[world->db.tenant_count++];

    CU_ASSERT_TRUE_FATAL(world->db.tenant_count <= WORLD_TENANTS);
    *row =
        (struct world_tenant){.name = keep(world, name), .zone = zone_utc(), .due_ms = INT64_MAX};
    return row;
}

static bool
is_latest(const struct world *world, const struct quota_memory *memory)
{
    for (size_t i = 0; i < world->db.quota_count; i++) {
        const struct quota_memory *other = &world->db.quotas[i];

        if (text_eq(other->tenant, memory->tenant) && text_eq(other->quota, memory->quota) &&
            text_eq(other->project, memory->project) && other->period_ms > memory->period_ms)
            return false;
    }
    return true;
}

static struct tenant_load
answer(struct world *world, struct text name)
{
    struct world_tenant *row = row_of(world, name);
    struct tenant_load load = {.name = row->name,
                               .home = world->setup.shard,
                               .known = row->known,
                               .version = row->known,
                               .spec = row->spec,
                               .zone = row->zone,
                               .words = row->words,
                               .word_count = row->word_count};

    arena_clear(world->scratch);
    load.periods = arena_take(world->scratch, WORLD_ROWS * sizeof *load.periods);
    load.past = arena_take(world->scratch, WORLD_ROWS * sizeof *load.past);
    load.quotas = arena_take(world->scratch, WORLD_ROWS * sizeof *load.quotas);
    for (size_t i = 0; i < world->db.total_count; i++) {
        const struct period_total *total = &world->db.totals[i];

        if (!text_eq(total->tenant, name))
            continue;
        if (total->end_ms > shard_time(world->shard))
            load.periods[load.period_count++] = *total;
        else if (total->project.size == 0)
            load.past[load.past_count++] = (struct period){total->start_ms, total->end_ms};
    }
    for (size_t i = 0; i < world->db.quota_count; i++) {
        const struct quota_memory *memory = &world->db.quotas[i];

        if (text_eq(memory->tenant, name) &&
            (memory->open || memory->blocked || is_latest(world, memory)))
            load.quotas[load.quota_count++] = *memory;
    }
    load.throttles = arena_take(world->scratch, WORLD_ROWS * sizeof *load.throttles);
    for (size_t i = 0; i < world->db.throttle_count; i++)
        if (!world->db.throttles[i].over && text_eq(world->db.throttles[i].tenant, name))
            load.throttles[load.throttle_count++] = world->db.throttles[i];
    return load;
}

void
world_load(struct world *world, struct text name)
{
    if (shard_knows(world->shard, name))
        return;
    const struct tenant_load load = answer(world, name);

    CU_ASSERT_TRUE_FATAL(shard_load(world->shard, &load));
}

/* ---- Postgres: what is written ----------------------------------------------------------------------- */

static void
write_total(struct world *world, const struct period_total *delta)
{
    struct postgres *db = &world->db;
    struct period_total *row = NULL;

    for (size_t i = 0; i < db->total_count; i++)
        if (text_eq(db->totals[i].tenant, delta->tenant) &&
            text_eq(db->totals[i].project, delta->project) &&
            db->totals[i].start_ms == delta->start_ms)
            row = &db->totals[i];
    if (row == NULL) {
        size_t at = db->total_count++;

        CU_ASSERT_TRUE_FATAL(db->total_count <= WORLD_ROWS);
        /* Loads are answered in order of period. */
        for (; at > 0 && db->totals[at - 1].start_ms > delta->start_ms; at--)
            db->totals[at] = db->totals[at - 1];
        row = &db->totals[at];
        *row = (struct period_total){.tenant = keep(world, delta->tenant),
                                     .project = keep(world, delta->project),
                                     .start_ms = delta->start_ms,
                                     .end_ms = delta->end_ms};
    }
    CU_ASSERT_TRUE(amounts_add(&row->delta, &delta->delta));
    if (delta->expected_known && !amounts_equal(&row->delta, &delta->expected))
        world->differences++;
}

static void
write_quota(struct world *world, const struct quota_memory *memory)
{
    struct postgres *db = &world->db;
    struct quota_memory *row = NULL;

    for (size_t i = 0; i < db->quota_count; i++)
        if (text_eq(db->quotas[i].tenant, memory->tenant) &&
            text_eq(db->quotas[i].quota, memory->quota) &&
            text_eq(db->quotas[i].project, memory->project) &&
            db->quotas[i].period_ms == memory->period_ms)
            row = &db->quotas[i];
    if (row == NULL) {
        row = &db->quotas[db->quota_count++];
        CU_ASSERT_TRUE_FATAL(db->quota_count <= WORLD_ROWS);
    }
    *row = *memory;
    row->tenant = keep(world, memory->tenant);
    row->quota = keep(world, memory->quota);
    row->project = keep(world, memory->project);
}

static void
write_throttle(struct world *world, const struct throttle_memory *memory)
{
    struct postgres *db = &world->db;
    struct throttle_memory *row = NULL;

    for (size_t i = 0; i < db->throttle_count; i++)
        if (db->throttles[i].scope == memory->scope &&
            db->throttles[i].began_ms == memory->began_ms &&
            text_eq(db->throttles[i].tenant, memory->tenant) &&
            text_eq(db->throttles[i].subject, memory->subject))
            row = &db->throttles[i];
    if (row == NULL) {
        row = &db->throttles[db->throttle_count++];
        CU_ASSERT_TRUE_FATAL(db->throttle_count <= WORLD_ROWS);
    }
    *row = *memory;
    row->tenant = keep(world, memory->tenant);
    row->subject = keep(world, memory->subject);
}

static void
write_dead(struct world *world, const struct dead_letter *letter)
{
    for (size_t i = 0; i < world->logged; i++)
        if (world->log[i].offset == letter->offset && world->log[i].index == letter->index)
            world->log[i].dead = true;
    world->db.dead++;
}

static void
write_progress(struct world *world, const struct progress *moved)
{
    struct progress *progress = &world->db.progress;

    CHECK_INT("progress goes on where it ended", moved->from, progress->next);
    CHECK_INT("every offset is accounted for", moved->next - moved->from,
              moved->processed + moved->gaps);
    progress->next = moved->next;
    progress->processed += moved->processed;
    progress->gaps += moved->gaps;
    progress->counted += moved->counted;
    progress->keyed += moved->keyed;
    progress->duplicates += moved->duplicates;
    progress->dead += moved->dead;
    progress->time_ms = moved->time_ms;
    progress->last_offset = moved->last_offset;
}

static void
write_facts(struct world *world, const struct settlement *settlement)
{
    const struct progress *moved = &settlement->progress[0];
    int64_t events = 0;
    int64_t keyed = 0;

    for (size_t i = 0; i < settlement->facts.count; i++) {
        const struct fact *fact = list_at(&settlement->facts, i);
        struct amounts delta;

        delta_read(&fact->delta, &settlement->wide, &delta);
        events += delta.count[COUNT_events];
        world->db.fact_cost += delta.cost;
    }
    for (size_t i = 0; i < settlement->key_facts.count; i++) {
        const struct key_fact *fact = list_at(&settlement->key_facts, i);
        struct amounts delta;

        delta_read(&fact->delta, &settlement->wide, &delta);
        keyed += delta.count[COUNT_events];
    }
    CHECK_INT("every counted event is in one fact", events, moved->counted);
    CHECK_INT("every keyed event is in one key fact", keyed, moved->keyed);
    world->db.fact_events += events;
    world->db.key_events += keyed;
}

static void
write_rows(struct world *world, const struct settlement *settlement)
{
    struct postgres *db = &world->db;

    for (size_t i = 0; i < settlement->periods.count; i++)
        write_total(world, list_at(&settlement->periods, i));
    for (size_t i = 0; i < settlement->adjustments.count; i++) {
        const struct adjustment *row = list_at(&settlement->adjustments, i);

        if (row->project.size == 0)
            db->adjusted += row->delta.count[COUNT_events];
    }
    for (size_t i = 0; i < settlement->quotas.count; i++)
        write_quota(world, list_at(&settlement->quotas, i));
    for (size_t i = 0; i < settlement->throttles.count; i++)
        write_throttle(world, list_at(&settlement->throttles, i));
    for (size_t i = 0; i < settlement->dead.count; i++)
        write_dead(world, list_at(&settlement->dead, i));
    for (size_t i = 0; i < settlement->due.count; i++) {
        const struct tenant_due *due = list_at(&settlement->due, i);
        struct world_tenant *row = row_of(world, due->tenant);

        row->due_ms = due->due_ms;
        row->restricted = due->restricted;
    }
    for (size_t i = 0; i < settlement->commands.count; i++) {
        const struct command_done *done = list_at(&settlement->commands, i);
        const struct world_command *command = &world->commands[done->id - 1];

        db->commands_done = (size_t)done->id;
        if (command->kind == COMMAND_ENFORCE)
            db->enforcing = command->on;
        if (command->kind == COMMAND_POLICY)
            db->policy = command->policy;
    }
    db->transitions += settlement->transitions.count;
    db->decisions += settlement->decisions.count;
}

/* ---- what is said ------------------------------------------------------------------------------------ */

static void __attribute__((format(printf, 2, 3))) say(struct world *world, const char *format, ...)
{
    const size_t used = strlen(world->said);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(world->said + used, WORLD_SAID - used, format, arguments);
    va_end(arguments);
}

static void
say_time(struct world *world, const char *word, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (world->with_times)
        say(world, " %s %s", word, clock_format(at_ms, text));
}

static const char *
separator(const struct world *world)
{
    return world->said[0] == '\0' ? "" : "; ";
}

/* "fire quota/api acme 75 (50,75) at ..."; of amounts "fire quota/api acme =120 (50) +100 +120" */
static void
say_transition(struct world *world, const struct transition *transition)
{
    static const char *const moves[] = {"fire", "step", "resolve"};
    const struct text tenant = transition->labels[LABEL_TENANT];
    const struct text project = transition->labels[LABEL_PROJECT];

    say(world, "%s%s %.*s", separator(world), moves[transition->move], (int)transition->rule.size,
        transition->rule.at);
    if (tenant.size > 0)
        say(world, " %.*s", (int)tenant.size, tenant.at);
    if (project.size > 0)
        say(world, "/%.*s", (int)project.size, project.at);
    if (transition->step > 0)
        say(world, " %d", transition->step);
    if (transition->step_amount > 0 && transition->move != MOVE_RESOLVE)
        say(world, " =%" PRId64, (int64_t)transition->step_amount);
    if (transition->move == MOVE_RESOLVE)
        say(world, " %s", resolved_names[transition->reason]);
    for (size_t i = 0; i < transition->crossed_count; i++)
        say(world, "%s%d%s", i == 0 ? " (" : ",", transition->crossed[i],
            i + 1 == transition->crossed_count ? ")" : "");
    for (size_t i = 0; i < transition->crossed_amount_count; i++)
        say(world, " +%" PRId64, (int64_t)transition->crossed_amounts[i]);
    say_time(world, "at", transition->at_ms);
}

static void
read_transitions(struct world *world, const struct settlement *settlement)
{
    for (; world->told < settlement->transitions.count; world->told++)
        say_transition(world, list_at(&settlement->transitions, world->told));
}

static uint64_t
content_of(const struct scope_state *state)
{
    struct key128 sum = {0};

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *one = &state->restrictions[i];
        const int64_t numbers[] = {one->code, one->since_ms, one->ends_ms, (int64_t)one->limit};
        const struct text texts[] = {one->rule, one->reason};

        sum = identity_texts(identity_numbers(sum, numbers, 4), texts, 2);
    }
    return sum.low;
}

static struct on_topic *
on_topic(struct world *world, struct text scope)
{
    for (size_t i = 0; i < world->topic_count; i++)
        if (text_eq(world->topic[i].scope, scope))
            return &world->topic[i];
    return NULL;
}

const struct on_topic *
world_on_topic(struct world *world, struct text scope)
{
    return on_topic(world, scope);
}

static void
publish(struct world *world, const struct scope_state *state)
{
    struct on_topic *last = on_topic(world, state->scope);
    const uint64_t content = content_of(state);
    const struct restriction *answer = scope_answer(state);

    if (last == NULL) {
        last = &world->topic[world->topic_count++];
        CU_ASSERT_TRUE_FATAL(world->topic_count <= sizeof world->topic / sizeof *world->topic);
        *last = (struct on_topic){.scope = keep(world, state->scope),
                                  .tenant = keep(world, state->tenant)};
    } else if (!world->claiming && last->content == content && last->epoch == state->epoch) {
        world->repeats++;
    }
    last->epoch = state->epoch;
    last->content = content;
    last->count = state->count;
    last->outcome = scope_outcome(state);
    last->since_ms = state->count == 0 ? 0 : state->restrictions[0].since_ms;
    last->ends_ms = state->count == 0 ? 0 : state->restrictions[0].ends_ms;
    say(world, "%s%s %.*s", separator(world), outcome_names[last->outcome], (int)state->scope.size,
        state->scope.at);
    if (answer != NULL) {
        say(world, " %s %.*s", code_table[answer->code].name, (int)answer->rule.size,
            answer->rule.at);
        if (answer->ends_ms != INT64_MAX)
            say_time(world, "until", answer->ends_ms);
    }
    say_time(world, "at", state->at_ms);
}

/* Everything that is there to be read becomes words. */
static void
listen(struct world *world)
{
    struct scope_state *const *states;
    const size_t count = shard_wanted(world->shard, &states);

    read_transitions(world, world->shard->open->settlement);
    for (size_t i = 0; i < count; i++)
        publish(world, states[i]);
    shard_wanted_taken(world->shard, count);
}

const char *
world_said(struct world *world)
{
    static char said[WORLD_SAID];

    listen(world);
    memcpy(said, world->said, sizeof said);
    world->said[0] = '\0';
    return said;
}

/* ---- settled ------------------------------------------------------------------------------------------- */

void
world_freeze(struct world *world)
{
    world->frozen = shard_freeze(world->shard);
    if (world->frozen != NULL) {
        read_transitions(world, world->frozen);
        world->told = 0; /* of the one that is open now */
    }
}

void
world_commit(struct world *world, bool told)
{
    const struct settlement *settlement = world->frozen;

    if (settlement == NULL)
        return;
    CHECK_INT("settlements are numbered without a gap", settlement->seq, world->db.seq);
    world->db.seq++;
    world->db.time_ms = settlement->time_ms;
    world->db.closed_ms = settlement->closed_ms;
    write_progress(world, &settlement->progress[0]);
    write_facts(world, settlement);
    write_rows(world, settlement);
    CHECK_INT("policy in force", settlement->policy, world->db.policy->serial);
    world->frozen = NULL;
    if (told)
        shard_settled(world->shard, NULL, 0);
}

void
world_settle(struct world *world)
{
    world_commit(world, true);
    world_freeze(world);
    world_commit(world, true);
}

/* ---- records, time, commands --------------------------------------------------------------------------- */

static struct record
record_of(const struct logged *logged)
{
    return (struct record){.partition = 3,
                           .offset = logged->offset,
                           .time_ms = logged->time_ms,
                           .append_time = true,
                           .key = logged->event.tenant};
}

size_t
world_replay(struct world *world, size_t at)
{
    const struct record record = record_of(&world->log[at]);

    CU_ASSERT_TRUE(shard_advance(world->shard, record.time_ms));
    shard_record(world->shard, &record);
    for (;; at++) {
        const struct logged *logged = &world->log[at];

        if (shard_event(world->shard, &record, logged->index, &logged->event, NULL) ==
            APPLIED_UNKNOWN) {
            world_load(world, logged->event.tenant);
            shard_parked(world->shard, &record, logged->index, &logged->event);
        }
        if (logged->last)
            break;
    }
    shard_record_end(world->shard, &record);
    return at + 1;
}

size_t
world_append(struct world *world, int64_t time_ms, const struct event *events, size_t count)
{
    const size_t first = world->logged;

    CU_ASSERT_TRUE_FATAL(first + count <= WORLD_LOG);
    for (size_t i = 0; i < count; i++)
        world->log[world->logged++] = (struct logged){.event = events[i],
                                                      .offset = world->next_offset,
                                                      .index = (int32_t)i,
                                                      .time_ms = time_ms,
                                                      .last = i + 1 == count};
    world->next_offset++;
    return first;
}

void
world_record(struct world *world, int64_t time_ms, const struct event *events, size_t count)
{
    (void)world_replay(world, world_append(world, time_ms, events, count));
}

void
world_time(struct world *world, int64_t now_ms)
{
    CU_ASSERT_TRUE(shard_advance(world->shard, now_ms));
}

void
world_store_command(struct world *world, struct world_command stored)
{
    CU_ASSERT_TRUE_FATAL(world->command_count < WORLD_COMMANDS);
    world->commands[world->command_count++] = stored;
}

void
world_command(struct world *world, size_t index)
{
    const struct world_command *stored = &world->commands[index];
    struct tenant_load load;

    switch (stored->kind) {
    case COMMAND_TENANT:
    case COMMAND_WORD:
        load = answer(world, stored->tenant);
        if (shard_knows(world->shard, stored->tenant))
            shard_contract(world->shard, &load);
        else
            CU_ASSERT_TRUE_FATAL(shard_load(world->shard, &load));
        break;
    case COMMAND_POLICY:
        shard_policy(world->shard, stored->policy);
        break;
    case COMMAND_ENFORCE:
        shard_enforce(world->shard, stored->on);
        break;
    case COMMAND_BREAKER:
    case COMMAND_RETRY:
    case COMMAND_RESUME:
    case COMMAND_RERATE:
    case COMMAND_ANOMALY:
    case COMMAND_KIND_COUNT:
        break;
    }
    shard_command_done(world->shard, (int64_t)index + 1, NULL);
}

void
world_store_contract(struct world *world, const char *tenant, const struct tenant_spec *spec,
                     const struct zone *zone)
{
    struct world_tenant *row = row_of(world, text_of(tenant));

    row->known = true;
    row->spec = *spec;
    row->zone = zone;
    world_store_command(world, (struct world_command){.kind = COMMAND_TENANT, .tenant = row->name});
}

void
world_store_word(struct world *world, const char *tenant, const struct operator_word *word)
{
    struct world_tenant *row = row_of(world, text_of(tenant));
    size_t at = 0;

    while (at < row->word_count && !text_eq(row->words[at].scope, word->scope))
        at++;
    CU_ASSERT_TRUE_FATAL(at < sizeof row->words / sizeof *row->words);
    row->word_count += at == row->word_count;
    row->words[at] = *word;
    row->words[at].scope = keep(world, word->scope);
    world_store_command(world, (struct world_command){.kind = COMMAND_WORD, .tenant = row->name});
}

void
world_contract(struct world *world, const char *tenant, const struct tenant_spec *spec,
               const struct zone *zone)
{
    world_store_contract(world, tenant, spec, zone);
    world_command(world, world->command_count - 1);
}

void
world_word(struct world *world, const char *tenant, const struct operator_word *word)
{
    world_store_word(world, tenant, word);
    world_command(world, world->command_count - 1);
}

void
world_policy(struct world *world, const struct policy *policy)
{
    world_store_command(world, (struct world_command){.kind = COMMAND_POLICY, .policy = policy});
    world_command(world, world->command_count - 1);
}

void
world_enforce(struct world *world, bool on)
{
    world_store_command(world, (struct world_command){.kind = COMMAND_ENFORCE, .on = on});
    world_command(world, world->command_count - 1);
}

/* ---- a crash -------------------------------------------------------------------------------------------- */

/* The tail, as the engine reaches back where record times may run backwards: from the first record
 * inside the window on. */
static void
read_tail(struct world *world)
{
    const struct postgres *db = &world->db;
    const int64_t since_ms = db->progress.time_ms - world->setup.dedupe_window_ms + 1;
    size_t at = 0;

    while (at < world->logged && world->log[at].time_ms < since_ms)
        at++;
    for (; at < world->logged && world->log[at].offset < db->progress.next; at++) {
        const struct logged *logged = &world->log[at];
        const struct record record = record_of(logged);

        shard_record(world->shard, &record);
        if (!logged->dead)
            CU_ASSERT_TRUE(shard_tail(world->shard, &record, &logged->event));
    }
}

size_t
world_unsettled(const struct world *world)
{
    size_t at = 0;

    while (at < world->logged && world->log[at].offset < world->db.progress.next)
        at++;
    return at;
}

void
world_claim(struct world *world)
{
    begin(world);
    world->said[0] = '\0';
    world->claiming = true;
    for (size_t i = 0; i < world->db.tenant_count; i++)
        if (world->db.tenants[i].restricted || world->db.tenants[i].due_ms <= world->db.time_ms)
            world_load(world, world->db.tenants[i].name);
    /* What stands on the topic is a stranger's to the new owner: it says what is true now. */
    for (size_t i = 0; i < world->topic_count; i++) {
        world_load(world, world->topic[i].tenant);
        shard_declare(world->shard, world->topic[i].scope, world->topic[i].tenant);
    }
    read_tail(world);
    listen(world);
    world->claiming = false;
}

void
world_crash(struct world *world)
{
    world_claim(world);
    for (size_t i = world->db.commands_done; i < world->command_count; i++)
        world_command(world, i);
    for (size_t at = world_unsettled(world); at < world->logged;)
        at = world_replay(world, at);
}

const struct amounts *
world_total(const struct world *world, const char *tenant, const char *project, int64_t at_ms)
{
    for (size_t i = 0; i < world->db.total_count; i++) {
        const struct period_total *row = &world->db.totals[i];

        if (text_eq(row->tenant, text_of(tenant)) && text_eq(row->project, text_of(project)) &&
            at_ms >= row->start_ms && at_ms < row->end_ms)
            return &row->delta;
    }
    return NULL;
}

struct event
world_use(struct world *world, const char *tenant, int64_t at_ms, int64_t requests)
{
    char id[24] = "event-";
    size_t size = 6;

    for (size_t n = ++world->made, digits = 0; n > 0 || digits == 0; n /= 10, digits++)
        id[size++] = (char)('0' + n % 10);
    struct event event = {.kind = EVENT_RECORD,
                          .at_ms = at_ms,
                          .id = keep(world, (struct text){id, size}),
                          .source = TEXT("gateway"),
                          .tenant = keep(world, text_of(tenant)),
                          .attempt = 1,
                          .flags = EVENT_HAS_COST,
                          .refers = {.at_ms = -1}};

    event.usage[USAGE_REQUESTS] = requests;
    return event;
}
