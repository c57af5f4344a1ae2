/* Protects: what a customer would notice, told as scenario files (tests/scenarios/); and the language
 * they are told in: what is wrong in a file is named with its place, what is not as expected too. */
#include "cli/command.h"
#include "cli/scenario.h"
#include "config/file.h"
#include "tests/findings_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER "tests/scenarios/"

enum { FILE_LIMIT = 1000, NAME_ROOM = 256 };

static int
compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* One failure a finding, at its own file and line. */
static void
report(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->at[i];

        if (!one->warning)
            (void)CU_assertImplementation(false, (unsigned)one->line, one->text, one->file, "",
                                          CU_FALSE);
    }
}

static void
play(const char *file)
{
    struct findings findings = {.arena = NULL};
    struct scenario *scenario = scenario_read(file, NULL, &findings);

    CHECK_INT(file, scenario != NULL && scenario_play(scenario, &findings), true);
    report(&findings);
    scenario_free(scenario);
    findings_free(&findings);
}

static void
test_files(void)
{
    static char names[FILE_LIMIT][NAME_ROOM];
    DIR *folder = opendir(FOLDER);
    size_t count = 0;

    REQUIRE(folder);
    /* Nobody else reads from this stream. */
    struct dirent *entry = readdir(folder); /* NOLINT(concurrency-mt-unsafe) */

    while (entry != NULL && count < FILE_LIMIT) {
        const char *end = strrchr(entry->d_name, '.');

        if (end != NULL && strcmp(end, ".scenario") == 0 && strlen(entry->d_name) < 200)
            (void)snprintf(names[count++], NAME_ROOM, FOLDER "%.200s", entry->d_name);
        entry = readdir(folder); /* NOLINT(concurrency-mt-unsafe) */
    }
    (void)closedir(folder);
    qsort(names, count, NAME_ROOM, compare_names);
    CU_ASSERT_TRUE(count > 0);
    for (size_t i = 0; i < count; i++)
        play(names[i]);
}

/* What happens at a time, or is said by an operator. */
static bool
is_act(const char *line)
{
    return strncmp(line, "20", 2) == 0 || strncmp(line, "breaker ", 8) == 0;
}

/* The story with a restart before everything that happens, the first excepted. */
static size_t
with_restarts(struct text body, char *out)
{
    size_t size = 0;
    bool begun = false;

    for (const char *at = body.at; at < body.at + body.size;) {
        const char *end = memchr(at, '\n', (size_t)(body.at + body.size - at));
        const size_t length =
            end == NULL ? (size_t)(body.at + body.size - at) : (size_t)(end - at) + 1;

        if (begun && is_act(at))
            size += text_copy(out + size, sizeof "restart\n", TEXT("restart\n"));
        begun = begun || is_act(at);
        memcpy(out + size, at, length);
        size += length;
        at += length;
    }
    return size;
}

/* Whatever a breaker remembers is settled with it: no restart changes a story. */
static void
test_breakers_restarted(void)
{
    static const char *const names[] = {"",           "-probe",    "-restart",     "-silence",
                                        "-late",      "-storm",    "-dst",         "-shadow",
                                        "-first-day", "-operator", "-step-change", "-crash"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct findings findings = {.arena = NULL};
        struct err why = {.class = ERR_NONE};
        struct arena *arena = arena_new((size_t)4 << 20);
        char file[NAME_ROOM];
        struct text body;

        REQUIRE(arena);
        (void)snprintf(file, sizeof file, FOLDER "breaker%s.scenario", names[i]);
        CU_ASSERT_TRUE_FATAL(file_read(file, SCENARIO_SIZE_LIMIT, arena, &body, &why));
        char *text = arena_take(arena, body.size * 9 + 1);

        REQUIRE(text);
        const struct text story = {text, with_restarts(body, text)};
        struct scenario *scenario = scenario_parse(file, story, NULL, &findings);

        CHECK_INT(file, scenario != NULL && scenario_play(scenario, &findings), true);
        report(&findings);
        scenario_free(scenario);
        findings_free(&findings);
        arena_free(arena);
    }
}

