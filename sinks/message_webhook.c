/* The body of a webhook: schemas/alert.v1.json. */
#include "sinks/message.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Alertmanager's "no time". */
static const char no_time[] = "0001-01-01T00:00:00Z";

static const char *const type_names[MESSAGE_KIND_COUNT] = {
    [MESSAGE_FIRING] = "alert.firing",
    [MESSAGE_RESOLVED] = "alert.resolved",
    [MESSAGE_MISSED] = "alert.missed",
};

static json_t *
json_of(struct text text)
{
    return json_stringn(text.at == NULL ? "" : text.at, text.size);
}

/* New members are checked once, where the whole is written: a failed one leaves NULL behind. */
static void
put(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

static json_t *
time_of(int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    return json_string(clock_format(at_ms, text));
}

/* Exact decimal text: no reader's doubles come between us and the nano. */
static json_t *
number_of(tally amount, bool is_money)
{
    char text[TALLY_TEXT_SIZE];

    return json_string(is_money ? tally_format_short(amount, 2, text)
                                : tally_format_count(amount, text));
}

static json_t *
group_labels(const struct transition *transition)
{
    json_t *labels = json_object();

    put(labels, "rule", json_of(transition->rule));
    if (transition->labels[LABEL_TENANT].at != NULL)
        put(labels, "tenant", json_of(transition->labels[LABEL_TENANT]));
    return labels;
}

static json_t *
all_labels(const struct transition *transition)
{
    json_t *labels = json_object();

    put(labels, "alertname", json_of(transition->rule));
    put(labels, "rule", json_of(transition->rule));
    put(labels, "severity", json_string(severity_names[transition->severity]));
    for (size_t i = 0; i < LABEL_COUNT; i++)
        if (transition->labels[i].at != NULL)
            put(labels, label_names[i], json_of(transition->labels[i]));
    return labels;
}

static json_t *
annotations(const struct alert_view *view)
{
    char summary[SUMMARY_SIZE];
    json_t *all = json_object();

    (void)message_summary(view, summary);
    (void)plain_line(summary);
    put(all, "summary", json_string(summary));
    return all;
}

static json_t *
links_of(const char *link)
{
    json_t *links = json_object();

    if (link != NULL)
        put(links, "status", json_string(link));
    return links;
}

static json_t *
window_of(const struct transition *transition)
{
    json_t *window;

    if (transition->labels[LABEL_PERIOD].at == NULL)
        return json_null();
    window = json_object();
    put(window, "start", json_of(transition->labels[LABEL_PERIOD]));
    put(window, "end", transition->resets_ms == 0 ? json_null() : time_of(transition->resets_ms));
    return window;
}

static json_t *
crossed_of(const struct transition *transition)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < transition->crossed_count; i++)
        (void)json_array_append_new(steps, json_integer(transition->crossed[i]));
    return steps;
}

static json_t *
crossed_amounts_of(const struct transition *transition)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < transition->crossed_amount_count; i++)
        (void)json_array_append_new(
            steps, number_of(transition->crossed_amounts[i], transition->is_money));
    return steps;
}

static json_t *
alert_of(const struct alert_view *view)
{
    const struct transition *transition = &view->transition;
    const bool over = view->kind != MESSAGE_FIRING;
    char id[64];
    json_t *alert = json_object();

    (void)snprintf(id, sizeof id, "%.*s:%" PRId64, (int)view->fingerprint.size,
                   view->fingerprint.at, view->episode);
    put(alert, "status", json_string(over ? "resolved" : "firing"));
    put(alert, "labels", all_labels(transition));
    put(alert, "annotations", annotations(view));
    put(alert, "startsAt", time_of(view->since_ms));
    put(alert, "endsAt", over ? time_of(transition->at_ms) : json_string(no_time));
    put(alert, "generatorURL", json_string(view->link == NULL ? "" : view->link));
    put(alert, "fingerprint", json_of(view->fingerprint));
    put(alert, "id", json_string(id));
    put(alert, "seq", json_integer(view->seq));
    put(alert, "step", transition->step == 0 ? json_null() : json_integer(transition->step));
    put(alert, "stepAmount",
        transition->step_amount == 0 ? json_null()
                                     : number_of(transition->step_amount, transition->is_money));
    put(alert, "crossed", crossed_of(transition));
    put(alert, "crossedAmounts", crossed_amounts_of(transition));
    put(alert, "value",
        transition->has_value ? number_of(transition->value, transition->is_money) : json_null());
    put(alert, "threshold",
        transition->has_value ? number_of(transition->threshold, transition->is_money)
                              : json_null());
    put(alert, "unit", transition->unit.at == NULL ? json_null() : json_of(transition->unit));
    put(alert, "window", window_of(transition));
    put(alert, "restricts", json_boolean(over ? false : transition->restricts));
    put(alert, "resolvedReason",
        over ? json_string(resolved_names[transition->reason]) : json_null());
    put(alert, "links", links_of(view->link));
    return alert;
}

static bool
keep_body(json_t *root, struct arena *arena, struct message *out)
{
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);

    if (text == NULL)
        return false;
    *out = (struct message){.body = arena_text(arena, text_of(text))};
    free(text);
    return out->body.at != NULL;
}

bool
message_webhook(const struct alert_view *view, struct arena *arena, struct message *out,
                struct err *why)
{
    const struct transition *transition = &view->transition;
    json_t *alerts = json_array();
    json_t *root = json_object();

    (void)json_array_append_new(alerts, alert_of(view));
    /* No alert: it begins and ends with being told. */
    put(root, "type",
        json_string(words_is(transition, "period") ? "period.final" : type_names[view->kind]));
    put(root, "timestamp", time_of(transition->at_ms));
    put(root, "version", json_string("4"));
    put(root, "groupKey", json_string(view->group_key));
    put(root, "truncatedAlerts", json_integer(0));
    put(root, "status", json_string(view->kind == MESSAGE_FIRING ? "firing" : "resolved"));
    put(root, "receiver", json_string(view->receiver));
    put(root, "groupLabels", group_labels(transition));
    put(root, "commonLabels", all_labels(transition));
    put(root, "commonAnnotations", annotations(view));
    put(root, "externalURL", json_string(view->link == NULL ? "" : view->link));
    put(root, "alerts", alerts);
    const bool kept = keep_body(root, arena, out);

    json_decref(root);
    return kept || err_set(why, ERR_RETRY, "no memory for the body of a webhook");
}
