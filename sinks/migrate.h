/*
 * The schema of the database: created and brought up to date by numbered migrations that are part of
 * the program (sinks/migrations.def, schemas/).
 *
 * Each migration runs in its own transaction and leaves a row with its checksum in
 * tripmeter.migration.  Two programs that migrate at once wait for each other.
 */
#ifndef SINKS_MIGRATE_H
#define SINKS_MIGRATE_H

#include "core/err.h"

/* One line of progress for people. */
typedef void migrate_on_progress(void *context, const char *line);
/* Creates roles (where permitted) and schema, applies what is missing, grants. */
bool migrate_run(const char *url, migrate_on_progress *on_progress, void *context, struct err *why);

struct pg;
/* Is the schema the one this program was built for? FATAL with the remedy when it is missing, older
 * or newer. */
bool migrate_check(struct pg *pg, struct err *why);

#endif
