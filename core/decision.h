/*
 * What the gateways are told: the whole current state of one scope.
 *
 * A scope is what may be cut: a tenant, a project, a key, ...  Its state lists every active
 * restriction; the outcome is that of the lowest rank among those that deny (block, throttle); a
 * downgrade applies only when none denies; none at all is allow.
 */
#ifndef CORE_DECISION_H
#define CORE_DECISION_H

#include "core/arena.h"
#include "core/money.h"

enum outcome { OUTCOME_ALLOW, OUTCOME_DOWNGRADE, OUTCOME_THROTTLE, OUTCOME_BLOCK, OUTCOME_COUNT };
extern const char *const outcome_names[OUTCOME_COUNT];

enum code {
#define CODE(name, rank, outcome, status, retryable, action) CODE_##name,
#include "core/decision.def"
#undef CODE
    CODE_COUNT
};

struct code_row {
    const char *name;
    int rank;
    enum outcome outcome;
    int http_status;
    bool retryable;
    const char *action;
};
extern const struct code_row code_table[CODE_COUNT];

#define RESTRICTION_LIMIT 16 /* active ones a scope may have at once; more keep the lowest ranks */

struct restriction {
    enum code code;
    int rank;         /* code_table's, but for prepaid demanded outright (1) */
    struct text rule; /* "quota/api_calls", "operator" */
    int64_t policy;   /* serial of the policy it was judged by */
    int64_t since_ms; /* shard time when it began */
    int64_t ends_ms;  /* natural end (reset, deadline); INT64_MAX: none */
    bool throttles;   /* the outcome is throttle, whatever the code's */
    bool has_usage;   /* used, limit and unit below are meaningful */
    bool is_money;    /* used and limit are nano-units of `currency`, else counts */
    tally used;
    tally limit;
    int64_t resets_ms; /* when the period turns; 0: does not apply */
    struct text currency;
    struct text reason; /* operator's words; absent otherwise */
    struct text actor;
};

struct scope_state {
    struct text scope;  /* "tenant/acme", parts percent-encoded; the key on the control topic */
    struct text tenant; /* whose scope it is; absent for scopes of no tenant */
    int32_t shard;
    int64_t epoch;       /* of the shard's owner; a claim later makes earlier ones stale */
    int64_t at_ms;       /* shard time of the change */
    bool forgotten;      /* an allow, and all that is known of the scope: it may leave the topic */
    bool operator_said;  /* by an operator's word or switch, whatever events are still to be read */
    struct text trigger; /* id of the event that caused it; absent for commands and deadlines */
    struct restriction restrictions[RESTRICTION_LIMIT]; /* sorted by rank, then code, then rule */
    size_t count;
};

#define SCOPE_SIZE 1024
/* Builds "kind/part/part" with percent-encoded parts; absent parts are left out. Returns the size
 * without NUL, 0 when it does not fit. */
size_t scope_build(char out[SCOPE_SIZE], const char *kind, struct text a, struct text b);
/* Splits a scope into kind and decoded parts (b absent for two-part scopes); false when malformed
 * or of an unknown kind. The decoded parts live in the arena. */
struct scope_parts {
    struct text kind;
    struct text a; /* the tenant */
    struct text b;
};
bool scope_split(struct text scope, struct arena *arena, struct scope_parts *out);

/* What this restriction alone asks for. */
enum outcome restriction_outcome(const struct restriction *restriction);
/* Inserts in order; drops the highest rank when full. */
void scope_restrict(struct scope_state *state, const struct restriction *restriction);
enum outcome scope_outcome(const struct scope_state *state);
/* The restriction that answers for the scope, or NULL when the outcome is allow. */
const struct restriction *scope_answer(const struct scope_state *state);
/* Deep copy into an arena; NULL when it is full. */
struct scope_state *scope_copy(const struct scope_state *from, struct arena *arena);

#endif
