/* Protects: what an operator is told is true, complete, safe to show, and there when Postgres is
 * not. */
#include "config/log.h"
#include "core/clock.h"
#include "core/event.h"
#include "sinks/page.h"
#include "sinks/prometheus.h"
#include "sinks/status_document.h"
#include "tests/check.h"
#include "tests/status_fixture.h"

#include <curl/curl.h>
#include <stdlib.h>

/* Nobody listens there: Postgres is away. */
static const struct config config = {
    .instance = "engine-a",
    .postgres = {.url = "postgresql://x@127.0.0.1:1/x", .schema = "tripmeter"},
    .status = {.listen = "127.0.0.1", .port = 0},
};

/* ---- fetching ---------------------------------------------------------------------------------- */

struct reply {
    long code;
    char type[64];
    char allow[32];
    struct writer body;
};

static size_t
on_body(char *bytes, size_t size, size_t count, void *to)
{
    writer_add(to, bytes, size * count);
    return size * count;
}

static size_t
on_header(char *bytes, size_t size, size_t count, void *to)
{
    struct reply *reply = to;
    const size_t whole = size * count;

    if (whole > 9 && strncmp(bytes, "Allow: ", 7) == 0)
        (void)text_copy(reply->allow, sizeof reply->allow, (struct text){bytes + 7, whole - 9});
    return whole;
}

static struct reply
fetch_by(const struct status *status, const char *path, const char *method)
{
    struct reply reply = {.body = writer_new(1 << 24)};
    CURL *curl = curl_easy_init();
    const char *type = NULL;
    char url[256];

    CU_ASSERT_PTR_NOT_NULL_FATAL(curl);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", status_port(status), path);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
    if (strcmp(method, "HEAD") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, "GET") != 0)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "POST") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "a=b");
    CHECK_INT(path, curl_easy_perform(curl), CURLE_OK);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.code);
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    (void)text_copy(reply.type, sizeof reply.type, text_of(type));
    curl_easy_cleanup(curl);
    return reply;
}

static struct reply
fetch(const struct status *status, const char *path)
{
    return fetch_by(status, path, "GET");
}

static struct status *
start(const struct status_source *source)
{
    struct err why = {.class = ERR_NONE};
    struct status *status;

    log_setup(LOG_ERROR, false);
    status = status_start(&config, source, &why);
    log_setup(LOG_INFO, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(status);
    CU_ASSERT_TRUE(status_port(status) > 0);
    return status;
}

static void
check_contains(const char *row, const char *text, const char *part, bool wanted)
{
    char what[512];

    (void)snprintf(what, sizeof what, "[%s] %s \"%s\"", row, wanted ? "lacks" : "has", part);
    (void)CU_assertImplementation((strstr(text, part) != NULL) == wanted, __LINE__, what, __FILE__,
                                  "", CU_FALSE);
}

/* ---- the server -------------------------------------------------------------------------------- */

static void
test_health_and_ready(void)
{
    struct status *calm = start(&fixture_calm);
    struct status *trouble = start(&fixture_trouble);
    struct reply replies[] = {fetch(calm, "/healthz"), fetch(trouble, "/healthz"),
                              fetch(calm, "/readyz"), fetch(trouble, "/readyz")};

    CHECK_INT("healthz", replies[0].code, 200);
    CHECK_INT("healthz of an engine that is not ready", replies[1].code, 200);
    CHECK_INT("readyz", replies[2].code, 200);
    CU_ASSERT_STRING_EQUAL(writer_get(&replies[2].body), "ready\n");
    CHECK_INT("not ready", replies[3].code, 503);
    CU_ASSERT_STRING_EQUAL(replies[3].type, "text/plain; charset=utf-8");
    CU_ASSERT_STRING_EQUAL(
        writer_get(&replies[3].body),
        "claim of shard 3 waits for Postgres: connection to server at \"10.0.0.5\", port 5432 "
        "failed: Connection refused\n"
        "the control topic has not been read to its end: 1,204 records to go\n");
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++)
        writer_free(&replies[i].body);
    status_stop(calm);
    status_stop(trouble);
}

