/*
 * What readers of a YAML tree demand of a node, and how they say that it is not so.
 *
 * All of them report to findings and return false; a node that was refused before (YAML_BAD) is
 * passed over in silence.  `what` names the value: "kafka.group".
 */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include "config/yaml.h"

/* Is of this kind; `example` shows what is meant. */
bool node_is(struct findings *findings, const struct yaml *node, enum yaml_kind kind,
             const char *what, const char *example);
/* Is a text, not an empty one. */
bool node_text(struct findings *findings, const struct yaml *node, const char *what,
               struct text *out);
/* Is one of "one|two|three": its index. */
bool node_choice(struct findings *findings, const struct yaml *node, const char *what,
                 const char *choices, int64_t *out);
/* Has no members but `names` (NULL at the end); the nearest is named for others. */
bool node_members(struct findings *findings, const struct yaml *map, const char *what,
                  const char *const *names);

#endif
