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
#include "core/original.h"
#include "core/settlement.h"
#include "core/tenant.h"

struct store;

/* Opens a connection with the session settings of the engine (lock_timeout 5 s,
 * idle_in_transaction_session_timeout 5 s, statement_timeout 30 s,
 * client_connection_check_interval 1 s, keepalives, tcp_user_timeout); RETRY when the server cannot
 * be reached (tried for 5 s), FATAL when waiting cannot help (authentication, unknown database, schema missing or
 * of another version: the text names `tripmeter migrate`). `name` becomes application_name. */
struct store *store_open(const struct config *config, const char *name, struct err *why);
void store_close(struct store *store);
/* The connection is known to be broken: close and open again before the next use. The store keeps
 * copies of what it needs of config. */
bool store_broken(const struct store *store);

/* ---- layout: topics and their partition count ------------------------------------------------ */
/* partitions: of the topic that has fewest. Stored when there is no layout; FATAL with the remedy when
 * the topics are others than were stored, or have fewer. */
bool store_layout(struct store *store, const struct config *config, int32_t partitions,
                  struct err *why);
bool store_has_layout(struct store *store, bool *has, struct err *why);

/* One step of the protocol in schemas/migrations/0017_growth.sql, for topics that have so many
 * partitions now; any engine, as often as it likes. FATAL when they cannot grow so. */
struct growth {
    int32_t partitions; /* of the layout, after this step */
    bool ask_ends;      /* ask the broker now, then store_growth_ends */
    char waits[256];    /* "until ...", "for ..."; "": nothing is under way (any more) */
};
bool store_growth(struct store *store, const int32_t *counts, int64_t wait_ms,
                  struct growth *growth, struct err *why);
/* ends[topic * partitions + partition] of the layout's partitions: 0 where nothing is to be read. */
bool store_growth_ends(struct store *store, int32_t partitions, const int64_t *ends,
                       struct err *why);

/* ---- policy ---------------------------------------------------------------------------------- */
/* The policy of config: its serial if its hash is the current one; stored as current + 1, with one
 * command a shard, if the hash is new; FATAL if it is an older one and not `activate`.
 * `look`: under a new one every tenant is looked at soon, also those that send nothing. */
bool store_policy(struct store *store, const struct config *config, bool activate, bool look,
                  int64_t *serial, struct err *why);
/* The serial in force; 0: none yet. */
bool store_policy_serial(struct store *store, int64_t *serial, struct err *why);
/* The body of a serial; lives in the arena. */
bool store_policy_body(struct store *store, int64_t serial, struct arena *arena, struct text *body,
                       struct err *why);

/* ---- claim ------------------------------------------------------------------------------------ */
struct claim {
    int32_t shard;
    int64_t epoch;
    int64_t seq;               /* settle_seq */
    int64_t time_ms;           /* shard.time; 0 before the first settlement */
    bool kept;                 /* owner, epoch and seq are as we left them: memory stays valid */
    int64_t policy;            /* serial last in force for the shard; 0: none */
    int64_t closed_ms;         /* periods that ended at or before this are closed to the shard */
    int64_t inherits_ms;       /* see struct shard_start */
    int32_t partitions;        /* of the layout; 0: none is stored */
    int64_t layout_epoch;      /* epochs before this one are of an older layout */
    bool enforcing;            /* `enforce off` has not been said */
    int32_t claims;            /* since the last settlement, this one included */
    bool halted[TOPIC_LIMIT];  /* until an operator resumes it: too much of it cannot be read */
    int64_t command_waiting;   /* id of the newest command not applied yet; 0: none waits */
    struct progress *progress; /* one a topic, in the order of the configuration: from == next ==
                                       next_offset, counts 0; next is -1 where nothing was ever
                                       settled: the first settlement's `from` becomes the base */
    int64_t *attempting; /* one a topic: single steps up to and including this offset; -1: none */
    int64_t *dead[TOPIC_LIMIT]; /* offset*4096+index of dead letters among the last dedupe.records
                                       offsets, rising; retried with success: left out. NULL when kept */
    size_t dead_count[TOPIC_LIMIT];
};
/* Takes the shard over for `owner` (unique to this process and worker). claim->shard is the
 * caller's; claim->epoch and claim->seq are what this owner believes it holds, or -1; all is filled
 * in. Arrays live in the arena. Waits for a predecessor's commit; RETRY when that takes over 5 s. */
