/* tenant import: many contracts in one transaction, all or none. */
#include "cli/applied.h"
#include "cli/contract.h"
#include "cli/session.h"
#include "core/list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LINE_LIMIT   ((size_t)1 << 20)
#define TENANT_LIMIT 1000000

struct line {
    json_t *object; /* owns `tenant` and what is below */
    const char *tenant;
    size_t number; /* from 1 */
};

struct import {
    const char *name; /* of the file */
    struct session *session;
    const struct arguments *arguments;
    struct list lines; /* struct line */
    json_t *seen;      /* tenant -> line */
    size_t errors;
};

static bool
complain(struct import *import, size_t number, const char *text)
{
    fprintf(stderr, "%s:%zu: %s\n", import->name, number, text);
    import->errors++;
    return false;
}

/* Takes the member out of the object; NULL when it is not there. */
static bool
take_text(json_t *object, const char *member, json_t **out)
{
    *out = json_incref(json_object_get(object, member));
    (void)json_object_del(object, member);
    return *out == NULL || json_is_string(*out);
}

/* Reads one line: its tenant, and in the object only the contract, reason, actor and from. */
static bool
read_object(struct import *import, json_t *object, size_t number)
{
    char text[ERR_TEXT_SIZE];
    struct err why = {.class = ERR_NONE};
    const char *tenant = json_string_value(json_object_get(object, "tenant"));

    if (tenant == NULL || tenant[0] == '\0' || strlen(tenant) > 128 ||
        !text_is_clean(text_of(tenant)))
        return complain(import, number, "\"tenant\" must be a text of 1 to 128 bytes");
    json_t *before = json_object_get(import->seen, tenant);

    if (before != NULL) {
        (void)snprintf(text, sizeof text, "tenant %s was on line %" JSON_INTEGER_FORMAT " already",
                       tenant, json_integer_value(before));
        return complain(import, number, text);
    }
    (void)json_object_set_new(import->seen, tenant, json_integer((json_int_t)number));
    json_t *spec = json_copy(object);
    static const char *const around[] = {"tenant", "reason", "actor", "from"};
    bool good = spec != NULL;

    for (size_t i = 0; good && i < 4; i++) {
        json_t *taken = NULL;

        good = take_text(spec, around[i], &taken) ||
               err_set(&why, ERR_INPUT, "\"%s\" must be a text", around[i]);
        json_decref(taken);
    }
    good = good && contract_check(spec, import->session->policy, &why);
    json_decref(spec);
    if (!good) {
        (void)err_wrap(&why, "tenant %s", tenant);
        return complain(import, number, why.text);
    }
    struct line *line = list_add(&import->lines);

    if (line == NULL)
        return complain(import, number, "more tenants than one import takes");
    *line = (struct line){.object = json_incref(object), .tenant = tenant, .number = number};
    return true;
}

static void
read_line(struct import *import, const char *bytes, size_t size, size_t number)
{
    json_error_t error;
    char text[ERR_TEXT_SIZE];
    json_t *object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);

    if (object == NULL) {
        (void)snprintf(text, sizeof text, "no JSON: %s (column %d)", error.text, error.column);
        (void)complain(import, number, text);
    } else if (!json_is_object(object))
        (void)complain(import, number, "not a JSON object; one tenant a line");
    else
        (void)read_object(import, object, number);
    json_decref(object);
}

static bool
read_lines(struct import *import, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    size_t number = 0;
    ssize_t size;

    while ((size = getline(&line, &room, file)) >= 0) {
        number++;
        if ((size_t)size > LINE_LIMIT)
            (void)complain(import, number, "longer than 1 MiB");
        else if (strspn(line, " \t\r\n") < (size_t)size)
            read_line(import, line, (size_t)size, number);
    }
    free(line);
    if (ferror(file))
        return complain(import, number, "cannot be read on");
    return import->errors == 0;
}

static const char *
member_or(const struct line *line, const char *name, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(line->object, name));

    return value == NULL ? otherwise : value;
}

static bool
write_lines(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    struct import *import = what;
    const char *reason = option_value(arguments, "reason");
    size_t count[3] = {0, 0, 0}; /* unchanged, new, changed */

    for (size_t i = 0; i < import->lines.count; i++) {
        struct line *line = list_at(&import->lines, i);
        const struct contract_words words = {
            .actor = member_or(line, "actor", command_actor(arguments)),
            .reason = member_or(line, "reason", reason == NULL ? "import" : reason),
            .from = member_or(line, "from", NULL),
            .currency = session->policy->currency.at};
        int64_t version = 0;

        if (!contract_write(&session->db, line->tenant, line->object, &words, &version, why))
            return err_wrap(why, "%s:%zu: tenant %s", import->name, line->number, line->tenant);
        count[version > 1 ? 2 : version]++;
    }
    printf("%zu tenants: %zu new, %zu changed, %zu as they were\n", import->lines.count, count[1],
           count[2], count[0]);
    return true;
}

static enum answer
import_file(struct import *import, FILE *file, struct err *why)
{
    if (!read_lines(import, file)) {
        command_complain("%zu of the lines cannot be imported; nothing was changed",
                         import->errors);
        return ANSWER_NO;
    }
    (void)applied_change(import->session, import->arguments, write_lines, import, why);
    return ANSWER_FINE;
}

static enum answer
run_import(const struct arguments *arguments)
{
    const char *name = arguments->words[0];
    const bool is_stdin = strcmp(name, "-") == 0;
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;
    FILE *file = is_stdin ? stdin : fopen(name, "r");

    if (file == NULL) {
        const int number = errno;

        command_complain("%s: cannot be opened (%s)", name,
                         number == ENOENT ? "there is no such file" : "no permission");
        return ANSWER_NO;
    }
    if (session_open(&session, arguments, &answer)) {
        struct import import = {.name = is_stdin ? "stdin" : name,
                                .session = &session,
                                .arguments = arguments,
                                .seen = json_object()};

        list_init(&import.lines, sizeof(struct line), TENANT_LIMIT);
        answer = import_file(&import, file, &why);
        for (size_t i = 0; i < import.lines.count; i++)
            json_decref(((struct line *)list_at(&import.lines, i))->object);
        list_free(&import.lines);
        json_decref(import.seen);
        answer = session_close(&session, answer, &why);
    }
    if (!is_stdin)
        (void)fclose(file);
    return answer;
}

static const struct option_row import_options[] = {
    OPTION_CONFIG,
    {"reason", "TEXT", "why, for lines that do not say", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

const struct command_row command_tenant_import = {
    .name = "tenant import",
    .words = "FILE|-",
    .least = 1,
    .most = 1,
    .what = "Write many contracts at once, all or none",
    .more =
        "One JSON object a line; what a line does not name is the plan's. Tenants that are not\n"
        "in the file stay as they are; a contract that says the same gets no new version.\n"
        "\n"
        "  {\"tenant\": \"acme\", \"plan\": \"starter\", \"zone\": \"Europe/Berlin\",\n"
        "   \"cycle\": \"anchor:31\", \"currency\": \"EUR\",\n"
        "   \"limits\": {\"api_calls\": 60000, \"spend\": \"250.00\", \"ai_tokens\": "
        "\"unlimited\"},\n"
        "   \"projects\": {\"web\": {\"limits\": {\"api_calls\": 500}}},\n"
        "   \"reason\": \"order 4711\", \"actor\": \"anna\", \"from\": \"2026-03-01T00:00:00Z\"}\n",
    .options = import_options,
    .run = run_import};
