#include "engine/engine.h"

#include "config/failpoint.h"
#include "config/log.h"
#include "config/now.h"
#include "core/fleet.h"
#include "core/identity.h"
#include "engine/engine_state.h"
#include "engine/policies.h"
#include "ingest/topics.h"
#include "rules/policy.h"
#include "sinks/dead_topic.h"
#include "sinks/notifier.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS       1000
#define ANSWER_MS      5000
#define TURN_MS        200
#define CLOSE_EVERY_MS (10 * CLOCK_MINUTE_MS) /* periods become final days after their end */
#define DRAIN_MS       9500                   /* of the 10 s a stop may take */

/* Set from any thread; the first one is told. */
static pthread_mutex_t fatal_lock = PTHREAD_MUTEX_INITIALIZER;
static struct err fatal;

static void
on_fatal(const struct err *why)
{
    (void)pthread_mutex_lock(&fatal_lock);
    if (fatal.class == ERR_NONE)
        fatal = *why;
    (void)pthread_mutex_unlock(&fatal_lock);
}

static bool
is_fatal(struct err *why)
{
    (void)pthread_mutex_lock(&fatal_lock);
    *why = fatal;
    (void)pthread_mutex_unlock(&fatal_lock);
    return why->class != ERR_NONE;
}

/* ---- signals: blocked everywhere, taken here ----------------------------------------------------- */

