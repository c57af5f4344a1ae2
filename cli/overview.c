/* `status` without a tenant: the engine on one page. */
#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/status.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>

#define PAGE_LIMIT   ((size_t)16 << 20)
#define PAGE_WAIT_MS 2000L

/* ---- what a running engine says of itself --------------------------------------------------------- */

struct page {
    char *bytes;
    size_t size;
};

static size_t
on_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct page *page = context;
    const size_t more = size * count;

    if (page->size + more > PAGE_LIMIT)
        return 0;
    char *grown = realloc(page->bytes, page->size + more);

    if (grown == NULL)
        return 0;
    memcpy(grown + page->size, bytes, more);
    page->bytes = grown;
    page->size += more;
    return more;
}

/* /status.json of the engine that this configuration would start; NULL when none answers there. */
static json_t *
ask_engine(const struct config *config)
{
    struct page page = {.bytes = NULL};
    char url[256];
    json_t *answer = NULL;
    CURL *curl = config->status.port == 0 ? NULL : curl_easy_init();

    if (curl == NULL)
        return NULL;
    (void)snprintf(url, sizeof url, "http://%s:%d/status.json",
                   strcmp(config->status.listen, "0.0.0.0") == 0 ? "127.0.0.1"
                                                                 : config->status.listen,
                   config->status.port);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, PAGE_WAIT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &page);
    if (curl_easy_perform(curl) == CURLE_OK)
        answer = json_loadb(page.bytes, page.size, 0, NULL);
    curl_easy_cleanup(curl);
    free(page.bytes);
    return answer;
}

/* ---- what Postgres says ---------------------------------------------------------------------------- */

enum part {
    PART_ENFORCEMENT,
    PART_BREAKERS,
    PART_UNPROTECTED,
    PART_SHARDS,
    PART_FLEET,
    PART_BLOCKED,
    PART_ALERTS,
    PART_DEAD,
    PART_UNPRICED,
    PART_COUNT
};

struct part_row {
    const char *name; /* in JSON */
    const char *none;
    const char *sql; /* a column whose name ends in _at is ms and shown as a time */
};

static const struct part_row parts[PART_COUNT] = {
    [PART_ENFORCEMENT] = {"enforcement", "enforcement is on",
                          "SELECT CASE WHEN is_on THEN 'on' ELSE 'OFF' END AS enforcement,"
                          " " DB_MS(
                              "created_at") " AS since_at, actor AS by, reason"
                                            " FROM tripmeter.enforcement ORDER BY id DESC LIMIT 1"},
    [PART_BREAKERS] = {"breakers", "no breaker is open",
                       "SELECT tenant, feature, state, " DB_MS("since_at") " AS since_at, " DB_MS(
                           "until_at") " AS until_at, round(observed, 2)::text AS observed,"
                                       " round(baseline, 2)::text AS baseline,"
                                       " coalesce(actor, '') AS by"
                                       " FROM tripmeter.v_breaker"
                                       " WHERE state NOT IN ('learning', 'shadow', 'closed')"
                                       " ORDER BY since_at DESC LIMIT 1000"},
    [PART_UNPROTECTED] = {"unprotected", "every feature with a breaker has a baseline",
                          "SELECT tenant AS learning_tenant, count(*) AS features,"
                          " string_agg(feature, ', ' ORDER BY feature) AS names"
                          " FROM tripmeter.feature_breaker"
                          " WHERE state = 'learning' AND tenant <> '*'"
                          " GROUP BY tenant ORDER BY 2 DESC, 1 LIMIT 100"},
    [PART_SHARDS] = {"shards", "no engine has settled anything yet",
                     "SELECT s.shard, s.owner, " DB_MS(
                         "s.shard_time") " AS shard_at,"
                                         " " DB_MS(
                                             "s.settled_at") " AS settled_at, s.policy,"
                                                             " sum(p.counted) AS counted, "
                                                             "sum(p.duplicates) AS duplicates,"
                                                             " sum(p.dead) AS dead"
                                                             " FROM tripmeter.shard s LEFT JOIN "
                                                             "tripmeter.progress p"
                                                             " ON p.partition = s.shard"
                                                             " WHERE s.shard < 100000 GROUP BY "
                                                             "s.shard ORDER BY s.shard"},
    [PART_FLEET] = {"fleet", "no engine has led the fleet yet",
                    "SELECT owner AS leader, " DB_MS(
                        "settled_at") " AS settled_at,"
                                      " " DB_MS("shard_time") " AS fleet_at"
                                                              " FROM tripmeter.shard WHERE shard = "
                                                              "100000 AND owner IS NOT NULL"},
    [PART_BLOCKED] =
        {"restricted", "nothing is restricted",
         "SELECT d.scope, d.outcome, coalesce(d.code, '') AS code,"
         " " DB_MS("d.at") " AS since_at, " DB_MS(DB_UNTIL(
             "d.restrictions")) " AS until_at"
                                " FROM (SELECT DISTINCT t.tenant FROM tripmeter.tenant_shard t"
                                "  WHERE t.restricted) t CROSS JOIN LATERAL (SELECT DISTINCT ON "
                                "(l.scope)"
                                "  l.scope, l.outcome, l.code, l.at, l.restrictions FROM "
                                "tripmeter.decision l"
                                "  WHERE l.tenant = t.tenant ORDER BY l.scope, l.at DESC, l.id "
                                "DESC) d"
                                " WHERE d.outcome <> 'allow' ORDER BY d.scope LIMIT 1000"},
    [PART_ALERTS] = {"alerts", "no alert is open",
                     "SELECT e.severity, e.rule, coalesce(e.tenant, '') AS tenant,"
                     " coalesce(e.labels ->> 'project', '') AS project, e.step,"
                     " coalesce(trim_scale(e.step_amount)::text, '') AS step_amount,"
                     " " DB_MS(
                         "e.opened_at") " AS since_at, coalesce(e.summary, '') AS summary"
                                        " FROM tripmeter.episode e WHERE e.resolved_at IS NULL"
                                        " ORDER BY array_position(ARRAY['critical', 'error', "
                                        "'warning', 'info'],"
                                        " e.severity), e.opened_at LIMIT 1000"},
    [PART_DEAD] = {"dead_letters", "no dead letters",
                   "SELECT d.reason, count(*) AS events, " DB_MS(
                       "max(d.at)") " AS last_at"
                                    " FROM tripmeter.dead_letter d WHERE d.resolved_at IS NULL"
                                    " GROUP BY d.reason ORDER BY 2 DESC"},
    [PART_UNPRICED] = {"unpriced", "nothing waits for a price or an exchange rate",
                       "SELECT coalesce(u.provider, '') AS provider,"
                       " coalesce(u.model, '') AS unpriced_model,"
                       " coalesce(u.currency, '') AS currency, count(*) AS events,"
                       " count(*) FILTER (WHERE u.kind = 'refund') AS refunds, " DB_MS(
                           "min(u.at)") " AS since_at"
                                        " FROM tripmeter.unpriced u WHERE u.priced_at IS NULL"
                                        " GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 100"},
};

