/* Times and amounts as people and programs read them. */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#include "core/money.h"
#include "core/zone.h"

#include <jansson.h>

#define MOMENT_SIZE 96
/* "2026-03-31 00:00 CEST (2026-03-30T22:00:00Z)"; UTC alone where the zone is that or NULL. */
const char *moment_text(const struct zone *zone, int64_t at_ms, char out[MOMENT_SIZE]);
/* "2026-03-30T22:00:00Z" */
json_t *moment_json(int64_t at_ms);

#define AMOUNT_SIZE 64
/* "12.50 USD", or "950" for a count. */
const char *amount_text(tally amount, bool is_money, struct text currency, char out[AMOUNT_SIZE]);
/* Money as exact text, counts as numbers. */
json_t *amount_json(tally amount, bool is_money);

#endif
