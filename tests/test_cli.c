/* Protects: what an operator types is understood, or refused with a word that helps. */
#include "cli/options.h"
#include "core/text.h"
#include "tests/check.h"

#include <string.h>

static enum answer
nothing(const struct arguments *arguments)
{
    (void)arguments;
    return ANSWER_FINE;
}

static const struct option_row options[] = {{"config", "FILE", "configuration", false},
                                            {"limit", "QUOTA=N", "a limit", true},
                                            {"json", NULL, "for programs", false},
                                            {NULL, NULL, NULL, false}};
static const struct command_row run_row = {
    .name = "run", .words = "", .options = options, .what = "runs", .run = nothing};
static const struct command_row set_row = {.name = "tenant set",
                                           .words = "TENANT",
                                           .least = 1,
                                           .most = 1,
                                           .options = options,
                                           .what = "sets",
                                           .run = nothing};
static const struct command_row list_row = {
    .name = "tenant list", .words = "", .options = options, .what = "lists", .run = nothing};
static const struct command_row *const commands[] = {&run_row, &set_row, &list_row, NULL};

#define WORD_LIMIT 8

/* The words of a line, by blanks. */
static int
split(char *line, char **words)
{
    int count = 0;
    char *rest = NULL;

    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count;
}

static void
test_command(void)
{
    static const struct {
        const char *line;
        const struct command_row *command;
        int taken;
        const char *error;
    } rows[] = {
        {"run", &run_row, 1, NULL},
        {"tenant set acme", &set_row, 2, NULL},
        {"tenant list", &list_row, 2, NULL},
        {"rum", NULL, 0, "unknown command \"rum\": did you mean \"run\"?"},
        {"tennant set", NULL, 0, "unknown command \"tennant\": did you mean \"tenant\"?"},
        {"elephant", NULL, 0, "unknown command \"elephant\"; see: tripmeter help"},
        {"tenant", NULL, 0, "tenant what? One of: set, list"},
        {"tenant lits", NULL, 0,
         "tenant has no \"lits\": did you mean \"list\"? it has: set, list"},
        {"tenant burn", NULL, 0, "tenant has no \"burn\"; it has: set, list"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[64];
        char *words[WORD_LIMIT];
        struct err why = {.class = ERR_NONE};
        int taken = 0;

        (void)text_copy(line, sizeof line, text_of(rows[i].line));
        const int count = split(line, words);
        const struct command_row *command = options_command(commands, count, words, &taken, &why);

        CHECK_INT(rows[i].line, command == rows[i].command, true);
        CHECK_INT(rows[i].line, taken, rows[i].taken);
        if (rows[i].error != NULL)
            CU_ASSERT_STRING_EQUAL(why.text, rows[i].error);
    }
}

static void
test_options(void)
{
    static const struct {
        const char *line;  /* after "tenant set" */
        const char *error; /* NULL: accepted */
    } rows[] = {
        {"acme", NULL},
        {"acme -c f --limit a=1 --limit b=2", NULL},
        {"--config=f acme --json", NULL},
        {"-c f -- --acme", NULL},
        {"-", NULL},
        {"--help whatever --x", NULL},
        {"", "too few words: tripmeter tenant set TENANT"},
        {"a b", "\"b\" is one word too many: tripmeter tenant set TENANT"},
        {"a --jsn",
         "tenant set has no option --jsn: did you mean --json?; see: tripmeter tenant set --help"},
        {"a --zzzzzz", "tenant set has no option --zzzzzz; see: tripmeter tenant set --help"},
        {"a -x", "unknown option -x; see: tripmeter tenant set --help"},
        {"a --limit", "--limit needs a value: --limit QUOTA=N"},
        {"a --json=1", "--json takes no value"},
        {"a -c f --config g", "--config is given twice"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[64];
        char *words[WORD_LIMIT];
        struct err why = {.class = ERR_NONE};
        struct arguments arguments;

        (void)text_copy(line, sizeof line, text_of(rows[i].line));
        const int count = split(line, words);
        const bool good = options_parse(&set_row, count, words, &arguments, &why);

        CHECK_INT(rows[i].line, good, rows[i].error == NULL);
        if (rows[i].error != NULL)
            CU_ASSERT_STRING_EQUAL(why.text, rows[i].error);
        options_free(&arguments);
    }
}

static void
test_values(void)
{
    char line[] = "acme --limit a=1 --config=x=y --limit=b";
    char *words[WORD_LIMIT];
    const int count = split(line, words);
    struct err why = {.class = ERR_NONE};
    struct arguments arguments;

    CU_ASSERT_TRUE_FATAL(options_parse(&set_row, count, words, &arguments, &why));
    CU_ASSERT_STRING_EQUAL(option_value(&arguments, "config"), "x=y");
    CU_ASSERT_STRING_EQUAL(option_value(&arguments, "limit"), "b");
    CU_ASSERT_PTR_NULL(option_value(&arguments, "json"));
    CU_ASSERT_FALSE(option_given(&arguments, "json"));
    CHECK_INT("given", arguments.given_count, 3);
    CU_ASSERT_STRING_EQUAL(arguments.given[0].value, "a=1");
    CU_ASSERT_STRING_EQUAL(arguments.words[0], "acme");
    options_free(&arguments);
}

static CU_TestInfo tests[] = {
    {"a command is found, or the nearest is named", test_command},
    {"options are taken, or what is wrong is said", test_options},
    {"values keep their order", test_values},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_cli = {"cli", NULL, NULL, NULL, NULL, tests};
