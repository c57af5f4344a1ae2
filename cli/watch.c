#include "cli/watch.h"

#include "cli/reader.h"
#include "cli/session.h"
#include "config/now.h"
#include "core/clock.h"
#include "core/identity.h"
#include "core/table.h"

#include <inttypes.h>
#include <unistd.h>

#define TURN_MS   500
#define SEEN_ROOM 65536

struct watch {
    struct session session;
    struct reader *reader;
    struct table seen; /* transitions that were shown */
    int64_t end_ms;    /* pg_now_ms; INT64_MAX: until interrupted */
    char since[CLOCK_TEXT_SIZE];
    bool colour;
};

/* Transitions become visible in the order of commits, which is not that of created_at: what was
 * written in the last two minutes is asked for again, and what was shown is left out. */
static const char sql_transitions[] = "SELECT t.fingerprint, t.episode, t.seq, " DB_MS(
    "t.at") ", t.move, t.severity, t.rule, t.tenant,"
            "  t.labels ->> 'project', t.step, trim_scale(t.value), trim_scale(t.threshold), "
            "t.unit,"
            "  t.reason, t.summary, coalesce(t.labels ->> 'api_key_id', t.labels ->> 'ip',"
            "  t.labels ->> 'feature'), trim_scale(t.step_amount)"
            " FROM tripmeter.transition t WHERE t.created_at >= greatest($1::timestamptz,"
            "  now() - interval '2 minutes') ORDER BY t.created_at, t.fingerprint, t.seq LIMIT "
            "10000";

static bool
is_new(struct watch *watch, const PGresult *rows, int row)
{
    const struct text fingerprint = text_of(db_text(rows, row, 0));
    const int64_t numbers[] = {db_int(rows, row, 1), db_int(rows, row, 2)};
    const struct key128 key = identity_numbers(identity_one(fingerprint), numbers, 2);

    if (table_find(&watch->seen, key) != TABLE_NONE)
        return false;
    if (table_put(&watch->seen, key, 0))
        return true;
    /* Full: the worst that can happen is a line that is shown twice. */
    table_clear(&watch->seen);
    return table_put(&watch->seen, key, 0);
}

static bool
show_alerts(struct watch *watch, struct err *why)
{
    const char *const values[] = {watch->since};
    PGresult *rows = db_query(&watch->session.db, sql_transitions, values, 1, why);

    for (int i = 0; rows != NULL && i < PQntuples(rows); i++) {
        char at[CLOCK_TEXT_SIZE];

        if (!is_new(watch, rows, i))
            continue;
        const struct watch_alert alert = {.at = clock_format(db_int(rows, i, 3), at),
                                          .move = db_text(rows, i, 4),
                                          .severity = db_text(rows, i, 5),
                                          .rule = db_text(rows, i, 6),
                                          .tenant = db_text(rows, i, 7),
                                          .project = db_text(rows, i, 8),
                                          .subject = db_text(rows, i, 15),
                                          .step = db_text(rows, i, 9),
                                          .step_amount = db_text(rows, i, 16),
                                          .value = db_text(rows, i, 10),
                                          .threshold = db_text(rows, i, 11),
                                          .unit = db_text(rows, i, 12),
                                          .reason = db_text(rows, i, 13),
                                          .summary = db_text(rows, i, 14)};

        watch_alert(&alert, watch->colour, stdout);
    }
    PQclear(rows);
    return rows != NULL;
}

/* Decisions as they come, until it is time to look for alerts again. */
static void
show_decisions(struct watch *watch)
{
    const int64_t until_ms = now_steady_ms() + TURN_MS;

    for (int64_t left = TURN_MS; left > 0; left = until_ms - now_steady_ms()) {
        rd_kafka_message_t *message = reader_next(watch->reader, (int)left);

        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            watch_decision((struct text){message->key, message->key_len},
                           (struct text){message->payload, message->len}, watch->colour, stdout);
        else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            command_complain("%s: %s", watch->session.config->kafka.control_topic,
                             rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
}

static bool
follow(struct watch *watch, struct err *why)
{
    const struct reader_start start = {
        .topic = watch->session.config->kafka.control_topic, .partition = -1, .offset = READER_END};

    watch->reader = reader_open(watch->session.config, &start, why);
    if (watch->reader == NULL)
        return false;
    printf("decisions on %s and alerts, as they come; Ctrl-C ends it\n", start.topic);
    while (now_steady_ms() < watch->end_ms) {
        if (!show_alerts(watch, why))
            return false;
        show_decisions(watch);
        if (fflush(stdout) != 0)
            return err_set(why, ERR_FATAL, "the lines cannot be written any more");
    }
    return true;
}

/* Server time, for its clock stamps the transitions. */
static bool
begin(struct watch *watch, struct err *why)
{
    PGresult *rows = db_query(&watch->session.db, "SELECT " DB_MS("now()"), NULL, 0, why);

    if (rows == NULL)
        return false;
    (void)clock_format(db_int(rows, 0, 0), watch->since);
    PQclear(rows);
    return table_init(&watch->seen, SEEN_ROOM, SEEN_ROOM) ||
           err_set(why, ERR_FATAL, "out of memory");
}

static enum answer
run_watch(const struct arguments *arguments)
{
    const char *duration = option_value(arguments, "for");
    struct watch watch = {.end_ms = INT64_MAX};
    struct err why = {.class = ERR_NONE};
    enum answer answer;
    int64_t for_ms = 0;

    if (duration != NULL && !clock_parse_duration(text_of(duration), &for_ms)) {
        command_complain("--for %s is no duration: 30s, 5m, 2h", duration);
        return ANSWER_USAGE;
    }
    if (!session_open(&watch.session, arguments, &answer))
        return answer;
    if (duration != NULL)
        watch.end_ms = now_steady_ms() + for_ms;
    watch.colour = isatty(STDOUT_FILENO) == 1 && command_environment("NO_COLOR") == NULL;
    if (begin(&watch, &why))
        (void)follow(&watch, &why);
    reader_close(watch.reader);
    table_free(&watch.seen);
    return session_close(&watch.session, ANSWER_FINE, &why);
}

static const struct option_row watch_options[] = {
    OPTION_CONFIG,
    {"for", "DURATION", "end after this long: 30s, 5m", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_watch = {
    .name = "watch",
    .words = "",
    .least = 0,
    .most = 0,
    .what = "Show decisions and alerts as they come, a line each",
    .more =
        "Joins no consumer group and changes nothing. Colours on a terminal, unless NO_COLOR is\n"
        "set.\n",
    .options = watch_options,
    .run = run_watch};
