/*
 * What a row of facts adds to: amounts, as short as most of them are.
 *
 * A settlement carries a row for nearly every event, so a row holds what nearly every event has and
 * money in 64 bits and counts in 32: 56 bytes instead of 208.  Amounts that have anything else, or more than fits,
 * are kept whole in a list of the settlement (`wide`) that all its rows share.
 */
#ifndef CORE_DELTA_H
#define CORE_DELTA_H

#include "core/list.h"
#include "core/meter.h"

struct delta {
    int64_t cost;
    int64_t charge;
    int32_t count[COMMON_COUNTS];
    uint32_t wide; /* 1 + place in the list, where everything is then; 0: all there is is here */
};

/* May these amounts be in a row itself? */
bool delta_fits(const struct amounts *amounts);

enum delta_added { DELTA_ADDED, DELTA_OVERFLOW, DELTA_NO_MEMORY };
/* Adds all of them or none. `wide` is a list of struct amounts; fits: delta_fits(amounts), which many
 * rows of an event need only ask once. */
enum delta_added delta_add(struct delta *delta, struct list *wide, const struct amounts *amounts,
                           bool fits);
void delta_read(const struct delta *delta, const struct list *wide, struct amounts *out);

#endif
