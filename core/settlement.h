/*
 * What one transaction of one shard carries: everything that moved since the last one.
 *
 * A worker fills the open settlement; frozen, it is handed whole to the settler, which only reads
 * it, may send it any number of times, and hands it back when its fate is known.  Strings live in
 * its own arena, so that nothing in it points into the shard.
 *
 * Rows with a key (facts, key facts, period totals) coalesce: one row a key, deltas added up.
 */
#ifndef CORE_SETTLEMENT_H
#define CORE_SETTLEMENT_H

#include "core/alert.h"
#include "core/breaker.h"
#include "core/burst.h"
#include "core/decision.h"
#include "core/delta.h"
#include "core/event.h"
#include "core/list.h"
#include "core/meter.h"
#include "core/reservation.h"
#include "core/rollover.h"
#include "core/slots.h"
#include "core/watch.h"

/* One topic partition moves from one offset to another; records and events are accounted for. */
struct progress {
    int64_t from;      /* next_offset before */
    int64_t next;      /* next_offset after; == from when it did not move */
    int64_t processed; /* records; next - from = processed + gaps */
    int64_t gaps;
    int64_t counted; /* events, as the four below; those of retried dead letters too */
    int64_t keyed;   /* of the counted ones: those that name an API key */
    int64_t duplicates;
    int64_t dead;
    int64_t ignored;
    int64_t time_ms;     /* highest record time so far */
    int64_t last_offset; /* of the last record processed; -1: none yet */
    uint64_t last_fingerprint;
    bool moved; /* anything above changed */
};

/* Facts of a tenant: (tenant, project, feature, provider, model, hour, period). */
struct fact {
    struct text tenant;
    struct text project; /* these four: absent is stored as '' */
    struct text feature;
    struct text provider;
    struct text model;
    int64_t hour_ms;
    int64_t period_ms; /* start of the period it was booked in */
    struct delta delta;
};

/* Facts of a key: (tenant, key, hour, period). */
struct key_fact {
    struct text tenant;
    struct text key;
    int64_t hour_ms;
    int64_t period_ms;
    struct delta delta;
};

/* Running total of a tenant (project absent) or of one of its declared projects in a period. */
struct period_total {
    struct text tenant;
    struct text project; /* absent is stored as '' */
    int64_t start_ms;
    int64_t end_ms;
    struct amounts delta;
    bool expected_known;     /* memory knows the total: the database's answer must equal it */
    struct amounts expected; /* until it is frozen: the total when the row was made */
};

/* Usage of a period that may not change any more, booked in a later one as money: it touches none
 * of that one's limits.  (tenant, project, period, service) */
struct adjustment {
    struct text tenant;
    struct text project; /* absent is stored as '' */
    int64_t period_ms;   /* start of the period it is booked in */
    struct {             /* the period it belongs to */
        int64_t start_ms;
        int64_t end_ms;
    } service;
    struct amounts delta;
};

/* What its pace remembers (rules/pace.h); amounts times 1e9, whatever the meter. */
struct pace_memory {
    int64_t day_ms; /* start of the local day; 0: none */
    int64_t days;   /* of the period from that day on, itself included */
    tally before;   /* used before it */
    bool warned;
    bool warning;
    bool noticed;
    bool notice;
    tally forecast;
};

/* What a quota remembers in a period: written whole whenever it changes. */
struct quota_memory {
    struct text tenant;
    struct text quota;
    struct text project; /* absent is stored as '' */
    int64_t period_ms;
    uint32_t spent;     /* percent of the highest step that has fired; 0: none (rules/quota.h) */
    tally spent_amount; /* the highest that is an amount, times 1e9 whatever the meter */
    bool open;          /* an episode is open */
    bool blocked;       /* a restriction is active */
    int64_t since_ms;   /* when it began */
    struct pace_memory pace;
};

/* A feature of a tenant, where the policy has breakers. These three are written whole, like the memory
 * of quotas; a later one of a key replaces earlier ones. */
