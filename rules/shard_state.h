/* The inside of a shard, shared by the files of rules/ that make it up and by nobody else. */
#ifndef RULES_SHARD_STATE_H
#define RULES_SHARD_STATE_H

#include "rules/booking.h"
#include "rules/due.h"
#include "rules/originals.h"
#include "rules/shard.h"
#include "rules/sources.h"

#define DEAD_MINUTES 5
/* Before the first record of all: nothing is judged, for no period is the present one. */
#define SHARD_TIME_UNKNOWN 0

/* Events and dead ones of the last minutes of record time: is this partition still readable? */
struct dead_rate {
    int64_t minute[DEAD_MINUTES];
    int64_t events[DEAD_MINUTES];
    int64_t dead[DEAD_MINUTES];
    int64_t alerted_day; /* UTC day it was alerted for */
};

struct topic_state {
    struct seen *seen; /* NULL: duplicates are not looked for */
    int64_t time_ms;   /* partition time: the highest record time so far */
    struct dead_rate rate;
    bool halted;
};

struct shard {
    struct shard_setup setup;
    const struct policy *policy;
    bool enforcing;
    int64_t epoch;
    int64_t seq; /* settle_seq of the next settlement to freeze */
    int64_t time_ms;
    int64_t read_to_ms;  /* every partition was read to its end at this moment */
    int64_t closed_ms;   /* no settlement since has booked in periods that ended at or before */
    int64_t inherits_ms; /* see struct shard_start */
    bool time_moved;     /* since the last settlement was frozen */
    struct topic_state *topics;
    struct table index; /* name -> place in tenants */
    struct tenant **tenants;
    size_t tenant_count;
    size_t tenant_room;
    size_t sweep; /* where the search for idle tenants goes on */
    size_t restricted_count;
    struct due due;
    struct book books[2];
    struct book *open;
    struct book *frozen; /* NULL: none is under way */
    uint64_t number;     /* of the open book */
    struct arena *wanted_memory;
    struct list wanted; /* struct scope_state * */
    struct arena *scratch;
    int64_t unpriced_day; /* UTC day the models below were alerted for, by rule */
    struct table unpriced_models;
    struct originals originals;
    struct sources *sources;
    struct burst burst;    /* requests of the last 60 seconds */
    int64_t burst_evicted; /* of burst.evicted, as far as the metric has them; */
    int64_t burst_missed;  /* likewise */
    int64_t unknown_day;   /* UTC day an unknown tenant was alerted for */
};

/* What cannot be had when memory is short even beyond the limits: the process stops, and a restart
 * goes on from Postgres. */
void *shard_must(void *memory);
/* A copy that lives as long as the open settlement; absent stays absent. */
struct text shard_keep(struct shard *shard, struct text text);
/* Periods that ended at or before this are closed to the events of a topic. */
int64_t shard_closed(const struct shard *shard, int32_t topic);
/* NULL: not held. */
static inline struct tenant *
shard_at(const struct shard *shard, struct key128 id)
{
    const uint32_t place = table_find(&shard->index, id);

    return place == TABLE_NONE ? NULL : shard->tenants[place];
}
/* The same by name; *id is its identity either way. */
struct tenant *shard_find(const struct shard *shard, struct text name, struct key128 *id);
/* A tenant is made anew from its own export, under another contract (NULL: the same) or policy. */
void shard_rebind(struct shard *shard, uint32_t place, const struct tenant_load *change);
/* All tenants leave; or idle ones beyond the limit do, a few each time. */
void shard_forget(struct shard *shard);
void shard_evict(struct shard *shard);

/* ---- rules/record.c: the record of settled events ------------------------------------------------- */
/* Where an event stands in the log. */
struct place {
    const struct record *record;
    int32_t index;
};
/* The event as it was booked just now, in the row `fact` of the open book and that of `key`; NULL
 * when the record is off. */
struct settled_event *record_event(struct shard *shard, const struct place *place, size_t fact,
                                   const struct event *event, struct text key,
                                   const struct amounts *amounts);
/* Which prices made the amounts of a row. */
void record_priced(struct shard *shard, struct settled_event *row, const struct tenant *tenant,
                   const struct booking *booking);
/* Source of the event that a refund or correction refers to. */
struct text record_source_referred_to(const struct event *event);
/* The row is complete (NULL: there is none): who refers to it finds it. */
void record_known(struct shard *shard, const struct settled_event *row);
/* What the record says of an event that it is asked about; all NULL where it is not. */
struct recalled {
    const struct original *itself;   /* it was counted before */
    const struct original *original; /* what it refers to */
    bool unknown;                    /* it refers to what the record does not have */
};
/* False: the store must be asked first. */
bool record_recall(struct shard *shard, const struct record *record, const struct event *event,
                   const struct lookup *lookup, struct recalled *recalled);
/* The same of an event that is read again, when the duplicate window says nothing any more. */
bool record_recall_all(struct shard *shard, const struct record *record, const struct event *event,
                       const struct lookup *lookup, struct recalled *recalled);
