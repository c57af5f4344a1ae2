#include "sinks/pg.h"

#include "config/now.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define TEXT_OF(number)   #number
#define NUMBER_OF(number) TEXT_OF(number)

/* What the engine asks of every session. A value in the connection string's `options` loses. */
static const char session_settings[] =
    "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s';"
    "SET statement_timeout = " NUMBER_OF(
        PG_STATEMENT_MS) ";"
                         "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;"
                         "SET tcp_keepalives_count = 3; SET tcp_user_timeout = " NUMBER_OF(
                             PG_TCP_MS) ";"
                                        "SET synchronous_commit = 'on'; "
                                        "SET timezone = 'UTC';"
                                        "SET datestyle = 'ISO'; SET client_min_messages = "
                                        "'warning'";

#define PG_OLDEST 140000

/* Waits for the socket. 1 ready, 0 deadline passed, -1 no socket. */
static int
wait_socket(const PGconn *conn, short events, int64_t deadline_ms)
{
    for (;;) {
        const int64_t left = deadline_ms - now_steady_ms();
        struct pollfd one = {.fd = PQsocket(conn), .events = events};

        if (one.fd < 0)
            return -1;
        const int ready = poll(&one, 1, left <= 0 ? 0 : left > 60000 ? 60000 : (int)left);

        if (ready > 0)
            return 1;
        if (ready < 0 && errno != EINTR)
            return -1;
        if (left <= 0)
            return 0;
    }
}

/* The SQLSTATE in a verbose message of libpq ("FATAL:  28P01: password ..."), or "". */
static void
state_of_message(const char *message, char state[6])
{
    state[0] = '\0';
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(state, at + 3, 5);
            state[5] = '\0';
            return;
        }
}

/* Wrong credentials and unknown databases stay wrong; everything else may pass. */
static enum err_class
class_of_connect(const char *state)
{
    return strncmp(state, "28", 2) == 0 || strcmp(state, "3D000") == 0 ||
                   strcmp(state, "42501") == 0
               ? ERR_FATAL
               : ERR_RETRY;
}

static const char *
remedy_of_connect(const char *state)
{
    if (strncmp(state, "28", 2) == 0)
        return "; check user and password in postgres.url and the server's pg_hba.conf";
    if (strcmp(state, "3D000") == 0)
        return "; create the database, then run `tripmeter migrate`";
    if (strcmp(state, "42501") == 0)
        return "; grant CONNECT on the database to this user";
    return "";
}

static bool
connect_error(struct pg *pg, struct err *why)
{
    const char *const message = PQerrorMessage(pg->conn);
    const char *const detail = strstr(message, "FATAL:  ");
    const char *const text = detail != NULL ? detail : message;
    char state[6];

    state_of_message(message, state);
    return err_set(why, class_of_connect(state), "cannot open %s: %.*s%s", pg->where,
                   (int)strcspn(text, "\n"), text, remedy_of_connect(state));
}

static void
name_place(struct pg *pg)
{
    const char *const host = PQhost(pg->conn);
    const char *const port = PQport(pg->conn);
    const char *const database = PQdb(pg->conn);

    (void)snprintf(pg->where, sizeof pg->where, "database %s on %s:%s",
                   database == NULL ? "?" : database, host == NULL ? "?" : host,
                   port == NULL ? "?" : port);
}

static bool
connect_within(struct pg *pg, int64_t deadline_ms, struct err *why)
{
    PostgresPollingStatusType now = PGRES_POLLING_WRITING;

    if (PQstatus(pg->conn) == CONNECTION_BAD)
        return connect_error(pg, why);
    /* Verbose messages carry the SQLSTATE, which libpq gives in no other way for a connection. */
    (void)PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    while (now != PGRES_POLLING_OK) {
        const short events = now == PGRES_POLLING_READING ? POLLIN : POLLOUT;

        if (wait_socket(pg->conn, events, deadline_ms) == 0)
            return err_set(why, ERR_RETRY, "cannot open %s: no answer within %d s", pg->where,
                           PG_CONNECT_MS / 1000);
        now = PQconnectPoll(pg->conn);
        if (now == PGRES_POLLING_FAILED)
            return connect_error(pg, why);
    }
    (void)PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    return true;
}

/* What functions say in passing goes nowhere: libpq would print it into the log. */
static void
ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static bool
new_enough(const struct pg *pg, struct err *why)
{
    const int version = PQserverVersion(pg->conn);

    return version >= PG_OLDEST ||
           err_set(why, ERR_FATAL, "%s runs Postgres %d; tripmeter needs %d or newer", pg->where,
                   version / 10000, PG_OLDEST / 10000);
}

/* libpq quotes a connection string it cannot read, password and all: say less. */
static bool
readable(const char *url, struct err *why)
{
    PQconninfoOption *const parts = PQconninfoParse(url, NULL);

    if (parts == NULL)
        return err_set(why, ERR_FATAL,
                       "postgres.url is no connection string that libpq can read; write "
                       "postgresql://user@host:5432/database");
    PQconninfoFree(parts);
    return true;
}

