/* Where the period of a tenant that broke its record will end. */
#include "rules/anomaly.h"

#include "rules/quota.h"

static bool
is_counted_by(enum watch_metric metric, enum meter meter)
{
    switch (meter) {
    case METER_REQUESTS:
    case METER_ATTEMPTS:
        return metric == WATCH_REQUESTS;
    case METER_INPUT_TOKENS:
    case METER_OUTPUT_TOKENS:
    case METER_TOKENS:
        return metric == WATCH_TOKENS;
    case METER_COST:
    case METER_CHARGE:
        return metric == WATCH_COST;
    case METER_COUNT:
        break;
    }
    return false;
}

/* A limit of the tenant itself that will stop it, and has not yet. */
static bool
is_ahead(const struct quota_state *state, tally used)
{
    return state->project < 0 && !state->unlimited && state->rule->on_exceed == ON_EXCEED_BLOCK &&
           state->rule->mode == MODE_ENFORCE && used < state->limit;
}

bool
anomaly_passes(const struct tenant *tenant, enum watch_metric metric, int64_t at_ms,
               struct watch_limit *out)
{
    const struct tenant_period *present = &tenant->periods[0];
    const struct period *period = &present->period;

    if (at_ms < forecast_from(period) || at_ms >= period->end_ms)
        return false;
    for (size_t q = 0; q < tenant->quota_count; q++) {
        const struct quota_state *state = &tenant->quotas[q];
        const enum meter meter = state->rule->meter;
        const tally used = meter_read(&present->totals[0].sum, meter);

        if ((metric != WATCH_METRIC_COUNT && !is_counted_by(metric, meter)) ||
            !is_ahead(state, used) || !forecast_exceeds(used, state->limit, period, at_ms))
            continue;
        *out = (struct watch_limit){.name = state->rule->name,
                                    .unit = meter_is_money(meter) ? tenant->currency
                                                                  : text_of(meter_names[meter]),
                                    .is_money = meter_is_money(meter),
                                    .limit = state->limit,
                                    .forecast = forecast_of(used, period, at_ms)};
        return true;
    }
    return false;
}
