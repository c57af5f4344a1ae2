/*
 * Inside of outbox_route: a batch of transitions on its way to frozen messages (freeze.c decides,
 * freeze_rows.c asks and writes).
 *
 * A batch costs as many statements as a single transition: each statement takes arrays.  It holds at
 * most one transition of an alert, so that what was heard of it does not change within the batch.
 */
#ifndef SINKS_FREEZE_H
#define SINKS_FREEZE_H

#include "core/list.h"
#include "sinks/alert_read.h"
#include "sinks/routing.h"

/* One transition. */
struct routed {
    struct alert_view view;
    enum severity episode_severity;
    const char *group;
};

/* An endpoint that may have to be told of it. */
struct target {
    const struct routed *routed;
    const struct receiver *receiver;
    const struct endpoint *endpoint;
    int group; /* row of batch.groups */
};

/* A message, or the note that none is sent. */
struct frozen {
    const struct target *target;
    int64_t group_seq;
    const char *thread;     /* NULL: it begins one */
    const char *suppressed; /* why nothing is sent, or NULL */
    enum message_kind kind;
    int64_t wait_ms;
    struct message message;
};

struct batch {
    struct outbox *outbox;
    const struct config *config;
    struct routed *at;
    size_t count;
    struct list targets;    /* struct target */
    struct list frozen;     /* struct frozen, in order */
    struct list superseded; /* const struct target *: what waits for it of the episode */
    struct list hurried;    /* const struct target *: what waits for it in the group */
    PGresult *groups;       /* endpoint, group, last number given */
    int64_t *last_seq;      /* the same number, with what is frozen here */
    PGresult *heard;        /* number of the target from 1, state, id of messages so far */
    PGresult *disabled;     /* endpoints */
};

/* Locks the groups of all targets, then their episodes' messages, in an order that all routers
 * share: what is claimed meanwhile is seen as under way, what waits stays so until we commit. */
bool freeze_lock(struct batch *batch, struct err *why);
/* Writes everything down; the transitions are routed when this is committed. */
bool freeze_write(struct batch *batch, struct err *why);

#endif