static void
test_requests(void)
{
    static const struct {
        const char *path;
        const char *method;
        long code;
        bool body;
        const char *type;
    } rows[] = {
        {"/metrics", "GET", 200, true, "text/plain; version=0.0.4; charset=utf-8"},
        {"/metrics", "HEAD", 200, false, "text/plain; version=0.0.4; charset=utf-8"},
        {"/status", "GET", 200, true, "text/html; charset=utf-8"},
        {"/status?x=1", "GET", 200, true, "text/html; charset=utf-8"},
        {"/status.json", "HEAD", 200, false, "application/json"},
        {"/", "GET", 200, true, "text/html; charset=utf-8"},
        {"/status/", "GET", 404, true, "text/plain; charset=utf-8"},
        {"/%2e%2e/etc/passwd", "GET", 404, true, "text/plain; charset=utf-8"},
        {"/<script>", "GET", 404, true, "text/plain; charset=utf-8"},
        {"/healthz", "POST", 405, true, "text/plain; charset=utf-8"},
        {"/healthz", "DELETE", 405, true, "text/plain; charset=utf-8"},
        {"/nowhere", "PUT", 405, true, "text/plain; charset=utf-8"},
    };
    struct status *status = start(&fixture_calm);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reply reply = fetch_by(status, rows[i].path, rows[i].method);

        CHECK_INT(rows[i].path, reply.code, rows[i].code);
        CHECK_INT(rows[i].path, reply.body.size > 0, rows[i].body);
        CHECK_INT(rows[i].path, strcmp(reply.type, rows[i].type), 0);
        CHECK_INT(rows[i].path, strcmp(reply.allow, "GET, HEAD") == 0, rows[i].code == 405);
        check_contains(rows[i].path, writer_get(&reply.body), "<script", false);
        writer_free(&reply.body);
    }
    status_stop(status);
}

/* More bytes than a request may have are refused; the server goes on. */
static void
test_request_too_large(void)
{
    struct status *status = start(&fixture_calm);
    struct reply reply;
    static char path[65536];

    memset(path, 'x', sizeof path - 1);
    path[0] = '/';

    CURL *curl = curl_easy_init();
    struct writer url = writer_new(1 << 20);
    long code = 0;

    writer_format(&url, "http://127.0.0.1:%d%s", status_port(status), path);
    (void)curl_easy_setopt(curl, CURLOPT_URL, writer_get(&url));
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    (void)curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    CHECK_INT("refused or cut off", code == 0 || (code >= 400 && code < 500), true);
    curl_easy_cleanup(curl);
    writer_free(&url);
    reply = fetch(status, "/healthz");
    CHECK_INT("still there", reply.code, 200);
    writer_free(&reply.body);
    status_stop(status);
}

static void
test_port_taken(void)
{
    struct status *status = start(&fixture_calm);
    struct config taken = config;
    struct err why = {.class = ERR_NONE};

    taken.status.port = status_port(status);
    CU_ASSERT_PTR_NULL(status_start(&taken, &fixture_calm, &why));
    CHECK_INT("class", why.class, ERR_FATAL);
    check_contains("text", why.text, "status.listen 127.0.0.1, port ", true);
    check_contains("text", why.text, "Address already in use", true);
    taken.status.listen = "no.such.host.invalid";
    CU_ASSERT_PTR_NULL(status_start(&taken, &fixture_calm, &why));
    check_contains("text", why.text, "no.such.host.invalid", true);
    status_stop(status);
    status_stop(NULL);
}

static void
test_postgres_away(void)
{
    struct status *status = start(&fixture_trouble);
    struct reply page = fetch(status, "/status");
    struct reply json = fetch(status, "/status.json");
    json_t *document = json_loads(writer_get(&json.body), JSON_REJECT_DUPLICATES, NULL);
    const json_t *database = json_object_get(document, "database");

    CHECK_INT("page", page.code, 200);
    check_contains("page", writer_get(&page.body), "Postgres does not answer", true);
    check_contains("page", writer_get(&page.body), "tenant/initech", true);
    CU_ASSERT_TRUE(json_is_false(json_object_get(database, "reachable")));
    check_contains("why", json_string_value(json_object_get(database, "error")), "refused", true);
    CHECK_INT("the rest is there", json_array_size(json_object_get(document, "restrictions")), 4);
    json_decref(document);
    writer_free(&page.body);
    writer_free(&json.body);
    status_stop(status);
}

/* ---- metrics ----------------------------------------------------------------------------------- */

/* What of the exposition format can be wrong: a series without TYPE, one name in two places, a
 * series twice, a value that is no number, histogram buckets that fall. */
struct exposition {
    char names[256][96]; /* with their TYPE, in order */
    size_t name_count;
    char series[1024][256];
    size_t series_count;
    double bucket; /* the last value of a histogram's bucket */
};

