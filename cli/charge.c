/* explain charge: from the total of a period down to its events and what each of them cost. */
#include "cli/charge_prices.h"
#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>

#define LINES_PRESET "40"

/* Times as ms since 1970, so that nothing depends on the session. */
#define MS(column) "floor(extract(epoch FROM " column ") * 1000)::bigint"

/* What is booked in the period: its own total, and money of earlier ones that were final. */
static const char sql_period[] = "SELECT " MS("p.period") ", " MS(
    "p.period_end") ", p.events + coalesce(a.events, 0),"
                    " p.cost + coalesce(a.cost, 0), p.charge + coalesce(a.charge, 0),"
                    " p.refunded + coalesce(a.refunded, 0), p.period, coalesce(v.zone, ''),"
                    " coalesce(v.currency, ''), a.charge, p.period_end <= c.closed_to"
                    " FROM tripmeter.period_closing c, tripmeter.period_total p"
                    " LEFT JOIN LATERAL (SELECT sum(events)::bigint AS events, sum(cost) AS cost,"
                    "   sum(charge) AS charge, sum(refunded) AS refunded FROM "
                    "tripmeter.period_adjustment a"
                    "  WHERE a.tenant = p.tenant AND a.project = '' AND a.period = p.period) a ON "
                    "true"
                    " LEFT JOIN LATERAL (SELECT zone, currency FROM tripmeter.tenant_version v"
                    "  WHERE v.tenant = p.tenant ORDER BY version DESC LIMIT 1) v ON true"
                    " WHERE p.tenant = $1 AND p.project = '' AND p.period <= $2 AND p.period_end > "
                    "$2";

/* What the facts say beside what the record says, a line each way of spending. */
static const char sql_lines[] =
    "SELECT project, feature, provider, model, f.events, f.requests, f.tokens_in, f.tokens_out,"
    " f.cost, f.charge, (f.events, f.cost, f.charge) IS NOT DISTINCT FROM"
    "  (e.events, e.cost, e.charge), coalesce(e.events, 0)"
    " FROM (SELECT project, feature, provider, model, sum(events)::bigint AS events,"
    "   sum(requests) AS requests, sum(input_tokens) AS tokens_in,"
    "   sum(output_tokens) AS tokens_out, sum(cost) AS cost, sum(charge) AS charge"
    "  FROM tripmeter.tenant_fact WHERE tenant = $1 AND period = $2 GROUP BY 1, 2, 3, 4) f"
    " LEFT JOIN (SELECT project, feature, provider, model,"
    "   count(*) FILTER (WHERE NOT reversal) AS events, sum(cost) AS cost, sum(charge) AS charge"
    "  FROM tripmeter.settled_events_of($1) WHERE period = $2"
    "   AND recorded_at >= $2 - interval '1 day' GROUP BY 1, 2, 3, 4) e"
    "  USING (project, feature, provider, model)"
    " WHERE $3::text IS NULL OR feature = $3 ORDER BY f.charge DESC, 1, 2, 3, 4";

static const char sql_events[] = "SELECT " DB_MS(
    "at") ", kind || CASE WHEN reversal AND kind = 'correct' THEN ', taken back' ELSE '' END, id,"
          " request_id, attempt, key, feature, model, coalesce(input_tokens, 0),"
          " coalesce(output_tokens, 0), cost, charge,"
          " CASE WHEN coalesce(unpriced, 0) > 0 THEN 'no price'"
          "  WHEN price_version IS NULL THEN 'its own' ELSE 'list'"
          "   || CASE WHEN price_version > 'epoch' THEN ' ' || to_char(price_version"
          "    AT TIME ZONE 'UTC', 'YYYY-MM-DD') ELSE '' END END || CASE WHEN charge_rule IS NULL"
          "   THEN '' ELSE ', charged ' || charge_rule END,"
          " topic || '/' || partition || '/' || record_offset"
          "  || CASE WHEN event_index > 0 THEN '/' || event_index ELSE '' END,"
          " count(*) OVER (), coalesce(original_id, '')"
          " FROM tripmeter.settled_events_of($1) WHERE period = $2"
          "  AND recorded_at >= $2 - interval '1 day' AND ($3::text IS NULL OR feature = $3)"
          " ORDER BY at, recorded_at, record_offset, event_index, reversal DESC LIMIT $4::bigint";

/* "2026-03", "2026-03-10" or a whole time, as an instant in the period. A month stands for its
 * second day at noon, UTC, which lies in that calendar month in every zone. */
