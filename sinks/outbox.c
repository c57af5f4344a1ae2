#include "sinks/outbox_sql.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define ARENA_LIMIT (16 << 20)
#define ANSWER_MS   4000

/* A limit as a piece of a statement. */
#define DIGITS(limit) #limit
#define NUMBER(limit) DIGITS(limit)
#define FAILURES      NUMBER(ENDPOINT_FAILURE_LIMIT)
#define FLIGHT        NUMBER(ENDPOINT_FLIGHT_LIMIT)
#define LEASE         NUMBER(LEASE_MS)
#define PROBE         NUMBER(ENDPOINT_PROBE_MS)
#define FAILING       NUMBER(ENDPOINT_FAILING_HOURS)

/* ---- the connection -------------------------------------------------------------------------- */

struct outbox *
outbox_open(const struct config *config, struct err *why)
{
    struct outbox *outbox = calloc(1, sizeof *outbox);

    if (outbox == NULL || (outbox->arena = arena_new(ARENA_LIMIT)) == NULL) {
        (void)err_set(why, ERR_RETRY, "out of memory");
        goto failed;
    }
    if (!pg_open(&outbox->pg, config->postgres.url, "tripmeter notifier", why))
        goto failed;
    /* Whoever stops the notifier waits for the statement under way. */
    outbox->pg.answer_ms = ANSWER_MS;
    outbox->route_most = ROUTE_LIMIT;
    if (!pg_run(&outbox->pg, "SET statement_timeout = '3s'; SET search_path = pg_catalog", why))
        goto failed;
    return outbox;
failed:
    outbox_close(outbox);
    return NULL;
}

void
outbox_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    pg_close(&outbox->pg);
    pgparams_free(&outbox->params);
    arena_free(outbox->arena);
    free(outbox);
}

bool
outbox_broken(const struct outbox *outbox)
{
    return outbox->pg.broken;
}

void
outbox_set_now(struct outbox *outbox, int64_t now_ms)
{
    outbox->now_ms = now_ms;
    (void)clock_format(now_ms, outbox->now);
}

/* ---- endpoints ------------------------------------------------------------------------------- */

/* Names of the endpoints of the configuration as a Postgres array; lives in the arena. */
static const char *
endpoint_array(struct outbox *outbox, const struct config *config)
{
    struct writer array = writer_new((size_t)RECEIVER_LIMIT * ENDPOINT_LIMIT * 512);
    const char *separator = "{";

    for (size_t r = 0; r < config->alerts.receiver_count; r++) {
        const struct receiver *receiver = &config->alerts.receivers[r];

        for (size_t i = 0; i < receiver->endpoint_count; i++) {
            writer_format(&array, "%s\"", separator);
            for (const char *at = receiver->endpoints[i].name; *at != '\0'; at++) {
                if (*at == '"' || *at == '\\')
                    writer_add(&array, "\\", 1);
                writer_add(&array, at, 1);
            }
            writer_string(&array, "\"");
            separator = ",";
        }
    }
    writer_string(&array, *separator == '{' ? "{}" : "}");
    const struct text kept =
        arena_text(outbox->arena, (struct text){writer_get(&array), array.size});

    writer_free(&array);
    return kept.at;
}

