#include "ingest/span.h"

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t
skip_blanks(struct text text, size_t at)
{
    while (at < text.size && is_blank(text.at[at]))
        at++;
    return at;
}

/* at: on the opening quote; the result: behind the closing one. */
static size_t
skip_string(struct text text, size_t at)
{
    for (at++; at < text.size && text.at[at] != '"'; at++)
        if (text.at[at] == '\\')
            at++;
    return at < text.size ? at + 1 : text.size;
}

/* Numbers, true, false, null: up to what may follow one. */
static size_t
skip_scalar(struct text text, size_t at)
{
    while (at < text.size && text.at[at] != ',' && text.at[at] != ']' && text.at[at] != '}' &&
           !is_blank(text.at[at]))
        at++;
    return at;
}

static size_t
skip_container(struct text text, size_t at)
{
    size_t depth = 0;

    while (at < text.size) {
        const char c = text.at[at];

        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            break;
    }
    return at;
}

static size_t
skip_value(struct text text, size_t at)
{
    if (at == text.size)
        return at;
    if (text.at[at] == '"')
        return skip_string(text, at);
    return text.at[at] == '{' || text.at[at] == '[' ? skip_container(text, at)
                                                    : skip_scalar(text, at);
}

bool
span_next(struct text *rest, struct text *value)
{
    /* On the bracket that opens the container, or behind a value: one mark to step over. */
    size_t at = skip_blanks(*rest, 0);

    if (at == rest->size || rest->at[at] == ']' || rest->at[at] == '}')
        return false;
    at = skip_blanks(*rest, at + 1);
    if (at == rest->size || rest->at[at] == ']' || rest->at[at] == '}')
        return false;

    size_t end = skip_value(*rest, at);
    const size_t behind = skip_blanks(*rest, end);

    if (behind < rest->size && rest->at[behind] == ':') {
        at = skip_blanks(*rest, behind + 1);
        end = skip_value(*rest, at);
    }
    *value = (struct text){rest->at + at, end - at};
    *rest = (struct text){rest->at + end, rest->size - end};
    return true;
}