static bool
instant_text(const char *word, char out[CLOCK_TEXT_SIZE], struct err *why)
{
    char whole[64];
    int64_t ms;

    (void)snprintf(whole, sizeof whole, "%s%s", word,
                   strlen(word) == 7    ? "-02T12:00:00Z"
                   : strlen(word) == 10 ? "T12:00:00Z"
                                        : "");
    if (!clock_parse(text_of(whole), &ms))
        return err_set(why, ERR_INPUT,
                       "--period %s is no month (2026-03), day (2026-03-10) or time in the period",
                       word);
    (void)clock_format(ms, out);
    return true;
}

struct walk {
    struct session *session;
    const char *tenant;
    const char *feature; /* NULL: all */
    const char *lines;   /* of events, at most; NULL: all */
    char period[64];
    const char *currency;
    tally cost;   /* of the facts */
    tally charge; /* of the facts */
    int64_t events;
    int64_t recorded;
    bool equal; /* the record says of every line what the facts say */
};

static tally
money_at(const PGresult *rows, int row, int column)
{
    tally amount = 0;

    (void)tally_parse_money(text_of(db_text(rows, row, column)), &amount);
    return amount;
}

static const char *
money_text(const PGresult *rows, int row, int column, char out[TALLY_TEXT_SIZE])
{
    return tally_format_money(money_at(rows, row, column), out);
}

/* ---- lines ----------------------------------------------------------------------------------------- */

static void
add_line(struct walk *walk, const PGresult *rows, int row, struct columns *columns)
{
    char text[TALLY_TEXT_SIZE];

    for (int c = 0; c < 8; c++)
        columns_add(columns, db_text(rows, row, c));
    columns_add(columns, money_text(rows, row, 8, text));
    columns_add(columns, money_text(rows, row, 9, text));
    columns_add(columns, db_true(rows, row, 10) ? "=" : "differs");
    walk->cost += money_at(rows, row, 8);
    walk->charge += money_at(rows, row, 9);
    walk->events += db_int(rows, row, 4);
    walk->recorded += db_int(rows, row, 11);
    walk->equal = walk->equal && db_true(rows, row, 10);
}

static bool
print_lines(struct walk *walk, struct err *why)
{
    static const char *const titles[] = {"PROJECT", "FEATURE",   "PROVIDER",   "MODEL",
                                         ">EVENTS", ">REQUESTS", ">TOKENS IN", ">TOKENS OUT",
                                         ">COST",   ">CHARGE",   "RECORD",     NULL};
    const char *const values[] = {walk->tenant, walk->period, walk->feature};
    PGresult *rows = db_query(&walk->session->db, sql_lines, values, 3, why);
    struct columns *columns = rows == NULL ? NULL : columns_new(titles);

    for (int i = 0; columns != NULL && i < PQntuples(rows); i++)
        add_line(walk, rows, i, columns);
    if (columns != NULL) {
        puts("");
        columns_print(columns, stdout);
    }
    columns_free(columns);
    PQclear(rows);
    return rows != NULL;
}

/* ---- events ---------------------------------------------------------------------------------------- */

static void
add_event(const PGresult *rows, int row, struct columns *columns)
{
    char text[TALLY_TEXT_SIZE];
    char at[MOMENT_SIZE];

    columns_add(columns, clock_format(db_int(rows, row, 0), at));
    for (int c = 1; c < 10; c++)
        columns_add(columns, db_text(rows, row, c));
    columns_add(columns, money_text(rows, row, 10, text));
    columns_add(columns, money_text(rows, row, 11, text));
    columns_add(columns, db_text(rows, row, 12));
    columns_add(columns, db_text(rows, row, 13));
    columns_add(columns, db_text(rows, row, 15));
}

