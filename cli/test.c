/* test: plays scenarios and says where they differ from what they expect. */
#include "cli/command.h"
#include "cli/scenario.h"

#include <stdlib.h>
#include <time.h>

enum outcome_of_file { AS_EXPECTED, DIFFERENT, UNREADABLE };

struct played {
    const char *file;
    enum outcome_of_file outcome;
    struct findings findings;
    double seconds; /* for the report only */
};

static double
now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
play_file(struct played *played, const char *policy_file)
{
    const double start = now_seconds();
    struct scenario *scenario = scenario_read(played->file, policy_file, &played->findings);

    if (scenario == NULL)
        played->outcome = UNREADABLE;
    else
        played->outcome = scenario_play(scenario, &played->findings) ? AS_EXPECTED : DIFFERENT;
    scenario_free(scenario);
    played->seconds = now_seconds() - start;
    printf("%s  %s\n", played->outcome == AS_EXPECTED ? "ok    " : "FAILED", played->file);
    command_print_findings(&played->findings, played->outcome == UNREADABLE, stdout);
}

/* ---- the report for build servers -------------------------------------------------------------------- */

static void
put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static void
put_case(FILE *out, const struct played *played)
{
    const char *kind = played->outcome == UNREADABLE ? "error" : "failure";

    fputs("  <testcase classname=\"scenario\" name=\"", out);
    put_escaped(out, played->file);
    fprintf(out, "\" time=\"%.3f\">\n", played->seconds);
    if (played->outcome != AS_EXPECTED) {
        fprintf(out, "    <%s message=\"%s\">", kind,
                played->outcome == UNREADABLE ? "it cannot be read" : "not as expected");
        for (size_t i = 0; i < played->findings.count; i++) {
            const struct finding *one = &played->findings.at[i];

            if (one->warning)
                continue;
            put_escaped(out, one->file);
            fprintf(out, ":%d:%d: ", one->line, one->column);
            put_escaped(out, one->text);
            fputc('\n', out);
        }
        fprintf(out, "</%s>\n", kind);
    }
    fputs("  </testcase>\n", out);
}

static size_t
count_of(const struct played *played, size_t count, enum outcome_of_file outcome)
{
    size_t of = 0;

    for (size_t i = 0; i < count; i++)
        of += played[i].outcome == outcome;
    return of;
}

static bool
write_junit(const char *path, const struct played *played, size_t count)
{
    FILE *out = fopen(path, "w");
    bool good = out != NULL;

    if (good) {
        fprintf(out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<testsuite name=\"tripmeter\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n",
                count, count_of(played, count, DIFFERENT), count_of(played, count, UNREADABLE));
        for (size_t i = 0; i < count; i++)
            put_case(out, &played[i]);
        fputs("</testsuite>\n", out);
        good = ferror(out) == 0;
        good = fclose(out) == 0 && good;
    }
    if (!good)
        command_complain("%s cannot be written", path);
    return good;
}

static enum answer
run_test(const struct arguments *arguments)
{
    const size_t count = (size_t)arguments->word_count;
    const char *junit = option_value(arguments, "junit");
    struct played *played = calloc(count, sizeof *played);
    bool written = true;

    if (played == NULL) {
        command_complain("out of memory");
        return ANSWER_NO;
    }
    for (size_t i = 0; i < count; i++) {
        played[i].file = arguments->words[i];
        play_file(&played[i], option_value(arguments, "policy"));
    }
    const size_t different = count_of(played, count, DIFFERENT);
    const size_t unreadable = count_of(played, count, UNREADABLE);

    printf("%zu scenario%s: %zu as expected, %zu not, %zu that cannot be read\n", count,
           count == 1 ? "" : "s", count - different - unreadable, different, unreadable);
    if (junit != NULL)
        written = write_junit(junit, played, count);
    for (size_t i = 0; i < count; i++)
        findings_free(&played[i].findings);
    free(played);
    if (unreadable > 0)
        return ANSWER_USAGE;
    return different > 0 || !written ? ANSWER_NO : ANSWER_FINE;
}

static const struct option_row test_options[] = {
    {"policy", "FILE", "a policy that stands in for the one the scenarios begin with", false},
    {"junit", "FILE", "write a report for build servers there", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_test = {
    .name = "test",
    .words = "FILE...",
    .least = 1,
    .most = 10000,
    .what = "Play scenarios: what your policy would do, and whether it is what you expect",
    .more =
        "A scenario is plain text: what some tenants use and when, and which alerts, blocks and\n"
        "totals are to come of it. The engine's own rules play it, without any server, on a\n"
        "clock of its own. The language is in docs/scenarios.md.\n"
        "Exit status 1 when anything is not as expected (each difference with its line), 2 when\n"
        "a scenario or its policy cannot be read.\n",
    .options = test_options,
    .run = run_test};
