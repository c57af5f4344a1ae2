/*
 * What the files of the store share.  Nothing outside sinks/store*.c includes this.
 */
#ifndef SINKS_STORE_PRIVATE_H
#define SINKS_STORE_PRIVATE_H

#include "core/placed.h"
#include "sinks/pg.h"
#include "sinks/store.h"

/* For one loaded tenant, or the texts that one statement makes: less than what it is made of. */
#define STORE_ARENA_BYTES ((size_t)512 << 20)

enum sums { SUMS_FACTS, SUMS_KEY_FACTS, SUMS_PERIODS, SUMS_ADJUSTMENTS, SUMS_COUNT };

/* What a load asks, in this order (store_load.c). */
enum load_answer {
    ANSWER_HOMES,
    ANSWER_TENANTS,
    ANSWER_PLANS,
    ANSWER_PERIODS,
    ANSWER_PAST,
    ANSWER_QUOTAS,
    ANSWER_COUNTERS,
    ANSWER_CARRIES,
    ANSWER_THROTTLES,
    ANSWER_WORDS,
    ANSWER_HOURS,
    ANSWER_SLOTS,
    ANSWER_BREAKERS,
    ANSWER_WATCHES,
    ANSWER_RESERVATIONS,
    ANSWERS
};

struct store {
    struct pg pg;
    struct pgparams params; /* of one statement at a time */
    struct pgparam copy;    /* rows of COPY on their way */
    struct arena *arena;    /* of one answer at a time */
    char *topic_names[TOPIC_LIMIT];
    struct text topics[TOPIC_LIMIT]; /* the same, in the order of the configuration */
    size_t topic_count;
    int64_t dedupe_records; /* how far back dead letters matter after a claim */
    bool prepared;          /* the statements of settlements */
    bool loads_prepared;    /* those of loads */
    struct load_query loading;
    int load_step;           /* statements of the load that are answered */
    PGresult *loaded[15];    /* their results; see store_load.c */
    struct keyed_row *keyed; /* rows of a settlement in the order they are sent */
    size_t keyed_room;
    struct placed *placed; /* the same of facts and totals; as much again to sort them */
    size_t placed_room;
    uint32_t sums_used[SUMS_COUNT]; /* what the prepared statements take; 0: not prepared */
    struct period_total *differing;
    size_t differing_room;
};

/* ---- the statements of a settlement (store_settle.c, store_sums.c, store_rows.c) ----------------- */
struct settle_input {
    const struct settlement *settlement;
    int64_t counted; /* over all topics */
    int64_t keyed;
};
/* Fills the parameters; *rows is how many rows go with them. */
typedef bool settle_fill(struct store *store, const struct settle_input *input, size_t *rows,
                         struct err *why);
settle_fill fill_facts, fill_key_facts, fill_periods, fill_adjustments, fill_quotas, fill_counters,
    fill_carries, fill_throttles, fill_slots, fill_hours, fill_breakers, fill_moves, fill_watches,
    fill_notes, fill_reservations, fill_due, fill_sources, fill_transitions, fill_decisions,
    fill_dead, fill_kept, fill_gauges, fill_topups, fill_gateway, fill_values, fill_unpriced,
    fill_priced, fill_commands;
extern const char sql_quotas[], sql_counters[], sql_carries[], sql_throttles[], sql_slots[],
    sql_hours[], sql_breakers[], sql_moves[], sql_watches[], sql_notes[], sql_reservations[],
    sql_due[], sql_sources[], sql_decisions[], sql_dead[], sql_kept[], sql_gauges[], sql_topups[],
    sql_gateway[], sql_values[], sql_unpriced[], sql_priced[], sql_commands[];

/* BEGIN, and the record of settled events by COPY, outside the pipeline, which knows no COPY
 * (store_record.c). False with *refused when the server refuses, without when the connection
 * broke. */
bool store_copy_events(struct store *store, const struct settlement *settlement, PGresult **refused,
                       struct err *why);

/* The statements on facts and totals, made from meter.def; in the arena. They take the amounts that
 * are `used` (bit i: column i), all others are 0. */
const char *store_sums_sql(enum sums sums, uint32_t used, struct arena *arena);
/* The amounts of these rows that are not 0 all through; always the events. */
uint32_t store_sums_used(enum sums sums, const struct settlement *settlement);
bool store_read_amounts(const PGresult *result, int row, int column, struct amounts *out);
/* Finds the totals that are not as memory expects them. */
bool store_compare_periods(struct store *store, const struct settlement *settlement,
                           const PGresult *totals, struct settle_result *result, struct err *why);

