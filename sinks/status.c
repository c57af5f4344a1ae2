#include "sinks/status.h"

#include "config/log.h"
#include "config/now.h"
#include "core/clock.h"
#include "sinks/page.h"
#include "sinks/prometheus.h"
#include "sinks/status_document.h"
#include "sinks/status_query.h"
#include "sinks/writer.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_LIMIT = 32,
    CONNECTION_LIMIT_PER_ADDRESS = 16,
    CONNECTION_TIMEOUT_S = 10,
    CONNECTION_MEMORY = 16 * 1024, /* request line and headers */
    THREAD_STACK = 512 * 1024,
    LISTEN_BACKLOG = 64,
    BODY_LIMIT = 16 * 1024 * 1024,
};

struct status {
    const struct config *config;
    const struct status_source *source;
    struct status_query *query;
    struct MHD_Daemon *daemon;
    int port;
};

struct answer {
    unsigned code;
    const char *type;
    struct writer body;
};

/* ---- what is answered -------------------------------------------------------------------------- */

static int64_t
engine_now(const struct status *status)
{
    return now_wall_ms() + status->config->clock_offset_ms;
}

static json_t *
new_document(struct status *status)
{
    return status_document(status->config, status->source, status_query_get(status->query),
                           engine_now(status));
}

static void
answer_health(struct status *status, struct answer *answer)
{
    (void)status;
    writer_string(&answer->body, "ok\n");
}

static void
add_reason_line(void *to, const char *reason)
{
    struct writer *body = to;

    writer_format(body, "%s\n", reason);
}

static void
answer_ready(struct status *status, struct answer *answer)
{
    const struct status_source *source = status->source;

    if (source->reasons != NULL)
        source->reasons(source->context, add_reason_line, &answer->body);
    if (answer->body.size > 0)
        answer->code = MHD_HTTP_SERVICE_UNAVAILABLE;
    else
        writer_string(&answer->body, "ready\n");
}

static void
answer_metrics(struct status *status, struct answer *answer)
{
    answer->type = PROMETHEUS_TYPE;
    prometheus_write(&answer->body, status->source);
}

static void
answer_page(struct status *status, struct answer *answer)
{
    json_t *document = new_document(status);

    answer->type = "text/html; charset=utf-8";
    page_write(&answer->body, document);
    json_decref(document);
}

static void
answer_json(struct status *status, struct answer *answer)
{
    json_t *document = new_document(status);
    char *text = json_dumps(document, JSON_INDENT(2));

    answer->type = "application/json";
    writer_text(&answer->body, text_of(text));
    writer_string(&answer->body, "\n");
    free(text);
    json_decref(document);
}

static const struct {
    const char *path;
    void (*answer)(struct status *status, struct answer *answer);
} paths[] = {
    {"/healthz", answer_health}, {"/readyz", answer_ready},     {"/metrics", answer_metrics},
    {"/status", answer_page},    {"/status.json", answer_json}, {"/", answer_page},
};

static void
answer_path(struct status *status, const char *path, struct answer *answer)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(paths[i].path, path) == 0) {
            paths[i].answer(status, answer);
            return;
        }
    answer->code = MHD_HTTP_NOT_FOUND;
    writer_string(&answer->body, "not found; there are:\n");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        writer_format(&answer->body, "%s\n", paths[i].path);
}

/* ---- HTTP -------------------------------------------------------------------------------------- */

static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct answer *answer)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        /* Names of tenants come from outside: even if one slipped through unescaped, it could not
         * run or fetch anything. */
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
                                    "frame-ancestors 'none'; form-action 'none'; "
                                    "base-uri 'none'"},
    };
    enum MHD_Result result = MHD_NO;
    struct MHD_Response *response;

    if (answer->body.full) {
        writer_free(&answer->body);
        writer_string(&answer->body, "the answer is too large, or memory is short\n");
        answer->code = MHD_HTTP_INTERNAL_SERVER_ERROR;
        answer->type = "text/plain; charset=utf-8";
    }
    response =
        MHD_create_response_from_buffer(answer->body.size, answer->body.at, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", answer->type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (answer->code == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    result = MHD_queue_response(connection, answer->code, response);
    MHD_destroy_response(response);
    return result;
}

