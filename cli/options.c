#include "cli/options.h"

#include "core/text.h"

#include <stdlib.h>

static const struct option_row help_row = {"help", NULL, "this text", false};

const char *
options_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 3; /* more than two slips is another word */

    for (size_t i = 0; i < count; i++) {
        const unsigned distance = text_distance(text_of(word), text_of(names[i]), 2);

        if (distance < best_distance && distance < strlen(names[i])) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

/* ---- which command ----------------------------------------------------------------------------- */

#define COMMAND_LIMIT 64

/* True when the command's name is `first`, or `first` and a second word. */
static bool
is_family(const struct command_row *command, const char *first)
{
    const size_t size = strlen(first);

    return strncmp(command->name, first, size) == 0 && command->name[size] == ' ';
}

static bool
unknown(const char *what, const char *word, const char *near, struct err *why)
{
    return near == NULL
               ? err_set(why, ERR_INPUT, "unknown %s \"%s\"; see: tripmeter help", what, word)
               : err_set(why, ERR_INPUT, "unknown %s \"%s\": did you mean \"%s\"?", what, word,
                         near);
}

/* Second words of a family. */
static const struct command_row *
second_word(const struct command_row *const *commands, int argc, char **argv, int *taken,
            struct err *why)
{
    const char *names[COMMAND_LIMIT];
    char all[256] = "";
    size_t count = 0;
    const size_t skip = strlen(argv[0]) + 1;

    for (; *commands != NULL && count < COMMAND_LIMIT; commands++) {
        if (!is_family(*commands, argv[0]))
            continue;
        const char *name = (*commands)->name + skip;

        if (argc > 1 && strcmp(argv[1], name) == 0) {
            *taken = 2;
            return *commands;
        }
        const size_t used = strlen(all);

        (void)snprintf(all + used, sizeof all - used, "%s%s", used == 0 ? "" : ", ", name);
        names[count++] = name;
    }
    if (argc < 2) {
        (void)err_set(why, ERR_INPUT, "%s what? One of: %s", argv[0], all);
        return NULL;
    }
    const char *near = options_nearest(argv[1], names, count);

    (void)err_set(why, ERR_INPUT, "%s has no \"%s\"%s%s%s it has: %s", argv[0], argv[1],
                  near == NULL ? ";" : ": did you mean \"", near == NULL ? "" : near,
                  near == NULL ? "" : "\"?", all);
    return NULL;
}

const struct command_row *
options_command(const struct command_row *const *commands, int argc, char **argv, int *taken,
                struct err *why)
{
    const char *names[COMMAND_LIMIT];
    char first[COMMAND_LIMIT][32];
    size_t count = 0;

    if (argc == 0) {
        (void)err_set(why, ERR_INPUT, "no command; see: tripmeter help");
        return NULL;
    }
    for (size_t i = 0; commands[i] != NULL && count < COMMAND_LIMIT; i++, count++) {
        if (strcmp(commands[i]->name, argv[0]) == 0) {
            *taken = 1;
            return commands[i];
        }
        if (is_family(commands[i], argv[0]))
            return second_word(commands, argc, argv, taken, why);
        (void)text_copy(first[count], sizeof first[count],
                        (struct text){commands[i]->name, strcspn(commands[i]->name, " ")});
        names[count] = first[count];
    }
    (void)unknown("command", argv[0], options_nearest(argv[0], names, count), why);
    return NULL;
}

/* ---- its options ------------------------------------------------------------------------------- */

static const struct option_row *
find_option(const struct command_row *command, struct text name, struct err *why)
{
    const char *names[COMMAND_LIMIT];
    char word[64];
    size_t count = 0;

    for (const struct option_row *row = command->options; row->name != NULL; row++) {
        if (text_eq(name, text_of(row->name)))
            return row;
        if (count < COMMAND_LIMIT)
            names[count++] = row->name;
    }
    (void)text_copy(word, sizeof word, name);
    const char *near = options_nearest(word, names, count);

    (void)err_set(why, ERR_INPUT, "%s has no option --%s%s%s%s; see: tripmeter %s --help",
                  command->name, word, near == NULL ? "" : ": did you mean --",
                  near == NULL ? "" : near, near == NULL ? "" : "?", command->name);
    return NULL;
}

/* One option at argv[*at]; moves on to the last word it took. */
static bool
take_option(const struct command_row *command, int argc, char **argv, int *at,
            struct arguments *out, struct err *why)
{
    const char *word = argv[*at];
    const bool is_short = word[1] != '-';
    const char *name = is_short ? word + 1 : word + 2;
    const char *equals = is_short ? NULL : strchr(name, '=');
    struct text wanted = {name, equals == NULL ? strlen(name) : (size_t)(equals - name)};

    if (is_short && strcmp(name, "c") == 0)
        wanted = TEXT("config");
    else if (is_short)
        return err_set(why, ERR_INPUT, "unknown option %s; see: tripmeter %s --help", word,
                       command->name);
    const struct option_row *row = find_option(command, wanted, why);

    if (row == NULL)
        return false;
    if (!row->repeats && option_given(out, row->name))
        return err_set(why, ERR_INPUT, "--%s is given twice", row->name);
    if (row->value == NULL && equals != NULL)
        return err_set(why, ERR_INPUT, "--%s takes no value", row->name);
    const char *value = equals == NULL ? NULL : equals + 1;

    if (row->value != NULL && value == NULL) {
        if (*at + 1 >= argc)
            return err_set(why, ERR_INPUT, "--%s needs a value: --%s %s", row->name, row->name,
                           row->value);
        value = argv[++*at];
    }
    out->given[out->given_count++] = (struct given){.option = row, .value = value};
    return true;
}

static bool
is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

bool
options_parse(const struct command_row *command, int argc, char **argv, struct arguments *out,
              struct err *why)
{
    bool only_words = false;

    *out = (struct arguments){.command = command,
                              .given = calloc((size_t)argc + 1, sizeof *out->given),
                              .words = calloc((size_t)argc + 1, sizeof *out->words)};
    if (out->given == NULL || out->words == NULL)
        return err_set(why, ERR_FATAL, "out of memory");
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        out->help = out->help || is_help(argv[i]);
    if (out->help)
        return true;
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (only_words || argv[i][0] != '-' || argv[i][1] == '\0')
            out->words[out->word_count++] = argv[i];
        else if (!take_option(command, argc, argv, &i, out, why))
            return false;
    }
    if (out->word_count < command->least)
        return err_set(why, ERR_INPUT, "too few words: tripmeter %s %s", command->name,
                       command->words);
    if (out->word_count > command->most)
        return err_set(why, ERR_INPUT, "\"%s\" is one word too many: tripmeter %s%s%s",
                       out->words[command->most], command->name,
                       command->words[0] == '\0' ? "" : " ", command->words);
    return true;
}

