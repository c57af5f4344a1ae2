#include "sinks/control_topic.h"

#include "config/kafka_client.h"
#include "config/log.h"

#include <stdio.h>
#include <time.h>

enum { ANSWER_LIMIT_MS = 10000, SETTLE_TRIES = 100, SETTLE_PAUSE_MS = 100 };

#define CREATED_PARTITIONS "1"
#define POLICY             "cleanup.policy"
#define COMPACT            "compact"

static const struct kafka_setting created_with[] = {
    {POLICY, COMPACT},
    {"segment.ms", "3600000"},
    {"segment.bytes", "67108864"},
    {"min.cleanable.dirty.ratio", "0.1"},
    {NULL, NULL},
};

static bool
is_answer_missing(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__RESOLVE ||
           err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           err == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
}

/* 0 partitions: the topic is not there. */
static bool
count_partitions(rd_kafka_t *client, const char *name, int32_t *partitions, struct err *why)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, topic, &metadata, ANSWER_LIMIT_MS);

    *partitions = 0;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = metadata->topics[0].err;
        *partitions = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    *partitions = 0;
    if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return true;
    return err_set(why, is_answer_missing(err) ? ERR_RETRY : ERR_FATAL, "control topic %s: %s",
                   name, rd_kafka_err2str(err));
}

/* Requests about topics go to the controller.  librdkafka's embedded broker names one that does not
 * exist; waiting for it would only end with the time-out. */
static bool
has_controller(rd_kafka_t *client)
{
    const struct rd_kafka_metadata *metadata = NULL;
    const int32_t controller = rd_kafka_controllerid(client, ANSWER_LIMIT_MS);
    bool found = false;

    if (rd_kafka_metadata(client, 0, NULL, &metadata, ANSWER_LIMIT_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    for (int i = 0; i < metadata->broker_cnt; i++)
        found = found || metadata->brokers[i].id == controller;
    rd_kafka_metadata_destroy(metadata);
    return found;
}

/* Waits for the answer to an admin request; NULL when there is none. */
static rd_kafka_event_t *
answer_of(rd_kafka_queue_t *queue)
{
    return rd_kafka_queue_poll(queue, 2 * ANSWER_LIMIT_MS);
}

static bool
missing(const struct config *config, const char *because, struct err *why)
{
    return err_set(why, ERR_FATAL,
                   "control topic %s does not exist%s; create it: kafka-topics.sh "
                   "--bootstrap-server %s --create --topic %s --partitions " CREATED_PARTITIONS
                   " --config " POLICY "=" COMPACT,
                   config->kafka.control_topic, because, config->kafka.brokers,
                   config->kafka.control_topic);
}

/* *created: it is ours, with the settings above.  Its description would not be known to every broker
 * at once, so it is not asked for. */
static bool
create(rd_kafka_t *client, const struct config *config, bool *created, struct err *why)
{
    char text[ERR_TEXT_SIZE / 2] = "no answer";
    char because[ERR_TEXT_SIZE];
    rd_kafka_resp_err_t err;

    if (!config->kafka.create_topics)
        return missing(config, " and kafka.create_topics is off", why);
    err = kafka_client_create_topic(client, config, config->kafka.control_topic, created_with, text,
                                    sizeof text);
    *created = err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (*created) {
        log_info("control_topic", "action=created topic=%s", config->kafka.control_topic);
        return true;
    }
    if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return true;
    if (is_answer_missing(err))
        return err_set(why, ERR_RETRY, "control topic %s: cannot be created: %s",
                       config->kafka.control_topic, text);
    (void)snprintf(because, sizeof because, " and cannot be created (%s)", text);
    return missing(config, because, why);
}

static bool
unchecked(const struct config *config, const char *because)
{
    log_warning(
        "control_topic",
        "action=unchecked topic=%s reason=\"the broker does not show its settings (%s): make "
        "sure that " POLICY " is " COMPACT "\"",
        config->kafka.control_topic, because);
    return true;
}

static const rd_kafka_ConfigEntry_t *
find_policy(const rd_kafka_ConfigResource_t *resource)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), POLICY) == 0)
            return entries[i];
    return NULL;
}