static bool
name_of_family(const struct exposition *seen, const char *series)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    const char *family = seen->name_count == 0 ? "" : seen->names[seen->name_count - 1];
    const size_t size = strcspn(series, "{ ");

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (size == strlen(family) + strlen(suffixes[i]) &&
            strncmp(series, family, strlen(family)) == 0 &&
            strncmp(series + strlen(family), suffixes[i], strlen(suffixes[i])) == 0)
            return true;
    return false;
}

static void
read_type(struct exposition *seen, const char *line)
{
    char name[96];
    char type[16];

    CHECK_INT(line, sscanf(line, "# TYPE %95s %15s", name, type), 2);
    for (size_t i = 0; i < seen->name_count; i++)
        CHECK_INT(name, strcmp(seen->names[i], name) == 0, false);
    CU_ASSERT_FATAL(seen->name_count < 256);
    memcpy(seen->names[seen->name_count++], name, sizeof name);
    if (strcmp(type, "counter") == 0)
        CHECK_INT(name, strcmp(name + strlen(name) - 6, "_total"), 0);
    CHECK_INT(name, strncmp(name, "tripmeter_", 10), 0);
}

static void
read_series(struct exposition *seen, const char *line)
{
    const char *space = strrchr(line, ' ');
    char *end = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(space);
    CHECK_INT(line, name_of_family(seen, line), true);

    const double value = strtod(space + 1, &end);
    const size_t size = (size_t)(space - line);

    CHECK_INT(line, end != space + 1 && *end == '\0', true);
    CU_ASSERT_FATAL(seen->series_count < 1024 && size < 256);
    for (size_t i = 0; i < seen->series_count; i++)
        CHECK_INT(line, strlen(seen->series[i]) == size && memcmp(seen->series[i], line, size) == 0,
                  false);
    memcpy(seen->series[seen->series_count], line, size);
    seen->series[seen->series_count++][size] = '\0';
    if (strstr(line, "_bucket{") != NULL) {
        CHECK_INT(line, value >= seen->bucket, true);
        seen->bucket = value;
    }
    check_contains(line, line, "tenant=", false);
}

static void
read_exposition(struct exposition *seen, char *text)
{
    char *rest = NULL;

    CHECK_INT("ends with a newline", text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# TYPE ", 7) == 0)
            read_type(seen, line);
        else if (strncmp(line, "# HELP ", 7) != 0)
            read_series(seen, line);
    }
}

static void
test_metrics_format(void)
{
    static struct exposition seen;
    struct writer out = writer_new(1 << 20);

    prometheus_write(&out, &fixture_trouble);
    CU_ASSERT_FALSE_FATAL(out.full);
    read_exposition(&seen, out.at);
    /* The table, the histogram with sum and count, the reasons; 3 partitions know their lag. */
    CHECK_INT("series", seen.series_count,
              METRIC_COUNT + DELAY_BUCKETS + 2 + DEAD_COUNT + 3 + 3 + 4);
    writer_free(&out);
}

static void
test_metrics_values(void)
{
    static struct metric_set sets[2];
    static const struct metric_set *const both[] = {&sets[0], &sets[1]};
    const struct status_source source = {.sets = both, .set_count = 2};
    static const char *const lines[] = {
        "tripmeter_events_total{result=\"counted\"} 7\n",
        "tripmeter_events_total{result=\"dead\"} 0\n",
        "tripmeter_records_total 0\n",
        "tripmeter_dead_events_total{reason=\"cost_range\"} 3\n",
        "tripmeter_dead_events_total{reason=\"quarantined\"} 0\n",
        "tripmeter_decision_delay_seconds_bucket{le=\"0.001\"} 1\n",
        "tripmeter_decision_delay_seconds_bucket{le=\"0.500\"} 2\n",
        "tripmeter_decision_delay_seconds_bucket{le=\"10.000\"} 2\n",
        "tripmeter_decision_delay_seconds_bucket{le=\"+Inf\"} 3\n",
        "tripmeter_decision_delay_seconds_sum 12.346\n",
        "tripmeter_decision_delay_seconds_count 3\n",
    };
    struct writer out = writer_new(1 << 20);

    metric_add(&sets[0], METRIC_COUNTED, 3);
    metric_add(&sets[1], METRIC_COUNTED, 4);
    atomic_store(&sets[1].dead[DEAD_cost_range], 3);
    metric_delay(&sets[0], 1);
    metric_delay(&sets[1], 345);
    metric_delay(&sets[1], 12000);
    prometheus_write(&out, &source);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        check_contains("metrics", writer_get(&out), lines[i], true);
    check_contains("no partitions", writer_get(&out), "tripmeter_partition_", false);
    writer_free(&out);
}

