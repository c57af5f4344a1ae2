/* Protects: an error is always one line that fits, and never loses its class or its ending NUL. */
#include "core/err.h"
#include "tests/check.h"

#include <string.h>

static void
test_set(void)
{
    struct err why = {0};

    CU_ASSERT_FALSE(err_set(&why, ERR_RETRY, "topic %s: %d partitions", "usage", 8));
    CU_ASSERT_EQUAL(why.class, ERR_RETRY);
    CU_ASSERT_STRING_EQUAL(why.text, "topic usage: 8 partitions");
}

static void
test_one_line(void)
{
    struct err why = {0};

    (void)err_set(&why, ERR_INPUT, "a\nb\tc\x7f%s", "d\r\n");
    CU_ASSERT_STRING_EQUAL(why.text, "a b c d  ");
    (void)err_set(&why, ERR_INPUT, "caf\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(why.text, "caf\xc3\xa9");
}

static void
test_wrap(void)
{
    struct err why = {0};

    (void)err_set(&why, ERR_FATAL, "no such file");
    CU_ASSERT_FALSE(err_wrap(&why, "%s\n%d", "zone", 7));
    CU_ASSERT_EQUAL(why.class, ERR_FATAL);
    CU_ASSERT_STRING_EQUAL(why.text, "zone 7: no such file");
}

static void
test_too_long(void)
{
    char big[2 * ERR_TEXT_SIZE];
    struct err why = {0};

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)err_set(&why, ERR_INPUT, "%s", big);
    CHECK_INT("set", strlen(why.text), ERR_TEXT_SIZE - 1);
    (void)err_wrap(&why, "outer");
    CHECK_INT("wrapped", strlen(why.text), ERR_TEXT_SIZE - 1);
    CU_ASSERT_NSTRING_EQUAL(why.text, "outer: xxx", 10);
    (void)err_wrap(&why, "%s", big);
    CHECK_INT("long prefix", strlen(why.text), ERR_TEXT_SIZE - 1);
}

static CU_TestInfo tests[] = {
    {"class and text are kept", test_set},
    {"control characters become blanks", test_one_line},
    {"the outer thing is named in front", test_wrap},
    {"what is too long is cut", test_too_long},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_err = {"err", NULL, NULL, NULL, NULL, tests};
