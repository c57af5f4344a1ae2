/*
 * What a replay of the topics takes from Postgres: the past in which its range begins.
 *
 * The policies that were in force, each from where the engine went over to it, partition by
 * partition: prices and rules are those that held when the records were booked, and what waited for a
 * price is priced when it was.  What quotas that roll over had carried into the periods in which the
 * range begins, for its own records cannot say that.  And which dead letters were read again, when.
 */
#ifndef CLI_REPLAY_PAST_H
#define CLI_REPLAY_PAST_H

#include "cli/replay.h"
#include "cli/session.h"
#include "core/settlement.h"

struct past_policy {
    int64_t serial;
    int64_t at_ms; /* when the first partition went over to it, by record time */
    struct policy *policy;
};

struct past {
    struct past_policy *policies; /* in the order they were in force; at least one */
    size_t policy_count;
    struct past_step *steps; /* of each partition, rising */
    size_t step_count;
};

/* False and an error when it cannot be read. Free it in any case. */
bool past_read(struct past *past, struct session *session, struct err *why);
void past_free(struct past *past);
/* Index of the policy that a record of the partition was booked under. */
size_t past_policy_of(const struct past *past, int32_t partition, int64_t time_ms);

/* Rows of quotas that roll over, of the periods that hold an instant, as if they had just begun.
 * Texts are kept in the arena. */
bool past_carries(struct session *session, int64_t at_ms, struct arena *memory, struct list *out,
                  struct err *why);

/* A dead letter that was read again and counted. */
struct past_retry {
    int64_t at_ms; /* record time of its partition then */
    int32_t partition;
    int64_t offset;
    int32_t index; /* of the event in its record */
    struct text value;
};

/* Those of a time, in the order they were read again. Their bytes are kept in the arena. */
bool past_retries(struct session *session, int64_t from_ms, int64_t to_ms, struct arena *memory,
                  struct list *out, struct err *why);

/* ---- cli/replay_compare.c ------------------------------------------------------------------------ */
/* Final periods that lie wholly in the range must come out as they were settled, and what they carried
 * on as well: prints which do not. False when one does not, or they cannot be read. */
bool past_compare(const struct replay *replay, struct session *session, int64_t from_ms,
                  int64_t to_ms, struct err *why);

#endif
