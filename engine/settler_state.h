/*
 * What the parts of a settler share: settler.c hands over and takes back, settler_jobs.c does what it
 * is asked, settler_commands.c fetches commands.
 */
#ifndef ENGINE_SETTLER_STATE_H
#define ENGINE_SETTLER_STATE_H

#include "engine/settler.h"

#include <pthread.h>
#include <stdatomic.h>

#define QUEUE_LIMIT 32768

enum job_kind { JOB_CLAIM, JOB_SETTLE, JOB_TRY, JOB_WAITING };

struct job {
    enum job_kind kind;
    int32_t shard;
    int64_t held_epoch; /* CLAIM */
    int64_t held_seq;
    struct settlement *settlement; /* SETTLE */
    struct trial trial;            /* TRY */
    struct unpriced_query query;   /* WAITING */
    int64_t asked;
};

struct taken {
    int64_t id;
    int32_t shard;
};

struct settler {
    struct settler_setup setup;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked;    /* a job came, or stop */
    pthread_cond_t answered; /* a reply came */
    struct job *jobs;        /* rings of QUEUE_LIMIT */
    size_t job_first, job_count;
    struct reply *replies;
    size_t reply_first, reply_count;
    int32_t *shards;
    size_t shard_count;
    struct store *loader; /* made, not fetched yet */
    bool loader_wanted;
    bool stopping;
    bool stopped;
    atomic_bool up;
    /* only the thread's: */
    struct store *store;
    struct list taken; /* struct taken: commands given out, not settled yet */
    int64_t commands_at_ms;
    int64_t look_at_ms;
    size_t looked_at; /* shards whose overdue tenants were asked for */
};

void settler_answer(struct settler *settler, const struct reply *reply);
/* There is a connection; else an error, which is told when it is fatal. */
bool settler_connect(struct settler *settler, struct err *why);
void settler_set_up(struct settler *settler, bool up);
/* Waits a little, but not through a stop. False when the settler is to stop. */
bool settler_pause(struct settler *settler);

/* ---- settler_jobs.c ------------------------------------------------------------------------------ */
void settler_do(struct settler *settler, const struct job *job);
/* Tenants of the shard whose time came while nobody had them in memory. */
void settler_overdue(struct settler *settler, int32_t shard);

/* ---- settler_commands.c -------------------------------------------------------------------------- */
/* Fetches what was said to the shards that are served, and hands it out. */
void settler_fetch(struct settler *settler);
/* Commands given out to whoever had the shard before are handed out again. */
void settler_forget_shard(struct settler *settler, int32_t shard);
/* Those that the settlement carried are done. */
void settler_forget_done(struct settler *settler, const struct settlement *settlement);

#endif
