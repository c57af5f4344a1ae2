#include "engine/worker_state.h"

#include "config/failpoint.h"
#include "config/log.h"
#include "config/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TAKE_AT_MOST   256
#define IDLE_WAIT_MS   50 /* when only records and time can bring work */
#define BUSY_WAIT_MS   10 /* when an answer is awaited that wakes nobody */
#define PARK_WAIT_MS   1
#define TICK_MS        100
#define VIEW_MS        500
#define TELL_MS        1000
#define REVOKE_WAIT_MS 3000
#define STALL_MS       5000 /* half a session of the group */

int64_t
worker_wall_ms(const struct worker *worker)
{
    return now_wall_ms() + worker->setup.config->clock_offset_ms;
}

struct held *
worker_held(struct worker *worker, int32_t number)
{
    size_t low = 0;
    size_t high = worker->held_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (worker->held[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < worker->held_count && worker->held[low].number == number ? &worker->held[low]
                                                                          : NULL;
}

void
worker_enforcing(struct worker *worker, bool on)
{
    atomic_store(&worker->enforcing, on);
}

bool
worker_is_enforcing(const struct worker *worker)
{
    return atomic_load(&worker->enforcing);
}

void
worker_fatal(struct worker *worker, const struct err *why)
{
    worker->setup.on_fatal(why);
}

void
worker_want(struct worker *worker, struct held *held)
{
    struct scope_state *const *states;
    const size_t count = shard_wanted(held->shard, &states);
    size_t taken = 0;

    if (count == 0)
        return;
    while (taken < count && control_want(worker->setup.control, states[taken]))
        taken++;
    /* A full map takes the rest later: nothing is forgotten meanwhile. */
    shard_wanted_taken(held->shard, taken);
    (void)failpoint(FAIL_decision_wanted, -1);
}

/* ---- the group --------------------------------------------------------------------------------------- */

/* Settles what can be settled in a moment; the rest is for whoever owns the shards next. */
static void
revoke(struct worker *worker)
{
    const int64_t until_ms = now_steady_ms() + REVOKE_WAIT_MS;
    bool open = !failpoint(FAIL_revoke, -1);

    while (open && now_steady_ms() < until_ms && settler_up(worker->settler)) {
        open = false;
        settling_freeze(worker, true);
        settling_replies(worker, 20);
        for (size_t i = 0; i < worker->held_count; i++) {
            const struct held *held = &worker->held[i];

            open |= held->state == HELD_RUNNING &&
                    (held->frozen != NULL || (held->parked == 0 && !shard_clean(held->shard)));
        }
    }
    settling_tell(worker);
    claims_lost(worker, true);
    consumer_let_go(worker->consumer);
}

static void
lost(struct worker *worker, const char *how)
{
    log_warning("lost", "worker=%s text=\"%s\"", worker->setup.name, how);
    worker->stalled = true; /* until it is a member again */
    claims_lost(worker, true);
}

static void
membership(struct worker *worker)
{
    struct err why;

    switch (consumer_poll(worker->consumer, &why)) {
    case MEMBERSHIP_SAME:
        break;
    case MEMBERSHIP_CHANGED:
        claims_changed(worker);
        break;
    case MEMBERSHIP_REVOKED:
        revoke(worker);
        break;
    case MEMBERSHIP_LOST:
        lost(worker, "thrown out of the group");
        break;
    case MEMBERSHIP_FENCED:
        lost(worker, "thrown out of the group; joins it as a new client");
        if (!consumer_renew(worker->consumer, &why))
            worker_fatal(worker, &why);
        break;
    case MEMBERSHIP_FATAL:
        worker_fatal(worker, &why);
        break;
    }
}

void
worker_serve(struct worker *worker)
{
    /* Waiting inside a batch: a change of the group ends the batch first. */
    if (worker->batch == NULL)
        membership(worker);
    else
        worker->dropped = consumer_pending(worker->consumer) || worker->dropped;
}

/* ---- scopes that strangers wrote about ------------------------------------------------------------ */

void
worker_offer(struct worker *worker, struct text scope, struct text tenant)
{
    struct arena *memory = arena_new((size_t)1 << 16);
    struct errand errand = {.shard = -1, .memory = memory};

    if (memory == NULL)
        return;
    errand.scope = arena_text(memory, scope);
    errand.tenant = arena_text(memory, tenant);
    (void)pthread_mutex_lock(&worker->view_lock);
    struct errand *one = list_add(&worker->offers);

    /* What does not fit is offered again when the topic is next looked at. */
    if (one != NULL && errand.scope.at != NULL && errand.tenant.at != NULL)
        *one = errand;
    else
        arena_free(memory);
    (void)pthread_mutex_unlock(&worker->view_lock);
}

static void
take_offers(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->view_lock);
    for (size_t i = 0; i < worker->offers.count; i++) {
        struct errand *errand = list_at(&worker->offers, i);

        if (!loading_errand(worker, errand))
            errand_free(errand);
    }
    list_clear(&worker->offers);
    (void)pthread_mutex_unlock(&worker->view_lock);
}

/* ---- topics that grow ------------------------------------------------------------------------------- */

int32_t
worker_reach(const struct worker *worker)
{
    return atomic_load(&worker->reach);
}

void
worker_layout(struct worker *worker, int32_t partitions, const char *waits)
{
    (void)pthread_mutex_lock(&worker->view_lock);
    if (waits != NULL)
        (void)snprintf(worker->beyond, sizeof worker->beyond,
                       "added to the usage topics, it waits %s", waits);
    /* What is known elsewhere may be older. */
    if (partitions > atomic_load(&worker->partitions))
        atomic_store(&worker->partitions, partitions);
    (void)pthread_mutex_unlock(&worker->view_lock);
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void
take_batch(struct worker *worker, int timeout_ms)
{
    struct arrival *arrivals;
    const size_t count = consumer_take(worker->consumer, timeout_ms, TAKE_AT_MOST, &arrivals);

    worker->dropped = false;
    worker->batch = arrivals;
    apply_batch(worker, arrivals, count);
    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].state == HELD_RUNNING)
            apply_fingerprints(worker, &worker->held[i]);
    worker->batch = NULL;
    consumer_release(worker->consumer);
}

