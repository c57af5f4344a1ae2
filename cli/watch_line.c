#include "cli/watch.h"

#include <jansson.h>
#include <stdlib.h>

static const char red[] = "\033[31m";
static const char yellow[] = "\033[33m";
static const char green[] = "\033[32m";

/* Somebody else's text on a terminal: without what moves the cursor. */
static void
put(FILE *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text, out);
}

static void
put_word(FILE *out, const char *before, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fputs(before, out);
    put(out, text);
}

static void
begin(FILE *out, const char *at, const char *word, const char *tone, bool colour)
{
    put(out, at);
    fprintf(out, "  %s%-9s%s", colour ? tone : "", word, colour ? "\033[0m" : "");
}

static const char *
member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* A number or exact decimal text, as it stands. */
static void
put_number(FILE *out, const char *before, const json_t *value)
{
    if (json_is_integer(value))
        fprintf(out, "%s%" JSON_INTEGER_FORMAT, before, json_integer_value(value));
    else
        put_word(out, before, json_string_value(value));
}

static void
put_restriction(FILE *out, const json_t *restriction)
{
    put_word(out, " ", member(restriction, "code"));
    put_word(out, " by ", member(restriction, "rule"));
    put_number(out, ", ", json_object_get(restriction, "used"));
    put_number(out, " of ", json_object_get(restriction, "limit"));
    put_word(out, " ", member(restriction, "currency"));
    put_word(out, ", resets ", member(restriction, "resets_at"));
    put_word(out, ", ", member(restriction, "reason"));
    put_word(out, ", said ", member(restriction, "actor"));
}

static const char *
tone_of(const char *outcome)
{
    if (strcmp(outcome, "allow") == 0)
        return green;
    return strcmp(outcome, "block") == 0 ? red : yellow;
}

void
watch_decision(struct text key, struct text value, bool colour, FILE *out)
{
    static const char engine[] = "engine/";
    json_t *event = value.at == NULL ? NULL : json_loadb(value.at, value.size, 0, NULL);
    const json_t *data = json_object_get(event, "data");
    const char *outcome = member(data, "outcome");
    const json_t *list = json_object_get(data, "restrictions");

    if (value.at == NULL && (key.size < 7 || memcmp(key.at, engine, 7) != 0)) {
        fprintf(out, "%-20s  forgotten %.*s: allowed\n", "", (int)key.size,
                key.at == NULL ? "" : key.at);
    } else if (outcome != NULL) {
        begin(out, member(event, "time"), outcome, tone_of(outcome), colour);
        put_word(out, " ", member(data, "scope"));
        for (size_t i = 0; i < json_array_size(list); i++) {
            fputs(i == 0 ? ":" : ";", out);
            put_restriction(out, json_array_get(list, i));
        }
        put_word(out, ", expires ", member(data, "expires_at"));
        fputc('\n', out);
    }
    json_decref(event);
}

void
watch_alert(const struct watch_alert *alert, bool colour, FILE *out)
{
    const bool over = strcmp(alert->move, "resolve") == 0;
    const bool unlimited = alert->step_amount != NULL && alert->threshold != NULL &&
                           strcmp(alert->step_amount, alert->threshold) == 0;
    const char *tone = over ? green : strcmp(alert->severity, "critical") == 0 ? red : yellow;

    begin(out, alert->at, over ? "resolved" : alert->severity, tone, colour);
    put_word(out, " ", alert->rule);
    put_word(out, " of ", alert->tenant);
    put_word(out, "/", alert->project);
    put_word(out, "/", alert->subject);
    if (strcmp(alert->step, "0") != 0 && !over) {
        put_word(out, ": ", alert->step);
        fputs(" %", out);
    }
    if (alert->step_amount != NULL && !over)
        put_word(out, ": the step ", alert->step_amount);
    put_word(out, ", ", alert->value);
    if (alert->value != NULL && !unlimited)
        put_word(out, " of ", alert->threshold);
    if (alert->value != NULL)
        put_word(out, " ", alert->unit);
    put_word(out, ", ", alert->reason);
    put_word(out, ": ", alert->summary);
    fputc('\n', out);
}