static bool
know_endpoint(struct outbox *outbox, const struct endpoint *endpoint, struct err *why)
{
    const struct text target = text_of(endpoint->target);
    unsigned char hash[32];
    char hex[65];

    outbox_hash(&target, 1, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    const char *const values[] = {endpoint->name, hex};

    return outbox_do(outbox,
                     "INSERT INTO tripmeter.endpoint_state AS s (endpoint, target_hash)"
                     " VALUES ($1, $2) ON CONFLICT (endpoint) DO UPDATE SET target_hash = $2,"
                     " failures = 0, failing_since = NULL, probe_at = NULL, disabled_at = NULL,"
                     " disabled_why = NULL, last_error = NULL WHERE s.target_hash <> $2",
                     values, 2, why);
}

bool
outbox_endpoints(struct outbox *outbox, const struct config *config, struct err *why)
{
    for (size_t r = 0; r < config->alerts.receiver_count; r++) {
        const struct receiver *receiver = &config->alerts.receivers[r];

        for (size_t i = 0; i < receiver->endpoint_count; i++)
            if (!know_endpoint(outbox, &receiver->endpoints[i], why))
                return false;
    }
    return true;
}

/* ---- claim ----------------------------------------------------------------------------------- */

/* The head of a group is its first message that is not final.  The head is judged on a snapshot;
 * FOR UPDATE judges the row itself once more as it is when the lock is had, and group_seq is given
 * under a lock that is held until the row is visible: so no message can overtake another.
 * $1 now, $2 endpoints */
static const char claim_sql[] =
    "WITH due AS MATERIALIZED ("
    " SELECT o.id, o.endpoint FROM tripmeter.outbox o"
    " JOIN tripmeter.endpoint_state s ON s.endpoint = o.endpoint AND s.disabled_at IS NULL"
    " WHERE o.endpoint = ANY ($2::text[])"
    " AND (o.state IN ('queued', 'retry') OR (o.state = 'leased' AND o.lease_until <= " NOW "))"
    " AND CASE WHEN s.failures < " FAILURES " THEN o.next_at <= " NOW "     ELSE s.probe_at <= " NOW
    " AND (o.refusals = 0 OR o.next_at <= " NOW ") END"
    " AND NOT EXISTS (SELECT FROM tripmeter.outbox b WHERE b.endpoint = o.endpoint"
    "     AND b.group_key = o.group_key AND b.group_seq < o.group_seq"
    "     AND b.state IN ('queued', 'leased', 'retry'))"
    " AND (SELECT count(*) FROM tripmeter.outbox f WHERE f.endpoint = o.endpoint"
    "     AND f.state = 'leased' AND f.lease_until > " NOW ") < " FLIGHT
    " ORDER BY o.next_at, o.id LIMIT 1 FOR UPDATE OF o SKIP LOCKED"
    "), probe AS ("
    " UPDATE tripmeter.endpoint_state s SET probe_at = " NOW " + interval '" PROBE " ms'"
    " FROM due WHERE s.endpoint = due.endpoint AND s.failures >= " FAILURES ")"
    " UPDATE tripmeter.outbox o SET state = 'leased', attempts = attempts + 1,"
    " tried_at = " NOW ", lease_until = " NOW " + interval '" LEASE " ms',"
    " lease_token = nextval('tripmeter.outbox_lease')"
    " FROM due WHERE o.id = due.id"
    " RETURNING o.id, coalesce(o.thread, ''), o.endpoint, o.lease_token, o.attempts, o.refusals,"
    " o.severity = 'critical', (extract(epoch FROM o.created_at) * 1000)::bigint,"
    " o.subject, o.body, o.html, o.group_key";

static bool
read_delivery(const PGresult *rows, struct arena *arena, struct delivery *out)
{
    *out = (struct delivery){.token = column_number(rows, 0, 3),
                             .attempts = (int)column_number(rows, 0, 4),
                             .refusals = (int)column_number(rows, 0, 5),
                             .critical = column_true(rows, 0, 6),
                             .created_ms = column_number(rows, 0, 7),
                             .endpoint = column_text(rows, 0, 2, arena),
                             .subject = column_text(rows, 0, 8, arena),
                             .body = column_text(rows, 0, 9, arena),
                             .html = column_text(rows, 0, 10, arena),
                             .group = column_text(rows, 0, 11, arena)};
    (void)text_copy(out->id, sizeof out->id, text_of(PQgetvalue(rows, 0, 0)));
    (void)text_copy(out->thread, sizeof out->thread, text_of(PQgetvalue(rows, 0, 1)));
    return out->endpoint.at != NULL && out->body.at != NULL && out->group.at != NULL &&
           (out->html.at != NULL || PQgetisnull(rows, 0, 10)) &&
           (out->subject.at != NULL || PQgetisnull(rows, 0, 8));
}

int
outbox_claim(struct outbox *outbox, const struct config *config, struct arena *arena,
             struct delivery *out, struct err *why)
{
    arena_clear(outbox->arena);
    const char *const values[] = {outbox_now(outbox), endpoint_array(outbox, config)};
    PGresult *rows = outbox_run(outbox, claim_sql, values, 2, why);
    int claimed = -1;

    if (rows == NULL)
        return -1;
    if (PQntuples(rows) == 0)
        claimed = 0;
    else if (read_delivery(rows, arena, out))
        claimed = 1;
    else
        (void)err_set(why, ERR_RETRY, "no memory for message %s", PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return claimed;
}

/* ---- the notifier's own alerts --------------------------------------------------------------- */

static void
endpoint_identity(struct text endpoint, const char *rule, char out[FINGERPRINT_SIZE])
{
    struct text labels[LABEL_COUNT] = {[LABEL_ENDPOINT] = endpoint};
    char identity[512];
    unsigned char hash[32];
    const struct text parts = {identity,
                               alert_identity(identity, sizeof identity, text_of(rule), labels)};
    unsigned size = 0;

    if (EVP_Digest(parts.at, parts.size, hash, &size, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* As settlements do it: raising what is open and clearing what is not change nothing. */
#define REST "NULL, '{}', '{}', NULL, NULL, false, NULL, NULL, NULL, false"
static const char raise_sql[] =
    "SELECT tripmeter.settle_transition(NULL, $2::text, 'fire', ROW($2::text, 0, 0, 'fire',"
    " $3::text, NULL, jsonb_build_object('endpoint', $4::text), $5::text, " NOW ", 0, " REST
    ", NULL, $6::text, NULL, " NOW ", NULL)::tripmeter.transition)";
static const char clear_sql[] =
    "SELECT tripmeter.settle_transition(NULL, fingerprint, 'resolve', ROW(fingerprint, 0, 0,"
    " 'resolve', rule, tenant, labels, severity, " NOW ", step, " REST
    ", 'cleared', summary, NULL, " NOW ", NULL)::tripmeter.transition)"
    " FROM tripmeter.episode WHERE fingerprint IN ($2, $3) AND resolved_at IS NULL";

static bool
raise_alert(struct outbox *outbox, const char *rule, const char *severity,
            const struct delivery *delivery, const char *words, struct err *why)
{
    char fingerprint[FINGERPRINT_SIZE];
    const char *const values[] = {outbox_now(outbox),    fingerprint, rule,
                                  delivery->endpoint.at, severity,    words};

    endpoint_identity(delivery->endpoint, rule, fingerprint);
    return outbox_do(outbox, raise_sql, values, 6, why);
}

/* An endpoint that takes a message is well. */
static bool
clear_alerts(struct outbox *outbox, const struct delivery *delivery, struct err *why)
{
    char dead[FINGERPRINT_SIZE];
    char disabled[FINGERPRINT_SIZE];
    const char *const values[] = {outbox_now(outbox), dead, disabled};

    endpoint_identity(delivery->endpoint, "delivery/dead", dead);
    endpoint_identity(delivery->endpoint, "delivery/disabled", disabled);
    return outbox_do(outbox, clear_sql, values, 3, why);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

#define HELD "WHERE o.id = $2 AND o.lease_token = $3::bigint AND o.state = 'leased'"

/* $1 now, $2 id, $3 token.  What waited for an endpoint that was failing is due at once. */
static const char delivered_sql[] =
    "WITH done AS ("
    " UPDATE tripmeter.outbox o SET state = 'delivered', finished_at = " NOW
    ", lease_until = NULL, last_error = NULL " HELD " RETURNING o.id, o.endpoint"
    "), waiting AS ("
    " UPDATE tripmeter.outbox o SET next_at = " NOW " FROM done, tripmeter.endpoint_state s"
    " WHERE o.endpoint = done.endpoint AND s.endpoint = done.endpoint AND s.failures >= " FAILURES
    " AND o.state = 'retry' AND o.refusals = 0 AND o.id <> done.id"
    "), healthy AS ("
    " UPDATE tripmeter.endpoint_state s SET failures = 0, failing_since = NULL,"
    " probe_at = NULL, last_error = NULL, delivered_at = " NOW
    " FROM done WHERE s.endpoint = done.endpoint)"
    " SELECT id FROM done";

/* $1 now, $2 id, $3 token, $4 next attempt or NULL: dead, $5 error, $6 refusals,
 * $7 1: the endpoint is in trouble */
static const char failed_sql[] =
    "WITH done AS ("
    " UPDATE tripmeter.outbox o SET"
    " state = CASE WHEN $4::timestamptz IS NULL THEN 'dead' ELSE 'retry' END,"
    " finished_at = CASE WHEN $4::timestamptz IS NULL THEN " NOW " END,"
    " next_at = coalesce($4::timestamptz, o.next_at), lease_until = NULL, last_error = $5,"
    " refusals = $6::integer " HELD " RETURNING o.endpoint)"
    " UPDATE tripmeter.endpoint_state s SET failures = s.failures + $7::integer,"
    " failing_since = CASE WHEN $7::integer = 1 THEN coalesce(s.failing_since, " NOW ")"
    " ELSE s.failing_since END,"
    " probe_at = CASE WHEN s.failures + $7::integer >= " FAILURES " THEN " NOW " + interval '" PROBE
    " ms' END,"
    " last_error = $5 FROM done WHERE s.endpoint = done.endpoint"
    " RETURNING coalesce(" NOW " - s.failing_since > interval '" FAILING " h', false)";

/* $1 now, $2 endpoint, $3 why */
static const char disable_sql[] =
    "WITH off AS ("
    " UPDATE tripmeter.endpoint_state SET disabled_at = " NOW ", disabled_why = $3"
    " WHERE endpoint = $2 AND disabled_at IS NULL)"
    " UPDATE tripmeter.outbox SET state = 'dead', finished_at = " NOW ", last_error = $3"
    " WHERE endpoint = $2 AND state IN ('queued', 'retry')";

static bool
disable(struct outbox *outbox, const struct delivery *delivery, const char *reason, struct err *why)
{
    const char *const values[] = {outbox_now(outbox), delivery->endpoint.at, reason};
    char words[ATTEMPT_TEXT_SIZE + 128];

    (void)snprintf(words, sizeof words, "Nothing is sent to %s any more: %s", delivery->endpoint.at,
                   reason);
    return outbox_do(outbox, disable_sql, values, 3, why) &&
           raise_alert(outbox, "delivery/disabled", "critical", delivery, words, why);
}

static bool
finish_delivered(struct outbox *outbox, const struct delivery *delivery, enum fate *fate,
                 struct err *why)
{
    char token[NUMBER_SIZE];
    const char *const values[] = {outbox_now(outbox), delivery->id,
                                  number_text(delivery->token, token)};
    PGresult *rows = outbox_run(outbox, delivered_sql, values, 3, why);

    if (rows == NULL)
        return false;
    *fate = PQntuples(rows) == 1 ? FATE_DELIVERED : FATE_STALE;
    PQclear(rows);
    return *fate == FATE_STALE || clear_alerts(outbox, delivery, why);
}

static bool
time_now(struct outbox *outbox, int64_t *now_ms, struct err *why)
{
    const char *const values[] = {outbox_now(outbox)};
    PGresult *rows =
        outbox_run(outbox, "SELECT (extract(epoch FROM " NOW ") * 1000)::bigint", values, 1, why);

    if (rows != NULL)
        *now_ms = column_number(rows, 0, 0);
    PQclear(rows);
    return rows != NULL;
}

static bool
finish_failed(struct outbox *outbox, const struct delivery *delivery, const struct attempt *attempt,
              enum fate *fate, struct err *why)
{
    struct retry retry = {.id = delivery->id,
                          .critical = delivery->critical,
                          .attempts = delivery->attempts,
                          .refusals = delivery->refusals + (attempt->verdict == VERDICT_REFUSED),
                          .created_ms = delivery->created_ms};
    const bool hopeless = attempt->verdict == VERDICT_DEAD || attempt->verdict == VERDICT_GONE;
    char token[NUMBER_SIZE];
    char refusals[NUMBER_SIZE];
    char next[CLOCK_TEXT_SIZE];
    char words[ATTEMPT_TEXT_SIZE + 128];
    int64_t now_ms = 0;
    int64_t next_ms = 0;

    if (!time_now(outbox, &now_ms, why))
        return false;
    const bool again = !hopeless && retry_next(&retry, attempt, now_ms, &next_ms);
    const char *const values[] = {outbox_now(outbox),
                                  delivery->id,
                                  number_text(delivery->token, token),
                                  again ? clock_format(next_ms, next) : NULL,
                                  attempt->text,
                                  number_text(retry.refusals, refusals),
                                  attempt->verdict == VERDICT_RETRY ? "1" : "0"};
    PGresult *rows = outbox_run(outbox, failed_sql, values, 7, why);

    if (rows == NULL)
        return false;
    const bool held = PQntuples(rows) == 1;
    const bool failing_too_long = held && column_true(rows, 0, 0);

    PQclear(rows);
    *fate = !held ? FATE_STALE : again ? FATE_RETRY : FATE_DEAD;
    if (!held)
        return true;
    if (attempt->verdict == VERDICT_GONE)
        return disable(outbox, delivery, attempt->text, why);
    (void)snprintf(words, sizeof words, "A message to %s was given up: %s", delivery->endpoint.at,
                   attempt->text);
    if (!again && !raise_alert(outbox, "delivery/dead", "error", delivery, words, why))
        return false;
    return !failing_too_long ||
           disable(outbox, delivery, "it has been failing for " FAILING " hours", why);
}

bool
outbox_finish(struct outbox *outbox, const struct delivery *delivery, const struct attempt *attempt,
              enum fate *fate, struct err *why)
{
    struct err ignored;

    if (attempt->verdict == VERDICT_DELIVERED)
        return finish_delivered(outbox, delivery, fate, why);
    /* One transaction: a message never dies without its alert. */
    if (!outbox_do(outbox, "BEGIN", NULL, 0, why))
        return false;
    if (finish_failed(outbox, delivery, attempt, fate, why))
        return outbox_do(outbox, "COMMIT", NULL, 0, why);
    (void)outbox_do(outbox, "ROLLBACK", NULL, 0, &ignored);
    return false;
}

bool
outbox_sweep(struct outbox *outbox, const struct config *config, struct err *why)
{
    arena_clear(outbox->arena);
    const char *const values[] = {outbox_now(outbox), endpoint_array(outbox, config)};

    return outbox_do(outbox,
                     "UPDATE tripmeter.outbox SET state = 'suppressed', lease_until = NULL,"
                     " reason = 'endpoint is not configured', finished_at = " NOW
                     " WHERE state IN ('queued', 'retry') AND endpoint <> ALL ($2::text[])"
                     " AND created_at < " NOW " - interval '72 h'",
                     values, 2, why);
}
