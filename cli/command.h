/* What every command needs: its configuration, its errors, who is asking. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/options.h"
#include "config/config.h"

#include <jansson.h>

extern const struct command_row command_run;
extern const struct command_row command_check;
extern const struct command_row command_migrate;
extern const struct command_row command_status;
extern const struct command_row command_tenant_import;
extern const struct command_row command_tenant_set;
extern const struct command_row command_tenant_list;
extern const struct command_row command_tenant_show;
extern const struct command_row command_explain_charge;
extern const struct command_row command_report_increase;
extern const struct command_row command_prices_import;
extern const struct command_row command_prices_load;
extern const struct command_row command_prices_rerate;
extern const struct command_row command_decode;
extern const struct command_row command_detect;
extern const struct command_row command_test;
extern const struct command_row command_replay;
extern const struct command_row command_dead_list;
extern const struct command_row command_dead_show;
extern const struct command_row command_dead_retry;
extern const struct command_row command_dead_resume;
extern const struct command_row command_allow;
extern const struct command_row command_block;
extern const struct command_row command_enforce;
extern const struct command_row command_watch;
extern const struct command_row command_learn;
extern const struct command_row command_anomaly_list;
extern const struct command_row command_anomaly_show;
extern const struct command_row command_anomaly_real;
extern const struct command_row command_anomaly_planned;
extern const struct command_row command_anomaly_normal;
extern const struct command_row command_breaker_list;
extern const struct command_row command_breaker_explain;
extern const struct command_row command_breaker_trip;
extern const struct command_row command_breaker_allow;
extern const struct command_row command_breaker_reset;
extern const struct command_row command_breaker_accept;
extern const struct command_row command_breaker_shadow;

/* A line on stderr, with the program's name in front. */
void command_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Complains and gives the exit status of the error's class. */
enum answer command_failed(const struct err *why);
/* The same of a command that cannot be meant like this. */
enum answer command_misused(const struct err *why);

/* The file that -c or the environment names, with its policy. NULL after every finding was printed
 * to stderr; *answer is then the exit status. */
struct config *command_config(const struct arguments *arguments, struct policy **policy,
                              enum answer *answer);
/* The name of that file; NULL after a complaint. */
const char *command_config_path(const struct arguments *arguments);
/* Errors and, when `warnings`, warnings too: "file:line:column: text" a line. */
void command_print_findings(const struct findings *findings, bool warnings, FILE *out);

/* --actor, else who is logged in. */
const char *command_actor(const struct arguments *arguments);
/* --reason, of a command that wants one; NULL and an error when it is not said. */
const char *command_reason(const struct arguments *arguments, struct err *why);
/* NULL when it is not set or empty. */
const char *command_environment(const char *name);

/* Wall clock, shifted as the configuration says. */
int64_t command_now_ms(const struct config *config);

/* Indented, on stdout; takes the reference. */
enum answer command_print_json(json_t *document);

#endif
