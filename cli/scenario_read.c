#include "cli/scenario_reader.h"

#include "cli/options.h"
#include "config/config.h"
#include "config/file.h"
#include "config/zones.h"
#include "rules/policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATEMENT_LIMIT = 20000, POLICY_LIMIT = 100 };
#define SCENARIO_MEMORY ((size_t)256 << 20)

/* ---- policies --------------------------------------------------------------------------------------- */

/* The lines that are indented behind `policy:`, in their own lines: what is found in them has its
 * place in the file. */
static struct text
take_block(struct reader *reader)
{
    const size_t lines = (size_t)reader->line;
    const size_t from = reader->at;
    size_t to = from;
    struct text out = {NULL, 0};

    while (reader->at < reader->body.size) {
        const size_t at = reader->at;
        const struct text line = reader_line(reader);
        size_t first = 0;

        while (first < line.size && reader_is_blank(line.at[first]))
            first++;
        const bool is_empty = first == line.size;

        if (!is_empty &&
            (first == 0 || (line.size - first > 7 && memcmp(line.at + first, "expect ", 7) == 0))) {
            reader->at = at;
            reader->line--;
            break;
        }
        to = reader->at;
    }
    char *text = arena_take(reader->scenario->arena, lines + (to - from) + 1);

    if (text == NULL)
        return out;
    memset(text, '\n', lines);
    memcpy(text + lines, reader->body.at + from, to - from);
    return (struct text){text, lines + (to - from)};
}

static const struct policy *
add_policy(struct reader *reader, const char *file, struct text body)
{
    struct scenario *scenario = reader->scenario;
    struct policy *policy = policy_load(file, body.at, body.size, reader->findings);

    findings_file(reader->findings, scenario->file);
    if (policy == NULL)
        return NULL;
    struct policy **kept = list_add(&scenario->policies);

    if (kept == NULL) {
        policy_free(policy);
        (void)finding_error(reader->findings, (struct mark){reader->line, 1},
                            "more than %d policies", POLICY_LIMIT);
        return NULL;
    }
    policy->serial = (int64_t)scenario->policies.count;
    *kept = policy;
    return policy;
}

static const struct policy *
read_policy_file(struct reader *reader, const char *path, struct mark at)
{
    struct text body;
    struct err why = {.class = ERR_NONE};

    if (path == NULL ||
        !file_read(path, SCENARIO_SIZE_LIMIT, reader->scenario->arena, &body, &why)) {
        (void)finding_error(reader->findings, at, "policy %s: %s", path == NULL ? "" : path,
                            path == NULL ? "out of memory" : why.text);
        return NULL;
    }
    return add_policy(reader, path, body);
}

static bool
read_policy(struct reader *reader, struct statement *statement, bool in_line)
{
    const bool is_first = reader->scenario->policy == NULL;

    if (in_line) {
        const struct text body = take_block(reader);

        if (body.at == NULL)
            return finding_error(reader->findings, statement->at, "out of memory");
        if (!is_first || reader->policy_file == NULL)
            statement->policy = add_policy(reader, reader->scenario->file, body);
    } else {
        const struct value *file = &statement->subjects[0];

        if (!is_first || reader->policy_file == NULL)
            statement->policy = read_policy_file(
                reader, file_beside(reader->scenario->file, file->text, reader->scenario->arena),
                file->at);
    }
    if (is_first && reader->policy_file != NULL)
        statement->policy = read_policy_file(reader, reader->policy_file, statement->at);
    if (is_first)
        reader->scenario->policy = statement->policy;
    return statement->policy != NULL;
}

/* ---- statements -------------------------------------------------------------------------------------- */

static bool
unknown_verb(struct reader *reader, const struct word *word)
{
    const char *names[64];
    size_t count = 0;

    for (const struct verb_row *row = scenario_verbs; row->name != NULL; row++)
        names[count++] = row->name;
    char said[128];
    const struct word *second = word + 1 < reader->words + reader->count ? word + 1 : NULL;
    const size_t size = text_copy(said, sizeof said, word->text);

    if (second != NULL && size + second->text.size + 2 < sizeof said)
        (void)snprintf(said + size, sizeof said - size, " %s", second->text.at);
    const char *near = options_nearest(said, names, count);

    if (near == NULL)
        near = options_nearest(word->text.at, names, count);
    if (near != NULL)
        return finding_error(reader->findings, word->at,
                             "nobody knows \"%s\"; did you mean \"%s\"?", word->text.at, near);
    return finding_error(reader->findings, word->at,
                         "nobody knows \"%s\"; docs/scenarios.md has the words there are",
                         word->text.at);
}

static const struct verb_row *
policy_row(void)
{
    const struct verb_row *row = scenario_verbs;

    while (row->verb != VERB_POLICY)
        row++;
    return row;
}

/* The verb is the next word, or the next two. */
static bool
read_verb(struct reader *reader, struct statement *statement)
{
    const struct word *word = reader_word(reader);

    if (word == NULL)
        return finding_error(reader->findings, reader_end(reader), "a time, and nothing happens");
    for (const struct verb_row *row = scenario_verbs; row->name != NULL; row++) {
        const size_t first = strcspn(row->name, " ");
        const char *second = row->name[first] == '\0' ? NULL : row->name + first + 1;

        if (!text_eq(word->text, (struct text){row->name, first}) ||
            (second != NULL &&
             (reader->next + 1 == reader->count || !text_eq(word[1].text, text_of(second)))))
            continue;
        statement->row = row;
        reader->next += second == NULL ? 1 : 2;
        return true;
    }
    return unknown_verb(reader, word);
}

static bool
read_zone(struct reader *reader, const struct value *name)
{
    struct err why = {.class = ERR_NONE};
    const struct zone *zone = zones_get(name->text, &why);

    if (zone == NULL)
        return finding_error(reader->findings, name->at, "%s", why.text);
    reader->zone = zone;
    return true;
}

