#include "cli/detect.h"

#include "cli/rows.h"
#include "core/clock.h"
#include "core/detector.h"

#include <inttypes.h>
#include <math.h>

/* The width that notes are worded with until two rows have shown one. */
#define DEFAULT_STEP_MS (5 * CLOCK_MINUTE_MS)

/* Rows on their way through windows and the detector. */
struct detection {
    const struct detect_options *options;
    FILE *out;
    struct detector series;
    int64_t width_ms; /* of the windows, for words */
    int64_t last_ms;  /* the row before; -1: none */
    /* The open window. */
    int64_t start_ms; /* -1: none */
    int64_t count;
    double sum;
    bool is_number; /* how its first row gave the time */
};

static void
put(struct text text, FILE *out)
{
    (void)fwrite(text.at, 1, text.size, out);
}

/* One closed window: through the detector and out. */
static void
judge(struct detection *run, struct text at, struct text shown, int64_t at_ms, double value)
{
    const struct detector before = run->series;
    const struct detector_verdict verdict =
        detector_window(&run->series, at_ms / CLOCK_SECOND_MS, (float)value);
    char words[DETECTOR_TEXT_SIZE];

    if (run->options->notes) {
        if (verdict.score < DETECTOR_ALERT)
            return;
        put(at, run->out);
        fprintf(run->out, "  score %.1f  %s\n", (double)verdict.score,
                detector_explain(&before, &run->series, run->width_ms, words));
        return;
    }
    put(at, run->out);
    (void)putc(',', run->out);
    put(shown, run->out);
    /* Nine digits give the same float back. */
    if (verdict.channel < 0)
        fputs(",0,-1\n", run->out);
    else
        fprintf(run->out, ",%.9g,%d\n", (double)verdict.score, verdict.channel);
}

static void
judge_window(struct detection *run, int64_t start_ms, double value)
{
    char at[CLOCK_TEXT_SIZE];
    char shown[32];

    if (run->is_number)
        (void)snprintf(at, sizeof at, "%" PRId64, start_ms / CLOCK_SECOND_MS);
    else
        (void)clock_format(start_ms, at);
    (void)snprintf(shown, sizeof shown, "%.9g", value);
    judge(run, text_of(at), text_of(shown), start_ms, value);
}

/* Closes the open window, so that the one at `next_ms` may open. */
static bool
close_window(struct detection *run, struct err *why)
{
    const double value = run->options->mean ? run->sum / (double)run->count : run->sum;

    if (!(fabs(value) <= (double)DETECTOR_LIMIT))
        return err_set(why, ERR_INPUT, "the sum of a window is beyond 1e20");
    judge_window(run, run->start_ms, value);
    return true;
}

static void
pass_empty_windows(struct detection *run, int64_t until_ms)
{
    const int64_t step_ms = run->options->step_ms;
    int64_t at_ms = run->start_ms + step_ms;
    int64_t left = run->options->mean ? 0 : DETECTOR_IDLE_MS / step_ms;

    for (; at_ms < until_ms && left > 0; at_ms += step_ms, left--)
        judge_window(run, at_ms, 0);
    /* At most the seconds of 8,000 years: they do not fit. */
    const int64_t idle = (until_ms - at_ms) / step_ms;

    detector_idle(&run->series, idle < UINT32_MAX ? (uint32_t)idle : UINT32_MAX);
}

static bool
gather(struct detection *run, const struct row *row, struct err *why)
{
    const int64_t start_ms = row->at_ms - row->at_ms % run->options->step_ms;

    if (start_ms < run->start_ms)
        return err_set(why, ERR_INPUT, "%.*s belongs to a window before the last row's",
                       (int)row->at_text.size, row->at_text.at);
    if (start_ms > run->start_ms) {
        if (run->start_ms >= 0) {
            if (!close_window(run, why))
                return false;
            pass_empty_windows(run, start_ms);
        }
        run->start_ms = start_ms;
        run->count = 0;
        run->sum = 0;
        run->is_number = row->is_number;
    }
    run->count++;
    run->sum += row->value;
    return true;
}

static bool
take_row(struct detection *run, const struct row *row, struct err *why)
{
    if (run->options->step_ms > 0)
        return gather(run, row, why);
    if (run->last_ms >= 0 && row->at_ms > run->last_ms)
        run->width_ms = row->at_ms - run->last_ms;
    run->last_ms = row->at_ms;
    judge(run, row->at_text, row->value_text, row->at_ms, row->value);
    return true;
}

static void
flush(void *out)
{
    (void)fflush(out);
}

static bool
detect_all(struct detection *run, struct rows *rows, struct err *why)
{
    enum rows_answer answer;
    struct row row;

    while ((answer = rows_next(rows, &row, why)) == ROWS_ROW)
        if (!take_row(run, &row, why))
            return err_wrap(why, "line %" PRId64, rows_line(rows));
    if (answer == ROWS_FAILED)
        return false;
    return run->start_ms < 0 || close_window(run, why) ||
           err_wrap(why, "line %" PRId64, rows_line(rows));
}

bool
detect_rows(int fd, FILE *out, const struct detect_options *options, struct err *why)
{
    struct detection run = {
        .options = options,
        .out = out,
        .width_ms = options->step_ms > 0 ? options->step_ms : DEFAULT_STEP_MS,
        .last_ms = -1,
        .start_ms = -1,
    };
    struct rows *rows = rows_new(fd, flush, out);
    bool good;

    if (rows == NULL)
        return err_set(why, ERR_FATAL, "no memory");
    if (!options->notes)
        fputs("timestamp,value,score,channel\n", out);
    good = detect_all(&run, rows, why);
    rows_free(rows);
    if ((fflush(out) != 0 || ferror(out)) && good)
        return err_set(why, ERR_INPUT, "the answer could not be written");
    return good;
}
