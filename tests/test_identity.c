/* Protects: different things get different identities, also the longest that may arrive. */
#include "core/identity.h"
#include "tests/check.h"

static bool
same(struct key128 a, struct key128 b)
{
    return a.low == b.low && a.high == b.high;
}

static void
test_texts(void)
{
    const struct key128 base = {1, 2};
    const struct text ab_c[] = {TEXT("ab"), TEXT("c")};
    const struct text a_bc[] = {TEXT("a"), TEXT("bc")};
    const struct text abc_[] = {TEXT("abc"), TEXT("")};
    const struct text abc_none[] = {TEXT("abc"), {NULL, 0}};

    CU_ASSERT_FALSE(same(identity_texts(base, ab_c, 2), identity_texts(base, a_bc, 2)));
    CU_ASSERT_FALSE(same(identity_texts(base, ab_c, 2), identity_texts(base, abc_, 2)));
    CU_ASSERT_TRUE(same(identity_texts(base, abc_, 2), identity_texts(base, abc_none, 2)));
    CU_ASSERT_FALSE(same(identity_texts(base, abc_, 1), identity_texts(base, abc_, 2)));
    CU_ASSERT_FALSE(
        same(identity_texts(base, ab_c, 2), identity_texts((struct key128){2, 1}, ab_c, 2)));
}

/* Bodies of kept events come in whole: 64 KiB, 1 MiB from foreign formats. */
static void
test_long_texts(void)
{
    static char bytes[1 << 20];
    static const size_t sizes[] = {255, 256, 257, 1006, 1022, 1024, 4096, 65535, 65536, 1 << 20};
    const struct key128 base = {0};

    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct text texts[] = {TEXT("before"), {bytes, sizes[i]}, TEXT("after")};
        const struct text shorter[] = {TEXT("before"), {bytes, sizes[i] - 1}, TEXT("after")};
        const struct key128 whole = identity_texts(base, texts, 3);

        CHECK_INT("the same again", same(whole, identity_texts(base, texts, 3)), true);
        CHECK_INT("one byte less", same(whole, identity_texts(base, shorter, 3)), false);
        bytes[sizes[i] - 1] = 'y';
        CHECK_INT("another last byte", same(whole, identity_texts(base, texts, 3)), false);
        bytes[sizes[i] - 1] = 'x';
    }
}

static void
test_numbers(void)
{
    const int64_t numbers[16] = {0};
    const struct key128 base = {0};

    for (size_t i = 1; i <= 16; i++)
        CU_ASSERT_FALSE(
            same(identity_numbers(base, numbers, i), identity_numbers(base, numbers, i - 1)));
}

static void
test_stable(void)
{
    /* Stored in Postgres: it must never change. XXH3_64bits of these bytes. */
    CU_ASSERT_TRUE(identity_stable("", 0) == UINT64_C(0x2D06800538D394C2));
}

static CU_TestInfo tests[] = {
    {"texts do not run into each other", test_texts},
    {"long texts", test_long_texts},
    {"numbers", test_numbers},
    {"what is stored is stable", test_stable},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_identity = {.pName = "identity", .pTests = tests};
