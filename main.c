/* tripmeter: one program, one row a command; `run` is the engine, the others are its operator's. */
#include "cli/command.h"

#include <string.h>

#define VERSION "0.1.0"

static const struct command_row *const commands[] = {&command_run,
                                                     &command_check,
                                                     &command_migrate,
                                                     &command_status,
                                                     &command_watch,
                                                     &command_tenant_set,
                                                     &command_tenant_show,
                                                     &command_tenant_list,
                                                     &command_tenant_import,
                                                     &command_allow,
                                                     &command_block,
                                                     &command_enforce,
                                                     &command_learn,
                                                     &command_breaker_list,
                                                     &command_breaker_explain,
                                                     &command_breaker_trip,
                                                     &command_breaker_allow,
                                                     &command_breaker_reset,
                                                     &command_breaker_accept,
                                                     &command_breaker_shadow,
                                                     &command_anomaly_list,
                                                     &command_anomaly_show,
                                                     &command_anomaly_real,
                                                     &command_anomaly_planned,
                                                     &command_anomaly_normal,
                                                     &command_dead_list,
                                                     &command_dead_show,
                                                     &command_dead_retry,
                                                     &command_dead_resume,
                                                     &command_explain_charge,
                                                     &command_report_increase,
                                                     &command_prices_import,
                                                     &command_prices_load,
                                                     &command_prices_rerate,
                                                     &command_decode,
                                                     &command_detect,
                                                     &command_test,
                                                     &command_replay,
                                                     NULL};

static void
print_commands(FILE *out)
{
    fputs("tripmeter keeps the meters of AI gateways: usage events in from Kafka, exact totals in\n"
          "Postgres, alerts by e-mail and webhook, blocks on the control topic.\n\n"
          "usage: tripmeter COMMAND [words] [options]\n\n",
          out);
    for (size_t i = 0; commands[i] != NULL; i++)
        fprintf(out, "  %-14s %s\n", commands[i]->name, commands[i]->what);
    fputs("  help COMMAND   what a command takes (also: COMMAND --help)\n\n"
          "Commands read the configuration that -c FILE or $TRIPMETER_CONFIG names.\n"
          "exit status: 0 fine, 1 the answer is no or there are findings, 2 the command line is\n"
          "wrong, 3 a server cannot be reached.\n",
          out);
}

/* All commands of a family ("tenant"), when the only words are its name. */
static bool
print_family(const char *first)
{
    const size_t size = strlen(first);
    bool any = false;

    for (size_t i = 0; commands[i] != NULL; i++)
        if (strncmp(commands[i]->name, first, size) == 0 && commands[i]->name[size] == ' ') {
            printf("  tripmeter %-14s %s\n", commands[i]->name, commands[i]->what);
            any = true;
        }
    return any;
}

static bool
is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static enum answer
help(int argc, char **argv)
{
    struct err why = {.class = ERR_NONE};
    int taken = 0;

    if (argc == 0) {
        print_commands(stdout);
        return ANSWER_FINE;
    }
    if (argc == 1 && print_family(argv[0]))
        return ANSWER_FINE;
    const struct command_row *command = options_command(commands, argc, argv, &taken, &why);

    if (command == NULL) {
        command_complain("%s", why.text);
        return ANSWER_USAGE;
    }
    options_help(command, stdout);
    return ANSWER_FINE;
}

static enum answer
run(int argc, char **argv)
{
    struct err why = {.class = ERR_NONE};
    struct arguments arguments = {.command = NULL};
    enum answer answer = ANSWER_USAGE;
    int taken = 0;
    const struct command_row *command = options_command(commands, argc, argv, &taken, &why);

    if (command == NULL || !options_parse(command, argc - taken, argv + taken, &arguments, &why))
        command_complain("%s", why.text);
    else if (arguments.help) {
        options_help(command, stdout);
        answer = ANSWER_FINE;
    } else
        answer = command->run(&arguments);
    options_free(&arguments);
    return answer;
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return ANSWER_USAGE;
    }
    if (is(argv[1], "--version", "-V")) {
        puts("tripmeter " VERSION);
        return ANSWER_FINE;
    }
    if (is(argv[1], "--help", "-h"))
        return (int)help(0, NULL);
    if (strcmp(argv[1], "help") == 0)
        return (int)help(argc - 2, argv + 2);
    if (argc == 3 && is(argv[2], "--help", "-h") && print_family(argv[1]))
        return ANSWER_FINE;
    return (int)run(argc - 1, argv + 1);
}