static void
test_metrics_partitions(void)
{
    static const char *const lines[] = {
        "tripmeter_partition_lag_records{topic=\"usage\",partition=\"0\"} 17886\n",
        "tripmeter_partition_lag_seconds{topic=\"usage\",partition=\"0\"} 134.000\n",
        "tripmeter_partition_halted{topic=\"usage\",partition=\"2\"} 1\n",
        "tripmeter_partition_halted{topic=\"usage\\n\\\"<b>\",partition=\"3\"} 0\n",
    };
    struct writer out = writer_new(1 << 20);

    prometheus_write(&out, &fixture_trouble);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        check_contains("metrics", writer_get(&out), lines[i], true);
    check_contains("unknown lag is absent", writer_get(&out),
                   "tripmeter_partition_lag_records{topic=\"usage\\n\\\"<b>\"", false);
    writer_free(&out);
}

/* ---- the document ------------------------------------------------------------------------------ */

static void
test_document(void)
{
    json_t *document =
        status_document(&config, &fixture_trouble, fixture_database_trouble(), FIXTURE_NOW_MS);
    const json_t *current = json_object_get(document, "current");
    const json_t *restrictions = json_object_get(document, "restrictions");
    const json_t *last = json_array_get(restrictions, 3);
    const json_t *money =
        json_array_get(json_object_get(json_array_get(restrictions, 0), "restrictions"), 0);

    CU_ASSERT_TRUE(json_is_false(json_object_get(document, "enforcing")));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(document, "now")),
                           "2026-03-17T14:05:09Z");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(current, "state")), "stale");
    CHECK_INT("lag", json_integer_value(json_object_get(current, "lag_ms")), 600000);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(current, "as_of")),
                           "2026-03-17T13:55:09Z");
    CHECK_INT("blocked",
              json_integer_value(json_object_get(json_object_get(document, "restricted"), "block")),
              3);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "scope")), "key/acme/k-batch-7");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "outcome")), "throttle");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(money, "used")), "500.000000017");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(money, "limit")), "500.00");
    CU_ASSERT_TRUE(json_is_null(
        json_object_get(json_array_get(json_object_get(document, "partitions"), 3), "position")));
    CHECK_INT("problems", json_array_size(json_object_get(document, "problems")), 6);
    json_decref(document);
}

static struct status_partition one_partition;

static void
one(void *context, status_on_partition *on_partition, void *to)
{
    (void)context;
    on_partition(to, &one_partition);
}

static void
test_current_edges(void)
{
    static const struct {
        const char *state;
        int64_t lag_ms;
        size_t problems;
    } rows[] = {
        {"current", 0, 0},    {"current", 9999, 0}, {"behind", 10000, 1},
        {"behind", 59999, 1}, {"stale", 60000, 1},  {"unknown", -1, 0},
    };
    const struct status_source source = {.partitions = one};
    const struct status_source nothing = {.partitions = NULL};
    json_t *document = status_document(&config, &nothing, fixture_database_calm(), FIXTURE_NOW_MS);

    CU_ASSERT_STRING_EQUAL(
        json_string_value(json_object_get(json_object_get(document, "current"), "state")),
        "standby");
    json_decref(document);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        one_partition = (struct status_partition){.topic = TEXT("usage"), .lag_ms = rows[i].lag_ms};
        document = status_document(&config, &source, fixture_database_calm(), FIXTURE_NOW_MS);
        CHECK_INT(rows[i].state,
                  strcmp(json_string_value(
                             json_object_get(json_object_get(document, "current"), "state")),
                         rows[i].state),
                  0);
        CHECK_INT(rows[i].state, json_array_size(json_object_get(document, "problems")),
                  rows[i].problems);
        json_decref(document);
    }
}

/* More scopes than are listed: the counts are still true, and a block is not crowded out. */
static void
many_throttled(void *context, control_on_state *on_state, void *to)
{
    const struct restriction throttle = {.code = CODE_key_rate_limited, .rank = 4};
    const struct restriction block = {.code = CODE_tenant_disabled, .rank = 1};

    (void)context;
    for (int i = 0; i <= STATUS_SCOPE_LIMIT; i++) {
        struct scope_state state = {.scope = TEXT("key/a/k")};

        scope_restrict(&state, i == STATUS_SCOPE_LIMIT ? &block : &throttle);
        if (i == 0)
            on_state(to, &state, 0, 0);
        on_state(to, &state, 0, 0);
    }
}

