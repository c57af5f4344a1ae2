#include "cli/command.h"

#include "config/now.h"
#include "core/clock.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void
command_complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("tripmeter: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

enum answer
command_failed(const struct err *why)
{
    command_complain("%s", why->text);
    return why->class == ERR_RETRY ? ANSWER_UNREACHED : ANSWER_NO;
}

enum answer
command_misused(const struct err *why)
{
    command_complain("%s", why->text);
    return ANSWER_USAGE;
}

const char *
command_environment(const char *name)
{
    /* Nothing here changes the environment, and commands have one thread of ours. */
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

    return value == NULL || value[0] == '\0' ? NULL : value;
}

const char *
command_config_path(const struct arguments *arguments)
{
    const char *path = option_value(arguments, "config");

    if (path == NULL)
        path = command_environment("TRIPMETER_CONFIG");
    if (path == NULL)
        command_complain("which configuration? Say: tripmeter %s -c FILE, or set TRIPMETER_CONFIG",
                         arguments->command->name);
    return path;
}

void
command_print_findings(const struct findings *findings, bool warnings, FILE *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->at[i];

        if (!one->warning)
            fprintf(out, "%s:%d:%d: %s\n", one->file, one->line, one->column, one->text);
        else if (warnings)
            fprintf(out, "%s:%d:%d: warning: %s\n", one->file, one->line, one->column, one->text);
    }
}

struct config *
command_config(const struct arguments *arguments, struct policy **policy, enum answer *answer)
{
    struct findings findings = {.force = option_given(arguments, "force")};
    const char *path = command_config_path(arguments);

    *answer = ANSWER_USAGE;
    if (path == NULL)
        return NULL;
    *answer = ANSWER_NO;
    struct config *config = config_load(path, policy, &findings);

    if (config == NULL)
        command_print_findings(&findings, false, stderr);
    findings_free(&findings);
    return config;
}

const char *
command_actor(const struct arguments *arguments)
{
    static char nobody[32]; /* a service without a name in its environment */
    const char *actor = option_value(arguments, "actor");

    if (actor == NULL)
        actor = command_environment("SUDO_USER");
    if (actor == NULL)
        actor = command_environment("USER");
    if (actor != NULL)
        return actor;
    (void)snprintf(nobody, sizeof nobody, "uid %lu", (unsigned long)getuid());
    return nobody;
}

const char *
command_reason(const struct arguments *arguments, struct err *why)
{
    const char *reason = option_value(arguments, "reason");

    if (reason != NULL && reason[0] != '\0')
        return reason;
    (void)err_set(why, ERR_INPUT, "why? Say it with --reason TEXT");
    return NULL;
}

int64_t
command_now_ms(const struct config *config)
{
    return now_wall_ms() + config->clock_offset_ms;
}

enum answer
command_print_json(json_t *document)
{
    const bool good = document != NULL && json_dumpf(document, stdout, JSON_INDENT(2)) == 0 &&
                      putchar('\n') != EOF && fflush(stdout) == 0;

    json_decref(document);
    if (!good)
        command_complain("the answer could not be written");
    return good ? ANSWER_FINE : ANSWER_NO;
}
