#include "config/zones.h"

#include "config/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_LIMIT = 64, PATH_ROOM = 1024, FILE_LIMIT = 64 * 1024, ZONE_LIMIT = 2048 };

struct known {
    struct known *next;
    struct zone *zone;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known *zones;
static size_t zone_count;

static bool
is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_+-/", c) != NULL);
}

/* No dots, so that no name leads out of the folder.  right/ counts leap seconds, which instants
 * here do not. */
static bool
name_is_good(struct text name)
{
    if (name.size == 0 || name.size > NAME_LIMIT || name.at[0] == '/')
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!is_name_byte(name.at[i]))
            return false;
    return name.size < 6 || memcmp(name.at, "right/", 6) != 0;
}

static bool
no_such_zone(struct text name, struct err *why)
{
    char shown[NAME_LIMIT + 1];

    (void)text_copy(shown, sizeof shown, name);
    return err_set(why, ERR_INPUT,
                   "no time zone \"%s\" in the system's database: use an IANA name, like "
                   "Europe/Berlin or UTC",
                   shown);
}

static struct zone *
read_zone(struct text name, struct err *why)
{
    /* Nothing in this process changes the environment. */
    const char *folder = getenv("TZDIR"); /* NOLINT(concurrency-mt-unsafe) */
    char shown[NAME_LIMIT + 1];
    char path[PATH_ROOM];
    struct arena *arena = arena_new(FILE_LIMIT + 4096);
    struct text body;
    struct zone *zone = NULL;

    if (folder == NULL || folder[0] == '\0')
        folder = "/usr/share/zoneinfo";
    (void)text_copy(shown, sizeof shown, name);
    const int size = snprintf(path, sizeof path, "%s/%s", folder, shown);

    if (arena != NULL && size > 0 && (size_t)size < sizeof path &&
        file_read(path, FILE_LIMIT, arena, &body, why))
        zone = zone_parse(name, body.at, body.size, why);
    arena_free(arena);
    return zone;
}

static const struct zone *
find(struct text name)
{
    for (const struct known *known = zones; known != NULL; known = known->next)
        if (text_eq(text_of(zone_name(known->zone)), name))
            return known->zone;
    return NULL;
}

static const struct zone *
remember(struct text name, struct err *why)
{
    struct known *known = zone_count < ZONE_LIMIT ? malloc(sizeof *known) : NULL;

    if (known == NULL) {
        (void)err_set(why, ERR_RETRY, "out of memory for time zones");
        return NULL;
    }
    known->zone = read_zone(name, why);
    if (known->zone == NULL) {
        free(known);
        (void)no_such_zone(name, why);
        return NULL;
    }
    known->next = zones;
    zones = known;
    zone_count++;
    return known->zone;
}

const struct zone *
zones_get(struct text name, struct err *why)
{
    const struct zone *zone;

    if (text_eq(name, TEXT("UTC")))
        return zone_utc();
    if (!name_is_good(name)) {
        (void)no_such_zone(name, why);
        return NULL;
    }
    (void)pthread_mutex_lock(&lock);
    zone = find(name);
    if (zone == NULL)
        zone = remember(name, why);
    (void)pthread_mutex_unlock(&lock);
    return zone;
}
