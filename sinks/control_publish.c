/* What is written to the control topic, and when. */
#include "config/failpoint.h"
#include "config/kafka_client.h"
#include "config/log.h"
#include "sinks/control_internal.h"
#include "sinks/control_message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRIES_A_TURN = 256,
    UNDER_WAY_LIMIT = 5, /* the library's for an idempotent producer, in messages of a partition */
    FULL_PAUSE_MS = 100,
    REOPEN_PAUSE_MS = 1000,
};

/* A delivery report brings the seq back in the message's pointer; heartbeats carry none. */
_Static_assert(sizeof(void *) == sizeof(int64_t), "seq must fit the opaque of a message");

static bool
next_seq(struct control_shard *shard, int32_t number, int64_t *seq)
{
    if (shard->counter >= CONTROL_COUNTER_MAX) {
        shard->stopped = true;
        log_error("control",
                  "shard=%" PRId32 " epoch=%" PRId64 " reason=\"all sequence numbers of this claim "
                  "are used; nothing is published for the shard until it is claimed again\"",
                  number, shard->epoch);
        return false;
    }
    *seq = (shard->epoch << CONTROL_COUNTER_BITS) | ++shard->counter;
    return true;
}

/* Value NULL: a tombstone. False when the producer did not take it. */
static bool
produce(struct control *control, struct text key, char *value, size_t size, int64_t seq)
{
    void *opaque;

    memcpy(&opaque, &seq, sizeof opaque);
    return control->producer != NULL &&
           rd_kafka_produce(control->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size,
                            key.at, key.size, opaque) == 0;
}

/* When the entry has to be looked at again although nobody asks. */
static void
schedule(struct control *control, struct scope_entry *entry, bool is_allow, int64_t now_ms)
{
    int64_t due_ms = entry->renew_ms;

    if (is_allow && !entry->tombstone && entry->allowed_ms + CONTROL_RETIRE_MS < due_ms)
        due_ms = entry->allowed_ms + CONTROL_RETIRE_MS;
    if (!entry->seen && now_ms + CONTROL_SIGHT_MS < due_ms)
        due_ms = now_ms + CONTROL_SIGHT_MS;
    scopes_due(&control->scopes, entry, due_ms);
}

static void
mark_written(struct scope_entry *entry, int64_t seq, int64_t now_ms)
{
    entry->seq = seq;
    entry->written_ms = now_ms;
    entry->renew_ms = SCOPE_NEVER;
    entry->offset = -1;
    entry->seen = false;
    entry->dirty = false;
    entry->force = false;
}

static void
not_taken(struct control *control, struct scope_entry *entry, int64_t now_ms)
{
    metric_add(control->metrics, METRIC_DECISION_ERRORS, 1);
    scopes_due(&control->scopes, entry, now_ms + FULL_PAUSE_MS);
}

static void
write_tombstone(struct control *control, struct scope_entry *entry, int64_t seq, int64_t now_ms)
{
    if (!produce(control, scope_entry_name(entry), NULL, 0, seq)) {
        not_taken(control, entry, now_ms);
        return;
    }
    mark_written(entry, seq, now_ms);
    entry->tombstone = true;
    entry->outcome = OUTCOME_ALLOW; /* as gateways read it */
    scopes_due(&control->scopes, entry, SCOPE_NEVER);
}

static void
write_state(struct control *control, struct scope_entry *entry, const struct scope_state *state,
            int64_t seq, int64_t now_ms)
{
    const struct control_stamp stamp = {
        .source = control->source, .seq = seq, .now_ms = control_wall_ms(control)};
    const struct key128 print = scope_print(state);
    size_t size;
    char *value = control_scope_message(state, &stamp, &size);

    if (value == NULL || !produce(control, state->scope, value, size, seq)) {
        free(value);
        not_taken(control, entry, now_ms);
        return;
    }
    free(value);
    mark_written(entry, seq, now_ms);
    entry->print = print;
    entry->outcome = scope_outcome(state);
    entry->tombstone = false;
    for (size_t i = 0; i < state->count; i++)
        if (control_expiry_is_cut(&state->restrictions[i], stamp.now_ms))
            entry->renew_ms = now_ms + CONTROL_EXPIRY_LIMIT_MS / 2;
    schedule(control, entry, state->count == 0, now_ms);
}

