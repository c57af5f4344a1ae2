/* Protects: what the status page reads from Postgres: open alerts with the worst first, endpoints
 * that need a look, the last word on enforcement.  Needs TRIPMETER_TEST_POSTGRES. */
#include "sinks/status_query.h"
#include "tests/check.h"

#include <libpq-fe.h>
#include <stdlib.h>

static const char schema[] = "Status \"query\" test"; /* a name that must be quoted */

/* The tables of the migrations, as far as they are read, and rows that matter. */
static const char tables[] =
    "CREATE TABLE enforcement (id bigint GENERATED ALWAYS AS IDENTITY, is_on boolean, actor text,"
    " reason text, created_at timestamptz DEFAULT '2026-03-17 14:00+00');"
    "CREATE TABLE episode (fingerprint text, episode bigint, rule text, tenant text, labels jsonb,"
    " severity text, step integer, step_amount numeric, restricts boolean, opened_at timestamptz,"
    " changed_at timestamptz, resolved_at timestamptz, summary text);"
    "CREATE TABLE transition (fingerprint text, episode bigint, seq bigint, value numeric,"
    " threshold numeric, unit text, resets_at timestamptz);"
    "CREATE TABLE endpoint_state (endpoint text, failures integer, failing_since timestamptz,"
    " disabled_at timestamptz, disabled_why text, last_error text);"
    "CREATE TABLE outbox (endpoint text, state text, created_at timestamptz,"
    " finished_at timestamptz, last_error text);"
    "CREATE TABLE feature_breaker (tenant text, feature text, state text);"
    "CREATE TABLE anomaly (tenant text, feature text, metric text, tier text, since_at timestamptz,"
    " noticed_at timestamptz, over_at timestamptz, words text, value numeric, usual numeric,"
    " excess numeric, usual_day numeric, answer text, folded_into text);"
    "CREATE TABLE anomaly_series (tenant text, feature text, metric text, state bytea,"
    " high numeric, threshold numeric);"
    "CREATE FUNCTION anomaly_hours(state bytea) RETURNS double precision[] LANGUAGE sql AS"
    " 'SELECT ARRAY[length(state), NULL]::double precision[]';"
    "CREATE TABLE anomaly_known_ (tenant text, spent text);"
    "CREATE FUNCTION anomaly_known() RETURNS SETOF anomaly_known_ LANGUAGE sql AS"
    " 'SELECT * FROM anomaly_known_';"
    "CREATE TABLE shard (shard integer, owner text, epoch bigint, settled_at timestamptz,"
    " shard_time timestamptz);"
    "CREATE TABLE v_breaker (tenant text, feature text, state text, since_at timestamptz,"
    " until_at timestamptz, usual numeric, last_hour numeric, baseline numeric, observed numeric,"
    " alarm integer, actor text, reason text);";

