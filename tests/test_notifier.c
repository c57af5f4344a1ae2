/* Protects: a transition becomes signed webhooks and mails at real receivers, whatever fails first. */
#include "config/log.h"
#include "sinks/notifier.h"
#include "tests/alerts_env.h"
#include "tests/check.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
#define PATH_SIZE  256

struct scene {
    struct alerts_env env;
    char dir[PATH_SIZE]; /* of the receivers */
    pid_t receivers;
    char webhook[128];
    char smtp_host[64];
    int smtp_port;
    char smtp_tls_host[64];
    int smtp_tls_port;
    char control[128];
    char ca[PATH_SIZE];
    char urls[2][160];
    struct metric_set metrics;
    struct notifier *notifier;
};

/* ---- waiting --------------------------------------------------------------------------------- */

static void
pause_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    (void)nanosleep(&time, NULL);
}

/* Waits until a question to the database has this answer. */
static bool
until(struct scene *scene, const char *sql, const char *expected)
{
    const time_t end = time(NULL) + PATIENCE_S;

    while (time(NULL) < end) {
        if (strcmp(alerts_env_ask(&scene->env, sql), expected) == 0)
            return true;
        pause_ms(20);
    }
    (void)printf("%s: %s, expected %s\n", sql, alerts_env_ask(&scene->env, sql), expected);
    CU_FAIL("waited in vain");
    return false;
}

static bool
read_env(struct scene *scene)
{
    char path[PATH_SIZE + 8];
    char line[PATH_SIZE + 32];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/env", scene->dir);
    if ((file = fopen(path, "r")) == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');

        if (value == NULL)
            continue;
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        char *colon = strrchr(value, ':');

        if (strcmp(line, "webhook") == 0)
            (void)snprintf(scene->webhook, sizeof scene->webhook, "%.100s", value);
        else if (strcmp(line, "control") == 0)
            (void)snprintf(scene->control, sizeof scene->control, "%.100s", value);
        else if (strcmp(line, "ca") == 0)
            (void)snprintf(scene->ca, sizeof scene->ca, "%.250s", value);
        else if (strcmp(line, "smtp") == 0 && colon != NULL)
            scene->smtp_port = (int)strtol(colon + 1, NULL, 10);
        else if (strcmp(line, "smtp_tls") == 0 && colon != NULL)
            scene->smtp_tls_port = (int)strtol(colon + 1, NULL, 10);
    }
    (void)fclose(file);
    return true;
}

/* ---- the scene ------------------------------------------------------------------------------- */

static bool
start_receivers(struct scene *scene)
{
    const time_t end = time(NULL) + PATIENCE_S;

    (void)mkdir("build", 0777);
    (void)snprintf(scene->dir, sizeof scene->dir, "build/receivers.XXXXXX");
    if (mkdtemp(scene->dir) == NULL)
        return false;
    scene->receivers = fork();
    if (scene->receivers == 0) {
        (void)execl("/usr/bin/env", "env", "WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                    "/usr/bin/python3", "tests/env/receivers.py", scene->dir, (char *)NULL);
        _exit(127);
    }
    while (!read_env(scene)) {
        if (time(NULL) >= end || waitpid(scene->receivers, NULL, WNOHANG) != 0)
            return false;
        pause_ms(20);
    }
    return true;
}

static void
open_scene(struct scene *scene)
{
    *scene = (struct scene){.receivers = 0};
    log_setup(LOG_ERROR, false);
    alerts_env_open(&scene->env);
    CU_ASSERT_TRUE_FATAL(start_receivers(scene));
    (void)snprintf(scene->urls[0], sizeof scene->urls[0], "%s/engineering", scene->webhook);
    (void)snprintf(scene->urls[1], sizeof scene->urls[1], "%s/billing", scene->webhook);
    scene->env.endpoints[0][0].target = scene->urls[0];
    scene->env.endpoints[1][0].target = scene->urls[1];
    scene->env.config.smtp.port = scene->smtp_port;
}

static void
start(struct scene *scene)
{
    scene->notifier = notifier_start(&scene->env.config, &scene->metrics);
    CU_ASSERT_PTR_NOT_NULL_FATAL(scene->notifier);
}

static void
close_scene(struct scene *scene)
{
    static const char *const files[] = {"env", "inbox.jsonl", "refused.jsonl", "cert.pem",
                                        "key.pem"};
    char path[PATH_SIZE + 16];

    notifier_stop(scene->notifier, 5000);
    (void)kill(scene->receivers, SIGTERM);
    (void)waitpid(scene->receivers, NULL, 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", scene->dir, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(scene->dir);
    alerts_env_close(&scene->env);
}

/* Tells the receivers what shall go wrong next. */
static void
script(struct scene *scene, const char *rule)
{
    CURL *easy = curl_easy_init();

    (void)curl_easy_setopt(easy, CURLOPT_URL, scene->control);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, rule);
    CU_ASSERT_EQUAL(curl_easy_perform(easy), CURLE_OK);
    curl_easy_cleanup(easy);
}

/* The n-th accepted message, or NULL; the caller gives it back. */
static json_t *
received(struct scene *scene, int n)
{
    char path[PATH_SIZE + 16];
    char *line = NULL;
    size_t room = 0;
    json_t *message = NULL;

    (void)snprintf(path, sizeof path, "%s/inbox.jsonl", scene->dir);
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return NULL;
    for (int i = 0; i <= n; i++)
        if (getline(&line, &room, file) <= 0)
            goto done;
    message = json_loads(line, 0, NULL);
done:
    free(line);
    (void)fclose(file);
    return message;
}

static const char *
header(const json_t *message, const char *name)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(message, "headers"), name));

    return value == NULL ? "" : value;
}

