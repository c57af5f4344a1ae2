/*
 * The member `data` of a usage event: what each kind needs, what it may carry, and its bounds.
 */
#ifndef INGEST_USAGE_DATA_H
#define INGEST_USAGE_DATA_H

#include "ingest/member.h"

/* The names of all members that are looked for in `data` and below it, and of some values. */
struct usage_words {
    const char *data_names[MEMBER_LIMIT];
    struct members data;
    struct members usage;
    struct members reservation;
    struct members refund_of;
    struct members supersedes;
    struct members decision;
    struct members topup;
    struct members value;
    struct vocabulary statuses;
};

/* Adds the names of members to the vocabulary. */
void usage_words_init(struct usage_words *words, struct vocabulary *names);

/* Fills the event from `data` (of any type). event->kind is known, the rest of it is zero. */
bool usage_data_read(const struct usage_words *words, const struct json_value *data,
                     const struct reading *reading, struct event *event, struct dead *dead);

/* Kinds that are stored one by one with their `data`. */
bool event_kind_is_kept(enum event_kind kind);

#endif
