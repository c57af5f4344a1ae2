#include "engine/fleet.h"

#include "config/log.h"
#include "config/now.h"
#include "config/zones.h"
#include "core/fleet.h"
#include "core/list.h"
#include "engine/fleet_day.h"
#include "engine/policies.h"
#include "rules/fleet.h"
#include "rules/shard.h"
#include "sinks/notifier.h"
#include "sinks/store_fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS       500
#define SOURCES_MS    2000
#define LOAD_WAIT_MS  30000
#define FRESH_SLOTS   4 /* those that an event may still count in: the running one and 15 minutes */
#define CLAIM_MEMORY  ((size_t)16 << 20)
#define SETTLE_MEMORY ((size_t)16 << 20)
#define OFFER_LIMIT   1024
#define ORDER_LIMIT   1000

struct offer {
    char scope[SCOPE_SIZE];
};

struct fleet {
    struct fleet_setup setup;
    char owner[192];
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t woken;
    struct list offers; /* struct offer */
    bool stopping;

    /* The thread's own. */
    struct store *store; /* NULL: not connected */
    bool leads;
    struct shard *shard;
    struct arena *memory;        /* of one turn's commands */
    struct list orders;          /* struct command */
    const struct policy *policy; /* in force */
    int64_t slots_ms;            /* start of the running slot when all were read last */
    int64_t sources_at_ms;       /* monotonic: they are looked at again */
    struct fleet_day day;
    char said[ERR_TEXT_SIZE]; /* of the last complaint */
};

/* ---- told of the fleet's tenant -------------------------------------------------------------------- */

struct loading {
    struct fleet *fleet;
    const struct zone *zone;
    bool contract; /* of one that is held */
};

static void
on_tenant(void *opaque, const struct tenant_load *load)
{
    const struct loading *loading = opaque;
    struct tenant_load whole = *load;

    if (whole.zone == NULL)
        whole.zone = loading->zone;
    if (loading->contract)
        shard_contract(loading->fleet->shard, &whole);
    else if (!shard_load(loading->fleet->shard, &whole))
        abort();
}

static bool
load(struct fleet *fleet, bool contract, struct err *why)
{
    const struct text name = FLEET_TENANT;
    const int64_t now_ms = shard_time(fleet->shard);
    const struct load_query query = {.shard = FLEET_SHARD,
                                     .after_ms = now_ms,
                                     .features = fleet->policy->has_breakers,
                                     .names = &name,
                                     .count = 1};
    struct loading loading = {
        .fleet = fleet, .zone = zones_get(fleet->policy->zone, why), .contract = contract};

    if (loading.zone == NULL ||
        (fleet->policy->has_breakers &&
         !store_fleet_seed(fleet->store, fleet->policy->zone, fleet->policy->currency, why)) ||
        !store_load_send(fleet->store, &query, why))
        return false;
    const int answer = store_load_poll(fleet->store, LOAD_WAIT_MS, on_tenant, &loading, why);

    return answer == 1 || (answer == 0 && err_set(why, ERR_RETRY, "Postgres does not answer"));
}

/* ---- leading and not ----------------------------------------------------------------------------------- */

static void
resign(struct fleet *fleet)
{
    if (fleet->leads) {
        control_disown(fleet->setup.control, FLEET_SHARD);
        log_warning("fleet", "leader=false");
    }
    fleet->leads = false;
    metric_set_to(fleet->setup.metrics, METRIC_FLEET_LEADER, 0);
    store_close(fleet->store);
    fleet->store = NULL;
}

static bool
claim(struct fleet *fleet, struct err *why)
{
    struct arena *memory = arena_new(CLAIM_MEMORY);
    struct claim claim = {.shard = FLEET_SHARD, .epoch = -1, .seq = -1};
    bool good = memory != NULL && store_claim(fleet->store, fleet->owner, &claim, memory, why);

    if (good) {
        fleet->policy =
            claim.policy == 0 ? fleet->setup.policy : policies_get(fleet->store, claim.policy, why);
        good = fleet->policy != NULL;
    }
    if (good)
        shard_begin(fleet->shard, &(struct shard_start){.epoch = claim.epoch,
                                                        .seq = claim.seq,
                                                        .time_ms = claim.time_ms,
                                                        .closed_ms = claim.closed_ms,
                                                        .progress = claim.progress,
                                                        .policy = fleet->policy,
                                                        .enforcing = claim.enforcing});
    arena_free(memory);
    return good && load(fleet, false, why);
}

