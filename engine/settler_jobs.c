/* A settler at work: claims, settlements, trials, what waits for a price. */
#include "engine/settler_state.h"

#include "config/log.h"
#include "config/now.h"
#include "engine/policies.h"
#include "sinks/dead_topic.h"
#include "sinks/notifier.h"

#include <inttypes.h>
#include <stdlib.h>

#define CLAIM_MEMORY   ((size_t)256 << 20)
#define OVERDUE_LIMIT  1000
#define WAITING_MEMORY ((size_t)64 << 20)

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

static void
claim(struct settler *settler, const struct job *job)
{
    struct reply reply = {.kind = REPLY_CLAIM_LATER, .shard = job->shard};
    struct due_names due = {.memory = arena_new(CLAIM_MEMORY)};
    bool good = due.memory != NULL && settler_connect(settler, &reply.why);

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
        settler_answer(settler, &reply);
        return;
    }
    if (!reply.claim.kept)
        settler_forget_shard(settler, job->shard);
    reply.kind = REPLY_CLAIMED;
    reply.memory = due.memory;
    reply.due = arena_take(due.memory, due.names.count * sizeof *reply.due);
    reply.due_count = reply.due == NULL ? 0 : due.names.count;
    if (reply.due_count > 0)
        memcpy(reply.due, due.names.at, due.names.count * sizeof *reply.due);
    list_free(&due.names);
    settler_answer(settler, &reply);
}

void
settler_overdue(struct settler *settler, int32_t shard)
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
        settler_answer(settler, &reply);
    } else {
        arena_free(due.memory);
    }
    list_free(&due.names);
    if (!good)
        log_warning("overdue", "text=\"%s\"", why.text);
}

/* ---- settlements --------------------------------------------------------------------------------------------- */

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
    settler_forget_done(settler, settlement);
    settler_answer(settler, &reply);
}

static void
settle(struct settler *settler, struct settlement *settlement)
{
    struct reply reply = {.shard = settlement->shard, .settlement = settlement};

    for (;;) {
        struct settle_result result = {0};
        const int64_t from_ms = now_steady_ms();
        enum settled outcome = SETTLE_UNKNOWN;

        if (settler_connect(settler, &reply.why))
            outcome = store_settle(settler->store, settler->setup.config, settlement, &result,
                                   &reply.why);
        metric_add(settler->setup.metrics, METRIC_SETTLE_MS, now_steady_ms() - from_ms);
        settler_set_up(settler, outcome != SETTLE_UNKNOWN);
        switch (outcome) {
        case SETTLED:
            settled(settler, settlement, &result);
            return;
        case SETTLE_FENCED:
            metric_add(settler->setup.metrics, METRIC_SETTLE_FENCED, 1);
            reply.kind = REPLY_FENCED;
            settler_answer(settler, &reply);
            return;
        case SETTLE_REFUSED:
            metric_add(settler->setup.metrics, METRIC_SETTLE_REFUSED, 1);
            log_warning("settlement_refused", "shard=%d text=\"%s\"", settlement->shard,
                        reply.why.text);
            if (!store_attempting(settler->store, settlement, &reply.why))
                break;
            reply.kind = REPLY_REFUSED;
            settler_answer(settler, &reply);
            return;
        case SETTLE_IMPOSSIBLE:
            reply.kind = REPLY_FATAL;
            settler_answer(settler, &reply);
            return;
        case SETTLE_UNKNOWN:
            log_warning("settlement_unknown", "shard=%d seq=%" PRId64 " text=\"%s\"",
                        settlement->shard, settlement->seq, reply.why.text);
            break;
        }
        if (!settler_pause(settler))
            return;
    }
}

/* Until it is answered: what it protects from is worse than waiting. */
static void
try_record(struct settler *settler, const struct trial *trial)
{
    struct reply reply = {.kind = REPLY_TRIED, .shard = trial->shard};

    do {
        if (settler_connect(settler, &reply.why) &&
            store_try(settler->store, trial, &reply.times, &reply.why)) {
            settler_answer(settler, &reply);
            return;
        }
    } while (reply.why.class == ERR_RETRY && settler_pause(settler));
    reply.kind = REPLY_FENCED;
    settler_answer(settler, &reply);
}

static void
read_waiting(struct settler *settler, const struct unpriced_query *query, int64_t asked)
{
    struct reply reply = {.kind = REPLY_WAITING, .shard = query->shard, .asked = asked};
    struct list events;

    do {
        reply.memory = arena_new(WAITING_MEMORY);
        list_init(&events, sizeof(struct unpriced_event), UNPRICED_PAGE);
        if (reply.memory != NULL && settler_connect(settler, &reply.why) &&
            store_unpriced(settler->store, query, reply.memory, &events, &reply.why)) {
            reply.waiting_count = events.count;
            reply.waiting = arena_take(reply.memory, events.count * sizeof *reply.waiting);
            if (reply.waiting == NULL)
                abort();
            if (events.count > 0)
                memcpy(reply.waiting, events.at, events.count * sizeof *reply.waiting);
            list_free(&events);
            settler_answer(settler, &reply);
            return;
        }
        list_free(&events);
        arena_free(reply.memory);
        reply.memory = NULL;
    } while (reply.why.class == ERR_RETRY && settler_pause(settler));
    reply.kind = REPLY_FENCED;
    settler_answer(settler, &reply);
}

/* ---- what is asked ------------------------------------------------------------------------------ */

void
settler_do(struct settler *settler, const struct job *job)
{
    switch (job->kind) {
    case JOB_CLAIM:
        claim(settler, job);
        break;
    case JOB_SETTLE:
        settle(settler, job->settlement);
        break;
    case JOB_TRY:
        try_record(settler, &job->trial);
        break;
    case JOB_WAITING:
        read_waiting(settler, &job->query, job->asked);
        break;
    }
}
