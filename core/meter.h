/*
 * What is counted, and what a quota may watch.
 *
 * `struct amounts` is one row of counts and money: a running tally, or the change of one.
 * Counts are int64 with overflow checks; money is 128-bit nano-units.
 */
#ifndef CORE_METER_H
#define CORE_METER_H

#include "core/money.h"

enum count {
#define COUNT(name, what) COUNT_##name,
#include "core/meter.def"
#undef COUNT
    COUNT_COUNT
};

extern const char *const count_names[COUNT_COUNT];
/* The counts of most events come first: these. Those behind them are zero in nearly every one, and are
 * not touched then: sums are many, and lie in memory. */
#define COMMON_COUNTS COUNT_reasoning_tokens

struct amounts {
    tally cost;     /* net: refunds are in it */
    tally charge;   /* what the customer pays; equal to cost without a price list */
    tally refunded; /* the refunds in cost, as a negative number; cost - refunded is gross */
    int64_t count[COUNT_COUNT];
    tally estimate; /* what unpriced events are taken for until they have a price; no money */
};

/* Adds every member; false (and nothing added) when one would overflow. */
bool amounts_add(struct amounts *sum, const struct amounts *more);
/* out = a - b. */
void amounts_difference(struct amounts *out, const struct amounts *a, const struct amounts *b);
bool amounts_equal(const struct amounts *a, const struct amounts *b);

/* What a quota counts. */
enum meter {
    METER_REQUESTS,
    METER_ATTEMPTS,
    METER_INPUT_TOKENS,
    METER_OUTPUT_TOKENS,
    METER_TOKENS, /* in + out */
    METER_COST,
    METER_CHARGE,
    METER_COUNT
};

extern const char *const meter_names[METER_COUNT]; /* "requests", "input_tokens", ... */
/* True for cost and charge: the tally is nano-units, else a plain count. */
bool meter_is_money(enum meter meter);
bool meter_by_name(struct text name, enum meter *out);
/* What limits are judged by: money includes the estimate of what is unpriced. */
tally meter_read(const struct amounts *amounts, enum meter meter);

#endif
