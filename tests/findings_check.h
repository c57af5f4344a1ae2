/* Findings as one text, to be compared with what a table expects. */
#ifndef TESTS_FINDINGS_CHECK_H
#define TESTS_FINDINGS_CHECK_H

#include "config/findings.h"
#include "tests/check.h"

enum { FINDINGS_TEXT_SIZE = 8192 };

/* A line each: "line:column: text", warnings with "warning: " before the text. */
static inline void
findings_text(const struct findings *findings, char out[FINDINGS_TEXT_SIZE])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->at[i];
        const int size =
            snprintf(out + used, FINDINGS_TEXT_SIZE - used, "%s%d:%d: %s%s", i == 0 ? "" : "\n",
                     one->line, one->column, one->warning ? "warning: " : "", one->text);

        if (size < 0 || used + (size_t)size >= FINDINGS_TEXT_SIZE)
            break;
        used += (size_t)size;
    }
}

/* A test that cannot go on without it ends here. The return is for analysers: CUnit jumps. */
#define REQUIRE(pointer)                        \
    do {                                        \
        if ((pointer) == NULL) {                \
            CU_FAIL_FATAL(#pointer " is NULL"); \
            return;                             \
        }                                       \
    } while (0)

#define CHECK_TEXT(row, actual, expected) \
    check_text((row), (actual), (expected), __FILE__, __LINE__)

static inline void
check_text(const char *row, const char *actual, const char *expected, const char *file,
           unsigned line)
{
    char text[2 * FINDINGS_TEXT_SIZE + 256];
    const bool same = strcmp(actual, expected) == 0;

    (void)snprintf(text, sizeof text, "[%s] is\n%s\nexpected\n%s", row, actual, expected);
    (void)CU_assertImplementation(same, line, text, file, "", CU_FALSE);
}

#endif
