/* Protects: the name tables have no hole; names are what stands in Postgres and in schemas. */
#include "core/event.h"
#include "tests/check.h"

static void
check_table(const char *table, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_PTR_NOT_NULL(names[i]);
        if (names[i] == NULL)
            continue;
        CHECK_INT(names[i], names[i][0] != '\0', true);
        for (size_t j = 0; j < i; j++)
            CHECK_INT(table, text_eq(text_of(names[i]), text_of(names[j])), false);
    }
}

static void
test_names(void)
{
    check_table("kinds", event_kind_names, EVENT_KIND_COUNT);
    check_table("statuses", event_status_names, STATUS_COUNT);
    check_table("usage", usage_names, USAGE_COUNT);
    check_table("names", event_name_members, NAME_COUNT);
    check_table("dead", dead_names, DEAD_COUNT);
    check_table("dead texts", dead_texts, DEAD_COUNT);
    CU_ASSERT_STRING_EQUAL(event_kind_names[EVENT_VALUE], "value");
    CU_ASSERT_STRING_EQUAL(event_name_members[NAME_API_KEY_ID], "api_key_id");
    CU_ASSERT_STRING_EQUAL(dead_names[DEAD_not_json], "not_json");
}

static void
test_retryable(void)
{
    static const enum dead_reason retryable[] = {DEAD_time_ahead, DEAD_original_unknown,
                                                 DEAD_refused_by_database, DEAD_quarantined};
    size_t count = 0;

    for (size_t i = 0; i < DEAD_COUNT; i++)
        count += dead_retryable[i];
    CHECK_INT("retryable", count, sizeof retryable / sizeof retryable[0]);
    for (size_t i = 0; i < sizeof retryable / sizeof retryable[0]; i++)
        CHECK_INT(dead_names[retryable[i]], dead_retryable[retryable[i]], true);
}

static CU_TestInfo tests[] = {
    {"name tables", test_names},
    {"what may be read again", test_retryable},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_event = {.pName = "event", .pTests = tests};