static bool
is_moment(const PGresult *rows, int column)
{
    const char *name = PQfname(rows, column);
    const size_t size = strlen(name);

    return size > 3 && strcmp(name + size - 3, "_at") == 0;
}

/* bigint, integer and numeric. */
static bool
is_number(const PGresult *rows, int column)
{
    const Oid type = PQftype(rows, column);

    return !is_moment(rows, column) && (type == 20 || type == 23 || type == 1700);
}

static void
title_of(const PGresult *rows, int column, char title[64])
{
    const char *name = PQfname(rows, column);
    const size_t size = strlen(name) - (is_moment(rows, column) ? 3 : 0);

    (void)snprintf(title, 64, "%s%.*s", is_number(rows, column) ? ">" : "", (int)size, name);
    for (char *c = title; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

static void
print_part(const struct part_row *part, const PGresult *rows)
{
    const int count = PQnfields(rows);
    char title[COLUMN_LIMIT][64];
    const char *titles[COLUMN_LIMIT + 1] = {NULL};

    if (PQntuples(rows) == 0) {
        printf("%s\n\n", part->none);
        return;
    }
    for (int c = 0; c < count && c < COLUMN_LIMIT; c++) {
        title_of(rows, c, title[c]);
        titles[c] = title[c];
    }
    struct columns *columns = columns_new(titles);

    for (int r = 0; columns != NULL && r < PQntuples(rows); r++)
        for (int c = 0; c < count && c < COLUMN_LIMIT; c++) {
            char at[MOMENT_SIZE];
            const bool moment = is_moment(rows, c) && db_text(rows, r, c) != NULL;

            columns_add(columns,
                        moment ? moment_text(NULL, db_int(rows, r, c), at) : db_text(rows, r, c));
        }
    if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
    puts("");
}

static json_t *
json_cell(const PGresult *rows, int row, int column)
{
    if (db_text(rows, row, column) == NULL)
        return json_null();
    if (is_moment(rows, column))
        return moment_json(db_int(rows, row, column));
    return is_number(rows, column) ? json_integer(db_int(rows, row, column))
                                   : json_string(db_text(rows, row, column));
}

static json_t *
json_part(const PGresult *rows)
{
    json_t *list = json_array();

    for (int r = 0; r < PQntuples(rows); r++) {
        json_t *object = json_object();

        for (int c = 0; c < PQnfields(rows); c++)
            (void)json_object_set_new(object, PQfname(rows, c), json_cell(rows, r, c));
        (void)json_array_append_new(list, object);
    }
    return list;
}

/* ---- both ------------------------------------------------------------------------------------------- */

static void
print_engine(const struct config *config, const json_t *engine)
{
    const json_t *current = json_object_get(engine, "current");
    char lag[CLOCK_TEXT_SIZE];

    if (engine == NULL) {
        printf("no engine answers at %s:%d: what follows is what Postgres knows\n\n",
               config->status.listen, config->status.port);
        return;
    }
    printf("an engine answers at %s:%d", config->status.listen, config->status.port);
    if (json_is_object(current))
        printf(": %s, %" JSON_INTEGER_FORMAT " records behind, oldest waits %s",
               json_string_value(json_object_get(current, "state")),
               json_integer_value(json_object_get(current, "lag_records")),
               clock_format_duration(json_integer_value(json_object_get(current, "lag_ms")), lag));
    puts("\n");
}

enum answer
status_overview(struct session *session, bool json, struct err *why)
{
    json_t *engine = ask_engine(session->config);
    json_t *document = json_pack("{s:o}", "engine", engine == NULL ? json_null() : engine);
    enum answer answer = ANSWER_FINE;
    bool good = true;

    if (!json)
        print_engine(session->config, engine);
    for (size_t i = 0; good && i < PART_COUNT; i++) {
        PGresult *rows = db_query(&session->db, parts[i].sql, NULL, 0, why);

        good = rows != NULL;
        if (good && json)
            (void)json_object_set_new(document, parts[i].name, json_part(rows));
        else if (good)
            print_part(&parts[i], rows);
        PQclear(rows);
    }
    if (good && json)
        return command_print_json(document);
    json_decref(document);
    return answer;
}
