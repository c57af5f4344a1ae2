/* Protects: zones come from the system's database by name, once, and no name leads elsewhere. */
#include "config/zones.h"
#include "tests/check.h"

#include <pthread.h>

static void
test_known(void)
{
    static const char *const rows[] = {"UTC",           "Etc/UTC",
                                       "Europe/Berlin", "Asia/Kathmandu",
                                       "Africa/Lagos",  "America/Argentina/Ushuaia",
                                       "Etc/GMT+12",    "America/Port-au-Prince"};
    struct err why;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct zone *zone = zones_get(text_of(rows[i]), &why);

        CU_ASSERT_PTR_NOT_NULL_FATAL(zone);
        CHECK_INT(rows[i], strcmp(zone_name(zone), rows[i]), 0);
        CHECK_INT(rows[i], zones_get(text_of(rows[i]), &why) == zone, true);
    }
    CU_ASSERT_PTR_EQUAL(zones_get(TEXT("UTC"), &why), zone_utc());
}

static void
test_unknown(void)
{
    static const char *const rows[] = {
        "",
        "Europe/Berln",
        "europe/berlin/x",
        "Europe",
        "../../../etc/passwd",
        "/etc/localtime",
        "Europe/../Europe/Berlin",
        "right/UTC",
        "zone.tab",
        "tzdata.zi",
        "leapseconds",
        "Europe/Berlin ",
        "Europe//",
        "A-name/that-is-longer-than-any-zone-of-the-database/can-be-or-will"};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err why = {0};

        CHECK_INT(rows[i], zones_get(text_of(rows[i]), &why) == NULL, true);
        CHECK_INT(rows[i], why.class, ERR_INPUT);
        CHECK_INT(rows[i], strncmp(why.text, "no time zone \"", 14), 0);
    }
}

static void *
get_many(void *context)
{
    static const char *const names[] = {"Europe/Paris", "Asia/Tokyo", "America/New_York"};
    const struct zone **out = context;
    struct err why;

    for (size_t i = 0; i < 3000; i++)
        out[i % 3] = zones_get(text_of(names[i % 3]), &why);
    return NULL;
}

static void
test_threads(void)
{
    const struct zone *got[4][3] = {{NULL}};
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, get_many, got[i]), 0);
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    for (size_t i = 1; i < 4; i++)
        for (size_t z = 0; z < 3; z++)
            CU_ASSERT_TRUE(got[i][z] != NULL && got[i][z] == got[0][z]);
}

static CU_TestInfo tests[] = {
    {"known names", test_known},
    {"unknown names", test_unknown},
    {"threads", test_threads},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_zones = {.pName = "zones", .pTests = tests};