static const char state_sql[] = "SELECT string_agg(state, ',' ORDER BY endpoint, group_seq)"
                                " FROM tripmeter.outbox WHERE endpoint LIKE 'billing/%'";
static const char hurry_sql[] = "UPDATE tripmeter.outbox SET next_at = now() WHERE state = 'retry'";

/* ---- the tests ------------------------------------------------------------------------------- */

/* Transition -> signed webhook and mail. */
static void
test_delivery(void)
{
    struct scene scene;

    open_scene(&scene);
    start(&scene);
    alerts_env_step(&scene.env, "acme", "fire", "warning", 75);
    notifier_wake(scene.notifier);
    (void)until(&scene, state_sql, "delivered,delivered");
    json_t *first = received(&scene, 0);
    json_t *second = received(&scene, 1);
    const bool mail_first = strcmp(json_string_value(json_object_get(first, "kind")), "mail") == 0;
    const json_t *webhook = mail_first ? second : first;
    const json_t *mail = mail_first ? first : second;

    CU_ASSERT_TRUE(json_is_true(json_object_get(webhook, "verified")));
    CU_ASSERT_STRING_EQUAL(header(webhook, "idempotency-key"), header(webhook, "webhook-id"));
    CU_ASSERT_STRING_EQUAL(
        json_string_value(json_object_get(json_object_get(webhook, "body"), "type")),
        "alert.firing");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(mail, "subject")),
                           "[tripmeter] acme: api_calls 75%");
    CU_ASSERT_STRING_EQUAL(header(mail, "auto-submitted"), "auto-generated");
    CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_object_get(mail, "text")),
                                  "37,500 of 50,000 requests (75 %)"));
    json_decref(first);
    json_decref(second);
    notifier_stop(scene.notifier, 5000); /* it counts after it has written down */
    scene.notifier = NULL;
    CHECK_INT("counted", metric_get(&scene.metrics, METRIC_DELIVERED), 2);
    close_scene(&scene);
}

struct trouble_row {
    const char *name;
    const char *rule;     /* for the receivers */
    const char *severity; /* info: webhook only */
    const char *between;  /* state after the first attempt, of the endpoint in trouble */
    const char *error;    /* part of last_error */
    bool again;           /* a second attempt is made and succeeds */
    int accepted;         /* deliveries that reached the inbox in the end, of the endpoint */
};

static const struct trouble_row trouble_rows[] = {
    {"500", "{\"webhook_status\":500}", "info", "retry", "answered 500", true, 1},
    {"redirect", "{\"webhook_status\":302}", "info", "retry", "answered 302", true, 1},
    {"no answer", "{\"webhook_drop\":true}", "info", "retry", "127.0.0.1", true, 1},
    {"answer lost", "{\"webhook_drop_after\":true}", "info", "retry", "127.0.0.1", true, 2},
    {"410", "{\"webhook_status\":410}", "info", "dead", "answered 410", false, 0},
    {"451", "{\"smtp_code\":451}", "warning", "retry", "put it off", true, 1},
    {"451 rcpt", "{\"smtp_code\":451,\"at\":\"rcpt\"}", "warning", "retry", "451", true, 1},
    {"550", "{\"smtp_code\":550,\"at\":\"rcpt\"}", "warning", "dead", "550", false, 0},
    {"554", "{\"smtp_code\":554}", "warning", "dead", "554", false, 0},
    {"mail lost", "{\"smtp_drop_after_data\":true}", "warning", "retry", "may have arrived", true,
     2},
};

static bool
for_billing(const json_t *message)
{
    const char *path = json_string_value(json_object_get(message, "path"));
    const char *to = json_string_value(json_array_get(json_object_get(message, "to"), 0));

    return (path != NULL && strcmp(path, "/billing") == 0) ||
           (to != NULL && strcmp(to, "billing@example.com") == 0);
}

/* How often billing accepted messages of the kind, all under one id. */
static int
accepted(struct scene *scene, const char *kind)
{
    const char *name = strcmp(kind, "mail") == 0 ? "message-id" : "webhook-id";
    char id[128] = "";
    json_t *message;
    int count = 0;

    for (int i = 0; (message = received(scene, i)) != NULL; i++) {
        if (for_billing(message) &&
            strcmp(json_string_value(json_object_get(message, "kind")), kind) == 0) {
            if (count++ == 0)
                (void)snprintf(id, sizeof id, "%s", header(message, name));
            CU_ASSERT_STRING_EQUAL(header(message, name), id);
        }
        json_decref(message);
    }
    return count;
}

