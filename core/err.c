#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

bool
err_set(struct err *why, enum err_class class, const char *format, ...)
{
    va_list args;

    why->class = class;
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    one_line(why->text);
    return false;
}

bool
err_wrap(struct err *why, const char *format, ...)
{
    char inner[ERR_TEXT_SIZE];
    va_list args;

    memcpy(inner, why->text, sizeof inner);
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    const size_t used = strlen(why->text);
    (void)snprintf(why->text + used, sizeof why->text - used, ": %s", inner);
    one_line(why->text);
    return false;
}
