#include "core/table.h"

#include <assert.h>
#include <stdlib.h>

static struct table_slot *
slots_new(size_t count)
{
    struct table_slot *slots = aligned_alloc(TABLE_LINE, count * sizeof *slots);

    if (slots != NULL)
        for (size_t i = 0; i < count; i++)
            slots[i].value = TABLE_NONE;
    return slots;
}

bool
table_init(struct table *table, size_t expected, size_t limit)
{
    size_t room = 16;

    while (room / 4 * 3 < expected)
        room *= 2;
    *table = (struct table){.slots = slots_new(room), .mask = room - 1, .limit = limit};
    return table->slots != NULL;
}

void
table_free(struct table *table)
{
    free(table->slots);
    *table = (struct table){0};
}

void
table_clear(struct table *table)
{
    for (size_t i = 0; i <= table->mask; i++)
        table->slots[i].value = TABLE_NONE;
    table->count = 0;
}

static bool
grow(struct table *table)
{
    struct table bigger = {.mask = table->mask * 2 + 1, .limit = table->limit};

    bigger.slots = slots_new(bigger.mask + 1);
    if (bigger.slots == NULL)
        return false;
    /* No two keys are the same: each goes to the first free place. */
    for (size_t i = 0; i <= table->mask; i++)
        if (table->slots[i].value != TABLE_NONE) {
            size_t at = table_home(&bigger, table->slots[i].middle);

            while (bigger.slots[at].value != TABLE_NONE)
                at = (at + 1) & bigger.mask;
            bigger.slots[at] = table->slots[i];
        }
    bigger.count = table->count;
    free(table->slots);
    *table = bigger;
    return true;
}

bool
table_put(struct table *table, struct key128 key, uint32_t value)
{
    assert(value != TABLE_NONE);
    size_t at = table_place(table, key);

    if (table->slots[at].value == TABLE_NONE) {
        if (table->count == table->limit)
            return false;
        if (table->count + 1 > (table->mask + 1) / 4 * 3) {
            if (!grow(table))
                return false;
            at = table_place(table, key);
        }
        table->count++;
    }
    table->slots[at] = (struct table_slot){key.high, (uint32_t)(key.low >> 32), value};
    return true;
}

void
table_remove(struct table *table, struct key128 key)
{
    size_t hole = table_place(table, key);

    if (table->slots[hole].value == TABLE_NONE)
        return;
    table->count--;
    /* Whoever stands behind the hole and could stand in it or before it moves up. */
    for (size_t at = (hole + 1) & table->mask; table->slots[at].value != TABLE_NONE;
         at = (at + 1) & table->mask) {
        const size_t home = table_home(table, table->slots[at].middle);

        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = TABLE_NONE;
}
