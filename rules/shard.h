/*
 * A shard: everything one partition number is judged by, and the pure step that an event is.
 *
 * In: records in the order of their partition, loaded tenants, commands, the passing of time.
 * Out: the open settlement (what goes to Postgres in one commit) and wanted scope states (what goes
 * to the control topic now).  No I/O, no clock, no lock: the same input gives the same output,
 * whatever the batches.  One thread owns it.
 *
 * Time: shard.time never falls.  It moves with the records, and with the wall clock only when the
 * caller knows that every partition of the shard is at its end; whatever is due until then happens
 * first, in (deadline, tenant) order, stamped with its deadline.
 */
#ifndef RULES_SHARD_H
#define RULES_SHARD_H

#include "core/metric.h"
#include "core/original.h"
#include "core/record.h"
#include "core/seen.h"
#include "core/settlement.h"
#include "rules/lookup.h"
#include "rules/tenant.h"

struct shard_setup {
    int32_t shard;
    size_t topic_count;
    const char *const *topics; /* names, for labels and the answers of commands */
    bool dedupe;
    int64_t dedupe_window_ms;
    int64_t dedupe_records;
    size_t settle_memory; /* bytes, of each of the two settlements */
    size_t tenant_limit;  /* tenants in memory above which idle ones leave */
    bool halt_on_dead;    /* the 50 % rule */
    bool keep_dead_payload;
    size_t burst_entries; /* keys, tenants, addresses and features whose requests are counted */
    bool record;          /* settled events are kept one by one, and asked for */
    struct metric_set *metrics;
};

struct shard;

struct shard *shard_new(const struct shard_setup *setup);
void shard_free(struct shard *shard);

/* ---- as claimed -------------------------------------------------------------------------------- */
/* Begins with what Postgres says: nothing held, nothing open. */
struct shard_start {
    int64_t epoch;
    int64_t seq; /* settle_seq of the first settlement */
    int64_t time_ms;
    int64_t closed_ms; /* as the last settlement had it */
    /* Events with a time before this may have been settled by another shard, which had their tenant
     * before the topics grew: the record is asked. 0: none. */
    int64_t inherits_ms;
    const struct progress *progress; /* one a topic */
    const struct policy *policy;
    bool enforcing;
    const bool *halted; /* one a topic: as shard_halted was; NULL: none is */
};
void shard_begin(struct shard *shard, const struct shard_start *start);
int64_t shard_epoch(const struct shard *shard);
/* settle_seq of the next settlement to be frozen. */
int64_t shard_seq(const struct shard *shard);
int64_t shard_time(const struct shard *shard);

/* ---- tenants ------------------------------------------------------------------------------------ */
bool shard_knows(const struct shard *shard, struct text tenant);
/* A tenant came from the store; its scopes are judged at once. One that is held already keeps its
 * totals. False when memory is short. */
bool shard_load(struct shard *shard, const struct tenant_load *load);

/* ---- records ------------------------------------------------------------------------------------ */
enum applied {
    APPLIED, /* counted, duplicate, ignored or dead: accounted for */
    /* Its tenant is not held, or the record must be asked (shard_sought): park it, and when both are
     * there, shard_parked, in order. */
    APPLIED_UNKNOWN,
};
/* The events of a record, one by one, in order, between shard_record and shard_record_end. Ask
 * shard_full before a record: within one there is always room. NULL: the lookup is made here. */
void shard_record(struct shard *shard, const struct record *record);
enum applied shard_event(struct shard *shard, const struct record *record, int32_t index,
                         const struct event *event, const struct lookup *lookup);
/* Asks for the memory that an event of this topic will need, some events ahead of its turn. False:
 * its tenant is not held. */
bool shard_foresee(const struct shard *shard, int32_t topic, const struct lookup *lookup);
/* The same, step by step nearer to its turn, each for what the one before led to: 1..FORESEE_STEPS. */
#define FORESEE_STEPS 3
void shard_foresee_more(const struct shard *shard, const struct lookup *lookup, size_t step);
enum applied shard_dead(struct shard *shard, const struct record *record, int32_t index,
                        const struct event *event, const struct dead *dead);
void shard_ignored(struct shard *shard, const struct record *record);
/* What was parked: after later records, but before the next freeze. APPLIED_UNKNOWN: it still waits,
 * and what is behind it must wait, too. */
enum applied shard_parked(struct shard *shard, const struct record *record, int32_t index,
                          const struct event *event);
/* What the record of settled events is to be asked, oldest first, until shard_answered. */
size_t shard_sought(const struct shard *shard, const struct sought **sought);
/* The store is being asked now; then it has the i-th of those sought; then it has no more of the
 * first `count`. False: a settlement came back meanwhile, ask again. */
