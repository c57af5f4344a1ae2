#include "sinks/page_text.h"

#include "core/clock.h"

#include <inttypes.h>

enum { OPEN_PARTITIONS = 16 }; /* shown at once; more wait behind a click */

static void
put_section(struct writer *out, const char *title, int64_t shown, int64_t all)
{
    writer_format(out, "<h2>%s", title);
    if (all > 0) {
        writer_string(out, " <small>");
        if (shown < all) {
            page_count(out, shown);
            writer_string(out, " of ");
        }
        page_count(out, all);
        writer_string(out, "</small>");
    }
    writer_string(out, "</h2>\n");
}

static void
put_none(struct writer *out, const char *text)
{
    writer_format(out, "<p class=\"none\">%s</p>\n", text);
}

/* "plan_allowance_exhausted" for people. */
static void
put_words(struct writer *out, const char *name)
{
    char words[64];

    (void)text_copy(words, sizeof words, text_of(name));
    for (char *at = words; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    page_escaped(out, words);
}

/* "512 of 500 USD" */
static void
put_used(struct writer *out, const char *used, const char *limit, const char *unit)
{
    page_amount(out, used);
    if (limit != NULL) {
        writer_string(out, " of ");
        page_amount(out, limit);
    }
    if (unit != NULL) {
        writer_string(out, " ");
        page_escaped(out, unit);
    }
}

/* ---- breakers -------------------------------------------------------------------------------------- */

/* Not 0.000. */
static bool
is_set(const char *amount)
{
    return amount != NULL && amount[strspn(amount, "0.")] != '\0';
}

static void
put_breaker(struct writer *out, const json_t *document, const json_t *breaker)
{
    const char *state = page_member(breaker, "state");
    const bool rests = page_is(breaker, "state", "closed") || page_is(breaker, "state", "shadow") ||
                       page_is(breaker, "state", "learning");

    page_cell(out, "Feature", "");
    writer_string(out, "<b>");
    page_name(out, page_member(breaker, "feature"));
    writer_string(out, "</b><small>of ");
    page_name(out, page_member(breaker, "tenant"));
    writer_string(out, "</small>");
    page_cell_end(out);
    page_cell(out, "Breaker", "");
    page_pill(out, rests ? "warn" : "bad", state == NULL ? "?" : state);
    page_cell_end(out);
    page_cell(out, "Last hour", "num");
    page_amount(out, page_member(breaker, "last_hour"));
    page_cell_end(out);
    page_cell(out, "When it tripped", "num");
    if (is_set(page_member(breaker, "observed")))
        put_used(out, page_member(breaker, "observed"), page_member(breaker, "baseline"), "usual");
    page_cell_end(out);
    page_time_cell(out, "Since", document, page_member(breaker, "since_at"));
    page_cell(out, "Until", "");
    if (page_member(breaker, "until_at") == NULL && !rests)
        writer_string(out, "somebody says so");
    page_time(out, document, page_member(breaker, "until_at"));
    page_cell_end(out);
    page_cell(out, "Said by", "wide");
    page_name(out, page_member(breaker, "actor"));
    writer_string(out, "<small>");
    page_name(out, page_member(breaker, "reason"));
    writer_string(out, "</small>");
    page_cell_end(out);
}

/* Nothing at all where the policy has no breakers. */
void
page_breakers(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Feature", "Breaker", "Last hour", "When it tripped",
                                          "Since",   "Until",   "Said by",   NULL};
    const json_t *database = json_object_get(document, "database");
    const json_t *breakers = json_object_get(database, "breakers");
    const json_t *learning = json_object_get(database, "learning");
    const size_t count = json_array_size(breakers);

    const int64_t unprotected = page_number(learning, "count");

    if (count == 0 && unprotected == 0)
        return;
    put_section(out, "Features that run away", (int64_t)count, (int64_t)count);
    if (count > 0) {
        page_table(out, columns, put_breaker, document, breakers);
    } else {
        put_none(out, "No breaker is open.");
    }
    if (unprotected > 0) {
        writer_string(out, "<details><summary>");
        page_count(out, unprotected);
        writer_string(out, " features are not protected yet: nothing is known of what is usual"
                           "</summary><p class=\"none\">");
        page_name(out, page_member(learning, "names"));
        writer_string(out, "</p></details>\n");
    }
}

