#include "sinks/status_document.h"

#include "core/clock.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- values ------------------------------------------------------------------------------------ */

/* A text as JSON; null when absent. What is not clean UTF-8 must not make the page fail. */
static json_t *
json_text(struct text text)
{
    char ascii[SCOPE_SIZE]; /* the longest text there is here */
    size_t size;

    if (text.at == NULL)
        return json_null();
    if (text_is_clean(text))
        return json_stringn(text.at, text.size);
    size = text_copy(ascii, sizeof ascii, text);
    for (size_t i = 0; i < size; i++)
        if (ascii[i] < 0x20 || ascii[i] > 0x7e)
            ascii[i] = '?';
    return json_stringn(ascii, size);
}

static json_t *
json_time(int64_t at_ms)
{
    char out[CLOCK_TEXT_SIZE];

    return json_string(clock_format(at_ms, out));
}

/* A number whose negative values mean "not known". */
static json_t *
json_known(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *
json_amount(tally amount, bool is_money)
{
    char out[TALLY_TEXT_SIZE];

    return json_string(is_money ? tally_format_short(amount, 2, out)
                                : tally_format_count(amount, out));
}

/* ---- partitions -------------------------------------------------------------------------------- */

struct partitions {
    json_t *list;
    int64_t lag_records; /* of all that know it */
    int64_t lag_ms;      /* the largest */
    int64_t as_of_ms;    /* the earliest */
    size_t count;
    size_t unknown; /* partitions whose lag is not known yet */
};

static void
add_partition(void *to, const struct status_partition *partition)
{
    struct partitions *all = to;
    const bool known = partition->lag_records >= 0 && partition->lag_ms >= 0;

    all->count++;
    if (known) {
        all->lag_records += partition->lag_records;
        if (partition->lag_ms > all->lag_ms)
            all->lag_ms = partition->lag_ms;
    } else {
        all->unknown++;
    }
    if (partition->as_of_ms > 0 && (all->as_of_ms == 0 || partition->as_of_ms < all->as_of_ms))
        all->as_of_ms = partition->as_of_ms;
    if (json_array_size(all->list) >= STATUS_PARTITION_LIMIT)
        return;
    /* The end was asked for a moment ago; the position may be past it by now. */
    const int64_t end = partition->end < 0 || partition->end > partition->position
                            ? partition->end
                            : partition->position;

    (void)json_array_append_new(
        all->list,
        json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "topic", json_text(partition->topic),
                  "partition", (int)partition->partition, "position",
                  json_known(partition->position), "end", json_known(end), "lag_records",
                  json_known(partition->lag_records), "lag_ms", json_known(partition->lag_ms),
                  "as_of", partition->as_of_ms > 0 ? json_time(partition->as_of_ms) : json_null(),
                  "halted", json_text(partition->halted)));
}

static const char *
current_state(const struct partitions *all)
{
    if (all->count == 0)
        return "standby";
    if (all->lag_ms >= STATUS_STALE_MS)
        return "stale";
    if (all->lag_ms >= STATUS_BEHIND_MS)
        return "behind";
    return all->unknown > 0 ? "unknown" : "current";
}

static void
put_partitions(json_t *document, const struct status_source *source)
{
    struct partitions all = {.list = json_array()};

    if (source->partitions != NULL)
        source->partitions(source->context, add_partition, &all);
    (void)json_object_set_new(document, "current",
                              json_pack("{s:s, s:I, s:I, s:o}", "state", current_state(&all),
                                        "lag_records", (json_int_t)all.lag_records, "lag_ms",
                                        (json_int_t)all.lag_ms, "as_of",
                                        all.as_of_ms > 0 ? json_time(all.as_of_ms) : json_null()));
    (void)json_object_set_new(document, "partitions", all.list);
}

/* ---- restrictions ------------------------------------------------------------------------------ */

struct scopes {
    json_t *list[OUTCOME_COUNT];
    json_int_t count[OUTCOME_COUNT];
};

