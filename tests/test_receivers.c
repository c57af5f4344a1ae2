/* Protects: who is told is checked when the file is, and secrets come from where they are kept. */
#include "tests/config_check.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAIL "smtp: {host: mx, from: a@b.example}\n"
/* Line 4 is the mail server; receivers begin in line 7. */
#define RECEIVERS(rows)                                                        \
    MINIMAL MAIL "alerts:\n  receivers:\n" rows                                \
                 "    billing: {webhooks: [{url: 'https://b', " SIGNED "}]}\n" \
                 "    engineering: {webhooks: [{url: 'https://e', " SIGNED "}]}\n"

static void
test_receivers(void)
{
    static const struct config_row rows[] = {
        {"two", RECEIVERS(""), ""},
        {"nobody", RECEIVERS("    ops: {}\n"),
         "7:5: alerts.receivers.ops: has neither email nor webhooks: nobody would be told"},
        {"empty lists", RECEIVERS("    ops: {email: [], webhooks: []}\n"),
         "7:5: alerts.receivers.ops: has neither email nor webhooks: nobody would be told"},
        {"unknown member", RECEIVERS("    ops: {emails: [a@b.c]}\n"),
         "7:11: alerts.receivers.ops: unknown key emails; did you mean `email`?"},
        {"name", RECEIVERS("    Ops: {email: [a@b.c]}\n"),
         "7:5: alerts.receivers: the name of a receiver must be small letters, digits, '_' and "
         "'-', at most 63, a letter first"},
        {"a text", RECEIVERS("    ops: a@b.c\n"),
         "7:10: alerts.receivers.ops: must be written like {email: [ops@example.com]}"},
        {"no value", RECEIVERS("    ops:\n"),
         "7:9: alerts.receivers.ops: has no value; write it like {email: [ops@example.com]}"},
        {"addresses as a text", RECEIVERS("    ops: {email: a@b.c}\n"),
         "7:18: alerts.receivers.ops.email: must be written like [ops@example.com]"},
        {"no address", RECEIVERS("    ops: {email: [a@b.c, ops, 'x <a@b.c>']}\n"),
         "7:26: alerts.receivers.ops.email: must be one e-mail address, like ops@example.com\n"
         "7:31: alerts.receivers.ops.email: must be one e-mail address, like ops@example.com"},
        {"header in an address", RECEIVERS("    ops: {email: [\"a@b.c\\r\\nBcc: x@y.z\"]}\n"),
         "7:19: line breaks and control characters are not taken in a value"},
        {"address twice", RECEIVERS("    ops: {email: [a@b.c, a@b.c]}\n"),
         "7:26: alerts.receivers.ops.email: this stands in the receiver twice: it would be told "
         "twice"},
        {"e-mail without a server",
         MINIMAL "alerts: {tenant_alerts: a, engine_alerts: a, receivers: {a: {email: [a@b.c]}}}\n",
         "4:62: alerts.receivers.a.email: e-mail needs smtp.host and smtp.from"},
        {"routes to nobody",
         MINIMAL "alerts:\n  engine_alerts: ops\n  receivers:\n    all: "
                 "{webhooks: [" WEBHOOK "]}\n",
         "5:3: alerts.engine_alerts is ops, which is not among alerts.receivers: add it, or name "
         "another\n"
         "6:3: alerts.tenant_alerts is billing, which is not among alerts.receivers: add it, or "
         "name another"},
        {"list of receivers", MINIMAL "alerts: {receivers: [billing]}\n",
         "4:21: alerts.receivers: must be written like {billing: {email: [ops@example.com]}}"},
    };

    CHECK_ROWS(rows);
}

#define HOOK(members) RECEIVERS("    ops: {webhooks: [{" members "}]}\n")

