#include "cli/stage_state.h"

#include "config/tenant_spec.h"
#include "config/zones.h"

#include <stdlib.h>

/* Who sends nothing, too: what rolls over begins with the policy. */
static void
look_at_all(struct stage *stage)
{
    for (size_t i = 0; i < stage->db.tenants.count; i++) {
        const struct tenant_row *row = *(struct tenant_row **)list_at(&stage->db.tenants, i);
        struct tenant_load load;

        if (shard_knows(stage->shard, row->name))
            continue;
        settled_load(stage, row->name, stage_time(stage), &load);
        (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
    }
}

void
stage_apply(struct stage *stage, size_t index)
{
    const struct stored_command *command = list_at(&stage->commands, index);
    struct tenant_load load;
    const char *error = NULL;

    if (command->tenant.at != NULL && text_eq(command->tenant, FLEET_TENANT)) {
        error = stage_fleet_command(stage, command);
        if (error != NULL)
            stage_add_effect(stage, EFFECT_REFUSED)->refusal = stage_speak(stage, text_of(error));
        shard_command_done(stage->shard, (int64_t)index + 1, error);
        return;
    }
    switch (command->kind) {
    case COMMAND_TENANT:
    case COMMAND_WORD:
        settled_load(stage, command->tenant, stage_time(stage), &load);
        if (shard_knows(stage->shard, command->tenant))
            shard_contract(stage->shard, &load);
        else
            (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
        break;
    case COMMAND_POLICY:
        shard_policy(stage->shard, command->policy);
        if (policy_rolls(command->policy))
            look_at_all(stage);
        break;
    case COMMAND_RERATE:
        stage_rerate(stage);
        break;
    case COMMAND_ENFORCE:
        shard_enforce(stage->shard, command->on);
        break;
    case COMMAND_BREAKER:
    case COMMAND_ANOMALY:
        if (!shard_knows(stage->shard, command->tenant)) {
            settled_load(stage, command->tenant, stage_time(stage), &load);
            (void)stage_must(shard_load(stage->shard, &load) ? stage : NULL);
        }
        error = command->kind == COMMAND_BREAKER ? shard_breaker(stage->shard, &command->said)
                                                 : shard_anomaly(stage->shard, &command->said);
        if (error != NULL)
            stage_add_effect(stage, EFFECT_REFUSED)->refusal = stage_speak(stage, text_of(error));
        break;
    case COMMAND_RETRY:
    case COMMAND_RESUME:
    case COMMAND_KIND_COUNT:
        break;
    }
    shard_command_done(stage->shard, (int64_t)index + 1, error);
}

static void
store_command(struct stage *stage, struct stored_command command)
{
    struct stored_command *row = list_add(&stage->commands);

    if (row == NULL) {
        stage_set_fault(stage, "a scenario may have 100,000 changes");
        return;
    }
    *row = command;
    stage_apply(stage, stage->commands.count - 1);
}

const json_t *
stage_contract_of(const struct stage *stage, struct text tenant)
{
    const struct tenant_row *row = settled_tenant(&stage->db, tenant);

    return row == NULL ? NULL : row->contract;
}

/* Totals have one currency (cli/contract.c says so to others). */
static bool
keeps_currency(const struct stage *stage, const struct tenant_row *row,
               const struct tenant_spec *spec, struct err *why)
{
    const struct text own = stage->db.policy->currency;
    const struct text was = row->spec.currency.size > 0 ? row->spec.currency : own;
    const struct text is = spec->currency.size > 0 ? spec->currency : own;
    size_t count;
    const struct period_total *totals = stage_totals(stage, &count);

    for (size_t i = 0; i < count && !text_eq(was, is); i++)
        if (text_eq(totals[i].tenant, row->name) &&
            (totals[i].delta.cost != 0 || totals[i].delta.charge != 0))
            return err_set(why, ERR_INPUT, "currency: what the tenant has used is booked in %.*s",
                           (int)was.size, was.at);
    return true;
}

/* What `tripmeter tenant set` would do with it. */
static bool
read_contract(struct stage *stage, const struct tenant_row *row, json_t *contract,
              struct tenant_spec *spec, const struct zone **zone, struct err *why)
{
    char *json = json_dumps(contract, JSON_COMPACT | JSON_REAL_PRECISION(15));
    bool good = json != NULL && tenant_spec_parse(text_of(json), stage->memory, spec, why) &&
                tenant_spec_check(spec, stage->db.policy, why) &&
                keeps_currency(stage, row, spec, why);

    free(json);
    if (good && spec->zone.size > 0) {
        *zone = zones_get(spec->zone, why);
        good = *zone != NULL;
    }
    return good;
}

/* The oldest is forgotten when there is no room. */
static void
remember_plan(struct stage *stage, struct tenant_row *row, struct text plan)
{
    if (row->plan_count > 0 && text_eq(row->plans[row->plan_count - 1].plan, plan))
        return;
    if (row->plan_count == TENANT_PLAN_LIMIT)
        memmove(row->plans, row->plans + 1, --row->plan_count * sizeof *row->plans);
    row->plans[row->plan_count++] =
        (struct plan_since){.plan = plan, .since_ms = stage_time(stage)};
}

void
stage_contract(struct stage *stage, struct text tenant, json_t *contract)
{
    struct tenant_row *row = settled_tenant_made(stage, tenant);
    struct tenant_spec spec = {.plan = {NULL, 0}};
    const struct zone *zone = NULL;
    struct err why = {.class = ERR_NONE};

    if (!read_contract(stage, row, contract, &spec, &zone, &why)) {
        stage_add_effect(stage, EFFECT_REFUSED)->refusal = stage_speak(stage, text_of(why.text));
        return;
    }
    remember_plan(stage, row, spec.plan);
    json_decref(row->contract);
    row->contract = json_incref(contract);
    row->spec = spec;
    row->zone = zone;
    row->version++;
    store_command(stage, (struct stored_command){.kind = COMMAND_TENANT, .tenant = row->name});
}

void
stage_word(struct stage *stage, struct text tenant, const struct operator_word *word)
{
    struct tenant_row *row = settled_tenant_made(stage, tenant);
    size_t at = 0;

    while (at < row->word_count && !text_eq(row->words[at].scope, word->scope))
        at++;
    if (at == STAGE_WORD_LIMIT) {
        stage_set_fault(stage, "a tenant may have 64 operator's words");
        return;
    }
    row->word_count += at == row->word_count;
    row->words[at] = *word;
    row->words[at].since_ms = stage_time(stage);
    row->words[at].scope = stage_keep(stage, word->scope);
    row->words[at].actor = stage_keep(stage, word->actor);
    row->words[at].reason = stage_keep(stage, word->reason);
    store_command(stage, (struct stored_command){.kind = COMMAND_WORD, .tenant = row->name});
}

void
stage_policy(struct stage *stage, const struct policy *policy)
{
    store_command(stage, (struct stored_command){.kind = COMMAND_POLICY, .policy = policy});
    store_command(stage, (struct stored_command){.kind = COMMAND_RERATE});
}

void
stage_enforce(struct stage *stage, bool on)
{
    store_command(stage, (struct stored_command){.kind = COMMAND_ENFORCE, .on = on});
}

void
stage_breaker(struct stage *stage, const struct command *command)
{
    struct command kept = *command;

    kept.tenant = settled_tenant_made(stage, command->tenant)->name;
    kept.breaker.feature = stage_keep(stage, command->breaker.feature);
    kept.actor = stage_keep(stage, command->actor);
    kept.reason = stage_keep(stage, command->reason);
    store_command(stage, (struct stored_command){
                             .kind = COMMAND_BREAKER, .tenant = kept.tenant, .said = kept});
}

void
stage_answer(struct stage *stage, const struct command *command)
{
    const struct anomaly_note *note =
        stage_note(stage, command->tenant, command->anomaly.feature, command->anomaly.metric);
    struct command kept = *command;

    if (note == NULL) {
        stage_add_effect(stage, EFFECT_REFUSED)->refusal = TEXT("there is no such incident");
        return;
    }
    kept.tenant = settled_tenant_made(stage, command->tenant)->name;
    kept.anomaly.feature = note->feature;
    kept.anomaly.since_ms = note->since_ms;
    kept.anomaly.before =
        stage_keep(stage, (struct text){(const char *)note->before, sizeof note->before});
    store_command(stage, (struct stored_command){
                             .kind = COMMAND_ANOMALY, .tenant = kept.tenant, .said = kept});
}
