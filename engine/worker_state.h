/* The inside of a worker, shared by the files of engine/ that make it up and by nobody else. */
#ifndef ENGINE_WORKER_STATE_H
#define ENGINE_WORKER_STATE_H

#include "engine/worker.h"
#include "ingest/decode.h"
#include "rules/shard.h"

#include <pthread.h>
#include <stdatomic.h>

enum held_state {
    HELD_CLAIMING, /* asked for, or to be asked for again at claim_at_ms */
    HELD_ASKING,   /* claimed; the broker has yet to say where its partitions begin and end */
    HELD_LOADING,  /* tenants that are restricted or due are being loaded */
    HELD_RUNNING,
    HELD_RETAINED, /* revoked; memory is kept in case nobody else claims it */
};

/* A topic partition of a held shard. */
struct held_topic {
    int64_t tail_from;     /* where reading begins */
    int64_t position;      /* behind the last record that came, of the tail or live */
    int64_t claimed_end;   /* where the log ended when the shard was claimed */
    int64_t verify_offset; /* the last record settled, to be recognised when it passes; -1: none */
    uint64_t verify_fingerprint;
    bool careful;       /* of those, each is noted in Postgres before it is taken */
    int64_t step_until; /* records up to here are settled one by one; -1: none */
    int64_t refuse;     /* this record is dead-lettered as refused_by_database; -1: none */
    int64_t *dead;      /* of the tail: offset * 4096 + index, rising */
    size_t dead_count;
    const struct record *last; /* of the batch in hand, not fingerprinted yet */
    bool halted;
    char why[160];
};

struct held {
    int32_t number;
    enum held_state state;
    bool asked;       /* a claim is under way */
    bool void_memory; /* nothing in memory counts: it goes as soon as the settler lets go of it */
    bool caught_up;   /* with all that its owner before could know: see control_may_allow */
    int64_t command_waiting; /* the newest command that waited when it was claimed, 0: none */
    int64_t command_taken;   /* the newest one that came since */
    int64_t claim_at_ms;
    struct shard *shard;
    struct arena *memory; /* of the claim */
    struct claim claim;   /* while it is ASKING */
    const struct policy *policy;
    struct text *due; /* tenants to load before it runs */
    size_t due_count;
    size_t due_loaded;
    struct held_topic topics[TOPIC_LIMIT];
    struct settlement *frozen; /* under way */
    bool refused;              /* the last settlement that came back was */
    int32_t refusals;          /* in a row, of settlements that moved no offset */
    bool alone; /* one with commands was refused: each dead letter that is read again has
                               a settlement to itself */
    int64_t refuse_command; /* this one was the reason; 0: none */
    struct arena *page;     /* of unpriced events that were asked for; NULL: not answered yet */
    struct unpriced_event *waiting; /* in it */
    size_t waiting_count;
    int32_t tried; /* of the record taken alone: how often; 0: not answered yet */
    int64_t freeze_at_ms;
    int64_t time_at_ms; /* when the bare passing of time is next settled */
    size_t parked;      /* of this shard in the worker's list */
    char why[160];      /* what a claim waits for */
};

/* A shard that went while a settlement of it was under way. */
struct ghost {
    const struct settlement *frozen;
    struct shard *shard;
    struct arena *memory;
};

#define LOAD_WAIT_MS 200 /* a healthy database answers within this: no event is parked for long */

/* How many records are read ahead of their turn, so that the memory they need is on its way. */
#define READ_AHEAD 8

/* A record that was read ahead, up to its first event. */
struct reading {
    struct decoder *decoder;
    const struct record *record; /* NULL: it was not */
    enum decoded found;
    struct event event;
    struct dead dead;
    struct lookup lookup;
    bool unknown; /* its tenant */
};

/* An event whose tenant is being loaded. */
struct parked {
    int32_t shard;
    int32_t index;
    struct record record; /* in the worker's parking arena */
    struct text tenant;
};

/* A tenant of the batch in hand. */
struct ahead {
    int32_t shard;
    struct text tenant; /* in the batch */
};

/* Something that waits for a tenant's load: a command, or a scope a stranger wrote about. */
struct errand {
    int32_t shard;      /* -1: whichever of ours is the tenant's home */
    struct text tenant; /* in memory of the order, or of `memory` */
    struct order
        *order; /* NULL: a scope is to be declared, or, without one, nothing but the load */
    struct text scope;
    struct arena *memory; /* of tenant and scope; NULL with an order */
};
void errand_free(struct errand *errand);

struct worker {
    struct worker_setup setup;
    char owner[256];
    pthread_t thread;
    atomic_bool draining;
    atomic_bool done;
    struct consumer *consumer;
    struct settler *settler;
    struct store *loader;
    struct decoder *decoder; /* of whatever is not read ahead */
    struct reading readings[READ_AHEAD];
    struct held *held; /* rising by number */
    size_t held_count;
    bool assign;          /* offsets changed: tell the consumer */
    int64_t assign_by_ms; /* even when more claims are coming */
    bool joined;
    int64_t turned_ms; /* when the present turn began */
    bool stalled; /* stopped for so long that the group may have another as this member, or thrown
                     out: it is told nothing before it has assigned shards anew */
    const struct arrival *batch; /* in hand; NULL between batches */
    bool dropped;                /* the batch in hand is of an assignment that is over */
    struct arena *parking;
    struct list parked;    /* struct parked, in order of arrival */
    struct list errands;   /* struct errand */
    int64_t pages;         /* of unpriced events that were asked for so far */
    struct list alone;     /* struct order *: to be settled with nothing else */
    struct list ghosts;    /* struct ghost */
    struct list ahead;     /* struct ahead: tenants of the batch in hand that are not known */
    struct list offers;    /* struct errand from other threads, under view_lock */
    struct list loading;   /* struct text: names of the load under way */
    int32_t loading_shard; /* -1: none under way */
    int64_t loading_epoch; /* its claim when the load was sent */
    size_t seeking; /* what the record is asked for in place of tenants; 0: tenants are loaded */
    struct arena *loading_memory;
    int64_t view_at_ms;
    int64_t tick_at_ms;
    int64_t tell_at_ms;
    pthread_mutex_t view_lock;
    struct list views; /* struct partition_view, for other threads */
    struct err not_ready;
    char beyond[160];      /* what shards beyond the layout wait for; under view_lock */
    atomic_int reach;      /* see worker_reach */
    atomic_int partitions; /* of the layout; 0: not known yet */
    atomic_bool enforcing; /* as the shards were last told */
};

