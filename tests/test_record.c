/* Protects: a parked record is the record it was; a changed one has another fingerprint. */
#include "core/record.h"
#include "tests/check.h"

static const struct header given[] = {{{"ce_id", 5}, {"e1", 2}}, {{"ce_x", 4}, {NULL, 0}}};

static size_t
given_headers(const void *origin, struct header *out, size_t room)
{
    const size_t count = *(const size_t *)origin;

    for (size_t i = 0; i < count && i < room; i++)
        out[i] = given[i % 2];
    return count;
}

static struct record
record_of(struct text key, struct text value)
{
    return (struct record){.time_ms = 1000, .key = key, .value = value};
}

static void
test_copy(void)
{
    static const size_t counts[] = {0, 2, RECORD_HEADER_LIMIT, RECORD_HEADER_LIMIT + 1};
    struct arena *arena = arena_new(1 << 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char key[] = "acme";
        char value[] = "{}";
        struct record from = record_of(text_of(key), text_of(value));
        struct header headers[RECORD_HEADER_LIMIT];
        struct record copy;

        from.offset = 7;
        from.headers = given_headers;
        from.origin = &counts[i];
        CU_ASSERT_TRUE_FATAL(record_copy(&copy, &from, arena));
        memset(key, 'x', 4);
        memset(value, 'x', 2);
        CHECK_INT("offset", copy.offset, 7);
        CHECK_INT("key", text_eq(copy.key, TEXT("acme")), true);
        CHECK_INT("value", text_eq(copy.value, TEXT("{}")), true);
        CHECK_INT("all", copy.headers(copy.origin, headers, RECORD_HEADER_LIMIT), counts[i]);
        CHECK_INT("small room", copy.headers(copy.origin, headers, 1), counts[i]);
        for (size_t j = 0; j < counts[i] && j < RECORD_HEADER_LIMIT; j++) {
            CHECK_INT("name", text_eq(headers[j].name, given[j % 2].name), true);
            CHECK_INT("absent", headers[j].value.at == NULL, j % 2);
        }
    }
    arena_free(arena);
}

static void
test_copy_full(void)
{
    struct arena *arena = arena_new(1 << 17);
    struct record from = record_of(TEXT("acme"), (struct text){NULL, 0});
    struct record copy;
    size_t copies = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    CU_ASSERT_TRUE(record_copy(&copy, &from, arena));
    CU_ASSERT_PTR_NULL(copy.value.at);
    while (copies < 1000000 && record_copy(&copy, &from, arena))
        copies++;
    CU_ASSERT_TRUE(copies > 100 && copies < 1000000);
    arena_free(arena);
}

static void
test_fingerprint(void)
{
    const struct record base = record_of(TEXT("acme"), TEXT("{}"));
    struct record later = base;
    const struct {
        const char *row;
        struct record other;
    } rows[] = {
        {"key", record_of(TEXT("acmf"), TEXT("{}"))},
        {"value", record_of(TEXT("acme"), TEXT("{]"))},
        {"bytes traded", record_of(TEXT("acme{"), TEXT("}"))},
        {"no key", record_of((struct text){NULL, 0}, TEXT("{}"))},
        {"empty key", record_of(TEXT(""), TEXT("{}"))},
        {"tombstone", record_of(TEXT("acme"), (struct text){NULL, 0})},
        {"empty value", record_of(TEXT("acme"), TEXT(""))},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint64_t one = record_fingerprint(&rows[i].other);

        CHECK_INT(rows[i].row, one == record_fingerprint(&base), false);
        for (size_t j = 0; j < i; j++)
            CHECK_INT(rows[i].row, one == record_fingerprint(&rows[j].other), false);
    }
    later.time_ms++;
    CU_ASSERT_NOT_EQUAL(record_fingerprint(&later), record_fingerprint(&base));
    later = base;
    later.offset++; /* the position is stored beside it */
    CU_ASSERT_EQUAL(record_fingerprint(&later), record_fingerprint(&base));
    /* Stored in Postgres: it must not change with the machine or the release. */
    CU_ASSERT_EQUAL(record_fingerprint(&base), UINT64_C(0xf564bf261fc80ac2));
}

static CU_TestInfo tests[] = {
    {"copy", test_copy},
    {"copy into a full arena", test_copy_full},
    {"fingerprint", test_fingerprint},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_record = {.pName = "record", .pTests = tests};