/* How long the next record is waited for: it wakes the worker, other things do not. */
static int
wait_ms(const struct worker *worker)
{
    if (worker->parked.count > 0)
        return PARK_WAIT_MS;
    if (!worker->joined || worker->assign || worker->loading_shard >= 0 ||
        worker->errands.count > 0 || worker->alone.count > 0)
        return BUSY_WAIT_MS;
    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].state != HELD_RUNNING || worker->held[i].frozen != NULL)
            return BUSY_WAIT_MS;
    return IDLE_WAIT_MS;
}

static void
turn(struct worker *worker)
{
    const int64_t now_ms = now_steady_ms();
    struct err why;

    worker->stalled = worker->stalled || now_ms - worker->turned_ms > STALL_MS;
    worker->turned_ms = now_ms;
    membership(worker);
    settling_replies(worker, 0);
    claims_ask(worker);
    (void)loading_turn(worker, settling_overdue(worker) ? LOAD_WAIT_MS : 0);
    if (worker->assign && claims_gathered(worker) && consumer_assign(worker->consumer, &why))
        worker->assign = false;
    take_batch(worker, wait_ms(worker));
    orders_alone(worker);
    if (now_steady_ms() >= worker->tick_at_ms) {
        worker->tick_at_ms = now_steady_ms() + TICK_MS;
        pace_tick(worker);
        take_offers(worker);
    }
    settling_freeze(worker, false);
    if (now_steady_ms() >= worker->view_at_ms) {
        worker->view_at_ms = now_steady_ms() + VIEW_MS;
        worker_views(worker);
    }
    if (now_steady_ms() >= worker->tell_at_ms) {
        worker->tell_at_ms = now_steady_ms() + TELL_MS;
        settling_tell(worker);
    }
}

/* No more records; what is open is settled if Postgres is there. */
static void
drain(struct worker *worker)
{
    const int64_t until_ms = now_steady_ms() + 5000;
    bool open = !failpoint(FAIL_drain, -1);

    while (open && now_steady_ms() < until_ms) {
        open = false;
        settling_freeze(worker, true);
        (void)loading_turn(worker, 20);
        settling_replies(worker, 20);
        for (size_t i = 0; i < worker->held_count; i++) {
            const struct held *held = &worker->held[i];

            open |=
                held->state == HELD_RUNNING && (held->frozen != NULL || !shard_clean(held->shard));
        }
    }
}

static void *
run(void *opaque)
{
    struct worker *worker = opaque;

    while (!atomic_load(&worker->draining))
        turn(worker);
    drain(worker);
    settling_tell(worker);
    atomic_store(&worker->done, true);
    return NULL;
}

/* ---- started and stopped ---------------------------------------------------------------------------------------- */