int64_t worker_wall_ms(const struct worker *worker); /* shifted by clock.offset */
struct held *worker_held(struct worker *worker, int32_t number);
void worker_enforcing(struct worker *worker, bool on);
/* Serves the group while the worker waits for something else. */
void worker_serve(struct worker *worker);
void worker_fatal(struct worker *worker, const struct err *why);
/* Hands what a shard wants to the publisher. */
void worker_want(struct worker *worker, struct held *held);

/* ---- engine/worker_views.c ----------------------------------------------------------------------- */
/* Makes anew what worker_each and worker_ready tell. */
void worker_views(struct worker *worker);

/* ---- engine/claims.c ---------------------------------------------------------------------------- */
void claims_changed(struct worker *worker); /* the group assigned other shards */
void claims_lost(struct worker *worker, bool retain);
void claims_ask(struct worker *worker); /* claims that are due */
void claims_taken(struct worker *worker, struct reply *reply);
void claims_later(struct worker *worker, const struct reply *reply);
/* Everything in memory of this shard is void: it is claimed again. */
void claims_again(struct worker *worker, struct held *held);
void claims_halt(struct worker *worker, struct held *held, int32_t topic, const char *why);
/* Halts it if the shard says that too much of it cannot be read. */
void claims_halt_unreadable(struct worker *worker, struct held *held, int32_t topic);
/* The shards that are being claimed begin together, if they come in time: each change of the
 * assignment stops and starts all partitions. */
bool claims_gathered(const struct worker *worker);
/* The shard's due tenants are loaded: it runs. */
void claims_run(struct worker *worker, struct held *held);

/* ---- engine/pace.c ------------------------------------------------------------------------------ */
/* To be called some times a second: time passes, heartbeats are kept up, gauges are set. */
void pace_tick(struct worker *worker);

/* ---- engine/loading.c ----------------------------------------------------------------------------- */
/* Starts a load if there is something to load and none is under way, and takes the answer if it is
 * there within timeout_ms. True when an answer came. */
bool loading_turn(struct worker *worker, int timeout_ms);
/* The tenant of this event must be loaded; false when there is no room to park it. */
bool loading_park(struct worker *worker, struct held *held, const struct record *record,
                  int32_t index, struct text tenant);
/* The unknown tenants among what is next in the batch, loaded with one query; waits at most so
 * long. */
void loading_ahead(struct worker *worker, const struct arrival *arrivals, size_t count,
                   int timeout_ms);
bool loading_errand(struct worker *worker, const struct errand *errand);
/* Nothing of this shard waits any more. */
void loading_forget(struct worker *worker, int32_t shard);

/* ---- engine/apply.c --------------------------------------------------------------------------------- */
/* A batch, in order. */
void apply_batch(struct worker *worker, const struct arrival *arrivals, size_t count);
/* One event of a record that was parked. False: it still waits. */
bool apply_parked(struct worker *worker, struct held *held, const struct parked *parked);
/* The last record of the batch of each partition is what a restart recognises. */
void apply_fingerprints(struct worker *worker, struct held *held);

/* ---- engine/orders.c -------------------------------------------------------------------------------- */
void orders_take(struct worker *worker, struct order *order);
/* Those that wait for a settlement to themselves, each with its settlement. */
void orders_alone(struct worker *worker);
/* It waits for the next turn, when nothing is open. */
void orders_wait_alone(struct worker *worker, struct order *order);
/* The tenant it waited for is there. */
void orders_errand(struct worker *worker, struct held *held, struct errand *errand);
/* Loads tenants that nobody has looked at when it was time, which looks at them. */
void orders_overdue(struct worker *worker, int32_t shard, const struct text *tenants, size_t count);

/* ---- engine/rerate.c -------------------------------------------------------------------------------- */
/* Prices what waits and has a price now, a page and its settlement at a time; what is left of the order
 * is done in the next turn. The shard has nothing open. */
void rerate_page(struct worker *worker, struct held *held, struct order *order);

/* ---- engine/settling.c ------------------------------------------------------------------------------- */
/* Freezes what is due (`all`: everything open) and hands it over. */
void settling_freeze(struct worker *worker, bool all);
/* What is parked has held up a settlement for longer than an interval. */
bool settling_overdue(const struct worker *worker);
/* Tells Kafka how far is settled. */
void settling_tell(struct worker *worker);
/* Takes back what the settler has, waiting up to timeout_ms for the first. */
void settling_replies(struct worker *worker, int timeout_ms);
/* Waits until the shard has nothing frozen (and, with `all`, nothing open). False when it was lost
 * meanwhile. */
bool settling_wait(struct worker *worker, struct held *held);
/* The unpriced events of the shard behind a place, in held->page; false: the shard was lost
 * meanwhile. */
bool settling_page(struct worker *worker, struct held *held, const struct unpriced_query *query);
/* How often this record was taken alone, this time included; 0: the shard was lost meanwhile. */
int32_t settling_try(struct worker *worker, struct held *held, const struct record *record);

#endif