/* Acknowledged, and the follower has passed its place without meeting it: lost after all. */
static bool
is_lost(const struct control *control, const struct scope_entry *entry)
{
    return !entry->seen && !entry->tombstone && entry->offset >= 0 &&
           control->position[entry->partition] > entry->offset;
}

/* Nothing will be said of the scope any more: its record goes, where there is one. */
static void
clear_away(struct control *control, struct scope_entry *entry, struct control_shard *shard,
           int64_t now_ms)
{
    int64_t seq;

    if (entry->seq == 0 && !entry->seen)
        scopes_remove(&control->scopes, entry);
    else if (now_ms < entry->written_ms + CONTROL_SPACING_MS && !control->closing)
        scopes_due(&control->scopes, entry, entry->written_ms + CONTROL_SPACING_MS);
    else if (!entry->tombstone && next_seq(shard, scope_entry_shard(entry), &seq))
        write_tombstone(control, entry, seq, now_ms);
    else
        scopes_due(&control->scopes, entry, SCOPE_NEVER);
}

/* Whether gateways were told this last. */
static bool
is_written(const struct scope_entry *entry, const struct scope_state *state)
{
    const struct key128 print = scope_print(state);

    if (entry->tombstone)
        return state->count == 0;
    return print.low == entry->print.low && print.high == entry->print.high;
}

/* Decides what happens to an entry that is due, in the order of the tests. */
static void
look_at(struct control *control, struct scope_entry *entry, int64_t now_ms)
{
    struct control_shard *shard = control_shard_of(control, scope_entry_shard(entry));
    struct scope_state wanted;
    struct scope_state state;
    bool changed;
    int64_t seq;

    if (shard == NULL || shard->stopped) {
        scopes_due(&control->scopes, entry, SCOPE_NEVER);
        return;
    }
    scope_entry_state(entry, &wanted);
    control_current(&wanted, control_wall_ms(control), &state);
    if (entry->seq == 0 && wanted.count > 0 && state.count == 0) {
        /* Over before it was ever told (catching up): not worth a record. */
        entry->dirty = false;
        scopes_due(&control->scopes, entry, SCOPE_NEVER);
        return;
    }
    if (!shard->may_allow && !state.operator_said && scope_outcome(&state) != OUTCOME_BLOCK) {
        entry->dirty = true;
        scopes_due(&control->scopes, entry, SCOPE_NEVER);
        return;
    }
    if (wanted.forgotten && !entry->force) {
        clear_away(control, entry, shard, now_ms);
        return;
    }
    /* What ends as gateways were told that it would is nothing new to them. */
    changed = entry->seq == 0 || !(is_written(entry, &state) || is_written(entry, &wanted));
    if (is_lost(control, entry)) {
        log_warning("control", "scope=%.*s reason=\"an acknowledged record is not on the topic\"",
                    (int)state.scope.size, state.scope.at);
        entry->force = true;
    }
    if (!changed && !entry->force && entry->renew_ms > now_ms) {
        entry->dirty = entry->timed = false;
        if (wanted.count > 0 || now_ms < entry->allowed_ms + CONTROL_RETIRE_MS)
            schedule(control, entry, wanted.count == 0, now_ms);
        else if (!entry->tombstone && next_seq(shard, wanted.shard, &seq))
            write_tombstone(control, entry, seq, now_ms);
        else
            scopes_due(&control->scopes, entry, SCOPE_NEVER);
        return;
    }
    if (entry->seq != 0 && scope_outcome(&state) <= entry->outcome && !control->closing &&
        now_ms < entry->written_ms + CONTROL_SPACING_MS) {
        scopes_due(&control->scopes, entry, entry->written_ms + CONTROL_SPACING_MS);
        return;
    }
    if (next_seq(shard, wanted.shard, &seq))
        write_state(control, entry, &state, seq, now_ms);
    else
        scopes_due(&control->scopes, entry, SCOPE_NEVER);
}

