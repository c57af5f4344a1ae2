/* dead resume: a partition that was halted for events that cannot be read is read on. */
#include "cli/applied.h"
#include "cli/position.h"
#include "cli/session.h"

#include <inttypes.h>
#include <stdio.h>

static const struct option_row options[] = {OPTION_CONFIG,
                                            {"reason", "TEXT", "why; kept with the command", false},
                                            OPTION_ACTOR,
                                            OPTION_NO_WAIT,
                                            {NULL, NULL, NULL, false}};

static bool
resume(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const struct position *at = what;
    char partition[24];

    (void)snprintf(partition, sizeof partition, "%" PRId32, at->partition);
    const char *const values[] = {at->topic, partition, command_actor(arguments),
                                  option_value(arguments, "reason")};
    PGresult *rows = db_query(&session->db, "SELECT tripmeter.dead_resume($1, $2::integer, $3, $4)",
                              values, 4, why);

    PQclear(rows);
    if (rows != NULL)
        printf("%s/%s is read on, by %s: %s\n", at->topic, partition, values[2], values[3]);
    return rows != NULL;
}

static enum answer
run(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct position at;

    if (!position_parse_partition(arguments->words[0], &at, &why) ||
        command_reason(arguments, &why) == NULL)
        return command_misused(&why);
    return applied_command(arguments, resume, &at);
}

const struct command_row command_dead_resume = {
    .name = "dead resume",
    .words = "TOPIC/PARTITION",
    .least = 1,
    .most = 1,
    .what = "Read a partition on that was halted for what cannot be read",
    .more =
        "When more than half of at least 200 events of 5 minutes cannot be read, the partition\n"
        "is halted, also over restarts, so that nothing drains away into the dead letters. It\n"
        "goes on where it stopped; if it is still no better, it halts again.\n",
    .options = options,
    .run = run};
