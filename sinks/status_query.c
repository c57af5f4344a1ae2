#include "sinks/status_query.h"

#include "config/now.h"
#include "core/clock.h"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

enum { FRESH_MS = 1000, DEADLINE_MS = 2000 };

struct status_query {
    pthread_mutex_t lock; /* held while the query runs: others wait for its answer */
    const char *url;
    const char *schema;
    PGconn *connection; /* NULL: none, or the last one broke */
    json_t *answer;
    int64_t asked_ms; /* of the monotonic clock */
};

static const char settings[] = "SELECT set_config('search_path', quote_ident($1), false),"
                               "       set_config('timezone', 'UTC', false),"
                               "       set_config('statement_timeout', '2000', false),"
                               "       set_config('default_transaction_read_only', 'on', false)";

/* One statement, one snapshot, one value. */
static const char question[] =
    "SELECT jsonb_build_object("
    " 'reachable', true,"
    " 'enforcement', (SELECT jsonb_build_object('on', is_on, 'actor', actor, 'reason', reason,"
    "                                           'at', created_at)"
    "                   FROM enforcement ORDER BY id DESC LIMIT 1),"
    " 'breakers', (SELECT coalesce(jsonb_agg(to_jsonb(b)), '[]') FROM ("
    "     SELECT tenant, feature, state, since_at, until_at, usual::text, last_hour::text,"
    "            observed::text, baseline::text, actor, reason FROM v_breaker"
    "      WHERE state NOT IN ('learning', 'shadow', 'closed') OR alarm > 0"
    "      ORDER BY state IN ('learning', 'shadow', 'closed'), alarm DESC, tenant, feature"
    "      LIMIT 200) b),"
    " 'learning', (SELECT jsonb_build_object('count', count(*), 'names',"
    "      (SELECT coalesce(string_agg(n, ', '), '') FROM (SELECT tenant || '/' || feature AS n"
    "        FROM feature_breaker WHERE state = 'learning' AND tenant <> '*'"
    "        ORDER BY 1 LIMIT 20) l))"
    "      FROM feature_breaker WHERE state = 'learning' AND tenant <> '*'),"
    " 'anomalies', (SELECT coalesce(jsonb_agg(to_jsonb(n)), '[]') FROM ("
    "     SELECT a.tenant, a.feature, a.metric, a.tier, a.since_at, a.over_at, a.words,"
    "            a.value::double precision, a.usual::double precision, round(a.excess, 2)::text"
    "            AS excess, round(100 * a.excess / nullif(a.usual_day, 0))::text AS percent,"
    "            a.answer, s.high::double precision, s.threshold::double precision,"
    "            anomaly_hours(s.state) AS hours"
    "       FROM anomaly a LEFT JOIN anomaly_series s USING (tenant, feature, metric)"
    "      WHERE a.folded_into IS NULL AND a.noticed_at > now() - interval '7 days'"
    "      ORDER BY a.over_at IS NOT NULL, a.since_at DESC LIMIT 20) n),"
    " 'series', (SELECT coalesce(jsonb_agg(to_jsonb(k)), '[]') FROM anomaly_known() k),"
    " 'fleet', (SELECT jsonb_build_object('leader', owner, 'epoch', epoch,"
    "                                     'settled_at', settled_at, 'as_of', shard_time)"
    "             FROM shard WHERE shard = 100000),"
    " 'alert_count', (SELECT count(*) FROM episode WHERE resolved_at IS NULL),"
    " 'alerts', (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM ("
    "     SELECT e.rule, e.tenant, e.labels, e.severity, e.step,"
    "            e.step_amount::text, e.restricts, e.opened_at,"
    "            e.changed_at, e.summary, t.value::text, t.threshold::text, t.unit, t.resets_at"
    "       FROM episode e LEFT JOIN LATERAL ("
    "            SELECT value, threshold, unit, resets_at FROM transition"
    "             WHERE fingerprint = e.fingerprint AND episode = e.episode"
    "             ORDER BY seq DESC LIMIT 1) t ON true"
    "      WHERE e.resolved_at IS NULL"
    "      ORDER BY array_position(ARRAY['critical', 'error', 'warning', 'info'], e.severity),"
    "               e.changed_at DESC, e.fingerprint"
    "      LIMIT 200) a),"
    " 'deliveries', (SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') FROM ("
    "     SELECT endpoint, coalesce(s.failures, 0) AS failures, s.failing_since, s.disabled_at,"
    "            coalesce(s.disabled_why, s.last_error, o.last_error) AS last_error,"
    "            coalesce(o.waiting, 0) AS waiting, o.oldest, coalesce(o.dead, 0) AS dead"
    "       FROM endpoint_state s FULL JOIN ("
    "            SELECT endpoint,"
    "                   count(*) FILTER (WHERE finished_at IS NULL) AS waiting,"
    "                   count(*) FILTER (WHERE state = 'retry') AS retrying,"
    "                   count(*) FILTER (WHERE state = 'dead') AS dead,"
    "                   min(created_at) FILTER (WHERE finished_at IS NULL) AS oldest,"
    "                   max(last_error) AS last_error"
    "              FROM outbox"
    "             WHERE state IN ('queued', 'leased', 'retry')"
    "                OR (state = 'dead' AND finished_at > now() - interval '24 hours')"
    "             GROUP BY endpoint) o USING (endpoint)"
    "      WHERE s.failures > 0 OR s.disabled_at IS NOT NULL OR o.retrying > 0 OR o.dead > 0"
    "      ORDER BY endpoint LIMIT 100) d))";

