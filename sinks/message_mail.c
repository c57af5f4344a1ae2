/* An alert as an e-mail: the same facts as plain text and as HTML. */
#include "sinks/advice.h"

#include <inttypes.h>
#include <stdio.h>

#define FACT_LIMIT 10
#define MAIL_LIMIT ((size_t)64 * 1024)

struct fact_line {
    const char *name;
    char value[SUMMARY_SIZE];
};

/* What a mail says, before it is text or HTML. */
struct content {
    char headline[SUMMARY_SIZE];
    struct fact_line facts[FACT_LIMIT];
    size_t fact_count;
    struct advice advice[ADVICE_LIMIT];
    size_t advice_count;
    char footer[SUMMARY_SIZE];
    const struct alert_view *view;
};

/* ---- facts ----------------------------------------------------------------------------------- */

static void
add_fact(struct content *content, const char *name, const char *value)
{
    struct fact_line *line = &content->facts[content->fact_count++];

    line->name = name;
    (void)text_copy(line->value, sizeof line->value, text_of(value));
    (void)plain_line(line->value);
}

/* "2026-03-14 09:12 CET (2026-03-14 08:12 UTC)" */
static void
add_time(struct content *content, const char *name, int64_t at_ms)
{
    const struct zone *zone = content->view->zone;
    char local[ZONE_TEXT_SIZE];
    char utc[ZONE_TEXT_SIZE];
    char both[2 * ZONE_TEXT_SIZE + 8];

    (void)zone_format(zone_utc(), at_ms, utc);
    (void)zone_format(zone, at_ms, local);
    if (zone_offset_at(zone, at_ms).offset_ms == 0)
        (void)snprintf(both, sizeof both, "%s", utc);
    else
        (void)snprintf(both, sizeof both, "%s (%s)", local, utc);
    add_fact(content, name, both);
}

/* Whose usage it is: of an alert that the turn of the period ended, the former period's. */
static const char *
usage_name(const struct alert_view *view)
{
    if (words_is(&view->transition, "pacing"))
        return "Today";
    if (words_is(&view->transition, "forecast"))
        return "Forecast";
    if (words_is(&view->transition, "burst"))
        return "In a minute";
    if (view->kind == MESSAGE_FIRING)
        return "Used";
    return view->transition.reason == RESOLVED_PERIOD_ROLLOVER ? "Last period" : "Used now";
}

static void
add_usage(struct content *content)
{
    const struct transition *transition = &content->view->transition;
    const tally left = transition->threshold - transition->value;
    struct writer line = writer_new(SUMMARY_SIZE);
    char rest[AMOUNT_SIZE];

    /* Of an anomaly the summary says it all: what is usual is no limit that is used. */
    if (!transition->has_value || words_is(transition, "anomaly"))
        return;
    words_usage(&line, transition);
    if (!words_unlimited(transition))
        writer_format(&line, " (%" PRId64 " %%), %s %s", words_percent(transition),
                      words_amount(left < 0 ? -left : left, transition->is_money, rest),
                      left < 0 ? "over" : "left");
    add_fact(content, usage_name(content->view), writer_get(&line));
    writer_free(&line);
}

static const char *
between(size_t index, size_t count)
{
    return index == 0 ? "" : index + 1 == count ? " and " : ", ";
}

/* "50, 75 and 90 %, all at once"; "50 and 75 %, 100.00 and 120.00 USD, all at once" */
static void
add_steps(struct content *content)
{
    const struct transition *transition = &content->view->transition;
    const size_t percents = transition->crossed_count;
    const size_t amounts = transition->crossed_amount_count;
    struct writer line = writer_new(SUMMARY_SIZE);
    char amount[AMOUNT_SIZE];

    if (percents + amounts < 2)
        return;
    for (size_t i = 0; i < percents; i++)
        writer_format(&line, "%s%" PRId32, between(i, percents), transition->crossed[i]);
    if (percents > 0)
        writer_string(&line, amounts > 0 ? " %, " : " %");
    for (size_t i = 0; i < amounts; i++)
        writer_format(&line, "%s%s", between(i, amounts),
                      words_amount(transition->crossed_amounts[i], transition->is_money, amount));
    if (amounts > 0) {
        writer_string(&line, " ");
        words_unit(&line, transition->unit);
    }
    writer_string(&line, ", all at once");
    add_fact(content, "Steps", writer_get(&line));
    writer_free(&line);
}