bool store_claim(struct store *store, const char *owner, struct claim *claim, struct arena *arena,
                 struct err *why);

/* ---- loading ---------------------------------------------------------------------------------- */
typedef void store_on_tenant(void *context, const struct tenant_load *load);
struct load_query {
    int32_t shard;
    bool claim_home;    /* homes that are unknown or provisional become `shard` */
    int64_t after_ms;   /* totals of periods that end later are wanted, and words that hold later */
    bool features;      /* their hours, slots and breakers, which end at after_ms */
    bool contract_only; /* no totals, and of the quotas only open or blocked ones */
    const struct text *names; /* each once; they must live until the answer */
    size_t count;
};
/* For a store that loads again and again: the statements are parsed and planned once, here, and not
 * with each load. Waits. */
bool store_prepare_loads(struct store *store, struct err *why);
/* Sends the query without waiting; nothing else may use this store until it is answered. The newest
 * version and words are loaded, applied as a command or not; `home` is -1 when there is none yet;
 * `zone` is NULL when the spec names none or one that this machine does not know: the policy's
 * default applies. */
bool store_load_send(struct store *store, const struct load_query *query, struct err *why);
/* Waits up to timeout_ms. 1: answered, every tenant went through on_tenant, in the order asked (its
 * memory lives until on_tenant returns); 0: not yet; -1: failed: send again. */
int store_load_poll(struct store *store, int timeout_ms, store_on_tenant *on_tenant, void *context,
                    struct err *why);
/* The same for what the record of settled events is asked; `sought` must live until the answer. One
 * call a finding, with its place among those sought; the texts live until it returns. */
typedef void store_on_original(void *context, size_t index, const struct original *original);
bool store_seek_send(struct store *store, const struct sought *sought, size_t count,
                     struct err *why);
int store_seek_poll(struct store *store, int timeout_ms, store_on_original *on_original,
                    void *context, struct err *why);
/* Names of the tenants of the shard with anything due at until_ms or earlier; with
 * `restricted` (on claim) also those with a restriction or an open episode. Whom store_policy wants
 * looked at can wait. In byte order. */
struct due_query {
    int32_t shard;
    int64_t until_ms;
    bool restricted;
};
typedef void store_on_name(void *context, struct text name);
bool store_due(struct store *store, const struct due_query *query, store_on_name *on_name,
               void *context, struct err *why);
/* Tenants of the shard whose time came a minute ago, by what is settled (nobody has them in memory, or
 * they would have been looked at), or that store_policy wants looked at. The longest overdue, 1,000 at
 * most. */
bool store_overdue(struct store *store, int32_t shard, store_on_name *on_name, void *context,
                   struct err *why);

/* ---- commands --------------------------------------------------------------------------------- */
typedef void store_on_command(void *context, int32_t shard, const struct command *command);
struct command_query {
    const int32_t *shards;
    size_t shard_count;
    const int64_t *taken; /* ids handed out before whose settlement is not known to be committed */
    size_t taken_count;
};
/* Commands of the shards that are not applied and not taken, in order of id, at most 1,000. Not
 * "above the last id": ids become visible in the order of commits, so that a lower one may come
 * later. A tenant's load is as new as the command or newer: never go back to a lower version. */
bool store_commands(struct store *store, const struct command_query *query,
                    store_on_command *on_command, void *context, struct err *why);

/* Unpriced events of a shard that wait, behind a place in the order of topic, offset and index (topic
 * -1: all); at most UNPRICED_PAGE. In the arena. */