static void
test_webhooks(void)
{
    static const struct config_row rows[] = {
        {"both keys", HOOK("url: 'https://h', " SIGNED ", old_" SIGNED), ""},
        {"not signed", HOOK("url: 'https://h'"),
         "7:22: warning: alerts.receivers.ops.webhooks: the webhook has no secret: its receiver "
         "cannot tell our messages from forged ones"},
        {"no url", HOOK(SIGNED), "7:22: alerts.receivers.ops.webhooks: the webhook has no url"},
        {"unknown member", HOOK("uri: 'https://h', " SIGNED),
         "7:23: alerts.receivers.ops.webhooks: unknown key uri; did you mean `url`?"},
        {"a text", RECEIVERS("    ops: {webhooks: ['https://h']}\n"),
         "7:22: alerts.receivers.ops.webhooks: must be written like {url: https://..., secret: "
         "whsec_...}"},
        {"http", HOOK("url: 'http://h', " SIGNED),
         "7:22: alerts.receivers.ops.webhooks: http:// is not encrypted; use https://, or allow it "
         "with alerts.allow_http: true"},
        {"loopback", HOOK("url: 'https://localhost:8443/x', " SIGNED),
         "7:22: alerts.receivers.ops.webhooks: the webhook is on this machine; allow it with "
         "alerts.allow_private: true"},
        {"http to loopback", HOOK("url: 'http://127.0.0.1:80', " SIGNED),
         "7:22: alerts.receivers.ops.webhooks: http:// is not encrypted; use https://, or allow it "
         "with alerts.allow_http: true\n"
         "7:22: alerts.receivers.ops.webhooks: the webhook is on this machine; allow it with "
         "alerts.allow_private: true"},
        {"both allowed",
         MINIMAL "alerts: {receivers: {a: {webhooks: [{url: 'http://[::1]:8', " SIGNED
                 "}]}}, allow_http: true, allow_private: true, tenant_alerts: a, engine_alerts: "
                 "a}\n",
         ""},
        {"another scheme", HOOK("url: 'ftp://h', " SIGNED),
         "7:28: alerts.receivers.ops.webhooks: url: must be a URL that begins with https://"},
        {"password", HOOK("url: 'https://u:p@h', " SIGNED),
         "7:28: alerts.receivers.ops.webhooks: url: must not have a user or password before the "
         "host: they would show up in logs"},
        {"short key", HOOK("url: 'https://h', secret: whsec_c2hvcnQ="),
         "7:49: alerts.receivers.ops.webhooks: secret: must be whsec_ and 24 to 64 random bytes in "
         "base64, as `openssl rand -base64 32` gives"},
        {"old key alone", HOOK("url: 'https://h', old_" SIGNED),
         "7:22: alerts.receivers.ops.webhooks: old_secret is of use only beside secret"},
        {"same URL twice",
         RECEIVERS("    ops: {webhooks: [" WEBHOOK ", {url: 'https://h', " SIGNED "}]}\n"),
         "7:90: alerts.receivers.ops.webhooks: this stands in the receiver twice: it would be told "
         "twice"},
    };

    CHECK_ROWS(rows);
}

static void
test_limits(void)
{
    char body[4096] = MINIMAL MAIL "alerts: {tenant_alerts: a, engine_alerts: a, receivers: {a: "
                                   "{email: [x@y.z";

    for (int i = 1; i < ENDPOINT_LIMIT; i++)
        (void)snprintf(body + strlen(body), sizeof body - strlen(body), ", x%d@y.z", i);

    const size_t size = strlen(body);

    (void)snprintf(body + size, sizeof body - size, "]}}}\n");
    checked_parse(&checked, body);
    CHECK_TEXT("as many as may be", checked.found, "");
    (void)snprintf(body + size, sizeof body - size, ", last@y.z]}}}\n");
    checked_parse(&checked, body);
    CHECK_TEXT("one more", strchr(checked.found, ' '),
               " alerts.receivers.a.email: more than 16 addresses and webhooks in one receiver");
}

