/*
 * What is written on the control topic, and what is read back from it.
 *
 * A value is one CloudEvent in structured mode; schemas/control.v1.json says what every member
 * means to the author of a gateway.  Key = subject = scope.  Two types:
 *
 *   com.tripmeter.control.scope.v1    the whole current state of a scope
 *   com.tripmeter.control.engine.v1   a heartbeat, scope "engine/<shard>"
 *
 * A null value (tombstone) says that there is nothing to say of the scope: allow.
 *
 * A restriction expires a minute after its natural end, so that a gateway does not let traffic
 * through before the engine has judged the end; a burst (rank 4) expires exactly at its end.
 * Nothing holds longer than 24 hours without being renewed: what an engine that is gone has left
 * behind passes.
 */
#ifndef SINKS_CONTROL_MESSAGE_H
#define SINKS_CONTROL_MESSAGE_H

#include "core/clock.h"
#include "core/decision.h"

#define CONTROL_TYPE_SCOPE  "com.tripmeter.control.scope.v1"
#define CONTROL_TYPE_ENGINE "com.tripmeter.control.engine.v1"

#define CONTROL_EXPIRY_GRACE_MS CLOCK_MINUTE_MS
#define CONTROL_EXPIRY_LIMIT_MS CLOCK_DAY_MS

struct control_stamp {
    const char *source; /* CloudEvents source of this engine */
    int64_t seq;
    int64_t now_ms; /* wall time of writing */
};

/* When a restriction written now expires; not later than now: it is over already. */
int64_t control_expiry(const struct restriction *restriction, int64_t now_ms);
/* Would a later writing expire later, because 24 hours cut the natural end short? */
bool control_expiry_is_cut(const struct restriction *restriction, int64_t now_ms);
/* The state without what has expired by now; texts are shared. */
void control_current(const struct scope_state *state, int64_t now_ms, struct scope_state *out);

/* The value for a state whose restrictions are all current; free() it. NULL: memory is short. */
char *control_scope_message(const struct scope_state *state, const struct control_stamp *stamp,
                            size_t *size);

struct control_beat {
    int32_t shard;
    int64_t as_of_ms; /* shard time, 0: not known yet */
    int64_t lag_records;
};
char *control_beat_message(const struct control_beat *beat, const struct control_stamp *stamp,
                           size_t *size);

/* What the follower needs of a record. */
struct control_record {
    int32_t shard;
    int64_t seq;
    int64_t time_ms; /* wall time of its writing */
    bool restricts;  /* outcome is not allow */
};
/* False when the value is not a control message as described above. */
bool control_parse(struct text value, struct control_record *out);

#endif