static bool
judge_policy(const struct config *config, rd_kafka_event_t *event, struct err *why)
{
    size_t count = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources =
        result == NULL ? NULL : rd_kafka_DescribeConfigs_result_resources(result, &count);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    const rd_kafka_ConfigEntry_t *entry = NULL;
    const char *policy;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && count > 0) {
        err = rd_kafka_ConfigResource_error(resources[0]);
        entry = find_policy(resources[0]);
    }
    if (is_answer_missing(err))
        return err_set(why, ERR_RETRY, "control topic %s: its settings cannot be read: %s",
                       config->kafka.control_topic, rd_kafka_err2str(err));
    policy = entry == NULL ? NULL : rd_kafka_ConfigEntry_value(entry);
    if (policy == NULL)
        return unchecked(config, rd_kafka_err2name(err));
    if (strcmp(policy, COMPACT) == 0)
        return true;
    return err_set(why, ERR_FATAL,
                   "control topic %s has " POLICY "=%s, so that blocks would be forgotten; run: "
                   "kafka-configs.sh --bootstrap-server %s --alter --entity-type topics "
                   "--entity-name %s --add-config " POLICY "=" COMPACT,
                   config->kafka.control_topic, policy, config->kafka.brokers,
                   config->kafka.control_topic);
}

static bool
check_policy(rd_kafka_t *client, const struct config *config, struct err *why)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, config->kafka.control_topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_event_t *event;
    bool good = false;

    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    event = answer_of(queue);
    if (event == NULL)
        (void)err_set(why, ERR_RETRY, "control topic %s: no answer about its settings",
                      config->kafka.control_topic);
    else
        good = judge_policy(config, event, why);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return good;
}

/* A topic that was just created reaches the brokers one after the other. */
static bool
await_partitions(rd_kafka_t *client, const char *name, int32_t *partitions, struct err *why)
{
    const struct timespec pause = {.tv_nsec = SETTLE_PAUSE_MS * 1000000L};

    for (int i = 0; i < SETTLE_TRIES; i++) {
        if (!count_partitions(client, name, partitions, why)) {
            if (why->class != ERR_RETRY)
                return false;
        } else if (*partitions > CONTROL_PARTITION_LIMIT) {
            return err_set(why, ERR_FATAL,
                           "control topic %s has %d partitions, at most %d are used", name,
                           (int)*partitions, CONTROL_PARTITION_LIMIT);
        } else if (*partitions > 0) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return err_set(why, ERR_RETRY, "control topic %s: no broker leads it yet", name);
}

bool
control_topic_ready(const struct config *config, int32_t *partitions, struct err *why)
{
    /* Asking as a consumer does not create the topic by accident, as a producer's question does
     * where the broker allows it: with the broker's default policy, which is not compact. */
    const struct kafka_setting quiet[] = {
        {"group.id", config->kafka.group}, {"allow.auto.create.topics", "false"}, {NULL, NULL}};
    static const struct kafka_setting plain[] = {{NULL, NULL}};
    rd_kafka_conf_t *conf = kafka_client_conf(config, quiet, why);
    rd_kafka_t *client = conf == NULL ? NULL : kafka_client(RD_KAFKA_CONSUMER, conf, why);
    bool created = false;
    bool good =
        client != NULL && count_partitions(client, config->kafka.control_topic, partitions, why);

    if (good && !has_controller(client)) {
        (void)unchecked(config, "it has no controller");
    } else {
        if (good && *partitions == 0)
            good = create(client, config, &created, why);
        if (good && !created)
            good = check_policy(client, config, why);
    }
    if (client != NULL)
        rd_kafka_destroy(client);
    if (!good)
        return false;
    conf = kafka_client_conf(config, plain, why);
    client = conf == NULL ? NULL : kafka_client(RD_KAFKA_PRODUCER, conf, why);
    if (client == NULL)
        return false;
    good = await_partitions(client, config->kafka.control_topic, partitions, why);
    rd_kafka_destroy(client);
    return good;
}
