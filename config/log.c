#include "config/log.h"

#include "config/now.h"
#include "core/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int log_level = LOG_INFO;
static atomic_bool log_json = false;

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARNING] = "warning",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

struct line {
    size_t size;
    char at[LOG_LINE_SIZE];
};

enum { LINE_END_SIZE = 2 }; /* kept free for the closing brace and the newline */

void
log_setup(enum log_level level, bool json)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_json, json);
}

static void
put(struct line *line, const char *at, size_t size)
{
    const size_t room = sizeof line->at - LINE_END_SIZE - line->size;

    if (size > room)
        size = room;
    memcpy(line->at + line->size, at, size);
    line->size += size;
}

static void
put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* JSON and terminals both want clean text: control characters become blanks, and where the bytes
 * are not UTF-8 everything outside ASCII becomes '?'. */
static void
clean(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    if (text_is_clean(text_of(text)))
        return;
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
}

/* The end of a value: of "..." the closing quote, else the next blank. */
static const char *
value_end(const char *at)
{
    if (*at != '"')
        return at + strcspn(at, " ");
    for (at++; *at != '\0' && *at != '"'; at++)
        if (*at == '\\' && at[1] != '\0')
            at++;
    return *at == '"' ? at + 1 : at;
}

static bool
is_integer(const char *at, size_t size)
{
    const size_t sign = size > 0 && at[0] == '-';
    const size_t digits = size - sign;

    if (digits == 0 || digits > 18 || (digits > 1 && at[sign] == '0'))
        return false;
    for (size_t i = sign; i < size; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

static void
put_json_string(struct line *line, const char *at, size_t size)
{
    put_text(line, "\"");
    for (size_t i = 0; i < size; i++) {
        if (at[i] == '"' || at[i] == '\\')
            put_text(line, "\\");
        put(line, at + i, 1);
    }
    put_text(line, "\"");
}

/* What log_quote wrote is nearly a JSON string already: only escapes other than \" and \\ are not. */
static void
put_json_value(struct line *line, const char *at, size_t size)
{
    char plain[LOG_LINE_SIZE];
    size_t used = 0;

    if (is_integer(at, size)) {
        put(line, at, size);
        return;
    }
    if (size < 2 || at[0] != '"') {
        put_json_string(line, at, size);
        return;
    }
    for (size_t i = 1; i < size - 1; i++) {
        if (at[i] == '\\' && i + 1 < size - 1)
            i++;
        plain[used++] = at[i];
    }
    put_json_string(line, plain, used);
}

/* logfmt to JSON members; a word without '=' is true, as logfmt has it. */
static void
put_json_fields(struct line *line, const char *fields)
{
    for (const char *at = fields + strspn(fields, " "); *at != '\0'; at += strspn(at, " ")) {
        const size_t name_size = strcspn(at, "= ");
        const char *value = at + name_size;
        const char *end = *value == '=' ? value_end(value + 1) : value;

        /* Members are written whole or not at all: a line that is cut stays JSON. */
        if (line->size + 2 * (size_t)(end - at) + 16 > sizeof line->at)
            return;
        put_text(line, ",");
        put_json_string(line, at, name_size);
        put_text(line, ":");
        if (*value == '=')
            put_json_value(line, value + 1, (size_t)(end - value - 1));
        else
            put_text(line, "true");
        at = end;
    }
}

static void
put_line(struct line *line, enum log_level level, const char *event, const char *fields)
{
    const bool json = atomic_load(&log_json);
    char at[CLOCK_TEXT_SIZE];

    (void)clock_format(now_wall_ms(), at);
    put_text(line, json ? "{\"time\":\"" : "time=");
    put_text(line, at);
    put_text(line, json ? "\",\"level\":\"" : " level=");
    put_text(line, level_names[level]);
    put_text(line, json ? "\",\"event\":\"" : " event=");
    put_text(line, event);
    if (json) {
        put_text(line, "\"");
        put_json_fields(line, fields);
        line->at[line->size++] = '}';
    } else if (fields[0] != '\0') {
        put_text(line, " ");
        put_text(line, fields);
    }
    line->at[line->size++] = '\n';
}

void
log_line(enum log_level level, const char *event, const char *fields, ...)
{
    char text[LOG_LINE_SIZE];
    struct line line = {.size = 0};
    va_list args;

    if ((int)level > atomic_load(&log_level))
        return;
    va_start(args, fields);
    (void)vsnprintf(text, sizeof text, fields, args);
    va_end(args);
    clean(text);
    put_line(&line, level, event, text);
    /* One write, so that lines of several threads stay apart; a log that cannot be written has
     * nobody to be told. */
    if (write(STDERR_FILENO, line.at, line.size) < 0)
        return;
}

const char *
log_quote(struct text text, char out[LOG_QUOTE_SIZE])
{
    size_t used = 0;
    size_t i;

    out[used++] = '"';
    for (i = 0; i < text.size && used + 4 <= LOG_QUOTE_SIZE; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\')
            out[used++] = '\\';
        out[used++] = text.at[i];
    }
    /* No half of a character at a cut. */
    while (i < text.size && used > 1 && (unsigned char)out[used - 1] >= 0x80)
        used--;
    out[used++] = '"';
    out[used] = '\0';
    return out;
}
