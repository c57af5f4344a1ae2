#include "sinks/page_text.h"

#include "core/clock.h"

#include <inttypes.h>
#include <stdio.h>

void
page_escaped(struct writer *out, const char *text)
{
    for (const char *at = text == NULL ? "" : text; *at != '\0';) {
        const size_t plain = strcspn(at, "&<>\"'");

        writer_add(out, at, plain);
        at += plain;
        if (*at != '\0')
            writer_format(out, "&#%d;", *at++);
    }
}

void
page_name(struct writer *out, const char *name)
{
    writer_string(out, "<bdi>");
    page_escaped(out, name);
    writer_string(out, "</bdi>");
}

void
page_prose(struct writer *out, const char *text)
{
    bool code = false;

    for (const char *at = text == NULL ? "" : text; *at != '\0'; at++) {
        const char piece[] = {*at, '\0'};

        if (*at != '`') {
            page_escaped(out, piece);
            continue;
        }
        code = !code;
        writer_string(out, code ? "<code>" : "</code>");
    }
    writer_string(out, code ? "</code>" : "");
}

const char *
page_member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool
page_is(const json_t *object, const char *name, const char *value)
{
    return text_eq(text_of(page_member(object, name)), text_of(value));
}

int64_t
page_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void
page_amount(struct writer *out, const char *amount)
{
    const char *at = amount == NULL ? "" : amount;
    char fraction[16];
    size_t digits;
    bool cents;

    if (*at == '-') {
        writer_string(out, "\xe2\x88\x92"); /* a real minus does not wrap away from its number */
        at++;
    }
    digits = strspn(at, "0123456789");
    cents = at[0] != '0';
    for (; digits > 0; digits--, at++) {
        writer_add(out, at, 1);
        if (digits > 1 && digits % 3 == 1)
            writer_string(out, ",");
    }
    /* The fraction: a point and at most two digits, when there is anything before it. */
    (void)text_copy(fraction, cents ? 4 : sizeof fraction, text_of(at));
    page_escaped(out, fraction);
}

void
page_count(struct writer *out, int64_t count)
{
    char digits[24];

    (void)snprintf(digits, sizeof digits, "%" PRId64, count);
    page_amount(out, digits);
}

static bool
time_of(const char *text, int64_t *at_ms)
{
    return text != NULL && clock_parse(text_of(text), at_ms);
}

void
page_span(struct writer *out, int64_t ms)
{
    const int64_t seconds = ms / CLOCK_SECOND_MS;
    const int64_t minutes = seconds / 60;
    const int64_t hours = minutes / 60;

    if (seconds < 60)
        writer_format(out, "%" PRId64 " s", seconds);
    else if (minutes < 60)
        writer_format(out, "%" PRId64 " min", minutes);
    else if (hours < 48)
        writer_format(out, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
    else
        writer_format(out, "%" PRId64 " days", hours / 24);
}

void
page_time(struct writer *out, const json_t *document, const char *text)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char form[CLOCK_TEXT_SIZE];
    int64_t now_ms = 0;
    int64_t at_ms;

    if (!time_of(text, &at_ms))
        return;
    (void)time_of(page_member(document, "now"), &now_ms);
    (void)clock_format(at_ms, form);

    const struct civil day = clock_civil(clock_day_of(at_ms));

    writer_format(out, "<time datetime=\"%s\" title=\"%s\">%" PRId32 " %s ", form, form, day.day,
                  months[day.month - 1]);
    if (day.year != clock_civil(clock_day_of(now_ms)).year)
        writer_format(out, "%" PRId32 " ", day.year);
    writer_format(out, "%.5s</time><small>", form + 11);
    writer_string(out, at_ms > now_ms ? "in " : "");
    page_span(out, at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms);
    writer_string(out, at_ms > now_ms ? "</small>" : " ago</small>");
}

void
page_pill(struct writer *out, const char *tone, const char *text)
{
    writer_format(out, "<span class=\"pill %s\">", tone);
    page_escaped(out, text);
    writer_string(out, "</span>");
}

void
page_table(struct writer *out, const char *const *columns, page_row *put_row,
           const json_t *document, const json_t *rows)
{
    writer_string(out, "<table><thead><tr>");
    for (; *columns != NULL; columns++)
        writer_format(out, "<th>%s</th>", *columns);
    writer_string(out, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        writer_string(out, "<tr>");
        put_row(out, document, json_array_get(rows, i));
        writer_string(out, "</tr>\n");
    }
    writer_string(out, "</tbody></table>\n");
}

void
page_cell(struct writer *out, const char *label, const char *class)
{
    writer_format(out, "<td data-l=\"%s\"%s%s%s><div>", label, class[0] == '\0' ? "" : " class=\"",
                  class, class[0] == '\0' ? "" : "\"");
}

void
page_cell_end(struct writer *out)
{
    writer_string(out, "</div></td>");
}

void
page_time_cell(struct writer *out, const char *label, const json_t *document, const char *text)
{
    page_cell(out, label, "");
    page_time(out, document, text);
    page_cell_end(out);
}
