/* Protects: lists grow to their limit and not beyond, and keep their memory over a clear. */
#include "core/list.h"
#include "tests/check.h"

static void
test_limit(void)
{
    static const size_t limits[] = {0, 1, 15, 16, 17, 40};

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct list list;
        size_t added = 0;

        list_init(&list, sizeof(int64_t), limits[i]);
        for (int64_t *last = NULL; (last = list_add(&list)) != NULL; added++) {
            CHECK_INT("zeroed", *last, 0);
            *last = (int64_t)added + 1;
        }
        CHECK_INT("limit", added, limits[i]);
        CHECK_INT("limit", list.count, limits[i]);
        for (size_t j = 0; j < added; j++)
            CHECK_INT("kept while growing", *(int64_t *)list_at(&list, j), j + 1);
        list_free(&list);
        CHECK_INT("freed", list.count, 0);
    }
}

static void
test_clear(void)
{
    struct list list;

    list_init(&list, sizeof(int64_t), 100);
    for (int i = 0; i < 20; i++)
        *(int64_t *)list_add(&list) = -1;

    const void *memory = list.at;

    list_clear(&list);
    CHECK_INT("clear", list.count, 0);
    CHECK_INT("zeroed again", *(int64_t *)list_add(&list), 0);
    CU_ASSERT_PTR_EQUAL(list.at, memory);
    list_free(&list);
    list_free(&list);
}

static CU_TestInfo tests[] = {
    {"grows to its limit", test_limit},
    {"clear keeps the memory", test_clear},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_list = {.pName = "list", .pTests = tests};
