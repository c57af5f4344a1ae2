/* What operators and other programs order: commands of the store, and dead letters read again. */
#include "engine/worker_state.h"

#include "config/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define ERRAND_MEMORY ((size_t)64 << 10) /* of one: a name */

static int32_t
topic_index(const struct config *config, struct text name)
{
    for (size_t t = 0; t < config->kafka.topic_count; t++)
        if (text_eq(text_of(config->kafka.topics[t]), name))
            return (int32_t)t;
    return -1;
}

void
orders_wait_alone(struct worker *worker, struct order *order)
{
    struct order **place = list_add(&worker->alone);

    if (place == NULL)
        abort();
    *place = order;
}

/* A dead letter read again: exactly once, because the command is marked in the same settlement. */
static void
retry(struct worker *worker, struct held *held, struct order *order)
{
    const struct command *command = &order->command;
    const struct record record = {.topic = topic_index(worker->setup.config, command->retry.topic),
                                  .partition = command->retry.partition,
                                  .offset = command->retry.offset,
                                  .time_ms = command->retry.time_ms,
                                  .key = command->retry.key,
                                  .value = command->retry.value};
    /* What was ahead of its record's time need not be ahead of now. */
    struct record again = record;
    struct event event;
    struct dead dead;
    int32_t index = 0;
    enum decoded found;
    const char *error = "the record holds no event at this index";

    if (shard_time(held->shard) > again.time_ms)
        again.time_ms = shard_time(held->shard);
    decoder_open(worker->decoder, &again);
    while ((found = decoder_next(worker->decoder, &event, &dead)) != DECODED_END) {
        if (index++ != command->retry.index)
            continue;
        if (found == DECODED_DEAD)
            error = dead_names[dead.reason];
        if (found != DECODED_EVENT)
            continue;
        switch (record.topic < 0
                    ? REVIVED_REFUSED
                    : shard_revive(held->shard, &record, command->retry.index, &event)) {
        case REVIVED:
            error = NULL;
            break;
        case REVIVED_REFUSED:
            error = "counted meanwhile with other counts or cost, what it refers to is not in the "
                    "record, or a total would leave its range";
            break;
        case REVIVED_UNKNOWN:
            order->command.tenant = arena_text(order->memory, event.tenant);
            if (order->command.tenant.at == NULL ||
                !loading_errand(worker, &(struct errand){.shard = held->number,
                                                         .tenant = order->command.tenant,
                                                         .order = order}))
                abort();
            return;
        }
    }
    shard_command_done(held->shard, command->id, error);
    order_free(order);
}

void
orders_errand(struct worker *worker, struct held *held, struct errand *errand)
{
    if (errand->order == NULL) {
        if (errand->scope.at != NULL)
            shard_declare(held->shard, errand->scope, errand->tenant);
        arena_free(errand->memory);
    } else if (errand->order->command.kind == COMMAND_RERATE ||
               (errand->order->command.kind == COMMAND_RETRY && held->alone)) {
        orders_wait_alone(worker, errand->order);
    } else if (errand->order->command.kind == COMMAND_RETRY) {
        retry(worker, held, errand->order);
    } else {
        const struct command *command = &errand->order->command;

        shard_command_done(held->shard, command->id,
                           command->kind == COMMAND_BREAKER   ? shard_breaker(held->shard, command)
                           : command->kind == COMMAND_ANOMALY ? shard_anomaly(held->shard, command)
                                                              : NULL);
        order_free(errand->order);
    }
}

struct again {
    struct worker *worker;
    int32_t shard;
};

/* Its features when breakers are new in the policy, or it itself, come with a load. */
static void
load_again(void *opaque, struct text name)
{
    const struct again *again = opaque;
    struct errand errand = {.shard = again->shard, .memory = arena_new(ERRAND_MEMORY)};

    if (errand.memory == NULL)
        abort();
    errand.tenant = arena_text(errand.memory, name);
    if (errand.tenant.at != NULL && loading_errand(again->worker, &errand))
        return;
    /* Too many at once: it waits for its next load. */
    errand_free(&errand);
}

