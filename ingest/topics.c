#include "ingest/topics.h"

#include "config/kafka_client.h"

#include <stdlib.h>

static bool
broker_is_away(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

struct topics {
    const struct config *config;
    rd_kafka_t *client;
    int answer_ms;
};

static bool
partition_count(const struct topics *topics, size_t topic, int32_t *count, struct err *why)
{
    const struct config *config = topics->config;
    const char *name = config->kafka.topics[topic];
    rd_kafka_topic_t *handle = rd_kafka_topic_new(topics->client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(topics->client, 0, handle, &metadata, topics->answer_ms);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topics[0].err;
        *count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && *count > 0)
        return true;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(why, ERR_FATAL,
                       "usage topic %s does not exist; create it: kafka-topics.sh "
                       "--bootstrap-server %s --create --topic %s --partitions 8 --config "
                       "message.timestamp.type=LogAppendTime",
                       name, config->kafka.brokers, name);
    return err_set(why, broker_is_away(code) ? ERR_RETRY : ERR_FATAL, "kafka at %s: topic %s: %s",
                   config->kafka.brokers, name, rd_kafka_err2str(code));
}

struct topics *
topics_open(const struct config *config, const char *client_id, int answer_ms, struct err *why)
{
    const struct kafka_setting settings[] = {
        {"client.id", client_id},
        {"group.id", config->kafka.group},
        {"allow.auto.create.topics", "false"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_client_conf(config, settings, why);
    struct topics *topics = conf == NULL ? NULL : calloc(1, sizeof *topics);

    if (topics == NULL) {
        if (conf != NULL) {
            rd_kafka_conf_destroy(conf);
            (void)err_set(why, ERR_RETRY, "memory is short");
        }
        return NULL;
    }
    topics->config = config;
    topics->answer_ms = answer_ms;
    topics->client = kafka_client(RD_KAFKA_CONSUMER, conf, why);
    if (topics->client != NULL)
        return topics;
    free(topics);
    return NULL;
}

void
topics_close(struct topics *topics)
{
    if (topics == NULL)
        return;
    rd_kafka_destroy(topics->client);
    free(topics);
}

bool
topics_counts(struct topics *topics, int32_t *counts, struct err *why)
{
    for (size_t t = 0; t < topics->config->kafka.topic_count; t++)
        if (!partition_count(topics, t, &counts[t], why))
            return false;
    return true;
}

bool
topics_alike(const struct config *config, const int32_t *counts, struct err *why)
{
    for (size_t t = 1; t < config->kafka.topic_count; t++)
        if (counts[t] != counts[0])
            return err_set(why, ERR_FATAL,
                           "usage topics must have the same number of partitions: %s has %d, %s "
                           "has %d; raise the smaller one with kafka-topics.sh --alter",
                           config->kafka.topics[0], counts[0], config->kafka.topics[t], counts[t]);
    return true;
}

static bool
list_offsets(struct topics *topics, int32_t partitions, int64_t which, int64_t *offsets,
             struct err *why)
{
    const struct config *config = topics->config;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_resp_err_t code;

    for (size_t t = 0; t < config->kafka.topic_count; t++)
        for (int32_t p = 0; p < partitions; p++)
            rd_kafka_topic_partition_list_add(list, config->kafka.topics[t], p)->offset = which;
    code = rd_kafka_offsets_for_times(topics->client, list, topics->answer_ms);
    for (int i = 0; i < list->cnt; i++) {
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            code = list->elems[i].err;
        offsets[i] = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(why, ERR_RETRY, "kafka at %s does not tell where the usage topics end: %s",
                   config->kafka.brokers, rd_kafka_err2str(code));
}

bool
topics_ends(struct topics *topics, int32_t partitions, int64_t *ends, struct err *why)
{
    const size_t count = topics->config->kafka.topic_count * (size_t)partitions;
    int64_t *lows = calloc(count, sizeof *lows);

    if (lows == NULL)
        return err_set(why, ERR_RETRY, "memory is short");
    const bool good = list_offsets(topics, partitions, RD_KAFKA_OFFSET_BEGINNING, lows, why) &&
                      list_offsets(topics, partitions, RD_KAFKA_OFFSET_END, ends, why);

    for (size_t i = 0; good && i < count; i++)
        if (ends[i] <= lows[i])
            ends[i] = 0;
    free(lows);
    return good;
}
