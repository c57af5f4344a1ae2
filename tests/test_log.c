/* Protects: one event is one line, whatever is in it, and the JSON form is JSON. */
#include "config/log.h"
#include "tests/check.h"

#include <jansson.h>
#include <unistd.h>

/* Points standard error at a file while a line is written, and gives what was written. */
static int saved_stderr;
static FILE *capture;

static void
capture_begin(void)
{
    (void)fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    capture = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(capture);
    (void)dup2(fileno(capture), STDERR_FILENO);
}

static const char *
capture_end(char out[2 * LOG_LINE_SIZE])
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    rewind(capture);
    out[fread(out, 1, 2 * LOG_LINE_SIZE - 1, capture)] = '\0';
    (void)fclose(capture);
    log_setup(LOG_INFO, false);
    return out;
}

static void
test_logfmt(void)
{
    char line[2 * LOG_LINE_SIZE];

    capture_begin();
    log_info("claim", "shard=%d epoch=%d", 3, 17);
    log_debug("poll", "shard=%d", 3);
    log_warning("stop", "%s", "");
    (void)capture_end(line);
    CU_ASSERT_PTR_EQUAL(strstr(line, "time="), line);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "Z level=info event=claim shard=3 epoch=17\n"));
    CU_ASSERT_PTR_NULL(strstr(line, "poll"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "Z level=warning event=stop\n"));
}

static void
test_levels(void)
{
    char line[2 * LOG_LINE_SIZE];

    capture_begin();
    log_setup(LOG_ERROR, false);
    log_warning("quiet", "a=%d", 1);
    log_error("loud", "a=%d", 1);
    (void)capture_end(line);
    CU_ASSERT_PTR_NULL(strstr(line, "quiet"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "level=error event=loud a=1\n"));
}

static void
test_hostile(void)
{
    char quoted[LOG_QUOTE_SIZE];
    char line[2 * LOG_LINE_SIZE];

    capture_begin();
    log_info("t", "tenant=%s n=1", log_quote(TEXT("a\" event=fake\n\x1b[31m\\"), quoted));
    (void)capture_end(line);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "event=t tenant=\"a\\\" event=fake  [31m\\\\\" n=1\n"));
}

static void
test_quote(void)
{
    char out[LOG_QUOTE_SIZE];
    char longest[2 * LOG_QUOTE_SIZE];

    CU_ASSERT_STRING_EQUAL(log_quote((struct text){NULL, 0}, out), "\"\"");
    for (size_t i = 0; i + 1 < sizeof longest; i += 2) {
        longest[i] = '\xc3';
        longest[i + 1] = '\xa9';
    }
    (void)log_quote((struct text){longest, sizeof longest}, out);
    CHECK_INT("cut", strlen(out) < LOG_QUOTE_SIZE, true);
    CHECK_INT("between characters", text_is_clean(text_of(out)), true);
    CHECK_INT("closed", out[strlen(out) - 1], '"');
    memset(longest, '"', sizeof longest);
    (void)log_quote((struct text){longest, sizeof longest}, out);
    CHECK_INT("no half escape", strlen(out) % 2, 0);
}

static json_t *
json_line(const char *line)
{
    json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(parsed);
    CHECK_INT("one line", strchr(line, '\n') == line + strlen(line) - 1, true);
    return parsed;
}

static void
test_json(void)
{
    char quoted[LOG_QUOTE_SIZE];
    char line[2 * LOG_LINE_SIZE];
    json_t *parsed;

    capture_begin();
    log_setup(LOG_INFO, true);
    log_info("t",
             "n=-12 zero=007 tenant=%s bad=%s word empty=", log_quote(TEXT("a \"b\\ 1"), quoted),
             "\xff");
    parsed = json_line(capture_end(line));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "event")), "t");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "level")), "info");
    CHECK_INT("n", json_integer_value(json_object_get(parsed, "n")), -12);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "zero")), "007");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "tenant")), "a \"b\\ 1");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "bad")), "?");
    CHECK_INT("word", json_is_true(json_object_get(parsed, "word")), true);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(parsed, "empty")), "");
    json_decref(parsed);
}

static void
test_too_long(void)
{
    static const bool forms[] = {false, true};
    char longest[2 * LOG_LINE_SIZE];

    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        char line[2 * LOG_LINE_SIZE];

        capture_begin();
        log_setup(LOG_INFO, forms[i]);
        log_info("t", "a=1 b=x%s", longest);
        (void)capture_end(line);
        CHECK_INT("fits", strlen(line) <= LOG_LINE_SIZE, true);
        CHECK_INT("one line", strchr(line, '\n') == line + strlen(line) - 1, true);
        if (forms[i])
            json_decref(json_line(line));
    }
}

static CU_TestInfo tests[] = {
    {"logfmt", test_logfmt},
    {"levels", test_levels},
    {"a value cannot forge a field", test_hostile},
    {"quoting", test_quote},
    {"json", test_json},
    {"a line that is too long", test_too_long},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_log = {.pName = "log", .pTests = tests};