void
orders_overdue(struct worker *worker, int32_t shard, const struct text *tenants, size_t count)
{
    struct again again = {worker, shard};

    /* Those of last time may be among them: they are asked for again when all are loaded. */
    if (worker_held(worker, shard) == NULL || worker->errands.count > 0)
        return;
    for (size_t i = 0; i < count; i++)
        load_again(&again, tenants[i]);
}

void
orders_take(struct worker *worker, struct order *order)
{
    struct held *held = worker_held(worker, order->shard);
    const struct command *command = &order->command;

    if (held == NULL || held->state != HELD_RUNNING) {
        order_free(order);
        return;
    }
    held->command_taken = command->id;
    log_info("command", "id=%" PRId64 " kind=%d shard=%d", command->id, (int)command->kind,
             order->shard);
    switch (command->kind) {
    case COMMAND_TENANT:
    case COMMAND_WORD:
    case COMMAND_BREAKER:
    case COMMAND_ANOMALY:
        if (!loading_errand(
                worker,
                &(struct errand){.shard = held->number, .tenant = command->tenant, .order = order}))
            abort();
        return;
    case COMMAND_RETRY:
        if (held->alone) {
            orders_wait_alone(worker, order);
            return;
        }
        retry(worker, held, order);
        worker_want(worker, held);
        return;
    case COMMAND_RESUME:
    case COMMAND_RERATE:
        orders_wait_alone(worker, order);
        return;
    case COMMAND_POLICY:
        shard_policy(held->shard, order->policy);
        shard_unprotected(held->shard, load_again, &(struct again){worker, held->number});
        shard_command_done(held->shard, command->id, NULL);
        break;
    case COMMAND_ENFORCE:
        shard_enforce(held->shard, command->on);
        worker_enforcing(worker, command->on);
        shard_command_done(held->shard, command->id, NULL);
        break;
    case COMMAND_KIND_COUNT:
        break;
    }
    worker_want(worker, held);
    order_free(order);
}

static struct order *
next_alone(struct worker *worker)
{
    struct order **first = worker->alone.at;
    struct order *order = *first;

    worker->alone.count--;
    memmove(first, first + 1, worker->alone.count * worker->alone.size);
    return order;
}

/* A halted partition is read on from where it stopped, by a new claim: its tail was not read. */
static void
resume(struct worker *worker, struct held *held, struct order *order)
{
    const int32_t number = held->number;
    const int32_t topic = topic_index(worker->setup.config, order->command.topic);
    const bool resumed = topic >= 0 && shard_resume(held->shard, topic);

    shard_command_done(held->shard, order->command.id, resumed ? NULL : "it is not halted");
    order_free(order);
    if (settling_wait(worker, held) && resumed)
        claims_again(worker, worker_held(worker, number));
}

static void
retry_alone(struct worker *worker, struct held *held, struct order *order)
{
    const int64_t id = order->command.id;
    const int32_t number = held->number;

    held->refused = false;
    if (id == held->refuse_command) {
        shard_command_done(held->shard, id, dead_names[DEAD_refused_by_database]);
        order_free(order);
    } else {
        retry(worker, held, order);
        worker_want(worker, held);
    }
    if (settling_wait(worker, held))
        return;
    held = worker_held(worker, number);
    if (held != NULL && held->refused)
        held->refuse_command = id;
}

void
orders_alone(struct worker *worker)
{
    /* What waits again does so for the next turn: events come between. */
    for (size_t left = worker->alone.count; left > 0 && !atomic_load(&worker->draining); left--) {
        struct order *order = next_alone(worker);
        const int32_t number = order->shard;
        struct held *held = worker_held(worker, number);

        /* Who loses the shard meanwhile leaves the command to the next owner. */
        if (held == NULL || held->state != HELD_RUNNING || !settling_wait(worker, held)) {
            order_free(order);
            continue;
        }
        held = worker_held(worker, number);
        if (order->command.kind == COMMAND_RESUME)
            resume(worker, held, order);
        else if (order->command.kind == COMMAND_RERATE)
            rerate_page(worker, held, order);
        else
            retry_alone(worker, held, order);
    }
}
