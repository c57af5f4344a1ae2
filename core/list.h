/*
 * A growing array of equal elements with a limit, for what a settlement carries.
 *
 * Elements keep their index, not their address, while the list grows.  Memory is kept over a
 * clear, so that a warm list allocates nothing.
 */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    void *at; /* `count` elements of `size` bytes */
    size_t count;
    size_t size;  /* bytes of one element */
    size_t room;  /* elements there is memory for */
    size_t limit; /* elements it may hold */
};

void list_init(struct list *list, size_t element_size, size_t limit);
void list_free(struct list *list);
static inline void
list_clear(struct list *list)
{
    list->count = 0;
}
/* A zeroed new last element, or NULL when the limit is reached or memory is short. */
void *list_add(struct list *list);
static inline void *
list_at(const struct list *list, size_t index)
{
    return (char *)list->at + index * list->size;
}

#endif
