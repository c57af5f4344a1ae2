/* A command at work: its configuration and its connection to Postgres. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/command.h"
#include "cli/db.h"
#include "rules/policy.h"

struct session {
    struct config *config;
    struct policy *policy; /* of the configuration's file; the stored one when that has errors */
    bool is_stored;        /* it is */
    struct db db;
};

/* False after a complaint; *answer is then the exit status. */
bool session_open(struct session *session, const struct arguments *arguments, enum answer *answer);
/* Closes; an error in `why` is complained of and becomes the exit status, else it is `answer`. */
enum answer session_close(struct session *session, enum answer answer, const struct err *why);

/* The policy in force: the one stored in Postgres, else (before the first run) that of the file.
 * NULL and an error when the stored one cannot be read. session_close frees it. */
const struct policy *session_policy(struct session *session, struct err *why);

#endif
