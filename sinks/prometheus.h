/*
 * /metrics: the Prometheus text exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Every series of core/metrics.def, the decision delay as a histogram in seconds, dead letters by
 * reason, all present from the start; and lag per topic partition.  No tenant is ever a label.
 */
#ifndef SINKS_PROMETHEUS_H
#define SINKS_PROMETHEUS_H

#include "sinks/status.h"
#include "sinks/writer.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void prometheus_write(struct writer *out, const struct status_source *source);

#endif
