/* prices load, prices rerate: another price list in force, and what waits for a price. */
#include "cli/applied.h"
#include "cli/session.h"
#include "config/policy_prices.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- load ---------------------------------------------------------------------------------------- */

static const struct option_row load_options[] = {
    OPTION_CONFIG, OPTION_FORCE, OPTION_ACTOR, OPTION_NO_WAIT, {NULL, NULL, NULL, false}};

/* The prices beside those in force. */
static bool
are_likely(struct session *session, const struct policy *before, const struct arguments *arguments)
{
    struct findings findings = {.force = option_given(arguments, "force")};

    policy_prices_compare(&findings, before, session->policy);
    command_print_findings(&findings, true, stderr);
    const bool likely = findings.error_count == 0;

    findings_free(&findings);
    return likely;
}

static bool
store(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const char *const values[] = {session->config->policy_body, command_actor(arguments),
                                  policy_rolls(session->policy) ? "true" : "false"};
    PGresult *rows = db_query(&session->db,
                              "SELECT serial, serial > coalesce((SELECT max(p.serial)"
                              "  FROM tripmeter.policy p), 0) FROM tripmeter.store_policy("
                              "  sha256(convert_to($1, 'UTF8')), $1, true, $3::boolean, $2)",
                              values, 3, why);

    (void)what;
    if (rows != NULL && db_true(rows, 0, 1))
        printf("policy %" PRId64 ", by %s\n", db_int(rows, 0, 0), values[1]);
    else if (rows != NULL)
        printf("policy %" PRId64 " is in force already\n", db_int(rows, 0, 0));
    PQclear(rows);
    return rows != NULL;
}

static enum answer
run_load(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    if (session.is_stored) {
        command_complain("nothing was changed");
        return session_close(&session, ANSWER_NO, &why);
    }
    struct policy *next = session.policy;

    /* session_policy puts the stored one in its place. */
    session.policy = NULL;
    const struct policy *before = session_policy(&session, &why);
    struct policy *stored = session.policy;

    session.policy = next;
    answer = ANSWER_FINE;
    if (why.class == ERR_NONE && before != NULL && !are_likely(&session, before, arguments))
        answer = ANSWER_NO;
    else if (why.class == ERR_NONE)
        (void)applied_change(&session, arguments, store, NULL, &why);
    policy_free(stored);
    return session_close(&session, answer, &why);
}

const struct command_row command_prices_load = {
    .name = "prices load",
    .words = "",
    .least = 0,
    .most = 0,
    .what = "Put the policy and its price lists in force for every engine",
    .more = "As SIGHUP to an engine, but also with prices that it refuses because they are ten\n"
            "thousand times those in force, or a ten-thousandth (--force). Events that waited for\n"
            "a price get it; totals of open periods are corrected, final ones get adjustments.\n",
    .options = load_options,
    .run = run_load};

/* ---- rerate -------------------------------------------------------------------------------------- */

static const struct option_row rerate_options[] = {
    OPTION_CONFIG,
    {"reason", "TEXT", "why; kept with the command", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

static bool
count_waiting(struct session *session, const char *when, struct err *why)
{
    PGresult *rows = db_query(&session->db,
                              "SELECT count(*), count(DISTINCT (provider, model)),"
                              " string_agg(DISTINCT currency, ', ')"
                              " FROM tripmeter.unpriced WHERE priced_at IS NULL",
                              NULL, 0, why);

    if (rows != NULL)
        printf("%s%" PRId64 " events of %" PRId64 " models wait for a price%s%s\n", when,
               db_int(rows, 0, 0), db_int(rows, 0, 1),
               db_text(rows, 0, 2) == NULL ? "" : ", or for a rate of ",
               db_text(rows, 0, 2) == NULL ? "" : db_text(rows, 0, 2));
    PQclear(rows);
    return rows != NULL;
}

static bool
order(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const char *reason = option_value(arguments, "reason");
    const char *const values[] = {command_actor(arguments), reason == NULL ? "" : reason};
    PGresult *rows = db_query(&session->db, "SELECT tripmeter.command_all('rerate', '{}', $1, $2)",
                              values, 2, why);

    (void)what;
    PQclear(rows);
    return rows != NULL;
}

static enum answer
run_rerate(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    if (count_waiting(&session, "", &why) && applied_change(&session, arguments, order, NULL, &why))
        (void)count_waiting(&session, "now ", &why);
    return session_close(&session, ANSWER_FINE, &why);
}

const struct command_row command_prices_rerate = {
    .name = "prices rerate",
    .words = "",
    .least = 0,
    .most = 0,
    .what = "Price the events that wait for a price and have one now",
    .more = "Engines do it by themselves whenever another policy or price list comes into force.\n"
            "What waits is in table unpriced, where priced_at is NULL.\n",
    .options = rerate_options,
    .run = run_rerate};
