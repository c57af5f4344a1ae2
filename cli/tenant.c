/* tenant set, list, show: contracts one by one. */
#include "cli/applied.h"
#include "cli/columns.h"
#include "cli/contract.h"
#include "cli/moment.h"
#include "cli/session.h"
#include "config/cycle_text.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- set --------------------------------------------------------------------------------------- */

static const struct option_row set_options[] = {
    OPTION_CONFIG,
    {"plan", "PLAN", "plan of the policy", false},
    {"zone", "ZONE", "IANA time zone of its billing periods: Europe/Berlin", false},
    {"cycle", "CYCLE", "month, anchor:31, contract:2024-02-29/12, week or days:30/2026-01-15",
     false},
    {"currency", "CODE", "ISO 4217: USD", false},
    {"charge", "RULE", "cost, a mark-up (20%), a price list (retail), or \"retail 20%\"", false},
    {"limit", "QUOTA=VALUE", "50k, 1_000 or 250.00, unlimited, or plan (as the plan has it)", true},
    {"project", "NAME[:QUOTA=VALUE,...]", "declares a project, with limits of its own", true},
    {"no-project", "NAME", "the project is no longer declared", true},
    {"from", "TIME", "since when it is agreed, for the record: 2026-03-01T00:00:00Z", false},
    {"reason", "TEXT", "why; kept with the version", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

static bool
change(json_t *spec, const struct given *given, struct err *why)
{
    const char *name = given->option->name;

    if (strcmp(name, "limit") == 0)
        return contract_limit(json_object_get(spec, "limits"), given->value, why);
    if (strcmp(name, "project") == 0)
        return contract_project(spec, given->value, why);
    if (strcmp(name, "no-project") == 0)
        return json_object_del(json_object_get(spec, "projects"), given->value) == 0 ||
               err_set(why, ERR_INPUT, "there is no project \"%s\"", given->value);
    if (strcmp(name, "plan") == 0 || strcmp(name, "zone") == 0 || strcmp(name, "cycle") == 0 ||
        strcmp(name, "currency") == 0 || strcmp(name, "charge") == 0)
        return json_object_set_new(spec, name, json_string(given->value)) == 0 ||
               err_set(why, ERR_INPUT, "--%s is no UTF-8", name);
    return true;
}

static bool
change_all(json_t *spec, const struct arguments *arguments, struct err *why)
{
    for (size_t i = 0; i < arguments->given_count; i++)
        if (!change(spec, &arguments->given[i], why))
            return false;
    return true;
}

/* Shows what holds now; the transaction is open. */
static bool
set(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const char *tenant = arguments->words[0];
    const char *reason = option_value(arguments, "reason");
    const struct contract_words words = {.actor = command_actor(arguments),
                                         .reason = reason == NULL ? "" : reason,
                                         .from = option_value(arguments, "from"),
                                         .currency = session->policy->currency.at};
    json_t *spec = NULL;
    int64_t before = 0;
    int64_t version = 0;
    const bool good = contract_read(&session->db, tenant, &spec, &before, why) &&
                      change_all(spec, arguments, why) &&
                      contract_check(spec, session->policy, why) &&
                      contract_write(&session->db, tenant, spec, &words, &version, why);

    (void)what;
    if (good && version == 0)
        printf("tenant %s: nothing changed (version %" PRId64 ")\n", tenant, before);
    else if (good) {
        char *text = json_dumps(spec, JSON_COMPACT | JSON_REAL_PRECISION(15));

        printf("tenant %s: version %" PRId64 "%s by %s: %s\n", tenant, version,
               before == 0 ? " (new)" : "", words.actor, text == NULL ? "" : text);
        free(text);
    }
    json_decref(spec);
    return good;
}

static enum answer
run_set(const struct arguments *arguments)
{
    return applied_command(arguments, set, NULL);
}

const struct command_row command_tenant_set = {
    .name = "tenant set",
    .words = "TENANT",
    .least = 1,
    .most = 1,
    .what = "Change a tenant's contract, or make one",
    .more = "What is not named stays as it is. Every change is a new version with who and why; it\n"
            "acts within two seconds; another zone or cycle starts where the present billing\n"
            "period ends. Cycles: anchor:31 begins on the 31st, or on the last day of a shorter\n"
            "month; contract:2024-02-29/12 every 12 months from that date on, days:30/2026-01-15\n"
            "every 30 days, week on Mondays.\n"
            "\n"
            "  tripmeter tenant set acme --plan starter --zone Europe/Berlin --cycle anchor:31\n"
            "  tripmeter tenant set acme --limit api_calls=60000 --reason \"order 4711\"\n"
            "  tripmeter tenant set acme --project web:api_calls=500 --project batch\n",
    .options = set_options,
    .run = run_set};

/* ---- list -------------------------------------------------------------------------------------- */

static const char sql_list[] =
    "SELECT DISTINCT ON (v.tenant) v.tenant, v.plan, v.zone, v.cycle, v.currency, v.charge,"
    "  v.limits, v.projects, v.version, " DB_MS(
        "v.created_at") ", v.actor"
                        " FROM tripmeter.tenant_version v ORDER BY v.tenant, v.version DESC";

/* Those that sent events and have no contract. */
static const char sql_unknown[] = "SELECT p.tenant, sum(p.events), " DB_MS(
    "max(p.period)") " FROM tripmeter.period_total p WHERE p.project = ''"
                     "  AND NOT EXISTS (SELECT FROM tripmeter.tenant_version v WHERE v.tenant = "
                     "p.tenant)"
                     " GROUP BY p.tenant ORDER BY p.tenant";

static void
add_number(struct columns *columns, int64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, number);
    columns_add(columns, text);
}

static void
add_day(struct columns *columns, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    (void)clock_format(at_ms, text);
    text[10] = '\0';
    columns_add(columns, text);
}

static void
print_unknown(const PGresult *rows)
{
    static const char *const titles[] = {"TENANT", ">EVENTS", "LAST PERIOD", NULL};
    struct columns *columns = columns_new(titles);

    for (int i = 0; columns != NULL && i < PQntuples(rows); i++) {
        columns_add(columns, db_text(rows, i, 0));
        columns_add(columns, db_text(rows, i, 1));
        add_day(columns, db_int(rows, i, 2));
    }
    if (PQntuples(rows) == 0)
        puts("every tenant that sent events has a contract");
    else if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static void
print_list(const PGresult *rows, const struct policy *policy)
{
    static const char *const titles[] = {"TENANT",   "PLAN",   "ZONE",    "CYCLE",
                                         "CURRENCY", "CHARGE", ">LIMITS", ">PROJECTS",
                                         ">VERSION", "SINCE",  "BY",      NULL};
    struct columns *columns = columns_new(titles);

    for (int i = 0; columns != NULL && i < PQntuples(rows); i++) {
        json_t *spec = contract_of_row(rows, i);
        const char *plan = db_text(rows, i, 1);
        const char *zone = db_text(rows, i, 2);
        const char *cycle = db_text(rows, i, 3);
        const char *currency = db_text(rows, i, 4);
        const char *charge = db_text(rows, i, 5);
        char text[CYCLE_TEXT_SIZE];

        columns_add(columns, db_text(rows, i, 0));
        columns_add(columns, plan == NULL ? policy->fallback_plan->name.at : plan);
        columns_add(columns, zone == NULL ? policy->zone.at : zone);
        columns_add(columns, cycle == NULL ? cycle_text(&policy->cycle, text) : cycle);
        columns_add(columns, currency == NULL ? policy->currency.at : currency);
        columns_add(columns, charge == NULL ? "as its plan" : charge);
        add_number(columns, (int64_t)json_object_size(json_object_get(spec, "limits")));
        add_number(columns, (int64_t)json_object_size(json_object_get(spec, "projects")));
        add_number(columns, db_int(rows, i, 8));
        add_day(columns, db_int(rows, i, 9));
        columns_add(columns, db_text(rows, i, 10));
        json_decref(spec);
    }
    if (PQntuples(rows) == 0)
        puts("no tenant has a contract yet; see: tripmeter tenant set --help");
    else if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static enum answer
run_list(const struct arguments *arguments)
{
    const bool unknown = option_given(arguments, "unknown");
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    PGresult *rows = db_query(&session.db, unknown ? sql_unknown : sql_list, NULL, 0, &why);

    if (rows != NULL && unknown)
        print_unknown(rows);
    else if (rows != NULL)
        print_list(rows, session.policy);
    PQclear(rows);
    return session_close(&session, ANSWER_FINE, &why);
}

static const struct option_row list_options[] = {
    OPTION_CONFIG,
    {"unknown", NULL, "those that sent events and have no contract", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_tenant_list = {.name = "tenant list",
                                                .words = "",
                                                .least = 0,
                                                .most = 0,
                                                .what = "List the tenants' contracts",
                                                .more = NULL,
                                                .options = list_options,
                                                .run = run_list};

/* ---- show -------------------------------------------------------------------------------------- */

static const char sql_show[] =
    "SELECT v.version, v.plan, v.zone, v.cycle, v.currency, v.charge, v.limits,"
    " v.projects, " DB_MS("v.valid_from") ", " DB_MS(
        "v.created_at") ", v.actor, v.reason"
                        " FROM tripmeter.tenant_version v WHERE "
                        "v.tenant = $1 ORDER BY v.version DESC";

static void
print_versions(const PGresult *rows)
{
    static const char *const titles[] = {">VERSION", "WRITTEN",  "AGREED FROM", "BY",
                                         "REASON",   "CONTRACT", NULL};
    struct columns *columns = columns_new(titles);

    for (int i = 0; columns != NULL && i < PQntuples(rows); i++) {
        json_t *spec = contract_of_row(rows, i);
        char *text = json_dumps(spec, JSON_COMPACT | JSON_REAL_PRECISION(15));
        char at[MOMENT_SIZE];

        columns_add(columns, db_text(rows, i, 0));
        columns_add(columns, moment_text(NULL, db_int(rows, i, 9) / 1000 * 1000, at));
        columns_add(columns, moment_text(NULL, db_int(rows, i, 8) / 1000 * 1000, at));
        columns_add(columns, db_text(rows, i, 10));
        columns_add(columns, db_text(rows, i, 11));
        columns_add(columns, text);
        free(text);
        json_decref(spec);
    }
    if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static json_t *
version_json(const PGresult *rows, int row)
{
    char from[CLOCK_TEXT_SIZE];
    char written[CLOCK_TEXT_SIZE];

    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "version", (json_int_t)db_int(rows, row, 0),
                     "from", clock_format(db_int(rows, row, 8), from), "written",
                     clock_format(db_int(rows, row, 9), written), "actor", db_text(rows, row, 10),
                     "reason", db_text(rows, row, 11), "contract", contract_of_row(rows, row));
}

static enum answer
run_show(const struct arguments *arguments)
{
    const char *tenant = arguments->words[0];
    const char *const values[] = {tenant};
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    PGresult *rows = db_query(&session.db, sql_show, values, 1, &why);

    answer = ANSWER_FINE;
    if (rows != NULL && PQntuples(rows) == 0) {
        command_complain("tenant \"%s\" has no contract; see: tripmeter tenant list", tenant);
        answer = ANSWER_NO;
    } else if (rows != NULL && option_given(arguments, "json")) {
        json_t *versions = json_array();

        for (int i = 0; i < PQntuples(rows); i++)
            (void)json_array_append_new(versions, version_json(rows, i));
        answer =
            command_print_json(json_pack("{s:s, s:o}", "tenant", tenant, "versions", versions));
    } else if (rows != NULL)
        print_versions(rows);
    PQclear(rows);
    return session_close(&session, answer, &why);
}

static const struct option_row show_options[] = {
    OPTION_CONFIG, OPTION_JSON, {NULL, NULL, NULL, false}};

const struct command_row command_tenant_show = {
    .name = "tenant show",
    .words = "TENANT",
    .least = 1,
    .most = 1,
    .what = "Show every version of a tenant's contract, newest first",
    .more = "What of it is used: tripmeter status TENANT.\n",
    .options = show_options,
    .run = run_show};
