/* The inside of a stage, shared by cli/stage.c (what happens), cli/stage_command.c (what
 * operators say) and cli/stage_store.c (what Postgres would hold), and by nobody else. */
#ifndef CLI_STAGE_STATE_H
#define CLI_STAGE_STATE_H

#include "cli/stage.h"
#include "core/day_rule.h"
#include "core/fleet.h"
#include "ingest/decode.h"

#define STAGE_ROW_LIMIT  100000 /* of each table */
#define STAGE_WORD_LIMIT 64     /* operator's words of a tenant */
#define STAGE_DEDUPE_MS  (15 * CLOCK_MINUTE_MS)

struct logged {
    struct text id;
    struct text value;
    int64_t offset;
    int64_t time_ms;
    bool dead; /* a dead letter of it is settled */
};

/* What the tables of Postgres say of one tenant. */
struct tenant_row {
    struct text name;
    json_t *contract; /* NULL: none */
    struct tenant_spec spec;
    int64_t version;
    struct plan_since plans[TENANT_PLAN_LIMIT];
    size_t plan_count;
    const struct zone *zone; /* of the contract; NULL: the policy's */
    struct operator_word words[STAGE_WORD_LIMIT];
    size_t word_count;
    int64_t due_ms;
    bool restricted;
    bool day_told[DAY_RULE_COUNT]; /* the alert is open */
};

/* What a key or a model cost in an hour. */
struct day_row {
    enum day_rule rule;
    struct text tenant;
    struct text name;
    int64_t hour_ms;
    tally spent;
    tally charge;
};

struct past_row {
    struct text tenant;
    struct feature_past past;
};

struct carry_row {
    struct carry_memory memory;
    bool final; /* never changes again, and is not loaded */
};

/* What is settled. */
struct settled {
    int64_t epoch;
    int64_t seq;
    int64_t time_ms;
    int64_t closed_ms;
    bool enforcing;
    const struct policy *policy;
    struct progress progress;
    struct list totals;      /* struct period_total, in order of period */
    struct list facts;       /* struct period_total: what the facts of a period sum to */
    struct list adjustments; /* struct adjustment */
    struct list quotas;      /* struct quota_memory */
    struct list counters;    /* struct counter_memory, in the order loads answer them */
    struct list carries;     /* struct carry_row, in the order loads answer them */
    struct list throttles;   /* struct throttle_memory */
    struct list days;        /* struct day_row; while there is a fleet */
    struct list pasts;    /* struct past_row: facts by feature and hour, and what else is known */
    struct list slots;    /* struct feature_slot */
    struct list breakers; /* struct breaker_memory */
    struct list watches;  /* struct watch_memory */
    struct list notes;    /* struct anomaly_note */
    struct list reservations;         /* struct reservation_memory */
    struct list tenants;              /* struct tenant_row * */
    struct list record;               /* struct original */
    struct list unpriced;             /* struct unpriced_event that wait */
    struct table totals_by, facts_by; /* their rows by key */
    struct table record_by;           /* its rows by identity */
    int64_t commands;                 /* the newest one applied */
};

/* What an operator stored and the engine applies, in order. */
struct stored_command {
    enum command_kind kind;
    struct text tenant;
    const struct policy *policy;
    bool on;
    struct command said; /* of a breaker or an anomaly */
};

struct topic_row { /* the last state of a scope on the control topic */
    struct text scope;
    struct text tenant;
    uint64_t content;
    const struct scope_state *held_back; /* wanted, but weaker than a block; NULL: nothing is */
};

struct stage {
    struct arena *memory;  /* lives as long as the stage */
    struct arena *answers; /* of one load */
    struct arena *spoken;  /* of the effects */
    struct metric_set metrics;
    struct shard_setup setup;
    struct shard *shard;
    struct decoder *decoder;
    struct settled db;
    struct list log;       /* struct logged */
    int64_t overdue_at_ms; /* who is overdue is looked for again */
    int64_t fed;           /* records that are not in it */
    struct list commands;  /* struct stored_command, by id - 1 */
    struct list topic;     /* struct topic_row */
    bool may_allow;        /* what was known before the restart is known again */
    struct list effects;   /* struct effect */
    struct shard *fleet;   /* NULL: the policy never had breakers, or it is not asked for */
    int64_t fleet_seq;
    const struct policy *fleet_policy; /* as it knows them */
    bool fleet_enforcing;
    int64_t day_until_ms; /* the rules of the last day were looked at, by that policy */
    const struct policy *day_policy;
    struct settlement *under_way; /* handed out, not committed yet; NULL: none */
    struct err fault;
};