static bool
print_events(struct walk *walk, struct err *why)
{
    static const char *const titles[] = {
        "TIME", "KIND", "ID",    "REQUEST", ">ATTEMPT", "KEY",      "FEATURE", "MODEL",
        ">IN",  ">OUT", ">COST", ">CHARGE", "PRICE",    "POSITION", "OF",      NULL};
    const char *const values[] = {walk->tenant, walk->period, walk->feature, walk->lines};
    PGresult *rows = db_query(&walk->session->db, sql_events, values, 4, why);
    struct columns *columns = rows == NULL ? NULL : columns_new(titles);
    const int count = PQntuples(rows);

    for (int i = 0; columns != NULL && i < count; i++)
        add_event(rows, i, columns);
    if (columns != NULL && count > 0) {
        puts("");
        columns_print(columns, stdout);
        if (count < db_int(rows, 0, 14))
            printf("%" PRId64 " more: --all shows every one\n", db_int(rows, 0, 14) - count);
    }
    columns_free(columns);
    PQclear(rows);
    return rows != NULL;
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void
print_total(const struct walk *walk, const PGresult *rows)
{
    char from[CLOCK_TEXT_SIZE];
    char until[CLOCK_TEXT_SIZE];
    char cost[TALLY_TEXT_SIZE];
    char charge[TALLY_TEXT_SIZE];
    char refunded[TALLY_TEXT_SIZE];

    printf("%s, %s to %s%s%s, %s\n", walk->tenant, clock_format(db_int(rows, 0, 0), from),
           clock_format(db_int(rows, 0, 1), until), db_text(rows, 0, 7)[0] == '\0' ? "" : ", ",
           db_text(rows, 0, 7), db_true(rows, 0, 10) ? "final" : "not final yet");
    printf("total      charge %s, cost %s (%s of it refunded)%s%s, %s events\n",
           money_text(rows, 0, 4, charge), money_text(rows, 0, 3, cost),
           money_text(rows, 0, 5, refunded), walk->currency[0] == '\0' ? "" : " ", walk->currency,
           db_text(rows, 0, 2));
    if (db_text(rows, 0, 9) != NULL)
        printf("           of it %s for earlier periods that were final already\n",
               money_text(rows, 0, 9, charge));
}

static bool
reconciled(const struct walk *walk, const PGresult *total)
{
    const bool whole = walk->feature != NULL || (money_at(total, 0, 3) == walk->cost &&
                                                 money_at(total, 0, 4) == walk->charge &&
                                                 db_int(total, 0, 2) == walk->events);
    char charge[TALLY_TEXT_SIZE];

    puts("");
    if (walk->feature == NULL)
        printf("facts      sum to %s in %" PRId64 " events: %s\n",
               tally_format_money(walk->charge, charge), walk->events,
               whole ? "the total, to the nano" : "NOT the total");
    else
        printf("facts      of %s sum to %s in %" PRId64 " events\n", walk->feature,
               tally_format_money(walk->charge, charge), walk->events);
    if (walk->equal)
        printf("record     %" PRId64 " events: each line above is their sum, to the nano\n",
               walk->recorded);
    else
        printf("record     has %" PRId64 " of %" PRId64
               " events: it was switched off meanwhile, or its oldest days are gone\n",
               walk->recorded, walk->events);
    return whole && walk->equal;
}

static enum answer
explain(struct walk *walk, const char *instant, struct err *why)
{
    const char *const values[] = {walk->tenant, instant};
    enum answer answer = ANSWER_NO;

    /* All of it as of one moment. */
    if (!db_execute(&walk->session->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", why))
        return answer;
    PGresult *total = db_query(&walk->session->db, sql_period, values, 2, why);

    if (total != NULL && PQntuples(total) == 0)
        printf("nothing is booked for %s in the period of %s\n", walk->tenant, instant);
    else if (total != NULL) {
        walk->currency = db_text(total, 0, 8);
        (void)text_copy(walk->period, sizeof walk->period, text_of(db_text(total, 0, 6)));
        print_total(walk, total);
        if (print_lines(walk, why) && print_events(walk, why) &&
            charge_prices_print(walk->session,
                                &(struct charge_prices){.tenant = walk->tenant,
                                                        .period = walk->period,
                                                        .feature = walk->feature},
                                why) &&
            reconciled(walk, total))
            answer = ANSWER_FINE;
    }
    PQclear(total);
    db_rollback(&walk->session->db);
    return answer;
}

static enum answer
run_explain(const struct arguments *arguments)
{
    const char *period = option_value(arguments, "period");
    const char *lines = option_value(arguments, "events");
    struct err why = {.class = ERR_NONE};
    char instant[CLOCK_TEXT_SIZE];
    struct session session;
    enum answer answer;

    if (period == NULL)
        (void)err_set(&why, ERR_INPUT, "which period? Say: --period 2026-03");
    if (period == NULL || !instant_text(period, instant, &why))
        return command_misused(&why);
    if (!session_open(&session, arguments, &answer))
        return answer;
    struct walk walk = {.session = &session,
                        .tenant = arguments->words[0],
                        .feature = option_value(arguments, "feature"),
                        .lines = option_given(arguments, "all") ? NULL
                                 : lines == NULL                ? LINES_PRESET
                                                                : lines,
                        .equal = true};

    answer = explain(&walk, instant, &why);
    return session_close(&session, answer, &why);
}

static const struct option_row explain_options[] = {
    OPTION_CONFIG,
    {"period", "P", "a month (2026-03), day or time in the period", false},
    {"feature", "F", "only what this feature used", false},
    {"events", "N", "so many events are listed (" LINES_PRESET ")", false},
    {"all", NULL, "every event is", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_explain_charge = {
    .name = "explain charge",
    .words = "TENANT",
    .least = 1,
    .most = 1,
    .what = "Walk from the total of a period down to its events and prices",
    .more =
        "Reads what is settled, as of one moment, and says whether the total is the sum of the\n"
        "facts and they of the events in the record. Exit status 1 where they are not: the\n"
        "record was switched off meanwhile, or its oldest days are gone.\n",
    .options = explain_options,
    .run = run_explain};
