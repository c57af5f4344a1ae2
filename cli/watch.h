/* One line of `watch` for a record of the control topic. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "core/text.h"

#include <stdbool.h>
#include <stdio.h>

/* Prints what a gateway is told; heartbeats and what is no control message are left out. An absent
 * value is a tombstone: nothing is said of the scope any more. */
void watch_decision(struct text key, struct text value, bool colour, FILE *out);

struct watch_alert {
    const char *at;   /* as text */
    const char *move; /* fire, step, resolve */
    const char *severity;
    const char *rule;
    const char *tenant;      /* NULL: the engine's own */
    const char *project;     /* NULL: none */
    const char *subject;     /* the feature, key or address; NULL: none */
    const char *step;        /* percent; "0": none, or */
    const char *step_amount; /* in the unit of the value; NULL: none */
    const char *value;       /* NULL: none */
    const char *threshold;
    const char *unit;
    const char *reason; /* with resolve */
    const char *summary;
};
void watch_alert(const struct watch_alert *alert, bool colour, FILE *out);

#endif