void
options_free(struct arguments *arguments)
{
    free(arguments->given);
    free((void *)arguments->words);
    *arguments = (struct arguments){.command = NULL};
}

const char *
option_value(const struct arguments *arguments, const char *name)
{
    for (size_t i = arguments->given_count; i > 0; i--)
        if (strcmp(arguments->given[i - 1].option->name, name) == 0)
            return arguments->given[i - 1].value;
    return NULL;
}

bool
option_given(const struct arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->given_count; i++)
        if (strcmp(arguments->given[i].option->name, name) == 0)
            return true;
    return false;
}

/* ---- help -------------------------------------------------------------------------------------- */

static void
print_option(const struct option_row *row, FILE *out)
{
    char left[64];

    (void)snprintf(left, sizeof left, "--%s%s%s", row->name, row->value == NULL ? "" : " ",
                   row->value == NULL ? "" : row->value);
    fprintf(out, "  %-26s %s\n", left, row->what);
}

void
options_help(const struct command_row *command, FILE *out)
{
    fprintf(out, "usage: tripmeter %s%s%s [options]\n\n%s.\n", command->name,
            command->words[0] == '\0' ? "" : " ", command->words, command->what);
    if (command->more != NULL)
        fprintf(out, "\n%s", command->more);
    fputs("\noptions:\n", out);
    for (const struct option_row *row = command->options; row->name != NULL; row++)
        print_option(row, out);
    print_option(&help_row, out);
    fputs("\nexit status: 0 fine, 1 the answer is no or there are findings, 2 the command line is\n"
          "wrong, 3 a server cannot be reached.\n",
          out);
}
