/*
 * What a reader can do about an alert: a line of words and, where there is one, a command to copy.
 */
#ifndef SINKS_ADVICE_H
#define SINKS_ADVICE_H

#include "sinks/message.h"

#define ADVICE_LIMIT 4
#define ADVICE_SIZE  320

struct advice {
    char words[ADVICE_SIZE];
    char command[ADVICE_SIZE]; /* "" when there is none; names in it are quoted for a shell */
};

/* Fills at most ADVICE_LIMIT rows, returns how many. */
size_t advice_for(const struct alert_view *view, struct advice out[ADVICE_LIMIT]);

#endif
