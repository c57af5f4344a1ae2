/* dead list, show: what was refused, and why. */
#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/position.h"
#include "cli/reader.h"
#include "cli/session.h"

#include <inttypes.h>

#define RECORD_MEMORY ((size_t)16 << 20)

/* ---- list --------------------------------------------------------------------------------------- */

static const char sql_list[] =
    "SELECT l.topic || '/' || l.partition || '/' || l.record_offset || '/' || l.event_index,"
    "  " DB_MS(
        "l.at") ", l.reason, CASE WHEN l.resolved_at IS NOT NULL THEN 'resolved'"
                "  WHEN l.retry_command IS NOT NULL THEN 'being read again'"
                "  WHEN l.retryable THEN 'can be read again' ELSE '' END,"
                "  coalesce(l.tenant, ''), l.detail"
                " FROM tripmeter.dead_letter l WHERE ($1::text IS NULL OR l.reason = $1)"
                "  AND ($2::timestamptz IS NULL OR l.at >= $2) AND ($3 OR l.resolved_at IS NULL)"
                " ORDER BY l.at DESC, l.topic, l.partition, l.record_offset, l.event_index LIMIT "
                "10000";

/* An instant ("2026-03-01T00:00:00Z") or how long ago ("2h"), as text for Postgres. */
static bool
since_text(const struct session *session, const char *word, char out[CLOCK_TEXT_SIZE],
           struct err *why)
{
    int64_t ms = 0;

    if (clock_parse_duration(text_of(word), &ms))
        ms = command_now_ms(session->config) - ms;
    else if (!clock_parse(text_of(word), &ms))
        return err_set(why, ERR_INPUT,
                       "--since %s is neither a time (2026-03-01T00:00:00Z) nor a duration (2h)",
                       word);
    (void)clock_format(ms, out);
    return true;
}

static void
print_list(const PGresult *rows)
{
    static const char *const titles[] = {"POSITION", "TIME",   "REASON", "STATE",
                                         "TENANT",   "DETAIL", NULL};
    struct columns *columns = columns_new(titles);

    for (int i = 0; columns != NULL && i < PQntuples(rows); i++) {
        char at[MOMENT_SIZE];

        columns_add(columns, db_text(rows, i, 0));
        columns_add(columns, moment_text(NULL, db_int(rows, i, 1), at));
        for (int c = 2; c < 6; c++)
            columns_add(columns, db_text(rows, i, c));
    }
    if (PQntuples(rows) == 0)
        puts("no such dead letters");
    else if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static enum answer
run_list(const struct arguments *arguments)
{
    const char *since = option_value(arguments, "since");
    char from[CLOCK_TEXT_SIZE];
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    if (since == NULL || since_text(&session, since, from, &why)) {
        const char *const values[] = {option_value(arguments, "reason"),
                                      since == NULL ? NULL : from,
                                      option_given(arguments, "all") ? "t" : "f"};
        PGresult *rows = db_query(&session.db, sql_list, values, 3, &why);

        if (rows != NULL)
            print_list(rows);
        PQclear(rows);
    }
    return session_close(&session, ANSWER_FINE, &why);
}

static const struct option_row list_options[] = {
    OPTION_CONFIG,
    {"reason", "REASON", "only those: not_json, time_ahead, ...", false},
    {"since", "TIME", "not older: 2026-03-01T00:00:00Z, or 2h", false},
    {"all", NULL, "those that are resolved, too", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_dead_list = {.name = "dead list",
                                              .words = "",
                                              .least = 0,
                                              .most = 0,
                                              .what = "List events that were refused, newest first",
                                              .more = NULL,
                                              .options = list_options,
                                              .run = run_list};

/* ---- show --------------------------------------------------------------------------------------- */

static const char sql_show[] =
    "SELECT " DB_MS("l.at") ", l.reason, l.detail, l.retryable, l.tenant, l.source, l.id, l.hash,"
                            "  encode(l.payload, 'escape'), l.retries, l.retry_command, " DB_MS(
                                "l.resolved_at") " FROM tripmeter.dead_letter l WHERE l.topic = $1 "
                                                 "AND l.partition = $2::integer"
                                                 "  AND l.record_offset = $3::bigint AND "
                                                 "l.event_index = $4::integer";

static void
line(const char *name, const char *value)
{
    if (value != NULL)
        printf("%-10s %s\n", name, value);
}

static void
print_letter(const PGresult *rows)
{
    char at[MOMENT_SIZE];

    line("time", moment_text(NULL, db_int(rows, 0, 0), at));
    line("reason", db_text(rows, 0, 1));
    line("detail", db_text(rows, 0, 2));
    line("retryable", db_true(rows, 0, 3) ? "yes: tripmeter dead retry" : "no");
    line("tenant", db_text(rows, 0, 4));
    line("source", db_text(rows, 0, 5));
    line("id", db_text(rows, 0, 6));
    line("sha-256", db_text(rows, 0, 7));
    if (db_int(rows, 0, 9) > 0)
        line("retries", db_text(rows, 0, 9));
    line("command", db_text(rows, 0, 10));
    if (db_text(rows, 0, 11) != NULL)
        line("resolved", moment_text(NULL, db_int(rows, 0, 11), at));
    line("payload", db_text(rows, 0, 8));
}

/* The record as Kafka has it, with what is not printable escaped. */
static bool
print_record(struct session *session, const struct position *position, struct err *why)
{
    const struct reader_start start = {
        .topic = position->topic, .partition = position->partition, .offset = position->offset};
    struct arena *arena = arena_new(RECORD_MEMORY);
    struct reader_record record = {.time_ms = 0};
    const bool good = arena == NULL ? err_set(why, ERR_FATAL, "out of memory")
                                    : reader_fetch(session->config, &start, arena, &record, why);

    if (good) {
        fputs("record     ", stdout);
        for (size_t i = 0; i < record.event.size; i++) {
            const unsigned char byte = (unsigned char)record.event.at[i];

            if (byte < ' ' || byte == 0x7f)
                printf("\\x%02x", byte);
            else
                putchar(byte);
        }
        puts("");
    }
    arena_free(arena);
    return good;
}

static enum answer
run_show(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct position position;
    struct session session;
    enum answer answer;
    char number[3][24];

    if (!position_parse(arguments->words[0], &position, &why))
        return command_misused(&why);
    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)snprintf(number[0], sizeof number[0], "%" PRId32, position.partition);
    (void)snprintf(number[1], sizeof number[1], "%" PRId64, position.offset);
    (void)snprintf(number[2], sizeof number[2], "%" PRId32, position.index);
    const char *const values[] = {position.topic, number[0], number[1], number[2]};
    PGresult *rows = db_query(&session.db, sql_show, values, 4, &why);

    answer = ANSWER_FINE;
    if (rows != NULL && PQntuples(rows) == 0) {
        command_complain("there is no dead letter at %s", arguments->words[0]);
        answer = ANSWER_NO;
    } else if (rows != NULL) {
        print_letter(rows);
        if (option_given(arguments, "record"))
            (void)print_record(&session, &position, &why);
    }
    PQclear(rows);
    return session_close(&session, answer, &why);
}

static const struct option_row show_options[] = {
    OPTION_CONFIG,
    {"record", NULL, "fetch the record from Kafka and show it (it may hold what is secret)", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_dead_show = {.name = "dead show",
                                              .words = "TOPIC/PARTITION/OFFSET[/INDEX]",
                                              .least = 1,
                                              .most = 1,
                                              .what = "Show why an event was refused",
                                              .more = NULL,
                                              .options = show_options,
                                              .run = run_show};
