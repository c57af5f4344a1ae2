#include "core/meter.h"

#include <assert.h>

const char *const count_names[COUNT_COUNT] = {
#define COUNT(name, what) [COUNT_##name] = #name,
#include "core/meter.def"
#undef COUNT
};

const char *const meter_names[METER_COUNT] = {
    [METER_REQUESTS] = "requests",
    [METER_ATTEMPTS] = "attempts",
    [METER_INPUT_TOKENS] = "input_tokens",
    [METER_OUTPUT_TOKENS] = "output_tokens",
    [METER_TOKENS] = "tokens",
    [METER_COST] = "cost",
    [METER_CHARGE] = "charge",
};

/* Without branches, so that counts are added side by side; the sign of the result tells of an
 * overflow. */
static inline uint64_t
add_counts(uint64_t *next, const int64_t *sum, const int64_t *more, size_t count)
{
    uint64_t wrapped = 0;

    for (size_t i = 0; i < count; i++) {
        const uint64_t a = (uint64_t)sum[i];
        const uint64_t b = (uint64_t)more[i];

        next[i] = a + b;
        wrapped |= (next[i] ^ a) & (next[i] ^ b);
    }
    return wrapped;
}

/* The seldom ones of `more`, if there are any. */
static inline bool
has_seldom(const struct amounts *more)
{
    int64_t any = more->estimate != 0;

    for (size_t i = COMMON_COUNTS; i < COUNT_COUNT; i++)
        any |= more->count[i];
    return any != 0;
}

bool
amounts_add(struct amounts *sum, const struct amounts *more)
{
    uint64_t common[COMMON_COUNTS];
    uint64_t seldom[COUNT_COUNT - COMMON_COUNTS];
    const bool has_more = has_seldom(more);
    struct {
        tally cost, charge, refunded, estimate;
    } money = {sum->cost, sum->charge, sum->refunded, 0};
    uint64_t wrapped = add_counts(common, sum->count, more->count, COMMON_COUNTS);

    if (has_more) {
        wrapped |= add_counts(seldom, sum->count + COMMON_COUNTS, more->count + COMMON_COUNTS,
                              COUNT_COUNT - COMMON_COUNTS);
        money.estimate = sum->estimate;
    }
    if (wrapped >> 63 != 0 || !tally_add(&money.cost, more->cost) ||
        !tally_add(&money.charge, more->charge) || !tally_add(&money.refunded, more->refunded) ||
        !tally_add(&money.estimate, more->estimate))
        return false;
    /* Copies of sizes that are known: they need no loop. */
    memcpy(sum->count, common, sizeof common);
    sum->cost = money.cost;
    sum->charge = money.charge;
    sum->refunded = money.refunded;
    if (has_more) {
        memcpy(sum->count + COMMON_COUNTS, seldom, sizeof seldom);
        sum->estimate = money.estimate;
    }
    return true;
}

bool
amounts_equal(const struct amounts *a, const struct amounts *b)
{
    return memcmp(a->count, b->count, sizeof a->count) == 0 && a->cost == b->cost &&
           a->charge == b->charge && a->refunded == b->refunded && a->estimate == b->estimate;
}

bool
meter_is_money(enum meter meter)
{
    return meter == METER_COST || meter == METER_CHARGE;
}

bool
meter_by_name(struct text name, enum meter *out)
{
    for (int i = 0; i < METER_COUNT; i++)
        if (text_eq(name, text_of(meter_names[i]))) {
            *out = (enum meter)i;
            return true;
        }
    return false;
}

tally
meter_read(const struct amounts *amounts, enum meter meter)
{
    switch (meter) {
    case METER_REQUESTS:
        return amounts->count[COUNT_requests];
    case METER_ATTEMPTS:
        return amounts->count[COUNT_attempts];
    case METER_INPUT_TOKENS:
        return amounts->count[COUNT_input_tokens];
    case METER_OUTPUT_TOKENS:
        return amounts->count[COUNT_output_tokens];
    case METER_TOKENS:
        return (tally)amounts->count[COUNT_input_tokens] + amounts->count[COUNT_output_tokens];
    case METER_COST:
        return amounts->cost + amounts->estimate;
    case METER_CHARGE:
        return amounts->charge + amounts->estimate;
    case METER_COUNT:
        break;
    }
    assert(false);
    return 0;
}

void
amounts_difference(struct amounts *out, const struct amounts *a, const struct amounts *b)
{
    for (size_t i = 0; i < COUNT_COUNT; i++)
        out->count[i] = a->count[i] - b->count[i];
    out->cost = a->cost - b->cost;
    out->charge = a->charge - b->charge;
    out->refunded = a->refunded - b->refunded;
    out->estimate = a->estimate - b->estimate;
}
