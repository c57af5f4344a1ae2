#include "rules/pace.h"

#include "rules/quota.h"

void
pace_begin(struct quota_state *state, tally used, const struct zone *zone,
           const struct period *period, int64_t now_ms)
{
    struct pace *pace = &state->pace;

    pace->day = cycle_day(zone, now_ms);
    pace->days = cycle_days(zone, now_ms, period->end_ms);
    pace->before = used;
    pace->warned = false;
}

static bool
is_past(const struct quota_state *state, tally used)
{
    const struct pace *pace = &state->pace;

    return state->rule->pacing && !state->unlimited &&
           pacing_is_past(state->limit, pace->before, used, pace->days);
}

static void
judge_day(struct quota_state *state, tally used, int64_t now_ms, enum resolved reason,
          struct pace_move *out)
{
    struct pace *pace = &state->pace;
    const bool today = now_ms < pace->day.end_ms;

    if (pace->warning && (!today || !is_past(state, used))) {
        pace->warning = false;
        *out = (struct pace_move){.moved = true,
                                  .move = MOVE_RESOLVE,
                                  .reason = !today                 ? RESOLVED_PERIOD_ROLLOVER
                                            : !state->rule->pacing ? RESOLVED_RULE_REMOVED
                                                                   : reason};
    } else if (today && !pace->warned && is_past(state, used)) {
        pace->warned = pace->warning = true;
        *out = (struct pace_move){.moved = true, .move = MOVE_FIRE};
    }
}

/* Could it be told at all? */
static bool
may_notice(const struct quota_state *state, tally used)
{
    return state->rule->forecast && !state->pace.noticed && !state->unlimited &&
           used < state->limit;
}

static void
judge_period(struct quota_state *state, tally used, const struct period *period, int64_t now_ms,
             enum resolved reason, struct pace_move *out)
{
    struct pace *pace = &state->pace;
    const int64_t from_ms = forecast_from(period);
    const bool may = may_notice(state, used);
    const bool stands =
        state->rule->forecast && !state->unlimited && state->limit <= pace->forecast;

    if (pace->notice && !stands) {
        pace->notice = false;
        *out = (struct pace_move){.moved = true,
                                  .move = MOVE_RESOLVE,
                                  .reason = state->rule->forecast ? reason : RESOLVED_RULE_REMOVED};
    } else if (may && now_ms >= from_ms && forecast_exceeds(used, state->limit, period, now_ms)) {
        pace->noticed = pace->notice = true;
        pace->forecast = forecast_of(used, period, now_ms);
        *out = (struct pace_move){.moved = true, .move = MOVE_FIRE};
    }
    pace->awaits = may && now_ms < from_ms && forecast_exceeds(used, state->limit, period, from_ms);
}

/* What has been told, and what waits for its time, needs no wire. */
static tally
next_wire(const struct quota_state *state, tally used, const struct period *period, int64_t now_ms)
{
    const struct pace *pace = &state->pace;
    const int64_t from_ms = forecast_from(period);
    tally wire = TALLY_MAX;

    if (state->rule->pacing && !state->unlimited && now_ms < pace->day.end_ms && !pace->warned &&
        pace->before < state->limit)
        wire = pacing_trip_at(state->limit, pace->before, pace->days);
    if (may_notice(state, used) && !pace->awaits) {
        const tally at =
            forecast_trip_at(state->limit, period, now_ms > from_ms ? now_ms : from_ms);

        wire = at < wire ? at : wire;
    }
    return wire;
}

void
pace_judge(struct quota_state *state, tally used, const struct period *period, int64_t now_ms,
           enum resolved reason, struct pace_verdict *verdict)
{
    const struct pace before = state->pace;
    struct pace *pace = &state->pace;

    *verdict = (struct pace_verdict){.changed = false};
    judge_day(state, used, now_ms, reason, &verdict->warning);
    judge_period(state, used, period, now_ms, reason, &verdict->notice);
    pace->wire = next_wire(state, used, period, now_ms);
    verdict->changed =
        verdict->warning.moved || verdict->notice.moved || pace->awaits != before.awaits;
}

int64_t
pace_due(const struct quota_state *state, const struct period *period)
{
    int64_t due_ms = state->pace.warning ? state->pace.day.end_ms : INT64_MAX;

    if (state->pace.awaits && forecast_from(period) < due_ms)
        due_ms = forecast_from(period);
    return due_ms;
}