static void
test_mail(void)
{
    static const struct config_row rows[] = {
        {"no sender", BASE "smtp: {host: mx}\n",
         "5:8: smtp.from is missing: the sender of e-mails"},
        {"sender", BASE "smtp: {host: mx, from: tripmeter}\n",
         "5:24: smtp.from: must be an e-mail address, like alerts@example.com or Alerts "
         "<alerts@example.com>"},
        {"host", BASE "smtp: {host: 'mx:25', from: a@b.c}\n",
         "5:14: smtp.host: must be a host name or an IP address"},
        {"password alone", BASE "smtp: {host: mx, from: a@b.c, password: x}\n",
         "5:31: smtp.user and smtp.password go together: give both or none"},
        {"user alone", BASE "smtp: {host: mx, from: a@b.c, user: x}\n",
         "5:31: smtp.user and smtp.password go together: give both or none"},
        {"no encryption", BASE "smtp: {host: mx, from: a@b.c, tls: off}\n",
         "5:31: warning: smtp.tls: e-mails leave unencrypted"},
        {"no encryption, password",
         BASE "smtp: {host: mx, from: a@b.c, tls: off, user: u, "
              "password: p}\n",
         "5:31: warning: smtp.tls: e-mails and the password leave unencrypted"},
        {"another word", BASE "smtp: {host: mx, from: a@b.c, tls: on}\n",
         "5:36: smtp.tls: on is none of off|starttls|implicit"},
    };
    static const struct {
        const char *body;
        int port;
    } ports[] = {
        {BASE MAIL, 587},
        {BASE "smtp: {host: mx, from: a@b.c, tls: implicit}\n", 465},
        {BASE "smtp: {host: mx, from: a@b.c, tls: off}\n", 25},
        {BASE "smtp: {host: mx, from: a@b.c, tls: off, port: 26}\n", 26},
    };

    CHECK_ROWS(rows);
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        checked_parse(&checked, ports[i].body);
        REQUIRE(checked.config);
        CHECK_INT(ports[i].body, checked.config->smtp.port, ports[i].port);
    }
}

static void
test_warnings(void)
{
    static const struct config_row rows[] = {
        {"no duplicates", BASE "dedupe: {enabled: false}\n",
         "5:10: warning: dedupe.enabled: events that are sent again are counted again"},
        {"payload", BASE "ingest: {keep_dead_payload: true}\n",
         "5:10: warning: ingest.keep_dead_payload: what is personal or secret in such events stays "
         "in Postgres"},
        {"drain", BASE "ingest: {halt_on_dead: false}\n",
         "5:10: warning: ingest.halt_on_dead: a renamed field can drain a whole topic into the "
         "dead letters"},
        {"open status page", BASE "status: {listen: 0.0.0.0}\n",
         "5:10: warning: status.listen: names of tenants can be read on 0.0.0.0 without a "
         "password"},
        {"loopback", BASE "status: {listen: 127.0.0.2}\n", ""},
    };

    CHECK_ROWS(rows);
}

/* ---- secrets ---------------------------------------------------------------------------------- */

static char folder[] = "build/secrets-XXXXXX";

