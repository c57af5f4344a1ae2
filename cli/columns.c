#include "cli/columns.h"

#include "core/arena.h"
#include "core/list.h"

#include <stdbool.h>
#include <stdlib.h>

#define MEMORY_LIMIT ((size_t)256 << 20)
#define CELL_LIMIT   ((size_t)1 << 22)

struct columns {
    struct arena *arena;
    struct list cells; /* const char * */
    size_t count;
    bool right[COLUMN_LIMIT];
    bool short_of_memory;
};

struct columns *
columns_new(const char *const *titles)
{
    struct arena *arena = arena_new(MEMORY_LIMIT);
    struct columns *columns = arena == NULL ? NULL : arena_take(arena, sizeof *columns);

    if (columns == NULL) {
        arena_free(arena);
        return NULL;
    }
    columns->arena = arena;
    list_init(&columns->cells, sizeof(const char *), CELL_LIMIT);
    while (titles[columns->count] != NULL && columns->count < COLUMN_LIMIT) {
        const char *title = titles[columns->count];

        columns->right[columns->count++] = title[0] == '>';
        columns_add(columns, title[0] == '>' ? title + 1 : title);
    }
    return columns;
}

void
columns_free(struct columns *columns)
{
    if (columns == NULL)
        return;
    list_free(&columns->cells);
    arena_free(columns->arena);
}

void
columns_add(struct columns *columns, const char *cell)
{
    const char **place = list_add(&columns->cells);
    const size_t size = cell == NULL ? 0 : strlen(cell);
    char *copy = arena_take(columns->arena, size + 1);

    if (place == NULL || copy == NULL) {
        columns->short_of_memory = true;
        return;
    }
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)((unsigned char)cell[i] < ' ' || cell[i] == 0x7f ? ' ' : cell[i]);
    *place = copy;
}

size_t
columns_rows(const struct columns *columns)
{
    return columns->cells.count / columns->count - 1;
}

/* Characters of UTF-8: every byte that does not continue one. */
static size_t
width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static const char *
cell_at(const struct columns *columns, size_t index)
{
    return *(const char **)list_at(&columns->cells, index);
}

static void
pad(FILE *out, size_t blanks)
{
    while (blanks-- > 0)
        fputc(' ', out);
}

void
columns_print(const struct columns *columns, FILE *out)
{
    size_t width[COLUMN_LIMIT] = {0};

    if (columns->short_of_memory) {
        fputs("(too much to show)\n", out);
        return;
    }
    for (size_t i = 0; i < columns->cells.count; i++) {
        const size_t wide = width_of(cell_at(columns, i));

        if (wide > width[i % columns->count])
            width[i % columns->count] = wide;
    }
    for (size_t i = 0; i < columns->cells.count; i++) {
        const size_t column = i % columns->count;
        const char *cell = cell_at(columns, i);
        const size_t blanks = width[column] - width_of(cell);
        const bool last = column + 1 == columns->count;

        if (columns->right[column])
            pad(out, blanks);
        fputs(cell, out);
        if (!columns->right[column] && !last)
            pad(out, blanks);
        fputs(last ? "\n" : "  ", out);
    }
}