/*
 * How many records the producer may be given now.  With as many under way as it sends at once, one
 * more keeps its thread polling without a pause until the broker answers (2.0.2, and later ones), which
 * takes the processor from the broker just when that is slow.  So what comes then waits here, where a
 * later state of a scope takes the place of an earlier one.  Of several partitions one may have lost
 * its leader: the others go on.
 */
static int
room_for_records(const struct control *control)
{
    if (control->producer == NULL || control->partitions > 1)
        return ENTRIES_A_TURN;
    return rd_kafka_outq_len(control->producer) >= UNDER_WAY_LIMIT ? 0 : ENTRIES_A_TURN;
}

int64_t
control_publish_due(struct control *control)
{
    int64_t next_ms = SCOPE_NEVER;

    (void)pthread_mutex_lock(&control->lock);
    const int room = room_for_records(control);

    for (int i = 0; i <= room; i++) {
        struct scope_entry *entry = scopes_first(&control->scopes);
        const int64_t now_ms = control_steady_ms(control);

        if (entry != NULL)
            next_ms = entry->due_ms;
        if (entry == NULL || next_ms > now_ms)
            break;
        if (i == room) {
            /* The delivery reports wake the publisher. */
            next_ms = now_ms + FULL_PAUSE_MS;
            break;
        }
        next_ms = SCOPE_NEVER;
        look_at(control, entry, now_ms);
    }
    (void)pthread_mutex_unlock(&control->lock);
    return next_ms;
}

static void
write_beat(struct control *control, struct control_shard *shard, int32_t number)
{
    const struct control_beat beat = {
        .shard = number, .as_of_ms = shard->as_of_ms, .lag_records = shard->lag_records};
    struct control_stamp stamp = {.source = control->source, .now_ms = control_wall_ms(control)};
    char key[32];
    size_t size;
    char *value;

    if (!next_seq(shard, number, &stamp.seq))
        return;
    (void)snprintf(key, sizeof key, "engine/%" PRId32, number);
    value = control_beat_message(&beat, &stamp, &size);
    /* One that is not taken is made up for by the next. */
    if (value != NULL)
        (void)produce(control, text_of(key), value, size, 0);
    free(value);
}

int64_t
control_publish_beats(struct control *control)
{
    const int64_t now_ms = control_steady_ms(control);
    int64_t next_ms = SCOPE_NEVER;

    (void)pthread_mutex_lock(&control->lock);
    for (size_t i = 0; i < control->shard_count; i++) {
        struct control_shard *shard = &control->shards[i];

        if (!shard->owned || shard->stopped)
            continue;
        if (shard->beat_due_ms <= now_ms) {
            shard->beat_due_ms = now_ms + CONTROL_BEAT_MS;
            if (now_ms - shard->reported_ms <= CONTROL_SILENT_MS)
                write_beat(control, shard, control_slot_shard(i));
        }
        next_ms = shard->beat_due_ms < next_ms ? shard->beat_due_ms : next_ms;
    }
    (void)pthread_mutex_unlock(&control->lock);
    return next_ms;
}

void
control_write_all_again(struct control *control)
{
    const int64_t now_ms = control_steady_ms(control);

    for (size_t i = 0; i < scopes_count(&control->scopes); i++) {
        struct scope_entry *entry = scopes_at(&control->scopes, i);

        entry->force = true;
        entry->offset = -1;
        entry->seen = false;
        scopes_due(&control->scopes, entry, now_ms);
    }
}