static bool
read_when(struct reader *reader, struct statement *statement)
{
    const struct word *word = &reader->words[0];

    if (!reader_is_date(word->text))
        return true;
    if (!reader_time(reader, &statement->at_ms))
        return false;
    if (reader->happened && statement->at_ms < reader->last_ms)
        return finding_error(reader->findings, word->at, "time does not go back");
    reader->happened = statement->timed = true;
    reader->last_ms = statement->at_ms;
    return true;
}

/* What has no meaning where it stands. */
static bool
check_place(struct reader *reader, const struct statement *statement)
{
    const enum verb verb = statement->row->verb;

    if (verb != VERB_TIMES_IN && verb != VERB_POLICY && reader->scenario->policy == NULL &&
        reader->findings->error_count == 0)
        return finding_error(reader->findings, statement->at,
                             "a scenario begins with its policy: \"policy FILE\", or \"policy:\" "
                             "and the policy indented below it");
    if (statement->timed && verb >= VERB_EXPECT_NOTHING)
        return finding_error(reader->findings, statement->at,
                             "what is expected has no time of its own; it may say \"at\" one");
    if (!statement->timed && verb == VERB_TIME_PASSES)
        return finding_error(reader->findings, statement->at,
                             "until when? Say: 2026-04-01 00:00 time passes");
    if (!reader->happened &&
        (verb == VERB_USE || verb == VERB_SETTLE || verb == VERB_RESERVE || verb == VERB_RELEASE ||
         verb == VERB_REFUND || verb == VERB_CORRECT || verb == VERB_GAUGE))
        return finding_error(reader->findings, statement->at,
                             "when? Say: 2026-03-02 10:00 use ...");
    return true;
}

static bool
keep_statement(struct reader *reader, const struct statement *statement)
{
    struct statement *kept = list_add(&reader->scenario->statements);

    if (kept == NULL)
        return finding_error(reader->findings, statement->at, "more than %d statements",
                             STATEMENT_LIMIT);
    *kept = *statement;
    return true;
}

static bool
read_statement(struct reader *reader)
{
    struct statement statement = {.at = reader->words[0].at, .zone = reader->zone};

    if (!read_when(reader, &statement))
        return false;
    const struct word *word = reader_word(reader);
    const bool in_line = word != NULL && text_eq(word->text, TEXT("policy:"));

    if (in_line) {
        if (reader->next + 1 < reader->count)
            return finding_error(reader->findings, word[1].at,
                                 "the policy begins on the next line, indented");
        statement.row = policy_row();
    } else if (!read_verb(reader, &statement) || !reader_subjects(reader, &statement) ||
               !reader_values(reader, &statement))
        return false;
    const bool is_played =
        statement.row->verb != VERB_POLICY || statement.timed || reader->scenario->policy != NULL;

    if (statement.row->verb == VERB_TIMES_IN)
        return read_zone(reader, &statement.subjects[0]);
    if (statement.row->verb == VERB_POLICY && !read_policy(reader, &statement, in_line))
        return false;
    return check_place(reader, &statement) && (!is_played || keep_statement(reader, &statement));
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static struct scenario *
scenario_new(const char *file)
{
    struct arena *arena = arena_new(SCENARIO_MEMORY);
    struct scenario *scenario = arena == NULL ? NULL : arena_take(arena, sizeof *scenario);

    if (scenario == NULL) {
        arena_free(arena);
        return NULL;
    }
    scenario->arena = arena;
    scenario->file = arena_text(arena, text_of(file)).at;
    list_init(&scenario->statements, sizeof(struct statement), STATEMENT_LIMIT);
    list_init(&scenario->policies, sizeof(struct policy *), POLICY_LIMIT);
    return scenario;
}

void
scenario_free(struct scenario *scenario)
{
    if (scenario == NULL)
        return;
    for (size_t i = 0; i < scenario->policies.count; i++)
        policy_free(*(struct policy **)list_at(&scenario->policies, i));
    list_free(&scenario->policies);
    list_free(&scenario->statements);
    arena_free(scenario->arena);
}

struct scenario *
scenario_parse(const char *file, struct text body, const char *policy_file,
               struct findings *findings)
{
    struct reader *reader = calloc(1, sizeof *reader);
    struct scenario *scenario = reader == NULL ? NULL : scenario_new(file);

    findings_file(findings, file);
    if (scenario == NULL || scenario->file == NULL) {
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
        goto done;
    }
    reader->scenario = scenario;
    reader->findings = findings;
    reader->body = body;
    reader->zone = zone_utc();
    reader->policy_file = policy_file;
    while (reader->at < body.size)
        if (reader_split(reader, reader_line(reader)) && reader->count > 0)
            (void)read_statement(reader);
    if (scenario->policy == NULL && findings->error_count == 0)
        (void)finding_error(findings, (struct mark){1, 1}, "there is no policy in it");
done:
    free(reader);
    if (findings->error_count == 0)
        return scenario;
    scenario_free(scenario);
    return NULL;
}

struct scenario *
scenario_read(const char *file, const char *policy_file, struct findings *findings)
{
    struct arena *arena = arena_new(2 * SCENARIO_SIZE_LIMIT);
    struct text body = {NULL, 0};
    struct err why = {.class = ERR_NONE};
    struct scenario *scenario = NULL;

    findings_file(findings, file);
    if (arena == NULL)
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
    else if (!file_read(file, SCENARIO_SIZE_LIMIT, arena, &body, &why))
        (void)finding_error(findings, (struct mark){1, 1}, "%s", why.text);
    else
        scenario = scenario_parse(file, body, policy_file, findings);
    arena_free(arena);
    return scenario;
}
