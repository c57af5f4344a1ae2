#include "rules/rating.h"

static bool
has_tokens(const struct event *event)
{
    return event->usage[USAGE_INPUT_TOKENS] > 0 || event->usage[USAGE_OUTPUT_TOKENS] > 0;
}

/* The usage at a price of the list, in the tenant's currency. */
static bool
amount_of(const struct event *event, const struct price *price, const struct price_list *list,
          const struct tenant *tenant, const struct policy *policy, int64_t *nano)
{
    int64_t rates[2];

    return prices_rates(&policy->prices, list->currency, tenant->currency, event->at_ms, rates) &&
           price_round(price_usage(price, event->usage), rates[0], rates[1], nano);
}

/* The usage by a list; false when it has no price for it. */
static bool
listed(const struct event *event, const struct price_list *list, const struct tenant *tenant,
       const struct policy *policy, int64_t *nano, int64_t *version)
{
    const struct price_version *found =
        list == NULL
            ? NULL
            : price_find(list, event->names[NAME_PROVIDER], event->names[NAME_MODEL], event->at_ms);

    if (found == NULL ||
        !amount_of(event, price_for(found, event->usage), list, tenant, policy, nano))
        return false;
    *version = found->from_ms;
    return true;
}

/* What it says that it cost, in the tenant's currency; false when there is no rate. */
static bool
own_cost(const struct event *event, const struct tenant *tenant, const struct policy *policy,
         int64_t *nano)
{
    const struct text given = event->names[NAME_CURRENCY];
    int64_t rates[2];

    *nano = event->cost.nano;
    if (given.size == 0 || text_eq(given, tenant->currency))
        return true;
    return prices_rates(&policy->prices, given, tenant->currency, event->at_ms, rates) &&
           price_round((tally)event->cost.nano * (PRICE_PICO_PER_UNIT / MONEY_NANO_PER_UNIT),
                       rates[0], rates[1], nano);
}

/* What limits and breakers take an unpriced event for: the model's own price where only its currency
 * is unknown, else the fallback; without a rate as if it were the tenant's currency. */
static int64_t
estimate_of(const struct event *event, const struct tenant *tenant, const struct policy *policy)
{
    const struct price_list *list = policy->prices.providers;
    const struct text provider = event->names[NAME_PROVIDER];
    const struct price_version *found =
        list == NULL ? NULL : price_find(list, provider, event->names[NAME_MODEL], event->at_ms);
    const struct price *price = found != NULL  ? price_for(found, event->usage)
                                : list != NULL ? price_fallback(list, provider)
                                               : NULL;
    int64_t nano;

    if (price == NULL)
        return 0;
    if (amount_of(event, price, list, tenant, policy, &nano) ||
        price_round(price_usage(price, event->usage), RATE_ONE, RATE_ONE, &nano))
        return nano;
    return MONEY_EVENT_LIMIT_NANO;
}

static void
rate_charge(struct rating *rating, const struct event *event, const struct tenant *tenant,
            const struct policy *policy)
{
    const struct charge_rule *rule = &tenant->charge;

    int64_t nano;

    /* A refund gives back what was charged, which a price list does not know. */
    if (event->kind != EVENT_REFUND &&
        listed(event, rule->list, tenant, policy, &nano, &rating->charge_version))
        rating->charge = nano;
    else
        rating->charge = price_mark_up(rating->cost, rule->markup);
}

void
rating_of(struct rating *rating, const struct event *event, const struct tenant *tenant,
          const struct policy *policy, bool used)
{
    const struct price_list *list = policy->prices.providers;
    const bool says = (event->flags & EVENT_HAS_COST) != 0 || event->kind == EVENT_REFUND;
    int64_t version;
    int64_t worth;

    *rating = (struct rating){.price_version = PRICE_NONE, .charge_version = PRICE_NONE};
    if (says)
        rating->unpriced = !own_cost(event, tenant, policy, &rating->cost);
    else if (used)
        rating->unpriced =
            !listed(event, list, tenant, policy, &rating->cost, &rating->price_version);
    if (rating->unpriced) {
        rating->cost = 0;
        rating->estimate = event->kind == EVENT_REFUND ? 0 : estimate_of(event, tenant, policy);
        return;
    }
    rating->zero_cost = says && event->kind != EVENT_REFUND && event->cost.nano == 0 &&
                        has_tokens(event) &&
                        listed(event, list, tenant, policy, &worth, &version) && worth > 0;
    if (says || used)
        rate_charge(rating, event, tenant, policy);
}
