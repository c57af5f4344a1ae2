/*
 * The operator's HTTP server.
 *
 *   /healthz      200 while the process answers
 *   /readyz       200, or 503 with one reason a line
 *   /metrics      Prometheus text format
 *   /status       a page for people, without scripts
 *   /status.json  the same as JSON
 *
 * Only GET and HEAD; nothing here changes anything.  There is no login: it listens on loopback
 * unless told otherwise, and belongs behind a proxy where others may reach it.
 *
 * The server knows no workers.  Whoever starts it gives a `status_source` to ask; alerts and
 * deliveries it reads from Postgres by itself (sinks/status_query), at most once a second.  The
 * process must ignore SIGPIPE.
 */
#ifndef SINKS_STATUS_H
#define SINKS_STATUS_H

#include "config/config.h"
#include "core/metric.h"
#include "sinks/control.h"

/* One topic partition that this process owns. */
struct status_partition {
    struct text topic;
    int32_t partition;
    int64_t position;    /* next offset to be applied; -1: not known yet */
    int64_t end;         /* the broker's end; -1: not known yet */
    int64_t lag_records; /* -1: not known yet */
    int64_t lag_ms;      /* age of the oldest record not yet applied; 0 at the end; -1: not known */
    int64_t as_of_ms;    /* shard time; 0: not known yet */
    struct text halted;  /* why it stopped and what to do; absent: it runs */
};

/* One line each, "claim of shard 3 waits for Postgres: connection refused". */
typedef void status_on_reason(void *to, const char *reason);
typedef void status_on_partition(void *to, const struct status_partition *partition);

/*
 * What the server asks, from its own threads, several at a time: every callback takes whatever lock
 * it needs, calls back synchronously and returns soon.  Texts live until the callback returns.
 */
struct status_source {
    /* Summed. Gauges that say 0 or 1 of the whole engine stand in one of the sets only. */
    const struct metric_set *const *sets;
    size_t set_count;
    void *context; /* handed to the callbacks below; any of them may be NULL */
    /* Why the process is not ready; none: it is. */
    void (*reasons)(void *context, status_on_reason *on_reason, void *to);
    void (*partitions)(void *context, status_on_partition *on_partition, void *to);
    /* Are restrictions published? Before the first shard is claimed: yes. */
    bool (*enforcing)(void *context);
    /* Every scope with a restriction, as control_each gives them. */
    void (*restrictions)(void *context, control_on_state *on_state, void *to);
};

struct status;

/* Listens on config->status and logs the URL. FATAL when the address cannot be had: the text names
 * it. `source`, what it points to, and `config` must outlive the server. */
struct status *status_start(const struct config *config, const struct status_source *source,
                            struct err *why);
/* The port that was bound: of interest when the configured one is 0. */
int status_port(const struct status *status);
/* Ends open connections and waits for their threads. */
void status_stop(struct status *status);

#endif
