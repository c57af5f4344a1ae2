#include "cli/status.h"

static enum answer
run_status(const struct arguments *arguments)
{
    const bool json = option_given(arguments, "json");
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    answer = arguments->word_count == 0 ? status_overview(&session, json, &why)
                                        : status_tenant(&session, arguments->words[0], json, &why);
    return session_close(&session, answer, &why);
}

static const struct option_row status_options[] = {
    OPTION_CONFIG, OPTION_JSON, {NULL, NULL, NULL, false}};

const struct command_row command_status = {
    .name = "status",
    .words = "[TENANT]",
    .least = 0,
    .most = 1,
    .what = "Show how a tenant stands, or the engine",
    .more = "With TENANT: used, limit, remaining, level and reset of each quota, as settled in\n"
            "Postgres; what the engine has counted since its last settlement (half a second) is\n"
            "not in it. Without: shards and their lag, what is blocked, open alerts.\n",
    .options = status_options,
    .run = run_status};
