/* A settler: what is handed to it and taken back, its connections, its thread. */
#include "engine/settler_state.h"

#include "config/log.h"
#include "config/now.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_EVERY_MS 500
#define RETRY_MS         250

/* ---- replies ----------------------------------------------------------------------------------------- */

void
settler_answer(struct settler *settler, const struct reply *reply)
{
    (void)pthread_mutex_lock(&settler->lock);
    /* A reply goes with a job or a command in hand, and those are fewer. */
    if (settler->reply_count == QUEUE_LIMIT)
        abort();
    settler->replies[(settler->reply_first + settler->reply_count++) % QUEUE_LIMIT] = *reply;
    (void)pthread_cond_signal(&settler->answered);
    (void)pthread_mutex_unlock(&settler->lock);
}

bool
settler_reply(struct settler *settler, int timeout_ms, struct reply *reply)
{
    const struct timespec until = now_steady_after(timeout_ms);
    bool found;

    (void)pthread_mutex_lock(&settler->lock);
    while (settler->reply_count == 0 && timeout_ms > 0)
        if (pthread_cond_timedwait(&settler->answered, &settler->lock, &until) == ETIMEDOUT)
            break;
    found = settler->reply_count > 0;
    if (found) {
        *reply = settler->replies[settler->reply_first];
        settler->reply_first = (settler->reply_first + 1) % QUEUE_LIMIT;
        settler->reply_count--;
    }
    (void)pthread_mutex_unlock(&settler->lock);
    return found;
}

/* ---- the connection ------------------------------------------------------------------------------------ */

static bool
stopping(struct settler *settler)
{
    (void)pthread_mutex_lock(&settler->lock);
    const bool stop = settler->stopping;
    (void)pthread_mutex_unlock(&settler->lock);
    return stop;
}

void
settler_set_up(struct settler *settler, bool up)
{
    if (atomic_exchange(&settler->up, up) != up)
        log_info("postgres", "state=%s", up ? "up" : "down");
}

bool
settler_connect(struct settler *settler, struct err *why)
{
    if (settler->store != NULL && !store_broken(settler->store))
        return true;
    store_close(settler->store);
    settler->store = store_open(settler->setup.config, settler->setup.owner, why);
    settler_set_up(settler, settler->store != NULL);
    if (settler->store == NULL && why->class == ERR_FATAL)
        settler_answer(settler, &(struct reply){.kind = REPLY_FATAL, .why = *why});
    return settler->store != NULL;
}

static void
make_loader(struct settler *settler)
{
    struct err why;
    struct store *loader = NULL;

    (void)pthread_mutex_lock(&settler->lock);
    const bool wanted = settler->loader_wanted && settler->loader == NULL;
    (void)pthread_mutex_unlock(&settler->lock);
    if (wanted)
        loader = store_open(settler->setup.config, settler->setup.owner, &why);
    if (loader != NULL && !store_prepare_loads(loader, &why)) {
        store_close(loader);
        loader = NULL;
    }
    if (loader == NULL)
        return;
    (void)pthread_mutex_lock(&settler->lock);
    settler->loader = loader;
    settler->loader_wanted = false;
    (void)pthread_mutex_unlock(&settler->lock);
}

struct store *
settler_loader(struct settler *settler)
{
    (void)pthread_mutex_lock(&settler->lock);
    struct store *loader = settler->loader;

    settler->loader = NULL;
    if (loader == NULL && !settler->loader_wanted) {
        settler->loader_wanted = true;
        (void)pthread_cond_signal(&settler->asked);
    }
    (void)pthread_mutex_unlock(&settler->lock);
    return loader;
}

