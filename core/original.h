/*
 * What the record of settled events is asked, and what it answers.
 *
 * An event that is older than the duplicate window may have been counted before; a refund or a
 * correction refers to an event that was.  Both are looked up by identity: tenant, source and id.
 */
#ifndef CORE_ORIGINAL_H
#define CORE_ORIGINAL_H

#include "core/event.h"
#include "core/meter.h"

struct sought {
    struct text tenant, source, id;
    int64_t since_ms; /* its record is not older; INT64_MIN: anything may be */
};

/* An event as it was booked, and what is left of that. */
struct original {
    enum event_kind kind;
    uint64_t content; /* as in struct settled_event */
    int32_t attempt;
    int64_t hour_ms;
    int64_t period_ms;
    int64_t period_end_ms;
    bool replaced;                                      /* a correction stands in its place */
    bool listed;                                        /* its cost is that of a price list */
    struct text project, feature, provider, model, key; /* absent: '' */
    struct amounts amounts;
    tally left_cost; /* cost and charge less what was refunded */
    tally left_charge;
};

#endif
