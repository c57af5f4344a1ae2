/*
 * Who must be looked at, and when: tenants in (deadline, name) order.  A heap that knows where each
 * tenant stands in it, so that a deadline may move or go at any time.
 */
#ifndef RULES_DUE_H
#define RULES_DUE_H

#include "rules/tenant.h"

struct due {
    struct tenant **heap;
    size_t count;
    size_t room;
};

void due_free(struct due *due);
/* tenant->due_ms is this from now on; INT64_MAX takes it out. False when memory is short. */
bool due_set(struct due *due, struct tenant *tenant, int64_t due_ms);
/* The first one due at or before now, still in the heap; NULL when there is none. */
struct tenant *due_first(const struct due *due, int64_t now_ms);

#endif