struct status_query *
status_query_new(const struct config *config)
{
    struct status_query *query = calloc(1, sizeof *query);

    if (query == NULL)
        return NULL;
    if (pthread_mutex_init(&query->lock, NULL) != 0) {
        free(query);
        return NULL;
    }
    query->url = config->postgres.url;
    query->schema = config->postgres.schema;
    return query;
}

void
status_query_free(struct status_query *query)
{
    if (query == NULL)
        return;
    PQfinish(query->connection);
    json_decref(query->answer);
    (void)pthread_mutex_destroy(&query->lock);
    free(query);
}

/* Waits for the answer ourselves: a server that is stopped does not keep its own timeouts. */
static bool
wait_readable(PGconn *connection, int64_t until_ms)
{
    while (PQisBusy(connection) == 1) {
        struct pollfd fd = {.fd = PQsocket(connection), .events = POLLIN};
        const int64_t left = until_ms - now_steady_ms();

        if (left <= 0 || poll(&fd, 1, (int)left) < 0 || PQconsumeInput(connection) == 0)
            return false;
    }
    return true;
}

/* One statement that gives one row. NULL: `why` says what happened, the connection is of no use. */
static PGresult *
ask(PGconn *connection, const char *statement, const char *parameter, struct err *why)
{
    PGresult *result = NULL;
    PGresult *last;

    if (PQsendQueryParams(connection, statement, parameter != NULL, NULL, &parameter, NULL, NULL,
                          0) == 1 &&
        wait_readable(connection, now_steady_ms() + DEADLINE_MS))
        result = PQgetResult(connection);
    if (result == NULL || PQresultStatus(result) != PGRES_TUPLES_OK) {
        const char *text = PQerrorMessage(connection);

        (void)err_set(why, ERR_RETRY, "%s", *text == '\0' ? "no answer within 2 s" : text);
        PQclear(result);
        return NULL;
    }
    /* The protocol wants the end to be read as well; it has come with the row. */
    while (wait_readable(connection, now_steady_ms() + DEADLINE_MS) &&
           (last = PQgetResult(connection)) != NULL)
        PQclear(last);
    return result;
}

static bool
open_connection(struct status_query *query, struct err *why)
{
    /* What stands behind the URL wins over what it says. */
    static const char *const names[] = {"dbname", "connect_timeout", "application_name", NULL};
    const char *const values[] = {query->url, "2", "tripmeter status", NULL};
    PGresult *result;

    query->connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(query->connection) != CONNECTION_OK)
        return err_set(why, ERR_RETRY, "%s", PQerrorMessage(query->connection));
    result = ask(query->connection, settings, query->schema, why);
    PQclear(result);
    return result != NULL;
}

static json_t *
read_answer(struct status_query *query, struct err *why)
{
    PGresult *result;
    json_t *answer;

    if (query->connection == NULL && !open_connection(query, why))
        return NULL;
    result = ask(query->connection, question, NULL, why);
    if (result == NULL)
        return NULL;
    answer = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    if (answer == NULL)
        (void)err_set(why, ERR_RETRY, "the answer cannot be read");
    PQclear(result);
    return answer;
}

static void
refresh(struct status_query *query)
{
    struct err why = {.class = ERR_NONE};

    json_decref(query->answer);
    query->answer = read_answer(query, &why);
    if (query->answer == NULL) {
        PQfinish(query->connection);
        query->connection = NULL;
        query->answer = json_pack("{s:b, s:s}", "reachable", 0, "error",
                                  text_is_clean(text_of(why.text)) ? why.text : "no connection");
    }
    query->asked_ms = now_steady_ms();
}

json_t *
status_query_get(struct status_query *query)
{
    json_t *answer;

    (void)pthread_mutex_lock(&query->lock);
    if (query->answer == NULL || now_steady_ms() - query->asked_ms >= FRESH_MS)
        refresh(query);
    answer = json_incref(query->answer);
    (void)pthread_mutex_unlock(&query->lock);
    return answer;
}
