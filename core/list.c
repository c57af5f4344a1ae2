#include "core/list.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16 };

void
list_init(struct list *list, size_t element_size, size_t limit)
{
    assert(element_size > 0 && limit <= PTRDIFF_MAX / element_size);
    *list = (struct list){.size = element_size, .limit = limit};
}

void
list_free(struct list *list)
{
    free(list->at);
    list->at = NULL;
    list->count = 0;
    list->room = 0;
}

static bool
list_grow(struct list *list)
{
    size_t room = list->room == 0 ? FIRST_ROOM : 2 * list->room;

    if (room > list->limit)
        room = list->limit;

    void *at = realloc(list->at, room * list->size);

    if (at == NULL)
        return false;
    list->at = at;
    list->room = room;
    return true;
}

void *
list_add(struct list *list)
{
    if (list->count >= list->limit)
        return NULL;
    if (list->count == list->room && !list_grow(list))
        return NULL;

    void *element = list_at(list, list->count++);

    memset(element, 0, list->size);
    return element;
}