bool
settler_up(const struct settler *settler)
{
    return atomic_load(&settler->up);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static bool
next_job(struct settler *settler, struct job *job)
{
    const int64_t wait_ms = settler->commands_at_ms - now_steady_ms();
    const struct timespec until = now_steady_after(wait_ms > 0 ? wait_ms : 0);

    (void)pthread_mutex_lock(&settler->lock);
    while (settler->job_count == 0 && !settler->stopping &&
           !(settler->loader_wanted && settler->loader == NULL))
        if (pthread_cond_timedwait(&settler->asked, &settler->lock, &until) == ETIMEDOUT)
            break;
    const bool found = settler->job_count > 0;

    if (found) {
        *job = settler->jobs[settler->job_first];
        settler->job_first = (settler->job_first + 1) % QUEUE_LIMIT;
        settler->job_count--;
    }
    (void)pthread_mutex_unlock(&settler->lock);
    return found;
}

bool
settler_pause(struct settler *settler)
{
    const struct timespec until = now_steady_after(RETRY_MS);

    (void)pthread_mutex_lock(&settler->lock);
    while (!settler->stopping)
        if (pthread_cond_timedwait(&settler->asked, &settler->lock, &until) == ETIMEDOUT)
            break;
    const bool go_on = !settler->stopping;

    (void)pthread_mutex_unlock(&settler->lock);
    return go_on;
}

static void *
run(void *opaque)
{
    struct settler *settler = opaque;

    while (!stopping(settler)) {
        struct job job;

        make_loader(settler);
        if (next_job(settler, &job))
            settler_do(settler, &job);
        if (now_steady_ms() >= settler->commands_at_ms) {
            settler_fetch(settler);
            settler->commands_at_ms = now_steady_ms() + COMMAND_EVERY_MS;
        }
    }
    (void)pthread_mutex_lock(&settler->lock);
    settler->stopped = true;
    (void)pthread_cond_signal(&settler->answered);
    (void)pthread_mutex_unlock(&settler->lock);
    return NULL;
}

static void
ask(struct settler *settler, const struct job *job)
{
    (void)pthread_mutex_lock(&settler->lock);
    /* At most one claim and one settlement a shard are under way. */
    if (settler->job_count == QUEUE_LIMIT)
        abort();
    settler->jobs[(settler->job_first + settler->job_count++) % QUEUE_LIMIT] = *job;
    (void)pthread_cond_signal(&settler->asked);
    (void)pthread_mutex_unlock(&settler->lock);
}

void
settler_claim(struct settler *settler, int32_t shard, int64_t held_epoch, int64_t held_seq)
{
    ask(settler,
        &(struct job){
            .kind = JOB_CLAIM, .shard = shard, .held_epoch = held_epoch, .held_seq = held_seq});
}

void
settler_settle(struct settler *settler, struct settlement *settlement)
{
    ask(settler,
        &(struct job){.kind = JOB_SETTLE, .shard = settlement->shard, .settlement = settlement});
}

void
settler_try(struct settler *settler, const struct trial *trial)
{
    ask(settler, &(struct job){.kind = JOB_TRY, .shard = trial->shard, .trial = *trial});
}

void
settler_waiting(struct settler *settler, const struct unpriced_query *query, int64_t number)
{
    ask(settler, &(struct job){
                     .kind = JOB_WAITING, .shard = query->shard, .query = *query, .asked = number});
}

void
settler_serve(struct settler *settler, const int32_t *shards, size_t count)
{
    (void)pthread_mutex_lock(&settler->lock);
    free(settler->shards);
    settler->shards = calloc(count + 1, sizeof *settler->shards);
    if (settler->shards == NULL)
        abort();
    if (count > 0)
        memcpy(settler->shards, shards, count * sizeof *shards);
    settler->shard_count = count;
    (void)pthread_mutex_unlock(&settler->lock);
}

struct settler *
settler_start(const struct settler_setup *setup, struct err *why)
{
    struct settler *settler = calloc(1, sizeof *settler);

    if (settler == NULL)
        goto failed;
    settler->setup = *setup;
    settler->jobs = calloc(QUEUE_LIMIT, sizeof *settler->jobs);
    settler->replies = calloc(QUEUE_LIMIT, sizeof *settler->replies);
    if (settler->jobs == NULL || settler->replies == NULL)
        goto failed;
    list_init(&settler->taken, sizeof(struct taken), QUEUE_LIMIT);
    settler->loader_wanted = true;
    (void)pthread_mutex_init(&settler->lock, NULL);
    now_steady_condition(&settler->asked);
    now_steady_condition(&settler->answered);
    if (pthread_create(&settler->thread, NULL, run, settler) == 0)
        return settler;
failed:
    if (settler != NULL) {
        free(settler->jobs);
        free(settler->replies);
        free(settler);
    }
    (void)err_set(why, ERR_FATAL, "no memory or thread for a settler");
    return NULL;
}

bool
settler_stop(struct settler *settler, int64_t deadline_ms)
{
    const struct timespec until = now_steady_after(deadline_ms);

    if (settler == NULL)
        return true;
    (void)pthread_mutex_lock(&settler->lock);
    settler->stopping = true;
    (void)pthread_cond_signal(&settler->asked);
    while (!settler->stopped)
        if (pthread_cond_timedwait(&settler->answered, &settler->lock, &until) == ETIMEDOUT)
            break;
    const bool stopped = settler->stopped;

    (void)pthread_mutex_unlock(&settler->lock);
    if (!stopped)
        return false;
    (void)pthread_join(settler->thread, NULL);
    store_close(settler->store);
    store_close(settler->loader);
    for (size_t i = 0; i < settler->reply_count; i++) {
        struct reply *reply = &settler->replies[(settler->reply_first + i) % QUEUE_LIMIT];

        arena_free(reply->memory);
        free(reply->differing);
        order_free(reply->order);
    }
    list_free(&settler->taken);
    free(settler->shards);
    free(settler->jobs);
    free(settler->replies);
    (void)pthread_mutex_destroy(&settler->lock);
    (void)pthread_cond_destroy(&settler->asked);
    (void)pthread_cond_destroy(&settler->answered);
    free(settler);
    return true;
}
