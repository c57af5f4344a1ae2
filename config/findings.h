/*
 * What a check found: every error and warning at once, each with its place in a file.
 *
 * Readers of a file report here and go on where they can; the owner sorts at the end.  Texts name
 * the thing and the remedy in one line and never hold a secret.
 */
#ifndef CONFIG_FINDINGS_H
#define CONFIG_FINDINGS_H

#include "core/arena.h"

#define FINDINGS_LIMIT 200 /* the last one then says that there are more */

struct mark {
    int line;   /* from 1, also for what concerns the file as a whole */
    int column; /* from 1, in characters */
};

struct finding {
    const char *file;
    int line;
    int column;
    const char *text;
    bool warning; /* does not make the configuration invalid */
};

/* Starts zeroed. */
struct findings {
    struct arena *arena;
    const char *file; /* the one being read */
    struct finding *at;
    size_t count;
    size_t room;
    size_t error_count; /* also those beyond the limit */
    bool force;         /* what is refused only for being unlikely is a warning */
};

/* What is found from now on is in this file (the name is copied). */
void findings_file(struct findings *findings, const char *file);
/* Returns false, so that `return finding_error(...)` reads well. */
bool finding_error(struct findings *findings, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_warning(struct findings *findings, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sorts those from index `from` on by position; what stands at one place keeps its order. */
void findings_sort(struct findings *findings, size_t from);
void findings_free(struct findings *findings);

#endif
