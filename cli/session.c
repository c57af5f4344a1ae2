#include "cli/session.h"

#include <inttypes.h>

/* A file that somebody is half-way through editing is no reason to answer nothing: the engine does not
 * go by it either. */
static bool
take_stored(struct session *session, const struct findings *findings, struct err *why)
{
    const struct finding *first = findings->at;

    while (first < findings->at + findings->count && first->warning)
        first++;
    if (session_policy(session, why) == NULL || first == findings->at + findings->count)
        return false;
    session->is_stored = true;
    command_complain("%s:%d:%d: %s (all errors: tripmeter check); this goes by policy %" PRId64
                     ", as stored in Postgres",
                     first->file, first->line, first->column, first->text, session->policy->serial);
    return true;
}

bool
session_open(struct session *session, const struct arguments *arguments, enum answer *answer)
{
    struct findings findings = {.force = option_given(arguments, "force")};
    struct err why = {.class = ERR_NONE};
    const char *path = command_config_path(arguments);

    *session = (struct session){.policy = NULL};
    *answer = ANSWER_USAGE;
    if (path == NULL)
        return false;
    *answer = ANSWER_NO;
    session->config = config_load_alone(path, &session->policy, &findings);
    bool good = session->config != NULL;

    if (good)
        good = db_open(&session->db, session->config, &why) &&
               (session->policy != NULL || take_stored(session, &findings, &why));
    if (!good && why.class == ERR_NONE)
        command_print_findings(&findings, false, stderr);
    findings_free(&findings);
    if (!good && session->config != NULL)
        *answer = session_close(session, ANSWER_NO, &why);
    return good;
}

enum answer
session_close(struct session *session, enum answer answer, const struct err *why)
{
    db_close(&session->db);
    policy_free(session->policy);
    config_free(session->config);
    return why->class == ERR_NONE ? answer : command_failed(why);
}

const struct policy *
session_policy(struct session *session, struct err *why)
{
    struct findings findings = {.force = true};
    PGresult *rows = db_query(&session->db,
                              "SELECT body, serial FROM tripmeter.policy"
                              " ORDER BY serial DESC LIMIT 1",
                              NULL, 0, why);

    if (rows == NULL)
        return NULL;
    if (PQntuples(rows) == 0) {
        PQclear(rows);
        return session->policy;
    }
    struct policy *stored = policy_load("the policy stored in Postgres", PQgetvalue(rows, 0, 0),
                                        (size_t)PQgetlength(rows, 0, 0), &findings);

    if (stored == NULL) {
        (void)err_set(why, ERR_INPUT,
                      "the policy stored in Postgres (serial %s) cannot be read: %s",
                      PQgetvalue(rows, 0, 1), findings.count == 0 ? "" : findings.at[0].text);
    } else {
        stored->serial = db_int(rows, 0, 1);
        policy_free(session->policy);
        session->policy = stored;
    }
    findings_free(&findings);
    PQclear(rows);
    return stored;
}
