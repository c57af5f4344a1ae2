/*
 * A shard with a world around it: a log that keeps every record, a Postgres of plain arrays that
 * applies settlements and answers loads, a control topic that keeps the last state of each scope.
 *
 * Stories are told in a few words: who used what when, and what was said because of it.  A crash
 * drops the shard and builds it anew the way the engine does: claim, loads, tail, replay.
 */
#ifndef TESTS_SHARD_WORLD_H
#define TESTS_SHARD_WORLD_H

#include "rules/shard.h"
#include "tests/zone_file.h"

enum {
    WORLD_LOG = 4096,
    WORLD_ROWS = 512,
    WORLD_TENANTS = 8,
    WORLD_COMMANDS = 1024,
    WORLD_SAID = 8192
};

struct logged {
    struct event event;
    int64_t offset;
    int32_t index;
    int64_t time_ms;
    bool last; /* of its record */
    bool dead; /* a dead letter of it stands in Postgres */
};

struct world_tenant {
    struct text name;
    bool known;
    struct tenant_spec spec;
    const struct zone *zone;
    struct operator_word words[4];
    size_t word_count;
    int64_t due_ms;
    bool restricted;
};

struct world_command {
    enum command_kind kind;
    struct text tenant;
    const struct policy *policy;
    bool on;
};

/* The last state of a scope on the control topic. */
struct on_topic {
    struct text scope;
    struct text tenant;
    enum outcome outcome;
    size_t count;
    uint64_t content;
    int64_t since_ms; /* of the first restriction */
    int64_t ends_ms;
    int64_t epoch;
};

struct postgres {
    int64_t epoch;
    int64_t seq;
    int64_t time_ms;
    int64_t closed_ms;
    int64_t adjusted; /* events */
    bool enforcing;
    const struct policy *policy;
    struct progress progress;
    struct period_total totals[WORLD_ROWS];
    size_t total_count;
    struct quota_memory quotas[WORLD_ROWS];
    size_t quota_count;
    struct throttle_memory throttles[WORLD_ROWS];
    size_t throttle_count;
    struct world_tenant tenants[WORLD_TENANTS];
    size_t tenant_count;
    int64_t fact_events;
    int64_t key_events;
    tally fact_cost;
    size_t dead;
    size_t transitions;
    size_t decisions;
    size_t commands_done;
};

struct world {
    struct arena *memory;
    struct arena *scratch;
    struct metric_set metrics;
    struct shard_setup setup;
    struct shard *shard;
    struct world_command commands[WORLD_COMMANDS]; /* by id - 1 */
    size_t command_count;
    struct postgres db;
    struct logged *log;
    size_t logged;
    int64_t next_offset;
    size_t made; /* events */
    struct settlement *frozen;
    size_t told; /* transitions of the open settlement that were read already */
    struct on_topic topic[64];
    size_t topic_count;
    bool claiming;   /* repeats on the topic are right now */
    int repeats;     /* states published twice without need */
    int differences; /* totals that Postgres and memory see otherwise */
    bool with_times;
    char said[WORLD_SAID];
};

void world_open(struct world *world, const struct policy *policy);
void world_close(struct world *world);

/* What an operator stores takes effect with its command, at once here. */
void world_contract(struct world *world, const char *tenant, const struct tenant_spec *spec,
                    const struct zone *zone);
void world_word(struct world *world, const char *tenant, const struct operator_word *word);
void world_policy(struct world *world, const struct policy *policy);
void world_enforce(struct world *world, bool on);
/* The same in two steps: stored (the contract and the word are seen by loads from then on), and
 * applied, by its place in the list. */
void world_store_contract(struct world *world, const char *tenant, const struct tenant_spec *spec,
                          const struct zone *zone);
void world_store_word(struct world *world, const char *tenant, const struct operator_word *word);
void world_store_command(struct world *world, struct world_command stored);
void world_command(struct world *world, size_t index);

/* `requests` calls in one event with an id of its own, for nothing. */
struct event world_use(struct world *world, const char *tenant, int64_t at_ms, int64_t requests);
/* The events of one record at a record time. */
void world_record(struct world *world, int64_t time_ms, const struct event *events, size_t count);
/* The same in two steps: in the log (its index there), to be read by world_replay. */
size_t world_append(struct world *world, int64_t time_ms, const struct event *events, size_t count);
/* Loads what Postgres knows of a tenant, unless it is held. */
void world_load(struct world *world, struct text name);
void world_time(struct world *world, int64_t now_ms);

void world_freeze(struct world *world);
/* The frozen settlement is applied; without `told`, the shard never hears of it. */
void world_commit(struct world *world, bool told);
void world_settle(struct world *world);
/* The process dies; another one claims. What follows next_offset is not read again yet. */
void world_claim(struct world *world);
/* Index in the log of the first record that is not settled. */
size_t world_unsettled(const struct world *world);
/* Reads one record of the log again; the index of the one behind it. */
size_t world_replay(struct world *world, size_t at);
/* world_claim, then everything that is not settled is read again. */
void world_crash(struct world *world);

/* What was said since the last call: transitions, then scope states, separated by "; ". */
const char *world_said(struct world *world);
const struct on_topic *world_on_topic(struct world *world, struct text scope);
/* Settled total of a tenant or project in the period of an instant. */
const struct amounts *world_total(const struct world *world, const char *tenant,
                                  const char *project, int64_t at_ms);

#endif
