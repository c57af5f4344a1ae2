/* A settler fetches commands: each is given out once, until a settlement says that it is done. */
#include "engine/settler_state.h"

#include "config/log.h"
#include "config/now.h"
#include "engine/policies.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 2000
#define ORDER_MEMORY  ((size_t)16 << 20)

void
settler_forget_shard(struct settler *settler, int32_t shard)
{
    struct taken *all = settler->taken.at;
    size_t kept = 0;

    for (size_t i = 0; i < settler->taken.count; i++)
        if (all[i].shard != shard)
            all[kept++] = all[i];
    settler->taken.count = kept;
}

void
settler_forget_done(struct settler *settler, const struct settlement *settlement)
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

void
order_free(struct order *order)
{
    if (order != NULL)
        arena_free(order->memory);
}

static void
on_command(void *opaque, int32_t shard, const struct command *command)
{
    struct list *orders = opaque;
    struct arena *memory = arena_new(ORDER_MEMORY);
    struct order *order = memory == NULL ? NULL : arena_take(memory, sizeof *order);
    struct order **place = list_add(orders);

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
        settler_answer(
            settler, &(struct reply){.kind = REPLY_COMMAND, .shard = order->shard, .order = order});
    }
    if (why.class == ERR_FATAL)
        settler_answer(settler, &(struct reply){.kind = REPLY_FATAL, .why = why});
    else if (why.class != ERR_NONE)
        log_warning("commands", "text=\"%s\"", why.text);
}

void
settler_fetch(struct settler *settler)
{
    struct list orders; /* struct order *, in order of their ids */
    int64_t ids[1024];
    struct err why;
    int32_t *shards;
    size_t count;

    list_init(&orders, sizeof(struct order *), QUEUE_LIMIT);
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
    if (count > 0 && kept < 1024 && settler_connect(settler, &why) &&
        !store_commands(
            settler->store,
            &(struct command_query){
                .shards = shards, .shard_count = count, .taken = ids, .taken_count = kept},
            on_command, &orders, &why))
        log_warning("commands", "text=\"%s\"", why.text);
    if (count > 0 && now_steady_ms() >= settler->look_at_ms && settler->store != NULL &&
        !store_broken(settler->store)) {
        settler_overdue(settler, shards[settler->looked_at++ % count]);
        settler->look_at_ms = now_steady_ms() + LOOK_EVERY_MS;
    }
    hand_out(settler, &orders);
    list_free(&orders);
    free(shards);
}
