#include "cli/scenario_reader.h"

#include "cli/options.h"
#include "config/quota_load.h"
#include "config/value.h"

#include <stdio.h>

/* ---- lines and words ------------------------------------------------------------------------------ */

bool
reader_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct text
reader_line(struct reader *reader)
{
    const struct text rest = {reader->body.at + reader->at, reader->body.size - reader->at};
    const char *end = memchr(rest.at, '\n', rest.size);
    const size_t size = end == NULL ? rest.size : (size_t)(end - rest.at);

    reader->at += size + (end != NULL);
    reader->line++;
    return (struct text){rest.at, size};
}

/* Columns count characters, as editors do. */
static struct mark
mark_of(const struct reader *reader, struct text line, size_t at)
{
    struct mark mark = {reader->line, 1};

    for (size_t i = 0; i < at; i++)
        mark.column += ((unsigned char)line.at[i] & 0xc0) != 0x80;
    return mark;
}

static bool
add_word(struct reader *reader, struct text line, size_t from, size_t to)
{
    const struct mark at = mark_of(reader, line, from);
    const struct text text = {line.at + from, to - from};

    if (reader->count == SCENARIO_WORD_LIMIT)
        return finding_error(reader->findings, at, "more than %d words on a line",
                             SCENARIO_WORD_LIMIT);
    if (!text_is_clean(text))
        return finding_error(reader->findings, at, "control characters, or no UTF-8");
    reader->words[reader->count++] =
        (struct word){.text = arena_text(reader->scenario->arena, text), .at = at};
    return reader->words[reader->count - 1].text.at != NULL ||
           finding_error(reader->findings, at, "out of memory");
}

/* A word ends at a blank, a quoted one at its second quote; # begins a comment where a word could
 * begin. */
bool
reader_split(struct reader *reader, struct text line)
{
    size_t at = 0;

    reader->count = reader->next = 0;
    if (line.size > SCENARIO_LINE_LIMIT)
        return finding_error(reader->findings, (struct mark){reader->line, 1},
                             "a line of more than %d bytes", SCENARIO_LINE_LIMIT);
    for (;;) {
        while (at < line.size && reader_is_blank(line.at[at]))
            at++;
        if (at == line.size || line.at[at] == '#')
            return true;
        const bool quoted = line.at[at] == '"';
        const size_t from = at + quoted;

        for (at = from;
             at < line.size && (quoted ? line.at[at] != '"' : !reader_is_blank(line.at[at]));)
            at++;
        if (quoted && at == line.size)
            return finding_error(reader->findings, mark_of(reader, line, from - 1),
                                 "a quote without its second one");
        if (!add_word(reader, line, from, at))
            return false;
        at += quoted;
    }
}

const struct word *
reader_word(const struct reader *reader)
{
    return reader->next < reader->count ? &reader->words[reader->next] : NULL;
}

/* Where something is missing: behind the last word. */
struct mark
reader_end(const struct reader *reader)
{
    const struct word *last = &reader->words[reader->count - 1];

    return (struct mark){last->at.line, last->at.column + (int)last->text.size};
}

/* ---- times ---------------------------------------------------------------------------------------- */

bool
reader_is_date(struct text text)
{
    return text.size == 10 && text.at[4] == '-' && text.at[7] == '-';
}

/* "10:00", "10:00:30", "10:00:30.250"; with Z behind in UTC, else in the zone. */
static bool
instant_of(const struct reader *reader, struct text date, struct text time, int64_t *out)
{
    char text[64];
    int64_t local_ms = 0;
    const bool is_utc = time.size > 0 && time.at[time.size - 1] == 'Z';
    const size_t size = time.size - is_utc;

    if (size < 5 || size > 12)
        return false;
    (void)snprintf(text, sizeof text, "%sT%.*s%sZ", date.at, (int)size, time.at,
                   size == 5 ? ":00" : "");
    if (!clock_parse(text_of(text), &local_ms))
        return false;
    *out = is_utc ? local_ms : zone_instant(reader->zone, local_ms);
    return true;
}

bool
reader_time(struct reader *reader, int64_t *out)
{
    const struct word *date = reader_word(reader);

    if (date == NULL)
        return finding_error(reader->findings, reader_end(reader), "a time is missing");
    if (reader->next + 1 < reader->count && reader_is_date(date->text) &&
        instant_of(reader, date->text, date[1].text, out)) {
        reader->next += 2;
        return true;
    }
    return finding_error(reader->findings, date->at,
                         "%s is no time: write date and time, as in 2026-03-02 10:00",
                         date->text.at);
}

const char *
scenario_time(const struct zone *zone, int64_t at_ms, char out[SCENARIO_TIME_SIZE])
{
    const int64_t local_ms = at_ms + zone_offset_at(zone, at_ms).offset_ms;
    char text[CLOCK_TEXT_SIZE];
    size_t size = strlen(clock_format(local_ms, text)) - 1; /* without Z */

    /* "2026-03-02T10:00:00" */
    if (size == 19 && memcmp(text + 16, ":00", 3) == 0)
        size -= 3;
    text[10] = ' ';
    (void)text_copy(out, SCENARIO_TIME_SIZE, (struct text){text, size});
    return out;
}

