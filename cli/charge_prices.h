/* Which prices made the amounts of a tenant's period: the last part of `tripmeter explain charge`. */
#ifndef CLI_CHARGE_PRICES_H
#define CLI_CHARGE_PRICES_H

#include "cli/session.h"

struct charge_prices {
    const char *tenant;
    const char *period;  /* as Postgres writes its start */
    const char *feature; /* NULL: all */
};

/* Prints every price that lines of the record were made by, as the policy had it that was in force
 * then; nothing when all events brought their cost and were charged that. */
bool charge_prices_print(struct session *session, const struct charge_prices *of, struct err *why);

#endif