/* The signature is libmicrohttpd's.  Answering at the first call, before any body was read, makes it
 * close connections that would send one. */
/* NOLINTBEGIN(readability-function-size, readability-non-const-parameter) */
static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *body, size_t *body_size, void **state)
{
    struct answer answer = {
        .code = MHD_HTTP_OK,
        .type = "text/plain; charset=utf-8",
        .body = writer_new(BODY_LIMIT),
    };
    enum MHD_Result result;

    (void)version, (void)body, (void)body_size, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        answer_path(context, url, &answer);
    } else {
        answer.code = MHD_HTTP_METHOD_NOT_ALLOWED;
        writer_string(&answer.body, "only GET and HEAD\n");
    }
    result = send_answer(connection, &answer);
    writer_free(&answer.body);
    return result;
}
/* NOLINTEND(readability-function-size, readability-non-const-parameter) */

__attribute__((format(printf, 2, 0))) static void
on_log(void *context, const char *format, va_list args)
{
    char text[LOG_QUOTE_SIZE];
    char quoted[LOG_QUOTE_SIZE];

    (void)context;
    (void)vsnprintf(text, sizeof text, format, args);
    log_debug("http", "text=%s", log_quote(text_of(text), quoted));
}

/* ---- listening --------------------------------------------------------------------------------- */

static bool
listen_error(const struct config *config, const char *what, struct err *why)
{
    return err_set(why, ERR_FATAL, "status.listen %s, port %d: %s", config->status.listen,
                   config->status.port, what);
}

static int
listen_on(const struct addrinfo *address)
{
    const int on = 1;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    /* A restarted engine takes its port back although old connections linger. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;

    const int error = errno;

    (void)close(fd);
    errno = error;
    return -1;
}

static int
port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char port[16] = "";
    int64_t number = 0;

    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) == 0)
        (void)text_to_int(text_of(port), 0, UINT16_MAX, &number);
    return (int)number;
}

static bool
open_socket(struct status *status, int *fd, struct err *why)
{
    const struct config *config = status->config;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[16];
    int error;

    (void)snprintf(port, sizeof port, "%d", config->status.port);
    error = getaddrinfo(config->status.listen, port, &hints, &found);
    if (error != 0)
        return listen_error(config, gai_strerror(error), why);
    *fd = listen_on(found);
    error = errno;
    freeaddrinfo(found);
    if (*fd < 0) {
        char text[128];

        if (strerror_r(error, text, sizeof text) != 0)
            text[0] = '\0';
        return listen_error(config, text, why);
    }
    status->port = port_of(*fd);
    return true;
}

static void
log_url(const struct status *status)
{
    const char *host = status->config->status.listen;
    const bool v6 = strchr(host, ':') != NULL;

    log_info("status", "url=http://%s%s%s:%d/status", v6 ? "[" : "", host, v6 ? "]" : "",
             status->port);
}

/* One thread a connection: a page that waits for Postgres keeps nobody from /healthz. */
static bool
start_daemon(struct status *status, struct err *why)
{
    int fd = -1;

    if (!open_socket(status, &fd, why))
        return false;
    status->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_ERROR_LOG | MHD_USE_ITC,
        0, NULL, NULL, on_request, status, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTION_LIMIT,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTION_LIMIT_PER_ADDRESS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK, MHD_OPTION_END);
    if (status->daemon != NULL)
        return true;
    (void)close(fd);
    return listen_error(status->config, "the HTTP server does not start", why);
}

struct status *
status_start(const struct config *config, const struct status_source *source, struct err *why)
{
    struct status *status = calloc(1, sizeof *status);

    if (status != NULL) {
        status->config = config;
        status->source = source;
        status->query = status_query_new(config);
    }
    if (status == NULL || status->query == NULL) {
        (void)err_set(why, ERR_FATAL, "memory is short");
        status_stop(status);
        return NULL;
    }
    if (!start_daemon(status, why)) {
        status_stop(status);
        return NULL;
    }
    log_url(status);
    return status;
}

int
status_port(const struct status *status)
{
    return status->port;
}

void
status_stop(struct status *status)
{
    if (status == NULL)
        return;
    if (status->daemon != NULL)
        MHD_stop_daemon(status->daemon);
    status_query_free(status->query);
    free(status);
}