static void
worker_free(struct worker *worker)
{
    for (size_t i = 0; i < worker->held_count; i++) {
        shard_free(worker->held[i].shard);
        arena_free(worker->held[i].memory);
    }
    for (size_t i = 0; i < worker->errands.count; i++)
        errand_free(list_at(&worker->errands, i));
    for (size_t i = 0; i < worker->offers.count; i++)
        errand_free(list_at(&worker->offers, i));
    for (size_t i = 0; i < worker->alone.count; i++)
        order_free(*(struct order **)list_at(&worker->alone, i));
    for (size_t i = 0; i < worker->ghosts.count; i++) {
        struct ghost *ghost = list_at(&worker->ghosts, i);

        shard_free(ghost->shard);
        arena_free(ghost->memory);
    }
    free(worker->held);
    store_close(worker->loader);
    decoder_free(worker->decoder);
    for (size_t i = 0; i < READ_AHEAD; i++)
        decoder_free(worker->readings[i].decoder);
    arena_free(worker->parking);
    arena_free(worker->loading_memory);
    list_free(&worker->parked);
    list_free(&worker->errands);
    list_free(&worker->alone);
    list_free(&worker->ghosts);
    list_free(&worker->ahead);
    list_free(&worker->offers);
    list_free(&worker->loading);
    list_free(&worker->views);
    (void)pthread_mutex_destroy(&worker->view_lock);
    free(worker);
}

static bool
has_decoders(const struct worker *worker)
{
    bool all = worker->decoder != NULL;

    for (size_t i = 0; i < READ_AHEAD; i++)
        all = all && worker->readings[i].decoder != NULL;
    return all;
}

struct worker *
worker_start(const struct worker_setup *setup, struct err *why)
{
    struct worker *worker = calloc(1, sizeof *worker);
    const size_t park = setup->config->ingest.park_memory;

    if (worker == NULL) {
        (void)err_set(why, ERR_FATAL, "memory is short");
        return NULL;
    }
    worker->setup = *setup;
    worker->loading_shard = -1;
    worker->turned_ms = now_steady_ms();
    atomic_store(&worker->enforcing, true);
    (void)snprintf(worker->owner, sizeof worker->owner, "%s#%d.%" PRId64, setup->name,
                   (int)getpid(), now_wall_ms());
    (void)pthread_mutex_init(&worker->view_lock, NULL);
    list_init(&worker->parked, sizeof(struct parked), park / sizeof(struct parked) + 1);
    list_init(&worker->errands, sizeof(struct errand), 100000);
    list_init(&worker->alone, sizeof(struct order *), 100000);
    list_init(&worker->ghosts, sizeof(struct ghost), 100000);
    list_init(&worker->ahead, sizeof(struct ahead), TAKE_AT_MOST);
    list_init(&worker->offers, sizeof(struct errand), 10000);
    list_init(&worker->loading, sizeof(struct text), 100000);
    list_init(&worker->views, sizeof(struct partition_view), 100000);
    (void)err_set(&worker->not_ready, ERR_RETRY, "%s is starting", setup->name);
    /* One record more than the limit always fits: it is asked for between records. */
    worker->parking = arena_new(2 * park + ((size_t)16 << 20));
    worker->loading_memory = arena_new((size_t)64 << 20);
    worker->decoder = decoder_new();
    for (size_t i = 0; i < READ_AHEAD; i++)
        worker->readings[i].decoder = decoder_new();
    worker->settler = settler_start(&(struct settler_setup){.config = setup->config,
                                                            .owner = worker->owner,
                                                            .policy = setup->policy,
                                                            .metrics = setup->metrics,
                                                            .notifier = setup->notifier,
                                                            .dead_topic = setup->dead_topic},
                                    why);
    if (worker->settler != NULL)
        worker->consumer =
            consumer_open(&(struct consumer_setup){.config = setup->config,
                                                   .client_id = setup->name,
                                                   .instance_id = setup->instance_id},
                          why);
    if (worker->parking == NULL || worker->loading_memory == NULL || !has_decoders(worker))
        (void)err_set(why, ERR_FATAL, "memory is short");
    else if (worker->consumer != NULL && pthread_create(&worker->thread, NULL, run, worker) == 0)
        return worker;
    (void)consumer_close(worker->consumer, 1000);
    (void)settler_stop(worker->settler, 1000);
    worker_free(worker);
    return NULL;
}

bool
worker_up(const struct worker *worker, bool *kafka)
{
    *kafka = consumer_up(worker->consumer);
    return settler_up(worker->settler);
}

void
worker_drain(struct worker *worker)
{
    atomic_store(&worker->draining, true);
}

bool
worker_stop(struct worker *worker, int64_t deadline_ms)
{
    const int64_t until_ms = now_steady_ms() + deadline_ms;

    worker_drain(worker);
    while (!atomic_load(&worker->done) && now_steady_ms() < until_ms) {
        const struct timespec pause = {.tv_nsec = 5000000};

        (void)nanosleep(&pause, NULL);
    }
    if (!atomic_load(&worker->done))
        return false;
    (void)pthread_join(worker->thread, NULL);
    const bool left = consumer_close(worker->consumer, until_ms - now_steady_ms());
    const bool stopped = settler_stop(worker->settler, until_ms - now_steady_ms());

    if (!left || !stopped)
        return false;
    worker_free(worker);
    return true;
}
