/*
 * A price list: what the models of some providers cost.
 *
 *     currency: USD
 *     fallback_price: {input: 0.00003, output: 0.00012}   # of models that are not here; left out:
 *     providers:                                          # the dearest of their provider
 *       openai:
 *         gpt-4o:
 *           aliases: [gpt-4o-2024-11-20]
 *           input: 2.5e-06         # units of the currency for one token, exactly
 *           cache_read: 1.25e-06   # left out: as input; cache_write likewise
 *           output: 1e-05
 *           reasoning: 1e-05       # left out: as output
 *           request: 0             # for each request, beside its tokens
 *           tiers:                 # all tokens of requests with more input tokens than that
 *             - {above: 200k, input: 5e-06, output: 2e-05}
 *         gpt-5:
 *           versions:              # rising; each holds until the next one, or until valid_until
 *             - {input: 1.25e-06, output: 1e-05}
 *             - {valid_from: 2026-03-01, input: 1e-06, output: 8e-06}
 *
 * A price ten thousand times its predecessor's, or the other way round, is refused: such prices are
 * mostly written in another unit.  `checked: true` beside it, or --force, takes it all the same.
 */
#ifndef CONFIG_PRICE_LOAD_H
#define CONFIG_PRICE_LOAD_H

#include "config/node.h"
#include "rules/prices.h"

#define PRICE_JUMP 10000

/* The list's name and file are set; everything else comes from the text. */
void price_list_load(struct findings *findings, struct arena *arena, struct text body,
                     struct price_list *list);
/* Prices against those that were in force before. */
void price_list_compare(struct findings *findings, const struct price_list *before,
                        const struct price_list *after);
/* A date (midnight in UTC) or an instant. */
bool price_date(struct text text, int64_t *at_ms);

#endif
