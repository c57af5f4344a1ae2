/*
 * What a shard knows of the record of settled events, and what it waits for.
 *
 * An event that must be looked up is parked until the store has answered; what was booked since the
 * question was asked is added to the answer, so that it is as new as memory.  Later events of a
 * tenant that waits wait behind, so that its events keep their order.
 */
#ifndef RULES_ORIGINALS_H
#define RULES_ORIGINALS_H

#include "core/arena.h"
#include "core/list.h"
#include "core/original.h"
#include "core/settlement.h"
#include "core/table.h"

struct originals {
    struct arena *memory;
    struct table index;   /* identity -> place in known */
    struct list known;    /* struct original_entry */
    struct list sought;   /* struct sought, in the order they were asked for */
    struct list places;   /* size_t: of each sought its place in known */
    uint64_t asked_at;    /* settlements that had come back when the store was asked */
    uint64_t settled;     /* settlements that came back so far */
    struct table waiting; /* tenant -> its events that are parked */
};

bool originals_init(struct originals *originals);
void originals_free(struct originals *originals);
/* A new claim: nothing is known, nobody waits. */
void originals_clear(struct originals *originals);
/* Forgets answers, unless some are outstanding. */
void originals_trim(struct originals *originals);

/* What the record says of an identity: NULL when it is not known yet, and then it is sought.
 * *found: it is there. */
const struct original *originals_get(struct originals *originals, struct key128 identity,
                                     const struct sought *sought, bool *found);
/* The store has that (NULL: nothing) of an identity, and nothing is booked that it does not know. What
 * is known already stays. */
void originals_tell(struct originals *originals, struct key128 identity,
                    const struct original *original);
/* NULL: it is not there, or was not asked for. */
const struct original *originals_known(const struct originals *originals, struct key128 identity);
/* An event was booked: what is known of it, or of the one it refers to, is so no longer. */
void originals_booked(struct originals *originals, const struct settlement *settlement,
                      const struct settled_event *event);

void originals_ask(struct originals *originals);
/* The store has the i-th of those sought. */
void originals_found(struct originals *originals, size_t index, const struct original *original);
/* It has no more of the first `count`; open and frozen (NULL: none) are what it does not know yet.
 * False: a settlement came back since it was asked, so that the answer may lack it: ask again. */
bool originals_answered(struct originals *originals, size_t count, const struct settlement *open,
                        const struct settlement *frozen);

/* ---- who waits ------------------------------------------------------------------------------------ */
void originals_wait(struct originals *originals, struct key128 tenant);
void originals_wait_over(struct originals *originals, struct key128 tenant);
static inline bool
originals_waits(const struct originals *originals, struct key128 tenant)
{
    return originals->waiting.count > 0 && table_find(&originals->waiting, tenant) != TABLE_NONE;
}

#endif
