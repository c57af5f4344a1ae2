#include "engine/fleet_day.h"

struct telling {
    struct shard *shard;
    enum day_rule rule;
    size_t count;
};

static void
on_finding(void *opaque, const struct day_finding *finding)
{
    struct telling *telling = opaque;

    shard_day(telling->shard, telling->rule, finding);
    telling->count++;
}

/* The policy's amount in its own currency, and in each that it has a rate of. */
static size_t
set_gates(struct day_gate gates[CURRENCY_LIMIT + 1], const struct policy *policy, int64_t at_ms)
{
    const struct prices *prices = &policy->prices;
    const tally least = policy->anomaly.ticket;
    size_t count = 1;

    gates[0] = (struct day_gate){policy->currency, least};
    for (size_t i = 0; i < prices->currency_count; i++) {
        const struct text code = prices->currencies[i].code;

        if (!text_eq(code, policy->currency))
            gates[count++] = (struct day_gate){
                code, prices_convert(prices, least, policy->currency, code, at_ms)};
    }
    return count;
}

bool
fleet_day_look(struct fleet_day *day, struct store *store, struct shard *shard,
               const struct policy *policy, struct err *why)
{
    struct day_gate gates[CURRENCY_LIMIT + 1];
    struct day_query query = {
        .until_ms = day_until(shard_time(shard)), .zone = policy->zone, .gates = gates};
    bool all = true;

    if (query.until_ms == day->until_ms && policy == day->policy)
        return true;
    query.gate_count = set_gates(gates, policy, query.until_ms);
    for (int r = 0; r < DAY_RULE_COUNT; r++) {
        struct telling telling = {.shard = shard, .rule = (enum day_rule)r};

        query.rule = telling.rule;
        query.on = day_rule_on(policy, telling.rule);
        if (!store_fleet_day(store, &query, on_finding, &telling, why))
            return false;
        all = all && telling.count < DAY_FINDING_LIMIT;
    }
    /* Further ones are told in the next turn, when these are settled. */
    if (all)
        *day = (struct fleet_day){.until_ms = query.until_ms, .policy = policy};
    return true;
}