/* ---- values ----------------------------------------------------------------------------------------- */

static bool
read_amount(struct text text, struct value *out)
{
    bool is_decimal = false;

    return tally_parse_money(text, &out->nano) ||
           limit_read(text, (struct text){NULL, 0}, &out->nano, &is_decimal) == NULL;
}

static bool
read_choice(struct reader *reader, const struct word *word, const struct field_row *field)
{
    int64_t index = 0;

    if (field->choices == NULL || value_choice(word->text, field->choices, &index))
        return true;
    return finding_error(reader->findings, word->at, "%s: %s is none of %s", field->name,
                         word->text.at, field->choices);
}

static bool
read_value(struct reader *reader, const struct field_row *field, struct value *out)
{
    const struct word *word = reader_word(reader);
    const char *must = NULL;

    if (word == NULL)
        return finding_error(reader->findings, reader_end(reader), "%s is missing its value",
                             field->name);
    *out = (struct value){.field = field, .at = word->at, .text = word->text};
    switch (field->kind) {
    case VALUE_TIME:
        if (!text_eq(word->text, TEXT("never")))
            return reader_time(reader, &out->number);
        out->number = INT64_MAX;
        break;
    case VALUE_TEXT:
        if (!read_choice(reader, word, field))
            return false;
        break;
    case VALUE_COUNT:
        must = value_count(word->text, &out->number) ? NULL : "a whole number, as in 1_000 or 50k";
        break;
    case VALUE_AMOUNT:
        must = read_amount(word->text, out) ? NULL : "an amount, as in 1_000 or 12.50";
        break;
    case VALUE_DURATION:
        must = value_duration(word->text, &out->number) ? NULL : "a duration, as in 2h or 1d";
        break;
    case VALUE_YES:
        out->number = text_eq(word->text, TEXT("yes"));
        must = out->number == 1 || text_eq(word->text, TEXT("no")) ? NULL : "yes or no";
        break;
    }
    reader->next++;
    return must == NULL ||
           finding_error(reader->findings, word->at, "%s must be %s", field->name, must);
}

static bool
unknown_field(struct reader *reader, const struct verb_row *row, const struct word *word)
{
    const char *names[64];
    size_t count = 0;

    for (const struct field_row *field = row->fields; field != NULL && field->name != NULL; field++)
        names[count++] = field->name;
    const char *near = options_nearest(word->text.at, names, count);

    if (near != NULL)
        return finding_error(reader->findings, word->at, "\"%s\" takes no %s; did you mean %s?",
                             row->name, word->text.at, near);
    return finding_error(reader->findings, word->at, "\"%s\" takes no %s", row->name,
                         word->text.at);
}

bool
reader_values(struct reader *reader, struct statement *statement)
{
    const struct verb_row *row = statement->row;

    statement->values =
        arena_take(reader->scenario->arena, reader->count * sizeof *statement->values);
    if (statement->values == NULL)
        return finding_error(reader->findings, statement->at, "out of memory");
    while (reader_word(reader) != NULL) {
        const struct word *word = reader_word(reader);
        const struct field_row *field = row->fields;

        while (field != NULL && field->name != NULL && !text_eq(text_of(field->name), word->text))
            field++;
        if (field == NULL || field->name == NULL)
            return unknown_field(reader, row, word);
        if (statement_value(statement, field->name) != NULL && strcmp(field->name, "limit") != 0)
            return finding_error(reader->findings, word->at, "%s stands here twice", field->name);
        reader->next++;
        if (!read_value(reader, field, &statement->values[statement->value_count]))
            return false;
        statement->value_count++;
    }
    return true;
}

bool
reader_subjects(struct reader *reader, struct statement *statement)
{
    for (size_t i = 0; i < SCENARIO_SUBJECT_LIMIT; i++) {
        const struct field_row *subject = &statement->row->subjects[i];

        if (subject->name == NULL)
            break;
        if (reader_word(reader) == NULL)
            return finding_error(reader->findings, reader_end(reader), "\"%s\" needs %s",
                                 statement->row->name, subject->name);
        if (!read_value(reader, subject, &statement->subjects[i]))
            return false;
    }
    return true;
}

const struct value *
statement_value(const struct statement *statement, const char *field)
{
    for (size_t i = 0; i < statement->value_count; i++)
        if (strcmp(statement->values[i].field->name, field) == 0)
            return &statement->values[i];
    return NULL;
}

struct text
statement_text(const struct statement *statement, const char *field)
{
    const struct value *value = statement_value(statement, field);

    return value == NULL ? (struct text){NULL, 0} : value->text;
}
