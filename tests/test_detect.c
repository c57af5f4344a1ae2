/* Protects: any CSV of timestamps and values is read exactly or refused with its line. */
#include "cli/detect.h"
#include "cli/rows.h"
#include "tests/check.h"
#include "tests/detector_vectors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t
bits(double number)
{
    int64_t out;

    memcpy(&out, &number, sizeof out);
    return out;
}

static void
test_numbers(void)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"0", true},
        {"-0", true},
        {"12", true},
        {"+12.50", true},
        {".5", true},
        {"5.", true},
        {"0.1", true},
        {"1e3", true},
        {"1E+3", true},
        {"-2.5e-3", true},
        {"9007199254740993", true}, /* 2^53 + 1 */
        {"123456789012345678901234567890", true},
        {"0.1000000000000000055511151231257827021181583404541015625", true},
        {"1e22", true},
        {"1e23", true},
        {"8.5e-23", true},
        {"4.9e-324", true},
        {"1.7976931348623157e308", true},
        {"0e9999", true},
        {"", false},
        {".", false},
        {"-", false},
        {"+-1", false},
        {"1e", false},
        {"1e+-3", false},
        {"1e99999", false},
        {"1 000", false},
        {"1,5", false},
        {"0x10", false},
        {"nan", false},
        {"inf", false},
        {"12a", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double got = -1;

        CHECK_INT(rows[i].text, rows_number(text_of(rows[i].text), &got), rows[i].good);
        if (rows[i].good) {
            const double exact = strtod(rows[i].text, NULL);

            CHECK_INT(rows[i].text, bits(got), bits(exact));
        }
    }
}

/* As the C library reads them, for all the shapes that programs print. */
static void
test_many_numbers(void)
{
    uint64_t state = 88172645463325252;
    char text[64];

    for (int i = 0; i < 200000; i++) {
        double got = 0;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const double value = (double)(int64_t)state / (double)(1ULL << (state % 60));

        if (i % 3 == 0)
            (void)snprintf(text, sizeof text, "%.2f", value);
        else if (i % 3 == 1)
            (void)snprintf(text, sizeof text, "%.17g", value);
        else
            (void)snprintf(text, sizeof text, "%.3e", value);
        const double exact = strtod(text, NULL);

        if (!rows_number(text_of(text), &got) || bits(got) != bits(exact))
            CHECK_INT(text, 0, 1);
    }
}

/* What went through: the output, or with an error its text behind it. */
struct said {
    char *text;
    bool good;
    struct err why;
};

static struct said
detect(const char *csv, size_t size, const struct detect_options *options)
{
    struct said said = {.text = NULL};
    FILE *in = tmpfile();
    FILE *out;
    size_t said_size = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CHECK_INT("written", fwrite(csv, 1, size, in), size);
    (void)fflush(in);
    (void)lseek(fileno(in), 0, SEEK_SET);
    out = open_memstream(&said.text, &said_size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    said.good = detect_rows(fileno(in), out, options, &said.why);
    (void)fclose(out);
    (void)fclose(in);
    return said;
}

#define HEADER "timestamp,value,score,channel\n"

static void
test_rows(void)
{
    static const struct {
        const char *name;
        const char *csv;
        const char *out;
    } rows[] = {
        {"nothing", "", HEADER},
        {"a header only", "timestamp,value\n", HEADER},
        {"Unix seconds", "1767225600,4.03\n", HEADER "1767225600,4.03,0,-1\n"},
        {"milliseconds", "1767225600123,1\n", HEADER "1767225600123,1,0,-1\n"},
        {"no newline at the end", "time,x\n1767225600,1", HEADER "1767225600,1,0,-1\n"},
        {"CRLF, blanks, blank lines", "a,b\r\n\r\n 1767225600 , 1 \r\n  \n",
         HEADER "1767225600,1,0,-1\n"},
        {"mark and quotes", "\xef\xbb\xbf\"time\",\"value\"\n\"2026-01-01T00:00:00Z\",\"1\"\n",
         HEADER "2026-01-01T00:00:00Z,1,0,-1\n"},
        {"without an offset", "2026-01-01 00:00:00,1\n2026-01-01T00:05:00.5,2\n",
         HEADER "2026-01-01 00:00:00,1,0,-1\n2026-01-01T00:05:00.5,2,0,-1\n"},
        {"with one", "2026-01-01T01:00:00+01:00,1\n", HEADER "2026-01-01T01:00:00+01:00,1,0,-1\n"},
        {"any order", "600,1\n300,1\n", HEADER "600,1,0,-1\n300,1,0,-1\n"},
    };
    static const struct detect_options plain = {.step_ms = 0};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct said said = detect(rows[i].csv, strlen(rows[i].csv), &plain);

        CHECK_INT(rows[i].name, said.good, true);
        CHECK_INT(rows[i].name, strcmp(said.text, rows[i].out), 0);
        free(said.text);
    }
}

