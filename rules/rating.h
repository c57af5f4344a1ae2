/*
 * What an event costs, and what the customer is charged for it.
 *
 * An event that says what it cost is believed; else its usage is priced by the providers' list, at
 * the version that held when it happened.  What has no price yet is unpriced: it costs nothing until
 * it has one, and is judged meanwhile by an estimate, the list's fallback price.  Everything is in
 * the tenant's currency, at the rate of the event's time, rounded once.
 */
#ifndef RULES_RATING_H
#define RULES_RATING_H

#include "core/event.h"
#include "rules/tenant.h"

#define PRICE_NONE (-1) /* version of what no list priced */

struct rating {
    bool unpriced;
    bool zero_cost; /* it says that it cost nothing, and the list says otherwise */
    int64_t cost;
    tally charge;
    int64_t estimate;       /* of an unpriced one */
    int64_t price_version;  /* of the providers' list, PRICE_NONE: the event's own cost */
    int64_t charge_version; /* of the list it was charged by */
};

/* Of a record, settle or refund (whose amounts are negative). `used`: it has something to be priced
 * even without a cost. */
void rating_of(struct rating *rating, const struct event *event, const struct tenant *tenant,
               const struct policy *policy, bool used);

#endif
