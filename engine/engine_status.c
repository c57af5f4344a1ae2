/* What the status server asks of the engine. */
#include "config/log.h"
#include "config/now.h"
#include "engine/engine_state.h"

#include <stdio.h>

struct reason_context {
    status_on_reason *on_reason;
    void *to;
};

static void
on_halted(void *opaque, const struct partition_view *view)
{
    const struct reason_context *context = opaque;
    char text[ERR_TEXT_SIZE];

    if (!view->halted)
        return;
    (void)snprintf(text, sizeof text, "partition %s/%d is halted: %s", view->topic, view->shard,
                   view->state);
    context->on_reason(context->to, text);
}

static void
say_growing(struct engine *engine, status_on_reason *on_reason, void *to)
{
    char waits[ERR_TEXT_SIZE];
    char text[ERR_TEXT_SIZE + 64];

    (void)pthread_mutex_lock(&engine->waits_lock);
    (void)text_copy(waits, sizeof waits, text_of(engine->waits));
    (void)pthread_mutex_unlock(&engine->waits_lock);
    if (waits[0] == '\0')
        return;
    (void)snprintf(text, sizeof text, "partitions added to the usage topics wait %s", waits);
    on_reason(to, text);
}

static void
reasons(void *context, status_on_reason *on_reason, void *to)
{
    struct engine *engine = context;
    struct reason_context halted = {on_reason, to};

    if (!atomic_load(&engine->serving)) {
        char waits[ERR_TEXT_SIZE];

        (void)pthread_mutex_lock(&engine->waits_lock);
        (void)text_copy(waits, sizeof waits, text_of(engine->waits));
        (void)pthread_mutex_unlock(&engine->waits_lock);
        on_reason(to, waits);
        return;
    }
    say_growing(engine, on_reason, to);
    for (size_t i = 0; i < engine->worker_count; i++) {
        struct err why;

        if (engine->workers[i] != NULL && !worker_ready(engine->workers[i], &why))
            on_reason(to, why.text);
        if (engine->workers[i] != NULL)
            worker_each(engine->workers[i], on_halted, &halted);
    }
}

struct partition_context {
    const struct engine *engine;
    status_on_partition *on_partition;
    void *to;
};

static void
on_view(void *opaque, const struct partition_view *view)
{
    const struct partition_context *context = opaque;
    const int64_t now_ms = now_wall_ms() + context->engine->config->clock_offset_ms;
    const int64_t lag =
        view->high >= 0 && view->next >= 0 && view->high > view->next ? view->high - view->next : 0;

    context->on_partition(
        context->to, &(struct status_partition){
                         .topic = text_of(view->topic),
                         .partition = view->shard,
                         .position = view->next,
                         .end = view->high,
                         .lag_records = view->high < 0 || view->next < 0 ? -1 : lag,
                         .lag_ms = view->high < 0 ? -1
                                   : lag == 0     ? 0
                                                  : now_ms - view->time_ms,
                         .as_of_ms = view->time_ms,
                         .halted = view->halted ? text_of(view->state) : (struct text){NULL, 0}});
}

static void
partitions(void *opaque, status_on_partition *on_partition, void *to)
{
    const struct engine *engine = opaque;
    struct partition_context context = {engine, on_partition, to};

    for (size_t i = 0; i < engine->worker_count && atomic_load(&engine->serving); i++)
        if (engine->workers[i] != NULL)
            worker_each(engine->workers[i], on_view, &context);
}

static bool
enforcing(void *context)
{
    const struct engine *engine = context;

    for (size_t i = 0; i < engine->worker_count && atomic_load(&engine->serving); i++)
        if (engine->workers[i] != NULL && !worker_is_enforcing(engine->workers[i]))
            return false;
    return true;
}

/* Gauges that say 0 or 1 of the whole engine stand in one set: sets are summed. */
void
engine_set_gauges(struct engine *engine)
{
    struct metric_set *set = &engine->sets[engine->worker_count];
    bool postgres = true;
    bool kafka = false;

    for (size_t i = 0; i < engine->worker_count; i++) {
        bool reached;

        postgres = worker_up(engine->workers[i], &reached) && postgres;
        kafka = kafka || reached;
    }
    metric_set_to(set, METRIC_POSTGRES_UP, postgres);
    metric_set_to(set, METRIC_KAFKA_UP, kafka);
    metric_set_to(set, METRIC_ENFORCING, enforcing(engine));
}

static void
restrictions(void *context, control_on_state *on_state, void *to)
{
    const struct engine *engine = context;

    if (atomic_load(&engine->serving))
        control_each(engine->control, on_state, to);
}

bool
engine_start_status(struct engine *engine)
{
    struct err why;

    engine->source = (struct status_source){.sets = engine->set_list,
                                            .set_count = engine->worker_count + 4,
                                            .context = engine,
                                            .reasons = reasons,
                                            .partitions = partitions,
                                            .enforcing = enforcing,
                                            .restrictions = restrictions};
    engine->status = status_start(engine->config, &engine->source, &why);
    if (engine->status == NULL)
        log_error("start", "text=\"%s\"", why.text);
    return engine->status != NULL;
}
