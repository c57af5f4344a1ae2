#include "tests/alerts_env.h"

#include "tests/check.h"

static void
configure(struct alerts_env *env)
{
    static const char *const names[2][2] = {{"engineering/webhook/0", "engineering/email/0"},
                                            {"billing/webhook/0", "billing/email/0"}};
    static const char *const targets[2][2] = {
        {"http://127.0.0.1:1/engineering", "oncall@example.com"},
        {"http://127.0.0.1:1/billing", "billing@example.com"}};

    for (int r = 0; r < 2; r++)
        for (int i = 0; i < 2; i++)
            env->endpoints[r][i] =
                (struct endpoint){.kind = i == 0 ? ENDPOINT_WEBHOOK : ENDPOINT_EMAIL,
                                  .name = names[r][i],
                                  .target = targets[r][i],
                                  .secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    env->config.postgres.url = env->database.url;
    env->config.alerts.receivers[0] = (struct receiver){"engineering", env->endpoints[0], 2};
    env->config.alerts.receivers[1] = (struct receiver){"billing", env->endpoints[1], 2};
    env->config.alerts.receiver_count = 2;
    env->config.alerts.tenant_alerts = "billing";
    env->config.alerts.engine_alerts = "engineering";
    env->config.alerts.allow_http = true;
    env->config.alerts.allow_private = true;
    env->config.smtp.host = "127.0.0.1";
    env->config.smtp.from = "tripmeter <alerts@example.com>";
}

void
alerts_env_open(struct alerts_env *env)
{
    memset(env, 0, sizeof *env);
    db_begin(&env->database);
    alerts_env_do(env, "SET client_min_messages = warning");
    configure(env);
}

void
alerts_env_close(struct alerts_env *env)
{
    db_end(&env->database);
}

const char *
alerts_env_ask(struct alerts_env *env, const char *sql)
{
    static char answer[4096];
    PGresult *rows = PQexec(env->database.sql, sql);

    answer[0] = '\0';
    if (PQresultStatus(rows) != PGRES_TUPLES_OK && PQresultStatus(rows) != PGRES_COMMAND_OK) {
        (void)printf("%s", PQerrorMessage(env->database.sql));
        CU_FAIL("a statement failed");
    } else if (PQntuples(rows) > 0) {
        (void)snprintf(answer, sizeof answer, "%s", PQgetvalue(rows, 0, 0));
    }
    PQclear(rows);
    return answer;
}

void
alerts_env_do(struct alerts_env *env, const char *sql)
{
    (void)alerts_env_ask(env, sql);
}

/* The fingerprint is a stand-in with its form; $1 tenant, $2 move, $3 severity, $4 step, $5
 * restricts, $6 reason, $7 minute. */
static const char tell_sql[] =
    "SELECT tripmeter.settle_transition(0, left(md5($1::text), 16), $2::text,"
    " ROW('', 0, 0, $2::text, 'quota/api_calls', $1::text,"
    " jsonb_build_object('tenant', $1::text, 'period', '2026-02-28T23:00:00Z'), $3::text,"
    " '2026-03-14T08:00:00Z'::timestamptz + $7::integer * interval '1 min', $4::integer,"
    " NULL, ARRAY[$4::integer], '{}', $4::integer * 500, 50000, false, 'requests', 'Europe/Berlin',"
    " '2026-03-31T22:00:00Z', $5::boolean, $6::text, NULL, 0, now(), NULL)"
    "::tripmeter.transition)";

void
alerts_env_tell(struct alerts_env *env, const struct told_transition *told)
{
    char step[16];
    char minute[16];

    (void)snprintf(step, sizeof step, "%d", told->step);
    (void)snprintf(minute, sizeof minute, "%d", told->minute);
    const char *const values[] = {
        told->tenant, told->move, told->severity, step, told->restricts ? "t" : "f",
        told->reason, minute};
    PGresult *done = PQexecParams(env->database.sql, tell_sql, 7, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(done) != PGRES_TUPLES_OK || PQgetvalue(done, 0, 0)[0] != 't') {
        (void)printf("%s", PQerrorMessage(env->database.sql));
        CU_FAIL("a transition cannot be written");
    }
    PQclear(done);
}

void
alerts_env_step(struct alerts_env *env, const char *tenant, const char *move, const char *severity,
                int step)
{
    const struct told_transition told = {
        .tenant = tenant, .move = move, .severity = severity, .step = step};

    alerts_env_tell(env, &told);
}