static const char rows[] =
    "INSERT INTO enforcement (is_on, actor, reason) VALUES (true, 'a', 'x'), (false, 'mia', 'y');"
    "INSERT INTO episode VALUES"
    " ('aa', 1, 'quota/spend', 'acme', '{\"tenant\": \"acme\"}', 'warning', 0, 120.50, false, "
    "now(), "
    "now(),"
    "  NULL),"
    " ('bb', 1, 'quota/api_calls', 'b', '{\"tenant\": \"b\"}', 'critical', 100, NULL, true, now(), "
    "now(),"
    "  NULL),"
    " ('cc', 1, 'old', 'c', '{}', 'critical', 100, NULL, true, now(), now(), now());"
    "INSERT INTO feature_breaker VALUES ('acme', 'new', 'learning'), ('acme', 'chat', 'closed'),"
    " ('*', 'new', 'learning');"
    "INSERT INTO anomaly VALUES"
    " ('acme', 'old', 'cost', 'page', now(), now() - interval '8 days', NULL, 'w', 1, 1, 1, 1, "
    "NULL,"
    "  NULL),"
    " ('acme', 'over', 'cost', 'note', now(), now(), now(), 'w', 1, 1, 1, 0, NULL, NULL),"
    " ('acme', 'folded', 'cost', 'page', now(), now(), NULL, 'w', 1, 1, 1, 1, NULL, 'over'),"
    " ('acme', 'search', 'cost', 'page', now() - interval '1 hour', now(), NULL, 'highest', 6.5, 2,"
    "  4.499, 9, 'real', NULL);"
    "INSERT INTO anomaly_series VALUES ('acme', 'search', 'cost', '\\x0101', 6.5, 8.25);"
    "INSERT INTO anomaly_known_ VALUES ('acme', '98.50'), ('beta', '1.00');"
    "INSERT INTO shard VALUES (0, 'tm-1/0', 7, now(), now()),"
    " (100000, 'tm-2/fleet', 8, now(), now());"
    "INSERT INTO v_breaker VALUES ('acme', 'chat', 'closed', NULL, NULL, 1, 1, 0, 0, 0),"
    " ('acme', 'warned', 'closed', NULL, NULL, 1, 1, 0, 0, 200),"
    " ('acme', 'search', 'open', now(), now(), 4, 13, 4, 12.01, 300);"
    "INSERT INTO transition VALUES ('aa', 1, 1, 50, 100, 'USD'),"
    " ('aa', 1, 2, 75.000000001, 100, 'USD');"
    "INSERT INTO endpoint_state VALUES ('fine', 0, NULL, NULL, NULL, 'long ago'),"
    " ('failing', 2, now(), NULL, NULL, '451 later'), ('off', 0, NULL, now(), '410 Gone', NULL);"
    "INSERT INTO outbox VALUES ('fine', 'queued', now(), NULL, NULL),"
    " ('fine', 'delivered', now(), now(), NULL),"
    " ('fine', 'dead', now() - interval '3 days', now() - interval '25 hours', NULL),"
    " ('failing', 'retry', now(), NULL, NULL), ('failing', 'queued', now(), NULL, NULL),"
    " ('new', 'dead', now(), now(), '550 no such user'), ('leased', 'leased', now(), NULL, NULL);";

static void
run(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    CHECK_INT(PQresultErrorMessage(result), PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
}

static const char *
url_or_skip(void)
{
    const char *url = getenv("TRIPMETER_TEST_POSTGRES"); // NOLINT(concurrency-mt-unsafe)

    if (url == NULL)
        printf("skipped: TRIPMETER_TEST_POSTGRES is not set ... ");
    return url;
}

static PGconn *
open_schema(const char *url)
{
    PGconn *connection = PQconnectdb(url);

    CHECK_INT(PQerrorMessage(connection), PQstatus(connection), CONNECTION_OK);
    run(connection, "SET client_min_messages = error;"
                    "DROP SCHEMA IF EXISTS \"Status \"\"query\"\" test\" CASCADE;"
                    "CREATE SCHEMA \"Status \"\"query\"\" test\";"
                    "SET search_path TO \"Status \"\"query\"\" test\"");
    return connection;
}

static void
check_text(const json_t *object, const char *name, const char *expected)
{
    const char *actual = json_string_value(json_object_get(object, name));

    CHECK_INT(name, actual == NULL ? -1 : strcmp(actual, expected), 0);
}

static void
check_alerts(const json_t *answer)
{
    const json_t *alerts = json_object_get(answer, "alerts");
    const json_t *second = json_array_get(alerts, 1);

    CHECK_INT("alert_count", json_integer_value(json_object_get(answer, "alert_count")), 2);
    CHECK_INT("alerts", json_array_size(alerts), 2);
    check_text(json_array_get(alerts, 0), "rule", "quota/api_calls");
    check_text(second, "step_amount", "120.50");
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_array_get(alerts, 0), "value")));
    check_text(second, "severity", "warning");
    check_text(second, "value", "75.000000001");
    check_text(second, "threshold", "100");
    check_text(second, "unit", "USD");
    check_text(json_object_get(second, "labels"), "tenant", "acme");
}

/* Open ones first, then warnings; what only watches is not shown, what learns is counted. */
static void
check_breakers(const json_t *answer)
{
    const json_t *breakers = json_object_get(answer, "breakers");
    const json_t *learning = json_object_get(answer, "learning");

    CHECK_INT("breakers", json_array_size(breakers), 2);
    check_text(json_array_get(breakers, 0), "feature", "search");
    check_text(json_array_get(breakers, 0), "observed", "12.01");
    check_text(json_array_get(breakers, 1), "feature", "warned");
    CHECK_INT("learning", json_integer_value(json_object_get(learning, "count")), 1);
    check_text(learning, "names", "acme/new");
}