static sigset_t
block_signals(void)
{
    sigset_t taken;

    (void)sigemptyset(&taken);
    (void)sigaddset(&taken, SIGTERM);
    (void)sigaddset(&taken, SIGINT);
    (void)sigaddset(&taken, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &taken, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return taken;
}

/* The signal that came within timeout_ms, 0 for none. */
static int
next_signal(const sigset_t *taken, int64_t timeout_ms)
{
    const struct timespec wait = {.tv_sec = timeout_ms / 1000,
                                  .tv_nsec = timeout_ms % 1000 * 1000000};
    const int number = sigtimedwait(taken, NULL, &wait);

    return number > 0 ? number : 0;
}

/* ---- opening: retry where waiting can help ---------------------------------------------------------- */

static void
set_waits(struct engine *engine, const char *text)
{
    (void)pthread_mutex_lock(&engine->waits_lock);
    (void)text_copy(engine->waits, sizeof engine->waits, text_of(text));
    (void)pthread_mutex_unlock(&engine->waits_lock);
}

/* Logs each new reason and waits; false when the engine is told to stop or must. */
static bool
wait_and_retry(struct engine *engine, const sigset_t *taken, const struct err *why)
{
    if (why->class != ERR_RETRY) {
        log_error("start", "text=\"%s\"", why->text);
        return false;
    }
    if (strcmp(engine->waits, why->text) != 0)
        log_warning("start", "text=\"%s\" action=retry", why->text);
    set_waits(engine, why->text);
    const int number = next_signal(taken, RETRY_MS);

    engine->told_to_stop = number == SIGTERM || number == SIGINT;
    return !engine->told_to_stop;
}

static bool
ask_topics(const struct config *config, const char *client_id, int32_t *counts, struct err *why)
{
    struct topics *topics = topics_open(config, client_id, ANSWER_MS, why);
    const bool good = topics != NULL && topics_counts(topics, counts, why);

    topics_close(topics);
    return good;
}

/* Topics are begun alike; those that were may be growing, one before the other. */
static bool
prepare_layout(struct store *store, const struct config *config, const int32_t *counts,
               struct err *why)
{
    int32_t fewest = counts[0];
    bool begun = false;

    for (size_t t = 1; t < config->kafka.topic_count; t++)
        fewest = counts[t] < fewest ? counts[t] : fewest;
    return store_has_layout(store, &begun, why) && (begun || topics_alike(config, counts, why)) &&
           store_layout(store, config, fewest, why);
}

static bool
prepare_store(const struct engine *engine, struct policy *policy, bool activate,
              const int32_t *counts, struct err *why)
{
    const struct config *config = engine->config;
    struct store *store = store_open(config, "tripmeter/start", why);
    const bool good =
        store != NULL && prepare_layout(store, config, counts, why) &&
        (engine->force || policies_likely(store, policy, why)) &&
        store_policy(store, config, activate, policy_rolls(policy), &policy->serial, why);

    store_close(store);
    return good;
}

/* Partitions of the coming months are made ahead; a failure is not a reason to stop: what has no
 * partition of its own goes to the default one. */
static void
maintain(const struct config *config)
{
    const int64_t now_ms = now_wall_ms() + config->clock_offset_ms;
    struct err why;
    struct store *store = store_open(config, "tripmeter/maintenance", &why);

    if (store == NULL || !store_maintain(store, now_ms, 0, &why) ||
        !store_maintain_record(store, config, now_ms, &why))
        log_warning("maintenance", "text=\"%s\"", why.text);
    store_close(store);
}

/* Whichever engine comes first does it for all of them. */
static void
close_periods(const struct config *config, const struct policy *policy)
{
    struct err why;
    int64_t count = 0;
    struct store *store = store_open(config, "tripmeter/periods", &why);

    if (store == NULL ||
        !store_close_periods(store, policy->currency, policy->zone, &count, &why) ||
        !store_close_days(store, now_wall_ms() + config->clock_offset_ms, &why))
        log_warning("periods", "text=\"%s\"", why.text);
    else if (count > 0)
        log_info("periods", "final=%lld", (long long)count);
    store_close(store);
}

static bool
prepare(struct engine *engine, struct policy *policy, bool activate, const sigset_t *taken)
{
    int32_t counts[TOPIC_LIMIT];
    struct err why;

    while (!ask_topics(engine->config, engine->instance.name, counts, &why))
        if (!wait_and_retry(engine, taken, &why))
            return false;
    while (!prepare_store(engine, policy, activate, counts, &why))
        if (!wait_and_retry(engine, taken, &why))
            return false;
    maintain(engine->config);
    while ((engine->control =
                control_open(engine->config, &engine->sets[engine->worker_count], &why)) == NULL)
        if (!wait_and_retry(engine, taken, &why))
            return false;
    engine->dead_topic =
        dead_topic_open(engine->config, &engine->sets[engine->worker_count + 2], &why);
    if (why.class != ERR_NONE) {
        log_error("start", "text=\"%s\"", why.text);
        return false;
    }
    engine->notifier = notifier_start(engine->config, &engine->sets[engine->worker_count + 1]);
    return engine->notifier != NULL;
}

/* ---- running --------------------------------------------------------------------------------------------- */

static bool
start_workers(struct engine *engine, const struct policy *policy)
{
    for (size_t i = 0; i < engine->worker_count; i++) {
        struct err why;

        (void)snprintf(engine->names[i], sizeof engine->names[i], "%s/%zu", engine->instance.name,
                       i);
        engine->workers[i] = worker_start(&(struct worker_setup){.config = engine->config,
                                                                 .policy = policy,
                                                                 .name = engine->names[i],
                                                                 .instance_id = engine->names[i],
                                                                 .control = engine->control,
                                                                 .notifier = engine->notifier,
                                                                 .dead_topic = engine->dead_topic,
                                                                 .metrics = &engine->sets[i],
                                                                 .on_fatal = on_fatal},
                                          &why);
        if (engine->workers[i] == NULL) {
            log_error("start", "text=\"%s\"", why.text);
            return false;
        }
    }
    engine->fleet =
        fleet_start(&(struct fleet_setup){.config = engine->config,
                                          .policy = policy,
                                          .name = engine->instance.name,
                                          .control = engine->control,
                                          .notifier = engine->notifier,
                                          .metrics = &engine->sets[engine->worker_count + 3]});
    if (engine->fleet == NULL)
        log_error("start", "text=\"no thread for the fleet\"");
    return engine->fleet != NULL;
}

/* All or nothing: with any finding the running configuration stays as it is. */
static void
reload(struct engine *engine)
{
    struct findings findings = {.force = engine->force};
    struct policy *policy = NULL;
    struct config *next = config_load(engine->config->path, &policy, &findings);
    struct err why;
    struct store *store;

    for (size_t i = 0; i < findings.count; i++)
        log_warning("reload", "at=%s:%d:%d text=\"%s\"", findings.at[i].file, findings.at[i].line,
                    findings.at[i].column, findings.at[i].text);
    findings_free(&findings);
    if (next == NULL) {
        log_error("reload", "result=refused text=\"the running configuration stays\"");
        return;
    }
    store = store_open(next, "tripmeter/reload", &why);
    if (store == NULL || (!engine->force && !policies_likely(store, policy, &why)) ||
        !store_policy(store, next, true, policy_rolls(policy), &policy->serial, &why)) {
        log_error("reload", "result=refused text=\"%s\"", why.text);
        store_close(store);
        policy_free(policy);
        config_free(next);
        return;
    }
    store_close(store);
    log_info("reload", "result=accepted policy=%" PRId64, policy->serial);
    engine->policy = policies_add(policy);
    notifier_reconfigure(engine->notifier, next);
    /* The workers still read the first one: topics and servers need a restart. */
    config_free(engine->reloaded);
    engine->reloaded = next;
}

static void
offer_strangers(struct engine *engine)
{
    struct arena *memory = arena_new((size_t)1 << 20);
    struct text scope;
    struct text tenant;

    while (memory != NULL && control_stranger(engine->control, memory, &scope, &tenant)) {
        if (text_eq(tenant, FLEET_TENANT))
            fleet_offer(engine->fleet, scope);
        for (size_t i = 0; i < engine->worker_count && !text_eq(tenant, FLEET_TENANT); i++)
            worker_offer(engine->workers[i], scope, tenant);
        arena_clear(memory);
    }
    arena_free(memory);
}

static void
grow(struct engine *engine)
{
    struct growing *growing = &engine->growing;
    int32_t reach = 0;
    struct err why;

    for (size_t i = 0; i < engine->worker_count; i++) {
        const int32_t one = worker_reach(engine->workers[i]);

        reach = one > reach ? one : reach;
    }
    if (growing_turn(growing, reach, now_wall_ms(), &why)) {
        set_waits(engine, growing->waits);
        for (size_t i = 0; i < engine->worker_count; i++)
            worker_layout(engine->workers[i], growing->partitions, growing->waits);
    }
    if (why.class == ERR_FATAL)
        on_fatal(&why);
}

static int
serve(struct engine *engine, const sigset_t *taken)
{
    int64_t maintain_at_ms = now_wall_ms() + CLOCK_DAY_MS;
    int64_t close_at_ms = now_wall_ms() + CLOSE_EVERY_MS;

    engine->growing.config = engine->config;
    engine->growing.client_id = engine->instance.name;
    for (;;) {
        struct err why;
        const int number = next_signal(taken, TURN_MS);

        if (number == SIGTERM || number == SIGINT) {
            log_info("stop", "signal=%d", number);
            return 0;
        }
        if (number == SIGHUP)
            reload(engine);
        if (is_fatal(&why)) {
            log_error("fatal", "text=\"%s\"", why.text);
            return 1;
        }
        offer_strangers(engine);
        grow(engine);
        engine_set_gauges(engine);
        if (now_wall_ms() >= maintain_at_ms) {
            maintain(engine->config);
            maintain_at_ms = now_wall_ms() + CLOCK_DAY_MS;
        }
        if (now_wall_ms() >= close_at_ms) {
            close_periods(engine->config, engine->policy);
            close_at_ms = now_wall_ms() + CLOSE_EVERY_MS;
        }
    }
}

/* Any thread may be waiting for a server that says nothing: when the time is up the process ends
 * without them. */
static void *
end_in_time(void *status)
{
    const struct timespec all = {.tv_sec = DRAIN_MS / 1000, .tv_nsec = DRAIN_MS % 1000 * 1000000L};

    (void)nanosleep(&all, NULL);
    log_warning("stopped", "clean=false text=\"a server did not answer in time\"");
    _exit(*(const int *)status);
}

static void
start_countdown(int status)
{
    static int at_the_end;
    pthread_t thread;

    at_the_end = status;
    if (pthread_create(&thread, NULL, end_in_time, &at_the_end) == 0)
        (void)pthread_detach(thread);
}

/* What is open is settled, what is wanted published, what is being sent sent; then everything goes,
 * and what does not come back in time is left behind: a restart heals from Postgres. */
static void
stop(struct engine *engine, int status)
{
    const int64_t until_ms = now_wall_ms() + DRAIN_MS;
    bool clean = true;

    start_countdown(status);
    growing_end(&engine->growing);
    /* It asks the workers and the control topic. */
    status_stop(engine->status);
    if (engine->fleet != NULL)
        fleet_drain(engine->fleet);
    for (size_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i] != NULL)
            worker_drain(engine->workers[i]);
    for (size_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i] != NULL) {
            const int64_t left = until_ms - now_wall_ms() - 1500;

            clean = worker_stop(engine->workers[i], left > 0 ? left : 0) && clean;
        }
    if (engine->fleet != NULL)
        fleet_stop(engine->fleet);
    if (engine->control != NULL)
        control_close(engine->control, 500);
    if (engine->notifier != NULL)
        notifier_stop(engine->notifier, 500);
    dead_topic_close(engine->dead_topic);
    log_info("stopped", "clean=%s", clean ? "true" : "false");
    if (!clean)
        _exit(status);
    instance_close(&engine->instance);
}

