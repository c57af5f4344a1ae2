/*
 * The settler of a worker: everything that waits for Postgres, in a thread of its own.
 *
 * The worker hands over whole frozen objects (settlements, claims to make) and takes back what became
 * of them; neither waits for the other.  The settler repeats what is unknown until it is known,
 * fetches commands for the shards it is told of, and opens the worker's own connection for loading
 * tenants, so that no connection attempt holds up a decision.
 */
#ifndef ENGINE_SETTLER_H
#define ENGINE_SETTLER_H

#include "core/metric.h"
#include "rules/policy.h"
#include "sinks/store.h"

struct settler;
struct notifier;
struct dead_topic;

struct settler_setup {
    const struct config *config;
    const char *owner;           /* unique to this process and worker */
    const struct policy *policy; /* for shards that were never judged */
    struct metric_set *metrics;
    struct notifier *notifier;     /* woken when transitions were written; may be NULL */
    struct dead_topic *dead_topic; /* NULL: no dead-letter topic */
};

enum reply_kind {
    REPLY_CLAIMED,
    REPLY_CLAIM_LATER, /* why says what it waits for; ask again */
    REPLY_SETTLED,
    REPLY_FENCED,
    REPLY_REFUSED, /* single steps are noted in Postgres: claim anew */
    REPLY_TRIED,   /* times */
    REPLY_WAITING, /* waiting */
    REPLY_COMMAND,
    REPLY_OVERDUE, /* due: tenants that nobody has looked at when it was time */
    REPLY_FATAL,
};

/* A command and all it needs, in memory of its own. */
struct order {
    struct arena *memory;
    int32_t shard;
    struct command command;
    const struct policy *policy; /* POLICY */
    struct unpriced_query after; /* RERATE: what is dealt with */
};

struct reply {
    enum reply_kind kind;
    int32_t shard;
    struct err why;
    /* CLAIMED; memory and due of OVERDUE too */
    struct arena *memory; /* of claim and names; the receiver frees it */
    struct claim claim;
    struct text *due; /* tenants to load at once */
    size_t due_count;
    const struct policy *policy; /* last in force for the shard, or the current one */
    /* SETTLED */
    struct settlement *settlement;
    struct period_total *differing; /* the receiver frees it; texts are the settlement's */
    size_t differing_count;
    /* TRIED */
    int32_t times; /* the record was taken alone, this time included */
    /* WAITING: in `memory` */
    int64_t asked; /* as the query was numbered */
    struct unpriced_event *waiting;
    size_t waiting_count;
    /* COMMAND */
    struct order *order;
};

struct settler *settler_start(const struct settler_setup *setup, struct err *why);
/* Ends the thread once what it is doing is done, at most deadline_ms; false when it is stuck. */
bool settler_stop(struct settler *settler, int64_t deadline_ms);

/* held_epoch, held_seq: what memory holds, or -1. */
void settler_claim(struct settler *settler, int32_t shard, int64_t held_epoch, int64_t held_seq);
/* A record is about to be taken alone; answered by REPLY_TRIED, or REPLY_FENCED. */
void settler_try(struct settler *settler, const struct trial *trial);
/* Unpriced events of a shard are wanted; answered by REPLY_WAITING, or REPLY_FENCED. */
void settler_waiting(struct settler *settler, const struct unpriced_query *query, int64_t number);
void settler_settle(struct settler *settler, struct settlement *settlement);
/* Commands of these shards are wanted; those given out for others are forgotten. */
void settler_serve(struct settler *settler, const int32_t *shards, size_t count);
/* Takes one reply, waiting up to timeout_ms; false when there is none. */
bool settler_reply(struct settler *settler, int timeout_ms, struct reply *reply);
/* A fresh connection for the worker's loads if one is ready, else NULL (and one is made). */
struct store *settler_loader(struct settler *settler);
/* The last thing that was tried with Postgres succeeded. */
bool settler_up(const struct settler *settler);

void order_free(struct order *order);

#endif