static json_t *
json_restriction(const struct restriction *restriction)
{
    const struct code_row *code = &code_table[restriction->code];
    json_t *out = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "code", code->name, "action", code->action,
        "rule", json_text(restriction->rule), "since", json_time(restriction->since_ms), "until",
        restriction->ends_ms == INT64_MAX ? json_null() : json_time(restriction->ends_ms),
        "resets_at", restriction->resets_ms == 0 ? json_null() : json_time(restriction->resets_ms),
        "reason", json_text(restriction->reason), "actor", json_text(restriction->actor));

    if (restriction->has_usage) {
        (void)json_object_set_new(out, "used",
                                  json_amount(restriction->used, restriction->is_money));
        (void)json_object_set_new(out, "limit",
                                  json_amount(restriction->limit, restriction->is_money));
        if (restriction->is_money)
            (void)json_object_set_new(out, "currency", json_text(restriction->currency));
    }
    return out;
}

/* The one that answers comes first, then the others in the order of judgement. */
static json_t *
json_restrictions(const struct scope_state *state)
{
    const struct restriction *answer = scope_answer(state);
    json_t *list = json_array();

    (void)json_array_append_new(list, json_restriction(answer));
    for (size_t i = 0; i < state->count; i++)
        if (&state->restrictions[i] != answer)
            (void)json_array_append_new(list, json_restriction(&state->restrictions[i]));
    return list;
}

static void
add_scope(void *to, const struct scope_state *state, int64_t seq, int64_t expires_ms)
{
    const enum outcome outcome = scope_outcome(state);
    struct scopes *all = to;

    if (outcome == OUTCOME_ALLOW || all->count[outcome]++ >= STATUS_SCOPE_LIMIT)
        return;
    (void)json_array_append_new(
        all->list[outcome],
        json_pack("{s:o, s:o, s:s, s:I, s:o, s:o}", "scope", json_text(state->scope), "tenant",
                  json_text(state->tenant), "outcome", outcome_names[outcome], "seq",
                  (json_int_t)seq, "expires_at",
                  expires_ms > 0 ? json_time(expires_ms) : json_null(), "restrictions",
                  json_restrictions(state)));
}

static void
put_restrictions(json_t *document, const struct status_source *source)
{
    static const enum outcome order[] = {OUTCOME_BLOCK, OUTCOME_THROTTLE, OUTCOME_DOWNGRADE};
    struct scopes all = {.count = {0}};
    json_t *list = json_array();
    json_t *counts = json_object();

    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        all.list[i] = json_array();
    if (source->restrictions != NULL)
        source->restrictions(source->context, add_scope, &all);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        (void)json_array_extend(list, all.list[order[i]]);
        (void)json_object_set_new(counts, outcome_names[order[i]],
                                  json_integer(all.count[order[i]]));
    }
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        json_decref(all.list[i]);
    (void)json_object_set_new(document, "restricted", counts);
    (void)json_object_set_new(document, "restrictions", list);
}

/* ---- what to look at --------------------------------------------------------------------------- */

static void
add_problem(json_t *problems, const char *what, const char *todo)
{
    (void)json_array_append_new(problems, json_pack("{s:o, s:o}", "what", json_text(text_of(what)),
                                                    "todo", json_text(text_of(todo))));
}

static void
add_partition_problems(json_t *problems, const json_t *document)
{
    char what[ERR_TEXT_SIZE + 256];
    const json_t *partitions = json_object_get(document, "partitions");

    for (size_t i = 0; i < json_array_size(partitions); i++) {
        const json_t *partition = json_array_get(partitions, i);
        const char *halted = json_string_value(json_object_get(partition, "halted"));

        if (halted == NULL)
            continue;
        (void)snprintf(what, sizeof what, "Partition %" JSON_INTEGER_FORMAT " of %s stopped",
                       json_integer_value(json_object_get(partition, "partition")),
                       json_string_value(json_object_get(partition, "topic")));
        add_problem(problems, what, halted);
    }
}

