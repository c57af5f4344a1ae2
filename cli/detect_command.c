/* detect: the words of its command line. */
#include "cli/command.h"
#include "cli/detect.h"
#include "core/clock.h"
#include "core/detector.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool
read_options(const struct arguments *arguments, struct detect_options *out, struct err *why)
{
    const char *step = option_value(arguments, "step");

    *out = (struct detect_options){.mean = option_given(arguments, "mean"),
                                   .notes = option_given(arguments, "notes")};
    if (step == NULL)
        return !out->mean || err_set(why, ERR_INPUT, "--mean is of windows: say --step too");
    if (!clock_parse_duration(text_of(step), &out->step_ms) || out->step_ms < CLOCK_SECOND_MS ||
        out->step_ms > DETECTOR_IDLE_MS || out->step_ms % CLOCK_SECOND_MS != 0)
        return err_set(why, ERR_INPUT,
                       "--step %s is no window: whole seconds up to 1d, as 5m or 1h", step);
    return true;
}

static enum answer
run_detect(const struct arguments *arguments)
{
    const char *name = arguments->word_count > 0 ? arguments->words[0] : "-";
    const bool is_stdin = strcmp(name, "-") == 0;
    struct err why = {.class = ERR_NONE};
    struct detect_options options;
    int fd = STDIN_FILENO;

    if (!read_options(arguments, &options, &why))
        return command_misused(&why);
    if (!is_stdin)
        fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        command_complain("%s: %s", name,
                         errno == ENOENT ? "there is no such file" : "it cannot be opened");
        return ANSWER_NO;
    }
    const bool good = detect_rows(fd, stdout, &options, &why);

    if (!is_stdin)
        (void)close(fd);
    if (good)
        return ANSWER_FINE;
    command_complain("%s: %s", is_stdin ? "standard input" : name, why.text);
    return ANSWER_NO;
}

static const struct option_row detect_options_rows[] = {
    {"step", "DURATION", "gather rows in windows of this width (5m, 1h); else a row is one", false},
    {"mean", NULL, "a window's value is the mean of its rows; else their sum", false},
    {"notes", NULL, "print the alerts in words, not every window", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_detect = {
    .name = "detect",
    .words = "[FILE|-]",
    .least = 0,
    .most = 1,
    .what = "Score a CSV of timestamp,value with the anomaly detector",
    .more =
        "Prints timestamp,value,score,channel: a score of 1 or more is an alert; channel is 0 "
        "value,\n"
        "1 fast and 2 medium average, 3 distance from and 4 growth over the usual for the hour,\n"
        "5 shape of 96 windows, of the last alert; -1 where the score is 0.\n"
        "A header is optional. A timestamp is Unix seconds or milliseconds, or RFC 3339 (UTC "
        "where\n"
        "it has no offset). With --step rows must be in order, and empty windows count as 0 for "
        "up\n"
        "to a day (with --mean they do not count); printed is then the start of each window.\n"
        "Reads no configuration.\n",
    .options = detect_options_rows,
    .run = run_detect};
