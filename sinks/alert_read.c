#include "sinks/alert_read.h"

#include "config/log.h"
#include "config/zones.h"

#include <jansson.h>
#include <stdlib.h>

/* ---- reading --------------------------------------------------------------------------------- */

static const char take_sql[] =
    "BEGIN; SELECT t.fingerprint, t.episode, t.seq, t.move, t.rule, t.labels::text, t.severity,"
    " (extract(epoch FROM t.at) * 1000)::bigint, t.step, array_to_string(t.crossed, ','),"
    " CASE WHEN t.is_money THEN round(t.step_amount, 9) ELSE trunc(t.step_amount) END,"
    " array_to_string(t.crossed_amounts, ','),"
    " CASE WHEN t.is_money THEN round(t.value, 9) ELSE trunc(t.value) END,"
    " CASE WHEN t.is_money THEN round(t.threshold, 9) ELSE trunc(t.threshold) END,"
    " t.is_money, t.unit, t.zone, coalesce((extract(epoch FROM t.resets_at) * 1000)::bigint, 0),"
    " t.restricts, coalesce(t.reason, ''), t.summary,"
    " (extract(epoch FROM e.opened_at) * 1000)::bigint, e.restricts, e.severity"
    " FROM tripmeter.transition t JOIN tripmeter.episode e USING (fingerprint, episode)"
    " WHERE t.routed_at IS NULL AND NOT EXISTS (SELECT FROM tripmeter.transition p"
    "     WHERE p.fingerprint = t.fingerprint AND p.seq < t.seq AND p.routed_at IS NULL)"
    " ORDER BY t.created_at, t.fingerprint, t.seq LIMIT %d FOR UPDATE OF t SKIP LOCKED";

PGresult *
alert_take(struct outbox *outbox, int most, struct err *why)
{
    char script[sizeof take_sql + NUMBER_SIZE];

    (void)snprintf(script, sizeof script, take_sql, most);
    return outbox_script(outbox, script, why);
}

enum column {
    FINGERPRINT,
    EPISODE,
    SEQ,
    MOVE,
    RULE,
    LABELS,
    SEVERITY,
    AT,
    STEP,
    CROSSED,
    STEP_AMOUNT,
    CROSSED_AMOUNTS,
    VALUE,
    THRESHOLD,
    IS_MONEY,
    UNIT,
    ZONE,
    RESETS,
    RESTRICTS,
    REASON,
    SUMMARY,
    OPENED,
    EVER_RESTRICTED,
    EPISODE_SEVERITY,
};

static int
index_of(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return 0;
}

static void
read_labels(const char *json, struct arena *arena, struct text labels[LABEL_COUNT])
{
    json_t *object = json_loads(json, 0, NULL);

    for (size_t i = 0; i < LABEL_COUNT; i++) {
        const char *value = json_string_value(json_object_get(object, label_names[i]));

        labels[i] = arena_text(arena, text_of(value));
    }
    json_decref(object);
}

static void
read_steps(const char *list, struct transition *transition)
{
    while (*list != '\0' && transition->crossed_count < ALERT_STEP_LIMIT) {
        char *end = NULL;

        transition->crossed[transition->crossed_count++] = (int32_t)strtol(list, &end, 10);
        list = *end == ',' ? end + 1 : end;
    }
}

static bool
parse_amount(struct text text, bool is_money, tally *out)
{
    return is_money ? tally_parse_money(text, out) : tally_parse_count(text, out);
}

static bool
read_amount(const PGresult *rows, int row, enum column column, bool is_money, tally *out)
{
    const struct text text = text_of(PQgetvalue(rows, row, (int)column));

    return !PQgetisnull(rows, row, (int)column) && parse_amount(text, is_money, out);
}

static void
read_step_amounts(const char *list, struct transition *transition)
{
    while (*list != '\0' && transition->crossed_amount_count < ALERT_STEP_LIMIT) {
        const size_t size = strcspn(list, ",");

        if (parse_amount((struct text){list, size}, transition->is_money,
                         &transition->crossed_amounts[transition->crossed_amount_count]))
            transition->crossed_amount_count++;
        list += size + (list[size] == ',' ? 1 : 0);
    }
}

static const struct zone *
zone_of(struct text name)
{
    struct err why;
    const struct zone *zone = name.size == 0 ? NULL : zones_get(name, &why);

    return zone == NULL ? zone_utc() : zone;
}

static void
read_transition(const PGresult *rows, int row, struct arena *arena, struct transition *out)
{
    static const char *const moves[] = {"fire", "step", "resolve"};

    *out = (struct transition){
        .move = (enum move)index_of(PQgetvalue(rows, row, MOVE), moves, 3),
        .rule = column_text(rows, row, RULE, arena),
        .severity = (enum severity)index_of(PQgetvalue(rows, row, SEVERITY), severity_names,
                                            SEVERITY_COUNT),
        .at_ms = column_number(rows, row, AT),
        .step = (int32_t)column_number(rows, row, STEP),
        .is_money = column_true(rows, row, IS_MONEY),
        .unit = column_text(rows, row, UNIT, arena),
        .zone = column_text(rows, row, ZONE, arena),
        .resets_ms = column_number(rows, row, RESETS),
        .restricts = column_true(rows, row, RESTRICTS),
        .reason =
            (enum resolved)index_of(PQgetvalue(rows, row, REASON), resolved_names, RESOLVED_COUNT),
        .summary = column_text(rows, row, SUMMARY, arena),
    };
    read_labels(PQgetvalue(rows, row, LABELS), arena, out->labels);
    read_steps(PQgetvalue(rows, row, CROSSED), out);
    read_step_amounts(PQgetvalue(rows, row, CROSSED_AMOUNTS), out);
    if (!read_amount(rows, row, STEP_AMOUNT, out->is_money, &out->step_amount))
        out->step_amount = 0;
    out->has_value = read_amount(rows, row, VALUE, out->is_money, &out->value) &&
                     read_amount(rows, row, THRESHOLD, out->is_money, &out->threshold);
}

