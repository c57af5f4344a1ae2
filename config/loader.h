/*
 * The reading of one configuration file under way, and what its readers share.
 *
 * A reader takes a node of the tree and gives a checked value, or false after it has reported what
 * is wrong.  `what` names the value in findings: "kafka.group".
 */
#ifndef CONFIG_LOADER_H
#define CONFIG_LOADER_H

#include "config/config.h"
#include "config/node.h"

struct loader {
    struct config *config; /* being filled; its arena holds what is read */
    struct findings *findings;
    const struct yaml *root;
};

/* NULL or what a text must be instead ("must be ..."). */
typedef const char *text_check(struct text text);

/* The node of "kafka.group"; NULL when it is not in the file. */
const struct yaml *loader_find(const struct loader *loader, const char *path);
/* Where that key stands; where its group does, or the file's start, when it is not there. */
struct mark loader_mark(const struct loader *loader, const char *path);

/* The text of a node; ${NAME} is the environment variable's. Never empty. */
bool loader_text(struct loader *loader, const struct yaml *node, const char *what,
                 struct text *out);
/* That text, checked; NUL-terminated. `check` may be NULL. */
bool loader_string(struct loader *loader, const struct yaml *node, const char *what,
                   text_check *check, const char **out);
/* The same for a secret that stands in a file named by the node. */
bool loader_secret_file(struct loader *loader, const struct yaml *node, const char *what,
                        text_check *check, const char **out);

/* Readers of what is more than a text (config/properties.c, config/receivers.c). */
bool properties_read(struct loader *loader, const struct yaml *node);
bool receivers_read(struct loader *loader, const struct yaml *node);

#endif