struct feature_slot {
    struct text tenant, feature;
    struct slot slot; /* the key is its place in the ring */
};

/* What is known of an hour beside the facts that were booked in it. */
struct feature_hour {
    struct text tenant, feature;
    int64_t hour_ms;
    unsigned flags; /* of enum hour_flag */
    tally baseline; /* in force in it */
    tally learned; /* cost known from elsewhere, before there were facts; added to what is stored */
};

/* The breaker, with what an operator said of it. */
struct breaker_memory {
    struct text tenant, feature;
    struct breaker breaker;
    tally usual;               /* baseline of the present hour; 0: none */
    tally accepted;            /* the baseline is at least this */
    int64_t accepted_until_ms; /* until then; INT64_MIN: nothing was accepted */
    struct text actor;         /* whose word holds; absent: nobody's */
    struct text reason;
};

/* A move of a breaker, kept for the weekly review. */
struct breaker_move {
    struct text tenant, feature;
    int64_t at_ms;
    enum breaker_state from, to;
    bool would;     /* not enforced: it would be open from here on, or no longer */
    int32_t opens;  /* n after it */
    tally baseline; /* of the trip */
    tally observed;
    tally would_block;   /* spent while it would have been open, at its end */
    struct text trigger; /* id of the event; absent: a deadline or a command */
    struct text actor;
    struct text reason;
};

/* What the detector knows of a tenant (feature empty) or of one of its features: written whole. */
struct watch_memory {
    struct text tenant, feature;
    struct watch watch;
    bool gone; /* nothing is known any more: its rows are deleted */
};

/* An incident of a series, as it stands: a later row of a key (tenant, feature, metric, since)
 * replaces an earlier one, but for the records, which add up, and what was before the first. */
struct anomaly_note {
    struct text tenant, feature;
    enum watch_metric metric;
    int64_t since_ms;
    int64_t at_ms; /* when this was noticed */
    int64_t width_ms;
    enum watch_tier tier; /* the highest so far */
    bool over;
    int32_t records; /* broken by this window */
    float score;     /* of the highest-scored record, as the following */
    float value;
    float usual;
    float excess;      /* in money, as it is now */
    float day;         /* what a usual day costs */
    struct text words; /* absent: as before */
    struct text
        folded; /* who speaks for it: a feature, a metric, or "incident"; absent: as before */
    struct extremes before[CHANNEL_COUNT]; /* the records that the first one broke */
};

/* A reservation; a later row of a key (tenant, id) replaces earlier ones. */
struct reservation_memory {
    struct text tenant, id;
    struct text feature, currency; /* absent is stored as '' */
    enum reservation_state state;
    int64_t made_ms;
    int64_t due_ms; /* of the next state without any event */
    int64_t at_ms;  /* since when this state holds */
    bool has_cost;
    struct money cost;
};

/* A quota that counts for itself (rules/counter.h) in one window: written whole whenever it changes.
 * (tenant, quota, subject, start) */
struct counter_memory {
    struct text tenant;
    struct text quota;
    enum label label;    /* what the subject is; LABEL_TENANT: there is none */
    struct text subject; /* a feature, model, key or project; absent is stored as '' */
    int64_t start_ms;
    int64_t end_ms;     /* INT64_MAX: it never turns, a gauge */
    tally used;         /* times 1e9, whatever the meter */
    int64_t at_ms;      /* gauges: when the value was measured */
    uint32_t spent;     /* as a quota's (struct quota_memory) */
    tally spent_amount; /* likewise */
    bool open;
    bool blocked;
    int64_t since_ms;
};

/* A quota that rolls over (core/rollover.h) in one billing period: written whole when the period
 * begins, when its base or carry changes, when it ends, and when late usage changes how it ended.
 * (tenant, quota, project, start) */