static void
test_refusals(void)
{
    static const struct {
        const char *csv;
        const char *why;
        int64_t step_ms;
    } rows[] = {
        {"1767225600\n", "line 1: \"1767225600\" is not timestamp,value", 0},
        {"a,b\n1,2\n\n1,x\n", "line 4: \"x\" is no number up to 1e20", 0},
        {"a,b\nc,d\n",
         "line 2: \"c\" is no time: Unix seconds or milliseconds, or 2026-03-02T14:00:00Z", 0},
        {"yesterday,2\n",
         "line 1: \"yesterday\" is no time: Unix seconds or milliseconds, or 2026-03-02T14:00:00Z",
         0},
        {"-1,2\n",
         "line 1: \"-1\" is no time: Unix seconds or milliseconds, or 2026-03-02T14:00:00Z", 0},
        {"2026-02-29 00:00:00,2\n",
         "line 1: \"2026-02-29 00:00:00\" is no time: Unix seconds or milliseconds, or "
         "2026-03-02T14:00:00Z",
         0},
        {"1,2\n1,\n", "line 2: \"\" is no number up to 1e20", 0},
        {"1,1e21\n", "line 1: \"1e21\" is no number up to 1e20", 0},
        {"1,-1e999\n", "line 1: \"-1e999\" is no number up to 1e20", 0},
        {"1,2,3\n", "line 1: more than two columns; what is wanted is timestamp,value", 0},
        {"600,1\n300,1\n", "line 2: 300 belongs to a window before the last row's", 300000},
        {"0,1e20\n1,1e20\n600,1\n", "line 3: the sum of a window is beyond 1e20", 300000},
        {"0,1e20\n1,1e20\n", "line 2: the sum of a window is beyond 1e20", 300000},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct detect_options options = {.step_ms = rows[i].step_ms};
        struct said said = detect(rows[i].csv, strlen(rows[i].csv), &options);

        CHECK_INT(rows[i].csv, said.good, false);
        CHECK_INT(said.why.text, strcmp(said.why.text, rows[i].why), 0);
        free(said.text);
    }
}