#define UNPRICED_PAGE 1000
struct unpriced_query {
    int32_t shard;
    int32_t topic; /* of the configuration */
    int64_t offset;
    int32_t index;
};
bool store_unpriced(struct store *store, const struct unpriced_query *query, struct arena *arena,
                    struct list *events, struct err *why);

/* ---- settlement ------------------------------------------------------------------------------- */
enum settled {
    SETTLED,        /* committed, by this call or by an earlier one whose answer was lost */
    SETTLE_UNKNOWN, /* connection lost, timed out, disk full, ...: open again when store_broken, and
                        send the same once more */
    SETTLE_FENCED,  /* another owner has the shard: drop its state */
    SETTLE_REFUSED, /* the database refuses a row (SQLSTATE class 22, 23): never resend */
    SETTLE_IMPOSSIBLE, /* sums differ or an offset is beyond ours: dump and stop */
};
struct settle_result {
    bool resent;           /* SETTLED by an earlier call; nothing below is known */
    size_t rows;           /* rows written */
    size_t transitions;    /* of them: alert transitions (wake the notifier) */
    size_t period_differs; /* totals that were not as expected; corrected below */
    struct period_total
        *differing;    /* the database's totals in .delta, ours in .expected; in the store's
                                       memory until its next call */
    size_t dead_count; /* dead letters to publish are those of the settlement */
};
enum settled store_settle(struct store *store, const struct config *config,
                          const struct settlement *settlement, struct settle_result *result,
                          struct err *why);
/* After SETTLE_REFUSED: remembers, for a shard that we own, that the records of this settlement are
 * to be settled one by one. RETRY as ever; ABORT when another owner has the shard. */
bool store_attempting(struct store *store, const struct settlement *refused, struct err *why);

/* A record is about to be settled alone because owners ended without a settlement: how often was it
 * tried, this time included? */
struct trial {
    int32_t shard;
    int64_t epoch;
    const char *topic;
    int64_t offset;
};
bool store_try(struct store *store, const struct trial *trial, int32_t *times, struct err *why);

/* ---- alerts outside settlements ---------------------------------------------------------------- */
/* Raised or resolved by the engine itself (no tenant's money in it); doing it twice changes nothing. */
bool store_raise(struct store *store, const struct transition *transition, struct err *why);

/* ---- dead letters committed but not yet on the dead-letter topic -------------------------------- */
/* The letter's texts live until it returns. */
typedef void store_on_dead(void *context, const struct dead_letter *dead, int32_t shard);
/* At most 1,000 of the shard, in order of offset; `topic` indexes config's topics. After a claim, and
 * after the producer was full: store_dead_published says which arrived. */
bool store_dead_unpublished(struct store *store, int32_t shard, store_on_dead *on_dead,
                            void *context, struct err *why);
bool store_dead_published(struct store *store, int32_t shard, const struct dead_letter *dead,
                          size_t count, struct err *why);

/* ---- partitions ---------------------------------------------------------------------------------- */
/* Makes final what every shard has closed: how many periods that were. They are told of, in this
 * currency and zone where a contract names none. */
bool store_close_periods(struct store *store, struct text currency, struct text zone,
                         int64_t *count, struct err *why);
/* Makes the partitions of this month and the next two, and detaches those more than keep_months old
 * (0: keeps all). To be called once a day, on a connection that settles nothing. */
bool store_maintain(struct store *store, int64_t now_ms, int32_t keep_months, struct err *why);
/* Closes the alerts about the input (models without a price, tenants nobody knows, ...) whose UTC day
 * is over. */
bool store_close_days(struct store *store, int64_t now_ms, struct err *why);
/* The same for the days of the record of settled events, as the configuration keeps them; raises
 * the alert when the size it may have made days go early. */
bool store_maintain_record(struct store *store, const struct config *config, int64_t now_ms,
                           struct err *why);

#endif
