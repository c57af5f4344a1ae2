/* Where a dead letter stands, as people write it: TOPIC/PARTITION/OFFSET[/INDEX]. */
#ifndef CLI_POSITION_H
#define CLI_POSITION_H

#include "core/err.h"

#include <stdint.h>

#define POSITION_TOPIC_SIZE 250

struct position {
    char topic[POSITION_TOPIC_SIZE];
    int32_t partition;
    int64_t offset;
    int32_t index; /* of the event in the record's array; 0 when left out */
};

/* TOPIC/PARTITION: offset and index are 0. INPUT error. */
bool position_parse_partition(const char *word, struct position *out, struct err *why);
bool position_parse(const char *word, struct position *out, struct err *why);

#endif
