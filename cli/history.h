/*
 * `check --history 28d`: what the breakers of a policy would have done to the hours that are settled,
 * so that nobody switches one on blind.
 *
 * Hour by hour, each judged by the hours before it, as the engine would have judged it; hours in
 * which a breaker would have tripped say nothing about what is usual afterwards.
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "cli/session.h"

/* Prints a line a feature that would have tripped, and what is not protected. */
bool history_check(struct session *session, int64_t span_ms, struct err *why);

#endif
