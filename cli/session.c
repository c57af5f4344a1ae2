#include "cli/session.h"

bool
session_open(struct session *session, const struct arguments *arguments, enum answer *answer)
{
    struct err why = {.class = ERR_NONE};

    *session = (struct session){.policy = NULL};
    session->config = command_config(arguments, &session->policy, answer);
    if (session->config == NULL)
        return false;
    if (db_open(&session->db, session->config, &why))
        return true;
    *answer = session_close(session, ANSWER_NO, &why);
    return false;
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