/* ---- what is restricted ------------------------------------------------------------------------ */

static void
put_todo(struct writer *out, const char *scope, const json_t *answer)
{
    static const struct {
        const char *action;
        const char *todo;
    } todos[] = {
        {"increase_limit", "Raise the limit with <code>tripmeter tenant set</code>, or wait"},
        {"top_up", "Top up the balance"},
        {"wait", "Nothing: it ends by itself"},
        {"upgrade", "Needs a plan that includes it"},
        {"contact", "The tenant has to be talked to"},
    };

    if (page_is(answer, "rule", "operator")) {
        writer_string(out, "Take the word back: <code>tripmeter allow ");
        page_escaped(out, scope);
        writer_string(out, "</code>");
        return;
    }
    for (size_t i = 0; i < sizeof todos / sizeof todos[0]; i++)
        if (page_is(answer, "action", todos[i].action))
            writer_string(out, todos[i].todo);
}

/* Why: the code, the rule, how much of what; and in an operator's words where there are some. */
static void
put_why(struct writer *out, const json_t *restriction)
{
    const char *limit = page_member(restriction, "limit");

    writer_string(out, "<p>");
    put_words(out, page_member(restriction, "code"));
    writer_string(out, "<small>");
    page_name(out, page_member(restriction, "rule"));
    if (limit != NULL) {
        writer_string(out, ": ");
        put_used(out, page_member(restriction, "used"), limit,
                 page_member(restriction, "currency"));
    }
    if (page_member(restriction, "actor") != NULL) {
        writer_string(out, ", by ");
        page_name(out, page_member(restriction, "actor"));
    }
    if (page_member(restriction, "reason") != NULL) {
        writer_string(out, ": ");
        page_name(out, page_member(restriction, "reason"));
    }
    writer_string(out, "</small></p>\n");
}

static void
put_scope(struct writer *out, const json_t *document, const json_t *scope)
{
    const json_t *all = json_object_get(scope, "restrictions");
    const json_t *answer = json_array_get(all, 0);

    page_cell(out, "Scope", "name");
    writer_string(out, "<b>");
    page_name(out, page_member(scope, "scope"));
    writer_string(out, "</b>");
    page_cell_end(out);
    page_cell(out, "Calls are", "");
    page_pill(out, page_is(scope, "outcome", "block") ? "bad" : "warn",
              page_is(scope, "outcome", "block")      ? "blocked"
              : page_is(scope, "outcome", "throttle") ? "throttled"
                                                      : "downgraded");
    page_cell_end(out);
    page_cell(out, "Why", "wide");
    for (size_t i = 0; i < json_array_size(all); i++)
        put_why(out, json_array_get(all, i));
    page_cell_end(out);
    page_time_cell(out, "Since", document, page_member(answer, "since"));
    page_cell(out, "Until", "");
    if (page_member(answer, "until") == NULL)
        writer_string(out, "taken back");
    page_time(out, document, page_member(answer, "until"));
    page_cell_end(out);
    page_cell(out, "What to do", "wide");
    put_todo(out, page_member(scope, "scope"), answer);
    page_cell_end(out);
}

void
page_restrictions(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Scope", "Calls are",  "Why", "Since",
                                          "Until", "What to do", NULL};
    const json_t *scopes = json_object_get(document, "restrictions");
    const json_t *counts = json_object_get(document, "restricted");

    put_section(out, "Restricted now", (int64_t)json_array_size(scopes),
                page_number(counts, "block") + page_number(counts, "throttle") +
                    page_number(counts, "downgrade"));
    if (json_array_size(scopes) == 0) {
        put_none(out, "Nothing is blocked, throttled or downgraded.");
        return;
    }
    page_table(out, columns, put_scope, document, scopes);
}

/* ---- alerts ------------------------------------------------------------------------------------ */

