#include "cli/scenario_player.h"

#include "cli/contract.h"
#include "cli/scope.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
complain(struct player *player, struct mark at, const struct err *why)
{
    (void)finding_error(player->differences, at, "%s", why->text);
}

/* ---- contracts -------------------------------------------------------------------------------------- */

static json_t *
new_contract(void)
{
    return json_pack("{s:{}, s:{}}", "limits", "projects");
}

static json_t *
contract_of(const struct player *player, struct text tenant)
{
    const json_t *contract = stage_contract_of(player->stage, tenant);

    return contract == NULL ? new_contract() : json_deep_copy(contract);
}

/* Every `limit QUOTA=VALUE` of the line. */
static bool
set_limits(struct player *player, const struct statement *statement, json_t *limits)
{
    struct err why = {.class = ERR_NONE};

    for (size_t i = 0; i < statement->value_count; i++) {
        const struct value *value = &statement->values[i];

        if (strcmp(value->field->name, "limit") != 0 ||
            contract_limit(limits, value->text.at, &why))
            continue;
        complain(player, value->at, &why);
        return false;
    }
    return true;
}

static void
play_tenant(struct player *player, const struct statement *statement)
{
    static const char *const members[] = {"plan", "zone", "cycle", "currency", "charge"};
    json_t *contract = new_contract();

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct text text = statement_text(statement, members[i]);

        if (text.at != NULL)
            (void)json_object_set_new(contract, members[i], json_stringn(text.at, text.size));
    }
    if (set_limits(player, statement, json_object_get(contract, "limits")))
        stage_contract(player->stage, statement->subjects[0].text, contract);
    json_decref(contract);
}

static void
play_project(struct player *player, const struct statement *statement)
{
    json_t *contract = contract_of(player, statement->subjects[0].text);
    json_t *limits = json_object();

    if (set_limits(player, statement, limits)) {
        (void)json_object_set_new(json_object_get(contract, "projects"),
                                  statement->subjects[1].text.at,
                                  json_pack("{s:O}", "limits", limits));
        stage_contract(player->stage, statement->subjects[0].text, contract);
    }
    json_decref(limits);
    json_decref(contract);
}

static void
play_limit(struct player *player, const struct statement *statement)
{
    const struct value *project = statement_value(statement, "project");
    json_t *contract = contract_of(player, statement->subjects[0].text);
    json_t *of = project == NULL
                     ? contract
                     : json_object_get(json_object_get(contract, "projects"), project->text.at);
    struct err why = {.class = ERR_NONE};
    char word[512];

    (void)snprintf(word, sizeof word, "%s=%s", statement->subjects[1].text.at,
                   statement->subjects[2].text.at);
    if (of == NULL)
        (void)finding_error(player->differences, statement->at,
                            "the tenant has not declared this project");
    else if (!contract_limit(json_object_get(of, "limits"), word, &why))
        complain(player, statement->subjects[1].at, &why);
    else
        stage_contract(player->stage, statement->subjects[0].text, contract);
    json_decref(contract);
}

/* ---- events ------------------------------------------------------------------------------------------ */

static void
set_text(json_t *object, const char *member, struct text text)
{
    if (text.at != NULL)
        (void)json_object_set_new(object, member, json_stringn(text.at, text.size));
}

static json_t *
usage_of(const struct statement *statement)
{
    json_t *usage = json_object();

    for (size_t i = 0; i < USAGE_COUNT; i++) {
        const struct value *count = statement_value(statement, usage_names[i]);

        if (count != NULL)
            (void)json_object_set_new(usage, usage_names[i],
                                      json_integer((json_int_t)count->number));
    }
    return usage;
}

/* Of the same name as the event, where the line does not say. */
static json_t *
reservation_of(const struct statement *statement, const char *id)
{
    const struct text given = statement_text(statement, "reservation");
    const struct text cost = statement_text(statement, "cost");
    const struct value *expires = statement_value(statement, "expires");
    json_t *reservation = json_object();
    char time[CLOCK_TEXT_SIZE];

    set_text(reservation, "id", given.at == NULL ? text_of(id) : given);
    if (statement->row->verb == VERB_RESERVE)
        set_text(reservation, "cost", cost.at == NULL ? TEXT("0") : cost);
    if (expires != NULL)
        set_text(reservation, "expires", text_of(clock_format(expires->number, time)));
    return reservation;
}

