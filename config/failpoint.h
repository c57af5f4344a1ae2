/*
 * Failpoints: places in the real program where a test makes it stumble; failpoint.def lists
 * them, docs/faults.md says what must come of each.
 *
 * Off unless TRIPMETER_FAILPOINTS names them, as a list of name=action[@number]:
 *
 *   TRIPMETER_FAILPOINTS="settle_commit_sent=kill@3,apply_record=kill@1700"
 *
 * The number chooses: the n-th time the place is passed, or, where the place gives one (the offset of
 * a record), that number every time.  Without one: every time.  Actions: kill (SIGKILL), abort, stop
 * (SIGSTOP; the test continues it), delay (one second), error (the place fails in its own way).  A
 * name or an action that does not exist ends the program at once: no test passes by a misspelling.
 */
#ifndef CONFIG_FAILPOINT_H
#define CONFIG_FAILPOINT_H

#include "core/err.h"

#include <stdint.h>

enum failpoint {
#define FAILPOINT(name, where, error) FAIL_##name,
#include "config/failpoint.def"
#undef FAILPOINT
    FAIL_COUNT
};

/* Reads the environment; FATAL when it names a place or an action that does not exist. */
bool failpoint_setup(struct err *why);

extern bool failpoint_any; /* written by failpoint_setup only */
bool failpoint_reached(enum failpoint place, int64_t number);

/* True: fail here. `number` -1: count the times. */
static inline bool
failpoint(enum failpoint place, int64_t number)
{
    return failpoint_any && failpoint_reached(place, number);
}

#endif
