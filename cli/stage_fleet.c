/* The fleet on a stage: what its leader does with what is settled, at once. */
#include "cli/stage_state.h"

#include "rules/fleet.h"

static const char *const topics[] = {"usage"};

/* ---- what it reads --------------------------------------------------------------------------------- */

/* The tenant's own breaker of the feature deals with it. */
static bool
dealt_with(const struct stage *stage, const struct feature_slot *slot)
{
    for (size_t i = 0; i < stage->db.breakers.count; i++) {
        const struct breaker_memory *row = list_at(&stage->db.breakers, i);

        if (text_eq(row->tenant, slot->tenant) && text_eq(row->feature, slot->feature))
            return !breaker_rests(&row->breaker);
    }
    return false;
}

static bool
is_counted(const struct stage *stage, const struct feature_slot *slot)
{
    const struct tenant_row *tenant = settled_tenant(&stage->db, slot->tenant);

    return !text_eq(slot->tenant, FLEET_TENANT) &&
           (tenant == NULL || tenant->spec.currency.size == 0 ||
            text_eq(tenant->spec.currency, stage->db.policy->currency)) &&
           slot->slot.start_ms > slots_start(stage_time(stage)) - SLOT_COUNT * SLOT_MS;
}

static void
add(struct stage *stage, struct slot *sum, const struct feature_slot *one)
{
    sum->cost += one->slot.cost;
    sum->requests += one->slot.requests;
    sum->attempts += one->slot.attempts;
    sum->fallbacks += one->slot.fallbacks;
    sum->input_tokens += one->slot.input_tokens;
    sum->output_tokens += one->slot.output_tokens;
    if (!dealt_with(stage, one)) {
        sum->judged += one->slot.judged;
        sum->judged_calls += one->slot.judged_calls;
    }
}

/* Sums of the same feature and slot that come again change nothing. */
static void
read_slots(struct stage *stage)
{
    const struct list *rows = &stage->db.slots;

    for (size_t i = 0; i < rows->count; i++) {
        const struct feature_slot *first = list_at(rows, i);
        struct slot sum = {.start_ms = first->slot.start_ms};

        if (!is_counted(stage, first))
            continue;
        for (size_t j = 0; j < rows->count; j++) {
            const struct feature_slot *one = list_at(rows, j);

            if (one->slot.start_ms == sum.start_ms && text_eq(one->feature, first->feature) &&
                is_counted(stage, one))
                add(stage, &sum, one);
        }
        shard_fleet_slot(stage->fleet, first->feature, &sum);
    }
}

static tally
spent_by(struct stage *stage, struct text tenant, struct text feature)
{
    tally sum = 0;

    for (size_t i = 0; i < stage->db.slots.count; i++) {
        const struct feature_slot *one = list_at(&stage->db.slots, i);

        if (text_eq(one->tenant, tenant) && text_eq(one->feature, feature) &&
            is_counted(stage, one) && !dealt_with(stage, one))
            sum += one->slot.judged;
    }
    return sum;
}

static void
rank(struct fleet_spread *spread, struct text tenant, tally cost)
{
    size_t at = spread->count;

    while (at > 0 && spread->top[at - 1].cost < cost)
        at--;
    if (at == FLEET_TOP)
        return;
    spread->count += spread->count < FLEET_TOP;
    memmove(&spread->top[at + 1], &spread->top[at],
            (spread->count - at - 1) * sizeof spread->top[0]);
    spread->top[at].tenant = tenant;
    spread->top[at].cost = cost;
}

static void
answer(struct stage *stage, struct text feature)
{
    struct fleet_spread spread = {.tenants = 0};

    for (size_t i = 0; i < stage->db.tenants.count; i++) {
        const struct tenant_row *row = *(struct tenant_row **)list_at(&stage->db.tenants, i);
        const tally cost = spent_by(stage, row->name, feature);

        if (cost <= 0)
            continue;
        spread.tenants++;
        spread.whole += cost;
        rank(&spread, row->name, cost);
    }
    shard_fleet_spread(stage->fleet, feature, &spread);
}