void shard_asked(struct shard *shard);
void shard_found(struct shard *shard, size_t index, const struct original *original);
bool shard_answered(struct shard *shard, size_t count);
/* The record is processed: progress moves behind it. */
void shard_record_end(struct shard *shard, const struct record *record);
/* What the last record of a batch is recognised by after a restart. */
void shard_fingerprint(struct shard *shard, int32_t topic, uint64_t fingerprint);
/* More than half of the events could not be read: nothing more is taken from this partition. */
bool shard_halted(const struct shard *shard, int32_t topic);
/* An operator has it read on: the shard is to be claimed anew, with the tail of this partition. False
 * when it was not halted. */
bool shard_resume(struct shard *shard, int32_t topic);
/* Offsets [from, to) of a topic hold no record. */
void shard_gap(struct shard *shard, int32_t topic, int64_t from, int64_t to);
/* A record of the tail, before next_offset: its identities are remembered, its requests are counted
 * in the windows of the burst limits, nothing else. */
bool shard_tail(struct shard *shard, const struct record *record, const struct event *event);
int64_t shard_next_offset(const struct shard *shard, int32_t topic);

/* ---- time and commands --------------------------------------------------------------------------- */
/* Everything due until now happens; shard.time becomes now if that is later. False: the settlement
 * is full before all is done; settle and call again. */
bool shard_advance(struct shard *shard, int64_t now_ms);
/* Every partition was read to its end at that moment: nothing earlier will come, and periods whose
 * grace is over may be closed. */
void shard_read_to(struct shard *shard, int64_t now_ms);
/* The effects of commands; shard_command_done marks one applied (error NULL) or refused. */
void shard_policy(struct shard *shard, const struct policy *policy);
void shard_enforce(struct shard *shard, bool on);
/* A new version of the contract, or new words. A tenant that is not held is left alone: it is
 * loaded with them. */
void shard_contract(struct shard *shard, const struct tenant_load *load);
/* COMMAND_BREAKER; its tenant must be held. NULL, or why it has no effect. */
const char *shard_breaker(struct shard *shard, const struct command *command);
/* COMMAND_ANOMALY, likewise. */
const char *shard_anomaly(struct shard *shard, const struct command *command);
void shard_command_done(struct shard *shard, int64_t id, const char *error);
/* An unpriced event as it was kept: what it costs is booked when the policy has a price for it now. Only
 * with nothing open or frozen since it was read from the store. */
/* Refunds among them need what the record has of their originals: it is said of all before the first. */
void shard_rerate_tell(struct shard *shard, const struct unpriced_event *waiting);
enum rerated { RERATED, RERATED_WAITS, RERATED_UNKNOWN /* its tenant is not held */ };
enum rerated shard_rerate(struct shard *shard, const struct unpriced_event *waiting);
/* A dead letter's event, read again: counted now (or duplicate, when it was sent again meanwhile);
 * that it was dead once stays counted too, its row says that it is resolved. */
enum revived { REVIVED, REVIVED_UNKNOWN, REVIVED_REFUSED };
enum revived shard_revive(struct shard *shard, const struct record *record, int32_t index,
                          const struct event *event);

/* ---- out ------------------------------------------------------------------------------------------ */
/* Scope states wanted since the last shard_wanted_taken, in order. */
size_t shard_wanted(const struct shard *shard, struct scope_state *const **states);
void shard_wanted_taken(struct shard *shard, size_t count);
/* Every scope that was ever wanted is wanted again (the publisher has forgotten them). */
void shard_republish(struct shard *shard);
/* The current state of one scope is wanted again, whatever was wanted before (a stranger's record
 * stands on the topic). The tenant must be held. */
void shard_declare(struct shard *shard, struct text scope, struct text tenant);
/* An alert of no tenant's money, written with the settlement. */
void shard_transition(struct shard *shard, const struct transition *transition);

/* ---- settlements ----------------------------------------------------------------------------------- */
/* Nothing would be written but the time. */
bool shard_clean(const struct shard *shard);
/* No more records until a settlement has come back. */
bool shard_full(const struct shard *shard);
/* The open settlement becomes the frozen one and is handed out; NULL while one is frozen already or
 * nothing is open. The shard does not touch it until shard_settled. */
struct settlement *shard_freeze(struct shard *shard);
/* It was committed. `differing`: totals that the database has otherwise (its in `delta`, ours in
 * `expected`); its word counts. */
void shard_settled(struct shard *shard, const struct period_total *differing, size_t count);

/* ---- what the status page shows ----------------------------------------------------------------------- */
size_t shard_tenant_count(const struct shard *shard);
size_t shard_restricted_count(const struct shard *shard);
/* The policy in force has breakers: tenants are to be loaded with their features. */
bool shard_has_breakers(const struct shard *shard);
/* Tenants that are held, but were loaded before the policy had breakers: they are to be loaded once
 * more, as for a new contract. The name lives until on_name returns. */
typedef void shard_on_name(void *context, struct text name);
void shard_unprotected(const struct shard *shard, shard_on_name *on_name, void *context);
/* Zone of tenants that name none. */
struct text shard_default_zone(const struct shard *shard);

#endif
