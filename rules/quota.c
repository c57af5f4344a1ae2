#include "rules/quota.h"

/* ---- the ladder ------------------------------------------------------------------------------ */

#define RUNG_LIMIT (QUOTA_STEP_LIMIT + 1)

struct rung {
    struct quota_step step;
    tally at;    /* reached from here on */
    tally again; /* and armed again from here down */
    bool spent;
};

/* A blocking quota always has a step at 100: nobody is cut off without being told. */
static int32_t
percent_at(const struct quota *rule, size_t index)
{
    return index < rule->step_count ? rule->steps[index] : 100;
}

static size_t
percent_count(const struct quota *rule)
{
    const bool ends_at_100 = rule->step_count > 0 && rule->steps[rule->step_count - 1] == 100;

    return rule->step_count + (rule->on_exceed == ON_EXCEED_BLOCK && !ends_at_100 ? 1 : 0);
}

static tally
hundredth_down(tally product)
{
    return product / 100 - (product % 100 < 0 ? 1 : 0);
}

static tally
hundredth_up(tally product)
{
    return product / 100 + (product % 100 > 0 ? 1 : 0);
}

/* A limit of nothing is reached whatever was used, also when refunds make that negative. Gauges are
 * exceeded only above their limit: three of three seats are taken, not too many. */
static struct rung
percent_rung(const struct quota_state *state, int32_t percent)
{
    const bool is_gauge = state->rule->gauge.size > 0;
    struct rung rung = {.step = {.percent = percent},
                        .at = hundredth_up(state->limit * percent),
                        .again = hundredth_down(state->limit * (percent - QUOTA_REARM_POINTS)),
                        .spent = percent <= state->spent};

    if (is_gauge && (percent >= 100 || state->limit == 0))
        rung.at = state->limit + 1;
    else if (state->limit == 0)
        rung.at = rung.again = -TALLY_MAX;
    return rung;
}

static struct rung
amount_rung(const struct quota_state *state, tally written)
{
    const tally amount = prices_at(written, state->rates);

    return (struct rung){.step = {.amount = amount},
                         .at = amount,
                         .again = hundredth_down(amount * (100 - QUOTA_REARM_POINTS)),
                         .spent = amount <= state->spent_amount};
}

/* Percentages first, both kinds rising. */
static size_t
ladder_of(const struct quota_state *state, struct rung rungs[RUNG_LIMIT])
{
    const struct quota *rule = state->rule;
    size_t count = 0;

    for (size_t i = 0; !state->unlimited && i < percent_count(rule); i++)
        rungs[count++] = percent_rung(state, percent_at(rule, i));
    for (size_t i = 0; i < rule->amount_count; i++)
        rungs[count++] = amount_rung(state, rule->amounts[i]);
    return count;
}

static void
spend(struct quota_state *state, const struct quota_step *step)
{
    if (step->percent > 0)
        state->spent = step->percent;
    else
        state->spent_amount = step->amount;
}

/* ---- judgement ------------------------------------------------------------------------------- */

static bool
limit_is_reached(const struct quota_state *state, tally used)
{
    return !state->unlimited && used >= percent_rung(state, 100).at;
}

/* What is spent at this level: the highest of each kind that is not armed again. */
static void
rearm(struct quota_state *state, tally used, struct rung *rungs, size_t count)
{
    state->spent = 0;
    state->spent_amount = 0;
    for (size_t i = 0; i < count; i++)
        if (rungs[i].spent && used > rungs[i].again)
            spend(state, &rungs[i].step);
    for (size_t i = 0; i < count; i++)
        rungs[i].spent = rungs[i].step.percent > 0 ? rungs[i].step.percent <= state->spent
                                                   : rungs[i].step.amount <= state->spent_amount;
}

static void
note_crossed(const struct quota_step *step, struct quota_verdict *verdict)
{
    if (step->percent > 0)
        verdict->crossed[verdict->crossed_count++] = step->percent;
    else
        verdict->crossed_amounts[verdict->crossed_amount_count++] = step->amount;
}

/* Both rise, percentages come first: of equal ones the percentage stays, and 100 % of nothing is more
 * than any amount. */