/* The first fault stays. */
void stage_set_fault(struct stage *stage, const char *text);
/* What a list or an arena gave; a fault is set and the process ends when memory is short. */
void *stage_must(void *memory);
struct text stage_keep(struct stage *stage, struct text text);

/* ---- cli/stage_notice.c ------------------------------------------------------------------------ */
struct effect *stage_add_effect(struct stage *stage, enum effect_kind kind);
/* A text that lives as long as the effects. */
struct text stage_speak(struct stage *stage, struct text text);
/* Everything that is there to be noticed becomes an effect. */
void stage_listen(struct stage *stage);
/* What was known before the restart is known again: what was held back is published. */
void stage_may_allow(struct stage *stage);

/* ---- cli/stage_command.c ----------------------------------------------------------------------- */
/* The effect of a stored command, by its place in the list. */
void stage_apply(struct stage *stage, size_t index);

/* ---- cli/stage_price.c: events that wait for a price ------------------------------------------------ */
void stage_write_unpriced(struct stage *stage, const struct settlement *settlement);
/* Those that have a price now are priced. */
void stage_rerate(struct stage *stage);

/* ---- cli/stage_feature.c: what Postgres would hold of features ------------------------------------ */
void stage_write_features(struct stage *stage, const struct settlement *settlement);
void stage_load_features(struct stage *stage, struct text tenant, struct tenant_load *load);

/* ---- cli/stage_anomaly.c: and of their series --------------------------------------------------- */
void stage_write_anomalies(struct stage *stage, const struct settlement *settlement);
void stage_load_anomalies(struct stage *stage, struct text tenant, struct tenant_load *load);

/* ---- cli/stage_carry.c: what Postgres would hold of quotas that roll over ------------------------- */
void stage_write_carries(struct stage *stage, const struct settlement *settlement);
void stage_load_carries(struct stage *stage, struct text tenant, struct tenant_load *load);
/* Is the period one of a row that is loaded? */
bool stage_carries_period(const struct settled *db, struct text tenant, int64_t period_ms);
/* ---- cli/stage_throttle.c: likewise of burst limits ------------------------------------------------ */
void stage_write_throttles(struct stage *stage, const struct settlement *settlement);
void stage_load_throttles(struct stage *stage, struct text tenant, struct tenant_load *load);

/* ---- cli/stage_fleet.c ---------------------------------------------------------------------------- */
/* It goes on from what is settled, as the next leader does. */
void stage_fleet_lead(struct stage *stage);
/* A command to tenant `*`; NULL, or why it has no effect. */
const char *stage_fleet_command(struct stage *stage, const struct stored_command *command);
/* A state is wanted on the control topic. */
void stage_want(struct stage *stage, const struct scope_state *state);

/* ---- cli/stage_day.c: rules of the last day ---------------------------------------------------------- */
void stage_write_days(struct stage *stage, const struct settlement *settlement);
/* What the fleet's leader is answered. */
void stage_days(struct stage *stage);

/* ---- cli/stage_store.c ------------------------------------------------------------------------------- */
void settled_init(struct settled *db, const struct policy *policy);
void settled_free(struct settled *db);
/* NULL: nothing is known of it. */
struct tenant_row *settled_tenant(const struct settled *db, struct text name);
/* Made when it is not there. */
struct tenant_row *settled_tenant_made(struct stage *stage, struct text name);
/* A settlement is committed. */
void settled_apply(struct stage *stage, const struct settlement *settlement);
/* Answers what the shard wants to know of the record. */
void settled_seek(struct stage *stage);
/* What the record has of an identity; NULL: nothing. It may move with the next settlement. */
struct original *settled_original(const struct settled *db, struct key128 identity);
/* What a load answers: everything the home shard needs. Texts live in the stage. */
void settled_load(struct stage *stage, struct text name, int64_t after_ms,
                  struct tenant_load *load);

#endif
