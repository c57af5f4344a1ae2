#include "sinks/control.h"

#include "config/kafka_client.h"
#include "config/log.h"
#include "config/now.h"
#include "core/identity.h"
#include "sinks/control_internal.h"
#include "sinks/control_message.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int64_t
real_wall_ms(void *config)
{
    return now_wall_ms() + ((const struct config *)config)->clock_offset_ms;
}

static int64_t
real_steady_ms(void *config)
{
    (void)config;
    return now_steady_ms();
}

struct control_shard *
control_shard_of(struct control *control, int32_t shard)
{
    const size_t slot = control_slot(shard);

    if (shard < 0 || slot >= control->shard_count || !control->shards[slot].owned)
        return NULL;
    return &control->shards[slot];
}

/* Under the lock. */
static void
wake(struct control *control)
{
    const uint64_t one = 1;

    if (control->woken)
        return;
    control->woken = true;
    /* Fails only when the counter is full, and then the publisher is awake. */
    if (write(control->wake_fd, &one, sizeof one) < 0)
        return;
}

void
control_wake(struct control *control)
{
    (void)pthread_mutex_lock(&control->lock);
    wake(control);
    (void)pthread_mutex_unlock(&control->lock);
}

/* True while there is something to write or to be acknowledged, and time for it. */
static bool
goes_on(struct control *control)
{
    bool on;

    (void)pthread_mutex_lock(&control->lock);
    on = !control->closing || control_steady_ms(control) < control->close_by_ms;
    if (on && control->closing) {
        const struct scope_entry *first = scopes_first(&control->scopes);
        const bool waits = first != NULL && first->due_ms <= control_steady_ms(control);

        on = waits || (control->producer != NULL && rd_kafka_outq_len(control->producer) > 0);
    }
    (void)pthread_mutex_unlock(&control->lock);
    return on;
}

static void
wait_for_work(struct control *control, int64_t until_ms)
{
    struct pollfd wake_up = {.fd = control->wake_fd, .events = POLLIN};
    int64_t wait_ms = until_ms - control_steady_ms(control);
    uint64_t count;

    if (wait_ms > CONTROL_IDLE_MS)
        wait_ms = CONTROL_IDLE_MS;
    (void)poll(&wake_up, 1, wait_ms < 0 ? 0 : (int)wait_ms);
    /* First empty it, then invite new writers: the other way round a wake-up could be swallowed.
     * Nothing to read is fine: the time was up. */
    if (read(control->wake_fd, &count, sizeof count) < 0)
        count = 0;
    (void)pthread_mutex_lock(&control->lock);
    control->woken = false;
    (void)pthread_mutex_unlock(&control->lock);
}

static void *
publisher(void *opaque)
{
    struct control *control = opaque;

    while (goes_on(control)) {
        /* First what makes room for more. */
        control_producer_serve(control);
        const bool more = control_follow(control);
        const int64_t due_ms = control_publish_due(control);
        const int64_t beat_ms = control_publish_beats(control);

        if (!more)
            wait_for_work(control, due_ms < beat_ms ? due_ms : beat_ms);
    }
    return NULL;
}

static void
name_source(struct control *control)
{
    const struct config *config = control->config;
    size_t size = text_copy(control->source, sizeof control->source, TEXT("//tripmeter/"));

    size += text_percent_encode(control->source + size, sizeof control->source - size,
                                text_of(config->kafka.group));
    if (config->instance == NULL || size + 2 > sizeof control->source)
        return;
    control->source[size++] = '/';
    (void)text_percent_encode(control->source + size, sizeof control->source - size,
                              text_of(config->instance));
}

static void
control_free(struct control *control)
{
    control_producer_close(control);
    control_follower_close(control);
    for (size_t i = 0; i < control->strangers.count; i++)
        free(((struct stranger *)list_at(&control->strangers, i))->scope);
    list_free(&control->strangers);
    table_free(&control->stranger_index);
    scopes_free(&control->scopes);
    free(control->shards);
    if (control->wake_fd >= 0)
        (void)close(control->wake_fd);
    (void)pthread_mutex_destroy(&control->lock);
    free(control);
}

static struct control *
control_new(const struct config *config, struct metric_set *metrics,
            const struct control_clock *clock)
{
    struct control *control = calloc(1, sizeof *control);

    if (control == NULL)
        return NULL;
    control->config = config;
    control->metrics = metrics;
    control->clock = *clock;
    (void)pthread_mutex_init(&control->lock, NULL);
    list_init(&control->strangers, sizeof(struct stranger), STRANGER_LIMIT);
    control->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    name_source(control);
    if (control->wake_fd >= 0 && scopes_init(&control->scopes, SCOPES_LIMIT) &&
        table_init(&control->stranger_index, 1, STRANGER_LIMIT))
        return control;
    control_free(control);
    return NULL;
}

