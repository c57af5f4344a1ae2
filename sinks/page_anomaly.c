/* What broke its records, and what is known of others, on the status page. */
#include "core/clock.h"
#include "sinks/page_text.h"

#include <math.h>

/* Of the picture, in its own units. */
enum { HOURS = 24, HOUR_WIDTH = 5, HEIGHT = 30 };

static double
number(const json_t *object, const char *name)
{
    const double value = json_number_value(json_object_get(object, name));

    return isfinite(value) ? value : 0;
}

static double
height_of(double value, double most)
{
    const double share = most > 0 ? value / most : 0;

    return HEIGHT - 1 - (HEIGHT - 2) * fmin(fmax(share, 0), 1);
}

/* What the detector knows of the series. */
static void
put_known(struct writer *out, const json_t *anomaly)
{
    if (json_is_number(json_object_get(anomaly, "threshold")))
        writer_format(out, "<small>record %.4g, noted above %.4g</small>", number(anomaly, "high"),
                      number(anomaly, "threshold"));
}

/* What is usual at each hour of the day, the record above it, and where the incident reached (`worst`
 * absent: there is none). */
static void
put_picture(struct writer *out, const json_t *series, const json_t *worst)
{
    const json_t *hours = json_object_get(series, "hours");
    const double value = json_is_number(worst) ? json_number_value(worst) : 0;
    const double high = number(series, "high");
    const double most = fmax(value, high);

    if (json_array_size(hours) != HOURS || !(most > 0))
        return;
    writer_format(out,
                  "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
                  "aria-label=\"usual by hour of day (UTC) and the record%s\">"
                  "<path fill=\"none\" stroke=\"currentColor\" d=\"",
                  HOURS * HOUR_WIDTH, HEIGHT, HOURS * HOUR_WIDTH, HEIGHT,
                  worst == NULL ? "" : ", and the worst window");
    bool drawn = false;

    for (size_t h = 0; h < HOURS; h++) {
        const json_t *usual = json_array_get(hours, h);

        if (json_is_number(usual))
            writer_format(out, "%c%zu %.1f", drawn ? 'L' : 'M', h * HOUR_WIDTH + HOUR_WIDTH / 2,
                          height_of(json_number_value(usual), most));
        drawn = drawn || json_is_number(usual);
    }
    writer_format(out,
                  "\"/><path stroke=\"currentColor\" stroke-dasharray=\"2 3\" opacity=\".6\" "
                  "d=\"M0 %.1fH%d\"/>",
                  height_of(high, most), HOURS * HOUR_WIDTH);
    if (worst != NULL)
        writer_format(out, "<circle class=\"worst\" cx=\"%d\" cy=\"%.1f\" r=\"3\"/>",
                      HOURS * HOUR_WIDTH - 4, height_of(value, most));
    writer_string(out, "</svg>");
}

static void
put_series_name(struct writer *out, const json_t *series)
{
    const char *feature = page_member(series, "feature");

    page_cell(out, "Series", "");
    writer_string(out, "<b>");
    page_name(out, page_member(series, "tenant"));
    if (feature != NULL && feature[0] != '\0') {
        writer_string(out, "</b> / <b>");
        page_name(out, feature);
    }
    writer_string(out, "</b><small>");
    page_escaped(out, page_member(series, "metric"));
    writer_string(out, "</small>");
    page_cell_end(out);
}

static void
put_values(struct writer *out, const json_t *anomaly)
{
    writer_format(out, "%.4g<small>usual %.4g</small>", number(anomaly, "value"),
                  number(anomaly, "usual"));
}

static void
put_anomaly(struct writer *out, const json_t *document, const json_t *anomaly)
{
    const bool page = page_is(anomaly, "tier", "page");
    const bool note = page_is(anomaly, "tier", "note");

    put_series_name(out, anomaly);
    page_cell(out, "Tier", "");
    page_pill(out, page ? "bad" : note ? "info" : "warn", page_member(anomaly, "tier"));
    page_cell_end(out);
    page_cell(out, "What", "wide");
    page_prose(out, page_member(anomaly, "words"));
    page_cell_end(out);
    page_cell(out, "Window", "num");
    put_values(out, anomaly);
    page_cell_end(out);
    page_cell(out, "Usual day", "");
    put_picture(out, anomaly, json_object_get(anomaly, "value"));
    put_known(out, anomaly);
    page_cell_end(out);
    page_cell(out, "Beyond the usual", "num");
    page_amount(out, page_member(anomaly, "excess"));
    if (page_member(anomaly, "percent") != NULL) {
        writer_string(out, "<small>");
        page_escaped(out, page_member(anomaly, "percent"));
        writer_string(out, " % of a day</small>");
    }
    page_cell_end(out);
    page_time_cell(out, "Since", document, page_member(anomaly, "since_at"));
    page_time_cell(out, "Over", document, page_member(anomaly, "over_at"));
}

/* Nothing at all where nothing was noted in a week. */
void
page_anomalies(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {
        "Series", "Tier", "What", "Window", "Usual day", "Beyond the usual", "Since", "Over", NULL};
    const json_t *anomalies = json_object_get(json_object_get(document, "database"), "anomalies");

    if (json_array_size(anomalies) == 0)
        return;
    writer_string(out, "<h2>Records broken this week</h2>\n");
    page_table(out, columns, put_anomaly, document, anomalies);
}

/* ---- series ------------------------------------------------------------------------------------------ */

static void
put_number(struct writer *out, const char *label, double value)
{
    page_cell(out, label, "num");
    writer_format(out, "%.4g", value);
    page_cell_end(out);
}

static void
put_series(struct writer *out, const json_t *document, const json_t *series)
{
    const int64_t width_ms = page_number(series, "seconds") * CLOCK_SECOND_MS;

    (void)document;
    put_series_name(out, series);
    page_cell(out, "Usual day", "");
    put_picture(out, series, NULL);
    page_cell_end(out);
    put_number(out, "Usual now", number(series, "usual"));
    page_cell(out, "Records", "num");
    writer_format(out, "%.4g<small>lowest %.4g</small>", number(series, "high"),
                  number(series, "low"));
    page_cell_end(out);
    put_number(out, "Noted above", number(series, "threshold"));
    page_cell(out, "Behind it", "");
    page_span(out, page_number(series, "windows") * width_ms);
    writer_format(out, "<small>windows of %s</small>",
                  width_ms == CLOCK_DAY_MS    ? "a day"
                  : width_ms == CLOCK_HOUR_MS ? "an hour"
                                              : "5 min");
    page_cell_end(out);
    page_cell(out, "Last hour", "num");
    page_amount(out, page_member(series, "spent"));
    page_cell_end(out);
}

void
page_series(struct writer *out, const json_t *document)
{
    static const char *const columns[] = {"Series",      "Usual day", "Usual now", "Records",
                                          "Noted above", "Behind it", "Last hour", NULL};
    const json_t *series = json_object_get(json_object_get(document, "database"), "series");

    if (json_array_size(series) == 0)
        return;
    writer_string(out, "<h2>What the detector knows<small>of those that spent most in the last "
                       "hour and broke no record this week; cost of a window</small></h2>\n");
    page_table(out, columns, put_series, document, series);
}
