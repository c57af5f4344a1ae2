/*
 * Text that grows while it is written, up to a limit given at the start.
 *
 * Too much text sets `full`, after which nothing more is written: the writer's owner looks once,
 * at the end.  `at` always ends with a NUL that is not counted.
 */
#ifndef SINKS_WRITER_H
#define SINKS_WRITER_H

#include "core/text.h"

struct writer {
    char *at; /* NULL before the first write */
    size_t size;
    size_t room;
    size_t limit; /* bytes, the NUL included */
    bool full;    /* the limit was reached or memory was short: the text is not complete */
};

static inline struct writer
writer_new(size_t limit)
{
    return (struct writer){.limit = limit};
}
void writer_free(struct writer *writer);

void writer_add(struct writer *writer, const void *bytes, size_t size);
void writer_text(struct writer *writer, struct text text);
void writer_string(struct writer *writer, const char *string);
void writer_format(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What was written; "" rather than NULL when it is nothing. */
static inline const char *
writer_get(const struct writer *writer)
{
    return writer->at == NULL ? "" : writer->at;
}

/* Removes control characters (C0, DEL, C1) and the line and paragraph separators of Unicode, in
 * place; bytes that are no UTF-8 become '?'. Returns how many were removed or replaced. */
size_t plain_line(char *text);

#endif
