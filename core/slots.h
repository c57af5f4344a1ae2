/*
 * The last hour of one feature of one tenant, in slots of five minutes.
 *
 * Twelve closed slots and the running one, in a ring: "the last 60 minutes" are the 60 to 65 that
 * they cover.  Slots begin at multiples of five minutes since 1970 UTC, so that every local hour is
 * a union of them (offsets from UTC are multiples of a quarter of an hour).
 *
 * What counts against a breaker is kept beside the whole cost: spending that came late or that a
 * breaker has dealt with already stays in `cost` and leaves `judged`.
 */
#ifndef CORE_SLOTS_H
#define CORE_SLOTS_H

#include "core/clock.h"
#include "core/money.h"

#define SLOT_COUNT 13
#define SLOT_MS    (5 * CLOCK_MINUTE_MS)

/* All are sums of what lies within 2^63 each: 128 bits do not overflow. */
struct slot {
    int64_t start_ms;   /* INT64_MIN: empty, never used */
    tally cost;         /* nano-units; refunds are not taken off */
    tally judged;       /* of that: what counts against the breaker */
    tally judged_calls; /* attempts that do */
    tally requests;
    tally attempts;
    tally fallbacks; /* attempts after the first of their request */
    tally input_tokens;
    tally output_tokens;
};

struct slots {
    struct slot ring[SLOT_COUNT]; /* the slot that starts at t is at (t / SLOT_MS) % SLOT_COUNT */
    int64_t newest_ms;            /* start of the running slot; INT64_MIN: none yet */
};

void slots_init(struct slots *slots);
/* Start of the slot that an instant lies in. */
int64_t slots_start(int64_t at_ms);
/* The slot that `now` lies in becomes the running one, if it is later than that. */
void slots_advance(struct slots *slots, int64_t now_ms);
/* The slot of an instant for adding to it; a later one than the running slot becomes that. NULL when
 * the instant lies before all slots. */
struct slot *slots_at(struct slots *slots, int64_t at_ms);
/* The slot that starts at that moment; NULL: the ring has none. */
const struct slot *slots_find(const struct slots *slots, int64_t start_ms);
/* A slot as it was stored; slots come in any order. */
void slots_restore(struct slots *slots, const struct slot *slot);

/* What counts against the breaker in the slots that start at from_ms or later. */
struct slots_spend {
    tally cost;
    tally calls;
};
struct slots_spend slots_judged(const struct slots *slots, int64_t from_ms);
/* The same of all slots. */
#define SLOTS_ALL INT64_MIN
/* Nothing of what was spent so far counts against the breaker any more. */
void slots_forgive(struct slots *slots);

#endif
