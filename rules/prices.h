/*
 * Price lists and exchange rates of a policy: checked, immutable, found by one hash lookup.
 *
 * A list says what the models of some providers cost; which version of a price holds is decided by
 * the time of the event.  One list is the providers' own: what an event costs that does not say so
 * itself.  Others are what customers are charged by.
 */
#ifndef RULES_PRICES_H
#define RULES_PRICES_H

#include "core/arena.h"
#include "core/price.h"
#include "core/table.h"

#define PRICE_LIST_LIMIT  16
#define PRICE_ENTRY_LIMIT 100000 /* models and aliases of one list */
#define CURRENCY_LIMIT    64

/* A version holds from `from_ms` on, until the next one does or until_ms. from_ms is what a line
 * that was priced by it remembers; 0: it says nothing of its beginning. */
struct price_version {
    int64_t from_ms;
    int64_t until_ms; /* INT64_MAX: until the next one */
    struct price_tier *tiers;
    size_t tier_count; /* at least 1: the first is for every request */
    bool checked;      /* somebody says that it is right, however unlikely */
};

struct price_entry {
    struct text provider;
    struct text model;
    struct price_version *versions; /* rising */
    size_t version_count;
};

/* What a model that is not in the list is taken to cost, by provider; absent: any other. */
struct price_fallback {
    struct text provider;
    struct price price;
};

struct price_list {
    struct text name; /* "providers", "retail" */
    struct text file; /* as the policy names it */
    struct text currency;
    struct price_entry *entries;
    size_t entry_count;
    struct table
        index; /* of provider and model or alias; without a provider where only one has it */
    struct price_fallback
        *fallbacks; /* the last one is for any provider; none: the list is empty */
    size_t fallback_count;
};

struct rate {
    int64_t from_ms;
    int64_t nano; /* of the base currency for one unit */
};

struct currency {
    struct text code;
    struct rate *rates; /* rising */
    size_t rate_count;
};

struct prices {
    struct price_list lists[PRICE_LIST_LIMIT];
    size_t list_count;
    const struct price_list *providers; /* NULL: events without a cost are unpriced */
    struct text base;                   /* currency with the rate 1 */
    struct currency currencies[CURRENCY_LIMIT];
    size_t currency_count;
};

/* How a customer's charge follows from the cost: by a list of its own; what that does not have, or
 * without one, by the cost and a mark-up. */
struct charge_rule {
    struct text words; /* as written: "retail", "20%", "retail 20%"; absent: equal to cost */
    const struct price_list *list;
    int64_t markup; /* core/price.h */
};

void prices_free(struct prices *prices);
const struct price_list *prices_list(const struct prices *prices, struct text name);

/* The price of a model at a time; NULL when the list has none. */
const struct price_version *price_find(const struct price_list *list, struct text provider,
                                       struct text model, int64_t at_ms);
const struct price *price_fallback(const struct price_list *list, struct text provider);
/* One tier of a version for a usage. */
static inline const struct price *
price_for(const struct price_version *version, const int64_t usage[USAGE_COUNT])
{
    return &price_tier_of(version->tiers, version->tier_count, usage)->price;
}

/* Rates of two currencies at a time; equal ones need none. False when one is not known. */
bool prices_rates(const struct prices *prices, struct text from, struct text to, int64_t at_ms,
                  int64_t rates[2]);

/* From when on a rate of a currency is known; INT64_MIN: always, or never. */
int64_t prices_known_since(const struct prices *prices, struct text code);
/* An amount at such a pair of rates, half to even; as it is where that cannot be said. */
tally prices_at(tally nano, const int64_t rates[2]);
/* An amount of the first currency in the second, likewise; as it is without a rate. */
tally prices_convert(const struct prices *prices, tally nano, struct text from, struct text to,
                     int64_t at_ms);

/* "retail", "20%", "retail 20%" or "cost"; NULL, or what it must be. List names are looked up when
 * `prices` is given; the words are not copied. */
const char *charge_read(struct text words, const struct prices *prices, struct charge_rule *rule);

#endif