static void
test_windows(void)
{
    static const struct {
        const char *csv;
        const char *out;
        struct detect_options options;
    } rows[] = {
        {"0,1\n299,2\n300,4\n599.9,0.5\n", HEADER "0,3,0,-1\n300,4.5,0,-1\n", {.step_ms = 300000}},
        {"0,1\n299,2\n300,4\n",
         HEADER "0,1.5,0,-1\n300,4,0,-1\n",
         {.step_ms = 300000, .mean = true}},
        {"2026-01-01 00:04:59.999,1\n2026-01-01 00:05:00,2\n",
         HEADER "2026-01-01T00:00:00Z,1,0,-1\n2026-01-01T00:05:00Z,2,0,-1\n",
         {.step_ms = 300000}},
        {"1767225600000,1\n", HEADER "1767225600,1,0,-1\n", {.step_ms = 300000}},
        /* Empty windows are a 0, of means none; beyond a day neither. */
        {"0,1\n10800,2\n",
         HEADER "0,1,0,-1\n3600,0,0,-1\n7200,0,0,-1\n10800,2,0,-1\n",
         {.step_ms = 3600000}},
        {"0,1\n10800,2\n", HEADER "0,1,0,-1\n10800,2,0,-1\n", {.step_ms = 3600000, .mean = true}},
        {"0,1\n864000,2\n",
         HEADER "0,1,0,-1\n43200,0,0,-1\n86400,0,0,-1\n864000,2,0,-1\n",
         {.step_ms = 43200000}},
        {"", HEADER, {.step_ms = 300000}},
        {"0,1\n", "", {.step_ms = 300000, .notes = true}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct said said = detect(rows[i].csv, strlen(rows[i].csv), &rows[i].options);

        CHECK_INT(rows[i].csv, said.good, true);
        CHECK_INT(said.text, strcmp(said.text, rows[i].out), 0);
        free(said.text);
    }
}

/* Through file, windows and printing the bits stay the same; a reading buffer's end falls into
 * lines. */
static void
test_through_a_file(void)
{
    enum { COPIES = 8, LINE = 48 };
    static struct detector_vector vectors[DETECTOR_VECTORS_COUNT];
    const size_t count = detector_vectors_read(vectors, DETECTOR_VECTORS_COUNT);
    char *csv = malloc((size_t)LINE * COPIES * DETECTOR_VECTORS_COUNT);
    static const struct detect_options options = {.step_ms = 300000};
    size_t size = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    /* Each window in eight rows, of which seven are 0. */
    for (size_t i = 0; i < count; i++)
        for (int copy = 0; copy < COPIES; copy++)
            size += (size_t)snprintf(csv + size, LINE, "%" PRId64 "%s,%.9g\n",
                                     vectors[i].start_s + copy, ".000000000",
                                     copy == 3 ? (double)vectors[i].value : 0);
    struct said said = detect(csv, size, &options);
    const char *line = said.text + strlen(HEADER);

    CHECK_INT("more than a buffer", size > (size_t)1 << 20, true);
    CHECK_INT(said.why.text, said.good, true);
    for (size_t i = 0; i < count; i++) {
        const char *score = strchr(strchr(line, ',') + 1, ',') + 1;
        char *end;
        const float got = strtof(score, &end);

        CHECK_INT("time", strtoll(line, NULL, 10), vectors[i].start_s);
        CHECK_INT("score", detector_bits(got), detector_bits(vectors[i].expected.score));
        CHECK_INT("channel", strtol(end + 1, &end, 10), vectors[i].expected.channel);
        line = end + 1;
    }
    CHECK_INT("nothing more", *line, '\0');
    free(said.text);
    free(csv);
}

static void
test_long_line(void)
{
    enum { SIZE = 2 << 20 };
    static const struct detect_options plain = {.step_ms = 0};
    char *csv = malloc(SIZE);

    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    if (csv == NULL)
        return;
    memset(csv, '1', SIZE);
    struct said said = detect(csv, SIZE, &plain);

    CHECK_INT("refused", said.good, false);
    CU_ASSERT_STRING_EQUAL(said.why.text, "line 1: longer than 65536 bytes: is it CSV?");
    free(said.text);
    free(csv);
}

static void
test_notes(void)
{
    static const struct detect_options options = {.step_ms = 300000, .notes = true};
    char csv[8192];
    size_t size = 0;

    for (int i = 0; i < 300; i++)
        size += (size_t)snprintf(csv + size, sizeof csv - size, "%d,%d\n", 1767225600 + 300 * i,
                                 i == 299 ? 340 : 90 + i % 11);
    struct said said = detect(csv, size, &options);

    CHECK_INT(said.why.text, said.good, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        said.text, "\n1767315300  score 577.4  highest 5 min in 24 h, 3.4x the old record\n"));
    free(said.text);
}

static CU_TestInfo tests[] = {
    {"numbers, and what is none", test_numbers},
    {"numbers as the C library reads them", test_many_numbers},
    {"rows are windows", test_rows},
    {"refused, with the line", test_refusals},
    {"rows in windows", test_windows},
    {"the reference through a file", test_through_a_file},
    {"a line without end", test_long_line},
    {"alerts in words", test_notes},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_detect = {"detect", NULL, NULL, NULL, NULL, tests};
