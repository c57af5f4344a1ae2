/* run, check, migrate: what an installation begins with. */
#include "cli/budgets.h"
#include "cli/command.h"
#include "cli/db.h"
#include "cli/diff.h"
#include "cli/history.h"
#include "config/keys.h"
#include "core/clock.h"
#include "engine/engine.h"
#include "rules/policy.h"
#include "sinks/migrate.h"

/* ---- run --------------------------------------------------------------------------------------- */

static enum answer
run_run(const struct arguments *arguments)
{
    struct policy *policy = NULL;
    enum answer answer;
    engine_seed();
    struct config *config = command_config(arguments, &policy, &answer);

    if (config == NULL)
        return answer;
    return (enum answer)engine_run(config, policy, option_given(arguments, "activate"),
                                   option_given(arguments, "force"));
}

static const struct option_row run_options[] = {
    OPTION_CONFIG,
    {"activate", NULL, "go back to a policy that was in force before", false},
    OPTION_FORCE,
    {NULL, NULL, NULL, false}};

const struct command_row command_run = {
    .name = "run",
    .words = "",
    .least = 0,
    .most = 0,
    .what = "Run the engine",
    .more =
        "SIGTERM and SIGINT settle what was counted and end it; SIGHUP reads the configuration\n"
        "again, all of it or, when it has errors, nothing.\n",
    .options = run_options,
    .run = run_run};

/* ---- check ------------------------------------------------------------------------------------- */

/* Measured: 500,000 events with names and ids of usual length, indexes included. */
#define RECORD_BYTES 350

static void
print_record(const struct config *config)
{
    if (!config->record.on) {
        puts("  record     off: events are not kept; late duplicates and refunds are unverified");
        return;
    }
    printf("  record     %lld days of settled events, some %.1f GB a day for every 100 events a "
           "second",
           (long long)(config->record.keep_ms / CLOCK_DAY_MS),
           100.0 * CLOCK_DAY_MS / 1000 * RECORD_BYTES / 1e9);
    if (config->record.keep_gb > 0)
        printf(", at most %lld GB", (long long)config->record.keep_gb);
    puts("");
}

static void
print_summary(const struct config *config, const struct policy *policy)
{
    printf("%s: fine\n", config->path);
    printf("  topics     ");
    for (size_t i = 0; i < config->kafka.topic_count; i++)
        printf("%s%s", i == 0 ? "" : ", ", config->kafka.topics[i]);
    printf(" at %s, group %s, times %s\n", config->kafka.brokers, config->kafka.group,
           config->kafka.time == TIME_APPEND ? "of the broker" : "of the producers");
    printf("  decisions  %s\n", config->kafka.control_topic);
    printf("  policy     %s: %zu plans, unknown tenants get %.*s\n", config->policy_path,
           policy->plan_count, (int)policy->fallback_plan->name.size,
           policy->fallback_plan->name.at);
    for (size_t i = 0; i < policy->prices.list_count; i++)
        printf("  prices     %s: %zu models in %s, %s\n", policy->prices.lists[i].name.at,
               policy->prices.lists[i].entry_count, policy->prices.lists[i].currency.at,
               policy->prices.lists[i].file.at);
    print_record(config);
    for (size_t i = 0; i < config->alerts.receiver_count; i++) {
        const struct receiver *receiver = &config->alerts.receivers[i];

        printf("  alerts     %s:", receiver->name);
        for (size_t e = 0; e < receiver->endpoint_count; e++)
            printf("%s %s", e == 0 ? "" : ",", receiver->endpoints[e].target);
        puts("");
    }
}

/* What breakers would have done; needs Postgres, unlike the rest. */
static enum answer
check_history(const struct arguments *arguments)
{
    const char *word = option_value(arguments, "history");
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;
    int64_t span_ms;

    if (!clock_parse_duration(text_of(word), &span_ms) || span_ms < CLOCK_HOUR_MS ||
        span_ms > 400 * CLOCK_DAY_MS) {
        command_complain("--history %s is no duration from 1h to 400d, like 28d", word);
        return ANSWER_USAGE;
    }
    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)history_check(&session, span_ms, &why);
    return session_close(&session, ANSWER_FINE, &why);
}