/* The example of the manual is what it says: the first block of code in it, played. */
static void
test_manual(void)
{
    static const char fence[] = "```\n";
    const char *file = "docs/scenarios.md";
    struct findings findings = {.arena = NULL};
    struct err why = {.class = ERR_NONE};
    struct arena *arena = arena_new((size_t)4 << 20);
    struct scenario *scenario = NULL;
    struct text page;

    REQUIRE(arena);
    CU_ASSERT_TRUE_FATAL(file_read(file, SCENARIO_SIZE_LIMIT, arena, &page, &why));
    /* Read-only by promise: the arena's own copy. */
    char *text = arena_take(arena, page.size + 1);

    REQUIRE(text);
    memcpy(text, page.at, page.size);
    char *from = strstr(text, fence);

    REQUIRE(from);
    char *until = strstr(from + strlen(fence), fence);

    REQUIRE(until);
    /* What stands before it becomes empty lines, so that failures name the manual's. */
    for (char *c = text; c < from + strlen(fence); c++)
        *c = *c == '\n' ? '\n' : ' ';
    scenario = scenario_parse(file, (struct text){text, (size_t)(until - text)}, NULL, &findings);
    CHECK_INT(file, scenario != NULL && scenario_play(scenario, &findings), true);
    report(&findings);
    scenario_free(scenario);
    findings_free(&findings);
    arena_free(arena);
}

/* ---- the language --------------------------------------------------------------------------------- */

#define POLICY               \
    "policy:\n"              \
    " fallback_plan: free\n" \
    " plans:\n"              \
    "  free:\n"              \
    "   quotas:\n"           \
    "    calls: {meter: requests, limit: 100, steps: [50]}\n"

struct row {
    const char *name;
    const char *body;
    const char *findings;
};

/* What a text comes to: the findings of its reading, or of its playing. */
static void
check_row(const struct row *row)
{
    struct findings findings = {.arena = NULL};
    char text[FINDINGS_TEXT_SIZE];
    struct scenario *scenario = scenario_parse("t.scenario", text_of(row->body), NULL, &findings);

    if (scenario != NULL)
        (void)scenario_play(scenario, &findings);
    findings_text(&findings, text);
    CHECK_TEXT(row->name, text, row->findings);
    scenario_free(scenario);
    findings_free(&findings);
}