/* ---- what it settles ------------------------------------------------------------------------------- */

static void
settle(struct stage *stage)
{
    struct settlement *settlement = shard_freeze(stage->fleet);
    struct scope_state *const *states;

    if (settlement != NULL) {
        stage_write_features(stage, settlement);
        for (size_t i = 0; i < settlement->transitions.count; i++)
            stage_add_effect(stage, EFFECT_ALERT)->alert =
                stage_must(transition_copy(list_at(&settlement->transitions, i), stage->spoken));
        stage->fleet_seq++;
        shard_settled(stage->fleet, NULL, 0);
    }
    const size_t count = shard_wanted(stage->fleet, &states);

    for (size_t i = 0; i < count; i++)
        stage_want(stage, states[i]);
    shard_wanted_taken(stage->fleet, count);
}

static void
load(struct stage *stage, struct tenant_load *out)
{
    settled_load(stage, FLEET_TENANT, stage_time(stage), out);
    out->home = FLEET_SHARD;
}

void
stage_fleet_lead(struct stage *stage)
{
    const struct progress progress = {.from = -1, .next = -1, .last_offset = -1};
    struct tenant_load fleet;

    if (stage->fleet == NULL)
        stage->fleet =
            stage_must(shard_new(&(struct shard_setup){.shard = FLEET_SHARD,
                                                       .topic_count = 1,
                                                       .topics = topics,
                                                       .settle_memory = stage->setup.settle_memory,
                                                       .tenant_limit = 1,
                                                       .metrics = &stage->metrics}));
    shard_begin(stage->fleet, &(struct shard_start){.epoch = ++stage->db.epoch,
                                                    .seq = stage->fleet_seq,
                                                    .time_ms = stage_time(stage),
                                                    .progress = &progress,
                                                    .policy = stage->db.policy,
                                                    .enforcing = stage->db.enforcing});
    stage->fleet_policy = stage->db.policy;
    stage->fleet_enforcing = stage->db.enforcing;
    load(stage, &fleet);
    (void)stage_must(shard_load(stage->fleet, &fleet) ? stage : NULL);
}

/* ---- what happens to it ------------------------------------------------------------------------------ */

/* The leader takes a change of all shards when it is settled. */
static void
follow(struct stage *stage)
{
    struct tenant_load fleet;

    if (stage->fleet_policy != stage->db.policy) {
        stage->fleet_policy = stage->db.policy;
        shard_policy(stage->fleet, stage->db.policy);
        load(stage, &fleet);
        shard_contract(stage->fleet, &fleet);
    }
    if (stage->fleet_enforcing != stage->db.enforcing) {
        stage->fleet_enforcing = stage->db.enforcing;
        shard_enforce(stage->fleet, stage->db.enforcing);
    }
}

void
stage_fleet(struct stage *stage)
{
    struct text feature;

    if (stage->fleet == NULL && !stage->db.policy->has_breakers)
        return;
    if (stage->fleet == NULL)
        stage_fleet_lead(stage);
    follow(stage);
    while (!shard_advance(stage->fleet, stage_time(stage)))
        settle(stage);
    read_slots(stage);
    while (shard_fleet_asks(stage->fleet, &feature))
        answer(stage, feature);
    shard_fleet_judge(stage->fleet);
    stage_days(stage);
    settle(stage);
}

const char *
stage_fleet_command(struct stage *stage, const struct stored_command *command)
{
    struct tenant_load fleet;
    const char *error = NULL;

    if (stage->fleet == NULL)
        stage_fleet_lead(stage);
    if (command->kind == COMMAND_BREAKER) {
        error = shard_breaker(stage->fleet, &command->said);
    } else {
        load(stage, &fleet);
        shard_contract(stage->fleet, &fleet);
    }
    settle(stage);
    return error;
}