struct carry_memory {
    struct text tenant;
    struct text quota;
    struct text project; /* absent is stored as '' */
    enum meter meter;    /* amounts are in it: nano-units for money, else counts */
    int64_t start_ms;
    int64_t end_ms;
    bool unlimited; /* nothing can be carried out of it */
    tally base;
    tally carry; /* brought in; negative: deducted */
    tally total_cap;
    bool closed;          /* it has ended; the following is of its end */
    struct rollover rule; /* what was carried on, and how */
    tally room;           /* what the next period takes beside its base */
    tally used;
    struct rollover_end end;
    int64_t policy; /* serial of the policy whose rule that is */
};

/* Memories by their keys, as comparisons say it: the arguments are of the type. */
int quota_memory_compare(const void *one, const void *other);
int counter_memory_compare(const void *one, const void *other);
int carry_memory_compare(const void *one, const void *other);

/* Somebody who sent more than a burst limit (rules/throttle.h): written whole whenever it changes.
 * (tenant, scope, subject, began) */
struct throttle_memory {
    struct text tenant;
    enum burst_scope scope;
    struct text subject; /* the key, address or feature; absent is stored as '' */
    int64_t began_ms;    /* of the first in a row */
    int64_t since_ms;    /* of the last one */
    int64_t until_ms;
    int64_t told_ms; /* when gateways were told last */
    int64_t times;   /* throttled in a row */
    int64_t used;    /* in 60 seconds when they were told */
    int64_t limit;   /* that it was above */
    tally came;      /* requests (or attempts) that came meanwhile */
    tally came_cost; /* and what they cost */
    bool attempts;   /* counted */
    bool shadow;     /* nobody was told */
    bool alerted;    /* an alert of it is open */
    bool over;       /* for so long that the next one is another one */
};

/* When a tenant needs looking at without any event; INT64_MAX: never. */
struct tenant_due {
    struct text tenant;
    int64_t due_ms;
    bool restricted; /* has a restriction or an open episode: loaded on claim */
};

/* A source of events was heard; one row a source. */
struct source_heard {
    struct text source;
    int64_t at_ms; /* record time */
};

struct dead_letter {
    int32_t topic;
    int64_t offset;
    int32_t index; /* of the event in the record's array */
    int64_t time_ms;
    struct dead why;
    bool remembered;    /* a repeat of it is a duplicate: the record refused it, not its bytes */
    struct text tenant; /* absent when it could not be read */
    struct text source;
    struct text id;
    char hash[65];     /* SHA-256 of the value, hex */
    struct text value; /* the raw value; absent unless the configuration keeps it */
    uint64_t fingerprint;
};

/* Events stored one by one: what the engine keeps whole or acts on by storing. */
struct kept_event {
    enum event_kind kind;
    int32_t topic;
    int64_t offset;
    int32_t index;
    int64_t at_ms;
    struct text tenant, source, id;
    struct text project, feature, key, model, request_id;
    bool has_amount;
    struct money amount; /* reserve: cost; topup: amount; decision: estimated cost */
    struct text word;   /* decision: outcome; topup: ref; gauge: name; value: name; release: reason;
                            correct: id it supersedes; reserve and release: reservation id */
    struct text reason; /* decision: reason */
    int64_t value;      /* gauge: value */
    struct text body;   /* `data`, minified JSON */
};

struct original; /* core/original.h */

struct unpriced_event {
    int32_t topic;
    int64_t offset;
    int32_t index;
    int64_t at_ms;
    struct text tenant, source, id, project, feature, key, provider, model, currency;
    int64_t hour_ms, period_ms;
    int64_t usage[USAGE_COUNT];
    enum event_kind kind;
    bool has_cost; /* in a currency without a rate */
    struct money cost;
    tally estimate;
    struct text original_source,
        original_id;                 /* what a refund is of; absent: it is none, or was booked
                                                 without a look at the record */
    const struct original *original; /* as the record has that, when read again; NULL: it has not */
};

/* An unpriced event that waits no longer: its price is booked (where it stands is known), or a
 * correction took its place (only its identity is). */