bool
alert_read(struct outbox *outbox, const PGresult *rows, int row, struct alert_view *view,
           enum severity *episode_severity, struct err *why)
{
    struct arena *arena = outbox->arena;

    read_transition(rows, row, arena, &view->transition);
    view->fingerprint = column_text(rows, row, FINGERPRINT, arena);
    view->episode = column_number(rows, row, EPISODE);
    view->seq = column_number(rows, row, SEQ);
    view->since_ms = column_number(rows, row, OPENED);
    view->restricted = column_true(rows, row, EVER_RESTRICTED);
    view->zone = zone_of(view->transition.zone);
    *episode_severity = (enum severity)index_of(PQgetvalue(rows, row, EPISODE_SEVERITY),
                                                severity_names, SEVERITY_COUNT);
    return (view->fingerprint.at != NULL && view->transition.rule.at != NULL) ||
           err_set(why, ERR_RETRY, "alert %s does not fit into memory",
                   PQgetvalue(rows, row, FINGERPRINT));
}

/* ---- evidence -------------------------------------------------------------------------------- */

struct measure {
    const char *unit;
    const char *sum; /* columns of tenant_fact */
};

static const struct measure measures[] = {
    {"tokens", "input_tokens + output_tokens"}, {"input_tokens", "input_tokens"},
    {"input tokens", "input_tokens"},           {"output_tokens", "output_tokens"},
    {"output tokens", "output_tokens"},         {"attempts", "attempts"},
};

static const char *
measure_of(const struct transition *transition)
{
    if (transition->is_money)
        return "cost";
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++)
        if (text_eq(transition->unit, text_of(measures[i].unit)))
            return measures[i].sum;
    return "requests";
}

static void
read_top(const PGresult *rows, bool is_money, struct arena *arena, struct top *out)
{
    *out = (struct top){.count = 0};
    for (int row = 0; row < PQntuples(rows) && out->count < TOP_LIMIT; row++) {
        struct share *share = &out->at[out->count];
        const struct text amount = text_of(PQgetvalue(rows, row, 1));
        const struct text total = text_of(PQgetvalue(rows, row, 2));

        share->name = column_text(rows, row, 0, arena);
        if (share->name.at != NULL && (is_money ? tally_parse_money(amount, &share->amount) &&
                                                      tally_parse_money(total, &out->total)
                                                : tally_parse_count(amount, &share->amount) &&
                                                      tally_parse_count(total, &out->total)))
            out->count++;
    }
}

/* `column` is feature or project; the names come from here, never from outside. The period of a
 * warning about a day is that day. */
static bool
ask_top(struct outbox *outbox, const struct transition *transition, const char *column,
        struct top *out, struct err *why)
{
    const char *const values[] = {transition->labels[LABEL_TENANT].at,
                                  transition->labels[LABEL_PERIOD].at,
                                  transition->labels[LABEL_PROJECT].at};
    const char *measure = measure_of(transition);
    char statement[512];

    (void)snprintf(statement, sizeof statement,
                   "SELECT %s, sum(%s), sum(sum(%s)) OVER () FROM tripmeter.tenant_fact"
                   " WHERE tenant = $1 AND %s $2::timestamptz"
                   " AND ($3::text IS NULL OR project = $3)"
                   " GROUP BY 1 HAVING sum(%s) > 0 ORDER BY 2 DESC, 1 LIMIT 3",
                   column, measure, measure,
                   words_is(transition, "pacing") ? "hour >=" : "period =", measure);
    PGresult *rows = outbox_run(outbox, statement, values, 3, why);

    if (rows == NULL)
        return false;
    read_top(rows, transition->is_money, outbox->arena, out);
    PQclear(rows);
    return true;
}

bool
alert_evidence(struct outbox *outbox, struct alert_view *view, struct err *why)
{
    const struct transition *transition = &view->transition;
    struct err left_out;

    if (transition->move == MOVE_RESOLVE || transition->labels[LABEL_TENANT].at == NULL ||
        transition->labels[LABEL_PERIOD].at == NULL || !transition->has_value)
        return true;
    if (!outbox_do_script(outbox, "SAVEPOINT evidence; SET LOCAL statement_timeout = '1s'", why))
        return false;
    if (ask_top(outbox, transition, "feature", &view->features, &left_out) &&
        (transition->labels[LABEL_PROJECT].at != NULL ||
         ask_top(outbox, transition, "project", &view->projects, &left_out)))
        return outbox_do_script(
            outbox, "SET LOCAL statement_timeout = '3s'; RELEASE SAVEPOINT evidence", why);
    log_warning("alert_evidence", "rule=%.*s error=\"%s\"", (int)transition->rule.size,
                transition->rule.at, left_out.text);
    return outbox_do(outbox, "ROLLBACK TO evidence", NULL, 0, why);
}