/* Those of a week that speak for themselves; what goes on first. */
static void
check_anomalies(const json_t *answer)
{
    const json_t *anomalies = json_object_get(answer, "anomalies");
    const json_t *anomaly = json_array_get(anomalies, 0);

    CHECK_INT("anomalies", json_array_size(anomalies), 2);
    check_text(anomaly, "feature", "search");
    check_text(anomaly, "excess", "4.50");
    check_text(anomaly, "percent", "50");
    CHECK_INT("hours", json_array_size(json_object_get(anomaly, "hours")), 2);
    CHECK_INT("a number", json_number_value(json_object_get(anomaly, "value")) * 10, 65);
    CHECK_INT("threshold", json_number_value(json_object_get(anomaly, "threshold")) * 100, 825);
}

static void
check_series(const json_t *answer)
{
    const json_t *series = json_object_get(answer, "series");

    CHECK_INT("series", json_array_size(series), 2);
    check_text(json_array_get(series, 0), "spent", "98.50");
}

static void
check_deliveries(const json_t *answer)
{
    static const struct {
        const char *endpoint;
        const char *last_error;
        int64_t waiting;
        int64_t dead;
    } expected[] = {{"failing", "451 later", 2, 0},
                    {"new", "550 no such user", 0, 1},
                    {"off", "410 Gone", 0, 0}};
    const json_t *deliveries = json_object_get(answer, "deliveries");

    CHECK_INT("deliveries", json_array_size(deliveries), 3);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const json_t *endpoint = json_array_get(deliveries, i);

        check_text(endpoint, "endpoint", expected[i].endpoint);
        check_text(endpoint, "last_error", expected[i].last_error);
        CHECK_INT(expected[i].endpoint, json_integer_value(json_object_get(endpoint, "waiting")),
                  expected[i].waiting);
        CHECK_INT(expected[i].endpoint, json_integer_value(json_object_get(endpoint, "dead")),
                  expected[i].dead);
    }
}

static void
test_answer(void)
{
    const char *url = url_or_skip();

    if (url == NULL)
        return;

    const struct config config = {.postgres = {.url = url, .schema = schema}};
    struct status_query *query = status_query_new(&config);
    PGconn *connection = open_schema(url);
    const json_t *enforcement;
    json_t *answer;

    run(connection, tables);
    run(connection, rows);
    answer = status_query_get(query);
    enforcement = json_object_get(answer, "enforcement");
    CU_ASSERT_TRUE(json_is_true(json_object_get(answer, "reachable")));
    CU_ASSERT_TRUE(json_is_false(json_object_get(enforcement, "on")));
    check_text(enforcement, "actor", "mia");
    check_text(enforcement, "at", "2026-03-17T14:00:00+00:00");
    check_alerts(answer);
    check_breakers(answer);
    check_anomalies(answer);
    check_series(answer);
    check_text(json_object_get(answer, "fleet"), "leader", "tm-2/fleet");
    check_deliveries(answer);
    json_decref(answer);
    run(connection, "DROP SCHEMA \"Status \"\"query\"\" test\" CASCADE");
    PQfinish(connection);
    status_query_free(query);
}

/* Tables that are not there yet are an error that is shown, not the end of the page; and the answer
 * is kept for a moment, so that many readers cost one query. */
static void
test_error_and_cache(void)
{
    const char *url = url_or_skip();

    if (url == NULL)
        return;

    const struct config config = {.postgres = {.url = url, .schema = schema}};
    struct status_query *query = status_query_new(&config);
    PGconn *connection = open_schema(url);
    json_t *first = status_query_get(query);
    json_t *second = status_query_get(query);
    const char *error = json_string_value(json_object_get(first, "error"));

    CU_ASSERT_TRUE(json_is_false(json_object_get(first, "reachable")));
    CU_ASSERT_PTR_NOT_NULL(error);
    if (error != NULL)
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "does not exist"));
    CU_ASSERT_PTR_EQUAL(first, second);
    json_decref(first);
    json_decref(second);
    run(connection, "DROP SCHEMA \"Status \"\"query\"\" test\" CASCADE");
    PQfinish(connection);
    status_query_free(query);
    status_query_free(NULL);
}

static CU_TestInfo tests[] = {
    {"what is read", test_answer},
    {"an error, and the cache", test_error_and_cache},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_status_query = {.pName = "status_query", .pTests = tests};
