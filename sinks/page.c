#include "sinks/page.h"

#include "core/clock.h"
#include "sinks/page_text.h"

/* ---- the first line ---------------------------------------------------------------------------- */

static void
put_brake(struct writer *out, const json_t *document)
{
    const json_t *said = json_object_get(json_object_get(document, "database"), "enforcement");

    if (json_is_true(json_object_get(document, "enforcing"))) {
        writer_string(out, "<div class=\"brake on\">Enforcement is on</div>\n");
        return;
    }
    writer_string(out, "<div class=\"brake off\" role=\"alert\"><strong>Enforcement is OFF</strong>"
                       "Every call is allowed, whatever it costs; usage goes on being counted. ");
    if (json_is_false(json_object_get(said, "on"))) {
        writer_string(out, "Switched off by ");
        page_name(out, page_member(said, "actor"));
        writer_string(out, ": ");
        page_name(out, page_member(said, "reason"));
        writer_string(out, ". ");
    }
    writer_string(out, "Switch it on with <code>tripmeter enforce on</code>.</div>\n");
}

static void
put_header(struct writer *out, const json_t *document)
{
    char form[CLOCK_TEXT_SIZE] = "";

    (void)text_copy(form, sizeof form, text_of(page_member(document, "now")));
    writer_string(out, "<header><h1>tripmeter</h1><p>");
    if (page_member(document, "instance") != NULL) {
        page_name(out, page_member(document, "instance"));
        writer_string(out, ", ");
    }
    writer_format(out, "%.10s %.8s, all times UTC", form, form[0] == '\0' ? "" : form + 11);
    writer_string(out, "</p></header>\n");
}

static void
put_problems(struct writer *out, const json_t *document)
{
    const json_t *problems = json_object_get(document, "problems");
    const size_t count = json_array_size(problems);

    if (count == 0)
        return;
    writer_format(out, "<ul class=\"look\"><li class=\"head\">%zu thing%s to look at</li>\n", count,
                  count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        const json_t *problem = json_array_get(problems, i);

        writer_string(out, "<li><b>");
        page_escaped(out, page_member(problem, "what"));
        writer_string(out, "</b><span>");
        page_prose(out, page_member(problem, "todo"));
        writer_string(out, "</span></li>\n");
    }
    writer_string(out, "</ul>\n");
}

/* ---- tiles ------------------------------------------------------------------------------------- */

static void
put_tile(struct writer *out, const char *tone, const char *title)
{
    writer_format(out, "<dl class=\"tile %s\"><dt>%s</dt><dd class=\"big\">", tone, title);
}

static void
put_tile_below(struct writer *out)
{
    writer_string(out, "</dd><dd class=\"sub\">");
}

static void
end_tile(struct writer *out)
{
    writer_string(out, "</dd></dl>\n");
}

static void
put_current_tile(struct writer *out, const json_t *document)
{
    static const struct {
        const char *state;
        const char *tone;
        const char *word;
    } states[] = {
        {"current", "good", "Yes"},
        {"behind", "warn", NULL},
        {"stale", "bad", NULL},
        {"standby", "info", "Standby"},
        {"unknown", "warn", "Not known yet"},
    };
    const json_t *current = json_object_get(document, "current");
    size_t i = 0;

    while (i + 1 < sizeof states / sizeof states[0] && !page_is(current, "state", states[i].state))
        i++;
    put_tile(out, states[i].tone, "Current");
    if (states[i].word != NULL) {
        writer_string(out, states[i].word);
    } else {
        page_span(out, page_number(current, "lag_ms"));
        writer_string(out, " behind");
    }
    put_tile_below(out);
    if (json_array_size(json_object_get(document, "partitions")) == 0) {
        writer_string(out, "no partitions here");
    } else {
        page_count(out, page_number(current, "lag_records"));
        writer_string(out, " records behind");
    }
    end_tile(out);
}

static void
put_restricted_tile(struct writer *out, const json_t *document)
{
    const json_t *restricted = json_object_get(document, "restricted");
    const int64_t blocked = page_number(restricted, "block");
    const int64_t throttled = page_number(restricted, "throttle");

    put_tile(out, blocked + throttled > 0 ? "info" : "good", "Blocked");
    page_count(out, blocked);
    put_tile_below(out);
    page_count(out, throttled);
    writer_string(out, " throttled");
    end_tile(out);
}

static void
put_database_tiles(struct writer *out, const json_t *document)
{
    const json_t *database = json_object_get(document, "database");
    const size_t failing = json_array_size(json_object_get(database, "deliveries"));
    const int64_t open = page_number(database, "alert_count");

    if (!json_is_true(json_object_get(database, "reachable"))) {
        put_tile(out, "bad", "Alerts and deliveries");
        writer_string(out, "?");
        put_tile_below(out);
        writer_string(out, "Postgres does not answer");
        end_tile(out);
        return;
    }
    put_tile(out, open > 0 ? "info" : "good", "Open alerts");
    page_count(out, open);
    put_tile_below(out);
    writer_string(out, open == 0 ? "nothing fires" : "worst first below");
    end_tile(out);
    put_tile(out, failing > 0 ? "bad" : "good", "Deliveries");
    if (failing == 0) {
        writer_string(out, "Fine");
        put_tile_below(out);
        writer_string(out, "all endpoints take alerts");
    } else {
        page_count(out, (int64_t)failing);
        writer_string(out, " failing");
        put_tile_below(out);
        writer_string(out, failing == 1 ? "endpoint" : "endpoints");
    }
    end_tile(out);
}

static void
put_tiles(struct writer *out, const json_t *document)
{
    const json_t *events = json_object_get(document, "events");

    writer_string(out, "<div class=\"tiles\">\n");
    put_current_tile(out, document);
    put_restricted_tile(out, document);
    put_database_tiles(out, document);
    put_tile(out, "", "Events counted");
    page_count(out, page_number(events, "counted"));
    put_tile_below(out);
    page_count(out, page_number(events, "dead"));
    writer_string(out, " refused, ");
    page_count(out, page_number(events, "duplicate"));
    writer_string(out, " duplicates");
    end_tile(out);
    writer_string(out, "</div>\n");
}

void
page_write(struct writer *out, const json_t *document)
{
    const size_t problems = json_array_size(json_object_get(document, "problems"));

    const bool enforcing = json_is_true(json_object_get(document, "enforcing"));

    writer_string(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                       "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                       "<meta http-equiv=\"refresh\" content=\"10\"><title>");
    if (!enforcing)
        writer_string(out, "OFF: ");
    if (problems > 0)
        writer_format(out, "(%zu) ", problems);
    writer_string(out, "tripmeter</title><style>");
    for (size_t i = 0; i < PAGE_STYLE_PARTS; i++)
        writer_string(out, page_style[i]);
    writer_string(out, "</style></head><body>\n");
    put_brake(out, document);
    put_header(out, document);
    writer_string(out, "<main>\n");
    put_problems(out, document);
    put_tiles(out, document);
    page_breakers(out, document);
    page_restrictions(out, document);
    page_alerts(out, document);
    page_anomalies(out, document);
    page_series(out, document);
    page_deliveries(out, document);
    page_partitions(out, document);
    page_fleet(out, document);
    writer_string(out, "</main>\n<footer><a href=\"/status.json\">as JSON</a>"
                       "<a href=\"/metrics\">metrics</a><a href=\"/readyz\">readyz</a>"
                       "<a href=\"/healthz\">healthz</a>The page reads itself again every 10 "
                       "seconds.</footer></body></html>\n");
}
