/*
 * A billing cycle as people write it, one form for contracts, policies and the command line:
 *
 *   month                      calendar months
 *   anchor:31                  from the 31st of a month on, or from the last day of a shorter one
 *   contract:2024-02-29/12     every 12 months from that date on (a fiscal year)
 *   week                       from Monday on
 *   days:30/2026-01-15         every 30 days from that date on
 *
 * All in the tenant's zone.  A date also counts backwards: it need not lie in the past.
 */
#ifndef CONFIG_CYCLE_TEXT_H
#define CONFIG_CYCLE_TEXT_H

#include "core/cycle.h"

/* As the column tripmeter.tenant_version.cycle has it. */
#define CYCLE_YEAR_LIMIT   2999
#define CYCLE_MONTHS_LIMIT 9999
#define CYCLE_DAYS_LIMIT   99999

/* INPUT error that names what is written and what to write instead. */
bool cycle_read(struct text text, struct cycle *out, struct err *why);

#define CYCLE_TEXT_SIZE 64
/* The form above; cycle_read() of it gives the same cycle. Returns out. */
const char *cycle_text(const struct cycle *cycle, char out[CYCLE_TEXT_SIZE]);

#endif