static bool
is_higher(const struct quota_state *state, const struct rung *rung, const struct rung *than)
{
    return rung->step.percent > 0 || than->step.amount > 0 ||
           (rung->at > than->at && (state->unlimited || state->limit > 0));
}

static void
fire(struct quota_state *state, tally used, const struct rung *rungs, size_t count,
     struct quota_verdict *verdict)
{
    const struct rung *highest = NULL;

    for (size_t i = 0; i < count; i++) {
        if (rungs[i].spent || used < rungs[i].at)
            continue;
        note_crossed(&rungs[i].step, verdict);
        spend(state, &rungs[i].step);
        if (highest == NULL || is_higher(state, &rungs[i], highest))
            highest = &rungs[i];
    }
    if (highest == NULL)
        return;
    verdict->step = highest->step;
    verdict->move = state->open ? MOVE_STEP : MOVE_FIRE;
    verdict->moved = true;
    state->open = true;
}

void
quota_judge(struct quota_state *state, tally used, int64_t now_ms, struct quota_verdict *verdict)
{
    const struct quota_state before = *state;
    struct rung rungs[RUNG_LIMIT];
    const size_t count = ladder_of(state, rungs);

    *verdict = (struct quota_verdict){0};
    rearm(state, used, rungs, count);
    state->blocked = state->rule->on_exceed == ON_EXCEED_BLOCK && limit_is_reached(state, used);
    if (state->blocked && !before.blocked)
        state->since_ms = now_ms;
    const bool none_spent = state->spent == 0 && state->spent_amount == 0;
    const bool limit_left = before.spent >= 100 && state->spent < 100;

    fire(state, used, rungs, count, verdict);
    if (!verdict->moved && state->open && (none_spent || limit_left)) {
        verdict->moved = true;
        verdict->move = MOVE_RESOLVE;
        verdict->step = quota_spent(&before);
        state->open = false;
    }
    verdict->changed = state->spent != before.spent || state->spent_amount != before.spent_amount ||
                       state->open != before.open || state->blocked != before.blocked;
}

tally
quota_trip_at(const struct quota_state *state)
{
    struct rung rungs[RUNG_LIMIT];
    const size_t count = ladder_of(state, rungs);
    tally next = TALLY_MAX;

    if (!state->unlimited && state->rule->on_exceed == ON_EXCEED_BLOCK && !state->blocked)
        next = state->limit;
    for (size_t i = 0; i < count; i++)
        if (!rungs[i].spent && rungs[i].at < next)
            next = rungs[i].at;
    return next;
}

/* ---- what is said ---------------------------------------------------------------------------- */

struct quota_step
quota_spent(const struct quota_state *state)
{
    return (struct quota_step){.percent = state->spent,
                               .amount = state->spent == 0 ? state->spent_amount : 0};
}

void
quota_forget(struct quota_state *state)
{
    state->spent = 0;
    state->spent_amount = 0;
}

enum severity
quota_severity(const struct quota_step *step, bool limited, tally limit)
{
    if (step->percent > 0 || step->amount == 0)
        return policy_step_severity(step->percent);
    return limited ? policy_step_severity(quota_percent(step->amount, limit)) : SEVERITY_WARNING;
}

void
quota_describe(const struct quota_state *state, const struct quota_verdict *verdict,
               struct transition *out)
{
    out->move = verdict->move;
    out->rule = state->rule->full_name;
    out->severity = quota_severity(&verdict->step, !state->unlimited, state->limit);
    out->step = verdict->step.percent;
    out->step_amount = verdict->step.amount;
    out->crossed_count = verdict->crossed_count;
    memcpy(out->crossed, verdict->crossed, sizeof out->crossed[0] * verdict->crossed_count);
    out->crossed_amount_count = verdict->crossed_amount_count;
    memcpy(out->crossed_amounts, verdict->crossed_amounts,
           sizeof out->crossed_amounts[0] * verdict->crossed_amount_count);
    out->threshold =
        state->unlimited && verdict->step.amount > 0 ? verdict->step.amount : state->limit;
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
