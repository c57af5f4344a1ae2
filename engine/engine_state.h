/* The inside of an engine, shared by engine/engine.c (started, running, stopped) and
 * engine/engine_status.c (what the status pages and metrics say of it), and by nobody else. */
#ifndef ENGINE_ENGINE_STATE_H
#define ENGINE_ENGINE_STATE_H

#include "engine/fleet.h"
#include "engine/growing.h"
#include "engine/instance.h"
#include "engine/worker.h"
#include "sinks/control.h"
#include "sinks/status.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENGINE_WORKER_LIMIT 64

struct engine {
    const struct config *config;
    struct config *reloaded; /* the notifier's, after a SIGHUP */
    struct instance instance;
    const struct policy *policy; /* the last one that was loaded */
    struct control *control;
    struct notifier *notifier;
    struct dead_topic *dead_topic;
    struct fleet *fleet;
    struct status *status;
    struct status_source source;
    atomic_bool serving; /* workers and control topic are there for the status pages */
    bool told_to_stop;   /* before it was ready */
    bool force;          /* unlikely prices are taken */
    pthread_mutex_t waits_lock;
    char waits[ERR_TEXT_SIZE]; /* what the start waits for; then, what added partitions do */
    struct growing growing;
    struct worker *workers[ENGINE_WORKER_LIMIT];
    size_t worker_count;
    char names[ENGINE_WORKER_LIMIT][INSTANCE_SIZE + 24];
    struct metric_set
        *sets; /* one a worker, then the control topic's, the notifier's, dead letters', fleet's */
    const struct metric_set *set_list[ENGINE_WORKER_LIMIT + 4];
};

/* Serves the pages from now on; false after a line in the log. */
bool engine_start_status(struct engine *engine);
void engine_set_gauges(struct engine *engine);

#endif
