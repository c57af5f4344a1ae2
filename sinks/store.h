/*
 * Postgres: the state.  A store is one connection, owned by one thread.
 *
 * Every value goes as a bound parameter, most as binary arrays; several statements of one
 * transaction travel in one pipeline.  What decides (compare-and-set of the shard row, of every
 * progress row, the sums) is checked in the server by functions that RAISE, so that the COMMIT
 * behind them in the pipeline cannot pass (schemas/migrations).
 */
#ifndef SINKS_STORE_H
#define SINKS_STORE_H

#include "config/config.h"
#include "core/settlement.h"
#include "core/tenant.h"

struct store;

/* Opens a connection with the session settings of the engine (lock_timeout 5 s,
 * idle_in_transaction_session_timeout 5 s, statement_timeout 30 s,
 * client_connection_check_interval 1 s, keepalives, tcp_user_timeout); RETRY when the server cannot
 * be reached, FATAL when waiting cannot help (authentication, unknown database, schema missing or
 * of another version: the text names `tripmeter migrate`). `name` becomes application_name. */
struct store *store_open(const struct config *config, const char *name, struct err *why);
void store_close(struct store *store);
/* The connection is known to be broken: close and open again before the next use. */
bool store_broken(const struct store *store);

/* ---- layout: topics and their partition count, stored once ---------------------------------- */
/* Stores it when there is none; FATAL with the remedy when another one is stored. */
bool store_layout(struct store *store, const struct config *config, int32_t partitions,
                  struct err *why);

/* ---- policy ---------------------------------------------------------------------------------- */
/* The policy of config: its serial if its hash is the current one; stored as current + 1, with one
 * command a shard, if the hash is new; FATAL if it is an older one and not `activate`. */
bool store_policy(struct store *store, const struct config *config, bool activate, int64_t *serial,
                  struct err *why);
/* The body of a serial; lives in the arena. */
bool store_policy_body(struct store *store, int64_t serial, struct arena *arena, struct text *body,
                       struct err *why);

/* ---- claim ------------------------------------------------------------------------------------ */
struct claim {
    int32_t shard;
    int64_t epoch;
    int64_t seq;     /* settle_seq */
    int64_t time_ms; /* shard.time; 0 before the first settlement */
    bool kept;       /* owner, epoch and seq are as we left them: memory stays valid */
    int64_t policy;  /* serial last in force for the shard; 0: none */
    bool enforcing;  /* `enforce off` has not been said */
    struct progress *progress;      /* one a topic; from == next == next_offset */
    int64_t *attempting;            /* one a topic: single steps up to and including this offset; -1: none */
    int64_t *dead[TOPIC_LIMIT];     /* offset*4096+index of dead letters at or after tail_from, rising */
    size_t dead_count[TOPIC_LIMIT];
};
/* Takes the shard over for `owner` (unique to this process and worker). `held_epoch`/`held_seq`:
 * what this owner believes it holds, or -1. Arrays live in the arena. */
bool store_claim(struct store *store, const char *owner, int64_t held_epoch, int64_t held_seq,
                 struct claim *claim, struct arena *arena, struct err *why);

/* ---- loading ---------------------------------------------------------------------------------- */
typedef void store_on_tenant(void *context, const struct tenant_load *load);
/* Sends the query for tenants by name without waiting; `claim_home`: unknown homes become `shard`.
 * Only one load may be under way. `after_ms`: periods that end later are wanted. */
bool store_load_send(struct store *store, int32_t shard, bool claim_home, const struct text *names,
                     size_t count, int64_t after_ms, struct err *why);
/* Waits up to timeout_ms. 1: answered, every tenant went through on_tenant; 0: not yet; -1: failed. */
int store_load_poll(struct store *store, int timeout_ms, store_on_tenant *on_tenant, void *context,
                    struct err *why);
/* Every tenant of the shard with a restriction, an open episode or anything due: names only go
 * through on_name, at most `limit`, after `after` in byte order. */
typedef void store_on_name(void *context, struct text name);
bool store_due(struct store *store, int32_t shard, int64_t until_ms, store_on_name *on_name,
               void *context, struct err *why);

/* ---- commands --------------------------------------------------------------------------------- */
typedef void store_on_command(void *context, int32_t shard, const struct command *command);
/* Commands of the shards above `after` (one a shard), in order of id, at most 1,000. */
bool store_commands(struct store *store, const int32_t *shards, const int64_t *after, size_t count,
                    store_on_command *on_command, void *context, struct err *why);

/* ---- settlement ------------------------------------------------------------------------------- */
enum settled {
    SETTLED,         /* committed, by this call or by an earlier one whose answer was lost */
    SETTLE_UNKNOWN,  /* connection lost or timed out: open again and send the same once more */
    SETTLE_FENCED,   /* another owner has the shard: drop its state */
    SETTLE_REFUSED,  /* the database refuses a row (SQLSTATE class 22, 23): never resend */
    SETTLE_IMPOSSIBLE, /* sums differ or an offset is beyond ours: dump and stop */
};
struct settle_result {
    size_t rows;            /* rows written */
    size_t period_differs;  /* totals that were not as expected; corrected below */
    struct period_total *differing; /* the database's totals in .expected; in the store's memory until
                                       its next call */
    size_t dead_count;      /* dead letters to publish are those of the settlement */
};
enum settled store_settle(struct store *store, const struct config *config,
                          const struct settlement *settlement, struct settle_result *result,
                          struct err *why);
/* Before single steps: remembers, for a shard that we own, up to which offset of each topic records
 * are settled one by one. */
bool store_attempting(struct store *store, int32_t shard, int64_t epoch, int64_t seq,
                      const int64_t *offsets, size_t topic_count, struct err *why);

/* ---- alerts outside settlements ---------------------------------------------------------------- */
/* Raised or resolved by the engine itself (no tenant's money in it); doing it twice changes nothing. */
bool store_raise(struct store *store, const struct transition *transition, struct err *why);

/* Dead letters committed but not yet on the dead-letter topic: for publishing again after a crash. */
/* (see store_dead.h) */

#endif
