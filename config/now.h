/*
 * What time it is, for everything that waits or looks at a calendar; core and rules are told.
 */
#ifndef CONFIG_NOW_H
#define CONFIG_NOW_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Since 1970. */
int64_t now_wall_ms(void);
/* For intervals: it never goes back and begins anywhere. */
int64_t now_steady_ms(void);
/* A condition that is waited for by the steady clock; and that clock in so many ms, as
 * pthread_cond_timedwait wants it. */
void now_steady_condition(pthread_cond_t *condition);
struct timespec now_steady_after(int64_t ms);

#endif