static void
write_file(const char *name, const char *body)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");

    REQUIRE(file);
    (void)fputs(body, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static void
remove_file(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

static void
test_environment(void)
{
    static const struct config_row rows[] = {
        {"not set", BASE "smtp: {host: mx, from: a@b.c, user: u, password: '${TM_TEST_NOT_SET}'}\n",
         "5:50: smtp.password: the environment variable TM_TEST_NOT_SET is not set"},
        {"in the middle", POLICY KAFKA QUIET "postgres: {url: 'postgresql://u:${TM_TEST}@db/x'}\n",
         "4:17: postgres.url: ${NAME} is replaced only where it is the whole value"},
        {"line break",
         BASE "smtp: {host: mx, from: a@b.c, user: u, password: '${TM_TEST_LINES}'}\n",
         "5:50: smtp.password: the environment variable TM_TEST_LINES has a line break, a control "
         "character or bytes that are not UTF-8"},
        {"checked like any value", POLICY KAFKA QUIET "postgres: {url: '${TM_TEST}'}\n",
         "4:17: postgres.url: must be postgresql://user@host/database or host=... dbname=..."},
        {"nothing in the braces", BASE "smtp: {host: mx, from: a@b.c, user: '${}', password: x}\n",
         "5:37: smtp.user: ${NAME} is replaced only where it is the whole value"},
    };

    /* NOLINTBEGIN(concurrency-mt-unsafe): no other thread here */
    CU_ASSERT_EQUAL_FATAL(setenv("TM_TEST", "s3cret", 1), 0);
    CU_ASSERT_EQUAL_FATAL(setenv("TM_TEST_LINES", "a\nb", 1), 0);
    /* NOLINTEND(concurrency-mt-unsafe) */
    CHECK_ROWS(rows);
    checked_parse(&checked, POLICY POSTGRES QUIET
                  "kafka: {brokers: [k:1], topics: [u], properties: {sasl.password: "
                  "'${TM_TEST}'}}\n");
    CHECK_TEXT("property", checked.found, "");
    REQUIRE(checked.config);
    CU_ASSERT_STRING_EQUAL(checked.config->kafka.properties[0].value, "s3cret");
}

#define FILES(where, what) BASE "smtp: {host: mx, from: a@b.c, user: u, " where ": " what "}\n"

static void
check_secret(const char *row, const char *name, const char *password)
{
    char body[1024];

    (void)snprintf(body, sizeof body, FILES("password_file", "'../%s/%s'"), folder, name);
    checked_parse(&checked, body);
    CHECK_TEXT(row, checked.found, "");
    REQUIRE(checked.config);
    CHECK_TEXT(row, checked.config->smtp.password, password);
}

/* The finding names the path, which is of this run only: its end is compared. */
static void
check_no_secret(const char *row, const char *name, const char *end)
{
    char body[1024];

    (void)snprintf(body, sizeof body, FILES("password_file", "'../%s/%s'"), folder, name);
    checked_parse(&checked, body);

    const size_t size = strlen(checked.found);

    CHECK_INT(row, checked.config == NULL, true);
    CHECK_TEXT(row, size < strlen(end) ? "" : checked.found + size - strlen(end), end);
}

static void
test_files(void)
{
    REQUIRE(mkdtemp(folder));
    write_file("password", "two words\n");
    write_file("bare", "bare");
    write_file("crlf", "windows\r\n");
    write_file("empty", "\n");
    write_file("lines", "a\nb\n");
    check_secret("one line", "password", "two words");
    check_secret("no line break", "bare", "bare");
    check_secret("CR LF", "crlf", "windows");
    check_no_secret("empty", "empty", "must hold the secret in one line of UTF-8");
    check_no_secret("lines", "lines", "must hold the secret in one line of UTF-8");
    check_no_secret("missing", "none", "No such file or directory");
    check_no_secret("folder", "", "it is no regular file");
    checked_parse(&checked, FILES("password: x, password_file", "x"));
    CHECK_TEXT("both", checked.found,
               "5:53: smtp.password_file and smtp.password are both given: keep one");
    for (size_t i = 0; i < 5; i++)
        remove_file((const char *const[]){"password", "bare", "crlf", "empty", "lines"}[i]);
    (void)rmdir(folder);
}

/* ---- the file itself, and the policy beside it ------------------------------------------------ */

static void
test_unreadable(void)
{
    checked_load(&checked, "config/none.yaml");
    CHECK_TEXT("missing", checked.found, "1:1: cannot be read: No such file or directory");
    checked_load(&checked, "config");
    CHECK_TEXT("folder", checked.found, "1:1: cannot be read: it is no regular file");
    checked_load(&checked, "/dev/zero");
    CHECK_TEXT("device", checked.found, "1:1: cannot be read: it is no regular file");
    checked_parse(&checked, KAFKA POSTGRES QUIET "policy: none.yaml\n");
    CHECK_TEXT("policy", checked.found,
               "4:1: policy: cannot read config/none.yaml: No such file or directory");
}

/* One run shows the errors of both files, each under its own name. */
static void
test_both_files(void)
{
    checked_parse(&checked, KAFKA POSTGRES QUIET "policy: tripmeter.example.yaml\nworkers: x\n");
    CU_ASSERT_TRUE_FATAL(checked.findings.count > 2);
    CU_ASSERT_STRING_EQUAL(checked.findings.at[0].file, "config/test.yaml");
    CU_ASSERT_STRING_EQUAL(checked.findings.at[0].text, "workers: x is not a whole number");
    CU_ASSERT_STRING_EQUAL(checked.findings.at[1].file, "config/tripmeter.example.yaml");
    CU_ASSERT_STRING_EQUAL(checked.findings.at[1].text,
                           "plans is missing: the plans and their quotas");
    CU_ASSERT_PTR_NULL(checked.policy);
}

static CU_TestInfo tests[] = {
    {"receivers", test_receivers},
    {"webhooks", test_webhooks},
    {"limits", test_limits},
    {"mail", test_mail},
    {"warnings", test_warnings},
    {"secrets from the environment", test_environment},
    {"secrets from files", test_files},
    {"files that cannot be read", test_unreadable},
    {"errors of both files", test_both_files},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_receivers = {
    .pName = "receivers", .pTests = tests, .pCleanupFunc = checked_forget};