struct priced_event {
    int32_t topic; /* -1: a correction */
    int64_t offset;
    int32_t index;
    struct text tenant, source, id;
    int64_t at_ms; /* shard time */
};

/* An event as it was booked, for the record of settled events (nothing while that is off). Tenant,
 * project, feature, provider, model, hour and period are those of its fact. */
struct settled_event {
    size_t fact; /* index in facts */
    int32_t topic;
    int32_t index;
    int64_t offset;
    int64_t time_ms; /* of the record */
    int64_t at_ms;
    int64_t policy;
    uint64_t content; /* hash of what the event says, the same in every process */
    enum event_kind kind;
    int32_t attempt;
    bool reversal; /* no event: takes back what the original booked, or prices it */
    bool price;    /* the latter: it was unpriced */
    struct text source, id, key, request_id;
    struct text original_source, original_id; /* refund, correct: what it refers to */
    int64_t price_version;   /* valid_from of the price that made the cost; -1: no list did */
    int64_t charge_version;  /* of the one that made the charge; likewise */
    struct text charge_rule; /* how the charge was made; absent: it is the cost */
    struct amounts amounts;
};

struct command_done {
    int64_t id;
    int64_t at_ms;     /* shard time */
    struct text error; /* absent: applied; RETRY that is refused again: the reason */
};

struct settlement {
    int32_t shard;
    int64_t epoch;
    int64_t seq;       /* settle_seq it moves from, to seq + 1 */
    int64_t time_ms;   /* shard.time afterwards */
    int64_t policy;    /* serial in force at the end */
    int64_t closed_ms; /* periods that ended at or before this are not booked in any more */
    size_t topic_count;
    struct progress *progress; /* one a topic */
    struct arena *arena;
    struct list facts;     /* struct fact */
    struct list key_facts; /* struct key_fact */
    struct list wide;      /* struct amounts: of deltas of facts that do not fit into their rows */
    struct list periods;   /* struct period_total */
    struct list adjustments;  /* struct adjustment */
    struct list quotas;       /* struct quota_memory; a later one of a key replaces earlier ones */
    struct list counters;     /* struct counter_memory; likewise */
    struct list carries;      /* struct carry_memory; likewise */
    struct list throttles;    /* struct throttle_memory; likewise */
    struct list slots;        /* struct feature_slot; likewise */
    struct list hours;        /* struct feature_hour; likewise, but `learned` adds up */
    struct list breakers;     /* struct breaker_memory; likewise */
    struct list moves;        /* struct breaker_move, in order */
    struct list watches;      /* struct watch_memory, one a key */
    struct list notes;        /* struct anomaly_note */
    struct list reservations; /* struct reservation_memory, in order */
    struct list due;          /* struct tenant_due; likewise */
    struct list sources;      /* struct source_heard */
    struct list transitions;  /* struct transition, in order */
    struct list decisions;    /* struct scope_state, in order */
    struct list dead;         /* struct dead_letter */
    struct list kept;         /* struct kept_event */
    struct list unpriced;     /* struct unpriced_event */
    struct list priced;       /* struct priced_event */
    struct list events;       /* struct settled_event, in the order they were booked */
    struct list commands;     /* struct command_done */
    struct list attempting;   /* int64_t offsets a topic: reserved for single steps; see store.h */
    size_t memory_limit;      /* bytes; settlement_full() compares */
};

struct settlement *settlement_new(size_t topic_count, size_t memory_limit);
void settlement_free(struct settlement *settlement);
/* Empties it for the next round, as the one that follows `from` (which may be itself): same shard,
 * epoch, policy and time, next seq, progress starting where it ended. NULL: all of these zero.
 * Memory is kept. */
void settlement_clear(struct settlement *settlement, const struct settlement *from);
/* Anything at all to commit? */
bool settlement_empty(const struct settlement *settlement);
/* Past the memory limit: the worker takes no more records until one has been settled. */
bool settlement_full(const struct settlement *settlement);

#endif