static void
add_lag_problem(json_t *problems, const json_t *document)
{
    const json_t *current = json_object_get(document, "current");
    const struct text state = text_of(json_string_value(json_object_get(current, "state")));
    const bool stale = text_eq(state, TEXT("stale"));
    char lag[CLOCK_TEXT_SIZE];
    char what[128];
    const int64_t lag_ms = json_integer_value(json_object_get(current, "lag_ms"));

    if (!stale && !text_eq(state, TEXT("behind")))
        return;
    (void)snprintf(what, sizeof what, "%s behind: limits are judged late",
                   clock_format_duration(lag_ms / CLOCK_SECOND_MS * CLOCK_SECOND_MS, lag));
    add_problem(problems, what,
                stale ? "Gateways follow their own on_stale after a minute. See whether the lag "
                        "falls; if not, start more engines in the same consumer group."
                      : "It catches up by itself when the lag falls from one look to the next.");
}

static void
add_delivery_problem(json_t *problems, const json_t *endpoint)
{
    const char *error = json_string_value(json_object_get(endpoint, "last_error"));
    const bool off = json_is_string(json_object_get(endpoint, "disabled_at"));
    char what[512];
    char todo[512];

    (void)snprintf(what, sizeof what, "Alerts to %.200s %s",
                   json_string_value(json_object_get(endpoint, "endpoint")),
                   off ? "are switched off" : "do not get through");
    (void)snprintf(todo, sizeof todo, "%.300s. %s", error == NULL ? "No error was noted" : error,
                   off ? "Correct the address in the configuration and reload: a changed one is "
                         "tried anew."
                       : "They are kept and sent again by themselves.");
    add_problem(problems, what, todo);
}

static void
add_database_problems(json_t *problems, const json_t *document)
{
    const json_t *database = json_object_get(document, "database");
    const char *error = json_string_value(json_object_get(database, "error"));
    char what[512];
    const json_t *deliveries = json_object_get(database, "deliveries");

    if (error != NULL) {
        (void)snprintf(what, sizeof what, "Postgres does not answer this page: %.400s", error);
        add_problem(problems, what,
                    "Tenants in memory go on being judged; nothing is lost while Kafka keeps the "
                    "records.");
    }
    for (size_t i = 0; i < json_array_size(deliveries); i++)
        add_delivery_problem(problems, json_array_get(deliveries, i));
}

static void
add_reason_problems(json_t *problems, const json_t *document)
{
    const json_t *reasons = json_object_get(document, "reasons");

    for (size_t i = 0; i < json_array_size(reasons); i++)
        add_problem(problems, json_string_value(json_array_get(reasons, i)),
                    "The process is not ready until then.");
}

static void
put_problems(json_t *document)
{
    json_t *problems = json_array();

    add_reason_problems(problems, document);
    add_partition_problems(problems, document);
    add_lag_problem(problems, document);
    add_database_problems(problems, document);
    (void)json_object_set_new(document, "problems", problems);
}

/* ---- the document ------------------------------------------------------------------------------ */

static void
add_reason(void *to, const char *reason)
{
    json_t *list = to;

    if (json_array_size(list) < STATUS_REASON_LIMIT)
        (void)json_array_append_new(list, json_text(text_of(reason)));
}

static json_t *
json_metric(const struct status_source *source, enum metric metric)
{
    json_int_t sum = 0;

    for (size_t i = 0; i < source->set_count; i++)
        sum += metric_get(source->sets[i], metric);
    return json_integer(sum);
}

static json_t *
json_events(const struct status_source *source)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "counted", json_metric(source, METRIC_COUNTED),
                     "duplicate", json_metric(source, METRIC_DUPLICATES), "dead",
                     json_metric(source, METRIC_DEAD), "ignored",
                     json_metric(source, METRIC_IGNORED));
}

json_t *
status_document(const struct config *config, const struct status_source *source, json_t *database,
                int64_t now_ms)
{
    json_t *document = json_object();
    json_t *reasons = json_array();

    const bool enforcing = source->enforcing == NULL || source->enforcing(source->context);

    if (source->reasons != NULL)
        source->reasons(source->context, add_reason, reasons);
    (void)json_object_set_new(document, "now", json_time(now_ms));
    (void)json_object_set_new(document, "instance", json_text(text_of(config->instance)));
    (void)json_object_set_new(document, "enforcing", json_boolean(enforcing));
    (void)json_object_set_new(document, "reasons", reasons);
    (void)json_object_set_new(document, "events", json_events(source));
    put_partitions(document, source);
    put_restrictions(document, source);
    (void)json_object_set_new(document, "database", database);
    put_problems(document);
    return document;
}
