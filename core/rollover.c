#include "core/rollover.h"

#include <assert.h>

static tally
least(tally a, tally b)
{
    return a < b ? a : b;
}

static tally
most(tally a, tally b)
{
    return a > b ? a : b;
}

/* What base and carry come to; below 0 when more is deducted than the base gives. */
static tally
given(tally base, tally carry, tally total_cap)
{
    return least(base + carry, most(total_cap, base));
}

tally
rollover_allowance(tally base, tally carry, tally total_cap)
{
    return most(0, given(base, carry, total_cap));
}

tally
rollover_room(tally base, tally total_cap)
{
    return most(0, total_cap - base);
}

/* floor(ratio * amount), in two parts: the product of a whole amount could overflow. */
static tally
share(tally amount, int32_t ratio)
{
    return amount / ROLLOVER_WHOLE * ratio + amount % ROLLOVER_WHOLE * ratio / ROLLOVER_WHOLE;
}

struct rollover_end
rollover_close(const struct rollover *rule, tally base, tally carry, tally total_cap, tally used,
               tally room)
{
    struct rollover_end end = {.allowance = rollover_allowance(base, carry, total_cap)};

    assert(rule->ratio >= 0 && rule->ratio <= ROLLOVER_WHOLE);
    end.unused = most(0, end.allowance - used);
    end.overage = most(0, used - given(base, carry, total_cap));
    if (!rule->on)
        return end;
    end.carried = most(0, least(share(end.unused, rule->ratio), least(rule->carry_cap, room)));
    if (rule->deducts && end.overage > 0)
        end.carried = -end.overage;
    return end;
}
