/*
 * Time zones by IANA name, read once from the system's database (TZDIR or /usr/share/zoneinfo) and
 * kept for the life of the process.  Thread-safe.
 */
#ifndef CONFIG_ZONES_H
#define CONFIG_ZONES_H

#include "core/zone.h"

/* NULL and an INPUT error that names the zone when there is none of that name (or the name would
 * leave the directory). */
const struct zone *zones_get(struct text name, struct err *why);

#endif