static void
put_labels(struct writer *out, json_t *labels)
{
    const char *between = "";

    for (void *at = json_object_iter(labels); at != NULL; at = json_object_iter_next(labels, at)) {
        const char *name = json_object_iter_key(at);

        if (strcmp(name, "period") == 0)
            continue;
        writer_string(out, between);
        put_words(out, name);
        writer_string(out, " <b>");
        page_name(out, json_string_value(json_object_iter_value(at)));
        writer_string(out, "</b>");
        between = ", ";
    }
}

static void
put_step_amount(struct writer *out, const char *amount, const char *unit)
{
    writer_string(out, " reached ");
    page_amount(out, amount);
    writer_string(out, "&nbsp;");
    page_escaped(out, unit);
}

static void
put_alert(struct writer *out, const json_t *document, const json_t *alert)
{
    const bool bad = page_is(alert, "severity", "critical") || page_is(alert, "severity", "error");
    const char *threshold = page_member(alert, "threshold"); /* of what is unlimited: the step */

    page_cell(out, "Severity", "");
    page_pill(out,
              bad                                     ? "bad"
              : page_is(alert, "severity", "warning") ? "warn"
                                                      : "info",
              page_member(alert, "severity"));
    page_cell_end(out);
    page_cell(out, "Alert", "wide");
    writer_string(out, "<b>");
    page_name(out, page_member(alert, "rule"));
    writer_string(out, "</b>");
    if (page_number(alert, "step") > 0)
        writer_format(out, " reached %" PRId64 "&nbsp;%%", page_number(alert, "step"));
    if (page_member(alert, "step_amount") != NULL)
        put_step_amount(out, page_member(alert, "step_amount"), page_member(alert, "unit"));
    if (json_is_true(json_object_get(alert, "restricts")))
        writer_string(out, ", traffic is restricted");
    writer_string(out, "<small>");
    page_escaped(out, page_member(alert, "summary"));
    writer_string(out, "</small>");
    page_cell_end(out);
    page_cell(out, "Where", "");
    put_labels(out, json_object_get(alert, "labels"));
    page_cell_end(out);
    page_cell(out, "Value", "num");
    if (threshold != NULL)
        put_used(out, page_member(alert, "value"),
                 page_is(alert, "step_amount", threshold) ? NULL : threshold,
                 page_member(alert, "unit"));
    page_cell_end(out);
    page_time_cell(out, "Since", document, page_member(alert, "opened_at"));
    page_time_cell(out, "Resets", document, page_member(alert, "resets_at"));
}

/* What comes from Postgres cannot be shown while it is away: says so, and true when it is. */
static bool
put_away(struct writer *out, const json_t *database)
{
    if (json_is_true(json_object_get(database, "reachable")))
        return false;
    writer_string(out, "<p class=\"none\">Not known: Postgres does not answer. ");
    page_escaped(out, page_member(database, "error"));
    writer_string(out, "</p>\n");
    return true;
}

void
page_alerts(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Severity", "Alert",  "Where", "Value",
                                          "Since",    "Resets", NULL};
    const json_t *database = json_object_get(document, "database");
    const json_t *alerts = json_object_get(database, "alerts");

    put_section(out, "Open alerts", (int64_t)json_array_size(alerts),
                page_number(database, "alert_count"));
    if (put_away(out, database))
        return;
    if (json_array_size(alerts) == 0) {
        put_none(out, "No alert is open.");
        return;
    }
    page_table(out, columns, put_alert, document, alerts);
}

/* ---- deliveries -------------------------------------------------------------------------------- */

