#include "rules/quota.h"

/* A blocking quota always has a step at 100: nobody is cut off without being told. */
static int32_t
step_at(const struct quota *rule, size_t index)
{
    return index < rule->step_count ? rule->steps[index] : 100;
}

static size_t
step_count(const struct quota *rule)
{
    const bool ends_at_100 = rule->step_count > 0 && rule->steps[rule->step_count - 1] == 100;

    return rule->step_count + (rule->on_exceed == ON_EXCEED_BLOCK && !ends_at_100 ? 1 : 0);
}

/* A limit of nothing is reached whatever was used, also when refunds make that negative. Gauges are
 * exceeded only above their limit: three of three seats are taken, not too many. */
static bool
reached(const struct quota_state *state, tally used, int32_t percent)
{
    if (state->rule->gauge.size > 0 && (percent >= 100 || state->limit == 0))
        return used > state->limit;
    return state->limit == 0 || used * 100 >= state->limit * percent;
}

/* The highest spent step that is not armed again at this level. */
static int32_t
still_spent(const struct quota_state *state, tally used)
{
    int32_t spent = 0;

    for (size_t i = 0; i < step_count(state->rule); i++) {
        const int32_t step = step_at(state->rule, i);

        if (step <= state->spent && ((state->limit == 0 && state->rule->gauge.size == 0) ||
                                     used * 100 > state->limit * (step - QUOTA_REARM_POINTS)))
            spent = step;
    }
    return spent;
}

static void
fire(struct quota_state *state, tally used, struct quota_verdict *verdict)
{
    for (size_t i = 0; i < step_count(state->rule); i++) {
        const int32_t step = step_at(state->rule, i);

        if (step > state->spent && reached(state, used, step))
            verdict->crossed[verdict->crossed_count++] = step;
    }
    if (verdict->crossed_count == 0)
        return;
    verdict->step = verdict->crossed[verdict->crossed_count - 1];
    verdict->move = state->open ? MOVE_STEP : MOVE_FIRE;
    verdict->moved = true;
    state->spent = verdict->step;
    state->open = true;
}

void
quota_judge(struct quota_state *state, tally used, int64_t now_ms, struct quota_verdict *verdict)
{
    const struct quota_state before = *state;

    *verdict = (struct quota_verdict){0};
    if (state->unlimited) {
        state->spent = 0;
        state->blocked = false;
    } else {
        state->spent = still_spent(state, used);
        state->blocked = state->rule->on_exceed == ON_EXCEED_BLOCK && reached(state, used, 100);
    }
    if (state->blocked && !before.blocked)
        state->since_ms = now_ms;
    if (!state->unlimited)
        fire(state, used, verdict);
    if (!verdict->moved && state->open &&
        (state->spent == 0 || (before.spent >= 100 && state->spent < 100))) {
        verdict->moved = true;
        verdict->move = MOVE_RESOLVE;
        verdict->step = before.spent;
        state->open = false;
    }
    verdict->changed = state->spent != before.spent || state->open != before.open ||
                       state->blocked != before.blocked;
}

tally
quota_trip_at(const struct quota_state *state)
{
    if (state->unlimited)
        return TALLY_MAX;
    tally next =
        state->rule->on_exceed == ON_EXCEED_BLOCK && !state->blocked ? state->limit : TALLY_MAX;
    for (size_t i = 0; i < step_count(state->rule); i++) {
        const int32_t step = step_at(state->rule, i);

        if (step > state->spent) {
            const tally at = (state->limit * step + 99) / 100;

            return at < next ? at : next;
        }
    }
    return next;
}

int32_t
quota_percent(tally used, tally limit)
{
    if (limit == 0)
        return 100;
    if (used <= 0)
        return 0;
    const tally percent = used * 100 / limit;

    return percent > 999999 ? 999999 : (int32_t)percent;
}
