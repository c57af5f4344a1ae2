/*
 * The words of a command line: which command, its options, and what is left.
 *
 * Every command is a row: name ("run", "tenant set"), help and options; what --help prints is made
 * from it.  Options are long (`--reason TEXT`, `--reason=TEXT`); -c stands for --config and -h for
 * --help.  `--` ends them; `-` is a word.  A word that nobody knows gets a suggestion.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "core/err.h"

#include <stddef.h>
#include <stdio.h>

/* Exit statuses; --help documents them. */
enum answer {
    ANSWER_FINE = 0,
    ANSWER_NO = 1, /* the answer is no, or there are findings */
    ANSWER_USAGE = 2,
    ANSWER_UNREACHED = 3, /* a server cannot be reached */
};

struct option_row {
    const char *name;  /* "reason" */
    const char *value; /* as --help calls it: "TEXT"; NULL: a flag */
    const char *what;
    bool repeats;
};

#define OPTION_CONFIG                                                                    \
    {                                                                                    \
        "config", "FILE", "configuration; -c for short (else $TRIPMETER_CONFIG)", false, \
    }
#define OPTION_JSON                                      \
    {                                                    \
        "json", NULL, "print JSON, for programs", false, \
    }
#define OPTION_FORCE                                                              \
    {                                                                             \
        "force", NULL, "take prices ten thousand times their predecessors", false \
    }
#define OPTION_NO_WAIT                                                         \
    {                                                                          \
        "no-wait", NULL, "do not wait until the engine has applied it", false, \
    }
#define OPTION_ACTOR                                                      \
    {                                                                     \
        "actor", "NAME", "who says so (else $SUDO_USER or $USER)", false, \
    }

struct arguments;

struct command_row {
    const char *name;
    const char *words;                /* "SCOPE", "[TENANT]", or "" */
    int least;                        /* words it needs */
    int most;                         /* words it takes */
    const char *what;                 /* one line */
    const char *more;                 /* paragraphs for --help, or NULL */
    const struct option_row *options; /* the last row's name is NULL */
    enum answer (*run)(const struct arguments *arguments);
};

struct given {
    const struct option_row *option;
    const char *value; /* NULL: a flag */
};

struct arguments {
    const struct command_row *command;
    struct given *given; /* in the order of the command line */
    size_t given_count;
    const char **words;
    int word_count;
    bool help; /* --help was among them: nothing else was checked */
};

/* Which of the commands the words name, and how many of the words that took; NULL and an INPUT
 * error with a suggestion when they name none. */
const struct command_row *options_command(const struct command_row *const *commands, int argc,
                                          char **argv, int *taken, struct err *why);
/* The words after the command's name. INPUT error for what is unknown, missing, or too much.
 * options_free either way. */
bool options_parse(const struct command_row *command, int argc, char **argv, struct arguments *out,
                   struct err *why);
void options_free(struct arguments *arguments);

/* NULL when it was not given. */
const char *option_value(const struct arguments *arguments, const char *name);
bool option_given(const struct arguments *arguments, const char *name);

/* The nearest of the names, NULL when none is near. */
const char *options_nearest(const char *word, const char *const *names, size_t count);

void options_help(const struct command_row *command, FILE *out);

#endif