static bool
take_the_lead(struct fleet *fleet, struct err *why)
{
    bool leads = false;

    if (fleet->store == NULL)
        fleet->store = store_open(fleet->setup.config, fleet->owner, why);
    if (fleet->store == NULL || !store_fleet_lead(fleet->store, &leads, why))
        return false;
    if (!leads)
        return true;
    if (!claim(fleet, why))
        return false;
    fleet->leads = true;
    fleet->slots_ms = INT64_MIN;
    fleet->sources_at_ms = 0;
    fleet->day = (struct fleet_day){.until_ms = 0};
    control_own(fleet->setup.control, FLEET_SHARD, shard_epoch(fleet->shard));
    metric_set_to(fleet->setup.metrics, METRIC_FLEET_LEADER, 1);
    log_info("fleet", "leader=true epoch=%" PRId64, shard_epoch(fleet->shard));
    return true;
}

/* ---- settled ------------------------------------------------------------------------------------------- */

static void
publish(struct fleet *fleet)
{
    struct scope_state *const *states;
    const size_t count = shard_wanted(fleet->shard, &states);
    size_t taken = 0;

    while (taken < count && control_want(fleet->setup.control, states[taken]))
        taken++;
    shard_wanted_taken(fleet->shard, taken);
}

/* Whatever is not known to be committed ends the lead: the next one begins with what is. */
static bool
settle(struct fleet *fleet, struct err *why)
{
    struct settlement *settlement = shard_freeze(fleet->shard);
    struct settle_result result = {0};

    if (settlement != NULL &&
        store_settle(fleet->store, fleet->setup.config, settlement, &result, why) != SETTLED)
        return false;
    if (settlement != NULL) {
        shard_settled(fleet->shard, NULL, 0);
        /* The tenants in memory are those of the workers. */
        metric_set_to(fleet->setup.metrics, METRIC_TENANTS, 0);
        if (result.transitions > 0)
            notifier_wake(fleet->setup.notifier);
    }
    publish(fleet);
    return true;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static void
on_command(void *opaque, int32_t shard, const struct command *command)
{
    struct fleet *fleet = opaque;
    struct command *order = list_add(&fleet->orders);

    (void)shard;
    if (order == NULL)
        return; /* the next turn takes it */
    *order = *command;
    if (!arena_keep(fleet->memory, &order->breaker.feature) ||
        !arena_keep(fleet->memory, &order->tenant) || !arena_keep(fleet->memory, &order->actor) ||
        !arena_keep(fleet->memory, &order->reason))
        abort();
}

static bool
change_policy(struct fleet *fleet, int64_t serial, struct err *why)
{
    const struct policy *policy = policies_get(fleet->store, serial, why);
    bool had = fleet->policy->has_breakers;

    if (policy == NULL)
        return false;
    fleet->policy = policy;
    shard_policy(fleet->shard, policy);
    /* Breakers are new: what is known of the features comes with another load. */
    return had || !policy->has_breakers || load(fleet, true, why);
}

static bool
obey(struct fleet *fleet, const struct command *command, struct err *why)
{
    const char *error = NULL;

    switch (command->kind) {
    case COMMAND_POLICY:
        if (!change_policy(fleet, command->serial, why))
            return false;
        break;
    case COMMAND_ENFORCE:
        shard_enforce(fleet->shard, command->on);
        break;
    case COMMAND_BREAKER:
        error = shard_breaker(fleet->shard, command);
        break;
    case COMMAND_TENANT:
    case COMMAND_WORD:
        if (!load(fleet, true, why))
            return false;
        break;
    case COMMAND_RERATE: /* nothing of its own waits for a price */
        break;
    case COMMAND_ANOMALY:
    case COMMAND_RETRY:
    case COMMAND_RESUME:
    case COMMAND_KIND_COUNT:
        error = "the fleet reads no partition";
        break;
    }
    log_info("command", "id=%" PRId64 " kind=%d shard=fleet", command->id, (int)command->kind);
    shard_command_done(fleet->shard, command->id, error);
    return true;
}

static bool
take_commands(struct fleet *fleet, struct err *why)
{
    const int32_t number = FLEET_SHARD;

    arena_clear(fleet->memory);
    list_clear(&fleet->orders);
    if (!store_commands(fleet->store, &(struct command_query){.shards = &number, .shard_count = 1},
                        on_command, fleet, why))
        return false;
    for (size_t i = 0; i < fleet->orders.count; i++)
        if (!obey(fleet, list_at(&fleet->orders, i), why))
            return false;
    return true;
}

static void
take_offers(struct fleet *fleet)
{
    (void)pthread_mutex_lock(&fleet->lock);
    for (size_t i = 0; i < fleet->offers.count; i++) {
        const struct offer *offer = list_at(&fleet->offers, i);

        shard_declare(fleet->shard, text_of(offer->scope), FLEET_TENANT);
    }
    list_clear(&fleet->offers);
    (void)pthread_mutex_unlock(&fleet->lock);
}

/* ---- what is read --------------------------------------------------------------------------------------- */

static void
on_sum(void *opaque, struct text feature, const struct slot *sum)
{
    shard_fleet_slot(opaque, feature, sum);
}

/* Slots in which an event can still count are read every time, all of them when a new one begins. */
static bool
read_slots(struct fleet *fleet, struct err *why)
{
    const int64_t start_ms = slots_start(shard_time(fleet->shard));
    const int64_t back = fleet->slots_ms == start_ms ? FRESH_SLOTS - 1 : SLOT_COUNT - 1;
    struct fleet_query query = {.from_ms = start_ms - back * SLOT_MS,
                                .currency = fleet->policy->currency};
    const int64_t began_ms = now_steady_ms();
    struct text feature;

    if (!store_fleet_slots(fleet->store, &query, on_sum, fleet->shard, why))
        return false;
    fleet->slots_ms = start_ms;
    query.from_ms = start_ms - (SLOT_COUNT - 1) * SLOT_MS;
    while (shard_fleet_asks(fleet->shard, &feature)) {
        struct fleet_spread spread;

        if (!store_fleet_spread(fleet->store, &query, feature, &spread, why))
            return false;
        shard_fleet_spread(fleet->shard, feature, &spread);
    }
    metric_add(fleet->setup.metrics, METRIC_FLEET_READ_MS, now_steady_ms() - began_ms);
    shard_fleet_judge(fleet->shard);
    return true;
}

static void
on_source(void *opaque, struct text source, int64_t last_ms, bool silent)
{
    struct shard *shard = opaque;
    char at[CLOCK_TEXT_SIZE];
    char summary[512]; /* with a name as long as it may be */
    struct transition transition = {.move = silent ? MOVE_FIRE : MOVE_RESOLVE,
                                    .rule = TEXT("ingest/source_silent"),
                                    .severity = SEVERITY_WARNING,
                                    .at_ms = shard_time(shard),
                                    .zone = TEXT("UTC"),
                                    .reason = silent ? RESOLVED_NOT : RESOLVED_CLEARED};

    (void)snprintf(summary, sizeof summary, "source %.*s %s %s%s", (int)source.size, source.at,
                   silent ? "sent events in every hour of a day, and none since"
                          : "was last heard at",
                   clock_format(last_ms, at),
                   silent ? ": what its gateway lets through meanwhile is not metered" : "");
    transition.labels[LABEL_SOURCE] = source;
    transition.summary = text_of(summary);
    shard_transition(shard, &transition);
}

static bool
look_at_sources(struct fleet *fleet, struct err *why)
{
    if (now_steady_ms() < fleet->sources_at_ms)
        return true;
    fleet->sources_at_ms = now_steady_ms() + SOURCES_MS;
    return store_fleet_sources(fleet->store, shard_epoch(fleet->shard), on_source, fleet->shard,
                               why);
}

/* ---- the loop --------------------------------------------------------------------------------------------- */

static bool
judge(struct fleet *fleet, struct err *why)
{
    int64_t now_ms = 0;

    if (!take_commands(fleet, why) || !store_fleet_time(fleet->store, &now_ms, why))
        return false;
    while (now_ms > 0 && !shard_advance(fleet->shard, now_ms))
        if (!settle(fleet, why))
            return false;
    if (now_ms > 0 && fleet->policy->has_breakers && !read_slots(fleet, why))
        return false;
    if (now_ms > 0 &&
        (!look_at_sources(fleet, why) ||
         !fleet_day_look(&fleet->day, fleet->store, fleet->shard, fleet->policy, why)))
        return false;
    take_offers(fleet);
    if (!settle(fleet, why))
        return false;
    control_may_allow(fleet->setup.control, FLEET_SHARD);
    control_heartbeat(fleet->setup.control, FLEET_SHARD, shard_time(fleet->shard), 0);
    /* Its numbers are used up, or somebody else leads. */
    return !control_is_silent(fleet->setup.control, FLEET_SHARD) ||
           err_set(why, ERR_RETRY, "a later epoch stands on the control topic");
}

static void
turn(struct fleet *fleet)
{
    struct err why = {.class = ERR_NONE};

    if (fleet->leads ? judge(fleet, &why) : take_the_lead(fleet, &why)) {
        fleet->said[0] = '\0';
        return;
    }
    if (strcmp(fleet->said, why.text) != 0)
        log_warning("fleet", "text=\"%s\" action=retry", why.text);
    (void)text_copy(fleet->said, sizeof fleet->said, text_of(why.text));
    resign(fleet);
}

/* False: it is to stop. */
static bool
pause_between(struct fleet *fleet)
{
    const struct timespec until = now_steady_after(TURN_MS);

    (void)pthread_mutex_lock(&fleet->lock);
    while (!fleet->stopping)
        if (pthread_cond_timedwait(&fleet->woken, &fleet->lock, &until) == ETIMEDOUT)
            break;
    const bool go_on = !fleet->stopping;

    (void)pthread_mutex_unlock(&fleet->lock);
    return go_on;
}

static void *
run(void *opaque)
{
    struct fleet *fleet = opaque;

    do
        turn(fleet);
    while (pause_between(fleet));
    /* The lead is free for another engine; what is wanted may still be published. */
    store_close(fleet->store);
    return NULL;
}

/* ---- started and stopped ---------------------------------------------------------------------------------- */

static void
fleet_free(struct fleet *fleet)
{
    shard_free(fleet->shard);
    arena_free(fleet->memory);
    list_free(&fleet->orders);
    list_free(&fleet->offers);
    (void)pthread_mutex_destroy(&fleet->lock);
    (void)pthread_cond_destroy(&fleet->woken);
    free(fleet);
}

struct fleet *
fleet_start(const struct fleet_setup *setup)
{
    const struct config *config = setup->config;
    struct fleet *fleet = calloc(1, sizeof *fleet);

    if (fleet == NULL)
        return NULL;
    fleet->setup = *setup;
    (void)snprintf(fleet->owner, sizeof fleet->owner, "%s/fleet#%d.%" PRId64, setup->name,
                   (int)getpid(), now_steady_ms());
    (void)pthread_mutex_init(&fleet->lock, NULL);
    now_steady_condition(&fleet->woken);
    list_init(&fleet->offers, sizeof(struct offer), OFFER_LIMIT);
    list_init(&fleet->orders, sizeof(struct command), ORDER_LIMIT);
    fleet->memory = arena_new(CLAIM_MEMORY);
    fleet->shard = shard_new(&(struct shard_setup){.shard = FLEET_SHARD,
                                                   .topic_count = config->kafka.topic_count,
                                                   .topics = config->kafka.topics,
                                                   .settle_memory = SETTLE_MEMORY,
                                                   .tenant_limit = 1,
                                                   .metrics = setup->metrics});
    if (fleet->memory != NULL && fleet->shard != NULL &&
        pthread_create(&fleet->thread, NULL, run, fleet) == 0)
        return fleet;
    fleet_free(fleet);
    return NULL;
}

void
fleet_drain(struct fleet *fleet)
{
    (void)pthread_mutex_lock(&fleet->lock);
    fleet->stopping = true;
    (void)pthread_cond_signal(&fleet->woken);
    (void)pthread_mutex_unlock(&fleet->lock);
}

void
fleet_stop(struct fleet *fleet)
{
    fleet_drain(fleet);
    (void)pthread_join(fleet->thread, NULL);
    fleet_free(fleet);
}

void
fleet_offer(struct fleet *fleet, struct text scope)
{
    (void)pthread_mutex_lock(&fleet->lock);
    struct offer *offer = list_add(&fleet->offers);

    /* What does not fit is met again when the topic is next read. */
    if (offer != NULL)
        (void)text_copy(offer->scope, sizeof offer->scope, scope);
    (void)pthread_mutex_unlock(&fleet->lock);
}
