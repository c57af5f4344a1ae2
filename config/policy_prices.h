/*
 * What a policy says of money: its price lists, exchange rates, and how plans are charged.
 *
 *     prices:
 *       providers: prices.yaml      # what events cost that do not say so themselves
 *       retail: retail.yaml         # any other name: a list that customers are charged by
 *     rates:                        # US dollars for one unit
 *       EUR: 1.08
 *       GBP: [{valid_from: 2026-01-01, rate: 1.25}, {valid_from: 2026-04-01, rate: 1.27}]
 *     plans:
 *       starter: {charge: 20%, ...}       # cost and a mark-up
 *       professional: {charge: retail}    # or a list; "retail 20%": the mark-up where it has no price
 *
 * A list is a file beside the policy, or a further document of it behind a line `--- # prices.yaml`.
 * What is stored of a policy is one text: the file, and the lists it names as such documents.
 */
#ifndef CONFIG_POLICY_PRICES_H
#define CONFIG_POLICY_PRICES_H

#include "config/node.h"
#include "rules/policy.h"

/* The policy itself, without the documents behind it. */
struct text policy_own_text(struct text body);

/* `prices` and `rates` of the policy: what the lists are called. */
void policy_prices_read(struct findings *findings, struct policy *policy, const struct yaml *root);
/* `charge` of a plan. */
void policy_charge_read(struct findings *findings, const struct policy *policy,
                        const struct yaml *node, const char *what, struct charge_rule *rule);
/* Reads the lists and sets the policy's body; `file` is where `body` comes from. */
void policy_lists_load(struct findings *findings, struct policy *policy, const char *file,
                       struct text body);
/* Prices, and the currency of tenants that name none, against those of the policy that was in force
 * before. */
void policy_prices_compare(struct findings *findings, const struct policy *before,
                           const struct policy *after);

#endif
