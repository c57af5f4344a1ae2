/* Reads zones from the system's database for the tests of core/, which itself reads no files. */
#ifndef TESTS_ZONE_FILE_H
#define TESTS_ZONE_FILE_H

#include "core/zone.h"
#include "tests/check.h"

#define ZONE_FILE_SIZE_LIMIT 65536

/* The size; 0 when the file cannot be read: the test then fails, it is never skipped. */
static inline size_t
zone_file_read(const char *name, unsigned char bytes[ZONE_FILE_SIZE_LIMIT])
{
    char path[256];
    size_t size = 0;

    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "rb");

    if (file != NULL) {
        size = fread(bytes, 1, ZONE_FILE_SIZE_LIMIT, file);
        (void)fclose(file);
    }
    return size;
}

static inline struct zone *
zone_file_load(const char *name)
{
    unsigned char bytes[ZONE_FILE_SIZE_LIMIT];
    struct err why = {0};
    struct zone *zone = zone_parse(text_of(name), bytes, zone_file_read(name, bytes), &why);

    if (zone == NULL)
        (void)printf("\n%s (Debian package tzdata)\n", why.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(zone);
    return zone;
}

/* For tables: a time that is written wrongly fails the test. */
static inline int64_t
instant_of(const char *text)
{
    int64_t at_ms = 0;

    CHECK_INT(text, clock_parse(text_of(text), &at_ms), true);
    return at_ms;
}

#endif