static size_t
worker_total(const struct config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count =
        config->workers > 0 ? (size_t)config->workers : (cores > 1 ? (size_t)cores - 1 : 1);

    return count > ENGINE_WORKER_LIMIT ? ENGINE_WORKER_LIMIT : count;
}

void
engine_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)now_wall_ms();
    identity_seed(seed);
}

int
engine_run(struct config *config, struct policy *policy, bool activate, bool force)
{
    const sigset_t taken = block_signals();
    struct engine engine = {.config = config, .worker_count = worker_total(config), .force = force};
    struct err why;
    int status = 1;

    (void)pthread_mutex_init(&engine.waits_lock, NULL);
    (void)text_copy(engine.waits, sizeof engine.waits, TEXT("starting"));
    log_setup((enum log_level)config->log.level, config->log.json);
    engine.sets = calloc(engine.worker_count + 4, sizeof *engine.sets);
    if (engine.sets == NULL)
        abort();
    if (!failpoint_setup(&why) || !instance_open(&engine.instance, config, &why)) {
        log_error("start", "text=\"%s\"", why.text);
        goto done;
    }
    for (size_t i = 0; i < engine.worker_count + 4; i++)
        engine.set_list[i] = &engine.sets[i];
    /* First, so that /readyz can say what the start waits for. */
    if (engine_start_status(&engine) && prepare(&engine, policy, activate, &taken)) {
        engine.policy = policies_add(policy); /* which may have been read from Postgres before */
        policy = NULL;
        set_waits(&engine, "");
        if (start_workers(&engine, engine.policy)) {
            atomic_store(&engine.serving, true);
            status = serve(&engine, &taken);
        }
    }
    if (engine.told_to_stop)
        status = 0;
    stop(&engine, status);
done:
    (void)pthread_mutex_destroy(&engine.waits_lock);
    policies_free();
    policy_free(policy);
    config_free(engine.reloaded);
    config_free(config);
    free(engine.sets);
    return status;
}
