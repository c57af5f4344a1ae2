/* What other threads see of a worker: copies that it makes now and then. */
#include "engine/worker_state.h"

static void
view_partition(struct worker *worker, const struct held *held, size_t topic)
{
    static const char *const waiting[] = {"waits for its claim", "waits for the broker",
                                          "loads its tenants", "", "revoked, waits for the group"};
    struct partition_view *view = list_add(&worker->views);
    struct watermark mark = {.high = -1};

    if (view == NULL)
        return;
    *view = (struct partition_view){.topic = worker->setup.config->kafka.topics[topic],
                                    .shard = held->number,
                                    .next = -1,
                                    .high = -1,
                                    .halted = held->topics[topic].halted};
    (void)text_copy(view->state, sizeof view->state, text_of(waiting[held->state]));
    if (held->state == HELD_RUNNING) {
        view->next = shard_next_offset(held->shard, (int32_t)topic);
        view->time_ms = shard_time(held->shard);
        if (consumer_watermark(worker->consumer, (int32_t)topic, held->number, &mark))
            view->high = mark.high;
    } else if (held->why[0] != '\0') {
        (void)text_copy(view->state, sizeof view->state, text_of(held->why));
    }
    if (view->halted)
        (void)text_copy(view->state, sizeof view->state, text_of(held->topics[topic].why));
}

void
worker_views(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->view_lock);
    list_clear(&worker->views);
    worker->not_ready.class = ERR_NONE;
    if (!worker->joined)
        (void)err_set(&worker->not_ready, ERR_RETRY, "%s waits for the consumer group at %s",
                      worker->setup.name, worker->setup.config->kafka.brokers);
    for (size_t i = 0; i < worker->held_count; i++) {
        const struct held *held = &worker->held[i];

        for (size_t t = 0; t < worker->setup.config->kafka.topic_count; t++)
            view_partition(worker, held, t);
        if (held->state != HELD_RUNNING && worker->joined)
            (void)err_set(&worker->not_ready, ERR_RETRY, "shard %d waits: %s", held->number,
                          held->why[0] == '\0' ? "its claim is under way" : held->why);
    }
    (void)pthread_mutex_unlock(&worker->view_lock);
}

void
worker_each(struct worker *worker, worker_on_partition *on_partition, void *context)
{
    (void)pthread_mutex_lock(&worker->view_lock);
    for (size_t i = 0; i < worker->views.count; i++)
        on_partition(context, list_at(&worker->views, i));
    (void)pthread_mutex_unlock(&worker->view_lock);
}

bool
worker_ready(struct worker *worker, struct err *why)
{
    (void)pthread_mutex_lock(&worker->view_lock);
    *why = worker->not_ready;
    (void)pthread_mutex_unlock(&worker->view_lock);
    return why->class == ERR_NONE;
}
