/* Protects: pieces never overlap, the limit holds, and an emptied arena can be filled again. */
#include "core/arena.h"
#include "tests/check.h"

#define LIMIT ((size_t)100 * 1000)

static void
test_pieces(void)
{
    struct arena *arena = arena_new((size_t)1024 * 1024);
    unsigned char *pieces[200];

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_take(arena, i * 3);
        CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
        if (pieces[i] == NULL) /* the analyzer does not know that the line above leaves */
            return;
        CHECK_INT("aligned", (uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < i * 3; j++)
            CHECK_INT("zeroed", pieces[i][j], 0);
        memset(pieces[i], (int)i + 1, i * 3);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i * 3; j++)
            CHECK_INT("untouched", pieces[i][j], (i + 1) & 0xff);
    CU_ASSERT(arena_used(arena) >= (size_t)199 * 200 / 2 * 3);
    arena_clear(arena);
    CHECK_INT("cleared", arena_used(arena), 0);
    const unsigned char *again = arena_take(arena, 64);

    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    if (again == NULL)
        return;
    for (size_t j = 0; j < 64; j++)
        CHECK_INT("zeroed again", again[j], 0);
    arena_free(arena);
}

/* Takes pieces until there is no room; returns how many. */
static size_t
fill(struct arena *arena, size_t size)
{
    size_t count = 0;

    while (arena_take(arena, size) != NULL)
        count++;
    return count;
}

static void
test_limit(void)
{
    struct arena *arena = arena_new(LIMIT);

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    CU_ASSERT_PTR_NULL(arena_take(arena, SIZE_MAX));
    CU_ASSERT_PTR_NULL(arena_take(arena, PTRDIFF_MAX));
    CU_ASSERT_PTR_NULL(arena_take(arena, LIMIT + 1));
    CU_ASSERT_PTR_NULL(arena_take(arena, LIMIT));

    const size_t count = fill(arena, 1000);

    CU_ASSERT(count >= 96 && count < 100);
    CU_ASSERT_PTR_NULL(arena_take(arena, 1000));
    arena_free(arena);
}

/* A round of small pieces must not keep the next one from taking a big piece. */
static void
test_shapes_change(void)
{
    struct arena *arena = arena_new((size_t)256 * 1024);

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    for (int round = 0; round < 5; round++) {
        CU_ASSERT(fill(arena, 500) > 0);
        arena_clear(arena);
        CU_ASSERT_PTR_NOT_NULL(arena_take(arena, (size_t)200 * 1024));
        arena_clear(arena);
    }
    arena_free(arena);
}

static void
test_text(void)
{
    struct arena *arena = arena_new(4096);

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    const struct text copy = arena_text(arena, (struct text){"abcdef", 3});

    CHECK_INT("size", copy.size, 3);
    CU_ASSERT_STRING_EQUAL(copy.at, "abc");
    const struct text empty = arena_text(arena, TEXT(""));

    CU_ASSERT_PTR_NOT_NULL(empty.at);
    CHECK_INT("empty", empty.size, 0);
    CU_ASSERT_PTR_NULL(arena_text(arena, text_of(NULL)).at);
    CU_ASSERT(fill(arena, 16) > 0);
    CU_ASSERT_PTR_NULL(arena_text(arena, TEXT("full")).at);
    arena_free(arena);
    arena_free(NULL);
}

static CU_TestInfo tests[] = {
    {"pieces are zeroed, aligned, apart", test_pieces},
    {"the limit holds", test_limit},
    {"big pieces after small ones", test_shapes_change},
    {"texts are copied with a NUL", test_text},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_arena = {"arena", NULL, NULL, NULL, NULL, tests};
