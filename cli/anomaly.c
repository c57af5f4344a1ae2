/* anomaly list|show: what the detector noticed and knows; real|planned|normal: what operators answer. */
#include "cli/applied.h"
#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/session.h"

/* ---- tables ---------------------------------------------------------------------------------------- */

/* Prints what the statement answers, or `none`. */
static enum answer
print_answer(const struct arguments *arguments, const char *sql, const char *const *titles,
             const char *none)
{
    const char *const values[] = {arguments->word_count > 0 ? arguments->words[0] : NULL,
                                  option_value(arguments, "feature"),
                                  option_given(arguments, "all") ? "true" : "false"};
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    PGresult *rows = db_query(&session.db, sql, values, 3, &why);
    struct columns *columns = rows == NULL ? NULL : columns_new(titles);

    for (int r = 0; columns != NULL && r < PQntuples(rows); r++)
        for (int c = 0; c < PQnfields(rows); c++)
            columns_add(columns, db_text(rows, r, c));
    if (columns != NULL && columns_rows(columns) > 0)
        columns_print(columns, stdout);
    else if (columns != NULL)
        puts(none);
    columns_free(columns);
    PQclear(rows);
    return session_close(&session, ANSWER_FINE, &why);
}

static const struct option_row list_options[] = {
    OPTION_CONFIG,
    {"all", NULL, "also those that another one speaks for, and older ones", false},
    {NULL, NULL, NULL, false}};

static enum answer
run_list(const struct arguments *arguments)
{
    static const char *const titles[] = {"TENANT", "FEATURE", "METRIC",  "TIER",   "SINCE", "OVER",
                                         ">VALUE", ">USUAL",  ">EXCESS", "ANSWER", "WHAT",  NULL};

    return print_answer(
        arguments,
        "SELECT tenant, feature, metric, tier, to_char(since_at AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD HH24:MI'), CASE WHEN over_at IS NULL THEN 'no' ELSE 'yes' END,"
        " round(value, 2), round(usual, 2), round(excess, 2), answer || ' (' || actor || ')',"
        " words || coalesce('; ' || folded_into || ' speaks for it', '')"
        " FROM tripmeter.v_anomaly_week WHERE ($1::text IS NULL OR tenant = $1)"
        " AND ($2::text IS NULL OR feature = $2) AND ($3::boolean OR"
        " (folded_into IS NULL AND noticed_at > now() - interval '7 days'))"
        " ORDER BY over_at IS NOT NULL, since_at DESC LIMIT 1000",
        titles,
        option_given(arguments, "all") ? "no record was ever broken"
                                       : "no record was broken in a week; all there are: --all");
}

const struct command_row command_anomaly_list = {
    .name = "anomaly list",
    .words = "[TENANT]",
    .most = 1,
    .what = "Show what broke records in the last seven days, what goes on first",
    .more = "Times are UTC. Values are those of the metric, the excess is money.\n",
    .options = list_options,
    .run = run_list};

static const struct option_row show_options[] = {
    OPTION_CONFIG,
    {"feature", "NAME", "one feature; \"\" is the tenant as a whole", false},
    {NULL, NULL, NULL, false}};

static enum answer
run_show(const struct arguments *arguments)
{
    static const char *const titles[] = {"FEATURE",    "METRIC",       "WIDTH",
                                         ">WINDOWS",   ">LOWEST",      ">HIGHEST",
                                         ">USUAL NOW", ">NOTED ABOVE", NULL};

    return print_answer(arguments,
                        "SELECT feature, metric, width, windows, round(low, 4), round(high, 4),"
                        " round(usual, 4), round(threshold, 4) FROM tripmeter.anomaly_series"
                        " WHERE tenant = $1 AND ($2::text IS NULL OR feature = $2)"
                        " AND windows > 0 AND ($3 <> '') ORDER BY feature, metric",
                        titles, "nothing is known of this tenant: see `anomalies` in the policy");
}

const struct command_row command_anomaly_show = {
    .name = "anomaly show",
    .words = "TENANT",
    .least = 1,
    .most = 1,
    .what = "Show what the detector knows of a tenant: records, what is usual, what it would note",
    .options = show_options,
    .run = run_show};

/* ---- answers ----------------------------------------------------------------------------------------- */

static const struct option_row answer_options[] = {
    OPTION_CONFIG,
    {"feature", "NAME", "of this feature; without it: of the tenant as a whole", false},
    {"reason", "TEXT", "why; it is kept", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

/* The answer is the second word of the command's name. */
static bool
say(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const char *answer = strchr(arguments->command->name, ' ') + 1;
    const char *feature = option_value(arguments, "feature");
    const char *const values[] = {arguments->words[0],      feature == NULL ? "" : feature,
                                  arguments->words[1],      answer,
                                  command_actor(arguments), option_value(arguments, "reason")};
    PGresult *rows =
        db_query(&session->db, "SELECT " DB_MS("tripmeter.anomaly_answer($1, $2, $3, $4, $5, $6)"),
                 values, 6, why);
    char since[MOMENT_SIZE];

    (void)what;
    if (rows == NULL)
        return false;
    const bool found = db_text(rows, 0, 0) != NULL;

    if (found)
        printf("%s of %s%s%s since %s: %s, by %s: %s\n", values[2], values[0],
               feature == NULL ? "" : " / ", values[1],
               moment_text(NULL, db_int(rows, 0, 0), since), answer, values[4], values[5]);
    PQclear(rows);
    return found ||
           err_set(why, ERR_INPUT, "no record of it was broken; see: tripmeter anomaly list");
}

static enum answer
run_answer(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};

    return command_reason(arguments, &why) == NULL ? command_misused(&why)
                                                   : applied_command(arguments, say, NULL);
}

const struct command_row command_anomaly_real = {
    .name = "anomaly real",
    .words = "TENANT METRIC",
    .least = 2,
    .most = 2,
    .what = "It was one: its records are no measure of what is usual, those of before come back",
    .options = answer_options,
    .run = run_answer};

const struct command_row command_anomaly_planned = {
    .name = "anomaly planned",
    .words = "TENANT METRIC",
    .least = 2,
    .most = 2,
    .what = "It was to be expected, once: nothing more is told of it",
    .options = answer_options,
    .run = run_answer};

const struct command_row command_anomaly_normal = {
    .name = "anomaly normal",
    .words = "TENANT METRIC",
    .least = 2,
    .most = 2,
    .what = "So it is from now on: the present level is the usual one",
    .options = answer_options,
    .run = run_answer};
