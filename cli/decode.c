/* decode: what the engine makes of the values of a file. */
#include "cli/command.h"
#include "ingest/explain.h"

#include <errno.h>

static enum answer
run_decode(const struct arguments *arguments)
{
    const char *name = arguments->words[0];
    const bool is_stdin = strcmp(name, "-") == 0;
    struct err why = {.class = ERR_NONE};
    FILE *file = is_stdin ? stdin : fopen(name, "r");
    size_t refused = 0;

    if (file == NULL) {
        command_complain("%s: %s", name,
                         errno == ENOENT ? "there is no such file" : "it cannot be opened");
        return ANSWER_NO;
    }
    const bool good = decode_file(file, stdout, &refused, &why);

    if (!is_stdin)
        (void)fclose(file);
    if (good)
        return refused == 0 ? ANSWER_FINE : ANSWER_NO;
    /* A file is no server. */
    command_complain("%s: %s", name, why.text);
    return ANSWER_NO;
}

static const struct option_row decode_options[] = {{NULL, NULL, NULL, false}};

const struct command_row command_decode = {
    .name = "decode",
    .words = "FILE|-",
    .least = 1,
    .most = 1,
    .what = "Say what the engine makes of each value of a file",
    .more =
        "One value a line, as a tool that dumps a topic writes them. Exit status 1 when any is\n"
        "refused. An event's age is not judged: a file has no record times.\n",
    .options = decode_options,
    .run = run_decode};
