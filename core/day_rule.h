/*
 * Rules of the last day: what is wrong whatever is usual, by the 24 settled clock hours (UTC) that are
 * over.  A key that spent more than twice the median of its tenant's keys, of which there were three
 * and more; and what cost more than is charged for it.
 *
 * What a key or a model costs in a day is known where the facts are, in Postgres: nothing is kept for
 * it here.  The leader of the fleet asks when an hour is over (engine/fleet_day.h) and is answered with
 * what is to be told, or is over; which is known by the alerts that are open, so that neither a
 * restart nor another leader says anything twice.
 *
 * One alert a tenant and rule, "anomaly/keys" and "anomaly/margin", of the worst.  From the policy's
 * `ticket` on: what the key spent beyond the median, or what all models of the tenant lost together.
 * Over below half of that; for keys also at one and a half times the median.
 */
#ifndef CORE_DAY_RULE_H
#define CORE_DAY_RULE_H

#include "core/clock.h"
#include "core/money.h"
#include "core/text.h"

#include <stdbool.h>

enum day_rule { DAY_KEYS, DAY_MARGIN, DAY_RULE_COUNT };
extern const char *const day_rule_names[DAY_RULE_COUNT]; /* of their alerts */

/* The hours that are over at a moment end here: one that ended a minute ago is not settled yet. */
int64_t day_until(int64_t now_ms);

/* What is to be told of a tenant. Amounts are nano-units of its currency. */
struct day_finding {
    struct text tenant;
    struct text zone;
    struct text currency;
    bool over;        /* it was told: what follows is absent */
    struct text name; /* of the worst key, or model with its provider */
    tally spent;      /* by it, or for it */
    tally against;    /* the median of the keys; the charge */
    tally impact;     /* spent beyond the median; lost with all models */
    int64_t members;  /* keys or models that break the rule */
    int64_t all;      /* keys that were used */
};

/* What its alert says, with names as long as they may be. Returns out. */
#define DAY_TEXT_SIZE 1024
const char *day_tell(enum day_rule rule, const struct day_finding *finding,
                     char out[DAY_TEXT_SIZE]);
const char *day_tell_over(enum day_rule rule);

#endif
