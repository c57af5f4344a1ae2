/*
 * Small files read whole: configuration, policy, secrets, time zones.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "core/arena.h"
#include "core/err.h"

/* INPUT error when it cannot be read, is no regular file or has more than `limit` bytes; the text
 * does not name the path. The text is NUL-terminated, in the arena. */
bool file_read(const char *path, size_t limit, struct arena *arena, struct text *out,
               struct err *why);
/* The path as seen from the folder of the file it is written in; NULL when the arena is full. */
const char *file_beside(const char *file, struct text path, struct arena *arena);

#endif
