/* What is to be noticed of a stage: alerts, dead letters, what gateways are told. */
#include "cli/stage_state.h"

#include "core/identity.h"

struct effect *
stage_add_effect(struct stage *stage, enum effect_kind kind)
{
    struct effect *effect = stage_must(list_add(&stage->effects));

    effect->kind = kind;
    return effect;
}

struct text
stage_speak(struct stage *stage, struct text text)
{
    (void)stage_must(arena_keep(stage->spoken, &text) ? stage : NULL);
    return text;
}

/* What of a state a gateway acts on: when it was said, and by whom, is not among it. */
static uint64_t
content_of(const struct scope_state *state)
{
    struct key128 sum = {0, 0};

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *one = &state->restrictions[i];
        const int64_t numbers[] = {one->code,      one->rank,      one->ends_ms,
                                   one->resets_ms, one->throttles, (int64_t)one->limit};
        const struct text texts[] = {one->rule, one->reason, one->actor};

        sum = identity_texts(identity_numbers(sum, numbers, sizeof numbers / sizeof numbers[0]),
                             texts, 3);
    }
    return sum.low;
}

static struct topic_row *
row_of(struct stage *stage, const struct scope_state *state)
{
    struct topic_row *row;

    for (size_t i = 0; i < stage->topic.count; i++) {
        row = list_at(&stage->topic, i);
        if (text_eq(row->scope, state->scope))
            return row;
    }
    if (state->count == 0)
        return NULL;
    row = stage_must(list_add(&stage->topic));
    *row = (struct topic_row){.scope = stage_keep(stage, state->scope),
                              .tenant = stage_keep(stage, state->tenant)};
    return row;
}

static void
publish(struct stage *stage, struct topic_row *row, const struct scope_state *state)
{
    const uint64_t content = content_of(state);

    if (row->content == content)
        return;
    row->content = content;
    stage_add_effect(stage, EFFECT_DECISION)->decision =
        stage_must(scope_copy(state, stage->spoken));
}

/* As the control sink does it: who goes on from what is settled may block, but not allow, before it
 * knows what was known before. */
void
stage_want(struct stage *stage, const struct scope_state *state)
{
    struct topic_row *const row = row_of(stage, state);

    if (row == NULL)
        return;
    row->held_back = NULL;
    if (stage->may_allow || state->operator_said || scope_outcome(state) == OUTCOME_BLOCK)
        publish(stage, row, state);
    else
        row->held_back = stage_must(scope_copy(state, stage->memory));
}

static void
listen_to_shard(struct stage *stage)
{
    struct scope_state *const *states;
    const size_t count = shard_wanted(stage->shard, &states);

    for (size_t i = 0; i < count; i++)
        stage_want(stage, states[i]);
    shard_wanted_taken(stage->shard, count);
}

void
stage_may_allow(struct stage *stage)
{
    listen_to_shard(stage);
    stage->may_allow = true;
    for (size_t i = 0; i < stage->topic.count; i++) {
        struct topic_row *row = list_at(&stage->topic, i);

        if (row->held_back != NULL)
            publish(stage, row, row->held_back);
        row->held_back = NULL;
    }
}

void
stage_listen(struct stage *stage)
{
    const struct settlement *settlement = stage->under_way;

    for (size_t i = 0; settlement != NULL && i < settlement->transitions.count; i++)
        stage_add_effect(stage, EFFECT_ALERT)->alert =
            stage_must(transition_copy(list_at(&settlement->transitions, i), stage->spoken));
    for (size_t i = 0; settlement != NULL && i < settlement->dead.count; i++) {
        struct dead_letter *dead = &stage_add_effect(stage, EFFECT_DEAD)->dead;

        *dead = *(struct dead_letter *)list_at(&settlement->dead, i);
        dead->tenant = stage_speak(stage, dead->tenant);
        dead->id = stage_speak(stage, dead->id);
    }
    listen_to_shard(stage);
}

struct effect *
stage_effects(struct stage *stage, size_t *count)
{
    *count = stage->effects.count;
    return stage->effects.at;
}

void
stage_forget(struct stage *stage)
{
    list_clear(&stage->effects);
    arena_clear(stage->spoken);
}
