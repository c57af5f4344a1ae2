/*
 * YAML as a small checked tree in which every key and value knows its place.
 *
 * Only the plain part of YAML is taken: one document of maps, lists and texts.  Anchors, aliases
 * and tags are refused (what stands in the file is what is meant), so are keys given twice, control
 * characters in a text (a line break would end a header or a log line), more than 16 levels,
 * 1,024 members of one map or list, and more than 1 MiB.  What a text means (number, size,
 * duration) is its reader's to say; `key: 1.10` stays "1.10".
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "config/findings.h"

#define YAML_SIZE_LIMIT  ((size_t)1 << 20)
#define YAML_DEPTH_LIMIT 16
#define YAML_CHILD_LIMIT 1024

enum yaml_kind {
    YAML_TEXT,
    YAML_EMPTY, /* no value, ~ or null */
    YAML_LIST,
    YAML_MAP,
    YAML_BAD, /* refused, and reported: its reader says nothing more */
};

struct yaml {
    enum yaml_kind kind;
    struct mark at;
    struct text key; /* of a map's member; NUL-terminated */
    struct mark key_at;
    struct text text;   /* YAML_TEXT; NUL-terminated */
    struct yaml *first; /* members or items, in the order of the file */
    struct yaml *next;
    size_t count; /* of members or items */
};

/* The root; NULL when the file cannot be read to its end as YAML. Errors are in findings: also a
 * tree that is given may have some. Everything lives in the arena. */
struct yaml *yaml_parse(struct text body, struct arena *arena, struct findings *findings);
/* NULL when the map has no such member; also for what is no map. */
const struct yaml *yaml_member(const struct yaml *map, struct text key);

#endif