/* Two rows by their keys. */
typedef int row_compare(const void *a, const void *b);
struct keyed_row {
    const void *row;
    row_compare *compare;
    bool last; /* of its key: what changes whole is written as the last one says */
};
/* The rows of a list by key, those of one key as they came: all processes lock rows in the same order.
 * NULL when memory is short; overwritten by the next call. */
const struct keyed_row *store_keyed(struct store *store, const struct list *list,
                                    row_compare *compare);

/* The names of the topics as the next parameter. */
void store_topics(struct store *store);
/* Index of a topic, or -1. */
int32_t store_topic(const struct store *store, struct text name);
/* The parameters of the next statement, empty. */
struct pgparams *store_params(struct store *store);
/* Begins one array a type. */
struct pgparam *store_columns(struct store *store, const enum pg_type *types, size_t count);
/* Below 0, 0 or above it, as comparisons say it. */
int store_compare_int(int64_t a, int64_t b);
/* False. */
bool store_no_memory(struct err *why);
/* One statement with those parameters; NULL and an error when it fails. */
PGresult *store_query(struct store *store, const char *sql, struct err *why);
/* A statement for PQsendQueryPrepared, outside a pipeline. */
bool store_prepare(struct store *store, const char *name, const char *sql, struct err *why);
/* BEGIN and COMMIT around what needs several statements; after an error: ROLLBACK. */
bool store_begin(struct store *store, struct err *why);
bool store_commit(struct store *store, struct err *why);
void store_rollback(struct store *store);
/* After a lock that was not to be had: ends sessions whose client fell silent in the middle of a
 * settlement. */
void store_end_silent(struct store *store);

/* ---- loaded tenants (store_loaded.c) ------------------------------------------------------------- */
/* Where the next tenant's rows begin in each answer. */
struct load_cursor {
    int tenant;
    int periods;
    int plans;
    int past;
    int quotas;
    int words;
    int counters;
    int carries;
    int throttles;
    int hours;
    int slots;
    int breakers;
    int watches;
    int reservations;
};
/* The next tenant, in the store's arena and results until the next call. */
bool store_loaded(struct store *store, struct load_cursor *cursor, struct tenant_load *load,
                  struct err *why);
/* Like store_load_poll (store_load.c), but leaves the answers for store_loaded, until store_load_end. */
int store_load_take(struct store *store, int timeout_ms, struct err *why);
void store_load_end(struct store *store);

/* ---- quotas that count for themselves (store_counter.c) ------------------------------------------ */
extern const char sql_load_counters[];
bool store_read_counters(struct store *store, const PGresult *rows, int row,
                         struct tenant_load *load);

/* ---- quotas that roll over (store_carry.c) ------------------------------------------------------- */
extern const char sql_load_carries[];
bool store_read_carries(struct store *store, const PGresult *rows, int row,
                        struct tenant_load *load);
/* ---- burst limits (store_throttle.c) -------------------------------------------------------------- */
extern const char sql_load_throttles[];
bool store_read_throttles(struct store *store, const PGresult *rows, int row,
                          struct tenant_load *load);

/* ---- features (store_features.c) -------------------------------------------------------------------- */
extern const char sql_load_hours[], sql_load_slots[], sql_load_breakers[];
/* The rows of one tenant from `row` on; false when memory is short or a value does not fit. */
bool store_read_hours(struct store *store, const PGresult *answer, int row,
                      struct tenant_load *load);
bool store_read_slots(struct store *store, const PGresult *answer, int row,
                      struct tenant_load *load);
bool store_read_breakers(struct store *store, const PGresult *answer, int row,
                         struct tenant_load *load);

/* ---- anomalies (store_anomaly.c) --------------------------------------------------------------------- */
extern const char sql_load_watches[];
/* `count` rows; load->watch_count is how many watches they make. */
bool store_read_watches(struct store *store, const PGresult *answer, int row, int count,
                        struct tenant_load *load);

/* ---- reservations (store_reservation.c) --------------------------------------------------------------- */
extern const char sql_load_reservations[];
bool store_read_reservations(struct store *store, const PGresult *answer, int row,
                             struct tenant_load *load);

/* ---- JSON columns (store_json.c) --------------------------------------------------------------- */
/* Labels as an object, in the arena; absent ones are left out. Absent text when memory is short. */
struct text store_json_labels(const struct text labels[LABEL_COUNT], struct arena *arena);
struct text store_json_restrictions(const struct scope_state *state, struct arena *arena);
/* The parameters of settle_transitions (store_alert.c), shard -1: of none; then one after the other,
 * false when memory is short. */
void store_transition_params(struct store *store, int32_t shard);
bool store_transition_add(struct store *store, const struct transition *transition,
                          struct err *why);
extern const char store_transitions_sql[];

#endif
