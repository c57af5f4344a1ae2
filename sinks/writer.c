#include "sinks/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
writer_free(struct writer *writer)
{
    free(writer->at);
    *writer = writer_new(writer->limit);
}

static bool
make_room(struct writer *writer, size_t more)
{
    size_t room = writer->room == 0 ? 1024 : writer->room;

    if (writer->full || more >= writer->limit - writer->size) {
        writer->full = true;
        return false;
    }
    while (room <= writer->size + more)
        room *= 2;
    if (room > writer->limit)
        room = writer->limit;
    if (room <= writer->room)
        return true;
    char *at = realloc(writer->at, room);

    if (at == NULL) {
        writer->full = true;
        return false;
    }
    writer->at = at;
    writer->room = room;
    return true;
}

void
writer_add(struct writer *writer, const void *bytes, size_t size)
{
    if (!make_room(writer, size))
        return;
    if (size > 0)
        memcpy(writer->at + writer->size, bytes, size);
    writer->size += size;
    writer->at[writer->size] = '\0';
}

void
writer_text(struct writer *writer, struct text text)
{
    writer_add(writer, text.at, text.size);
}

void
writer_string(struct writer *writer, const char *string)
{
    writer_add(writer, string, strlen(string));
}

void
writer_format(struct writer *writer, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    if (size >= 0 && make_room(writer, (size_t)size)) {
        (void)vsnprintf(writer->at + writer->size, (size_t)size + 1, format, again);
        writer->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

/* Size of the character at `at`; 0 when it is no UTF-8. */
static size_t
character_size(const char *at)
{
    const unsigned char lead = (unsigned char)*at;
    const size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

    for (size_t i = 1; i < size; i++)
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
    /* text_is_clean is exact, but refuses the controls, which are characters here. */
    const bool control = size == 1 || (size == 2 && lead == 0xc2);

    return control || text_is_clean((struct text){at, size}) ? size : 0;
}

static bool
breaks_a_line(const char *at, size_t size)
{
    const unsigned char first = (unsigned char)*at;

    if (size == 1)
        return first < 0x20 || first == 0x7f;
    if (size == 2)
        return first == 0xc2 && (unsigned char)at[1] < 0xa0;
    return size == 3 && (memcmp(at, "\xe2\x80\xa8", 3) == 0 || memcmp(at, "\xe2\x80\xa9", 3) == 0);
}

size_t
plain_line(char *text)
{
    size_t changed = 0;
    char *to = text;

    for (const char *at = text; *at != '\0';) {
        const size_t size = character_size(at);

        if (size == 0) {
            *to++ = '?';
            at++;
            changed++;
        } else if (breaks_a_line(at, size)) {
            at += size;
            changed++;
        } else {
            memmove(to, at, size);
            to += size;
            at += size;
        }
    }
    *to = '\0';
    return changed;
}
