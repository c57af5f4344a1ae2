/*
 * Reading the control topic back.
 *
 * Compaction keeps what was written last, and that may be the late record of an engine that lost its
 * shard.  So the owner reads every record; one of its scopes that stands behind its own latest is
 * answered with the current state, and one of a scope it does not know is shown to the worker.
 */
#include "config/kafka_client.h"
#include "config/log.h"
#include "sinks/control_internal.h"
#include "sinks/control_message.h"

#include "core/identity.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RECORDS_A_TURN = 256, ASK_LIMIT_MS = 1000 };

#define NOT_READ INT64_C(-1)

/* An engine's key holds no scope. */
static bool
is_engine(struct text key)
{
    const struct text prefix = TEXT("engine/");

    return key.size > prefix.size && memcmp(key.at, prefix.at, prefix.size) == 0;
}

/* What the number of a record says of our claim of its shard. */
static void
compare_claims(struct control_shard *shard, const struct control_record *record)
{
    const int64_t epoch = record->seq >> CONTROL_COUNTER_BITS;
    const int64_t counter = record->seq & CONTROL_COUNTER_MAX;

    if (shard->stopped)
        return;
    if (epoch > shard->epoch) {
        shard->stopped = true;
        log_warning(
            "control",
            "shard=%" PRId32 " epoch=%" PRId64 " other_epoch=%" PRId64
            " reason=\"a later claim has published for the shard, nothing more is published "
            "here; if no other engine has it, the database was restored to an older state: "
            "raise its epoch sequence above other_epoch\"",
            record->shard, shard->epoch, epoch);
    } else if (epoch == shard->epoch && counter > shard->counter) {
        shard->counter = counter;
    }
}

/* Shows the scope to the worker, once however often it is met; `again`: if there is no room now. */
static void
meet_stranger(struct control *control, struct text scope, bool again)
{
    const struct key128 key = identity_one(scope);
    struct stranger *stranger;

    if (table_find(&control->stranger_index, key) != TABLE_NONE)
        return;
    stranger = list_add(&control->strangers);
    if (stranger != NULL)
        *stranger = (struct stranger){.key = key, .scope = malloc(scope.size + 1)};
    if (stranger != NULL && stranger->scope != NULL &&
        table_put(&control->stranger_index, key, (uint32_t)(control->strangers.count - 1))) {
        (void)text_copy(stranger->scope, scope.size + 1, scope);
        return;
    }
    if (stranger != NULL) {
        free(stranger->scope);
        control->strangers.count--;
    }
    control->strangers_missed |= again;
}

/* An allow that an earlier owner has left: nobody wants it, but it has to be cleared away when its
 * 24 hours are over. Without room it stays on the topic, where it does no harm. */
static void
adopt(struct control *control, struct text scope, const struct control_record *record,
      struct control_place place)
{
    const struct scope_state state = {.scope = scope,
                                      .shard = record->shard,
                                      .epoch = record->seq >> CONTROL_COUNTER_BITS,
                                      .at_ms = record->time_ms};
    const int64_t now_ms = control_steady_ms(control);
    const int64_t age_ms = control_wall_ms(control) - record->time_ms;
    struct scope_entry *entry = scopes_put(&control->scopes, &state);

    if (entry == NULL)
        return;
    entry->adopted = true;
    entry->seq = record->seq;
    entry->print = scope_print(&state);
    entry->outcome = OUTCOME_ALLOW;
    entry->written_ms = now_ms - CONTROL_SPACING_MS;
    entry->allowed_ms = age_ms > 0 ? now_ms - age_ms : now_ms;
    entry->seen = true;
    entry->partition = place.partition;
    entry->offset = place.offset;
    scopes_due(&control->scopes, entry, entry->allowed_ms + CONTROL_RETIRE_MS);
}

static void
on_own_scope(struct control *control, struct scope_entry *entry, int64_t seq,
             struct control_place place)
{
    const struct control_shard *shard = control_shard_of(control, scope_entry_shard(entry));

    if (entry->seq != 0 && seq == entry->seq) {
        entry->seen = true;
        entry->partition = place.partition;
        entry->offset = place.offset;
        return;
    }
    if (entry->seq == 0) /* nothing of ours yet, but somebody's stands there */
        entry->seen = seq != 0;
    /* Behind our latest, as far as its place is known; else ours is still to come. */
    if (shard == NULL || shard->stopped || entry->force || entry->offset < 0 ||
        entry->partition != place.partition || place.offset <= entry->offset)
        return;
    metric_add(control->metrics, METRIC_CONTROL_ANSWERED, 1);
    entry->force = true;
    scopes_due(&control->scopes, entry, control_steady_ms(control));
}

static void
on_scope(struct control *control, struct text scope, const struct control_record *record,
         struct control_place place)
{
    struct control_shard *shard;
    struct scope_entry *entry = scopes_find(&control->scopes, scope);

    if (entry != NULL && !entry->adopted) {
        on_own_scope(control, entry, record == NULL ? 0 : record->seq, place);
        return;
    }
    if (entry != NULL && record != NULL && record->seq == entry->seq)
        return;
    if (entry != NULL)
        scopes_remove(&control->scopes, entry);
    /* A tombstone, or what no gateway can read either: allow. */
    if (record == NULL)
        return;
    shard = control_shard_of(control, record->shard);
    const bool ours = shard != NULL && !shard->stopped;

