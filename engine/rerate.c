/* Unpriced events are priced when the policy has a price for them: exactly once, for what is read was
 * settled, nothing else happens until it is booked, and it is marked in that settlement. */
#include "engine/worker_state.h"

#include "config/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define ERRAND_MEMORY ((size_t)64 << 10) /* a name */

/* Asks for every tenant of the page that is not held; the order goes on behind the last of them. */
static bool
load_tenants(struct worker *worker, const struct held *held, struct order *order)
{
    struct errand last = {.shard = held->number, .order = order};

    for (size_t i = 0; i < held->waiting_count; i++) {
        const struct text tenant = held->waiting[i].tenant;

        if (shard_knows(held->shard, tenant) || text_eq(tenant, last.tenant))
            continue;
        if (last.tenant.at != NULL) {
            struct errand errand = {.shard = held->number, .memory = arena_new(ERRAND_MEMORY)};

            if (errand.memory == NULL)
                abort();
            errand.tenant = arena_text(errand.memory, last.tenant);
            if (errand.tenant.at == NULL || !loading_errand(worker, &errand))
                errand_free(&errand); /* too many at once: the next page asks again */
        }
        last.tenant = tenant;
    }
    if (last.tenant.at == NULL)
        return false;
    order->command.tenant = last.tenant = arena_text(order->memory, last.tenant);
    if (last.tenant.at == NULL || !loading_errand(worker, &last))
        abort();
    return true;
}

void
rerate_page(struct worker *worker, struct held *held, struct order *order)
{
    const int32_t number = held->number;
    const bool answered = settling_page(worker, held, &order->after);
    int64_t priced = 0;

    held = worker_held(worker, number);
    if (held == NULL || held->state != HELD_RUNNING) {
        order_free(order); /* it is left to the next owner */
        return;
    }
    /* Another command may have come meanwhile that changed what waits. */
    if (!answered || !shard_clean(held->shard)) {
        orders_wait_alone(worker, order);
        return;
    }
    if (load_tenants(worker, held, order))
        return;
    for (size_t i = 0; i < held->waiting_count; i++)
        shard_rerate_tell(held->shard, &held->waiting[i]);
    for (size_t i = 0; i < held->waiting_count; i++) {
        const struct unpriced_event *waiting = &held->waiting[i];

        priced += shard_rerate(held->shard, waiting) == RERATED;
        order->after.topic = waiting->topic;
        order->after.offset = waiting->offset;
        order->after.index = waiting->index;
    }
    const bool done = held->waiting_count < UNPRICED_PAGE;

    arena_free(held->page);
    held->page = NULL;
    if (priced > 0)
        log_info("rerate", "shard=%d priced=%" PRId64, number, priced);
    worker_want(worker, held);
    if (done) {
        shard_command_done(held->shard, order->command.id, NULL);
        order_free(order);
    }
    if (!settling_wait(worker, held) && !done)
        order_free(order);
    else if (!done)
        orders_wait_alone(worker, order);
}
