/* Protects: a tenant without events has the home that its first event will go to (Kafka's
 * UtilsTest.testMurmur2). */
#include "core/partitioner.h"
#include "tests/check.h"

static void
test_murmur2(void)
{
    static const struct {
        const char *key;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].key, partitioner_murmur2(text_of(rows[i].key)), rows[i].hash);
}

static void
test_partition(void)
{
    CHECK_INT("a positive hash", partitioner_partition(TEXT("abc"), 6), 479470107 % 6);
    CHECK_INT("a negative one loses its sign bit", partitioner_partition(TEXT("21"), 6),
              (-973932308 & 0x7fffffff) % 6);
    CHECK_INT("one partition", partitioner_partition(TEXT("anything"), 1), 0);
    CHECK_INT("an empty key", partitioner_partition(TEXT(""), 1), 0);
}

static CU_TestInfo tests[] = {
    {"murmur2", test_murmur2},
    {"partitions", test_partition},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_partitioner = {.pName = "partitioner", .pTests = tests};
