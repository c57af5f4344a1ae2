#include "engine/settler.h"

#include "config/log.h"
#include "config/now.h"
#include "engine/policies.h"
#include "sinks/dead_topic.h"
#include "sinks/notifier.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define QUEUE_LIMIT      32768
#define COMMAND_EVERY_MS 500
#define LOOK_EVERY_MS    2000
#define RETRY_MS         250
#define CLAIM_MEMORY     ((size_t)256 << 20)
#define OVERDUE_LIMIT    1000
#define ORDER_MEMORY     ((size_t)16 << 20)
#define WAITING_MEMORY   ((size_t)64 << 20)

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

/* ---- replies ----------------------------------------------------------------------------------------- */

static void
answer(struct settler *settler, const struct reply *reply)
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

static void
set_up(struct settler *settler, bool up)
{
    if (atomic_exchange(&settler->up, up) != up)
        log_info("postgres", "state=%s", up ? "up" : "down");
}

static bool
connect_store(struct settler *settler, struct err *why)
{
    if (settler->store != NULL && !store_broken(settler->store))
        return true;
    store_close(settler->store);
    settler->store = store_open(settler->setup.config, settler->setup.owner, why);
    set_up(settler, settler->store != NULL);
    if (settler->store == NULL && why->class == ERR_FATAL)
        answer(settler, &(struct reply){.kind = REPLY_FATAL, .why = *why});
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

/* ---- claims ---------------------------------------------------------------------------------------------- */

struct due_names {
    struct arena *memory;
    struct list names;
};

static void
on_due(void *context, struct text name)
{
    struct due_names *due = context;
    struct text *one = list_add(&due->names);

    if (one != NULL)
        *one = arena_text(due->memory, name);
}

/* Commands given out to whoever had the shard before are handed out again. */
static void
forget_given_out(struct settler *settler, int32_t shard)
{
    struct taken *all = settler->taken.at;
    size_t kept = 0;

    for (size_t i = 0; i < settler->taken.count; i++)
        if (all[i].shard != shard)
            all[kept++] = all[i];
    settler->taken.count = kept;
}

static void
claim(struct settler *settler, const struct job *job)
{
    struct reply reply = {.kind = REPLY_CLAIM_LATER, .shard = job->shard};
    struct due_names due = {.memory = arena_new(CLAIM_MEMORY)};
    bool good = due.memory != NULL && connect_store(settler, &reply.why);

    list_init(&due.names, sizeof(struct text), (size_t)10 << 20);
    reply.claim =
        (struct claim){.shard = job->shard, .epoch = job->held_epoch, .seq = job->held_seq};
    good = good &&
           store_claim(settler->store, settler->setup.owner, &reply.claim, due.memory, &reply.why);
    if (good && !reply.claim.kept)
        good =
            store_due(settler->store,
                      &(struct due_query){
                          .shard = job->shard, .until_ms = reply.claim.time_ms, .restricted = true},
                      on_due, &due, &reply.why);
    if (good) {
        reply.policy = reply.claim.policy == 0
                           ? settler->setup.policy
                           : policies_get(settler->store, reply.claim.policy, &reply.why);
        good = reply.policy != NULL;
    }
    if (!good) {
        arena_free(due.memory);
        list_free(&due.names);
        if (reply.why.class == ERR_FATAL)
            reply.kind = REPLY_FATAL;
        answer(settler, &reply);
        return;
    }
    if (!reply.claim.kept)
        forget_given_out(settler, job->shard);
    reply.kind = REPLY_CLAIMED;
    reply.memory = due.memory;
    reply.due = arena_take(due.memory, due.names.count * sizeof *reply.due);
    reply.due_count = reply.due == NULL ? 0 : due.names.count;
    if (reply.due_count > 0)
        memcpy(reply.due, due.names.at, due.names.count * sizeof *reply.due);
    list_free(&due.names);
    answer(settler, &reply);
}

/* ---- settlements --------------------------------------------------------------------------------------------- */

static void
forget_taken(struct settler *settler, const struct settlement *settlement)
{
    struct taken *all = settler->taken.at;
    size_t kept = 0;

    for (size_t i = 0; i < settler->taken.count; i++) {
        bool done = false;

        for (size_t c = 0; c < settlement->commands.count; c++)
            done |= ((struct command_done *)list_at(&settlement->commands, c))->id == all[i].id;
        if (!done)
            all[kept++] = all[i];
    }
    settler->taken.count = kept;
}

static void
settled(struct settler *settler, struct settlement *settlement, const struct settle_result *result)
{
    struct metric_set *metrics = settler->setup.metrics;
    struct reply reply = {
        .kind = REPLY_SETTLED, .shard = settlement->shard, .settlement = settlement};

    metric_add(metrics, result->resent ? METRIC_SETTLE_RESENT : METRIC_SETTLEMENTS, 1);
    metric_add(metrics, METRIC_SETTLE_ROWS, (int64_t)result->rows);
    metric_add(metrics, METRIC_PERIOD_DIFFERS, (int64_t)result->period_differs);
    if (result->period_differs > 0) {
        reply.differing = calloc(result->period_differs, sizeof *reply.differing);
        if (reply.differing == NULL)
            abort();
        memcpy(reply.differing, result->differing,
               result->period_differs * sizeof *reply.differing);
        reply.differing_count = result->period_differs;
        for (size_t i = 0; i < reply.differing_count; i++)
            log_warning("period_differs", "shard=%d tenant=\"%.*s\"", settlement->shard,
                        (int)reply.differing[i].tenant.size, reply.differing[i].tenant.at);
    }
    if (settlement->transitions.count > 0 && settler->setup.notifier != NULL)
        notifier_wake(settler->setup.notifier);
    if (settlement->dead.count > 0 && settler->setup.dead_topic != NULL)
        dead_topic_wake(settler->setup.dead_topic, settlement->shard);
    forget_taken(settler, settlement);
    answer(settler, &reply);
}

/* Waits a little, but not through a stop. False when the settler is to stop. */
static bool
pause_before_retry(struct settler *settler)
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

static void
settle(struct settler *settler, struct settlement *settlement)
{
    struct reply reply = {.shard = settlement->shard, .settlement = settlement};

    for (;;) {
        struct settle_result result = {0};
        const int64_t from_ms = now_steady_ms();
        enum settled outcome = SETTLE_UNKNOWN;

        if (connect_store(settler, &reply.why))
            outcome = store_settle(settler->store, settler->setup.config, settlement, &result,
                                   &reply.why);
        metric_add(settler->setup.metrics, METRIC_SETTLE_MS, now_steady_ms() - from_ms);
        set_up(settler, outcome != SETTLE_UNKNOWN);
        switch (outcome) {
        case SETTLED:
            settled(settler, settlement, &result);
            return;
        case SETTLE_FENCED:
            metric_add(settler->setup.metrics, METRIC_SETTLE_FENCED, 1);
            reply.kind = REPLY_FENCED;
            answer(settler, &reply);
            return;
        case SETTLE_REFUSED:
            metric_add(settler->setup.metrics, METRIC_SETTLE_REFUSED, 1);
            log_warning("settlement_refused", "shard=%d text=\"%s\"", settlement->shard,
                        reply.why.text);
            if (!store_attempting(settler->store, settlement, &reply.why))
                break;
            reply.kind = REPLY_REFUSED;
            answer(settler, &reply);
            return;
        case SETTLE_IMPOSSIBLE:
            reply.kind = REPLY_FATAL;
            answer(settler, &reply);
            return;
        case SETTLE_UNKNOWN:
            log_warning("settlement_unknown", "shard=%d seq=%" PRId64 " text=\"%s\"",
                        settlement->shard, settlement->seq, reply.why.text);
            break;
        }
        if (!pause_before_retry(settler))
            return;
    }
}

/* Until it is answered: what it protects from is worse than waiting. */
static void
try_record(struct settler *settler, const struct trial *trial)
{
    struct reply reply = {.kind = REPLY_TRIED, .shard = trial->shard};

    do {
        if (connect_store(settler, &reply.why) &&
            store_try(settler->store, trial, &reply.times, &reply.why)) {
            answer(settler, &reply);
            return;
        }
    } while (reply.why.class == ERR_RETRY && pause_before_retry(settler));
    reply.kind = REPLY_FENCED;
    answer(settler, &reply);
}

static void
read_waiting(struct settler *settler, const struct unpriced_query *query, int64_t asked)
{
    struct reply reply = {.kind = REPLY_WAITING, .shard = query->shard, .asked = asked};
    struct list events;

    do {
        reply.memory = arena_new(WAITING_MEMORY);
        list_init(&events, sizeof(struct unpriced_event), UNPRICED_PAGE);
        if (reply.memory != NULL && connect_store(settler, &reply.why) &&
            store_unpriced(settler->store, query, reply.memory, &events, &reply.why)) {
            reply.waiting_count = events.count;
            reply.waiting = arena_take(reply.memory, events.count * sizeof *reply.waiting);
            if (reply.waiting == NULL)
                abort();
            if (events.count > 0)
                memcpy(reply.waiting, events.at, events.count * sizeof *reply.waiting);
            list_free(&events);
            answer(settler, &reply);
            return;
        }
        list_free(&events);
        arena_free(reply.memory);
        reply.memory = NULL;
    } while (reply.why.class == ERR_RETRY && pause_before_retry(settler));
    reply.kind = REPLY_FENCED;
    answer(settler, &reply);
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

struct command_context {
    struct list orders; /* struct order *, in order of their ids */
};

void
order_free(struct order *order)
{
    if (order != NULL)
        arena_free(order->memory);
}

static void
on_command(void *opaque, int32_t shard, const struct command *command)
{
    struct command_context *context = opaque;
    struct arena *memory = arena_new(ORDER_MEMORY);
    struct order *order = memory == NULL ? NULL : arena_take(memory, sizeof *order);
    struct order **place = list_add(&context->orders);

    if (order == NULL || place == NULL)
        abort();
    *order = (struct order){.memory = memory,
                            .shard = shard,
                            .command = *command,
                            .after = {.shard = shard, .topic = -1}};
    struct text *const texts[] = {&order->command.tenant,          &order->command.topic,
                                  &order->command.retry.topic,     &order->command.retry.key,
                                  &order->command.retry.value,     &order->command.actor,
                                  &order->command.reason,          &order->command.breaker.feature,
                                  &order->command.anomaly.feature, &order->command.anomaly.before};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const bool present = texts[i]->at != NULL;

        *texts[i] = arena_text(memory, *texts[i]);
        if (present && texts[i]->at == NULL)
            abort();
    }
    *place = order;
}

/* Hands out what was fetched.  A policy is read first; while it cannot be, it and all that follows
 * wait to be fetched again. */
static void
hand_out(struct settler *settler, const struct list *orders)
{
    struct err why = {.class = ERR_NONE};

    for (size_t i = 0; i < orders->count; i++) {
        struct order *order = *(struct order **)list_at(orders, i);

        if (why.class == ERR_NONE && order->command.kind == COMMAND_POLICY)
            order->policy = policies_get(settler->store, order->command.serial, &why);
        if (why.class != ERR_NONE) {
            order_free(order);
            continue;
        }
        struct taken *taken = list_add(&settler->taken);

        if (taken == NULL)
            abort();
        *taken = (struct taken){.id = order->command.id, .shard = order->shard};
        answer(settler,
               &(struct reply){.kind = REPLY_COMMAND, .shard = order->shard, .order = order});
    }
    if (why.class == ERR_FATAL)
        answer(settler, &(struct reply){.kind = REPLY_FATAL, .why = why});
    else if (why.class != ERR_NONE)
        log_warning("commands", "text=\"%s\"", why.text);
}

/* Tenants of one shard after the other whose time came while nobody had them in memory. */
static void
find_overdue(struct settler *settler, int32_t shard)
{
    struct due_names due = {.memory = arena_new(CLAIM_MEMORY)};
    struct reply reply = {.kind = REPLY_OVERDUE, .shard = shard, .memory = due.memory};
    struct err why;

    if (due.memory == NULL)
        return;
    list_init(&due.names, sizeof(struct text), OVERDUE_LIMIT);
    const bool good = store_overdue(settler->store, shard, on_due, &due, &why);

    reply.due = arena_take(due.memory, (due.names.count + 1) * sizeof *reply.due);
    if (good && reply.due != NULL && due.names.count > 0) {
        memcpy(reply.due, due.names.at, due.names.count * sizeof *reply.due);
        reply.due_count = due.names.count;
        answer(settler, &reply);
    } else {
        arena_free(due.memory);
    }
    list_free(&due.names);
    if (!good)
        log_warning("overdue", "text=\"%s\"", why.text);
}

static void
fetch_commands(struct settler *settler)
{
    struct command_context context;
    int64_t ids[1024];
    struct err why;
    int32_t *shards;
    size_t count;

    list_init(&context.orders, sizeof(struct order *), QUEUE_LIMIT);
    (void)pthread_mutex_lock(&settler->lock);
    count = settler->shard_count;
    shards = calloc(count + 1, sizeof *shards);
    if (shards == NULL)
        abort();
    if (count > 0)
        memcpy(shards, settler->shards, count * sizeof *shards);
    (void)pthread_mutex_unlock(&settler->lock);
    /* What was given out for shards that are not served any more is somebody else's. */
    struct taken *all = settler->taken.at;
    size_t kept = 0;

    for (size_t i = 0; i < settler->taken.count; i++)
        for (size_t s = 0; s < count; s++)
            if (shards[s] == all[i].shard) {
                all[kept++] = all[i];
                break;
            }
    settler->taken.count = kept;
    for (size_t i = 0; i < kept && i < 1024; i++)
        ids[i] = all[i].id;
    if (count > 0 && kept < 1024 && connect_store(settler, &why) &&
        !store_commands(
            settler->store,
            &(struct command_query){
                .shards = shards, .shard_count = count, .taken = ids, .taken_count = kept},
            on_command, &context, &why))
        log_warning("commands", "text=\"%s\"", why.text);
    if (count > 0 && now_steady_ms() >= settler->look_at_ms && settler->store != NULL &&
        !store_broken(settler->store)) {
        find_overdue(settler, shards[settler->looked_at++ % count]);
        settler->look_at_ms = now_steady_ms() + LOOK_EVERY_MS;
    }
    hand_out(settler, &context.orders);
    list_free(&context.orders);
    free(shards);
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

static void *
run(void *opaque)
{
    struct settler *settler = opaque;

    while (!stopping(settler)) {
        struct job job;

        make_loader(settler);
        if (next_job(settler, &job)) {
            switch (job.kind) {
            case JOB_CLAIM:
                claim(settler, &job);
                break;
            case JOB_SETTLE:
                settle(settler, job.settlement);
                break;
            case JOB_TRY:
                try_record(settler, &job.trial);
                break;
            case JOB_WAITING:
                read_waiting(settler, &job.query, job.asked);
                break;
            }
        }
        if (now_steady_ms() >= settler->commands_at_ms) {
            fetch_commands(settler);
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
    pthread_condattr_t monotonic;

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
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&settler->asked, &monotonic);
    (void)pthread_cond_init(&settler->answered, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
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
