#include "cli/scenario_check.h"

#include "cli/standing.h"
#include "rules/feature.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const move_names[] = {
    [MOVE_FIRE] = "fires", [MOVE_STEP] = "rises", [MOVE_RESOLVE] = "resolves"};

/* ---- an effect in the words of the expectation that would name it ------------------------------------ */

struct sentence {
    char text[EFFECT_TEXT_SIZE];
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void
put(struct sentence *sentence, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    const int size = vsnprintf(sentence->text + sentence->size, EFFECT_TEXT_SIZE - sentence->size,
                               format, values);

    va_end(values);
    if (size > 0)
        sentence->size += (size_t)size;
    if (sentence->size >= EFFECT_TEXT_SIZE)
        sentence->size = EFFECT_TEXT_SIZE - 1;
}

static void
put_text(struct sentence *sentence, const char *field, struct text text)
{
    const bool quoted = text.size > 0 && memchr(text.at, ' ', text.size) != NULL;

    if (text.size > 0)
        put(sentence, quoted ? " %s \"%.*s\"" : " %s %.*s", field, (int)text.size, text.at);
}

static void
put_time(struct sentence *sentence, const struct zone *zone, const char *field, int64_t at_ms)
{
    char text[SCENARIO_TIME_SIZE];

    put(sentence, " %s %s", field, at_ms == INT64_MAX ? "never" : scenario_time(zone, at_ms, text));
}

static void
crossed_text(const struct transition *alert, char out[EFFECT_TEXT_SIZE])
{
    size_t size = 0;

    out[0] = '\0';
    for (size_t i = 0; i < alert->crossed_count && size < EFFECT_TEXT_SIZE - 8; i++)
        size += (size_t)snprintf(out + size, EFFECT_TEXT_SIZE - size, "%s%" PRId32,
                                 i == 0 ? "" : ",", alert->crossed[i]);
}

static const char *
step_text(tally amount, bool is_money, char out[TALLY_TEXT_SIZE])
{
    return is_money ? tally_format_short(amount, 2, out) : tally_format_count(amount, out);
}

static void
crossed_amounts_text(const struct transition *alert, char out[EFFECT_TEXT_SIZE])
{
    char amount[TALLY_TEXT_SIZE];
    size_t size = 0;

    out[0] = '\0';
    for (size_t i = 0;
         i < alert->crossed_amount_count && size < EFFECT_TEXT_SIZE - TALLY_TEXT_SIZE - 1; i++)
        size += (size_t)snprintf(out + size, EFFECT_TEXT_SIZE - size, "%s%s", i == 0 ? "" : ",",
                                 step_text(alert->crossed_amounts[i], alert->is_money, amount));
}

static void
put_alert(struct sentence *sentence, const struct transition *alert, const struct zone *zone)
{
    static const struct {
        enum label label;
        const char *word;
    } labels[] = {{LABEL_TENANT, "tenant"},   {LABEL_PROJECT, "project"},
                  {LABEL_FEATURE, "feature"}, {LABEL_API_KEY_ID, "key"},
                  {LABEL_IP, "ip"},           {LABEL_PROVIDER, "provider"},
                  {LABEL_MODEL, "model"}};
    char crossed[EFFECT_TEXT_SIZE];
    char amount[TALLY_TEXT_SIZE];

    put(sentence, "alert %.*s %s", (int)alert->rule.size, alert->rule.at, move_names[alert->move]);
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        put_text(sentence, labels[i].word, alert->labels[labels[i].label]);
    if (alert->step > 0)
        put(sentence, " step %" PRId32, alert->step);
    if (alert->step_amount > 0)
        put(sentence, " step_amount %s", step_text(alert->step_amount, alert->is_money, amount));
    crossed_text(alert, crossed);
    put_text(sentence, "crossed", text_of(crossed));
    crossed_amounts_text(alert, crossed);
    put_text(sentence, "crossed_amounts", text_of(crossed));
    put_text(sentence, "severity", text_of(severity_names[alert->severity]));
    put_text(sentence, "reason", text_of(resolved_names[alert->reason]));
    put_time(sentence, zone, "at", alert->at_ms);
}

static void
put_decision(struct sentence *sentence, const struct scope_state *state, const struct zone *zone)
{
    const struct restriction *answer = scope_answer(state);

    put(sentence, "%s %.*s", outcome_names[scope_outcome(state)], (int)state->scope.size,
        state->scope.at);
    if (answer != NULL) {
        put_text(sentence, "code", text_of(code_table[answer->code].name));
        put_text(sentence, "rule", answer->rule);
        put_time(sentence, zone, "until", answer->ends_ms);
    }
    put_time(sentence, zone, "at", state->at_ms);
}

static void
put_effect(struct sentence *sentence, const struct effect *effect, const struct zone *zone)
{
    sentence->size = 0;
    switch (effect->kind) {
    case EFFECT_ALERT:
        put_alert(sentence, effect->alert, zone);
        break;
    case EFFECT_DECISION:
        put_decision(sentence, effect->decision, zone);
        break;
    case EFFECT_DEAD:
        put(sentence, "dead %s", dead_names[effect->dead.why.reason]);
        put_text(sentence, "tenant", effect->dead.tenant);
        put_text(sentence, "id", effect->dead.id);
        put(sentence, " (%s)", effect->dead.why.detail);
        break;
    case EFFECT_REFUSED:
        put(sentence, "refused (%.*s)", (int)effect->refusal.size, effect->refusal.at);
        break;
    }
}

void
expect_words(const struct effect *effect, const struct zone *zone, char out[EFFECT_TEXT_SIZE])
{
    struct sentence sentence;

    put_effect(&sentence, effect, zone);
    (void)text_copy(out, EFFECT_TEXT_SIZE, text_of(sentence.text));
}

/* ---- what came of the last step -------------------------------------------------------------------- */

static void
report_left(struct player *player, struct mark at, const struct zone *zone)
{
    size_t count = 0;
    struct effect *effects = stage_effects(player->stage, &count);

    for (size_t i = 0; i < count; i++) {
        struct sentence sentence;

        if (effects[i].expected)
            continue;
        effects[i].expected = true;
        put_effect(&sentence, &effects[i], zone);
        (void)finding_error(player->differences, at, "not expected: %s", sentence.text);
    }
}

void
expect_no_more(struct player *player)
{
    if (player->step != NULL)
        report_left(player, player->step->at, player->step->zone);
    stage_forget(player->stage);
}

/* The subject of an expectation: what is compared decides which effect is meant, the rest is
 * compared with it. */
static bool
is_meant(const struct statement *statement, const struct effect *effect)
{
    const struct text subject = statement->subjects[0].text;

    switch (effect->kind) {
    case EFFECT_ALERT:
        return statement->row->verb == VERB_EXPECT_ALERT && text_eq(effect->alert->rule, subject) &&
               text_eq(effect->alert->labels[LABEL_TENANT], statement_text(statement, "tenant")) &&
               text_eq(effect->alert->labels[LABEL_PROJECT],
                       statement_text(statement, "project")) &&
               text_eq(effect->alert->labels[LABEL_FEATURE],
                       statement_text(statement, "feature")) &&
               text_eq(effect->alert->labels[LABEL_API_KEY_ID], statement_text(statement, "key")) &&
               text_eq(effect->alert->labels[LABEL_IP], statement_text(statement, "ip"));
    case EFFECT_DECISION:
        return statement->row->verb == VERB_EXPECT_DECISION &&
               text_eq(effect->decision->scope, subject);
    case EFFECT_DEAD:
        return statement->row->verb == VERB_EXPECT_DEAD;
    case EFFECT_REFUSED:
        return statement->row->verb == VERB_EXPECT_REFUSED;
    }
    return false;
}

/* The first that is left of what is meant; NULL after a finding. */
static const struct effect *
take(const struct comparison *comparison)
{
    size_t count = 0;
    struct effect *effects = stage_effects(comparison->player->stage, &count);

    for (size_t i = 0; i < count; i++)
        if (!effects[i].expected && is_meant(comparison->statement, &effects[i])) {
            effects[i].expected = true;
            return &effects[i];
        }
    (void)finding_error(comparison->player->differences, comparison->statement->at,
                        "this did not happen");
    return NULL;
}

static void
compare_alert(const struct comparison *comparison, const struct transition *alert)
{
    const struct value *move = &comparison->statement->subjects[1];
    char crossed[EFFECT_TEXT_SIZE];

    if (!text_eq(move->text, text_of(move_names[alert->move])))
        (void)finding_error(comparison->player->differences, move->at, "it %s, expected that it %s",
                            move_names[alert->move], move->text.at);
    crossed_text(alert, crossed);
    check_text(comparison, "provider", alert->labels[LABEL_PROVIDER]);
    check_text(comparison, "model", alert->labels[LABEL_MODEL]);
    check_count(comparison, "step", alert->step);
    check_text(comparison, "crossed", text_of(crossed));
    check_amount(comparison, "step_amount", alert->step_amount, alert->is_money);
    crossed_amounts_text(alert, crossed);
    check_text(comparison, "crossed_amounts", text_of(crossed));
    check_text(comparison, "severity", text_of(severity_names[alert->severity]));
    check_text(comparison, "reason", text_of(resolved_names[alert->reason]));
    check_amount(comparison, "value", alert->value, alert->is_money);
    check_amount(comparison, "threshold", alert->threshold, alert->is_money);
    check_text(comparison, "unit", alert->unit);
    check_yes(comparison, "restricts", alert->restricts);
    check_time(comparison, "resets", alert->resets_ms);
    check_time(comparison, "at", alert->at_ms);
    check_words(comparison, alert->summary);
}

static void
compare_decision(const struct comparison *comparison, const struct scope_state *state)
{
    static const struct restriction none = {.code = CODE_COUNT, .ends_ms = INT64_MAX};
    const struct restriction *answer = scope_answer(state);
    const struct restriction *one = answer == NULL ? &none : answer;
    const char *outcome = outcome_names[scope_outcome(state)];
    const char *expected = comparison->statement->row->name + strlen("expect ");

    if (strcmp(outcome, expected) != 0)
        (void)finding_error(comparison->player->differences, comparison->statement->at,
                            "%s is told %s, expected %s",
                            comparison->statement->subjects[0].text.at, outcome, expected);
    check_text(comparison, "code", text_of(answer == NULL ? NULL : code_table[one->code].name));
    check_count(comparison, "http", answer == NULL ? 0 : code_table[one->code].http_status);
    check_text(comparison, "rule", one->rule);
    check_time(comparison, "until", one->ends_ms);
    check_amount(comparison, "used", one->used, one->is_money);
    check_amount(comparison, "limit", one->limit, one->is_money);
    check_time(comparison, "resets", one->resets_ms);
    check_text(comparison, "reason", one->reason);
    check_count(comparison, "restrictions", (int64_t)state->count);
    check_time(comparison, "at", state->at_ms);
}

static void
compare_dead(const struct comparison *comparison, const struct dead_letter *dead)
{
    const struct value *reason = &comparison->statement->subjects[0];

    if (!text_eq(reason->text, text_of(dead_names[dead->why.reason])))
        (void)finding_error(comparison->player->differences, reason->at,
                            "the reason is %s (%s), expected %s", dead_names[dead->why.reason],
                            dead->why.detail, reason->text.at);
    check_text(comparison, "tenant", dead->tenant);
    check_text(comparison, "id", dead->id);
}

static void
compare_effect(const struct comparison *comparison)
{
    const struct effect *effect = take(comparison);

    if (effect == NULL)
        return;
    switch (effect->kind) {
    case EFFECT_ALERT:
        compare_alert(comparison, effect->alert);
        break;
    case EFFECT_DECISION:
        compare_decision(comparison, effect->decision);
        break;
    case EFFECT_DEAD:
        compare_dead(comparison, &effect->dead);
        break;
    case EFFECT_REFUSED:
        check_words(comparison, effect->refusal);
        break;
    }
}

/* ---- how it stands ------------------------------------------------------------------------------------ */

static bool
find_standing(const struct tenant *tenant, const struct statement *statement, int64_t now_ms,
              struct standing *out)
{
    for (size_t i = 0; i < standing_count(tenant); i++) {
        standing_of(tenant, i, now_ms, out);
        if (text_eq(out->quota->rule->name, statement->subjects[1].text) &&
            text_eq(out->project, statement_text(statement, "project")) &&
            text_eq(out->subject, statement_text(statement, "of")))
            return true;
    }
    return false;
}

static void
compare_status(const struct comparison *comparison)
{
    const struct statement *statement = comparison->statement;
    struct tenant *tenant = stage_tenant(comparison->player->stage, statement->subjects[0].text);
    struct standing one;

    if (!find_standing(tenant, statement, stage_time(comparison->player->stage), &one)) {
        (void)finding_error(comparison->player->differences, statement->subjects[1].at,
                            "plan %.*s has no quota of that name and scope",
                            (int)tenant->plan->name.size, tenant->plan->name.at);
        tenant_free(tenant);
        return;
    }
    check_amount(comparison, "used", one.used, one.is_money);
    check_amount(comparison, "limit", one.limit, one.is_money);
    check_amount(comparison, "base", one.quota->base, one.is_money);
    check_amount(comparison, "carry", one.quota->carry, one.is_money);
    check_amount(comparison, "remaining", one.remaining, one.is_money);
    check_amount(comparison, "over", one.over, one.is_money);
    check_count(comparison, "percent", one.percent);
    check_text(comparison, "level", text_of(one.level));
    check_yes(comparison, "approaching", one.approaching);
    check_yes(comparison, "blocked", one.quota->blocked);
    check_yes(comparison, "unlimited", one.quota->unlimited);
    check_amount(comparison, "unallocated", one.unallocated, one.is_money);
    check_amount(comparison, "today", one.today, one.is_money);
    check_amount(comparison, "day_share", one.day_share, one.is_money);
    check_amount(comparison, "forecast", one.forecast, one.is_money);
    check_time(comparison, "resets", one.resets_ms);
    tenant_free(tenant);
}

static void
compare_breaker(const struct comparison *comparison)
{
    const struct statement *statement = comparison->statement;
    struct tenant *tenant = stage_tenant(comparison->player->stage, statement->subjects[0].text);
    struct feature *feature = tenant->features == NULL
                                  ? NULL
                                  : feature_find(tenant->features, statement->subjects[1].text);
    struct breaker_view view;

    if (feature == NULL) {
        (void)finding_error(comparison->player->differences, statement->subjects[1].at,
                            "nothing was spent by this feature, or the policy has no breakers");
        tenant_free(tenant);
        return;
    }
    const int64_t now_ms = stage_time(comparison->player->stage);

    slots_advance(&feature->slots, now_ms);
    feature_turn(feature, tenant, now_ms, true);
    feature_view(feature, now_ms, &view);
    check_text(comparison, "state", text_of(breaker_state_names[feature->breaker.state]));
    check_time(comparison, "until", feature->breaker.until_ms);
    check_count(comparison, "opens", feature->breaker.opens);
    check_amount(comparison, "baseline", feature->baseline.known ? feature->baseline.value : 0,
                 true);
    check_amount(comparison, "typical", feature->baseline.typical, true);
    check_amount(comparison, "hour", view.hour, true);
    check_amount(comparison, "window", view.window, true);
    check_amount(comparison, "would_block", feature->breaker.would_block, true);
    tenant_free(tenant);
}

static void
compare_total(const struct comparison *comparison)
{
    static const struct period_total nothing;
    const struct statement *statement = comparison->statement;
    const struct value *at = statement_value(statement, "at");
    const struct period_total *total =
        stage_total(comparison->player->stage, statement->subjects[0].text,
                    statement_text(statement, "project"),
                    at == NULL ? stage_time(comparison->player->stage) : at->number);

    struct amounts adjusted = {.cost = 0};

    if (total == NULL)
        total = &nothing;
    stage_adjustments(comparison->player->stage, total, &adjusted);
    check_amount(comparison, "adjusted", adjusted.cost, true);
    check_yes(comparison, "final", stage_is_final(comparison->player->stage, total));
    check_amount(comparison, "cost", total->delta.cost, true);
    check_amount(comparison, "charge", total->delta.charge, true);
    check_amount(comparison, "refunded", total->delta.refunded, true);
    check_amount(comparison, "estimate", total->delta.estimate, true);
    for (size_t i = 0; i < COUNT_COUNT; i++)
        check_count(comparison, count_names[i], total->delta.count[i]);
    check_time(comparison, "starts", total->start_ms);
    check_time(comparison, "ends", total->end_ms);
}

void
expect_statement(struct player *player, const struct statement *statement)
{
    const struct comparison comparison = {player, statement};

    switch (statement->row->verb) {
    case VERB_EXPECT_NOTHING:
        report_left(player, statement->at, statement->zone);
        break;
    case VERB_EXPECT_STATUS:
        stage_settle(player->stage);
        compare_status(&comparison);
        break;
    case VERB_EXPECT_BREAKER:
        stage_settle(player->stage);
        compare_breaker(&comparison);
        break;
    case VERB_EXPECT_CARRY:
        stage_settle(player->stage);
        compare_carry(&comparison);
        break;
    case VERB_EXPECT_NOTE:
        stage_settle(player->stage);
        compare_note(&comparison);
        break;
    case VERB_EXPECT_TOTAL:
        stage_settle(player->stage);
        compare_total(&comparison);
        break;
    case VERB_EXPECT_ALERT:
    case VERB_EXPECT_DECISION:
    case VERB_EXPECT_DEAD:
    case VERB_EXPECT_REFUSED:
        compare_effect(&comparison);
        break;
    case VERB_TIMES_IN:
    case VERB_POLICY:
    case VERB_TENANT:
    case VERB_PROJECT:
    case VERB_LIMIT:
    case VERB_USE:
    case VERB_SETTLE:
    case VERB_RESERVE:
    case VERB_RELEASE:
    case VERB_GAUGE:
    case VERB_REFUND:
    case VERB_CORRECT:
    case VERB_DUPLICATE:
    case VERB_TIME_PASSES:
    case VERB_RESTART:
    case VERB_CRASH:
    case VERB_ENFORCE:
    case VERB_RECORD:
    case VERB_OPERATOR_ALLOWS:
    case VERB_OPERATOR_BLOCKS:
    case VERB_BREAKER:
    case VERB_ANOMALY:
        break;
    }
}