/* `data`; calls cost nothing unless the line says what, or that it is not known. */
static json_t *
data_of(const struct statement *statement, const char *id)
{
    static const struct {
        const char *field;
        const char *member;
    } names[] = {{"project", "project"}, {"feature", "feature"},   {"key", "api_key_id"},
                 {"ip", "client_ip"},    {"provider", "provider"}, {"model", "model"},
                 {"status", "status"},   {"currency", "currency"}};
    const struct value *attempt = statement_value(statement, "attempt");
    const struct text cost = statement_text(statement, "cost");
    const struct text original = statement_text(statement, "of");
    const struct value *final = statement_value(statement, "final");
    const bool reserves =
        statement->row->verb == VERB_RESERVE || statement->row->verb == VERB_RELEASE;
    json_t *data = json_pack("{s:s}", "request_id", id);

    if (statement->row->verb == VERB_GAUGE) {
        json_t *gauges = json_object();

        (void)json_object_set_new(gauges, statement->subjects[1].text.at,
                                  json_integer((json_int_t)statement->subjects[2].number));
        (void)json_object_set_new(data, "gauges", gauges);
        return data;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        set_text(data, names[i].member, statement_text(statement, names[i].field));
    if (statement->row->verb == VERB_SETTLE || reserves)
        (void)json_object_set_new(data, "reservation", reservation_of(statement, id));
    if (reserves)
        return data;
    if (final != NULL)
        (void)json_object_set_new(data, "final", json_boolean(final->number != 0));
    if (attempt != NULL)
        (void)json_object_set_new(data, "attempt", json_integer((json_int_t)attempt->number));
    /* A correction leaves as it was what it does not say. */
    if (!text_eq(cost, TEXT("none")))
        set_text(data, "cost",
                 cost.at == NULL && statement->row->verb != VERB_CORRECT ? TEXT("0") : cost);
    if (statement->row->verb != VERB_REFUND)
        (void)json_object_set_new(data, "usage", usage_of(statement));
    if (statement->row->verb == VERB_REFUND || statement->row->verb == VERB_CORRECT) {
        json_t *refers = json_object();

        set_text(refers, "id", original.at == NULL ? TEXT("original") : original);
        (void)json_object_set_new(
            data, statement->row->verb == VERB_REFUND ? "refund_of" : "supersedes", refers);
    }
    return data;
}

static char *
event_of(const struct player *player, const struct statement *statement, const char *id)
{
    const struct value *happened = statement_value(statement, "happened");
    const struct text source = statement_text(statement, "source");
    char type[64];
    char time[CLOCK_TEXT_SIZE];
    json_t *event = json_pack("{s:s}", "specversion", "1.0");

    (void)snprintf(type, sizeof type, "scenario.usage.%s.v1",
                   statement->row->verb == VERB_USE ? "record" : statement->row->name);
    set_text(event, "id", text_of(id));
    set_text(event, "source", source.at == NULL ? TEXT("gateway") : source);
    set_text(event, "type", text_of(type));
    set_text(event, "time",
             text_of(clock_format(happened == NULL ? stage_time(player->stage) : happened->number,
                                  time)));
    set_text(event, "subject", statement->subjects[0].text);
    (void)json_object_set_new(event, "data", data_of(statement, id));
    char *text = json_dumps(event, JSON_COMPACT);

    json_decref(event);
    return text;
}

static void
play_event(struct player *player, const struct statement *statement)
{
    const struct value *times = statement_value(statement, "times");
    const struct text given = statement_text(statement, "id");
    const struct value *every = statement_value(statement, "every");
    const int64_t count = times == NULL ? 1 : times->number;

    player->first_record = stage_record_count(player->stage);
    for (int64_t i = 0; i < count && stage_fault(player->stage) == NULL; i++) {
        char id[256];

        if (i > 0 && every != NULL)
            stage_advance(player->stage, stage_time(player->stage) + every->number);
        if (given.at == NULL)
            (void)snprintf(id, sizeof id, "event-%zu", stage_record_count(player->stage) + 1);
        else if (times == NULL)
            (void)text_copy(id, sizeof id, given);
        else
            (void)snprintf(id, sizeof id, "%s-%" PRId64, given.at, i + 1);
        char *event = event_of(player, statement, id);

        if (event == NULL)
            abort();
        stage_record(player->stage, text_of(id), text_of(event));
        free(event);
    }
}

static void
play_duplicate(struct player *player, const struct statement *statement)
{
    const struct text id = statement_text(statement, "id");

    if (!stage_repeat(player->stage, id, player->first_record))
        (void)finding_error(player->differences, statement->at,
                            "there is no event before that could be sent again");
}

/* ---- operators ------------------------------------------------------------------------------------------ */

static void
play_word(struct player *player, const struct statement *statement)
{
    const struct value *period = statement_value(statement, "for");
    const struct value *until = statement_value(statement, "until");
    const struct text actor = statement_text(statement, "by");
    const struct text reason = statement_text(statement, "reason");
    struct operator_word word = {
        .kind = statement->row->verb == VERB_OPERATOR_ALLOWS ? WORD_ALLOW : WORD_BLOCK,
        .until_ms = until != NULL    ? until->number
                    : period != NULL ? stage_time(player->stage) + period->number
                                     : INT64_MAX,
        .actor = actor.at == NULL ? TEXT("operator") : actor,
        .reason = reason.at == NULL ? TEXT("scenario") : reason};
    struct arena *arena = arena_new((size_t)16 * SCOPE_SIZE);
    struct err why = {.class = ERR_NONE};
    struct scope_parts parts;
    char scope[SCOPE_SIZE];

    if (arena == NULL)
        abort();
    if (!scope_of_word(statement->subjects[0].text.at, scope, &why))
        complain(player, statement->subjects[0].at, &why);
    else if (scope_split(text_of(scope), arena, &parts)) {
        word.scope = text_of(scope);
        stage_word(player->stage, parts.a, &word);
    }
    arena_free(arena);
}

static void
play_breaker(struct player *player, const struct statement *statement)
{
    const struct value *period = statement_value(statement, "for");
    const struct value *until = statement_value(statement, "until");
    const struct text actor = statement_text(statement, "by");
    const struct text reason = statement_text(statement, "reason");
    struct command command = {
        .kind = COMMAND_BREAKER,
        .tenant = statement->subjects[0].text,
        .breaker = {.feature = statement->subjects[1].text,
                    .until_ms = until != NULL    ? until->number
                                : period != NULL ? stage_time(player->stage) + period->number
                                                 : INT64_MAX},
        .actor = actor.at == NULL ? TEXT("operator") : actor,
        .reason = reason.at == NULL ? TEXT("scenario") : reason};

    if (breaker_word_by_name(statement->subjects[2].text, &command.breaker.word))
        stage_breaker(player->stage, &command);
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static void
play_statement(struct player *player, const struct statement *statement)
{
    switch (statement->row->verb) {
    case VERB_POLICY:
        stage_policy(player->stage, statement->policy);
        break;
    case VERB_TENANT:
        play_tenant(player, statement);
        break;
    case VERB_PROJECT:
        play_project(player, statement);
        break;
    case VERB_LIMIT:
        play_limit(player, statement);
        break;
    case VERB_USE:
    case VERB_SETTLE:
    case VERB_RESERVE:
    case VERB_RELEASE:
    case VERB_GAUGE:
    case VERB_REFUND:
    case VERB_CORRECT:
        play_event(player, statement);
        break;
    case VERB_DUPLICATE:
        play_duplicate(player, statement);
        break;
    case VERB_RECORD:
        stage_keep_record(player->stage, text_eq(statement->subjects[0].text, TEXT("on")));
        break;
    case VERB_ENFORCE:
        stage_enforce(player->stage, text_eq(statement->subjects[0].text, TEXT("on")));
        break;
    case VERB_OPERATOR_ALLOWS:
    case VERB_OPERATOR_BLOCKS:
        play_word(player, statement);
        break;
    case VERB_BREAKER:
        play_breaker(player, statement);
        break;
    case VERB_ANOMALY:
        play_answer(player->stage, statement);
        break;
    case VERB_TIMES_IN:
    case VERB_TIME_PASSES:
    case VERB_RESTART:
    case VERB_CRASH:
    case VERB_EXPECT_NOTHING:
    case VERB_EXPECT_ALERT:
    case VERB_EXPECT_DECISION:
    case VERB_EXPECT_DEAD:
    case VERB_EXPECT_REFUSED:
    case VERB_EXPECT_STATUS:
    case VERB_EXPECT_BREAKER:
    case VERB_EXPECT_CARRY:
    case VERB_EXPECT_NOTE:
    case VERB_EXPECT_TOTAL:
        break;
    }
}

/* What came of the step before is settled, unless the process dies before. */
static void
play_step(struct player *player, const struct statement *statement)
{
    const enum verb verb = statement->row->verb;

    expect_no_more(player);
    if (verb != VERB_CRASH) {
        stage_settle(player->stage);
        stage_fleet(player->stage);
    }
    player->step = statement;
    /* Nobody is there until the time of the line. */
    if (verb == VERB_CRASH || verb == VERB_RESTART)
        stage_restart(player->stage);
    if (statement->timed)
        stage_advance(player->stage, statement->at_ms);
    stage_fleet(player->stage);
    play_statement(player, statement);
    stage_pause(player->stage);
}

/* What the engine promises whatever the scenario expects. */
static bool
check_promises(struct player *player, struct mark at)
{
    const char *fault = stage_fault(player->stage);

    return fault == NULL || finding_error(player->differences, at, "%s", fault);
}

bool
scenario_play(const struct scenario *scenario, struct findings *differences)
{
    struct player player = {.stage = stage_new(scenario->policy), .differences = differences};
    const size_t before = differences->error_count;
    const size_t from = differences->count;
    struct mark at = {1, 1};

    findings_file(differences, scenario->file);
    if (player.stage == NULL)
        return finding_error(differences, at, "out of memory");
    for (size_t i = 0; i < scenario->statements.count && check_promises(&player, at); i++) {
        const struct statement *statement = list_at(&scenario->statements, i);

        at = statement->at;
        if (statement->row->verb >= VERB_EXPECT_NOTHING)
            expect_statement(&player, statement);
        else
            play_step(&player, statement);
    }
    expect_no_more(&player);
    if (stage_fault(player.stage) == NULL) {
        stage_settle(player.stage);
        (void)check_promises(&player, at);
    }
    stage_free(player.stage);
    findings_sort(differences, from);
    return differences->error_count == before;
}