    /* Of an older layout, its tenant may be at home here now; most are not. */
    const bool moved = record->shard < CONTROL_SHARD_LIMIT &&
                       record->seq >> CONTROL_COUNTER_BITS < control->layout_epoch;

    if (record->restricts && (ours || moved))
        meet_stranger(control, scope, ours);
    else if (ours && !record->restricts)
        adopt(control, scope, record, place);
}

void
control_on_record(struct control *control, struct text key, struct text value,
                  struct control_place place)
{
    struct control_record record;
    const bool good = value.at != NULL && control_parse(value, &record);
    struct control_shard *shard;

    if (key.at == NULL || key.size == 0 || key.size >= SCOPE_SIZE)
        return;
    (void)pthread_mutex_lock(&control->lock);
    shard = good ? control_shard_of(control, record.shard) : NULL;
    if (shard != NULL)
        compare_claims(shard, &record);
    if (!is_engine(key))
        on_scope(control, key, good ? &record : NULL, place);
    (void)pthread_mutex_unlock(&control->lock);
}

static void
start_reading(struct control *control)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(control->partitions);
    rd_kafka_resp_err_t err;

    for (int32_t i = 0; i < control->partitions; i++) {
        rd_kafka_topic_partition_list_add(list, control->config->kafka.control_topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
        control->position[i] = NOT_READ;
    }
    err = rd_kafka_assign(control->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    control->targets_known = false;
    control->ask_targets_ms = 0;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_error("control", "action=read reason=\"%s\"", rd_kafka_err2str(err));
}

bool
control_follower_open(struct control *control, struct err *why)
{
    /* Small queues: a few records a second, and at the start a topic that is read once. */
    const struct kafka_setting settings[] = {
        {"group.id", control->config->kafka.group}, /* never joined: partitions are assigned */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"check.crcs", "true"},
        {"queued.min.messages", "20000"},
        {"queued.max.messages.kbytes", "16384"},
        {"socket.nagle.disable", "true"},
        {"statistics.interval.ms", "0"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_client_conf(control->config, settings, why);
    const uint64_t one = 1;
    rd_kafka_queue_t *queue;

    if (conf == NULL)
        return false;
    control->consumer = kafka_client(RD_KAFKA_CONSUMER, conf, why);
    if (control->consumer == NULL)
        return false;
    (void)rd_kafka_poll_set_consumer(control->consumer);
    queue = rd_kafka_queue_get_consumer(control->consumer);
    rd_kafka_queue_io_event_enable(queue, control->wake_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    start_reading(control);
    return true;
}

void
control_follower_close(struct control *control)
{
    if (control->consumer != NULL)
        rd_kafka_destroy_flags(control->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    control->consumer = NULL;
}

static void
take_message(struct control *control, const rd_kafka_message_t *message)
{
    const int32_t partition = message->partition;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        control_on_record(control, (struct text){message->key, message->key_len},
                          (struct text){message->payload, message->len},
                          (struct control_place){partition, message->offset});
        control->position[partition] = message->offset + 1;
        break;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        control->position[partition] = message->offset;
        break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        log_warning("control",
                    "partition=%" PRId32 " reason=\"the control topic was cut or made "
                    "anew; every state is written again\"",
                    partition);
        (void)pthread_mutex_lock(&control->lock);
        control_write_all_again(control);
        control->reread = true;
        (void)pthread_mutex_unlock(&control->lock);
        break;
    default: /* librdkafka's codes: it goes on by itself, the log has its own words */
        log_debug("control", "action=read reason=\"%s\"", rd_kafka_message_errstr(message));
    }
}

/* Where the partitions end now. */
static void
ask_targets(struct control *control)
{
    for (int32_t i = 0; i < control->partitions; i++) {
        int64_t low;
        int64_t high;

        if (rd_kafka_query_watermark_offsets(control->consumer,
                                             control->config->kafka.control_topic, i, &low, &high,
                                             ASK_LIMIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            control->ask_targets_ms = control_steady_ms(control) + ASK_LIMIT_MS;
            return;
        }
        control->target[i] = low == high ? NOT_READ : high;
    }
    control->targets_known = true;
}

static void
judge_progress(struct control *control)
{
    if (atomic_load(&control->caught_up))
        return;
    if (!control->targets_known && control->ask_targets_ms <= control_steady_ms(control))
        ask_targets(control);
    if (!control->targets_known)
        return;
    for (int32_t i = 0; i < control->partitions; i++)
        if (control->position[i] < control->target[i])
            return;
    (void)pthread_mutex_lock(&control->lock);
    /* Unless a shard was claimed in the meantime. */
    atomic_store(&control->caught_up, !control->reread);
    (void)pthread_mutex_unlock(&control->lock);
}

bool
control_follow(struct control *control)
{
    bool reread;
    int taken = 0;

    (void)pthread_mutex_lock(&control->lock);
    reread = control->reread;
    control->reread = false;
    (void)pthread_mutex_unlock(&control->lock);
    if (reread)
        start_reading(control);
    while (taken < RECORDS_A_TURN) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(control->consumer, 0);

        if (message == NULL)
            break;
        /* Errors of the whole client come without a partition. */
        if (message->rkt != NULL && message->partition >= 0 &&
            message->partition < control->partitions)
            take_message(control, message);
        rd_kafka_message_destroy(message);
        taken++;
    }
    judge_progress(control);
    return taken == RECORDS_A_TURN;
}