struct control *
control_open_with(const struct config *config, struct metric_set *metrics,
                  const struct control_clock *clock, struct err *why)
{
    struct control *control = control_new(config, metrics, clock);

    if (control == NULL) {
        (void)err_set(why, ERR_FATAL, "control: memory is short");
        return NULL;
    }
    if (control_topic_ready(config, &control->partitions, why) &&
        control_producer_open(control, why) && control_follower_open(control, why)) {
        if (pthread_create(&control->thread, NULL, publisher, control) == 0)
            return control;
        (void)err_set(why, ERR_FATAL, "control: no thread for the publisher");
    }
    control_free(control);
    return NULL;
}

struct control *
control_open(const struct config *config, struct metric_set *metrics, struct err *why)
{
    struct control_clock clock = {.wall_ms = real_wall_ms, .steady_ms = real_steady_ms};

    /* The clock only reads it. */
    memcpy(&clock.context, &config, sizeof clock.context);
    return control_open_with(config, metrics, &clock, why);
}

void
control_close(struct control *control, int64_t deadline_ms)
{
    if (control == NULL)
        return;
    (void)pthread_mutex_lock(&control->lock);
    control->closing = true;
    control->close_by_ms = control_steady_ms(control) + deadline_ms;
    for (size_t i = 0; i < scopes_count(&control->scopes); i++) {
        struct scope_entry *entry = scopes_at(&control->scopes, i);

        if (entry->dirty || entry->force)
            scopes_due(&control->scopes, entry, control_steady_ms(control));
    }
    wake(control);
    (void)pthread_mutex_unlock(&control->lock);
    (void)pthread_join(control->thread, NULL);
    control_free(control);
}

/* Forgets all scopes of the shard. Under the lock. */
static void
forget_scopes(struct control *control, int32_t shard)
{
    /* From the end: removing one moves the last one, already seen, into its place. */
    for (size_t i = scopes_count(&control->scopes); i > 0; i--) {
        struct scope_entry *entry = scopes_at(&control->scopes, i - 1);

        if (scope_entry_shard(entry) == shard)
            scopes_remove(&control->scopes, entry);
    }
}

static bool
make_room(struct control *control, size_t count)
{
    struct control_shard *shards;

    if (count <= control->shard_count)
        return true;
    shards = realloc(control->shards, count * sizeof *shards);
    if (shards == NULL)
        return false;
    memset(shards + control->shard_count, 0, (count - control->shard_count) * sizeof *shards);
    control->shards = shards;
    control->shard_count = count;
    return true;
}

void
control_own(struct control *control, int32_t shard, int64_t epoch)
{
    const int64_t now_ms = control_steady_ms(control);
    const size_t slot = control_slot(shard);

    assert(shard >= 0 && (shard < CONTROL_SHARD_LIMIT || shard == FLEET_SHARD));
    assert(epoch > 0 && epoch <= INT64_MAX >> CONTROL_COUNTER_BITS);
    (void)pthread_mutex_lock(&control->lock);
    if (!make_room(control, slot + 1)) {
        log_error("control", "shard=%d reason=\"memory is short, nothing is published for it\"",
                  (int)shard);
    } else if (!control->shards[slot].owned || control->shards[slot].epoch != epoch) {
        const struct control_shard *before = &control->shards[slot];
        /* A shard comes back under its old epoch when nobody else has had it: seq goes on. */
        const int64_t counter = before->epoch == epoch ? before->counter : 0;

        forget_scopes(control, shard);
        control->shards[slot] = (struct control_shard){.owned = true,
                                                       .epoch = epoch,
                                                       .counter = counter,
                                                       .reported_ms = now_ms,
                                                       .beat_due_ms = now_ms};
        control->reread = true;
        atomic_store(&control->caught_up, false);
        wake(control);
    }
    (void)pthread_mutex_unlock(&control->lock);
}

void
control_layout(struct control *control, int64_t epoch)
{
    (void)pthread_mutex_lock(&control->lock);
    control->layout_epoch = epoch;
    (void)pthread_mutex_unlock(&control->lock);
}

void
control_may_allow(struct control *control, int32_t shard)
{
    struct control_shard *slot;

    (void)pthread_mutex_lock(&control->lock);
    slot = control_shard_of(control, shard);
    if (slot != NULL && !slot->may_allow) {
        slot->may_allow = true;
        for (size_t i = 0; i < scopes_count(&control->scopes); i++) {
            struct scope_entry *entry = scopes_at(&control->scopes, i);

            if (scope_entry_shard(entry) == shard && (entry->dirty || entry->force))
                scopes_due(&control->scopes, entry, control_steady_ms(control));
        }
        wake(control);
    }
    (void)pthread_mutex_unlock(&control->lock);
}