/* It cannot be known whether the event was counted before. */
bool record_cannot_tell(const struct shard *shard, const struct record *record,
                        const struct event *event);
bool record_same_content(const struct original *original, const struct event *event);

/* ---- rules/refund.c: refunds and corrections of what is in the record ------------------------------ */
struct rebooking {
    struct event as;         /* the event as it was booked, with what the original names */
    struct booking booking;  /* its own: the refund, or the replacement */
    struct booking reversal; /* of a correction */
};
/* What this event may be booked on; false when it is nothing that can be refunded or corrected. */
bool refund_allowed(const struct original *original, struct dead *why);
/* Where the original was booked while its period takes more, at most what is left of it; unpriced while
 * there is no rate of its currency, or no price of the original. */
void refund_booking(struct booking *booking, int32_t topic, const struct event *as,
                    const struct shard *shard, struct tenant *tenant,
                    const struct original *original);
enum booked refund_book(struct shard *shard, const struct place *place, const struct event *event,
                        struct tenant *tenant, const struct original *original,
                        struct rebooking *rebooking);
/* Takes back what stands of the original and books the replacement, or neither. */
enum booked correction_book(struct shard *shard, const struct place *place,
                            const struct event *event, struct tenant *tenant,
                            const struct original *original, struct rebooking *rebooking);

/* ---- rules/judge.c ------------------------------------------------------------------------------- */
/* Why quotas are looked at: what ends an episode is told with this reason. */
struct occasion {
    struct text trigger; /* id of the event; absent for commands and deadlines */
    enum resolved reason;
};
/* Quotas of one scope of the tenant (project -1: its own). */
void judge_project(struct shard *shard, struct tenant *tenant, int32_t project,
                   const struct occasion *occasion);
/* All of them, and every scope that a word or a quota touches. */
void judge_tenant(struct shard *shard, struct tenant *tenant, const struct occasion *occasion);
/* Without any event: the turn of its period if that is over, else judge_tenant. */
void judge_now(struct shard *shard, struct tenant *tenant, enum resolved reason);
/* The present period of the tenant has ended: episodes close, the next period is judged. */
void judge_turn(struct shard *shard, struct tenant *tenant);
/* The row of a quota, as it is now. */
void judge_remember(struct shard *shard, struct tenant *tenant, const struct quota_state *state);
/* Tells that an episode of a quota has ended which only Postgres remembers. `told`: what it
 * restricted, the reason, and the labels but for the tenant's. A step that is an amount is not named:
 * the meter it was of is gone with its rule. */
void judge_end_remembered(struct shard *shard, const struct tenant *tenant, struct text quota,
                          uint32_t spent, const struct transition *told);
/* Episodes that Postgres remembers and nothing holds any more: of periods that ended while nobody
 * owned the shard, of quotas that left the plan. */
void judge_left_over(struct shard *shard, struct tenant *tenant, const struct tenant_load *load);
/* The state of one scope as it is now; `always`: also when it was wanted just so before. */
void judge_scope(struct shard *shard, struct tenant *tenant, struct text scope, bool always,
                 struct text trigger);
/* A restriction ends as gateways were told that it would: they need not be told again, unless another
 * one answers from now on. */
void judge_lapsed(struct shard *shard, struct tenant *tenant, struct text scope);
/* The same, or it ends before that; where nothing else is known of the scope its record leaves the
 * topic, and it is forgotten here. */
void judge_forgotten(struct shard *shard, struct tenant *tenant, struct text scope);
/* A project the tenant has not declared was named: blocked where the policy says so. */
void judge_unknown_project(struct shard *shard, struct tenant *tenant, struct text project,
                           struct text trigger);
/* due_ms and restricted as they follow from all of the above; written when they changed. */
void judge_due(struct shard *shard, struct tenant *tenant);

/* ---- rules/apply.c ------------------------------------------------------------------------------- */
/* What a booking of this event changed is judged; `event` names the occasion. */
void judge_event(struct shard *shard, struct tenant *tenant, const struct event *event,
                 const struct booking *booking);

/* ---- rules/keep.c -------------------------------------------------------------------------------- */
/* What is stored one by one beside being counted. */
void keep_event(struct shard *shard, const struct place *place, const struct event *event);
void keep_unpriced(struct shard *shard, const struct place *place, const struct event *event,
                   const struct booking *booking);

/* ---- rules/notice.c: alerts about the input itself ----------------------------------------------- */
void notice_unpriced(struct shard *shard, const struct event *event);
void notice_zero_cost(struct shard *shard, const struct event *event);
void notice_unknown_tenant(struct shard *shard);
void notice_unknown_project(struct shard *shard, struct tenant *tenant);
void notice_split(struct shard *shard, struct tenant *tenant);
/* The partition is halted no longer. */
void notice_resumed(struct shard *shard, int32_t topic);
/* Counts an event of a topic as dead or not; raises the alert, halts the partition. */
void notice_rate(struct shard *shard, int32_t topic, int64_t time_ms, bool dead);

#endif