static void
put_delivery(struct writer *out, const json_t *document, const json_t *endpoint)
{
    const int64_t dead = page_number(endpoint, "dead");
    const bool off = page_member(endpoint, "disabled_at") != NULL;

    page_cell(out, "Endpoint", "");
    writer_string(out, "<b>");
    page_name(out, page_member(endpoint, "endpoint"));
    writer_string(out, "</b>");
    page_cell_end(out);
    page_cell(out, "State", "");
    page_pill(out, off || dead > 0 ? "bad" : "warn", off ? "switched off" : "failing");
    page_cell_end(out);
    page_cell(out, "Last error", "wide");
    page_escaped(out, page_member(endpoint, "last_error"));
    page_cell_end(out);
    page_time_cell(out, "Since", document,
                   page_member(endpoint, off ? "disabled_at" : "failing_since"));
    page_cell(out, "Waiting", "");
    page_count(out, page_number(endpoint, "waiting"));
    if (page_member(endpoint, "oldest") != NULL) {
        writer_string(out, "<small>oldest:</small>");
        page_time(out, document, page_member(endpoint, "oldest"));
    }
    page_cell_end(out);
    page_cell(out, "Given up", "");
    page_count(out, dead);
    writer_string(out, "<small>in 24 hours</small>");
    page_cell_end(out);
}

void
page_deliveries(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Endpoint", "State",    "Last error", "Since",
                                          "Waiting",  "Given up", NULL};
    const json_t *database = json_object_get(document, "database");
    const json_t *deliveries = json_object_get(database, "deliveries");

    put_section(out, "Failing deliveries", 0, 0);
    if (put_away(out, database))
        return;
    if (json_array_size(deliveries) == 0) {
        put_none(out, "Every endpoint takes its alerts.");
        return;
    }
    page_table(out, columns, put_delivery, document, deliveries);
}

/* ---- partitions -------------------------------------------------------------------------------- */

static void
put_known(struct writer *out, const json_t *partition, const char *name)
{
    const json_t *value = json_object_get(partition, name);

    if (json_is_integer(value))
        page_count(out, json_integer_value(value));
    else
        writer_string(out, "?");
}

static void
put_partition(struct writer *out, const json_t *document, const json_t *partition)
{
    const char *halted = page_member(partition, "halted");

    page_cell(out, "Partition", "");
    writer_string(out, "<b>");
    page_name(out, page_member(partition, "topic"));
    writer_format(out, "</b> %" PRId64, page_number(partition, "partition"));
    page_cell_end(out);
    page_cell(out, "State", "");
    page_pill(out, halted != NULL ? "bad" : "good", halted != NULL ? "stopped" : "runs");
    if (halted != NULL) {
        writer_string(out, "<small>");
        page_prose(out, halted);
        writer_string(out, "</small>");
    }
    page_cell_end(out);
    page_cell(out, "Behind", "num");
    put_known(out, partition, "lag_records");
    writer_string(out, " records");
    if (page_number(partition, "lag_ms") > 0) {
        writer_string(out, "<small>");
        page_span(out, page_number(partition, "lag_ms"));
        writer_string(out, "</small>");
    }
    page_cell_end(out);
    page_cell(out, "Position", "num");
    put_known(out, partition, "position");
    writer_string(out, " of ");
    put_known(out, partition, "end");
    page_cell_end(out);
    page_time_cell(out, "As of", document, page_member(partition, "as_of"));
}

void
page_partitions(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Partition", "State", "Behind",
                                          "Position",  "As of", NULL};
    const json_t *partitions = json_object_get(document, "partitions");
    const size_t count = json_array_size(partitions);

    put_section(out, "Partitions", (int64_t)count, (int64_t)count);
    if (count == 0) {
        put_none(out, "This process owns no partitions: it stands by for others of its group.");
        return;
    }
    writer_format(out, "<details%s><summary>Position and lag</summary>\n",
                  count <= OPEN_PARTITIONS ? " open" : "");
    page_table(out, columns, put_partition, document, partitions);
    writer_string(out, "</details>\n");
}

/* Nothing before the first one has led. */
void
page_fleet(struct writer *out, const json_t *document)
{
    const json_t *fleet = json_object_get(json_object_get(document, "database"), "fleet");

    if (page_member(fleet, "leader") == NULL)
        return;
    writer_string(out,
                  "<h2>The fleet</h2>\n<p class=\"none\">Features over all tenants, and silent "
                  "sources, are judged by <bdi>");
    page_escaped(out, page_member(fleet, "leader"));
    writer_string(out, "</bdi>, last settled ");
    page_time(out, document, page_member(fleet, "settled_at"));
    writer_string(out, "</p>\n");
}