void
control_disown(struct control *control, int32_t shard)
{
    struct control_shard *slot;

    (void)pthread_mutex_lock(&control->lock);
    slot = control_shard_of(control, shard);
    if (slot != NULL) {
        slot->owned = false;
        forget_scopes(control, shard);
        /* What still waits for the broker is taken back, that of other shards too: the delivery
         * reports say so, and it is written again. */
        if (control->producer != NULL)
            (void)rd_kafka_purge(control->producer,
                                 RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
        wake(control);
    }
    (void)pthread_mutex_unlock(&control->lock);
}

void
control_heartbeat(struct control *control, int32_t shard, int64_t as_of_ms, int64_t lag_records)
{
    struct control_shard *slot;

    (void)pthread_mutex_lock(&control->lock);
    slot = control_shard_of(control, shard);
    if (slot != NULL) {
        slot->as_of_ms = as_of_ms;
        slot->lag_records = lag_records;
        slot->reported_ms = control_steady_ms(control);
    }
    (void)pthread_mutex_unlock(&control->lock);
}

/* Under the lock. */
static bool
want(struct control *control, const struct scope_state *state)
{
    const int64_t now_ms = control_steady_ms(control);
    struct scope_entry *entry = scopes_find(&control->scopes, state->scope);
    const bool was_allowed = entry != NULL && scope_entry_count(entry) == 0;

    entry = scopes_put(&control->scopes, state);
    if (entry == NULL)
        return false;
    if (!was_allowed)
        entry->allowed_ms = now_ms;
    entry->adopted = false;
    entry->dirty = true;
    entry->timed = state->trigger.size > 0;
    scopes_due(&control->scopes, entry, now_ms);
    wake(control);
    return true;
}

bool
control_want(struct control *control, const struct scope_state *state)
{
    const struct control_shard *shard;
    bool taken = true;

    (void)pthread_mutex_lock(&control->lock);
    shard = control_shard_of(control, state->shard);
    if (shard != NULL && shard->epoch == state->epoch)
        taken = want(control, state);
    (void)pthread_mutex_unlock(&control->lock);
    return taken;
}

bool
control_caught_up(struct control *control)
{
    return atomic_load(&control->caught_up);
}

bool
control_is_silent(struct control *control, int32_t shard)
{
    const struct control_shard *slot;
    bool silent;

    (void)pthread_mutex_lock(&control->lock);
    slot = control_shard_of(control, shard);
    silent = slot != NULL && slot->stopped;
    (void)pthread_mutex_unlock(&control->lock);
    return silent;
}

/* Takes the scope that was met last; false when the arena is full, and it stays. Under the lock. */
static bool
take_stranger(struct control *control, struct arena *arena, struct text *scope, struct text *tenant)
{
    const size_t last = control->strangers.count - 1;
    struct stranger *stranger = list_at(&control->strangers, last);
    struct scope_parts parts;
    bool good;

    *scope = arena_text(arena, text_of(stranger->scope));
    good = scope->at != NULL && scope_split(*scope, arena, &parts);
    *tenant = good ? parts.a : (struct text){NULL, 0};
    if (scope->at == NULL)
        return false;
    table_remove(&control->stranger_index, stranger->key);
    free(stranger->scope);
    control->strangers.count = last;
    return good;
}

bool
control_stranger(struct control *control, struct arena *arena, struct text *scope,
                 struct text *tenant)
{
    bool found = false;

    (void)pthread_mutex_lock(&control->lock);
    while (!found && control->strangers.count > 0) {
        found = take_stranger(control, arena, scope, tenant);
        if (scope->at == NULL)
            break;
    }
    if (control->strangers.count == 0 && control->strangers_missed) {
        control->strangers_missed = false;
        control->reread = true;
        wake(control);
    }
    (void)pthread_mutex_unlock(&control->lock);
    return found;
}

static int
by_scope(const void *a, const void *b)
{
    const struct scope_entry *const *left = a;
    const struct scope_entry *const *right = b;

    return text_compare(scope_entry_name(*left), scope_entry_name(*right));
}

void
control_each(struct control *control, control_on_state *on_state, void *context)
{
    struct scope_entry **sorted;
    size_t count = 0;

    (void)pthread_mutex_lock(&control->lock);
    sorted = calloc(scopes_count(&control->scopes) + 1, control->scopes.entries.size);
    for (size_t i = 0; sorted != NULL && i < scopes_count(&control->scopes); i++)
        if (scope_entry_count(scopes_at(&control->scopes, i)) > 0)
            sorted[count++] = scopes_at(&control->scopes, i);
    if (count > 0)
        qsort(sorted, count, control->scopes.entries.size, by_scope);
    for (size_t i = 0; i < count; i++) {
        const int64_t now_ms = control_wall_ms(control);
        struct scope_state wanted;
        struct scope_state state;
        int64_t expires_ms = 0;

        scope_entry_state(sorted[i], &wanted);
        control_current(&wanted, now_ms, &state);
        if (state.count == 0)
            continue; /* over as gateways were told; they are not told again */
        for (size_t r = 0; r < state.count; r++) {
            const int64_t expiry_ms = control_expiry(&state.restrictions[r], now_ms);

            expires_ms = expiry_ms > expires_ms ? expiry_ms : expires_ms;
        }
        on_state(context, &state, sorted[i]->seq, expires_ms);
    }
    free(sorted);
    (void)pthread_mutex_unlock(&control->lock);
}