static void
test_refused(void)
{
    static const struct row rows[] = {
        {"empty", "", "1:1: there is no policy in it"},
        {"no policy", "tenant acme\n",
         "1:1: a scenario begins with its policy: \"policy FILE\", or \"policy:\" and the policy "
         "indented below it"},
        {"a policy's error has its place in the scenario",
         "# one\npolicy:\n fallback_plan: fre\n plans:\n  free:\n   quotas: {}\n",
         "3:17: fallback_plan: there is no plan fre; did you mean free?"},
        {"a policy that is not there", "policy nowhere.yaml\n",
         "1:8: policy nowhere.yaml: No such file or directory"},
        {"a verb", POLICY "tenat acme\n", "7:1: nobody knows \"tenat\"; did you mean \"tenant\"?"},
        {"a verb of two words", POLICY "expect alrt quota/calls fires\n",
         "7:1: nobody knows \"expect\"; did you mean \"expect alert\"?"},
        {"a field", POLICY "2026-03-02 10:00 use acme request 5\n",
         "7:27: \"use\" takes no request; did you mean requests?"},
        {"a value", POLICY "2026-03-02 10:00 use acme requests many\n",
         "7:36: requests must be a whole number, as in 1_000 or 50k"},
        {"no value", POLICY "2026-03-02 10:00 use acme requests\n",
         "7:35: requests is missing its value"},
        {"a subject", POLICY "2026-03-02 10:00 use\n", "7:21: \"use\" needs a tenant"},
        {"twice", POLICY "2026-03-02 10:00 use acme requests 5 requests 6\n",
         "7:38: requests stands here twice"},
        {"a time", POLICY "2026-02-30 10:00 use acme\n",
         "7:1: 2026-02-30 is no time: write date and time, as in 2026-03-02 10:00"},
        {"time back", POLICY "2026-03-02 10:00 use acme\n2026-03-02 09:59 use acme\n",
         "8:1: time does not go back"},
        {"no time", POLICY "use acme\n", "7:1: when? Say: 2026-03-02 10:00 use ..."},
        {"a zone", "times in Europe/Belin\n" POLICY,
         "1:10: no time zone \"Europe/Belin\" in the system's database: use an IANA name, like "
         "Europe/Berlin or UTC"},
        {"a quote", POLICY "tenant \"acme\n", "7:8: a quote without its second one"},
        {"every error at once", POLICY "tenat acme\nrestrt\n",
         "7:1: nobody knows \"tenat\"; did you mean \"tenant\"?\n"
         "8:1: nobody knows \"restrt\"; did you mean \"restart\"?"},
        {"an expectation's time", POLICY "2026-03-02 10:00 expect nothing\n",
         "7:1: what is expected has no time of its own; it may say \"at\" one"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

static void
test_differences(void)
{
    static const struct row rows[] = {
        {"as expected",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 50\n"
                "expect alert quota/calls fires tenant acme step 50\n",
         ""},
        {"nothing was expected",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 50\nexpect nothing\n",
         "9:1: not expected: alert quota/calls fires tenant acme step 50 crossed 50 severity info "
         "at 2026-03-02 10:00"},
        {"nor said to be",
         "times in Europe/Berlin\n" POLICY
         "tenant acme\n2026-03-02 10:00 use acme requests 50\nrestart\n",
         "9:1: not expected: alert quota/calls fires tenant acme step 50 crossed 50 severity info "
         "at 2026-03-02 10:00"},
        {"it did not happen",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 49\n"
                "expect alert quota/calls fires tenant acme\n",
         "9:1: this did not happen"},
        {"once is not twice",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 50\n"
                "expect alert quota/calls fires tenant acme\n"
                "expect alert quota/calls fires tenant acme\n",
         "10:1: this did not happen"},
        {"of somebody else",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 50\n"
                "expect alert quota/calls fires tenant other\n",
         "8:1: not expected: alert quota/calls fires tenant acme step 50 crossed 50 severity info "
         "at 2026-03-02 10:00\n"
         "9:1: this did not happen"},
        {"field by field",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 100\n"
                "expect alert quota/calls rises tenant acme step 90 crossed 90 severity info\n"
                "expect allow tenant/acme code key_revoked until 2026-03-31 00:00 used 99\n",
         "9:26: it fires, expected that it rises\n"
         "9:49: step is 100, expected 90\n"
         "9:60: crossed is 50,100, expected 90\n"
         "9:72: severity is critical, expected info\n"
         "10:1: tenant/acme is told block, expected allow\n"
         "10:31: code is plan_allowance_exhausted, expected key_revoked\n"
         "10:49: until is 2026-04-01 00:00, expected 2026-03-31 00:00\n"
         "10:71: used is 100, expected 99"},
        {"how it stands",
         POLICY "tenant acme\n2026-03-02 10:00 use acme requests 49 cost 0.10\n"
                "expect status acme calls used 50 level info approaching yes\n"
                "expect status acme call used 50\n"
                "expect total acme requests 50 cost 0.11\n",
         "9:31: used is 49, expected 50\n"
         "9:40: level is ok, expected info\n"
         "9:57: approaching is no, expected yes\n"
         "10:20: plan free has no quota of that name and scope\n"
         "11:28: requests is 49, expected 50\n"
         "11:36: cost is 0.10, expected 0.11"},
        {"a dead letter",
         POLICY "tenant acme\n2026-03-02 10:00 use acme happened 2020-01-01 00:00 id e1\n"
                "expect dead time_ahead id e2\n",
         "9:13: the reason is too_old (time 2020-01-01T00:00:00Z: more than 400 days before "
         "the record's), expected time_ahead\n"
         "9:27: id is e1, expected e2"},
        {"a contract that is refused", POLICY "tenant acme plan fee\n",
         "7:1: not expected: refused (plan: the policy has no plan fee)"},
        {"nothing to send again", POLICY "tenant acme\n2026-03-02 10:00 duplicate\n",
         "8:1: there is no event before that could be sent again"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

/* ---- the command ------------------------------------------------------------------------------------ */

struct command_case {
    const char *name;
    const char *policy; /* NULL: the scenario's own */
    const char *file;
    enum answer answer;
    const char *report; /* a part of it */
};

/* What it prints is for people, and not for those who read the tests' output. */
static enum answer
run_quietly(const struct arguments *arguments)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    const int kept = dup(STDOUT_FILENO);

    (void)fflush(stdout);
    (void)dup2(nowhere, STDOUT_FILENO);
    const enum answer answer = command_test.run(arguments);

    (void)fflush(stdout);
    (void)dup2(kept, STDOUT_FILENO);
    (void)close(kept);
    (void)close(nowhere);
    return answer;
}

static void
check_command(const struct command_case *row, char *junit, int report)
{
    static char text[FINDINGS_TEXT_SIZE];
    char words[3][NAME_ROOM];
    char *given[3] = {words[0], words[1], words[2]};
    struct arguments arguments = {.command = NULL};
    struct err why = {.class = ERR_NONE};
    int count = 0;

    (void)snprintf(words[count++], NAME_ROOM, "--junit=%s", junit);
    if (row->policy != NULL)
        (void)snprintf(words[count++], NAME_ROOM, "--policy=%s", row->policy);
    (void)snprintf(words[count++], NAME_ROOM, "%s", row->file);
    CU_ASSERT_TRUE_FATAL(options_parse(&command_test, count, given, &arguments, &why));
    CHECK_INT(row->name, run_quietly(&arguments), row->answer);
    options_free(&arguments);
    const ssize_t size = read(report, text, sizeof text - 1);

    text[size < 0 ? 0 : size] = '\0';
    if (strstr(text, row->report) == NULL)
        CHECK_TEXT(row->name, text, row->report);
}

/* What a shell and a build server get of it. */
static void
test_command(void)
{
    static const char example[] = "config/policy.example.yaml";
    static const char absent[] = FOLDER "there-is-none";
    static const struct command_case rows[] = {
        {"as expected", NULL, FOLDER "steps.scenario", ANSWER_FINE,
         "tests=\"1\" failures=\"0\" errors=\"0\""},
        {"also under the example", example, FOLDER "steps.scenario", ANSWER_FINE, "failures=\"0\""},
        {"under another policy", example, FOLDER "refund.scenario", ANSWER_NO,
         "refund.scenario:9:1: not expected: refused (plan: the policy has no plan money)"},
        {"no such file", NULL, absent, ANSWER_USAGE, "<error message=\"it cannot be read\">"},
        {"no such policy", absent, FOLDER "steps.scenario", ANSWER_USAGE, "errors=\"1\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char junit[] = "/tmp/tripmeter-junit-XXXXXX";
        const int report = mkstemp(junit);

        CU_ASSERT_TRUE_FATAL(report >= 0);
        check_command(&rows[i], junit, report);
        (void)close(report);
        (void)unlink(junit);
    }
}

static CU_TestInfo tests[] = {
    {"every file of " FOLDER, test_files},
    {"stories of breakers with a restart before every line", test_breakers_restarted},
    {"the example of docs/scenarios.md", test_manual},
    {"what cannot be read is named with its place", test_refused},
    {"what is not as expected too", test_differences},
    {"tripmeter test: exit status and report", test_command},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_scenarios = {"scenarios", NULL, NULL, NULL, NULL, tests};