static void
add_blocked(struct content *content)
{
    const struct transition *transition = &content->view->transition;
    const struct text project = transition->labels[LABEL_PROJECT];
    char line[SUMMARY_SIZE];

    if (content->view->kind != MESSAGE_FIRING) {
        if (content->view->restricted)
            add_fact(content, "Blocked", "nothing any more; requests pass again");
        return;
    }
    if (!transition->restricts) {
        if (transition->has_value)
            add_fact(content, "Blocked",
                     transition->step >= 100 ? "nothing: this limit only alerts" : "nothing");
        return;
    }
    if (!words_is(transition, "quota"))
        (void)snprintf(line, sizeof line, "its requests");
    else if (project.at == NULL)
        (void)snprintf(line, sizeof line,
                       "every request; gateways answer 402 plan_allowance_exhausted");
    else
        (void)snprintf(line, sizeof line,
                       "every request of project %.*s; gateways answer 402 "
                       "project_budget_exhausted",
                       (int)project.size, project.at);
    add_fact(content, "Blocked", line);
}

/* Since when: of this step, and of the alert where that began earlier. */
static void
add_times(struct content *content)
{
    const struct alert_view *view = content->view;
    const int64_t minutes = (view->transition.at_ms - view->since_ms) / CLOCK_MINUTE_MS;
    char lasted[CLOCK_TEXT_SIZE];

    if (view->kind == MESSAGE_FIRING) {
        add_time(content, "Since", view->transition.at_ms);
        if (minutes > 0)
            add_time(content, "First alert", view->since_ms);
        return;
    }
    add_time(content, "Since", view->since_ms);
    add_time(content, "Over at", view->transition.at_ms);
    if (minutes > 0)
        add_fact(content, "Lasted", clock_format_duration(minutes * CLOCK_MINUTE_MS, lasted));
    add_fact(content, "Because", words_resolved(view->transition.reason));
}

static void
collect(const struct alert_view *view, struct content *content)
{
    const struct transition *transition = &view->transition;

    *content = (struct content){.view = view};
    (void)message_summary(view, content->headline);
    (void)plain_line(content->headline);
    add_usage(content);
    add_steps(content);
    add_times(content);
    add_blocked(content);
    if (transition->resets_ms != 0 && view->kind == MESSAGE_FIRING)
        add_time(content, words_is(transition, "pacing") ? "Day ends" : "Resets",
                 transition->resets_ms);
    content->advice_count = advice_for(view, content->advice);
    (void)snprintf(
        content->footer, sizeof content->footer, "severity %s, rule %.*s, alert %.*s:%" PRId64,
        severity_names[transition->severity], (int)transition->rule.size, transition->rule.at,
        (int)view->fingerprint.size, view->fingerprint.at, view->episode);
    (void)plain_line(content->footer);
}

/* ---- who causes it --------------------------------------------------------------------------- */

static int64_t
percent_of(tally part, tally total)
{
    return total <= 0 ? 0 : (int64_t)(part * 100 / total);
}

static struct text
share_name(const struct share *share)
{
    return share->name.size == 0 ? TEXT("(not named)") : share->name;
}

/* Of what time alert_evidence tells. */
static const char *
span_of(const struct transition *transition)
{
    return words_is(transition, "pacing") ? "today" : "in this period";
}

static void
write_top_text(struct writer *to, const char *what, const struct top *top, bool is_money)
{
    char amount[AMOUNT_SIZE];

    for (size_t i = 0; i < top->count; i++) {
        const struct text name = share_name(&top->at[i]);

        writer_format(to, "  %-9s%-24.*s %14s  %3" PRId64 " %%\n", i == 0 ? what : "",
                      (int)name.size, name.at, words_amount(top->at[i].amount, is_money, amount),
                      percent_of(top->at[i].amount, top->total));
    }
}

