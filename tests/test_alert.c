/* Protects: what makes two alerts the same incident, byte by byte; copies that stand alone. */
#include "core/alert.h"
#include "tests/check.h"

#include <openssl/sha.h>

static void
test_tables(void)
{
    for (size_t i = 1; i < LABEL_COUNT; i++)
        CHECK_INT(label_names[i], strcmp(label_names[i - 1], label_names[i]) < 0, true);
    for (size_t i = 0; i < SEVERITY_COUNT; i++)
        CU_ASSERT_PTR_NOT_NULL(severity_names[i]);
    for (size_t i = 0; i < RESOLVED_COUNT; i++)
        CHECK_INT(resolved_names[i], resolved_names[i][0] == '\0', i == RESOLVED_NOT);
    CU_ASSERT_STRING_EQUAL(severity_names[SEVERITY_CRITICAL], "critical");
    CU_ASSERT_STRING_EQUAL(resolved_names[RESOLVED_BREAKER_CLOSED], "breaker_closed");
}

static void
test_identity(void)
{
    static const char expected[] =
        "v1\0quota/api_calls\0period=2026-03-01T00:00:00Z\0tenant=acme\0";
    const size_t size = sizeof expected - 1;
    const struct text labels[LABEL_COUNT] = {
        [LABEL_TENANT] = TEXT("acme"),
        [LABEL_PERIOD] = TEXT("2026-03-01T00:00:00Z"),
    };
    char out[128];

    CHECK_INT("size", alert_identity(out, sizeof out, TEXT("quota/api_calls"), labels), size);
    CHECK_INT("bytes", memcmp(out, expected, size), 0);
    CHECK_INT("just fits", alert_identity(out, size, TEXT("quota/api_calls"), labels), size);
    CHECK_INT("a byte short", alert_identity(out, size - 1, TEXT("quota/api_calls"), labels), 0);
    CHECK_INT("no room", alert_identity(out, 0, TEXT("quota/api_calls"), labels), 0);
}

/* The fingerprint that receivers see, so that a change of the text to hash cannot pass unnoticed. */
static void
test_fingerprint(void)
{
    const struct text labels[LABEL_COUNT] = {[LABEL_TENANT] = TEXT("acme")};
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char identity[128];
    char hex[FINGERPRINT_SIZE];

    (void)SHA256((const unsigned char *)identity,
                 alert_identity(identity, sizeof identity, TEXT("quota/api_calls"), labels), hash);
    for (int i = 0; i < 8; i++)
        (void)snprintf(hex + (size_t)(2 * i), 3, "%02x", (unsigned)hash[i]);
    CU_ASSERT_STRING_EQUAL(hex, "bc8ab88126775519");
}

static void
test_copy(void)
{
    struct arena *arena = arena_new(1 << 17);
    char rule[] = "quota/api_calls";
    const struct transition from = {
        .move = MOVE_STEP,
        .rule = {rule, sizeof rule - 1},
        .labels[LABEL_TOPIC] = {rule, 5},
        .crossed = {50, 75},
        .crossed_count = 2,
        .unit = {rule, 1},
        .zone = {rule, 2},
        .summary = {rule, 3},
    };
    const struct transition *copy = transition_copy(&from, arena);

    CU_ASSERT_PTR_NOT_NULL(copy);
    if (copy == NULL)
        return;
    memset(rule, 'x', sizeof rule - 1);
    CHECK_INT("rule", text_eq(copy->rule, TEXT("quota/api_calls")), true);
    CHECK_INT("label", text_eq(copy->labels[LABEL_TOPIC], TEXT("quota")), true);
    CHECK_INT("absent label", copy->labels[LABEL_TENANT].at == NULL, true);
    CHECK_INT("unit", text_eq(copy->unit, TEXT("q")), true);
    CHECK_INT("zone", text_eq(copy->zone, TEXT("qu")), true);
    CHECK_INT("summary", text_eq(copy->summary, TEXT("quo")), true);
    CHECK_INT("crossed", copy->crossed[1], 75);
    for (int i = 0; i < 1000000 && copy != NULL; i++)
        copy = transition_copy(&from, arena);
    CU_ASSERT_PTR_NULL(copy);
    arena_free(arena);
}

static CU_TestInfo tests[] = {
    {"tables", test_tables}, {"identity", test_identity}, {"fingerprint", test_fingerprint},
    {"copy", test_copy},     CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_alert = {.pName = "alert", .pTests = tests};