/* What the policy would open and close; likewise. */
static enum answer
check_diff(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    size_t changes = 0;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)diff_check(&session, &changes, &why);
    return session_close(&session, changes == 0 ? ANSWER_FINE : ANSWER_NO, &why);
}

/* What tenants have given to their projects; likewise. */
static enum answer
check_budgets(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    size_t over = 0;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)budgets_check(&session, &over, &why);
    return session_close(&session, over == 0 ? ANSWER_FINE : ANSWER_NO, &why);
}

static enum answer
run_check(const struct arguments *arguments)
{
    struct findings findings = {.force = option_given(arguments, "force")};
    struct policy *policy = NULL;

    if (option_given(arguments, "keys")) {
        keys_print(stdout);
        return ANSWER_FINE;
    }
    const char *path = command_config_path(arguments);

    if (path == NULL)
        return ANSWER_USAGE;
    struct config *config = config_load(path, &policy, &findings);

    command_print_findings(&findings, true, stdout);
    if (config != NULL)
        print_summary(config, policy);
    findings_free(&findings);
    policy_free(policy);
    enum answer answer = config == NULL ? ANSWER_NO : ANSWER_FINE;

    config_free(config);
    if (answer == ANSWER_FINE && option_given(arguments, "history"))
        answer = check_history(arguments);
    if (answer == ANSWER_FINE && option_given(arguments, "budgets"))
        answer = check_budgets(arguments);
    if (answer == ANSWER_FINE && option_given(arguments, "diff"))
        answer = check_diff(arguments);
    return answer;
}

static const struct option_row check_options[] = {
    OPTION_CONFIG,
    {"budgets", NULL,
     "also what the tenants stored have given to their projects, and what is unallocated", false},
    {"diff", NULL,
     "also which alerts and blocks the policy would open or close for the tenants stored", false},
    {"history", "DURATION",
     "also what its breakers would have cut in the settled hours of the last "
     "28d, say",
     false},
    {"keys", NULL, "list every key of the configuration instead", false},
    OPTION_FORCE,
    {NULL, NULL, NULL, false}};

const struct command_row command_check = {.name = "check",
                                          .words = "",
                                          .least = 0,
                                          .most = 0,
                                          .what =
                                              "Read configuration and policy and name every error",
                                          .more = "Each finding is a line file:line:column: text. "
                                                  "Nothing is contacted, unless --budgets,\n"
                                                  "--diff or --history ask Postgres; nothing is "
                                                  "changed by asking. With --budgets the exit\n"
                                                  "status is 1 when projects have more than their "
                                                  "tenant, with --diff when anything would\n"
                                                  "open or close, or a contract does not fit the "
                                                  "policy.\n",
                                          .options = check_options,
                                          .run = run_check};

/* ---- migrate ----------------------------------------------------------------------------------- */

static void
on_progress(void *context, const char *line)
{
    (void)context;
    puts(line);
}

static enum answer
run_migrate(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct policy *policy = NULL;
    enum answer answer;
    struct pg pg = {.conn = NULL};
    struct config *config = command_config(arguments, &policy, &answer);

    if (config == NULL)
        return answer;
    /* Opened first, so that a server that is not there is told from a migration that fails. */
    const bool reached = pg_open(&pg, config->postgres.url, "tripmeter migrate", &why);

    pg_close(&pg);
    if (!reached)
        why.class = ERR_RETRY;
    const bool good = reached && migrate_run(config->postgres.url, on_progress, NULL, &why);

    policy_free(policy);
    config_free(config);
    return good ? ANSWER_FINE : command_failed(&why);
}

static const struct option_row migrate_options[] = {OPTION_CONFIG, {NULL, NULL, NULL, false}};

const struct command_row command_migrate = {
    .name = "migrate",
    .words = "",
    .least = 0,
    .most = 0,
    .what = "Create the database's schema or bring it up to date",
    .more = "Doing it again changes nothing. Whoever owns the database should do it; the engine's\n"
            "own user needs no such rights.\n",
    .options = migrate_options,
    .run = run_migrate};
