#include "engine/fleet_day.h"

#include "config/log.h"
#include "config/now.h"

#define TURN_MS     100 /* of a turn of the leader */
#define FIRST_COUNT 8
#define MOST_COUNT  256 /* findings of a turn must fit into a settlement */

struct telling {
    struct shard *shard;
    enum day_rule rule;
};

static void
on_finding(void *opaque, const struct day_finding *finding)
{
    const struct telling *telling = opaque;

    shard_day(telling->shard, telling->rule, finding);
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

/* Tenants after the last ones and up to these; what cannot be answered is said. */
static void
look_at(struct fleet_day *day, struct store *store, struct shard *shard, struct text upto)
{
    struct day_gate gates[CURRENCY_LIMIT + 1];
    struct day_query query = {.until_ms = day_until(shard_time(shard)),
                              .after = text_of(day->after),
                              .upto = upto,
                              .zone = day->policy->zone,
                              .gates = gates,
                              .gate_count = set_gates(gates, day->policy, day->until_ms)};
    struct err why = {.class = ERR_NONE};

    for (int r = 0; r < DAY_RULE_COUNT; r++) {
        struct telling telling = {.shard = shard, .rule = (enum day_rule)r};

        query.rule = telling.rule;
        query.on = day_rule_on(day->policy, telling.rule);
        if (!store_fleet_day(store, &query, on_finding, &telling, &why))
            log_warning("fleet_day", "rule=%s upto=\"%.*s\" text=\"%s\" action=skip",
                        day_rule_names[r], (int)upto.size, upto.at, why.text);
    }
}

/* With neither rule on, alerts are ended once. */
static bool
is_new(const struct fleet_day *day, int64_t until_ms, const struct policy *policy)
{
    const bool on = day_rule_on(policy, DAY_KEYS) || day_rule_on(policy, DAY_MARGIN);

    return policy != day->policy || (on && !day->under_way && until_ms != day->until_ms);
}

static void
begin(struct fleet_day *day, int64_t until_ms, const struct policy *policy)
{
    *day = (struct fleet_day){
        .until_ms = until_ms, .policy = policy, .under_way = true, .count = FIRST_COUNT};
}

/* More at a time where they are quick. */
static void
adapt(struct fleet_day *day, int64_t took_ms)
{
    if (took_ms > TURN_MS / 2 && day->count > 1)
        day->count /= 2;
    else if (took_ms < TURN_MS / 10 && day->count < MOST_COUNT)
        day->count *= 2;
}

bool
fleet_day_look(struct fleet_day *day, struct store *store, struct shard *shard,
               const struct policy *policy, struct err *why)
{
    const int64_t began_ms = now_steady_ms();
    const int64_t until_ms = day_until(shard_time(shard));
    int64_t at_ms = began_ms;

    if (is_new(day, until_ms, policy))
        begin(day, until_ms, policy);
    while (day->under_way && at_ms - began_ms < TURN_MS) {
        const int64_t from_ms = at_ms;
        char upto[DAY_TENANT_SIZE];
        struct text last;

        if (!store_fleet_next(store, text_of(day->after), day->count, &last, why))
            return false;
        day->under_way = last.at != NULL;
        if (!day->under_way)
            break;
        (void)text_copy(upto, sizeof upto, last);
        look_at(day, store, shard, text_of(upto));
        (void)text_copy(day->after, sizeof day->after, text_of(upto));
        at_ms = now_steady_ms();
        adapt(day, at_ms - from_ms);
    }
    return true;
}
