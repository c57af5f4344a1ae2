/*
 * The anomalies of the policy file: what is followed by the detector, and what makes an alert of it.
 */
#ifndef CONFIG_ANOMALY_LOAD_H
#define CONFIG_ANOMALY_LOAD_H

#include "config/node.h"
#include "rules/policy.h"

/* `node` is the policy's member `anomalies`; the policy's defaults must be there. */
void anomaly_load(struct findings *findings, struct policy *policy, const struct yaml *node);

#endif
