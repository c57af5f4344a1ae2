/*
 * Prices: what usage costs, in integers.
 *
 * A price is pico-units (1e-12 of its currency's unit) for one token, or for one request; 64 bits of
 * them.  Usage times prices is summed exactly in 128 bits, and an amount is rounded once, half-even,
 * when it becomes nano-units of the tenant's currency.
 *
 * Input tokens include cached ones and output tokens include reasoning: nothing is paid twice.
 *   cost = (input - cache_read - cache_write) * INPUT + cache_read * CACHE_READ
 *          + cache_write * CACHE_WRITE + (output - reasoning) * OUTPUT + reasoning * REASONING
 *          + requests * REQUEST
 */
#ifndef CORE_PRICE_H
#define CORE_PRICE_H

#include "core/event.h"

enum price_part {
    PRICE_INPUT,
    PRICE_CACHE_READ,
    PRICE_CACHE_WRITE,
    PRICE_OUTPUT,
    PRICE_REASONING,
    PRICE_REQUEST,
    PRICE_PART_COUNT
};
extern const char *const price_part_names[PRICE_PART_COUNT]; /* "input", ... as in price lists */

#define PRICE_PICO_PER_UNIT INT64_C(1000000000000)
/* No part of a price is above this: far above any real one, far below what could overflow. */
#define PRICE_PICO_LIMIT (INT64_C(1000000) * PRICE_PICO_PER_UNIT)

struct price {
    int64_t pico[PRICE_PART_COUNT];
};

/* Prices of requests with more than `above` input tokens (all of them, cached included) for all of
 * their tokens. 0: every request. */
#define PRICE_TIER_LIMIT 8
struct price_tier {
    int64_t above;
    struct price price;
};

/* The tier that usage belongs to; tiers rise, and the first is for every request. */
const struct price_tier *price_tier_of(const struct price_tier *tiers, size_t count,
                                       const int64_t usage[USAGE_COUNT]);

/* Exactly, in pico-units. Counts are those of an event (0..2^53-1, subsets within their wholes). */
tally price_usage(const struct price *price, const int64_t usage[USAGE_COUNT]);

/* Exchange rates are nano-units of the base currency for one unit. */
#define RATE_ONE   INT64_C(1000000000)
#define RATE_LEAST INT64_C(1000)             /* 1e-6 */
#define RATE_LIMIT INT64_C(1000000000000000) /* 1e6 */
/* pico-units of a currency with rate `from` as nano-units of one with rate `to`, rounded half-even;
 * false when that is beyond what an event may cost. */
bool price_round(tally pico, int64_t from, int64_t to, int64_t *nano);

/* Mark-ups are millionths of the cost: 200000 is 20 %. */
#define MARKUP_ONE   INT64_C(1000000)
#define MARKUP_LIMIT (100 * MARKUP_ONE)
tally price_mark_up(int64_t cost, int64_t markup);

/* Decimal text as for money_parse, exactly: false when it is no number, negative, above the limit,
 * or no multiple of 1e-12. */
bool price_parse(struct text text, int64_t *pico);
/* The shortest decimal text of the same value: "0.0000025". */
#define PRICE_TEXT_SIZE 48
const char *price_format(int64_t pico, char out[PRICE_TEXT_SIZE]);

#endif
