#include "config/findings.h"

#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_ROOM = 16, ARENA_SIZE = 1 << 20 };

void
findings_file(struct findings *findings, const char *file)
{
    if (findings->arena == NULL)
        findings->arena = arena_new(ARENA_SIZE);
    findings->file = findings->arena == NULL ? NULL : arena_text(findings->arena, text_of(file)).at;
    if (findings->file == NULL)
        findings->file = "configuration";
}

static struct finding *
new_finding(struct findings *findings)
{
    if (findings->count == FINDINGS_LIMIT || findings->arena == NULL)
        return NULL;
    if (findings->count == findings->room) {
        const size_t room = findings->room == 0 ? FIRST_ROOM : 2 * findings->room;
        struct finding *at = arena_take(findings->arena, room * sizeof *at);

        if (at == NULL)
            return NULL;
        if (findings->count > 0)
            memcpy(at, findings->at, findings->count * sizeof *at);
        findings->at = at;
        findings->room = room;
    }
    return &findings->at[findings->count];
}

__attribute__((format(printf, 4, 0))) static void
add(struct findings *findings, bool warning, struct mark at, const char *format, va_list values)
{
    struct err line;
    char text[ERR_TEXT_SIZE];
    struct finding *finding = new_finding(findings);

    if (finding == NULL)
        return;
    if (findings->count == FINDINGS_LIMIT - 1)
        (void)snprintf(text, sizeof text, "there is more; repair what stands here first");
    else
        (void)vsnprintf(text, sizeof text, format, values);
    (void)err_set(&line, ERR_INPUT, "%s", text); /* makes it one line */
    *finding = (struct finding){
        .file = findings->file,
        .line = at.line,
        .column = at.column,
        .text = arena_text(findings->arena, text_of(line.text)).at,
        .warning = warning,
    };
    if (finding->text == NULL)
        finding->text = "no memory for the text of this finding";
    findings->count++;
}

bool
finding_error(struct findings *findings, struct mark at, const char *format, ...)
{
    va_list values;

    findings->error_count++;
    va_start(values, format);
    add(findings, false, at, format, values);
    va_end(values);
    return false;
}

void
finding_warning(struct findings *findings, struct mark at, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    add(findings, true, at, format, values);
    va_end(values);
}

static bool
is_behind(const struct finding *a, const struct finding *b)
{
    return a->line > b->line || (a->line == b->line && a->column > b->column);
}

void
findings_sort(struct findings *findings, size_t from)
{
    for (size_t i = from + 1; i < findings->count; i++) {
        const struct finding moved = findings->at[i];
        size_t to = i;

        for (; to > from && is_behind(&findings->at[to - 1], &moved); to--)
            findings->at[to] = findings->at[to - 1];
        findings->at[to] = moved;
    }
}

void
findings_free(struct findings *findings)
{
    arena_free(findings->arena);
    *findings = (struct findings){0};
}