bool
pg_open(struct pg *pg, const char *url, const char *name, struct err *why)
{
    /* What stands before dbname is a default that the connection string may overrule. */
    const char *const keys[] = {
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname",          "application_name",    "client_encoding",  NULL};
    const char *const values[] = {"10", "5", "3", NUMBER_OF(PG_TCP_MS), url, name, "UTF8", NULL};

    memset(pg, 0, sizeof *pg);
    pg->answer_ms = PG_ANSWER_MS;
    if (!readable(url, why))
        return false;
    pg->conn = PQconnectStartParams(keys, values, 1);
    if (pg->conn == NULL)
        return err_set(why, ERR_RETRY, "no memory for a connection");
    (void)PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    name_place(pg);
    if (!connect_within(pg, now_steady_ms() + PG_CONNECT_MS, why) || !new_enough(pg, why) ||
        PQsetnonblocking(pg->conn, 1) != 0 || !pg_run(pg, session_settings, why)) {
        pg_close(pg);
        return false;
    }
    /* A dead client's settlement ends at once; servers on some systems cannot look. */
    struct err ignored;
    (void)pg_run(pg, "SET client_connection_check_interval = '1s'", &ignored);
    return true;
}

void
pg_close(struct pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->broken = true;
}

static void
look_broken(struct pg *pg)
{
    if (PQstatus(pg->conn) != CONNECTION_OK)
        pg->broken = true;
}

bool
pg_flush(struct pg *pg, int64_t deadline_ms)
{
    for (;;) {
        const int left = PQflush(pg->conn);

        if (left == 0)
            return true;
        /* The server may be waiting for us to read before it reads on. */
        if (left < 0 || wait_socket(pg->conn, POLLIN | POLLOUT, deadline_ms) <= 0 ||
            PQconsumeInput(pg->conn) == 0) {
            pg->broken = true;
            return false;
        }
    }
}

int
pg_wait(struct pg *pg, int64_t timeout_ms)
{
    const int64_t deadline_ms = now_steady_ms() + timeout_ms;

    while (PQisBusy(pg->conn)) {
        const int ready = wait_socket(pg->conn, POLLIN, deadline_ms);

        if (ready == 0)
            return 0;
        if (ready < 0 || PQconsumeInput(pg->conn) == 0) {
            pg->broken = true;
            return -1;
        }
    }
    return 1;
}

PGresult *
pg_next(struct pg *pg)
{
    if (pg->broken || !pg_flush(pg, now_steady_ms() + pg->answer_ms))
        return NULL;
    if (pg_wait(pg, pg->answer_ms) != 1) {
        pg->broken = true;
        return NULL;
    }
    return PQgetResult(pg->conn);
}

const char *
pg_state(const PGresult *result)
{
    const char *const state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return state == NULL ? "" : state;
}

/* Rows that are refused stay refused; a shard that is taken over is given up; topics that cannot have
 * grown so, or a schema that is not there, need somebody; the rest may pass. */
static enum err_class
class_of_state(const char *state)
{
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0)
        return ERR_INPUT;
    if (strcmp(state, "TM001") == 0)
        return ERR_ABORT;
    if (strcmp(state, "3F000") == 0 || strcmp(state, "42P01") == 0 || strcmp(state, "42883") == 0 ||
        strcmp(state, "TM007") == 0)
        return ERR_FATAL;
    return ERR_RETRY;
}

bool
pg_error(struct pg *pg, const PGresult *result, struct err *why)
{
    const char *const state = pg_state(result);
    const char *const text =
        result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    look_broken(pg);
    pg->lock_timeout = strcmp(state, "55P03") == 0;
    if (text == NULL)
        return err_set(why, ERR_RETRY, "%s: connection lost or no answer", pg->where);
    const enum err_class class = class_of_state(state);

    return err_set(why, class, "%s: %s (SQLSTATE %s)%s", pg->where, text, state,
                   class == ERR_FATAL && state[0] != 'T' ? "; run `tripmeter migrate`" : "");
}

/* Takes every result of what was sent and keeps the first that failed, else the last. */
static PGresult *
take_all(struct pg *pg)
{
    PGresult *kept = NULL;
    PGresult *next;

    while ((next = pg_next(pg)) != NULL) {
        const ExecStatusType status = PQresultStatus(kept);

        if (kept != NULL && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            PQclear(next);
            continue;
        }
        PQclear(kept);
        kept = next;
    }
    return kept;
}

static PGresult *
answer(struct pg *pg, struct err *why)
{
    PGresult *const result = take_all(pg);
    const ExecStatusType status = PQresultStatus(result);

    if (!pg->broken && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK))
        return result;
    (void)pg_error(pg, pg->broken ? NULL : result, why);
    PQclear(result);
    return NULL;
}

PGresult *
pg_query(struct pg *pg, const char *sql, struct pgparams *params, struct err *why)
{
    if (params != NULL && !pgparams_ready(params)) {
        (void)err_set(why, ERR_RETRY, "no memory for the parameters of a statement");
        return NULL;
    }
    if (pg->broken || PQsendQueryParams(pg->conn, sql, params == NULL ? 0 : (int)params->count,
                                        NULL, params == NULL ? NULL : params->values,
                                        params == NULL ? NULL : params->lengths,
                                        params == NULL ? NULL : params->formats, 1) == 0) {
        (void)pg_error(pg, NULL, why);
        return NULL;
    }
    return answer(pg, why);
}

bool
pg_run(struct pg *pg, const char *sql, struct err *why)
{
    if (pg->broken || PQsendQuery(pg->conn, sql) == 0)
        return pg_error(pg, NULL, why);
    PGresult *const result = answer(pg, why);

    PQclear(result);
    return result != NULL;
}