static void
write_escaped(struct writer *to, struct text text)
{
    for (size_t i = 0; i < text.size; i++)
        switch (text.at[i]) {
        case '&':
            writer_string(to, "&amp;");
            break;
        case '<':
            writer_string(to, "&lt;");
            break;
        case '>':
            writer_string(to, "&gt;");
            break;
        case '"':
            writer_string(to, "&quot;");
            break;
        default:
            writer_add(to, text.at + i, 1);
        }
}

static void
write_top_html(struct writer *to, const char *what, const struct top *top, bool is_money)
{
    char amount[AMOUNT_SIZE];

    for (size_t i = 0; i < top->count; i++) {
        writer_format(to, "<tr><td class=\"n\">%s</td><td>", i == 0 ? what : "");
        write_escaped(to, share_name(&top->at[i]));
        writer_format(to, "</td><td class=\"r\">%s</td><td class=\"r\">%" PRId64 " %%</td></tr>\n",
                      words_amount(top->at[i].amount, is_money, amount),
                      percent_of(top->at[i].amount, top->total));
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

static void
write_text(struct writer *to, const struct content *content)
{
    const struct alert_view *view = content->view;
    const struct transition *transition = &view->transition;

    writer_format(to, "%s\n\n", content->headline);
    for (size_t i = 0; i < content->fact_count; i++)
        writer_format(to, "  %-12s%s\n", content->facts[i].name, content->facts[i].value);
    if (view->features.count + view->projects.count > 0 && view->kind == MESSAGE_FIRING) {
        writer_string(to, "\nWho causes it (");
        words_unit(to, transition->unit);
        writer_format(to, " %s)\n", span_of(transition));
        write_top_text(to, "feature", &view->features, transition->is_money);
        write_top_text(to, "project", &view->projects, transition->is_money);
    }
    if (content->advice_count > 0)
        writer_string(to, "\nWhat to do\n");
    for (size_t i = 0; i < content->advice_count; i++) {
        writer_format(to, "  - %s\n", content->advice[i].words);
        if (content->advice[i].command[0] != '\0')
            writer_format(to, "      %s\n", content->advice[i].command);
    }
    writer_format(to, "\n--\n%s\n", content->footer);
    if (view->link != NULL)
        writer_format(to, "%s\n", view->link);
}

/* ---- HTML ------------------------------------------------------------------------------------ */

static const char html_head[] =
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><style>\n"
    "body{font:15px/1.45 -apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;color:#1d2330;"
    "margin:0;padding:16px}\n"
    "h1{font-size:18px;margin:0 0 14px;padding:10px 14px;border-left:6px solid}\n"
    "h2{font-size:14px;margin:18px 0 6px}\n"
    "table{border-collapse:collapse}td{padding:3px 14px 3px 0;vertical-align:top}\n"
    "td.n{color:#667}td.r{text-align:right}\n"
    "code{background:#f2f3f6;padding:2px 6px;border-radius:3px}\n"
    "p.f{color:#667;font-size:12px;margin-top:22px}\n"
    "</style></head><body>\n";

static const char *
colour_of(const struct alert_view *view)
{
    static const char *const colours[SEVERITY_COUNT] = {
        [SEVERITY_INFO] = "#2d6cdf",
        [SEVERITY_WARNING] = "#c98500",
        [SEVERITY_ERROR] = "#c4392c",
        [SEVERITY_CRITICAL] = "#c4392c",
    };

    return view->kind == MESSAGE_FIRING ? colours[view->transition.severity] : "#2e8b57";
}

static void
write_html_advice(struct writer *to, const struct content *content)
{
    if (content->advice_count == 0)
        return;
    writer_string(to, "<h2>What to do</h2>\n<ul>\n");
    for (size_t i = 0; i < content->advice_count; i++) {
        writer_string(to, "<li>");
        write_escaped(to, text_of(content->advice[i].words));
        if (content->advice[i].command[0] != '\0') {
            writer_string(to, "<br><code>");
            write_escaped(to, text_of(content->advice[i].command));
            writer_string(to, "</code>");
        }
        writer_string(to, "</li>\n");
    }
    writer_string(to, "</ul>\n");
}

static void
write_html(struct writer *to, const struct content *content)
{
    const struct alert_view *view = content->view;
    const struct transition *transition = &view->transition;

    writer_string(to, html_head);
    writer_format(to, "<h1 style=\"border-color:%s\">", colour_of(view));
    write_escaped(to, text_of(content->headline));
    writer_string(to, "</h1>\n<table>\n");
    for (size_t i = 0; i < content->fact_count; i++) {
        writer_format(to, "<tr><td class=\"n\">%s</td><td>", content->facts[i].name);
        write_escaped(to, text_of(content->facts[i].value));
        writer_string(to, "</td></tr>\n");
    }
    writer_string(to, "</table>\n");
    if (view->features.count + view->projects.count > 0 && view->kind == MESSAGE_FIRING) {
        writer_string(to, "<h2>Who causes it (");
        write_escaped(to, transition->unit);
        writer_format(to, " %s)</h2>\n<table>\n", span_of(transition));
        write_top_html(to, "feature", &view->features, transition->is_money);
        write_top_html(to, "project", &view->projects, transition->is_money);
        writer_string(to, "</table>\n");
    }
    write_html_advice(to, content);
    writer_string(to, "<p class=\"f\">");
    write_escaped(to, text_of(content->footer));
    if (view->link != NULL) {
        writer_string(to, "<br><a href=\"");
        write_escaped(to, text_of(view->link));
        writer_string(to, "\">status page</a>");
    }
    writer_string(to, "</p>\n</body></html>\n");
}

/* ---- subject --------------------------------------------------------------------------------- */

static void
write_subject(struct writer *to, const struct alert_view *view)
{
    const struct transition *transition = &view->transition;
    const struct text name = words_rule_name(transition->rule);
    char who[WHO_SIZE];
    char summary[SUMMARY_SIZE];
    char amount[AMOUNT_SIZE];

    writer_string(to, "[tripmeter] ");
    if (transition->summary.size > 0) {
        writer_string(to, message_summary(view, summary));
        return;
    }
    writer_format(to, "%s: ", words_who(transition, who));
    writer_text(to, name);
    if (view->kind == MESSAGE_FIRING) {
        if (transition->step > 0)
            writer_format(to, " %" PRId32 "%%", transition->step);
        if (transition->step_amount > 0) {
            writer_format(to, " %s ",
                          words_amount(transition->step_amount, transition->is_money, amount));
            words_unit(to, transition->unit);
        }
        if (transition->restricts)
            writer_string(to, ", requests BLOCKED");
        if (words_is(transition, "pacing"))
            writer_string(to, ", too fast today");
        if (words_is(transition, "forecast"))
            writer_string(to, ", on course for more than its limit");
    } else if (view->kind == MESSAGE_MISSED) {
        writer_format(to, ", %s meanwhile (%s)",
                      view->restricted ? "blocked and allowed again" : "alert and over",
                      words_resolved(transition->reason));
    } else {
        writer_format(to, "%s (%s)",
                      view->restricted ? ", requests allowed again" : " back to normal",
                      words_resolved(transition->reason));
    }
}

static struct text
keep(struct writer *text, struct arena *arena)
{
    const struct text written = {writer_get(text), text->size};
    const struct text kept = text->full ? (struct text){NULL, 0} : arena_text(arena, written);

    writer_free(text);
    return kept;
}

bool
message_mail(const struct alert_view *view, struct arena *arena, struct message *out,
             struct err *why)
{
    struct content content;
    struct writer subject = writer_new(1024);
    struct writer text = writer_new(MAIL_LIMIT);
    struct writer html = writer_new(MAIL_LIMIT);

    collect(view, &content);
    write_subject(&subject, view);
    write_text(&text, &content);
    write_html(&html, &content);
    *out = (struct message){
        .subject = keep(&subject, arena), .body = keep(&text, arena), .html = keep(&html, arena)};
    return (out->subject.at != NULL && out->body.at != NULL && out->html.at != NULL) ||
           err_set(why, ERR_RETRY, "no memory for the text of a mail");
}