static void
delivered(struct control *control, struct scope_entry *entry, const rd_kafka_message_t *message)
{
    metric_add(control->metrics, METRIC_DECISIONS, 1);
    if (entry->timed && !entry->dirty) {
        struct scope_state state;

        scope_entry_state(entry, &state);
        metric_delay(control->metrics, control_wall_ms(control) - state.at_ms);
        entry->timed = false;
    }
    if (entry->tombstone && !entry->dirty) {
        scopes_remove(&control->scopes, entry);
        return;
    }
    if (!entry->seen) {
        entry->partition = message->partition;
        entry->offset = message->offset;
    }
    (void)failpoint(FAIL_decision_sent, -1);
}

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct control *control = opaque;
    const struct text key = {message->key, message->key_len};
    struct scope_entry *entry;
    int64_t seq;

    (void)producer;
    memcpy(&seq, &message->_private, sizeof seq);
    (void)pthread_mutex_lock(&control->lock);
    entry = scopes_find(&control->scopes, key);
    if (entry != NULL && entry->seq == seq) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            delivered(control, entry, message);
        } else {
            metric_add(control->metrics, METRIC_DECISION_ERRORS, 1);
            entry->force = true;
            /* Taken back with those of a disowned shard: it was not written, so nothing spaces it. */
            if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE)
                entry->written_ms -= CONTROL_SPACING_MS;
            scopes_due(&control->scopes, entry, control_steady_ms(control));
        }
    }
    (void)pthread_mutex_unlock(&control->lock);
}

bool
control_producer_open(struct control *control, struct err *why)
{
    static const struct kafka_setting settings[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        /* What is handed over in one turn leaves in one request: see room_for_records. */
        {"linger.ms", "1"},
        {"compression.type", "none"},
        {"message.timeout.ms", "10000"},
        {"partitioner", "murmur2_random"}, /* Java's: any tool finds a scope in the same place */
        {"socket.nagle.disable", "true"},
        {"statistics.interval.ms", "0"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_client_conf(control->config, settings, why);
    const uint64_t one = 1;
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;

    if (conf == NULL)
        return false;
    rd_kafka_conf_set_opaque(conf, control);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    producer = kafka_client(RD_KAFKA_PRODUCER, conf, why);
    if (producer == NULL)
        return false;
    topic = rd_kafka_topic_new(producer, control->config->kafka.control_topic, NULL);
    if (topic == NULL) {
        rd_kafka_destroy(producer);
        return err_set(why, ERR_FATAL, "control topic %s: %s", control->config->kafka.control_topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
    queue = rd_kafka_queue_get_main(producer);
    rd_kafka_queue_io_event_enable(queue, control->wake_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    (void)pthread_mutex_lock(&control->lock);
    control->producer = producer;
    control->topic = topic;
    (void)pthread_mutex_unlock(&control->lock);
    return true;
}

void
control_producer_close(struct control *control)
{
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;

    (void)pthread_mutex_lock(&control->lock);
    producer = control->producer;
    topic = control->topic;
    control->producer = NULL;
    control->topic = NULL;
    (void)pthread_mutex_unlock(&control->lock);
    if (producer == NULL)
        return;
    (void)rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                       RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
}

void
control_producer_serve(struct control *control)
{
    char text[ERR_TEXT_SIZE];
    char quoted[LOG_QUOTE_SIZE];
    struct err why;

    if (control->producer != NULL) {
        (void)rd_kafka_poll(control->producer, 0);
        if (rd_kafka_fatal_error(control->producer, text, sizeof text) ==
            RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        log_error("control", "action=new_producer reason=%s", log_quote(text_of(text), quoted));
        control_producer_close(control);
    } else if (control_steady_ms(control) < control->reopen_ms) {
        return;
    }
    if (!control_producer_open(control, &why)) {
        log_error("control", "action=new_producer reason=%s", log_quote(text_of(why.text), quoted));
        control->reopen_ms = control_steady_ms(control) + REOPEN_PAUSE_MS;
        return;
    }
    (void)pthread_mutex_lock(&control->lock);
    control_write_all_again(control);
    (void)pthread_mutex_unlock(&control->lock);
}
