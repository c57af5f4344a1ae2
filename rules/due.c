#include "rules/due.h"

#include <stdlib.h>

void
due_free(struct due *due)
{
    free(due->heap);
    *due = (struct due){0};
}

static bool
before(const struct tenant *a, const struct tenant *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : text_compare(a->name, b->name) < 0;
}

static void
put(struct due *due, size_t at, struct tenant *tenant)
{
    due->heap[at] = tenant;
    tenant->due_place = at + 1;
}

static void
settle(struct due *due, size_t at)
{
    struct tenant *tenant = due->heap[at];

    while (at > 0 && before(tenant, due->heap[(at - 1) / 2])) {
        put(due, at, due->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= due->count)
            break;
        if (child + 1 < due->count && before(due->heap[child + 1], due->heap[child]))
            child++;
        if (!before(due->heap[child], tenant))
            break;
        put(due, at, due->heap[child]);
        at = child;
    }
    put(due, at, tenant);
}

static void
take_out(struct due *due, struct tenant *tenant)
{
    const size_t at = tenant->due_place - 1;

    tenant->due_place = 0;
    due->count--;
    if (at == due->count)
        return;
    due->heap[at] = due->heap[due->count];
    settle(due, at);
}

bool
due_set(struct due *due, struct tenant *tenant, int64_t due_ms)
{
    if (tenant->due_place != 0)
        take_out(due, tenant);
    tenant->due_ms = due_ms;
    if (due_ms == INT64_MAX)
        return true;
    if (due->count == due->room) {
        const size_t room = due->room == 0 ? 64 : due->room * 2;
        struct tenant **heap = realloc(due->heap, room * sizeof(struct tenant *));

        if (heap == NULL)
            return false;
        due->heap = heap;
        due->room = room;
    }
    due->heap[due->count] = tenant;
    settle(due, due->count++);
    return true;
}

struct tenant *
due_first(const struct due *due, int64_t now_ms)
{
    return due->count > 0 && due->heap[0]->due_ms <= now_ms ? due->heap[0] : NULL;
}
