#include "core/delta.h"

bool
delta_fits(const struct amounts *amounts)
{
    int64_t others = 0;

    for (size_t i = 0; i < COMMON_COUNTS; i++)
        others |= amounts->count[i] ^ (int32_t)amounts->count[i];
    for (size_t i = COMMON_COUNTS; i < COUNT_COUNT; i++)
        others |= amounts->count[i];
    return others == 0 && amounts->refunded == 0 && amounts->estimate == 0 &&
           amounts->cost == (int64_t)amounts->cost && amounts->charge == (int64_t)amounts->charge;
}

/* False, and nothing is certain, when one leaves its range. */
static bool
add_here(struct delta *delta, const struct amounts *amounts)
{
    bool over = __builtin_add_overflow(delta->cost, (int64_t)amounts->cost, &delta->cost);

    over |= __builtin_add_overflow(delta->charge, (int64_t)amounts->charge, &delta->charge);
    for (size_t i = 0; i < COMMON_COUNTS; i++)
        over |=
            __builtin_add_overflow(delta->count[i], (int32_t)amounts->count[i], &delta->count[i]);
    return !over;
}

static struct amounts *
widen(struct delta *delta, struct list *wide)
{
    struct amounts *all = list_add(wide);

    if (all == NULL)
        return NULL;
    delta_read(delta, wide, all);
    delta->wide = (uint32_t)wide->count;
    return all;
}

enum delta_added
delta_add(struct delta *delta, struct list *wide, const struct amounts *amounts, bool fits)
{
    struct amounts *all;

    if (delta->wide == 0 && fits) {
        struct delta sum = *delta;

        if (add_here(&sum, amounts)) {
            *delta = sum;
            return DELTA_ADDED;
        }
    }
    all = delta->wide == 0 ? widen(delta, wide) : list_at(wide, delta->wide - 1);
    if (all == NULL)
        return DELTA_NO_MEMORY;
    return amounts_add(all, amounts) ? DELTA_ADDED : DELTA_OVERFLOW;
}

void
delta_read(const struct delta *delta, const struct list *wide, struct amounts *out)
{
    if (delta->wide != 0) {
        *out = *(const struct amounts *)list_at(wide, delta->wide - 1);
        return;
    }
    *out = (struct amounts){.cost = delta->cost, .charge = delta->charge};
    for (size_t i = 0; i < COMMON_COUNTS; i++)
        out->count[i] = delta->count[i];
}