static void
check_trouble(const struct trouble_row *row)
{
    const bool mail = strcmp(row->severity, "info") != 0;
    const char *state =
        mail ? "SELECT state FROM tripmeter.outbox WHERE endpoint = 'billing/email/0'"
             : "SELECT state FROM tripmeter.outbox WHERE endpoint = "
               "'billing/webhook/0'";
    struct scene scene;

    open_scene(&scene);
    script(&scene, row->rule);
    alerts_env_step(&scene.env, "acme", "fire", row->severity, 75);
    start(&scene);
    if (until(&scene, state, row->between)) {
        const char *error = alerts_env_ask(&scene.env, mail ? "SELECT last_error FROM tripmeter."
                                                              "outbox WHERE kind = 'email'"
                                                            : "SELECT last_error FROM tripmeter."
                                                              "outbox WHERE kind = 'webhook'");

        if (strstr(error, row->error) == NULL)
            (void)printf("[%s] %s\n", row->name, error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, row->error));
    }
    if (row->again) {
        alerts_env_do(&scene.env, hurry_sql);
        (void)until(&scene, state, "delivered");
    }
    CHECK_INT(row->name, accepted(&scene, mail ? "mail" : "webhook"), row->accepted);
    close_scene(&scene);
}

static void
test_trouble(void)
{
    for (size_t i = 0; i < sizeof trouble_rows / sizeof trouble_rows[0]; i++)
        check_trouble(&trouble_rows[i]);
}

/* 429 with Retry-After: not before. */
static void
test_retry_after(void)
{
    struct scene scene;

    open_scene(&scene);
    script(&scene, "{\"webhook_status\":429,\"retry_after\":\"120\"}");
    alerts_env_step(&scene.env, "acme", "fire", "info", 50);
    start(&scene);
    (void)until(&scene, state_sql, "retry");
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&scene.env, "SELECT next_at - tried_at BETWEEN '120 s' AND '130 s' FROM "
                                   "tripmeter.outbox"),
        "t");
    close_scene(&scene);
}

/* What a newcomer meets: the error names the setting that allows it. */
static void
test_settings_named(void)
{
    struct scene scene;

    open_scene(&scene);
    scene.env.config.alerts.allow_private = false;
    scene.env.config.smtp.tls = SMTP_STARTTLS;
    alerts_env_step(&scene.env, "acme", "fire", "warning", 75);
    start(&scene);
    (void)until(&scene, state_sql, "retry,retry");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        alerts_env_ask(&scene.env, "SELECT last_error FROM tripmeter.outbox WHERE kind = 'email'"),
        "smtp.tls: off"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(alerts_env_ask(&scene.env,
                              "SELECT last_error FROM tripmeter.outbox WHERE kind = 'webhook'"),
               "alerts.allow_private: true"));
    CHECK_INT("nothing arrived", accepted(&scene, "mail") + accepted(&scene, "webhook"), 0);

    /* The operator allows both; STARTTLS is kept, where the server offers it. */
    struct config allowed = scene.env.config;

    allowed.alerts.allow_private = true;
    allowed.smtp.port = scene.smtp_tls_port;
    allowed.smtp.ca_file = scene.ca;
    allowed.smtp.user = "tripmeter";
    allowed.smtp.password = "secret";
    notifier_reconfigure(scene.notifier, &allowed);
    alerts_env_do(&scene.env, hurry_sql);
    (void)until(&scene, state_sql, "delivered,delivered");
    CHECK_INT("mail", accepted(&scene, "mail"), 1);
    close_scene(&scene);
}

/* A connection that is cut, before and between: everything arrives, once. */
static void
test_postgres_lost(void)
{
    struct scene scene;

    open_scene(&scene);
    start(&scene);
    alerts_env_step(&scene.env, "acme", "fire", "info", 50);
    (void)until(&scene, state_sql, "delivered");
    alerts_env_do(&scene.env, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                              " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    alerts_env_step(&scene.env, "acme", "step", "info", 60);
    (void)until(&scene, state_sql, "delivered,delivered");
    close_scene(&scene);
}

/* A hanging endpoint delays nobody else, and stopping waits for it only as long as it was told. */
static void
test_hanging(void)
{
    struct scene scene;

    open_scene(&scene);
    script(&scene, "{\"webhook_delay_s\":15,\"path\":\"/billing\"}");
    alerts_env_step(&scene.env, "acme", "fire", "warning", 75);
    start(&scene);
    (void)until(&scene, state_sql, "delivered,leased");
    const time_t before = time(NULL);

    notifier_stop(scene.notifier, 300);
    scene.notifier = NULL;
    CU_ASSERT(time(NULL) - before < 5);
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&scene.env, state_sql), "delivered,leased");
    close_scene(&scene);
}

static CU_TestInfo tests[] = {
    {"delivery", test_delivery},
    {"trouble", test_trouble},
    {"Retry-After", test_retry_after},
    {"settings named", test_settings_named},
    {"Postgres lost", test_postgres_lost},
    {"hanging endpoint", test_hanging},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_notifier = {.pName = "notifier", .pTests = tests};