static void
test_scope_limit(void)
{
    const struct status_source source = {.restrictions = many_throttled};
    json_t *document = status_document(&config, &source, fixture_database_calm(), FIXTURE_NOW_MS);
    const json_t *counts = json_object_get(document, "restricted");
    const json_t *list = json_object_get(document, "restrictions");

    CHECK_INT("throttled", json_integer_value(json_object_get(counts, "throttle")),
              STATUS_SCOPE_LIMIT + 1);
    CHECK_INT("blocked", json_integer_value(json_object_get(counts, "block")), 1);
    CHECK_INT("listed", json_array_size(list), STATUS_SCOPE_LIMIT + 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "outcome")),
                           "block");
    json_decref(document);
}

/* ---- the page ---------------------------------------------------------------------------------- */

static void
check_page(const struct status_source *source, json_t *database, const char *const *wanted,
           const char *const *unwanted)
{
    json_t *document = status_document(&config, source, database, FIXTURE_NOW_MS);
    struct writer out = writer_new(1 << 24);

    page_write(&out, document);
    CU_ASSERT_FALSE(out.full);
    for (; *wanted != NULL; wanted++)
        check_contains("page", writer_get(&out), *wanted, true);
    for (; *unwanted != NULL; unwanted++)
        check_contains("page", writer_get(&out), *unwanted, false);
    writer_free(&out);
    json_decref(document);
}

static void
test_page(void)
{
    static const char *const calm[] = {"Enforcement is on", "Nothing is blocked",
                                       "No alert is open", "Every endpoint takes its alerts", NULL};
    static const char *const not_calm[] = {"Enforcement is OFF", "to look at", "<script", NULL};
    static const char *const trouble[] = {
        "Enforcement is OFF",
        "Switched off by <bdi>mia</bdi>",
        "do not cut &#60;anybody&#62;",
        "<title>OFF: (6) tripmeter",
        "6 things to look at",
        "<code>tripmeter partition resume usage 2 --reason TEXT</code>",
        "50,012 of 50,000",
        "500.00 of 500.00 USD",
        "880,021 of 880,021", /* its end was asked for before it was passed */
        "tripmeter allow tenant/%3Cscript%3E",
        "card stolen, see &#60;ticket 4711&#62;",
        "5 of 214",
        " reached 1,200.00&nbsp;USD",
        "1,234.50 USD",
        "&#60;i&#62;globex&#60;/i&#62;",
        "451 4.7.1 Greylisted",
        "switched off",
        "1 Apr 00:00</time><small>in 14 days",
        "Records broken this week",
        "highest 5 min in 48 days, 3.4x the old record",
        "&#60;u&#62;search",
        "d=\"M12 26.9L17 26.9L22", /* two hours are not known */
        "record 2, noted above 2.5",
        "L112 24.9L117 20.8\"/>",
        "cy=\"1.0\"", /* the worst window is the highest of all */
        "31.25<small>42 % of a day",
        "What the detector knows",
        "&#60;i&#62;chat",
        "d=\"M2 26.0L7 26.0", /* the record is the highest */
        "M0 1.0H120\"/></svg>",
        "9.25<small>lowest 0",
        "48 days<small>windows of 5 min",
        "windows of an hour",
        "1,234.50",
        NULL,
    };
    static const char *const not_trouble[] = {
        "<script", "<anybody",          "<ticket",    "<i>", "<u>",
        "<b>\"",   "Enforcement is on", "50,000 USD", NULL};

    check_page(&fixture_calm, fixture_database_calm(), calm, not_calm);
    check_page(&fixture_trouble, fixture_database_trouble(), trouble, not_trouble);
}

static CU_TestInfo tests[] = {
    {"health and readiness", test_health_and_ready},
    {"paths and methods", test_requests},
    {"a request that is too large", test_request_too_large},
    {"an address that cannot be had", test_port_taken},
    {"Postgres away", test_postgres_away},
    {"metrics: format", test_metrics_format},
    {"metrics: values", test_metrics_values},
    {"metrics: partitions", test_metrics_partitions},
    {"document", test_document},
    {"how current, at the edges", test_current_edges},
    {"more scopes than are listed", test_scope_limit},
    {"page", test_page},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_status = {.pName = "status", .pTests = tests};
